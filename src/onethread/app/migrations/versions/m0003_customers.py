"""Identifiers, the evidence between them, and the customers it makes."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    op.execute("CREATE SCHEMA customers")
    op.execute("""
        CREATE TABLE customers.identifier (
            id            uuid        PRIMARY KEY,
            kind          text        NOT NULL,
            scope         text        NOT NULL DEFAULT '',
            value         text        NOT NULL CHECK (value <> ''),
            epoch         int         NOT NULL DEFAULT 0 CHECK (epoch >= 0),
            customer_id   uuid        NOT NULL,
            blocked       boolean     NOT NULL DEFAULT false,
            shared        text,
            name          text,
            name_at       timestamptz,
            locale        text,
            locale_at     timestamptz,
            first_seen_at timestamptz NOT NULL,
            UNIQUE (kind, scope, value, epoch)
        ) WITH (fillfactor = 85)
    """)
    op.execute("""
        CREATE TABLE customers.customer (
            id                   uuid        PRIMARY KEY,
            anchor_identifier_id uuid        NOT NULL UNIQUE REFERENCES customers.identifier (id),
            name                 text,
            locale               text,
            created_at           timestamptz NOT NULL,
            superseded_by        uuid        REFERENCES customers.customer (id),
            CHECK (superseded_by <> id)
        ) WITH (fillfactor = 85)
    """)
    op.execute("""
        ALTER TABLE customers.identifier
          ADD CONSTRAINT identifier_customer_fkey FOREIGN KEY (customer_id) REFERENCES customers.customer (id)
    """)
    op.execute("CREATE INDEX identifier_customer_idx ON customers.identifier (customer_id)")
    op.execute("CREATE INDEX identifier_value_idx ON customers.identifier (value text_pattern_ops)")
    op.execute("""
        CREATE INDEX identifier_name_idx ON customers.identifier USING gin (name gin_trgm_ops)
         WHERE name IS NOT NULL
    """)
    op.execute("CREATE INDEX customer_live_idx ON customers.customer (created_at, id) WHERE superseded_by IS NULL")
    _evidence()
    _rules()


def _evidence() -> None:
    op.execute("""
        CREATE TABLE customers.evidence (
            id             uuid        PRIMARY KEY,
            a              uuid        NOT NULL REFERENCES customers.identifier (id),
            b              uuid        NOT NULL REFERENCES customers.identifier (id),
            kind           text        NOT NULL,
            strength       smallint    NOT NULL,
            source         text        NOT NULL,
            source_ref     text        NOT NULL,
            reason         text        NOT NULL CHECK (reason <> ''),
            asserted_at    timestamptz NOT NULL,
            asserted_by    text        NOT NULL,
            revoked_at     timestamptz,
            revoked_by     text,
            revoked_reason text,
            suppressed     text,
            CHECK (a < b),
            CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
        )
    """)
    op.execute("CREATE INDEX evidence_a_idx ON customers.evidence (a)")
    op.execute("CREATE INDEX evidence_b_idx ON customers.evidence (b)")
    op.execute("""
        CREATE TABLE customers.cannot_link (
            id         uuid        PRIMARY KEY,
            a          uuid        NOT NULL REFERENCES customers.identifier (id),
            b          uuid        NOT NULL REFERENCES customers.identifier (id),
            reason     text        NOT NULL,
            marked_by  text        NOT NULL,
            marked_at  timestamptz NOT NULL,
            revoked_at timestamptz,
            revoked_by text,
            CHECK (a < b)
        )
    """)
    op.execute("CREATE UNIQUE INDEX cannot_link_a_idx ON customers.cannot_link (a, b) WHERE revoked_at IS NULL")
    op.execute("CREATE INDEX cannot_link_b_idx ON customers.cannot_link (b) WHERE revoked_at IS NULL")
    # Did anybody mark an identifier of the one as not the same person as an identifier of the other?
    op.execute("""
        CREATE FUNCTION customers.told_apart(one uuid, other uuid) RETURNS boolean
        LANGUAGE sql STABLE PARALLEL SAFE AS $$
            SELECT EXISTS (SELECT
                             FROM customers.identifier AS mine
                             JOIN customers.cannot_link AS mark
                               ON mark.revoked_at IS NULL AND (mark.a = mine.id OR mark.b = mine.id)
                             JOIN customers.identifier AS theirs
                               ON theirs.id = CASE WHEN mark.a = mine.id THEN mark.b ELSE mark.a END
                            WHERE mine.customer_id = one AND theirs.customer_id = other)
        $$
    """)
    op.execute("""
        CREATE TABLE customers.merge_log (
            id     uuid        PRIMARY KEY,
            at     timestamptz NOT NULL,
            act    text        NOT NULL CHECK (act IN ('merged', 'split')),
            before uuid[]      NOT NULL,
            after  uuid[]      NOT NULL,
            cause  text        NOT NULL,
            causes uuid[]      NOT NULL,
            actor  text        NOT NULL
        )
    """)
    op.execute("CREATE INDEX merge_log_before_idx ON customers.merge_log USING gin (before)")
    op.execute("CREATE INDEX merge_log_after_idx ON customers.merge_log USING gin (after)")


def _rules() -> None:
    op.execute("""
        CREATE TABLE customers.rule (
            the_only      boolean  PRIMARY KEY DEFAULT true CHECK (the_only),
            link_strength smallint NOT NULL,
            shared_above  int      NOT NULL CHECK (shared_above > 0),
            most_in_group int      NOT NULL CHECK (most_in_group > 1)
        )
    """)
    op.execute("INSERT INTO customers.rule (link_strength, shared_above, most_in_group) VALUES (30, 5, 500)")
    op.execute("""
        CREATE TABLE customers.source_rule (
            source        text     PRIMARY KEY,
            link_strength smallint NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE customers.kind_limit (
            kind text PRIMARY KEY,
            most int  NOT NULL CHECK (most > 0)
        )
    """)
    op.execute("INSERT INTO customers.kind_limit (kind, most) VALUES ('card', 1), ('external', 1)")
    op.execute("""
        CREATE TABLE customers.blocked_value (
            kind       text        NOT NULL,
            value      text        NOT NULL,
            reason     text        NOT NULL,
            blocked_by text        NOT NULL,
            blocked_at timestamptz NOT NULL,
            PRIMARY KEY (kind, value)
        )
    """)
