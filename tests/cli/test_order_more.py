"""Orders changed, ended by the hundred, and followed: against the doors, and a line that breaks."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web
from typer.testing import CliRunner, Result

from app.cli import app
from app.cli.asking.output import Ends
from app.domain.records import Actor, Change
from tests.cli.conftest import Terminal
from tests.cli.served import served
from tests.web.house import SESSION, Gateway, a_gateway, an_order, run

WHY: Final = ("--reason", "the desk asked")


class Desk:
    """A terminal in front of the doors, with some orders in the book."""

    def __init__(self, gateway: Gateway, url: str) -> None:
        key = gateway.key()
        for number in range(5):
            order = an_order(client_order_id=f"c-{number}", list_id="l-1")
            told = gateway.client.post("/v1/orders", json=order, headers=key)
            self.order_id = told.json()["order_id"]
        self._environment = {
            "OPENBELL_URL": url,
            "OPENBELL_KEY": key["Authorization"].removeprefix("Bearer "),
        }

    def says(self, *words: str, status: int = 0) -> Result:
        result = CliRunner(env=self._environment).invoke(app, list(words), catch_exceptions=False)
        assert result.exit_code == status, result.output
        return result

    def asks(self, *words: str) -> Any:
        return json.loads(self.says(*words, "--json").stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    gateway = a_gateway(tmp_path)
    with served(gateway) as url:
        yield Desk(gateway, url)


def test_an_order_is_changed_on_the_version_that_was_seen(desk: Desk) -> None:
    changed = desk.asks("order", "amend", desk.order_id, "--quantity", "4")

    assert (changed["quantity"], changed["limit_price"]) == ("4", "38.50")
    desk.says("order", "amend", desk.order_id, status=Ends.USAGE)
    desk.says("order", "amend", desk.order_id, "--quantity", "four", status=Ends.REFUSED)


def test_an_order_is_canceled_by_the_id_that_its_owner_gave_it(desk: Desk) -> None:
    yours = ("order", "cancel", "--account", "A-1", "--client-order-id", "c-3")

    canceled = desk.asks(*yours)

    assert (canceled["client_order_id"], canceled["status"]) == ("c-3", "canceled")
    desk.says(*yours, status=Ends.CONFLICT)
    desk.says("order", "cancel", "--account", "A-1", status=Ends.USAGE)
    desk.says(*yours[:-1], "c-9", status=Ends.NOT_FOUND)


def test_a_list_says_how_far_it_is(desk: Desk) -> None:
    desk.says("order", "cancel", desk.order_id)

    told = desk.asks("order", "list-status", "l-1", "--account", "A-1")

    assert (told["total_orders"], told["open_orders"]) == (5, 4)
    assert told["by_status"] == {"reserved": 4, "canceled": 1}


def test_a_mass_cancel_ends_its_scope_and_nothing_newer(desk: Desk) -> None:
    words = ("order", "mass-cancel", "--request-id", "out-1")

    desk.says(*words, status=Ends.USAGE)
    done = desk.asks(*words, "--account", "A-1", "--session", SESSION)
    again = desk.asks(*words, "--account", "A-1", "--session", SESSION)

    assert (done["canceled"], done["done"]) == (5, True)
    assert (again["canceled"], again["replayed"]) == (0, True)


def test_a_sweep_shows_before_it_does(desk: Desk) -> None:
    words = ("order", "sweep", "--request-id", "out-2", "--account", "A-1", *WHY)

    shown = desk.says(*words, status=Ends.FAILED_CHECK)
    few = desk.says(*words, "--expect", "3", status=Ends.CONFLICT)
    untouched = desk.asks("order", "list", "--account", "A-1", "--status", "reserved")
    done = desk.asks(*words, "--expect", "5")

    assert "--expect 5" in shown.stderr
    assert "selection-grew" in few.stderr
    assert len(untouched) == 5
    assert done["canceled"] == 5


# --- following ----------------------------------------------------------------------------


def step(number: int, status: str) -> bytes:
    order = {
        "side": "buy",
        "quantity": "10",
        "symbol": "AAPL\x1b[2J",
        "status": status,
        "filled_quantity": "0",
    }
    told = {"at": "14:30", "order_id": "O-1", "client_order_id": "a-1", "cause": "the bell"}
    data = json.dumps(told | {"order": order}).encode()
    return b"event: order.updated\nid: %d\ndata: %s\n\n" % (number, data)


def test_a_line_that_is_cut_is_taken_up_where_it_was(terminal: Terminal) -> None:
    terminal.gateway.streams = [
        [b"retry: 2000\nid: 1\n\n", step(2, "queued"), b":\n\n"],
        [step(2, "queued"), b"event: resync\ndata: {}\n\n", step(3, "new")],
    ]

    result = terminal.run("order", "watch", "--account", "A-1", "--steps", "2")

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [("queued" in line, "new" in line) for line in lines] == [(True, False), (False, True)]
    assert "\x1b" not in result.stdout
    assert "order list" in result.stderr
    assert [h.get("Last-Event-ID") for h in terminal.gateway.headers] == [None, "2"]
    assert terminal.waits == [2]


def test_a_script_gets_each_event_as_it_was_told(terminal: Terminal) -> None:
    terminal.gateway.streams = [[step(2, "queued")]]

    result = terminal.run("order", "watch", "--account", "A-1", "--steps", "1", "--json")

    assert json.loads(result.stdout)["order"]["status"] == "queued"


def test_whoever_may_not_follow_is_told_once(terminal: Terminal) -> None:
    result = terminal.run("order", "watch", "--account", "A-1", "--key", "ob_test_wrong")

    assert result.exit_code == Ends.AUTHENTICATION
    assert terminal.waits == []


def test_the_audit_log_is_followed_from_a_row_on(tmp_path: Path) -> None:
    gateway = a_gateway(tmp_path)
    key = gateway.key()["Authorization"].removeprefix("Bearer ")
    for number in range(3):
        change = Change("halt", "halt/all", None, {"scope": "all"})
        run(gateway.ledger.note(change, Actor("mina", f"number {number}")))

    with served(gateway) as url:
        environment = {"OPENBELL_URL": url, "OPENBELL_KEY": key}
        words = ["audit", "watch", "--after", "1", "--rows", "2"]
        told = CliRunner(env=environment).invoke(app, words, catch_exceptions=False)

    assert [line.split("  ")[5] for line in told.stdout.splitlines()] == ["number 1", "number 2"]


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 4, 5])
def test_the_newest_rows_of_the_audit_log_are_listed(tmp_path: Path, rows: int) -> None:
    gateway = a_gateway(tmp_path)
    key = gateway.key()["Authorization"].removeprefix("Bearer ")
    for number in range(rows):
        change = Change("halt", "halt/all", None, {"scope": "all"})
        run(gateway.ledger.note(change, Actor("mina", f"number {number}")))

    with served(gateway) as url:
        runner = CliRunner(env={"OPENBELL_URL": url, "OPENBELL_KEY": key})
        newest = runner.invoke(app, ["audit", "list", "--last", "2", "--json"])
        oldest = runner.invoke(app, ["audit", "list", "--limit", "2"])

    told = [row["reason"] for row in json.loads(newest.stdout)]
    assert told == [f"number {number}" for number in range(rows)][-2:]
    assert ("there may be newer ones: --after 2" in oldest.stderr) is (rows >= 2)


def test_a_follower_whose_key_dies_does_not_ask_for_ever(terminal: Terminal) -> None:
    heard = b"event: resync\ndata: {}\n\nevent: gone\ndata: {}\n\n"
    terminal.gateway.more["/admin/v1/stream"] = lambda _: web.Response(body=heard)

    result = terminal.run("audit", "watch", "--json")

    assert result.exit_code == Ends.AUTHENTICATION
    assert "audit list" in result.stderr
    assert terminal.waits == []
