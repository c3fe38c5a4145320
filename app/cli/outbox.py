"""`openbell outbox`: publish what the ledger knows once more.

It writes to the outbox of the ledger that the settings name; the relay carries it from there. On
an embedded ledger it works only while no gateway runs, because the file has one owner.
"""

from contextlib import closing
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import Annotated, Any, Final

import typer

from app.cli.command import DataDir, examples_text
from app.cli.output import Ends, Failure, say
from app.cli.progress import working

app = typer.Typer(no_args_is_help=True, help="The outbox: publish what the ledger knows once more.")

Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Of this trade date.")]
Account = Annotated[str | None, typer.Option(help="Only of this account.", show_default=False)]
Rate = Annotated[int, typer.Option(min=1, help="Events a second.")]
# Beside a full night, a replay must not be what the relay is busy with.
RATE: Final = 5_000


@app.command(
    "replay",
    epilog=examples_text(
        (
            "outbox replay --trade-date 2026-11-23",
            "outbox replay --trade-date 2026-11-23 --account A-17 --rate 500",
        )
    ),
)
def replay(
    *,
    trade_date: Day,
    account: Account = None,
    rate: Rate = RATE,
    data_dir: DataDir = Path("data"),
) -> None:
    """Publish each order of a trade date as it stands, under its event's own id."""
    from app.ledger.replay import AT_ONCE
    from app.ledger.replay import replay as replayed

    database = _ledger(data_dir)
    day, after, total = trade_date.date(), 0, 0
    with closing(database), working("orders") as advance:
        while True:
            found = database.write_now(lambda c, at=after: replayed(c, day, account, at))
            count, reached = found
            if reached is None:
                break
            total, after = total + count, reached
            advance(count)
            if count == AT_ONCE:
                sleep(count / rate)
    say(f"{total:,} orders of {day} wait in the outbox")


def _ledger(data_dir: Path) -> Any:
    from app.cli.serve import refusals
    from app.ledger.schema import require
    from app.postgres import PostgresDatabase
    from app.settings import read_settings
    from app.sqlite import Database

    try:
        settings = read_settings(data_dir=data_dir)
        if settings.ledger_url is not None:
            database: Any = PostgresDatabase(settings.ledger_url)
        else:
            database = Database(settings.data_dir / "ledger.db")
        require(database)
    except ValueError as e:
        raise Failure(Ends.USAGE, f"settings: {e}") from e
    except refusals() as e:
        raise Failure(Ends.FAILED_CHECK, str(e)) from e
    return database
