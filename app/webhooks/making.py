"""Makes deliveries of events: who hears of one, and what he is told.

    {"type":"order.filled","timestamp":"2026-03-02T14:30:00.004Z","data":{ the order, whole }}

The order stands there as the bus carries it, byte for byte, with its version: receivers get them
in any order and more than once, and the highest version is the truth. What is larger than a
receiver should have to take names the order and no more; he asks for it then.

The trap is the key of an event: it is the account, and no proof of it. Whose order it is says the
order itself.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from app import codec
from app.domain.values import rfc3339
from app.domain.webhooks import (
    EVERY_ACCOUNT,
    PREFIX,
    TEST,
    Delivery,
    DeliveryState,
    Endpoint,
    delivery_id_of,
    rank_at,
)
from app.ports.bus import Event

# An order has a kilobyte; receivers are told to expect 20 kB at most.
BODY_BYTES_MAX: Final = 20 << 10
_VERSION: Final = ".v1"
_NAMED: Final = ("order_id", "account_id", "client_order_id", "status", "version")
# What a stranger's bytes can do to their reader.
_UNREADABLE: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


class NotTellable(Exception):
    """An event that no ledger of ours has written."""


class Told(NamedTuple):
    """An event, ready to be told."""

    event_id: str
    type: str
    account_id: str
    at: int
    body: str


class Hearers:
    """Endpoints by the accounts that they hear of."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._of: dict[str, list[Endpoint]] = {}
        for endpoint in endpoints:
            for account_id in endpoint.accounts:
                self._of.setdefault(account_id, []).append(endpoint)

    def of(self, account_id: str) -> list[Endpoint]:
        """Return who may hear of this account's orders."""
        return [*self._of.get(account_id, ()), *self._of.get(EVERY_ACCOUNT, ())]


def told(event: Event) -> Told:
    """Return what is told of an order's event, or raise `NotTellable`."""
    try:
        order: dict[str, Any] = codec.decode(event.payload)
        at = order["updated_at"]
        instant = datetime.fromisoformat(at)
        type_ = event.type.removeprefix(PREFIX).removesuffix(_VERSION)
        body = _body(type_, at, event.payload)
        if len(body) > BODY_BYTES_MAX:
            body = _body(type_, at, codec.encode({n: order[n] for n in _NAMED} | {"cut": True}))
        account_id = order["account_id"]
        if not isinstance(account_id, str) or len(body) > BODY_BYTES_MAX:
            raise NotTellable(f"{event.event_id}: expected an order of some account")
        return Told(event.event_id, type_, account_id, _ms(instant), body.decode())
    except _UNREADABLE as e:
        raise NotTellable(f"{type(e).__name__}: {e}") from e


def deliveries(
    events: Iterable[Told], hearers: Hearers, keyed: Sequence[str], now: int
) -> list[Delivery]:
    """Return a delivery for each event and each endpoint that hears of it; `keyed` are its keys."""
    found: list[Delivery] = []
    for event, key in zip(events, keyed, strict=True):
        for endpoint in hearers.of(key):
            if endpoint.hears(event.account_id, event.type, event.at):
                found.append(_delivery(event, endpoint, rank_at(now, len(found)), now))
    return found


def test_delivery(endpoint: Endpoint, number: int, now: int) -> Delivery:
    """Return a delivery by which an owner sees whether his endpoint works."""
    at = rfc3339(now)
    data = codec.encode({"endpoint_id": endpoint.endpoint_id})
    event = Told(f"test-{number:020x}", TEST, "", now, _body(TEST, at, data).decode())
    return _delivery(event, endpoint, rank_at(now), now)


def _delivery(event: Told, endpoint: Endpoint, rank: int, now: int) -> Delivery:
    return Delivery(
        delivery_id=delivery_id_of(event.event_id, endpoint.endpoint_id),
        endpoint_id=endpoint.endpoint_id,
        event_id=event.event_id,
        type=event.type,
        rank=rank,
        body=event.body,
        state=DeliveryState.WAITING,
        attempts=0,
        due_at=now,
        created_at=now,
    )


def _body(type_: str, at: str, data: bytes) -> bytes:
    return b'{"type":%s,"timestamp":%s,"data":%s}' % (codec.encode(type_), codec.encode(at), data)


def _ms(instant: datetime) -> int:
    return round(instant.timestamp() * 1_000)
