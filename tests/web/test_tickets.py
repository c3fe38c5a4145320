"""Tickets: what opens one stream for a browser, once, soon, and no more than its key does."""

import asyncio
from typing import Any, Final

from app.web.access.keyfile import revoke_key
from tests.web.house import READER, Gateway
from tests.web.test_stream import Street, played

PATH: Final = "/v1/stream/tickets"


def a_ticket(gateway: Gateway, key: dict[str, str], account_id: str = "A-1") -> Any:
    return gateway.client.post(PATH, json={"account_id": account_id}, headers=key)


def knock(gateway: Gateway, ticket: str, account_id: str = "A-1") -> int:
    """Return what a stream is answered that must not open."""
    query = {"account_id": account_id, "ticket": ticket}
    return int(gateway.client.get("/v1/stream", params=query).status_code)


def test_a_ticket_opens_one_stream_without_a_key_and_goes_on_from_a_place(gateway: Gateway) -> None:
    key = gateway.key(scopes=READER, accounts=("A-1",))
    told, again = a_ticket(gateway, key).json(), a_ticket(gateway, key).json()

    async def story(street: Street) -> None:
        first = street.listen({}, f"A-1&ticket={told['ticket']}")
        await asyncio.sleep(1)
        await street.order("c-1")
        await asyncio.sleep(1)
        second = street.listen({}, f"A-1&ticket={again['ticket']}&last_event_id={first.last_id}")
        spent = street.listen({}, f"A-1&ticket={told['ticket']}")
        await street.order("c-2")
        await asyncio.sleep(1)

        assert [listener.status for listener in (first, second, spent)] == [200, 200, 401]
        assert [h.data["client_order_id"] for h in second.heard][-1:] == ["c-2"]

    played(gateway, story)
    assert told["url"] == f"/v1/stream?account_id=A-1&ticket={told['ticket']}"


def test_a_ticket_opens_no_other_account_and_nothing_after_its_time(gateway: Gateway) -> None:
    key = gateway.key(scopes=READER)
    other = a_ticket(gateway, key).json()["ticket"]
    old = a_ticket(gateway, key).json()["ticket"]

    assert knock(gateway, other, "A-2") == 404
    gateway.clock.at += 30_000
    assert knock(gateway, old) == 401
    assert knock(gateway, "0" * 64) == 401
    assert gateway.client.get(f"/v1/orders?account_id=A-1&ticket={old}").status_code == 401


def test_a_ticket_ends_with_its_key(gateway: Gateway) -> None:
    key = gateway.key(scopes=READER)
    ticket = a_ticket(gateway, key).json()["ticket"]
    revoke_key(gateway.key_file, key["Authorization"].split("_")[2])
    gateway.clock.at += 1_000

    assert knock(gateway, ticket) == 401


def test_a_foreign_account_gets_no_ticket(gateway: Gateway) -> None:
    lee = gateway.key("lee", READER, ("A-2",))
    poor = gateway.key("poor", frozenset({"admin:read"}))

    assert a_ticket(gateway, lee).status_code == 404
    assert a_ticket(gateway, poor).status_code == 403
    assert gateway.client.post(PATH, json={"account_id": "A-1"}).status_code == 401
