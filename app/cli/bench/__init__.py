"""`openbell bench`: what this machine makes of the gateway, as ratios within one run.

Two figures of two days say nothing about the code between them; two halves of one round, on one
disk and in one minute, do. So each verb measures the gateway and what it is compared with in
turn, and prints the machine and the target beside every figure. A figure is no verdict: the
exit code is 0 whatever it is.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Annotated, Any, Final

import typer

from app.cli.asking.command import examples_text, reported

app = typer.Typer(
    no_args_is_help=True, help="Measure the gateway as ratios of what this machine can do."
)

SIZES: Final = (10_000, 100_000)
FULL: Final = 1_000_000

Report = Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as JSON, too.")]
Directory = Annotated[
    Path | None, typer.Option("--dir", help="Work on the disk of this directory; it is left empty.")
]
Events = Annotated[
    list[int] | None,
    typer.Option(min=100, help="How many wait; repeatable.  [default: 10000, 100000]"),
]
Rounds = Annotated[int, typer.Option(min=1, help="How often each half is measured.")]


@app.command(epilog=examples_text(("bench intake", "bench intake --rounds 9 --report intake.json")))
def intake(  # noqa: PLR0913 - the options of a command
    *,
    rounds: Rounds = 5,
    orders: Annotated[int, typer.Option(min=1, help="Single orders of a round.")] = 4_000,
    batches: Annotated[int, typer.Option(min=1, help="Batches of 1,000 of a round.")] = 8,
    connections: Annotated[int, typer.Option(min=1, help="Connections that post singles.")] = 64,
    view: Annotated[bool, typer.Option(help="Run the account view beside it.")] = True,
    directory: Directory = None,
    report: Report = None,
) -> None:
    """Accept orders durably, beside a handler that does nothing and the store alone.

    In databases of its own on the PostgreSQL that OPENBELL_LEDGER_URL names; without it, on SQLite.
    """
    from app.cli.bench.intake import Sizes, measure
    from app.cli.bench.servers import named, postgres_version

    sizes = Sizes(rounds, max(orders, connections), batches, connections, view)
    with reported():
        url = named().ledger_url
        ledger = "SQLite" if url is None else postgres_version(url)
    conditions = {
        "ledger": ledger,
        "orders_a_round": sizes.singles,
        "batches_a_round": batches,
        "connections": connections,
        "account_view": view,
    }
    with reported():
        _run("intake", lambda here: measure(here, sizes, url), conditions, directory, report)


@app.command(
    epilog=examples_text(("bench dispatch", "bench dispatch --orders 50000 --report out.json"))
)
def dispatch(
    *,
    orders: Annotated[
        list[int] | None,
        typer.Option(min=100, help="Size of the book; repeatable.  [default: 10000, 100000]"),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="And a book of a million.")] = False,
    rounds: Rounds = 5,
    directory: Directory = None,
    report: Report = None,
) -> None:
    """Send a full book without a limit: orders a second, and what waiting costs in memory.

    The rounds are of the smallest book; larger ones are sent once with the view and once without.
    """
    from app.cli.bench.dispatch import measure

    sizes = sorted({*(orders or SIZES), *([FULL] if full else [])})
    conditions = {"sizes": sizes, "rounds_of_the_smallest": rounds, "limit": "none"}
    _run("dispatch", lambda here: measure(here, sizes, rounds), conditions, directory, report)


@app.command(epilog=examples_text(("bench console", "bench console --consoles 50 --rounds 3")))
def console(
    *,
    orders: Annotated[int, typer.Option(min=100, help="Size of the book.")] = 30_000,
    consoles: Annotated[int, typer.Option(min=1, help="How many look.")] = 20,
    rounds: Rounds = 5,
    directory: Directory = None,
    report: Report = None,
) -> None:
    """Send a full book while nobody looks at the console, and while many do."""
    from app.cli.bench.console import measure

    conditions = {"orders": orders, "consoles": consoles, "limit": "none", "account_view": False}
    _run(
        "console",
        lambda here: measure(here, orders, consoles, rounds),
        conditions,
        directory,
        report,
    )


@app.command(epilog=examples_text(("bench pacing", "bench pacing --tps 200 --seconds 30")))
def pacing(
    *,
    tps: Annotated[int, typer.Option(min=10, help="The operator's number, N.")] = 1_000,
    seconds: Annotated[float, typer.Option(min=0.5, help="For how long.")] = 10.0,
    directory: Directory = None,
    report: Report = None,
) -> None:
    """Send at N a second to a broker that enforces N, and count at its socket."""
    from app.cli.bench.pacing import measure

    conditions = {"orders_per_second": tps, "seconds": seconds}
    _run("pacing", lambda here: measure(here, tps, seconds), conditions, directory, report)


@app.command(epilog=examples_text(("bench relay", "bench relay --events 50000 --report out.json")))
def relay(
    *,
    events: Events = None,
    rounds: Rounds = 3,
    directory: Directory = None,
    report: Report = None,
) -> None:
    """Carry events from PostgreSQL to Kafka, beside what their own clients do alone.

    It works in a database and in topics of its own, on the servers that the settings name.
    """
    from app.cli.bench.servers import named, postgres_version
    from app.cli.bench.streams import measure_relay

    sizes = sorted({*(events or SIZES)})
    with reported():
        settings = named("ledger_url", "kafka")
        conditions = {"sizes": sizes, "ledger": postgres_version(settings.ledger_url or "")}
        measure = partial(measure_relay, settings, sizes, rounds)
        _run("relay", lambda _: measure(), conditions, directory, report)


@app.command(epilog=examples_text(("bench projector", "bench projector --events 50000 --rounds 1")))
def projector(
    *,
    events: Events = None,
    rounds: Rounds = 3,
    directory: Directory = None,
    report: Report = None,
) -> None:
    """Carry events from Kafka into MongoDB, beside what its own client does alone.

    It works in topics and in a database of its own, on the servers that the settings name.
    """
    from app.cli.bench.raw import mongo_version
    from app.cli.bench.servers import named
    from app.cli.bench.streams import measure_projector

    sizes = sorted({*(events or SIZES)})
    with reported():
        settings = named("kafka", "mongo")
        assert settings.mongo is not None
        conditions = {"sizes": sizes, "account_store": mongo_version(settings.mongo.url)}
        measure = partial(measure_projector, settings, sizes, rounds)
        _run("projector", lambda _: measure(), conditions, directory, report)


@app.command(
    epilog=examples_text(
        (
            "bench fix --acceptor 127.0.0.1:9878 --sender CLIENT1 --target BROKER",
            "python -m tests.servers.fix_bench  # in the sources: with QuickFIX on both sides",
        )
    )
)
def fix(  # noqa: PLR0913 - the options of a command
    *,
    acceptor: Annotated[str, typer.Option(metavar="HOST:PORT", help="A FIX 4.4 acceptor.")],
    sender: Annotated[str, typer.Option(help="Who we are to it (49).")],
    target: Annotated[str, typer.Option(help="Who it is (56).")],
    beside: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COMMAND",
            help="Another engine's client, also several: gets ORDERS, WINDOW and a DIRECTORY,"
            ' prints {"name": ..., "seconds": ..., "processor_seconds": ...}.',
        ),
    ] = None,
    orders: Annotated[int, typer.Option(min=10, help="Round trips of a round.")] = 20_000,
    window: Annotated[int, typer.Option(min=1, help="Orders on the wire at once.")] = 200,
    rounds: Rounds = 3,
    directory: Directory = None,
    report: Report = None,
) -> None:
    """Round trips over a FIX session with durable numbers, beside another engine's own loop.

    The acceptor takes as many orders as it is sent, and begins new numbers at each logon (141=Y):
    never point it at a broker.
    """
    from app.cli.bench.fix import Load, Peer, measure

    commands = beside or ()
    peer, load = Peer(acceptor, sender, target, commands), Load(rounds, orders, window)
    conditions = {
        "acceptor": acceptor,
        "beside": "; ".join(commands) or "nothing",
        "orders_a_round": orders,
        "on_the_wire_at_once": window,
    }
    with reported():
        _run("fix", lambda here: measure(here, peer, load), conditions, directory, report)


def _run(
    bench: str,
    measure: Callable[[Path], Any],
    conditions: Mapping[str, Any],
    directory: Path | None,
    report: Path | None,
) -> None:
    from app.cli.bench.machine import machine
    from app.cli.bench.report import told

    with workplace(directory) as here:
        facts = machine(here)
        figures = measure(here)
    told(bench, facts, conditions, figures, report)


@contextmanager
def workplace(directory: Path | None) -> Iterator[Path]:
    """Lend a directory on the disk that is measured, and leave nothing of it."""
    from app.cli.bench.machine import work_directory

    here = work_directory(directory)
    try:
        yield here
    finally:
        rmtree(here, ignore_errors=True)
