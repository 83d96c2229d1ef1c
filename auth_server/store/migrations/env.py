"""Alembic's entry: runs the migrations of one history on the connection that `schema.upgrade` hands over."""

from alembic import context

history = context.config.attributes["history"]
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=history.metadata,
    version_table=history.version_table,
    transactional_ddl=False,  # the caller's transaction holds everything
    compare_type=True,
)
context.run_migrations()
