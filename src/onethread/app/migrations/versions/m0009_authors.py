"""Messages, drafts and reactions say who wrote them; each account's due deliveries are found by themselves."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    # Most messages are a customer's: only ours are rewritten.
    op.execute("""
        ALTER TABLE conversations.message
          ADD COLUMN author_kind text NOT NULL DEFAULT 'customer'
                     CHECK (author_kind IN ('customer', 'agent', 'key', 'bot', 'system'))
    """)
    op.execute("""
        UPDATE conversations.message
           SET author_kind = CASE WHEN author_id IS NULL THEN 'system'
                                  WHEN EXISTS (SELECT FROM access.api_key WHERE id = author_id) THEN 'key'
                                  ELSE 'agent' END
         WHERE direction <> 'in'
    """)
    op.execute("""
        ALTER TABLE conversations.draft
          ADD COLUMN author_kind text NOT NULL DEFAULT 'agent'
                     CHECK (author_kind IN ('customer', 'agent', 'key', 'bot', 'system'))
    """)
    op.execute("UPDATE conversations.draft SET author_kind = 'key' WHERE author_id IS NULL")
    op.execute("""
        ALTER TABLE conversations.reaction
          DROP CONSTRAINT reaction_by_kind_check,
          ADD CONSTRAINT reaction_by_kind_check
              CHECK (by_kind IN ('customer', 'agent', 'key', 'bot', 'system'))
    """)
    op.execute("""
        UPDATE conversations.reaction SET by_kind = 'key'
         WHERE by_kind = 'agent' AND EXISTS (SELECT FROM access.api_key WHERE id = by_id)
    """)
    # Each account is asked for as many as it can take now, however long the queue of another is.
    op.execute("""
        CREATE INDEX delivery_account_due_idx ON conversations.delivery (account_id, due_at)
         WHERE status = 'queued'
    """)
