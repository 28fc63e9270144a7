"""Organisation, brands, agents, teams, sessions, keys, letters and the audit log."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("CREATE SCHEMA access")
    op.execute("""
        CREATE TABLE access.organisation (
            id         uuid        PRIMARY KEY,
            name       text        NOT NULL CHECK (name <> ''),
            created_at timestamptz NOT NULL,
            the_only   boolean     NOT NULL DEFAULT true UNIQUE CHECK (the_only)
        )
    """)
    op.execute("""
        CREATE TABLE access.brand (
            id              uuid        PRIMARY KEY,
            name            text        NOT NULL CHECK (name <> ''),
            slug            text        NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
            default_country text        NOT NULL CHECK (default_country ~ '^[A-Z]{2}$'),
            locale          text        NOT NULL,
            time_zone       text        NOT NULL,
            reopen_days     int         NOT NULL DEFAULT 14 CHECK (reopen_days BETWEEN 0 AND 365),
            undo_seconds    int         NOT NULL DEFAULT 8 CHECK (undo_seconds BETWEEN 0 AND 120),
            colours         jsonb       NOT NULL DEFAULT '{}',
            created_at      timestamptz NOT NULL
        )
    """)
    _people()
    _ways_in()
    _records()


def _people() -> None:
    op.execute("""
        CREATE TABLE access.agent (
            id                uuid        PRIMARY KEY,
            email             text        NOT NULL UNIQUE CHECK (email = lower(email)),
            name              text        NOT NULL CHECK (name <> ''),
            role              text        NOT NULL CHECK (role IN ('owner', 'admin', 'supervisor', 'agent',
                                                                   'marketer', 'shop', 'read_only')),
            locale            text        NOT NULL,
            time_zone         text        NOT NULL,
            state             text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'disabled')),
            only_own_teams    boolean     NOT NULL DEFAULT false,
            password_hash     text,
            totp_secret       bytea,
            totp_confirmed_at timestamptz,
            totp_step         bigint,
            oidc_issuer       text,
            oidc_subject      text,
            created_at        timestamptz NOT NULL,
            signed_in_at      timestamptz,
            UNIQUE (oidc_issuer, oidc_subject)
        )
    """)
    op.execute("""
        CREATE TABLE access.team (
            id         uuid        PRIMARY KEY,
            name       text        NOT NULL CHECK (name <> ''),
            active     boolean     NOT NULL DEFAULT true,
            created_at timestamptz NOT NULL
        )
    """)
    op.execute("CREATE UNIQUE INDEX team_name_idx ON access.team (lower(name)) WHERE active")
    op.execute("""
        CREATE TABLE access.membership (
            agent_id uuid NOT NULL REFERENCES access.agent,
            team_id  uuid NOT NULL REFERENCES access.team,
            PRIMARY KEY (agent_id, team_id)
        )
    """)
    op.execute("CREATE INDEX membership_team_idx ON access.membership (team_id)")
    op.execute("""
        CREATE TABLE access.agent_brand (
            agent_id uuid NOT NULL REFERENCES access.agent,
            brand_id uuid NOT NULL REFERENCES access.brand,
            PRIMARY KEY (agent_id, brand_id)
        )
    """)


def _ways_in() -> None:
    op.execute("""
        CREATE TABLE access.session (
            id          uuid        PRIMARY KEY,
            secret_hash bytea       NOT NULL UNIQUE,
            agent_id    uuid        NOT NULL REFERENCES access.agent,
            way         text        NOT NULL CHECK (way IN ('password', 'oidc')),
            created_at  timestamptz NOT NULL,
            seen_at     timestamptz NOT NULL,
            expires_at  timestamptz NOT NULL,
            revoked_at  timestamptz,
            user_agent  text        NOT NULL DEFAULT '',
            address     text
        )
    """)
    op.execute("CREATE INDEX session_agent_idx ON access.session (agent_id) WHERE revoked_at IS NULL")
    # Kept by the hash of the address typed, known or not: a lock must not tell who works here.
    op.execute("""
        CREATE TABLE access.sign_in_attempt (
            address_hash bytea       PRIMARY KEY,
            failures     int         NOT NULL,
            failed_at    timestamptz NOT NULL,
            locked_until timestamptz NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE access.recovery_code (
            agent_id  uuid  NOT NULL REFERENCES access.agent,
            code_hash bytea NOT NULL,
            used_at   timestamptz,
            PRIMARY KEY (agent_id, code_hash)
        )
    """)
    op.execute("""
        CREATE TABLE access.invitation (
            id             uuid        PRIMARY KEY,
            secret_hash    bytea       NOT NULL UNIQUE,
            email          text        NOT NULL,
            name           text        NOT NULL,
            role           text        NOT NULL,
            only_own_teams boolean     NOT NULL,
            teams          uuid[]      NOT NULL,
            brands         uuid[]      NOT NULL,
            invited_by     uuid        REFERENCES access.agent,
            created_at     timestamptz NOT NULL,
            expires_at     timestamptz NOT NULL,
            used_at        timestamptz,
            revoked_at     timestamptz
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX invitation_open_idx ON access.invitation (email)
         WHERE used_at IS NULL AND revoked_at IS NULL
    """)
    op.execute("""
        CREATE TABLE access.password_reset (
            secret_hash bytea       PRIMARY KEY,
            agent_id    uuid        NOT NULL REFERENCES access.agent,
            created_at  timestamptz NOT NULL,
            expires_at  timestamptz NOT NULL,
            used_at     timestamptz
        )
    """)
    op.execute("CREATE INDEX password_reset_agent_idx ON access.password_reset (agent_id)")
    op.execute("""
        CREATE TABLE access.api_key (
            id           uuid        PRIMARY KEY,
            name         text        NOT NULL CHECK (name <> ''),
            prefix       text        NOT NULL,
            secret_hash  bytea       NOT NULL UNIQUE,
            role         text        NOT NULL,
            scopes       text[],
            brands       uuid[]      NOT NULL DEFAULT '{}',
            created_by   uuid        REFERENCES access.agent,
            created_at   timestamptz NOT NULL,
            last_used_at timestamptz,
            expires_at   timestamptz,
            revoked_at   timestamptz
        )
    """)
    op.execute("""
        CREATE TABLE access.oidc_attempt (
            state_hash bytea       PRIMARY KEY,
            nonce      text        NOT NULL,
            verifier   text        NOT NULL,
            return_to  text        NOT NULL,
            expires_at timestamptz NOT NULL
        )
    """)


def _records() -> None:
    # Letters carry links that open doors: sealed while they wait, emptied when they are posted.
    op.execute("""
        CREATE TABLE access.letter (
            id         uuid        PRIMARY KEY,
            address    text        NOT NULL,
            sealed     bytea,
            created_at timestamptz NOT NULL,
            due_at     timestamptz NOT NULL,
            attempts   int         NOT NULL DEFAULT 0,
            posted_at  timestamptz,
            failed_at  timestamptz,
            error      text
        )
    """)
    op.execute("CREATE INDEX letter_due_idx ON access.letter (due_at) WHERE posted_at IS NULL AND failed_at IS NULL")
    op.execute("""
        CREATE TABLE access.audit (
            id           uuid        PRIMARY KEY,
            at           timestamptz NOT NULL,
            actor_kind   text        NOT NULL,
            actor_id     uuid,
            actor_name   text        NOT NULL,
            act          text        NOT NULL,
            subject_kind text        NOT NULL,
            subject_id   uuid,
            before       jsonb,
            after        jsonb,
            address      text
        )
    """)
    op.execute("CREATE INDEX audit_subject_idx ON access.audit (subject_kind, subject_id, id DESC)")
