"""Plays the conformance cases on one broker of the settings, whoever wrote its adapter.

Without `--live` nothing is placed: only cases run whose bytes our own line keeps from the broker.
With it, orders carry the terms that were given here, and whatever was placed is canceled at the
end; what may still stand is named, and fails the check.
"""

from dataclasses import dataclass, replace
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from app.cli.asking.command import Form, JsonShort, chosen
from app.cli.asking.output import Ends, Failure, Output, Screen, print_out, say, table, tell

_SHAPES: Final = {"pass": "●", "fail": "■", "not applicable": "·", "not judged": "○"}


def check_broker(  # noqa: PLR0913 - the command's own options
    name: Annotated[str, typer.Argument(help="A broker of OPENBELL_BROKERS.")],
    *,
    live: Annotated[
        bool, typer.Option("--live", help="Place orders; each is canceled at the end.")
    ] = False,
    money: Annotated[
        bool, typer.Option("--money", help="With --live: let one market order trade.")
    ] = False,
    term: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Of the orders and the run; README lists them."),
    ] = None,
    only: Annotated[list[str] | None, typer.Option(help="Play this case only: B-101.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write the report as JSON to this file too.")
    ] = None,
    output: Form = Output.TABLE,
    json: JsonShort = False,
) -> None:
    """Check an adapter against the laws of a broker.

    Exit 1 if a case failed, or an order may still stand at the broker. --live wants the terms
    account_id, symbol, quantity and limit_price.

    \b
    Examples:
      openbell check-broker acme
      openbell check-broker acme --only B-101 --report acme.json
    """  # noqa: D301 - the mark must be the character, it keeps the lines below as they are
    found = _played(name, _Wanted(term or [], only or [], live=live, money=money))
    if report is not None:
        report.write_text(dumps(found, indent=2) + "\n")
    if chosen(output, json=json) is Output.JSON:
        Screen(Output.JSON).show(found)
    else:
        _print(found)
    if not found["passed"]:
        raise typer.Exit(Ends.FAILED_CHECK)


@dataclass(frozen=True, slots=True)
class _Wanted:
    terms: list[str]
    only: list[str]
    live: bool
    money: bool


def _played(name: str, wanted: _Wanted) -> dict[str, Any]:
    from app.brokers.conformance.catalogue import CASES
    from app.brokers.conformance.run import play
    from app.brokers.conformance.terms import Unplayable, subject_of, terms_of
    from app.brokers.conformance.verdict import NotJudged
    from app.brokers.registry import BadAdapter, UnknownAdapter
    from app.cli.check_broker.ledger import CheckLedger
    from app.clock import SystemClock

    cases = [one for one in CASES if not wanted.only or one.case_id in wanted.only]
    try:
        if not cases:
            raise Unplayable(f"no case {wanted.only[0]}; there are {CASES[0][0]} to {CASES[-1][0]}")
        terms, file = terms_of(wanted.terms, live=wanted.live, money=wanted.money)
        subject, clock = subject_of(name), SystemClock()
        with CheckLedger(clock, file) as ledger:
            return play(subject, replace(terms, hold=ledger.hold), clock, cases).shown()
    except (Unplayable, UnknownAdapter, BadAdapter, NotJudged) as e:
        tell(Failure(Ends.USAGE, str(e), advice="openbell check-broker --help"))
        raise typer.Exit(Ends.USAGE) from e


def _print(found: dict[str, Any]) -> None:
    rows = [{"": _SHAPES[one["verdict"]], **one, "detail": _words(one)} for one in found["cases"]]
    print_out("\n".join(table(rows, ("", "id", "verdict", "title", "detail"))))
    counts = found["counts"]
    say(
        f"{counts['pass']} passed, {counts['fail']} failed,"
        f" {counts['not applicable']} not applicable, {counts['not judged']} not judged"
    )
    left = found["left_at_the_broker"]
    say(f"{found['orders_placed']} orders placed, {len(left)} of them may still stand there")
    for key in left:
        say(f"cancel it by hand: {key}")


def _words(one: dict[str, Any]) -> str:
    if one["verdict"] != "fail":
        return str(one["detail"])
    return f"expected: {one['expected']}; seen: {one['detail']}"
