"""Conversations, messages, deliveries and the inbox row."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("CREATE SCHEMA conversations")
    op.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    # What a conversation is: written when somebody acts on it, not with every message.
    op.execute("""
        CREATE TABLE conversations.conversation (
            id            uuid        PRIMARY KEY,
            number        bigint      GENERATED ALWAYS AS IDENTITY UNIQUE,
            brand_id      uuid        NOT NULL,
            identifier_id uuid        NOT NULL,
            subject       text        NOT NULL DEFAULT '',
            status        text        NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'snoozed', 'closed')),
            opened_at     timestamptz NOT NULL,
            closed_at     timestamptz,
            snoozed_until timestamptz,
            joined_into   uuid        REFERENCES conversations.conversation (id),
            CHECK ((status = 'closed') = (closed_at IS NOT NULL)),
            CHECK ((status = 'snoozed') = (snoozed_until IS NOT NULL))
        )
    """)
    op.execute("""
        CREATE INDEX conversation_continued_idx
            ON conversations.conversation (identifier_id, (coalesce(closed_at, 'infinity')))
         WHERE joined_into IS NULL
    """)
    op.execute("""
        CREATE INDEX conversation_snoozed_idx ON conversations.conversation (snoozed_until)
         WHERE status = 'snoozed'
    """)
    # What the list shows: one narrow row, rewritten with every message.
    op.execute("""
        CREATE TABLE conversations.inbox_row (
            conversation_id    uuid        PRIMARY KEY REFERENCES conversations.conversation (id),
            brand_id           uuid        NOT NULL,
            identifier_id      uuid        NOT NULL,
            status             text        NOT NULL,
            assignee_id        uuid,
            team_id            uuid,
            priority           smallint    NOT NULL DEFAULT 0,
            last_seq           int         NOT NULL DEFAULT 0,
            unread             int         NOT NULL DEFAULT 0,
            waiting_since      timestamptz,
            last_message_at    timestamptz NOT NULL,
            last_text          text        NOT NULL DEFAULT '',
            last_direction     text        NOT NULL DEFAULT 'in',
            last_channel       text,
            answer_identifier_id uuid,
            answer_account_id    uuid
        ) WITH (fillfactor = 80)
    """)
    op.execute("""
        CREATE INDEX inbox_row_list_idx
            ON conversations.inbox_row (status, last_message_at DESC, conversation_id DESC)
    """)
    op.execute("""
        CREATE INDEX inbox_row_assignee_idx
            ON conversations.inbox_row (assignee_id, status, last_message_at DESC, conversation_id DESC)
         WHERE assignee_id IS NOT NULL
    """)
    op.execute("""
        CREATE INDEX inbox_row_team_idx
            ON conversations.inbox_row (team_id, status, last_message_at DESC, conversation_id DESC)
         WHERE team_id IS NOT NULL
    """)
    op.execute("""
        CREATE TABLE conversations.message (
            id              uuid        PRIMARY KEY,
            conversation_id uuid        NOT NULL,
            seq             int         NOT NULL,
            direction       text        NOT NULL CHECK (direction IN ('in', 'out', 'note')),
            channel         text,
            account_id      uuid,
            identifier_id   uuid,
            author_id       uuid,
            author_name     text,
            at              timestamptz NOT NULL,
            recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
            external_id     text,
            answers_id      uuid,
            purpose         text        NOT NULL DEFAULT 'service' CHECK (purpose IN ('service', 'marketing')),
            content         jsonb       NOT NULL,
            trust           text,
            trust_reason    text,
            automatic       boolean     NOT NULL DEFAULT false,
            edited_at       timestamptz,
            unsent_at       timestamptz,
            receipt_seq     bigint,
            client_id       text,
            UNIQUE (conversation_id, seq)
        )
    """)
    op.execute("""
        CREATE UNIQUE INDEX message_external_idx ON conversations.message (account_id, external_id)
         WHERE external_id IS NOT NULL
    """)
    op.execute("""
        CREATE UNIQUE INDEX message_client_idx ON conversations.message (author_id, client_id)
         WHERE client_id IS NOT NULL
    """)
    op.execute("""
        CREATE INDEX message_visitor_idx ON conversations.message (identifier_id, conversation_id, seq)
         WHERE identifier_id IS NOT NULL
    """)
    op.execute("""
        CREATE TABLE conversations.reaction (
            message_id uuid        NOT NULL REFERENCES conversations.message (id),
            by_id      uuid        NOT NULL,
            by_kind    text        NOT NULL CHECK (by_kind IN ('customer', 'agent')),
            emoji      text        NOT NULL,
            at         timestamptz NOT NULL,
            PRIMARY KEY (message_id, by_id)
        )
    """)
    op.execute("""
        CREATE TABLE conversations.delivery (
            id            uuid        PRIMARY KEY,
            message_id    uuid        NOT NULL REFERENCES conversations.message (id),
            hop           smallint    NOT NULL DEFAULT 1,
            act           text        NOT NULL DEFAULT 'message'
                                      CHECK (act IN ('message', 'edit', 'unsend', 'reaction')),
            emoji         text,
            account_id    uuid        NOT NULL,
            channel       text        NOT NULL,
            identifier_id uuid        NOT NULL,
            status        text        NOT NULL DEFAULT 'queued'
                                      CHECK (status IN ('queued', 'sending', 'unknown', 'sent', 'delivered',
                                                        'read', 'failed', 'cancelled')),
            reason        text,
            due_at        timestamptz NOT NULL,
            lease_until   timestamptz,
            attempts      smallint    NOT NULL DEFAULT 0,
            repeated      boolean     NOT NULL DEFAULT false,
            external_id   text,
            created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
            changed_at    timestamptz NOT NULL DEFAULT clock_timestamp()
        ) WITH (fillfactor = 80)
    """)
    op.execute("CREATE INDEX delivery_message_idx ON conversations.delivery (message_id)")
    op.execute("""
        CREATE INDEX delivery_due_idx ON conversations.delivery (due_at)
         WHERE status IN ('queued', 'sending', 'unknown')
    """)
    # One person's messages leave one after another: the sender looks for an earlier one under way.
    op.execute("""
        CREATE INDEX delivery_under_way_idx ON conversations.delivery (account_id, identifier_id, id)
         WHERE status IN ('queued', 'sending')
    """)
    op.execute("""
        CREATE UNIQUE INDEX delivery_external_idx ON conversations.delivery (account_id, external_id)
         WHERE external_id IS NOT NULL AND act = 'message'
    """)
    op.execute("""
        CREATE TABLE conversations.media (
            id          uuid        PRIMARY KEY,
            message_id  uuid        NOT NULL REFERENCES conversations.message (id),
            position    smallint    NOT NULL,
            account_id  uuid        NOT NULL,
            receipt_seq bigint      NOT NULL,
            state       text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'stored', 'failed')),
            due_at      timestamptz NOT NULL DEFAULT now(),
            attempts    smallint    NOT NULL DEFAULT 0,
            reason      text,
            UNIQUE (message_id, position)
        )
    """)
    op.execute("CREATE INDEX media_due_idx ON conversations.media (due_at) WHERE state = 'waiting'")
    op.execute("""
        CREATE TABLE conversations.draft (
            conversation_id uuid        PRIMARY KEY REFERENCES conversations.conversation (id),
            version         int         NOT NULL,
            content         jsonb       NOT NULL,
            author_id       uuid,
            changed_at      timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("""
        CREATE TABLE conversations.reading (
            conversation_id uuid        NOT NULL REFERENCES conversations.conversation (id),
            agent_id        uuid        NOT NULL,
            upto            int         NOT NULL,
            at              timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (conversation_id, agent_id)
        )
    """)
    # What a search can find, written behind the log by a subscriber.
    op.execute("""
        CREATE TABLE conversations.found (
            message_id      uuid        PRIMARY KEY,
            conversation_id uuid        NOT NULL,
            at              timestamptz NOT NULL,
            words           text        NOT NULL
        )
    """)
    op.execute("CREATE INDEX found_words_idx ON conversations.found USING gin (words gin_trgm_ops)")
    # Addresses nothing may be sent to: bounced for good, or opted out.
    op.execute("""
        CREATE TABLE conversations.suppression (
            identifier_id uuid        NOT NULL,
            channel       text        NOT NULL,
            purpose       text        NOT NULL CHECK (purpose IN ('service', 'marketing', 'all')),
            reason        text        NOT NULL,
            at            timestamptz NOT NULL,
            PRIMARY KEY (identifier_id, channel, purpose)
        )
    """)
