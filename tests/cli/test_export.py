"""An export is the whole of what was asked for, or it is not there."""

import csv
import json
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from app.cli.asking.walk import last_where
from app.domain.records import Actor, Change
from tests.builders import a_report
from tests.cli.conftest import Terminal
from tests.cli.gateway import problem
from tests.cli.served import served
from tests.web.house import a_gateway, an_order, at, put_in_doubt, run

DAY = "2026-03-02"
WORDS = ("--account", "A-1", "--from", DAY)
FORMULA = '=HYPERLINK("http://x.example")'


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"order_id": f"O-{number}", "status": "filled", "quantity": "-1.5", "text": None} | more


def page(request: web.Request, *pages: list[dict[str, Any]]) -> web.Response:
    """Answer with the page that the cursor names: its number."""
    number = int(request.query.get("cursor", 0))
    more = number + 1 < len(pages)
    told = {
        "data": pages[number],
        "has_more": more,
        "next_cursor": str(number + 1) if more else None,
    }
    return web.json_response(told)


def test_a_house_exports_what_it_has(terminal: Terminal, tmp_path: Path) -> None:
    gateway = a_gateway(tmp_path / "house")
    header = gateway.key()
    for name, account in (("c-1", "A-1"), ("c-2", "A-1"), ("c-3", "A-2")):
        body = an_order(client_order_id=name, account_id=account, text=FORMULA)
        assert gateway.client.post("/v1/orders", json=body, headers=header).status_code == 201
    attempt = run(put_in_doubt(gateway.ledger))
    facts: dict[str, Any] = {
        "broker_id": "nova",
        "broker_order_key": attempt,
        "last_quantity": Decimal(4),
    }
    run(gateway.ledger.apply([a_report(**facts)], "report"))
    for time in ("02T23:55", "03T00:00", "03T23:59", "04T00:00", "04T12:00"):
        gateway.clock.at = at(f"2026-03-{time}")
        change = Change("halt", "halt/all", None, {"scope": "all"})
        run(gateway.ledger.note(change, Actor("mina", time)))
    key = header["Authorization"].removeprefix("Bearer ")
    out = tmp_path / "orders.csv"

    with served(gateway) as url:
        terminal.run("export", "orders", *WORDS, "--out", str(out), OPENBELL_KEY=key, url=url)
        traded = terminal.run("export", "executions", *WORDS, OPENBELL_KEY=key, url=url)
        acts = terminal.run("export", "audit", "--from", "2026-03-03", OPENBELL_KEY=key, url=url)
        words = ("export", "orders", "--account", "A-1", "--from", "2026-03-03")
        none = terminal.run(*words, OPENBELL_KEY=key, url=url)

    with out.open(newline="") as file:
        written = list(csv.DictReader(file))
    assert [one["client_order_id"] for one in written] == ["c-2", "c-1"]
    # What a spreadsheet would calculate is text; what is nothing is empty.
    assert {(one["text"], one["list_id"]) for one in written} == {(f"'{FORMULA}", "")}
    (trade,) = lines(traded.stdout)
    assert (trade["client_order_id"], trade["last_quantity"]) == ("c-1", "4")
    assert [one["reason"] for one in lines(acts.stdout)] == ["03T00:00", "03T23:59"]
    assert none.stdout == ""
    assert "0 orders" in none.stderr


def test_an_export_goes_on_where_the_gateway_was_busy(terminal: Terminal) -> None:
    asked: list[str] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        if len(asked) == 2:
            return problem(503, "overloaded", "the bell rings")
        return page(request, [row(2), row(1)], [row(0)])

    terminal.gateway.more["/v1/orders"] = answer

    result = terminal.run("export", "orders", *WORDS, "--format", "csv")

    assert result.stdout.splitlines() == [
        "order_id,status,quantity,text",
        *(f"O-{n},filled,-1.5," for n in (2, 1, 0)),
    ]
    assert len(asked) == 3
    assert asked[1] == asked[2]
    assert len(terminal.waits) == 1


@pytest.mark.parametrize("rows", [0, 1, 2, 7, 1_000])
def test_the_place_in_a_long_log_is_found_in_a_few_questions(rows: int) -> None:
    asked: list[int] = []

    def get(_: str, *, after: int, limit: int) -> dict[str, Any]:
        asked.append(limit)
        return {"data": [{"sequence": after + 1}] if after < rows else []}

    assert last_where(get, lambda _: True) == rows
    assert last_where(get, lambda row: bool(row["sequence"] <= rows // 2)) == rows // 2
    assert sum(asked) < 80


@pytest.mark.parametrize("broken", ["refused", "other columns", "somebody's"])
def test_a_file_is_there_whole_or_not_at_all(terminal: Terminal, broken: str) -> None:
    out = terminal.here / "orders.csv"

    def answer(request: web.Request) -> web.Response:
        if "cursor" in request.query and broken == "refused":
            return problem(403, "scope-missing", "the key was revoked")
        if broken == "somebody's":
            out.write_text("theirs")
        return page(request, [row(1)], [row(0, new=1) if broken == "other columns" else row(0)])

    terminal.gateway.more["/v1/orders"] = answer
    before = set(terminal.here.iterdir())

    result = terminal.run("export", "orders", *WORDS, "--out", str(out))

    assert result.exit_code == {"refused": 5}.get(broken, 1), result.stderr
    left = set(terminal.here.iterdir()) - before
    assert left == ({out} if broken == "somebody's" else set())
    assert not left or out.read_text() == "theirs"


def test_nobody_reads_what_was_exported_but_who_did(terminal: Terminal) -> None:
    terminal.gateway.more["/v1/orders"] = lambda request: page(request, [row(1, status="reserved")])
    out = terminal.here / "week"

    for _ in range(2):
        result = terminal.run("export", "executions", *WORDS, "--out", str(out))
        assert stat.S_IMODE(out.stat().st_mode) == 0o600

    # An order that never left is not asked for its trades; and nothing is written over.
    assert out.read_text() == ""
    assert result.exit_code == 3


@pytest.mark.parametrize("to", ["2026-03-01", "2027-03-03"])
def test_days_that_are_none_or_too_many_are_refused(terminal: Terminal, to: str) -> None:
    result = terminal.run("export", "orders", *WORDS, "--to", to)

    assert result.exit_code == 2
    assert terminal.gateway.requests == []
