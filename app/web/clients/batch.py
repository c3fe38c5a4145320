"""Up to a thousand orders in one request, each taken or refused by itself.

The whole is cut into its orders without reading them, so that one broken order breaks only its
own result. The trap is to hold the loop: a thousand orders cost some milliseconds of it, and
that is why there are no more than a thousand.
"""

import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec
from pydantic import ValidationError

from app.domain.errors import Busy, Code, Refused
from app.domain.records import Taken
from app.domain.request import OrderRequest
from app.web.access.keys import Principal, authorize
from app.web.clients.orders import WRITE
from app.web.clients.schemas import NAME, ORDERS_MAX, NewOrder, NewOrders, ResultsTold, request_of
from app.web.house import House
from app.web.metrics import Meters
from app.web.problems import Invalid, fault_of, invalid, invalid_at
from app.web.quotas.toll import Toll
from app.web.shapes import order_shape
from app.web.spec import BATCH_BYTES_MAX, Call, Reader, Reply, Spec, ok

NDJSON: Final = "application/x-ndjson"
# Not JSON, not UTF-8, or a hundred thousand brackets deep.
UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)


class _Outer(msgspec.Struct, forbid_unknown_fields=True):
    orders: list[msgspec.Raw]
    list_id: str | None = None


class _Named(msgspec.Struct):
    client_order_id: str | None = None


_outer: Final = msgspec.json.Decoder(_Outer)
_named: Final = msgspec.json.Decoder(_Named)


class Sent(NamedTuple):
    """A batch, cut but not yet read."""

    list_id: str | None
    orders: Sequence[bytes | msgspec.Raw]


def cut(raw: bytes, content_type: str) -> Sent:
    """Return the batch's orders as the bytes that they are."""
    if content_type.partition(";")[0].strip().lower() == NDJSON:
        sent = Sent(None, [line for line in raw.split(b"\n") if line.strip()])
    else:
        sent = _cut_json(raw)
    if len(sent.orders) > ORDERS_MAX:
        raise Refused(
            Code.TOO_MANY_ORDERS,
            f"expected at most {ORDERS_MAX} orders, were {len(sent.orders)}",
            orders=len(sent.orders),
        )
    return sent


def _cut_json(raw: bytes) -> Sent:
    try:
        outer = _outer.decode(raw)
    except msgspec.ValidationError as e:
        raise Invalid(Code.VALIDATION_FAILED, str(e), []) from None
    except UNREADABLE:
        raise Refused(Code.MALFORMED_REQUEST, "expected one JSON object") from None
    if outer.list_id is not None and not re.fullmatch(NAME, outer.list_id):
        raise invalid_at("list_id", "expected 1 to 64 letters of A-Z a-z 0-9 . _ : -")
    return Sent(outer.list_id, outer.orders)


class Batches:
    """The door for many."""

    def __init__(self, house: House, meters: Meters, toll: Toll) -> None:
        self._house = house
        self._meters = meters
        self._toll = toll

    async def create(self, call: Call[Sent, None]) -> Reply:
        """Take up to 1,000 orders; one result each, in input order.

        `{"list_id": …, "orders": […]}`, or one order a line as `application/x-ndjson`. Not all
        or nothing: each is durable by itself, and safe to repeat by itself. Only a quota refuses
        the whole, before any is taken: send it again after `Retry-After`.
        """
        items = [_read(raw, call.body.list_id, call.who) for raw in call.body.orders]
        try:
            await self._toll.batch(call, items)
        except (Refused, Busy) as e:
            self._meters.refused(e.code, len(items))
            raise
        outcomes = await self._house.desk.place_all(items)
        results = []
        accepted = 0
        for index, (item, outcome) in enumerate(zip(items, outcomes, strict=True)):
            name = _name_of(call.body.orders[index], item)
            result: dict[str, Any] = {"index": index, "client_order_id": name}
            if isinstance(outcome, Taken):
                accepted += 1
                result |= self._taken(outcome)
            else:
                result |= self._refused(outcome, call)
            results.append(result)
        told = {
            "list_id": call.body.list_id,
            "accepted": accepted,
            "rejected": len(results) - accepted,
            "results": results,
        }
        return ok(told)

    def _taken(self, taken: Taken) -> dict[str, Any]:
        if taken.created:
            self._meters.accepted(taken.order)
        order = order_shape(taken.order, self._house.reference().calendar)
        return {"status": 201 if taken.created else 200, "order": order}

    def _refused(self, outcome: Refused | Busy, call: Call[Any, Any]) -> dict[str, Any]:
        self._meters.refused(outcome.code)
        fault = fault_of(outcome, self._house.clock)
        error = fault.document(call.request.scope["path"], call.request_id)
        return {"status": outcome.code.status, "error": error}


def _read(raw: bytes | msgspec.Raw, list_id: str | None, who: Principal) -> OrderRequest | Refused:
    try:
        new = NewOrder.model_validate_json(bytes(raw))
        authorize(who, WRITE, new.account_id)
    except ValidationError as e:
        return invalid(e)
    except Refused as e:
        return e
    return request_of(new, list_id)


def _name_of(raw: bytes | msgspec.Raw, item: OrderRequest | Refused) -> str | None:
    """Return the id by which the client knows this item, as far as it can be read at all."""
    if isinstance(item, OrderRequest):
        return item.client_order_id
    try:
        return _named.decode(raw).client_order_id
    except UNREADABLE:
        return None


def batch_specs(house: House, meters: Meters, toll: Toll) -> Sequence[Spec[Any, Any]]:
    return (
        Spec(
            method="POST",
            path="/v1/orders/batch",
            name="create_orders",
            scope=WRITE,
            handler=Batches(house, meters, toll).create,
            reads=Reader(NewOrders, cut),
            answers={200: ResultsTold},
            refuses=(
                Code.MALFORMED_REQUEST,
                Code.BODY_TOO_LARGE,
                Code.VALIDATION_FAILED,
                Code.TOO_MANY_ORDERS,
                Code.DRAINING,
            ),
            body_bytes_max=BATCH_BYTES_MAX,
            takes_orders=True,
            replays=True,
        ),
    )
