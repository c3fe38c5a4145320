"""Runs the ledger's migrations on the connection that the program hands over.

`openbell` migrates its embedded ledger itself, on the writer's own connection under the lock of
the file, so that no second process can be there. Offline SQL is printed by
`alembic upgrade head --sql`.
"""

from alembic import context

from app.ledger.tables import metadata


def run() -> None:
    """Migrate online if a connection was handed over, else print SQL."""
    connection = context.config.attributes.get("connection")
    if connection is None:
        context.configure(url="sqlite://", target_metadata=metadata, literal_binds=True)
    else:
        context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


run()
