"""`openbell outbox`: what waits for the bus, and publishing what the ledger knows once more.

`status` asks a running gateway. `replay` writes to the outbox of the ledger that the settings name;
the relay carries it from there. On an embedded ledger it works only while no gateway runs, because
the file has one owner.
"""

from contextlib import closing
from datetime import datetime
from pathlib import Path
from time import sleep
from typing import Annotated, Any, Final

import typer

from app.cli.asking.command import Call, DataDir, examples_text, verb
from app.cli.asking.output import Ends, Failure, say
from app.cli.asking.progress import working

app = typer.Typer(
    no_args_is_help=True,
    help="The outbox: what waits for the bus; publish what the ledger knows once more.",
)

# An event waits for the next turn of the relay, some milliseconds; for a minute, nobody carries it.
OLD_S_MAX: Final = 60.0
Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="Of this trade date.")]
Account = Annotated[str | None, typer.Option(help="Only of this account.", show_default=False)]
Rate = Annotated[int, typer.Option(min=1, help="Events a second.")]
# Beside a full night, a replay must not be what the relay is busy with.
RATE: Final = 5_000


@verb(
    app,
    "status",
    role="operator",
    examples=("outbox status", "outbox status --context prod --json"),
)
def status(call: Call) -> None:
    """Show how many events wait, and for how long; exit 1 if nobody carries them."""
    found = call.get("/admin/v1/outbox")
    call.show(found)
    if found["parked"] is None:
        raise Failure(
            Ends.FAILED_CHECK,
            "the bus does not answer the gateway",
            why="what is to be published waits in the outbox; none is lost",
            advice="look at Kafka; the relay goes on by itself",
        )
    oldest_s = found["oldest_age_s"]
    if oldest_s is not None and oldest_s > OLD_S_MAX:
        raise Failure(
            Ends.FAILED_CHECK,
            f"the oldest event has waited for {oldest_s:.0f} s",
            why="no relay carries it",
            advice="is one running? openbell serve --role relay, and its log",
        )


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
    from app.ledger.outbox.replay import AT_ONCE
    from app.ledger.outbox.replay import replay as replayed

    database = ledger_of(data_dir)
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


def ledger_of(data_dir: Path) -> Any:
    """Open the ledger that the settings name, or say in words why not."""
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
            file = settings.data_dir / "ledger.db"
            if not file.exists():
                raise Failure(Ends.NOT_FOUND, f"there is no ledger in {settings.data_dir}")
            database = Database(file)
        require(database)
    except ValueError as e:
        raise Failure(Ends.USAGE, f"settings: {e}") from e
    except refusals() as e:
        raise Failure(Ends.FAILED_CHECK, str(e)) from e
    return database
