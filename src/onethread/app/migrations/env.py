"""Alembic's door: runs the versions on the connection that `migrate.py` hands over."""

from alembic import context

context.configure(
    connection=context.config.attributes["connection"],
    transaction_per_migration=True,
    version_table="migration",
    version_table_schema="public",
)
with context.begin_transaction():
    context.run_migrations()
