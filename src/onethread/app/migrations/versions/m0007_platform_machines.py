"""What is known about stored files, and the job queue."""

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE platform.file (
            sha256     bytea       PRIMARY KEY CHECK (octet_length(sha256) = 32),
            size       bigint      NOT NULL CHECK (size >= 0),
            media_type text        NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now()
        )
    """)
    # The queue's own schema script names its things without a schema: it gets one to be alone in.
    op.execute("CREATE SCHEMA procrastinate")
    op.execute("SET LOCAL search_path = procrastinate")
    op.get_bind().exec_driver_sql(SchemaManager.get_schema(), execution_options={"no_parameters": True})
    op.execute("RESET search_path")
