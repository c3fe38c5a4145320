"""The days of the ledger: which stand, what is planned, and doing it by hand.

These commands open the ledger that the settings name. The gateway does the same by itself every
hour, so they are for whoever wants to look first, or cannot wait. The trap is a second writer in
an embedded file: while a gateway has it open these commands are refused, and say so.
"""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeVar

import typer

from app.cli.asking.command import DataDir, Form, JsonShort, chosen, examples_text, reported
from app.cli.asking.output import Ends, Failure, Output, Screen, print_out, say
from app.cli.asking.progress import working
from app.ledger.partitions.plan import USUAL, Policy

if TYPE_CHECKING:  # the help answers before any of these is imported
    from app.ledger.partitions.job import PartitionJob, Ran
    from app.ledger.partitions.plan import Catalog
    from app.postgres import PostgresDatabase
    from app.settings import Settings
    from app.sqlite import Database

app = typer.Typer(
    no_args_is_help=True, help="The days of the ledger: plan, make, archive and drop them."
)

T = TypeVar("T")
ArchiveDir = Annotated[
    Path | None, typer.Option(help="Where days that left are kept; archive in the data dir.")
]
Keep = Annotated[int, typer.Option(min=1, help="How many past trade dates stay in the ledger.")]
KEEP: Final = USUAL.keep_attached


class _Wish(NamedTuple):
    """What the options of a command say."""

    data_dir: Path
    archive_dir: Path | None
    keep: int


@app.command("plan", epilog=examples_text(("partitions plan", "partitions plan --keep 120 --json")))
def plan(
    *,
    archive_dir: ArchiveDir = None,
    keep: Keep = KEEP,
    data_dir: DataDir = Path("data"),
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """Say what would be done, in which order and why; change nothing."""
    from app.ledger.partitions.job import name_of

    with _job(_Wish(data_dir, archive_dir, keep)) as run:
        outlook = run(lambda job: job.outlook())
    rows = [
        {"step": name_of(action), "trade_date": str(action.trade_date), "reason": action.reason}
        for action in outlook.actions
    ]
    rows += [
        {"step": "stays", "trade_date": str(day), "reason": why}
        for day, why in sorted(outlook.stays.items())
    ]
    Screen(chosen(output, json=json)).show(rows)


@app.command(
    "apply",
    epilog=examples_text(
        ("partitions apply", "partitions apply --keep 120 --archive-dir /archive")
    ),
)
def apply(
    *,
    archive_dir: ArchiveDir = None,
    keep: Keep = KEEP,
    data_dir: DataDir = Path("data"),
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """Do what is planned; exit 1 if a step could not be done, 75 if another job is at work.

    With an account store in MongoDB, a day is dropped only if the store holds all of it.
    """
    from app.ledger.partitions.job import name_of

    async def work(job: "PartitionJob") -> "Ran":
        # What is planned now; whatever another process has done meanwhile only ends it sooner.
        planned = len((await job.outlook()).actions)
        with working("days of the ledger", planned) as advance:
            return await job.apply(on_step=lambda _: advance(1))

    with _job(_Wish(data_dir, archive_dir, keep)) as run:
        ran = run(work)
    rows = [
        {"step": name_of(action), "trade_date": str(action.trade_date), "result": result}
        for action, result in (*((done, "done") for done in ran.done), *ran.failed)
    ]
    Screen(chosen(output, json=json)).show(rows)
    if ran.untidy:
        say(ran.untidy)
    if ran.failed:
        raise typer.Exit(Ends.FAILED_CHECK)
    if ran.elsewhere:
        say("another job is at work on this ledger: what is left is its business")
        raise typer.Exit(Ends.TRY_AGAIN)


@app.command("status", epilog=examples_text(("partitions status", "partitions status --json")))
def status(
    *,
    archive_dir: ArchiveDir = None,
    keep: Keep = KEEP,
    data_dir: DataDir = Path("data"),
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """Show the days that stand; exit 1 if fewer than two are ready for sessions to come."""

    async def look(job: "PartitionJob") -> tuple[dict[str, Any], list[dict[str, Any]], bool]:
        catalog, _, stays = await job.outlook()
        facts = {"attached": job.attached, "days_ahead": job.days_ahead}
        facts["archived"] = len(catalog.archived)
        return facts, _rows(catalog, stays), job.is_short

    with _job(_Wish(data_dir, archive_dir, keep)) as run:
        facts, rows, is_short = run(look)
    screen = Screen(chosen(output, json=json))
    if screen.output is Output.JSON:
        screen.show(facts | {"days": rows})
    else:
        screen.show(facts)
        print_out("")
        screen.show(rows, ("trade_date", "state", "archived", "note"))
    if is_short:
        say("fewer than two days are ready for the sessions to come: openbell partitions apply")
        raise typer.Exit(Ends.FAILED_CHECK)


def _rows(catalog: "Catalog", stays: Any) -> list[dict[str, Any]]:
    from app.ledger.partitions.day_book import state_of

    return [
        {
            "trade_date": str(day),
            "state": state_of(catalog, day),
            "archived": day in catalog.archived,
            "note": stays.get(day),
        }
        for day in sorted(catalog.days)
    ]


Ask = Callable[[Callable[["PartitionJob"], Coroutine[Any, Any, T]]], T]


@contextmanager
def _job(wish: _Wish) -> Iterator[Ask[Any]]:
    """Lend a way to ask the job of the ledger that the settings name; tell what goes wrong."""
    import asyncio

    from app.ledger.partitions.plan import DefaultPartition
    from app.ports.away import StoreAway

    def run(work: Callable[["PartitionJob"], Coroutine[Any, Any, T]]) -> T:
        return asyncio.run(work(job))

    with reported():
        try:
            settings = _settings(wish)
            with closing(_opened(settings)) as database:
                job = _made(settings, database, wish)
                yield run
        except StoreAway as e:
            raise Failure(Ends.UNREACHABLE, "the ledger is away", why=str(e)) from e
        except DefaultPartition as e:
            raise Failure(Ends.FAILED_CHECK, "a DEFAULT partition stands", why=str(e)) from e


def _settings(wish: _Wish) -> "Settings":
    from app.settings import read_settings

    try:
        return read_settings(data_dir=wish.data_dir)
    except ValueError as e:
        raise Failure(Ends.USAGE, "the settings cannot be read", why=str(e)) from e


def _opened(settings: "Settings") -> "PostgresDatabase | Database":
    from app.ledger.schema import Behind, UnknownRevision, require
    from app.postgres import PostgresDatabase
    from app.sql import NotDurable
    from app.sqlite import Database, InUse

    path = settings.data_dir / "ledger.db"
    if settings.ledger_url is None and not path.exists():
        raise Failure(
            Ends.NOT_FOUND,
            f"no ledger at {path}",
            advice="name the gateway's --data-dir, or set OPENBELL_LEDGER_URL",
        )
    try:
        database: PostgresDatabase | Database = (
            PostgresDatabase(settings.ledger_url) if settings.ledger_url else Database(path)
        )
    except InUse as e:
        raise Failure(
            Ends.CONFLICT,
            str(e),
            why="a gateway is running on it, and keeps its days by itself",
            advice="stop it first, or look at its metrics",
        ) from e
    except NotDurable as e:
        raise Failure(Ends.FAILED_CHECK, "the ledger is not safe", why=str(e)) from e
    try:
        require(database)
    except (Behind, UnknownRevision) as e:
        database.close()
        raise Failure(Ends.FAILED_CHECK, "the ledger is of another version", why=str(e)) from e
    return database


def _made(
    settings: "Settings", database: "PostgresDatabase | Database", wish: _Wish
) -> "PartitionJob":
    from app.clock import SystemClock
    from app.ledger.operators import bells
    from app.ledger.partitions.job import PartitionJob
    from app.reference import BadReference, load_calendar
    from app.stores import drop_gate

    moved = database.write_now(bells.in_force)
    try:
        calendar = load_calendar(
            overrides={o.trading_session_id: (o.opens_at, o.closes_at) for o in moved}
        )
    except BadReference as e:
        raise Failure(Ends.FAILED_CHECK, "the calendar cannot be read", why=str(e)) from e
    return PartitionJob(
        database,
        lambda: calendar,
        SystemClock(),
        wish.archive_dir or settings.data_dir / "archive",
        policy=Policy(keep_attached=wish.keep),
        gate=drop_gate(settings.mongo),
    )
