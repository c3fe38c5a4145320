"""Builds and checks the file of trading sessions, and says when the next bell rings.

`exchange_calendars` knows the holidays, but it brings pandas and two seconds of import, so
only `build` and `verify` load it, on a developer's machine or in CI; the gateway reads the
small file that they leave. The trap is a holiday proclaimed late (an election in Korea, a
day of mourning in the US): no package knows it, so an operator's override must say it.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from app.cli.asking.command import Form, JsonShort, chosen
from app.cli.asking.output import Output, Screen
from app.clock import SystemClock
from app.domain.session import Hours, TradingSession
from app.domain.values import DAY_MS, EPOCH, rfc3339
from app.reference import MINUTE_MS, BadReference, load_calendar, read_hours

app = typer.Typer(no_args_is_help=True, help="Trading sessions: build the file, check it, ask it.")

MARKETS: Final = ("XNYS", "XNAS", "XKRX")
SHIPPED: Final = Path(__file__).parent.parent / "data" / "sessions.json"
# Three calendar years: at least two ahead of us at any time if somebody builds once a year.
FIRST: Final = "2026-01-01"
LAST: Final = "2028-12-31"
CAUTION: Final = (
    "Days set by decree (elections, mourning, Korea's CSAT day that opens at 10:00) are often"
    " missing: lay an operator's override over them."
)
# Forty lines tell whether a rule changed or a year is missing; more would hide it.
DIFFERENCES_SHOWN_MAX: Final = 40


@app.command()
def build(
    first: Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD")] = FIRST,
    last: Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD")] = LAST,
    out: Annotated[Path, typer.Option(help="Where to write; the shipped file.")] = SHIPPED,
) -> None:
    """Write the sessions that exchange_calendars knows."""
    package = _package()
    hours = {market: _known(package, market, first, last) for market in MARKETS}
    text = render(hours, package=package.__version__, first=first, last=last)
    out.write_text(text, "utf-8")
    for market, days in hours.items():
        typer.echo(f"{market}  {len(days)} sessions, the last on {days[-1][0]}")
    typer.echo(CAUTION)


@app.command()
def verify(
    path: Annotated[Path, typer.Option("--file", help="The file to check.")] = SHIPPED,
) -> None:
    """Compare the file with exchange_calendars; exit 1 with what differs."""
    package = _package()
    try:
        load_calendar(path)
    except BadReference as e:
        typer.echo(str(e), err=True)
        raise typer.Exit(1) from e
    document = json.loads(path.read_text("utf-8"))
    theirs = {
        market: _known(package, market, document["from"], document["to"])
        for market in document["markets"]
    }
    found = differences(read_hours(document), theirs)
    for line in found[:DIFFERENCES_SHOWN_MAX]:
        typer.echo(line)
    if len(found) > DIFFERENCES_SHOWN_MAX:
        typer.echo(f"and {len(found) - DIFFERENCES_SHOWN_MAX} more")
    if found:
        raise typer.Exit(1)
    typer.echo(f"same as exchange_calendars {package.__version__}")


@app.command(name="next")
def next_(
    zone: Annotated[str, typer.Option(help="Also show times of this zone.")] = "Asia/Seoul",
    *,
    output: Form = Output.TABLE,
    as_json: JsonShort = False,
) -> None:
    """Say what is open now and when each market's next bell rings."""
    now = SystemClock().now()
    calendar = load_calendar()
    if chosen(output, json=as_json) is Output.JSON:
        coming = [calendar.next(market, now) for market in calendar.markets]
        known = (*calendar.open_now(now), *(one for one in coming if one is not None))
        Screen(Output.JSON).show([_told(session) for session in known])
        return
    there = ZoneInfo(zone)
    for session in calendar.open_now(now):
        until = datetime.fromtimestamp(session.closes_at / 1000, there)
        typer.echo(f"{session.trading_session_id}  open until {until:%Y-%m-%d %H:%M} {zone}")
    for market in calendar.markets:
        following = calendar.next(market, now)
        if following is None:
            typer.echo(f"{market}  no session after {calendar.last_date(market)}: build the file")
            continue
        at = datetime.fromtimestamp(following.opens_at / 1000, there)
        typer.echo(
            f"{following.trading_session_id}  opens {rfc3339(following.opens_at)}"
            f" = {at:%Y-%m-%d %H:%M} {zone}, in {_wait(following.opens_at - now)}"
        )


def _told(session: TradingSession) -> dict[str, Any]:
    bells = {"opens_at": rfc3339(session.opens_at), "closes_at": rfc3339(session.closes_at)}
    return session._asdict() | {"trade_date": str(session.trade_date)} | bells


def render(hours: Hours, *, package: str, first: str, last: str) -> str:
    """Return the file: for each market the distinct hours, and the days that have them.

    Half days and clock changes stand out as short lists that a person can check by eye.
    """
    document = {
        "generated_by": "openbell calendar build",
        "package": f"exchange_calendars {package}",
        "from": first,
        "to": last,
        "caution": CAUTION,
        "markets": {market: _grouped(days) for market, days in hours.items()},
    }
    return json.dumps(document, indent=1) + "\n"


def differences(ours: Hours, theirs: Hours) -> list[str]:
    """Return one line for each session that the two do not have alike, by market and date."""
    found = []
    for market in sorted({*ours, *theirs}):
        mine = {day: bells for day, *bells in ours.get(market, ())}
        other = {day: bells for day, *bells in theirs.get(market, ())}
        found += [
            f"{market} {day}: file {_bells(mine.get(day))}, package {_bells(other.get(day))}"
            for day in sorted({*mine, *other})
            if mine.get(day) != other.get(day)
        ]
    return found


def _package() -> Any:  # an optional package without types
    if find_spec("exchange_calendars") is None:
        typer.echo(
            "This command needs exchange_calendars. Install the extra that brings it:\n"
            "  pip install 'openbell[calendars]'",
            err=True,
        )
        raise typer.Exit(1)
    return import_module("exchange_calendars")


def _known(package: Any, market: str, first: str, last: str) -> list[tuple[date, int, int]]:
    schedule = package.get_calendar(market, start=first, end=last).schedule
    return [
        (day.date(), _milliseconds(opens), _milliseconds(closes))
        for day, opens, closes in zip(
            schedule.index, schedule["open"], schedule["close"], strict=True
        )
    ]


def _milliseconds(stamp: datetime) -> int:
    return int(stamp.timestamp()) * 1000


def _grouped(days: Sequence[tuple[date, int, int]]) -> list[dict[str, object]]:
    groups: dict[tuple[str, str], dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for day, opens_at, closes_at in days:
        hours = (_time_of(day, opens_at), _time_of(day, closes_at))
        groups[hours][f"{day:%Y-%m}"].append(f"{day:%d}")
    return [
        {
            "opens": opens,
            "closes": closes,
            "days": {month: " ".join(numbers) for month, numbers in months.items()},
        }
        for (opens, closes), months in groups.items()
    ]


def _time_of(day: date, instant: int) -> str:
    minutes, rest = divmod(instant - (day - EPOCH).days * DAY_MS, MINUTE_MS)
    if rest:
        raise ValueError(f"{day}: expected a bell at a full minute, was {rfc3339(instant)}")
    hour, minute = divmod(minutes, 60)
    return f"{hour:02d}:{minute:02d}"


def _bells(bells: list[int] | None) -> str:
    return "closed" if bells is None else " to ".join(rfc3339(bell) for bell in bells)


def _wait(milliseconds: int) -> str:
    hours, minutes = divmod(milliseconds // MINUTE_MS, 60)
    return f"{hours} h {minutes:02d} min"
