"""Outgoing webhooks with their deliveries, and the answers kept for repeated requests."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE platform.webhook (
            id              uuid        PRIMARY KEY,
            url             text        NOT NULL,
            types           text[]      NOT NULL CHECK (cardinality(types) > 0),
            brand_id        uuid,
            enabled         boolean     NOT NULL DEFAULT true,
            disabled_reason text,
            secret          bytea       NOT NULL,
            old_secret      bytea,
            old_secret_ends timestamptz,
            created_at      timestamptz NOT NULL DEFAULT now()
        )
    """)
    # One row per webhook and event. A claim pushes due_at into the future: if the sender dies, it comes due again.
    op.execute("""
        CREATE TABLE platform.webhook_delivery (
            id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            webhook_id uuid        NOT NULL REFERENCES platform.webhook ON DELETE CASCADE,
            event_id   uuid        NOT NULL,
            event_seq  bigint      NOT NULL,
            event_type text        NOT NULL,
            state      text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
            attempts   int         NOT NULL DEFAULT 0,
            due_at     timestamptz NOT NULL DEFAULT now(),
            status     int,
            error      text,
            created_at timestamptz NOT NULL DEFAULT now(),
            ended_at   timestamptz,
            UNIQUE (webhook_id, event_id)
        )
    """)
    op.execute("""
        CREATE INDEX webhook_delivery_due_idx ON platform.webhook_delivery (webhook_id, due_at, event_seq)
         WHERE state = 'waiting'
    """)
    op.execute("""
        CREATE INDEX webhook_delivery_dead_idx ON platform.webhook_delivery (webhook_id, id)
         WHERE state = 'dead'
    """)
    op.execute("""
        CREATE INDEX webhook_delivery_ended_idx ON platform.webhook_delivery (ended_at)
         WHERE ended_at IS NOT NULL
    """)
    # `answer` is encrypted: it may hold a secret that was shown once.
    op.execute("""
        CREATE TABLE platform.idempotency (
            actor         text        NOT NULL,
            key           text        NOT NULL,
            method        text        NOT NULL,
            path          text        NOT NULL,
            request       bytea       NOT NULL,
            claim         uuid        NOT NULL,
            claimed_until timestamptz NOT NULL,
            carried_out   timestamptz,
            answer        bytea,
            created_at    timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (actor, key, method, path)
        )
    """)
    op.execute("CREATE INDEX idempotency_age_idx ON platform.idempotency (created_at)")
