"""Held orders: what is held, holding back, letting go, and the end of one order by an operator.

One order is changed under the version that was seen, many as a dry run showed them. What is held
keeps its place and ends with its session. Nothing here lets an order go of which a broker has
shown a copy: the trap is the button that sends it a second time.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from app.domain import holding as law
from app.domain.errors import Code
from app.domain.order import UNSENT, Order, is_stray
from app.domain.records import Actor, Change
from app.domain.session import TradingSession
from app.domain.sweep import Begun, Dealt, Deed, SweepScope
from app.web.clients.schemas import OrderTold
from app.web.cursors import cursor_at, place_of
from app.web.halts.deed_told import (
    CancelPreviewTold,
    HeldPageTold,
    HoldPreviewTold,
    ManyDealtTold,
    OrderDealtTold,
)
from app.web.halts.hold_shapes import HeldAsked, ManyAsked, held_shape
from app.web.halts.seen_order import order_of, seen_order
from app.web.halts.selections import (
    CHUNK,
    WORK_S_MAX,
    accounts_of,
    must_not_have_grown,
    previewed,
    seen_upto,
)
from app.web.house import House
from app.web.operator_schemas import Preview, Reasoned
from app.web.operators.house_told import SweepPreviewTold
from app.web.problems import invalid_at
from app.web.shapes import order_shape
from app.web.spec import Call, Reply, Spec, etag, json_of, ok

SEE: Final = "admin:read"
HALT: Final = "admin:halt"


class Holds:
    """What operators do to orders that wait."""

    def __init__(self, house: House) -> None:
        self._house = house

    # --- one order ----------------------------------------------------------------------

    async def shown(self, call: Call[None, None]) -> Reply:
        """Show one order to an operator; its ETag is what a hold, release or cancel must name."""
        order = await order_of(self._house, call, SEE)
        return ok(self._shape(order), etag(order.version))

    async def hold(self, call: Call[Reasoned, Preview]) -> Reply:
        """Hold back an order that never left; it keeps its place, and ends with its session."""
        order = await seen_order(self._house, call, HALT)
        if call.query.dry_run:
            return self._would(law.held(order, self._house.clock.now()), order)
        by = call.actor(call.body.reason)
        after = await self._house.holds.hold(order.order_id, order.version, by)
        return self._told(after, "release")

    async def release(self, call: Call[Reasoned, Preview]) -> Reply:
        """Let a held order go: to its bell, or to those that wait for a permit."""
        order = await seen_order(self._house, call, HALT)
        session_of, now = self._session_of(), self._house.clock.now()
        if call.query.dry_run:
            return self._would(law.let_go(order, session_of(order.trading_session_id), now), order)
        by = call.actor(call.body.reason)
        after = await self._house.holds.let_go(order.order_id, order.version, session_of, by)
        return self._told(after, "hold")

    async def cancel(self, call: Call[Reasoned, Preview]) -> Reply:
        """End an order: at once if it never left (200), or ask its broker to (202)."""
        order = await seen_order(self._house, call, HALT)
        if call.query.dry_run:
            at_once = order.status in UNSENT and not is_stray(order)
            return ok({"dry_run": True, "orders_affected": 1, "at_once": at_once})
        by = call.actor(call.body.reason)
        after = await self._house.holds.cancel_by(order.order_id, order.version, by)
        return self._told(after, None, 200 if after.is_terminal else 202)

    def _shape(self, order: Order) -> dict[str, Any]:
        return order_shape(order, self._house.reference().calendar)

    def _would(self, after: Order | Code, order: Order) -> Reply:
        moved = not isinstance(after, Code)
        to = order.status if isinstance(after, Code) else after.status
        return ok({"dry_run": True, "orders_affected": int(moved), "status": to})

    def _told(self, order: Order, undo: str | None, status: int = 200) -> Reply:
        shape = self._shape(order)
        if undo is not None:
            shape["undo_url"] = f"/admin/v1/orders/{order.order_id}/{undo}"
        return ok(shape, etag(order.version), status=status)

    def _session_of(self) -> Callable[[str], TradingSession | None]:
        return self._house.reference().calendar.session

    # --- many ---------------------------------------------------------------------------

    async def listed(self, call: Call[None, HeldAsked]) -> Reply:
        """List what is held and why, the youngest order first."""
        asked = call.query
        accounts = accounts_of(call.who, asked.account_id, SEE)
        listing = ("held", asked.account_id)
        before = None if asked.cursor is None else place_of(asked.cursor, listing)
        found = await self._house.holds.held(accounts, before, asked.limit + 1)
        shown, more = found[: asked.limit], len(found) > asked.limit
        page = {
            "data": [held_shape(held) for held in shown],
            "has_more": more,
            "next_cursor": cursor_at(shown[-1].accept_sequence, listing) if more else None,
        }
        return ok(page)

    async def hold_many(self, call: Call[ManyAsked, Preview]) -> Reply:
        """Hold back every order of a scope that never left, as a dry run showed them."""
        return await self._many(call, Deed.HOLD, self._house.holds.hold_some)

    async def release_many(self, call: Call[ManyAsked, Preview]) -> Reply:
        """Let every held order of a scope go, as a dry run showed them."""
        session_of = self._session_of()

        async def some(scope: SweepScope, place: tuple[int, int, int]) -> Dealt:
            return await self._house.holds.let_some_go(scope, place, session_of)

        return await self._many(call, Deed.RELEASE, some)

    async def _many(
        self,
        call: Call[ManyAsked, Preview],
        deed: Deed,
        some: Callable[[SweepScope, tuple[int, int, int]], Awaitable[Dealt]],
    ) -> Reply:
        asked = call.body
        named = (asked.symbol, asked.trading_session_id, asked.list_id)
        if asked.everything is any((asked.account_id, *named)):
            raise invalid_at("everything", "name which orders, or say that it is every one")
        scope = SweepScope(accounts_of(call.who, asked.account_id, HALT), *named)
        sweeps = self._house.sweeps
        upto = seen_upto(asked.selection_id, deed, scope)
        selection = await sweeps.select(scope, upto, deed)
        if call.query.dry_run:
            return ok(previewed(selection, deed, scope))
        must_not_have_grown(selection, asked.expected_count)
        by = call.actor(asked.reason)._replace(request_id=asked.request_id)
        begun = await sweeps.begin_sweep(scope, selection, by, deed)
        return await self._dealt(deed, lambda at: some(scope, (at, begun.upto, CHUNK)), begun, by)

    async def _dealt(
        self, deed: Deed, some: Callable[[int], Awaitable[Dealt]], begun: Begun, by: Actor
    ) -> Reply:
        loop = asyncio.get_running_loop()
        until = loop.time() + WORK_S_MAX
        moved = left = 0
        after: int | None = 0
        while after is not None and loop.time() < until:
            dealt = await some(after)
            moved, left, after = moved + dealt.moved, left + dealt.left, dealt.after
        told = {"request_id": by.request_id, "moved": moved, "left": left, "done": after is None}
        told["replayed"] = begun.again
        audit_id = await self._house.control.note(
            Change(f"orders.{deed}.done", "orders", None, told), by
        )
        return ok(told | {"audit_id": audit_id}, status=200 if after is None else 202)


ONE: Final = (
    Code.MALFORMED_REQUEST,
    Code.NOT_FOUND,
    Code.STALE_VERSION,
    Code.VALIDATION_FAILED,
    Code.IF_MATCH_REQUIRED,
)
MANY: Final = (
    Code.MALFORMED_REQUEST,
    Code.NOT_FOUND,
    Code.IDEMPOTENCY_KEY_REUSED,
    Code.SELECTION_GREW,
    Code.VALIDATION_FAILED,
)


HELD: Final = {200: OrderDealtTold | HoldPreviewTold}
ENDED: Final = {200: OrderDealtTold | CancelPreviewTold, 202: OrderDealtTold}


def hold_specs(house: House) -> Sequence[Spec[Any, Any]]:
    holds = Holds(house)
    return (*_listed(holds), *_of_many(holds), *_of_one(holds))


def _listed(holds: Holds) -> Sequence[Spec[Any, Any]]:
    return (
        Spec(
            method="GET",
            path="/admin/v1/orders/held",
            name="list_held_orders",
            scope=SEE,
            handler=holds.listed,
            asks=HeldAsked,
            answers={200: HeldPageTold},
            refuses=(Code.NOT_FOUND, Code.VALIDATION_FAILED),
        ),
        Spec(
            method="GET",
            path="/admin/v1/orders/{order_id}",
            name="get_order_as_operator",
            scope=SEE,
            handler=holds.shown,
            answers={200: OrderTold},
            shows=("ETag",),
            refuses=(Code.NOT_FOUND,),
        ),
    )


def _of_many(holds: Holds) -> Sequence[Spec[Any, Any]]:
    return [
        Spec(
            method="POST",
            path=f"/admin/v1/orders/{verb}",
            name=f"{verb}_orders",
            scope=HALT,
            handler=handler,
            reads=json_of(ManyAsked),
            asks=Preview,
            answers={200: ManyDealtTold | SweepPreviewTold, 202: ManyDealtTold},
            refuses=MANY,
            audited=True,
        )
        for verb, handler in (("hold", holds.hold_many), ("release", holds.release_many))
    ]


def _of_one(holds: Holds) -> Sequence[Spec[Any, Any]]:
    return [
        Spec(
            method="POST",
            path=f"/admin/v1/orders/{{order_id}}/{verb}",
            name=name,
            scope=HALT,
            handler=handler,
            reads=json_of(Reasoned),
            asks=Preview,
            answers=answers,
            shows=("ETag",),
            refuses=(*ONE, refuses),
            if_match="required",
            audited=True,
        )
        for verb, name, handler, answers, refuses in (
            ("hold", "hold_order", holds.hold, HELD, Code.NOT_HOLDABLE),
            ("release", "release_order", holds.release, HELD, Code.NOT_RELEASABLE),
            ("cancel", "cancel_order_as_operator", holds.cancel, ENDED, Code.ORDER_TERMINAL),
        )
    ]
