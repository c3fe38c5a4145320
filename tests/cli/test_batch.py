"""A file of orders arrives whole, once each, and whatever did not is named by its line."""

import json

from app.cli.asking.output import Ends
from tests.cli.conftest import Terminal
from tests.cli.gateway import hang_up, problem

HEADING = "account_id,client_order_id,symbol,market,quantity,limit_price\n"


def csv_of(count: int, symbol: str = "AAPL") -> str:
    rows = [f"A-1,a-{i},{symbol},XNYS,10,185.50\n" for i in range(count)]
    return HEADING + "".join(rows)


def test_every_row_arrives_in_batches_of_a_thousand(terminal: Terminal) -> None:
    result = terminal.run("order", "batch", terminal.file("o.csv", csv_of(2_300)), "--json")

    assert result.exit_code == 0
    assert terminal.gateway.batches == [1_000, 1_000, 300]
    assert list(terminal.gateway.orders) == [f"a-{i}" for i in range(2_300)]
    assert json.loads(result.stdout)["accepted"] == 2_300
    assert terminal.gateway.orders["a-7"]["limit_price"] == "185.50"


def test_a_large_row_makes_a_smaller_batch(terminal: Terminal) -> None:
    orders = [{"client_order_id": f"a-{i}", "text": "x" * 400_000} for i in range(3)]
    text = "\n".join(map(json.dumps, orders))

    result = terminal.run("order", "batch", terminal.file("o.ndjson", text))

    assert result.exit_code == 0
    assert terminal.gateway.batches == [2, 1]


def test_what_got_no_answer_is_sent_again_under_the_same_ids(terminal: Terminal) -> None:
    gateway = terminal.gateway
    gateway.before = [lambda _: problem(429, "quota-exceeded", "slow", "7"), lambda _: None]
    gateway.after = [hang_up, lambda _: None]
    gateway.busy_items = [set(), {"a-1"}]

    result = terminal.run("order", "batch", terminal.file("o.csv", csv_of(3)), "--json")

    assert result.exit_code == 0
    # 429, then a connection that broke after the commit, then one order of them, alone.
    assert gateway.batches == [3, 3, 3, 1]
    assert terminal.waits == [7, 1, 3]
    by_id: dict[str, list[str]] = {}
    for order in gateway.posted:
        by_id.setdefault(order["client_order_id"], []).append(json.dumps(order))
    assert set(by_id) == {"a-0", "a-1", "a-2"}
    assert all(len(set(bodies)) == 1 for bodies in by_id.values())
    assert json.loads(result.stdout)["replayed"] == 3


def test_of_a_batch_only_the_items_that_were_shed_go_again(terminal: Terminal) -> None:
    terminal.gateway.busy_items = [{"a-1"}, {"a-1"}]

    result = terminal.run("order", "batch", terminal.file("o.csv", csv_of(3)), "--json")

    assert result.exit_code == 0
    assert terminal.gateway.batches == [3, 1, 1]
    assert [order["client_order_id"] for order in terminal.gateway.posted[3:]] == ["a-1", "a-1"]
    assert terminal.waits == [3, 3]
    assert json.loads(result.stdout) == {
        "read": 3,
        "accepted": 3,
        "replayed": 0,
        "rejected": 0,
        "unanswered": 0,
        "by_code": {},
        "first_rejects": [],
    }


def test_patience_ends_and_silence_is_not_called_a_rejection(terminal: Terminal) -> None:
    terminal.gateway.busy_items = [{"a-1"}] * 100

    result = terminal.run("order", "batch", terminal.file("o.csv", csv_of(3)), "--json")

    assert result.exit_code == 75
    told = json.loads(result.stdout)
    assert (told["accepted"], told["rejected"], told["unanswered"]) == (2, 0, 1)
    assert "send the same file again" in result.stderr


def test_a_gateway_that_goes_away_leaves_the_rest_unanswered(terminal: Terminal) -> None:
    terminal.gateway.before = [lambda _: None, *[hang_up] * 20]

    result = terminal.run("order", "batch", terminal.file("o.csv", csv_of(1_500)), "--json")

    assert result.exit_code == Ends.IN_DOUBT
    told = json.loads(result.stdout)
    assert (told["accepted"], told["rejected"], told["unanswered"]) == (1_000, 0, 500)


def test_an_internal_error_is_not_repeated(terminal: Terminal) -> None:
    terminal.gateway.before = [lambda _: problem(500, "internal-error", "ours")]

    result = terminal.run("order", "batch", terminal.file("o.csv", csv_of(3)), "--json")

    assert result.exit_code == Ends.IN_DOUBT
    assert terminal.gateway.batches == [3]
    assert terminal.waits == []
    assert json.loads(result.stdout)["unanswered"] == 3


def test_a_file_that_is_sent_twice_makes_no_order_twice(terminal: Terminal) -> None:
    file = terminal.file("o.csv", csv_of(5))
    terminal.run("order", "batch", file)

    result = terminal.run("order", "batch", file, "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["replayed"] == 5
    assert len(terminal.gateway.orders) == 5


def test_rejected_rows_are_counted_named_and_kept(terminal: Terminal) -> None:
    text = csv_of(2) + "A-1,b-1,APPL,XNYS,10,1\n" + "A-1,b-2\n" + "A-1,a-0,MSFT,XNYS,1,1\n"
    kept = terminal.here / "rejects.ndjson"

    result = terminal.run("order", "batch", terminal.file("o.csv", text), "--rejects", str(kept))

    assert result.exit_code == 1
    rejects = [json.loads(line) for line in kept.read_text("utf-8").splitlines()]
    assert sorted((r["line"], r["code"]) for r in rejects) == [
        (4, "unknown-symbol"),
        (5, "bad-row"),
        (6, "client-order-id-conflict"),
    ]
    assert next(r for r in rejects if r["line"] == 4)["order"]["symbol"] == "APPL"
    assert "expected 6 cells, found 2" in result.stdout
    assert "unknown-symbol" in result.stdout


def test_rows_take_the_next_session_of_their_market_unless_they_name_one(
    terminal: Terminal,
) -> None:
    orders = [
        {"client_order_id": "a-1", "market": "XNYS"},
        {"client_order_id": "a-2", "market": "XNYS", "trading_session_id": "mine"},
        {"client_order_id": "a-3", "market": "MOON"},
        {"client_order_id": "a-4"},
    ]
    text = "\n".join(map(json.dumps, orders))

    result = terminal.run("order", "batch", "-", "--session", "next", stdin=text)

    assert result.exit_code == 0
    given = {name: o.get("trading_session_id") for name, o in terminal.gateway.orders.items()}
    assert given == {"a-1": "XNYS-2998-11-23-REG", "a-2": "mine", "a-3": None, "a-4": None}


def test_the_list_is_named_once_for_all(terminal: Terminal) -> None:
    result = terminal.run(
        "order", "batch", terminal.file("o.csv", csv_of(1)), "--list-id", "open-7"
    )

    assert result.exit_code == 0
    assert terminal.gateway.requests[-1][2]["list_id"] == "open-7"


def test_nothing_leaves_when_the_heading_is_wrong(terminal: Terminal) -> None:
    text = "client_order_id,limt_price\na-1,1\n"

    result = terminal.run("order", "batch", terminal.file("o.csv", text))

    assert result.exit_code == 2
    assert "line 1" in result.stderr
    assert "limt_price" in result.stderr
    assert terminal.gateway.requests == []


def test_a_gateway_that_is_not_there_is_said_at_once(terminal: Terminal) -> None:
    file = terminal.file("o.csv", csv_of(1))

    result = terminal.run("order", "batch", file, url="http://127.0.0.1:1")

    assert result.exit_code == 6
    assert terminal.waits == []
    assert "openbell serve" in result.stderr
