"""The simulated broker changes an order's terms: one order before, one after, whatever passes."""

from pathlib import Path
from typing import Any

import pytest

from tests.brokers.builders import an_order
from tests.brokers.sim_client import Client, play

OF = "client_order_id"


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "north.jsonl"


def told(client: Client) -> list[tuple[str, str, str | None]]:
    return [(r[OF], r["type"], r["quantity"] or r["last_quantity"]) for r in client.heard]


def test_a_replaced_order_goes_on_under_its_new_key_and_is_found_by_each(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order("X"))
        await client.post("/sim/fill", {OF: "X", "last_quantity": "4"})
        assert (await client.replace("Y", "X", "20"))["status"] == "accepted"
        await client.flush()
        assert (await client.replace("Z", "Y", "6"))["status"] == "accepted"
        await client.flush()
        await client.post("/sim/fill", {OF: "X"})
        await client.flush()
        shown = await client.look_up("X", "Y", "Z", "W")
        assert [item["found"] for item in shown] == [True, True, True, False]
        assert {item["order_id"] for item in shown[:3]} == {"north-1"}
        assert {(i["status"], i["quantity"], i["filled"]) for i in shown[:3]} == {
            ("filled", "6", "6")
        }
        assert told(client) == [
            ("X", "trade", "4"),
            ("Y", "replaced", "20"),
            ("Z", "replaced", "6"),
            ("Z", "trade", "2"),
        ]

    lines = play(audit, scenario)

    assert sum(line["kind"] == "NEW" for line in lines) == 1
    assert [line["original"] for line in lines if line["kind"] == "REPLACE"] == ["X", "Y"]


@pytest.mark.parametrize(
    ("key", "original", "quantity", "code"),
    [
        ("Y", "nobody", "20", "unknown-order"),
        ("Y", "X", "0", "bad-quantity"),
        ("Y", "ended", "20", "too-late"),
        ("X", "X", "20", "duplicate-client-order-id"),
        ("used", "X", "20", "duplicate-client-order-id"),
    ],
)
def test_what_cannot_be_changed_is_refused_and_not_found(
    audit: Path, key: str, original: str, quantity: str, code: str
) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order("X"), an_order("ended"))
        await client.post("/sim/fill", {OF: "ended"})
        assert (await client.replace("used", "X", "-1"))["code"] == "bad-quantity"
        refused = await client.replace(key, original, quantity)
        assert (refused["status"], refused["code"]) == ("rejected", code)
        [shown, used] = await client.look_up("X", "used")
        assert (shown["quantity"], used["found"]) == ("10", False)

    play(audit, scenario)


def test_an_order_is_replaced_only_by_what_it_is_called_now(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.place(an_order("X"))
        await client.replace("Y", "X", "20")
        assert (await client.replace("Z", "X", "30"))["code"] in {
            "unknown-order",
            "already-pending",
        }
        await client.flush()
        assert (await client.replace("W", "X", "30"))["code"] == "unknown-order"
        [shown] = await client.look_up("X")
        assert shown["quantity"] == "20"

    play(audit, scenario)


@pytest.mark.parametrize(
    ("passing", "status", "quantity"),
    [("2", "partially_filled", "5"), ("5", "filled", "5"), ("7", "filled", "7")],
)
def test_fills_that_pass_a_replace_amend_it(
    audit: Path, passing: str, status: str, quantity: str
) -> None:
    async def scenario(client: Client) -> None:
        await client.faults(fill_before_replace={"k": int(passing)})
        await client.place(an_order("X"))
        await client.replace("Y", "X", "5")
        await client.flush()
        [shown] = await client.look_up("Y")
        assert (shown["status"], shown["quantity"], shown["filled"]) == (status, quantity, passing)
        assert told(client) == [("X", "trade", passing), ("Y", "replaced", quantity)]

    play(audit, scenario)


def test_a_replace_that_is_passed_by_the_last_fill_is_too_late(audit: Path) -> None:
    async def scenario(client: Client) -> None:
        await client.faults(fill_before_replace={"k": 10})
        await client.place(an_order("X"))
        await client.replace("Y", "X", "20")
        await client.flush()
        [shown, refused] = await client.look_up("X", "Y")
        assert (shown["status"], shown["quantity"], refused["found"]) == ("filled", "10", False)
        assert told(client)[-1][:2] == ("Y", "replace_rejected")

    play(audit, scenario)


def test_a_replace_is_pending_until_it_is_decided_and_a_restart_knows_it(audit: Path) -> None:
    async def before(client: Client) -> None:
        await client.place(an_order("X"))
        await client.replace("Y", "X", "20")
        [shown, old] = await client.look_up("Y", "X")
        assert (shown["pending"], shown["quantity"], old["pending"]) == (True, "10", False)
        assert (await client.replace("Z", "X", "30"))["code"] == "already-pending"

    async def after(client: Client) -> None:
        [shown] = await client.look_up("Y")
        assert shown["pending"]
        await client.flush()
        [shown] = await client.look_up("Y")
        assert (shown["pending"], shown["quantity"]) == (False, "20")
        await client.cancel("X")
        await client.flush()
        assert told(client) == [("Y", "replaced", "20"), ("Y", "canceled", None)]

    async def at_last(client: Client) -> None:
        [shown] = await client.look_up("X")
        assert (shown["status"], shown["quantity"]) == ("canceled", "20")
        assert (await client.replace("Y", "X", "9"))["code"] == "duplicate-client-order-id"

    slow: dict[str, Any] = {"replace_delay_ms": 60_000}
    play(audit, before, **slow)
    play(audit, after, **slow)
    play(audit, at_last, **slow)
