"""What happens to an order at the simulated broker, and how it is told."""

from pathlib import Path

import pytest

from app.brokers.sim.fills import Plan
from tests.brokers.builders import a_key, an_order
from tests.brokers.sim_client import Client, play


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "north.jsonl"


def test_a_cancel_wins_once_and_says_why_when_it_does_not(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order("K1"))
        results = await client.cancel("K1", "K1", "nobody")
        assert [result.get("code") for result in results] == [
            None,
            "already-pending",
            "unknown-order",
        ]
        await client.flush()
        assert [report["type"] for report in client.heard] == ["canceled"]
        assert (await client.cancel("K1"))[0]["code"] == "too-late"

    record = play(audit, scenario)

    assert [line["kind"] for line in record if line["kind"] != "TOLD"] == [
        "NEW",
        "CANCEL",
        "CANCEL",
        "CANCEL",
        "END",
        "CANCEL",
    ]


def test_a_fill_may_pass_a_cancel_that_is_pending(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order("K1"))
        await client.cancel("K1")
        await client.post("/sim/fill", {"client_order_id": "K1"})
        await client.flush()
        [shown] = await client.look_up("K1")
        assert (shown["status"], shown["filled"]) == ("filled", "10")

    play(audit, scenario, cancel_delay_ms=60_000)


def test_partial_fills_are_told_in_order_and_sum_to_the_quantity(audit: Path) -> None:
    keys = [a_key() for _ in range(40)]

    async def scenario(client: Client) -> None:
        await client.place(*[an_order(key) for key in keys])
        await client.flush()
        for key, shown in zip(keys, await client.look_up(*keys), strict=True):
            told = [report for report in client.heard if report["client_order_id"] == key]
            assert told == shown["executions"]
            assert sum(int(report["last_quantity"]) for report in told) == 10
            assert {report["last_price"] for report in told} == {"185.50"}
            assert shown["status"] == "filled"

    record = play(audit, scenario, plan=Plan("partial"))

    executions = [line["execution_id"] for line in record if line["kind"] == "FILL"]
    assert len(executions) == len(set(executions)) > 40


def test_a_market_order_trades_at_the_reference_price(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order(type="market", limit_price=None))
        await client.flush()
        assert client.heard[0]["last_price"] == "100"

    play(audit, scenario, plan=Plan("instant"))


def test_a_callback_is_repeated_until_it_is_taken(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order())
        stats = await client.flush()
        assert len(client.heard) == 1
        assert (stats["callbacks_failed"], stats["callbacks_pending"]) == (2, 0)

    play(audit, scenario, plan=Plan("instant"), refusals=2)


def test_execution_faults(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order("K1"), an_order("K2"), an_order("K3"))
        await client.faults(duplicate_fill={"count": 1})
        await client.post("/sim/fill", {"client_order_id": "K1"})
        await client.faults(bust={"count": 1, "d": 9})
        await client.post("/sim/fill", {"client_order_id": "K2", "last_quantity": "4"})
        await client.faults(unknown_order_fill={"count": 1})
        await client.post("/sim/fill", {"client_order_id": "K2", "last_quantity": "1"})
        await client.faults(fill_after_cancel={"count": 1, "d": 9})
        await client.cancel("K3")
        await client.flush()

        one, two, three = await client.look_up("K1", "K2", "K3")
        told = [(r["client_order_id"], r["type"], r["last_quantity"]) for r in client.heard]
        assert told[:3] == [("K1", "trade", "10"), ("K1", "trade", "10"), ("K2", "trade", "4")]
        assert client.heard[0] == client.heard[1]
        assert told[3] == ("K2", "trade", "1")
        assert told[4][0] not in {"K1", "K2", "K3"}, "an order that nobody sent"
        assert (two["status"], two["filled"]) == ("partially_filled", "1")
        assert two["executions"][2]["referenced_execution_id"] == client.heard[2]["execution_id"]
        assert [e["type"] for e in three["executions"]] == ["canceled", "trade"]
        assert (one["status"], three["status"]) == ("filled", "filled")

    record = play(audit, scenario)

    assert [line["fault"] for line in record if line["kind"] == "FAULT"] == ["unknown_order_fill"]


def test_disorder_tells_later_news_first_and_loses_none(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.faults(disorder={"probability": 0.5, "d": 0.3})
        await client.place(*[an_order() for _ in range(40)])
        await client.flush()
        ids = [int(report["execution_id"].rpartition("E")[2]) for report in client.heard]
        assert sorted(ids) == list(range(1, len(ids) + 1))
        assert ids != sorted(ids)

    play(audit, scenario, plan=Plan("partial"))


def test_a_fill_can_be_told_before_the_acknowledgement(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        [result] = await client.place(an_order("K1"), fault="fill_before_ack")
        assert [report["client_order_id"] for report in client.heard] == ["K1"]
        assert result["status"] == "accepted"

    play(audit, scenario)


def test_news_and_corrections_and_the_end_of_the_session(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order("K1"), an_order("K2"))
        await client.post("/sim/fill", {"client_order_id": "K1", "last_quantity": "4"})
        correction = {"client_order_id": "K1", "type": "trade_correct", "last_quantity": "3"}
        shown = await client.post("/sim/fill", correction)
        assert shown["filled"] == "3"
        assert (await client.post("/sim/session-end", {}))["expired"] == 2
        nothing = await client.post("/sim/fill", {"client_order_id": "K1", "type": "canceled"})
        assert nothing["status"] == 409
        await client.flush()
        assert [report["type"] for report in client.heard] == [
            "new",
            "new",
            "trade",
            "trade_correct",
            "expired",
            "expired",
        ]

    play(audit, scenario, acks=True)
