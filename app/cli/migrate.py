"""`openbell migrate`: bring every store to what this program needs, once, before its parts start.

Safe to run again and beside a running gateway of the same version: what stands is left alone.
"""

import typer


def migrate() -> None:
    r"""Bring the stores that the settings name to what this program needs.

    The ledger's schema, the topics and their configuration, the account collection with its
    indexes (and its shards, on a cluster). An embedded gateway does this by itself.

    \b
    Examples:
      openbell migrate
      OPENBELL_LEDGER_URL=postgresql://... openbell migrate

    """
    import asyncio

    from app.cli.asking.progress import working
    from app.cli.serve import refusals
    from app.clock import SystemClock
    from app.ledger.schema import HEAD
    from app.settings import read_settings
    from app.stores import migrate as migrate_stores

    try:
        settings = read_settings()
    except ValueError as e:
        typer.echo(f"settings: {e}", err=True)
        raise typer.Exit(2) from None
    try:
        with working("every store is made ready"):
            asyncio.run(migrate_stores(settings, SystemClock()))
    except refusals() as e:
        typer.echo(str(e), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"every store is ready; the ledger is at revision {HEAD}")
