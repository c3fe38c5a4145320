"""The kill switch: halted first, then canceled, in its scope alone, and never by a slip."""

from typing import Any

import pytest

from app.domain.values import Status
from tests.web.house import Gateway, put_in_doubt, run
from tests.web.operators import ADMIN, audit, reserve

BODY = {"request_id": "k-1", "reason": "wild prices"}


def kill(gateway: Gateway, confirm: str | None, /, **body: object) -> Any:
    named = {} if confirm is None else {"X-Confirm": confirm}
    preview = {"dry_run": "true"} if body.pop("dry_run", False) else {}
    headers = gateway.key("mina", accounts=("A-1",)) | named
    return gateway.client.post(f"{ADMIN}/kill", json=BODY | body, headers=headers, params=preview)


def status(gateway: Gateway, order_id: str) -> Status:
    order = run(gateway.ledger.get(order_id))
    assert order is not None
    return order.status


@pytest.mark.parametrize(
    ("scope", "name", "ends"),
    [
        ("all", None, True),
        ("account", "A-1", True),
        ("symbol", "AA", True),
        ("symbol", "BB", False),
        ("broker", "nova", False),  # nothing is there yet: it waits, under the halt
    ],
)
def test_a_kill_halts_and_ends_what_is_in_its_scope(
    gateway: Gateway, scope: str, name: str | None, *, ends: bool
) -> None:
    order_id = reserve(gateway, 2)
    reply = kill(gateway, name or "all", scope=scope, **({"id": name} if name else {}))

    assert (reply.status_code, reply.json()["canceled"]) == (200, 2 if ends else 0)
    (halt,) = run(gateway.ledger.halts())
    assert (halt.scope, halt.target) == (scope, name or "*")
    assert gateway.floor.halts_seen == 1
    assert (status(gateway, order_id) is Status.CANCELED) is ends
    actions = [row["action"] for row in audit(gateway)]
    assert actions == ["halt", "orders.mass_cancel", "kill"]


def test_what_is_at_the_broker_is_asked_to_end_and_stays_in_doubt(gateway: Gateway) -> None:
    order_id = reserve(gateway, 1)
    run(put_in_doubt(gateway.ledger))
    reply = kill(gateway, "nova", scope="broker", id="nova").json()

    assert (reply["canceled"], reply["cancel_requested"]) == (0, 1)
    assert status(gateway, order_id) is Status.IN_DOUBT


@pytest.mark.parametrize("confirm", [None, "ALL", "nova"])
def test_a_kill_that_is_not_confirmed_by_name_does_nothing(
    gateway: Gateway, confirm: str | None
) -> None:
    order_id = reserve(gateway, 1)
    reply = kill(gateway, confirm, scope="all")

    assert (reply.status_code, reply.json()["code"]) == (428, "confirm-required")
    assert run(gateway.ledger.halts()) == []
    assert status(gateway, order_id) is Status.RESERVED


def test_a_dry_run_counts_and_a_foreign_account_is_not_there(gateway: Gateway) -> None:
    reserve(gateway, 2)
    seen = kill(gateway, None, scope="symbol", id="AA", dry_run=True).json()
    foreign = kill(gateway, "A-2", scope="account", id="A-2")

    assert (seen["dry_run"], seen["orders_affected"]) == (True, 2)
    assert foreign.status_code == 404
    assert run(gateway.ledger.halts()) == []
