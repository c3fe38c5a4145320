"""Runs the ledger's migrations on the connection that the program hands over.

An embedded ledger is migrated at the start, on the writer's own connection under the lock of the
file; a PostgreSQL ledger by `openbell migrate`. Parents, indexes and queues are owned here; the
partitions of a day come and go with the calendar and are none of Alembic's business.
"""

from alembic import context

from app.ledger.schema import migrating


def run() -> None:
    """Migrate on the connection that was handed over."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, **migrating(connection))
    with context.begin_transaction():
        context.run_migrations()


run()
