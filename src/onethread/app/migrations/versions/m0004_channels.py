"""Accounts, receipts and what doors remember."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.execute("CREATE SCHEMA channels")
    op.execute("""
        CREATE TABLE channels.account (
            id               uuid        PRIMARY KEY,
            channel          text        NOT NULL,
            brand_id         uuid        NOT NULL,
            name             text        NOT NULL,
            settings         jsonb       NOT NULL DEFAULT '{}',
            secrets          bytea,
            enabled          boolean     NOT NULL DEFAULT true,
            well             boolean,
            health           text        NOT NULL DEFAULT '',
            health_at        timestamptz,
            created_at       timestamptz NOT NULL DEFAULT now(),
            changed_at       timestamptz NOT NULL DEFAULT now()
        )
    """)
    op.execute("""
        CREATE TABLE channels.receipt (
            seq         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            account_id  uuid        NOT NULL REFERENCES channels.account (id),
            external_id text        NOT NULL,
            sender      text        NOT NULL,
            lane        smallint    NOT NULL,
            form        text        NOT NULL,
            body        bytea       NOT NULL,
            received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            state       text        NOT NULL DEFAULT 'waiting'
                                    CHECK (state IN ('waiting', 'applied', 'parked', 'dismissed')),
            due_at      timestamptz NOT NULL DEFAULT '-infinity',
            attempts    smallint    NOT NULL DEFAULT 0,
            settled_at  timestamptz,
            reason      text,
            UNIQUE (account_id, external_id)
        ) WITH (fillfactor = 70)
    """)
    op.execute("CREATE INDEX receipt_waiting_idx ON channels.receipt (lane, seq) WHERE state = 'waiting'")
    op.execute("CREATE INDEX receipt_parked_idx ON channels.receipt (seq) WHERE state = 'parked'")
    op.execute("""
        CREATE TABLE channels.door_state (
            account_id uuid        NOT NULL REFERENCES channels.account (id),
            key        text        NOT NULL,
            value      jsonb       NOT NULL,
            saved_at   timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (account_id, key)
        )
    """)
