"""Who may open a file: who brought it, and who may read a message or a draft that names it."""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE platform.upload (
            sha256      bytea       NOT NULL REFERENCES platform.file (sha256) ON DELETE CASCADE,
            actor_id    uuid        NOT NULL,
            uploaded_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (sha256, actor_id)
        )
    """)
    # Few messages carry files: those without cost this index nothing.
    op.execute("""
        CREATE INDEX message_media_idx ON conversations.message USING gin ((content -> 'media') jsonb_path_ops)
         WHERE content ? 'media'
    """)
    op.execute("""
        CREATE INDEX draft_media_idx ON conversations.draft USING gin ((content -> 'media') jsonb_path_ops)
         WHERE content ? 'media'
    """)
