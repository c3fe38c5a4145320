"""Whether this machine holds the highest rate of the last months, times two: the yearly report.

Orders come in an open loop, due at their time whether the gateway keeps up or not, into a gateway
that is started for it; then a book of ten such seconds leaves at a bell, with no limit of a broker
before it. Unlike a bench this is a verdict, and its exit code says so. The trap is a stress test
against what people trade on: there is no way to name a gateway here.
"""

from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

import typer

from app.cli.asking.command import reported
from app.cli.asking.output import Ends, Failure, say
from app.cli.bench import Directory, Report, workplace

BOOK_S: Final = 10
BOOK_MIN: Final = 100


class Wanted(NamedTuple):
    """What has to be held."""

    rate: float
    seconds: float
    connections: int
    p99_ms: float
    bell: bool


class Found(NamedTuple):
    """What was seen of it."""

    statuses: dict[str, int]
    p99_ms: float
    answered: float | None  # a second, at the bell; None: no bell was wanted


def stress(  # noqa: PLR0913 - the options of a command
    *,
    peak: Annotated[
        float, typer.Option(min=1, help="Most orders in one second of the last six months.")
    ],
    factor: Annotated[float, typer.Option(min=1, help="So many times that.")] = 2.0,
    seconds: Annotated[float, typer.Option(min=0.2, max=3_600, help="For how long.")] = 60.0,
    connections: Annotated[int, typer.Option(min=1, help="Connections that post.")] = 64,
    p99_ms: Annotated[
        float, typer.Option(min=1, help="99 of 100 are answered within this, from when due.")
    ] = 1_000.0,
    bell: Annotated[
        bool, typer.Option(help="Let ten such seconds leave at a bell as well; on SQLite always.")
    ] = True,
    directory: Directory = None,
    report: Report = None,
) -> None:
    """Say whether this machine holds your highest second, times a factor.

    Exit 1 if it does not. It starts a gateway of its own, on the PostgreSQL that
    OPENBELL_LEDGER_URL names, in a database of its own; without it, on SQLite.

    \b
    Examples:
      openbell stress --peak 400 --report stress-2026.json
      openbell stress --peak 400 --factor 3 --seconds 300
    """  # noqa: D301 - the mark must be the character, it keeps the lines below as they are
    from app.cli.bench.machine import machine
    from app.cli.bench.report import told
    from app.cli.bench.servers import named, postgres_version

    wanted = Wanted(peak * factor, seconds, connections, p99_ms, bell)
    with reported():
        url = named().ledger_url
        ledger = "SQLite" if url is None else postgres_version(url)
        with workplace(directory) as here:
            facts = machine(here)
            figures, missed = measured(here, wanted, url)
        verdict = f"not held: {'; '.join(missed)}" if missed else "held"
        conditions = {"peak": peak, "factor": factor, "seconds": seconds, "ledger": ledger}
        told("stress", facts, {**conditions, "verdict": verdict}, figures, report)
        if missed:
            raise Failure(
                Ends.FAILED_CHECK,
                f"{wanted.rate:g} orders a second are not held",
                why="; ".join(missed),
                advice="openbell bench intake and bench dispatch say where this machine ends",
            )


def measured(here: Path, wanted: Wanted, ledger_url: str | None) -> tuple[list[Any], list[str]]:
    """Return the figures, and in words which of them miss what was wanted."""
    from app.cli.bench.intake import opened, places
    from app.cli.bench.report import figure

    orders = max(1, round(wanted.rate * wanted.seconds))
    say(f"{orders:,} orders come, {wanted.rate:g} a second")
    with (
        places(here, ledger_url) as where,
        opened(here, where.settings, view=True) as bench,
    ):
        bench.press(wanted.connections, wanted.rate, wanted.connections)  # the day's tables
        told = bench.press(orders, wanted.rate, wanted.connections)
    answered = _at_a_bell(here, max(BOOK_MIN, round(wanted.rate * BOOK_S))) if wanted.bell else None
    target = f">= {wanted.rate:g}"
    figures = [
        *figure("orders taken", "of all", [told["statuses"].get("201", 0) / orders], "1"),
        *figure("intake: rate", "a second", [orders / told["wall_s"]]),
        *figure("intake: p50 from when due", "ms", [told["p50_ms"]]),
        *figure("intake: p99 from when due", "ms", [told["p99_ms"]], f"<= {wanted.p99_ms:g}"),
        *figure("bell, on SQLite: answered", "a second", [answered], target),
        *figure("load process: share of a core", "share", [told["load_busy"]], "< 0.9"),
    ]
    found = Found(told["statuses"], told["p99_ms"], answered)
    return figures, missed(wanted, found, orders)


def _at_a_bell(here: Path, orders: int) -> float:
    """Return how many a second of a full book are answered, with no limit before them."""
    from app.cli.bench.dispatch import Full, one
    from app.cli.bench.store import fill

    say(f"{orders:,} orders leave at a bell")
    full = here / "full"
    full.mkdir(parents=True)
    sessions, _ = fill(full, orders)
    return one(here / "run", Full(full, sessions, orders), view=True).bell.answered


def missed(wanted: Wanted, found: Found, orders: int) -> list[str]:
    """Return in words what was not held.

    Whoever falls behind answers later and later, counted from when each order was due.
    """
    answered = found.answered
    said = (
        (found.statuses == {"201": orders}, f"{orders} came, and were answered {found.statuses}"),
        (found.p99_ms <= wanted.p99_ms, f"the p99 was {found.p99_ms:.0f} ms"),
        (
            answered is None or answered >= wanted.rate,
            f"{answered or 0:.0f} a second were answered at the bell",
        ),
    )
    return [words for held, words in said if not held]
