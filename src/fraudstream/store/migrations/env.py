"""What Alembic runs around the steps: they are taken on the connection that `store/migrate.py` hands over."""

from alembic import context

from fraudstream.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
