"""The inbox without a status is a range of its own index as well."""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("""
        CREATE INDEX inbox_row_latest_idx
            ON conversations.inbox_row (last_message_at DESC, conversation_id DESC)
    """)
