"""Orders in, changed and canceled. A 201 says that the order is on disk.

The trap is the second answer: a client that heard nothing asks again with the same
client_order_id, and must get its order and not a new one (200, `Idempotent-Replayed`).
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from app.domain.errors import Busy, Code, Refused
from app.domain.order import Order
from app.domain.values import CancelOrigin, PendingRequest, Status
from app.web.access.keys import authorize, not_there
from app.web.clients.schemas import NewOrder, NewTerms, OrderTold, request_of
from app.web.house import House
from app.web.metrics import Meters
from app.web.problems import invalid_at
from app.web.quotas.toll import Toll
from app.web.shapes import order_shape
from app.web.spec import Call, Reply, Spec, etag, json_of, ok

WRITE: Final = "orders:write"
REPLAYED: Final = (b"idempotent-replayed", b"true")
NOT_TAKEN: Final = (
    Code.MALFORMED_REQUEST,
    Code.NOT_FOUND,
    Code.CLIENT_ORDER_ID_CONFLICT,
    Code.BODY_TOO_LARGE,
    Code.VALIDATION_FAILED,
    Code.UNKNOWN_MARKET,
    Code.UNKNOWN_SYMBOL,
    Code.BAD_QUANTITY,
    Code.QUANTITY_TOO_LARGE,
    Code.NOTIONAL_TOO_LARGE,
    Code.PRICE_REQUIRED,
    Code.PRICE_NOT_ALLOWED,
    Code.PRICE_OFF_TICK,
    Code.PRICE_OUT_OF_BAND,
    Code.BAD_CURRENCY,
    Code.UNKNOWN_SESSION,
    Code.SESSION_CLOSED,
    Code.SESSION_OVER,
    Code.TRADING_HALTED,
    Code.OVERLOADED,
    Code.DRAINING,
    Code.COMMIT_OUTCOME_UNKNOWN,
)
# The new terms of an order are judged as those of a new one.
TERMS_REFUSED: Final = (
    Code.BAD_QUANTITY,
    Code.QUANTITY_TOO_LARGE,
    Code.NOTIONAL_TOO_LARGE,
    Code.PRICE_REQUIRED,
    Code.PRICE_NOT_ALLOWED,
    Code.PRICE_OFF_TICK,
    Code.PRICE_OUT_OF_BAND,
    Code.UNKNOWN_SESSION,  # an operator has closed the day meanwhile
    Code.SESSION_OVER,
    Code.TRADING_HALTED,
)


class Orders:
    """What a client may do to its orders."""

    def __init__(self, house: House, meters: Meters, toll: Toll) -> None:
        self._house = house
        self._meters = meters
        self._toll = toll

    async def create(self, call: Call[NewOrder, None]) -> Reply:
        """Take one order, durably.

        The same client_order_id with the same body is the same order (200); with another
        body it is a conflict (409).
        """
        authorize(call.who, WRITE, call.body.account_id)
        try:
            await self._toll.order(call, call.body.account_id)
            order, created = await self._house.desk.place(request_of(call.body))
        except (Refused, Busy) as e:
            self._meters.refused(e.code)
            raise
        if not created:
            return self._told(order, REPLAYED)
        self._meters.accepted(order)
        location = (b"location", b"/v1/orders/" + order.order_id.encode())
        return self._told(order, location, status=201)

    async def amend(self, call: Call[NewTerms, None]) -> Reply:
        """Change an order: at once if it has not left (200), else as soon as its broker says (202).

        `If-Match` says which version was seen. At a broker the terms in the reply are the old
        ones, with `pending_request` `replace`, until the broker has accepted the new ones; the
        quantity counts what has traded already. A second change waits for the first.
        """
        order = await self._own(call)
        await self._toll.order(call, order.account_id)
        assert call.version is not None, "the door asks for If-Match"
        if call.body.quantity is None and call.body.limit_price is None:
            raise invalid_at("quantity", "expected a quantity or a limit_price")
        terms = call.body
        quantity = order.quantity if terms.quantity is None else Decimal(terms.quantity)
        price = order.limit_price if terms.limit_price is None else Decimal(terms.limit_price)
        try:
            after = await self._house.desk.amend(order, call.version, quantity, price)
        except Refused as e:
            raise await self._with_current(e, order.order_id) from None
        waits = after.pending_request is PendingRequest.REPLACE
        return self._told(after, status=202 if waits else 200)

    async def cancel(self, call: Call[None, None]) -> Reply:
        """Cancel: at once if it never left (200), else as soon as the broker says (202).

        It pays from a budget of its own: orders never spend what cancels need.
        """
        order = await self._own(call)
        try:
            after = await self._house.orders.cancel(
                order.order_id, call.version, CancelOrigin.CLIENT
            )
        except Refused as e:
            raise await self._with_current(e, order.order_id) from None
        return self._told(after, status=200 if after.status is Status.CANCELED else 202)

    async def _own(self, call: Call[Any, Any]) -> Order:
        order = await self._house.orders.get(call.part("order_id"))
        if order is None:
            raise not_there()
        authorize(call.who, WRITE, order.account_id)
        return order

    async def _with_current(self, refused: Refused, order_id: str) -> Refused:
        """Show whoever was late what stands now."""
        if refused.code is not Code.STALE_VERSION:
            return refused
        order = await self._house.orders.get(order_id)
        return refused if order is None else self._stale(order)

    def _stale(self, order: Order) -> Refused:
        detail = f"the order is at version {order.version}"
        return Refused(Code.STALE_VERSION, detail, current=self._shape(order))

    def _told(self, order: Order, *headers: tuple[bytes, bytes], status: int = 200) -> Reply:
        return ok(self._shape(order), etag(order.version), *headers, status=status)

    def _shape(self, order: Order) -> dict[str, Any]:
        return order_shape(order, self._house.reference().calendar)


def order_specs(house: House, meters: Meters, toll: Toll) -> Sequence[Spec[Any, Any]]:
    orders = Orders(house, meters, toll)
    return (
        Spec(
            method="POST",
            path="/v1/orders",
            name="create_order",
            scope=WRITE,
            handler=orders.create,
            reads=json_of(NewOrder),
            answers={201: OrderTold, 200: OrderTold},
            shows=("ETag", "Location", "Idempotent-Replayed"),
            refuses=NOT_TAKEN,
            takes_orders=True,
        ),
        Spec(
            method="PATCH",
            path="/v1/orders/{order_id}",
            name="amend_order",
            scope=WRITE,
            handler=orders.amend,
            reads=json_of(NewTerms),
            answers={200: OrderTold, 202: OrderTold},
            shows=("ETag",),
            refuses=(
                *TERMS_REFUSED,
                Code.MALFORMED_REQUEST,
                Code.NOT_FOUND,
                Code.ORDER_TERMINAL,
                Code.ORDER_NOT_EDITABLE,
                Code.REPLACE_UNSUPPORTED,
                Code.STALE_VERSION,
                Code.VALIDATION_FAILED,
                Code.IF_MATCH_REQUIRED,
            ),
            if_match="required",
        ),
        Spec(
            method="DELETE",
            path="/v1/orders/{order_id}",
            name="cancel_order",
            scope=WRITE,
            handler=orders.cancel,
            answers={200: OrderTold, 202: OrderTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND, Code.ORDER_TERMINAL, Code.STALE_VERSION),
            if_match="optional",
            cancels=True,
        ),
    )
