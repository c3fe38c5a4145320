"""Takes orders: checked, then durable, then answered, the same id twice being the same order.

Time-bound reasons to refuse never outrank identity: a client that repeats yesterday's request
gets yesterday's order, and not "the session is over". The trap is to answer from the checks
alone when they fail.
"""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

from app.clock import Clock
from app.domain.errors import Busy, Code, Refused
from app.domain.halts import Halts
from app.domain.limits import Limits
from app.domain.order import WORKING, Order
from app.domain.records import Conflict, Taken, Taking
from app.domain.request import OrderRequest, request_hash
from app.domain.values import legible
from app.intake.checks import admit
from app.intake.writer import Writer
from app.ports.orders import OrderStore
from app.reference import Reference


class Desk:
    """Where requests become orders."""

    def __init__(  # noqa: PLR0913 - keyword-only: what a desk is made of
        self,
        *,
        store: OrderStore,
        writer: Writer,
        clock: Clock,
        reference: Callable[[], Reference],
        halts: Callable[[], Halts],
        limits: Limits,
        on_queued: Callable[[], None] = lambda: None,
        replaces: frozenset[str] = frozenset(),
    ) -> None:
        """Stand ready; `replaces` are the brokers that can change an order's terms in one step."""
        self._store = store
        self._writer = writer
        self._clock = clock
        self._reference = reference
        self._halts = halts
        self._limits = limits
        self._on_queued = on_queued
        self._replaces = replaces

    async def place(self, request: OrderRequest) -> Taken:
        entry = self._checked(request)
        if isinstance(entry, Refused):
            return await self._known_or(request, entry)
        (result,) = await self._writer.take([entry])
        return self._answer(result)

    async def place_all(
        self, requests: Sequence[OrderRequest | Refused]
    ) -> list[Taken | Refused | Busy]:
        checked = [r if isinstance(r, Refused) else self._checked(r) for r in requests]
        entries = [entry for entry in checked if isinstance(entry, Taking)]
        results: list[Taken | Conflict | Busy]
        try:
            results = [*(await self._writer.take(entries))] if entries else []
        except Busy as e:
            results = [e] * len(entries)
        taken = iter(results)
        answers: list[Taken | Refused | Busy] = []
        for request, entry in zip(requests, checked, strict=True):
            answers.append(await self._one(request, entry, taken))
        return answers

    async def _one(
        self,
        request: OrderRequest | Refused,
        entry: Taking | Refused,
        taken: Iterator[Taken | Conflict | Busy],
    ) -> Taken | Refused | Busy:
        if isinstance(request, Refused):
            return request
        try:
            if isinstance(entry, Refused):
                return await self._known_or(request, entry)
            result = next(taken)
            return result if isinstance(result, Busy) else self._answer(result)
        except Refused as e:
            return e

    async def amend(
        self, order: Order, version: int, quantity: Decimal, limit_price: Decimal | None
    ) -> Order:
        """Check the new terms as if they were new, and edit or ask for them; raises `Refused`."""
        if order.status in WORKING and order.broker_id not in self._replaces:
            detail = f"{order.broker_id} cannot; cancel the order and place another"
            raise Refused(Code.REPLACE_UNSUPPORTED, detail)
        request = OrderRequest(
            account_id=order.account_id,
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            market=order.market,
            side=order.side,
            order_type=order.order_type,
            quantity=quantity,
            limit_price=limit_price,
            currency=order.currency,
            time_in_force=order.time_in_force,
            trading_session_id=order.trading_session_id,
            list_id=order.list_id,
            text=order.text,
        )
        checked = self._checked(request)
        if isinstance(checked, Refused):
            raise checked
        return await self._store.amend(order.order_id, version, quantity, limit_price)

    def _checked(self, request: OrderRequest) -> Taking | Refused:
        if _illegible(request):
            return Refused(Code.VALIDATION_FAILED, "expected texts without NUL or half a character")
        reference = self._reference()
        try:
            admission = admit(
                request,
                instruments=reference.instruments,
                calendar=reference.calendar,
                limits=self._limits,
                now=self._clock.now(),
            )
        except Refused as e:
            return e
        if self._halts().covers(request.market, request.account_id, request.symbol):
            return Refused(Code.TRADING_HALTED, "a halt covers this order")
        digest = request_hash(request)
        return Taking(request, digest, admission.session, admission.reserved, request.market)

    async def _known_or(self, request: OrderRequest, refused: Refused) -> Taken:
        if _illegible(request):
            raise refused  # it was never stored, and cannot even be asked for
        digest = request_hash(request)
        known = await self._store.standing(request.account_id, request.client_order_id, digest)
        if known is None:
            raise refused
        return self._answer(known)

    def _answer(self, result: Taken | Conflict) -> Taken:
        if isinstance(result, Conflict):
            raise Refused(
                Code.CLIENT_ORDER_ID_CONFLICT,
                "the account has used this client_order_id for another order",
                existing_order_id=result.existing_order_id,
                status=result.status,
            )
        if result.created and result.order.released_at is not None:
            self._on_queued()
        return result


def _illegible(request: OrderRequest) -> bool:
    """Whether a text could not be stored as it came: one such order would fail its whole group."""
    return any(isinstance(value, str) and value != legible(value) for value in request)
