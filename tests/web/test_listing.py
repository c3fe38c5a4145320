"""Listings by what stands on an order, and how far a list is."""

from urllib.parse import urlencode

import pytest

from app.domain.values import CancelOrigin, rfc3339
from tests.web.house import OPENS_AT, READER, Gateway, an_order, put_in_doubt, run

START = OPENS_AT - 50_000  # the clock has moved by the keys that were made


def placed(gateway: Gateway) -> None:
    """Take c-0 … c-3, a second apart; c-0 is canceled, c-1 … c-3 are of a list."""
    key = gateway.key()
    for n in range(4):
        gateway.clock.at = START + n * 1_000
        body = an_order(client_order_id=f"c-{n}", list_id="l-1" if n else None)
        order = gateway.client.post("/v1/orders", json=body, headers=key).json()
        if n == 0:
            gateway.clock.at += 500
            run(gateway.ledger.cancel(order["order_id"], None, CancelOrigin.CLIENT))
    other = an_order(client_order_id="c-1", account_id="A-2", list_id="l-1")
    gateway.client.post("/v1/orders", json=other, headers=key)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"market": "XNYS"}, "3210"),
        ({"market": "XKRX"}, ""),
        ({"client_order_id": "c-2"}, "2"),
        ({"list_id": "l-1"}, "321"),
        ({"created.gte": rfc3339(START + 1_000)}, "321"),
        ({"created.lt": rfc3339(START + 1_000)}, "0"),
        ({"created.gte": rfc3339(START + 1), "created.lt": rfc3339(START + 3_000)}, "21"),
        ({"updated_after": rfc3339(START + 499)}, "3210"),
        ({"updated_after": rfc3339(START + 500)}, "321"),
        ({"broker_id": "nova"}, "321"),
        ({"broker_id": "sol"}, ""),
    ],
)
def test_a_listing_is_narrowed_by_what_stands_on_an_order(
    gateway: Gateway, asked: dict[str, str], expected: str
) -> None:
    placed(gateway)
    if "broker_id" in asked:
        run(put_in_doubt(gateway.ledger))
    query = urlencode({"account_id": "A-1"} | asked)

    page = gateway.client.get(f"/v1/orders?{query}", headers=gateway.key()).json()

    assert "".join(order["client_order_id"][-1] for order in page["data"]) == expected


@pytest.mark.parametrize("bad", ["yesterday", "2026-13-02T14:30:00Z", "1772461740000", "", "-"])
def test_an_instant_that_is_none_is_refused(gateway: Gateway, bad: str) -> None:
    query = urlencode({"account_id": "A-1", "updated_after": bad})
    reply = gateway.client.get(f"/v1/orders?{query}", headers=gateway.key())

    assert (reply.status_code, reply.json()["code"]) == (422, "validation-failed")


def test_a_list_is_counted_by_status_until_it_is_done(gateway: Gateway) -> None:
    placed(gateway)
    key = gateway.key(scopes=READER, accounts=("A-1",))
    going_on = gateway.client.get("/v1/lists/l-1?account_id=A-1", headers=key).json()
    for order in gateway.client.get("/v1/orders?account_id=A-1&list_id=l-1", headers=key).json()[
        "data"
    ]:
        run(gateway.ledger.cancel(order["order_id"], None, CancelOrigin.CLIENT))
    done = gateway.client.get("/v1/lists/l-1?account_id=A-1", headers=key).json()

    assert going_on == {
        "list_id": "l-1",
        "account_id": "A-1",
        "total_orders": 3,
        "open_orders": 3,
        "by_status": {"reserved": 3},
        "list_order_status": "executing",
    }
    assert (done["open_orders"], done["by_status"]) == (0, {"canceled": 3})
    assert done["list_order_status"] == "all_done"


def test_a_foreign_list_and_one_that_nobody_has_are_not_there(gateway: Gateway) -> None:
    placed(gateway)
    key = gateway.key(scopes=READER, accounts=("A-1",))

    for path in ("l-1?account_id=A-2", "l-2?account_id=A-1"):
        assert gateway.client.get(f"/v1/lists/{path}", headers=key).status_code == 404
