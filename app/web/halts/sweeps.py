"""Mass cancel: everything that the caller names ends, or its broker is asked to end it.

What never left is canceled at once, and no broker ever sees it. What may be at a broker gets a
cancel request there; nothing here waits for it, so silence is no answer and no time-out either.
One call works for some seconds; a larger sweep answers 202 and goes on when the same request
comes again, because a million orders are more than one answer can wait for.

The trap is that second request: it ends at the order at which the first one ended, so what the
client has placed since is safe.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from app.domain.errors import Code
from app.domain.records import Change
from app.domain.sweep import Begun, Deed, SweepScope
from app.domain.values import CancelOrigin
from app.web.access.keys import Principal
from app.web.halts.selections import (
    CHUNK,
    WORK_S_MAX,
    accounts_of,
    must_not_have_grown,
    previewed,
    seen_upto,
)
from app.web.halts.sweep_shapes import OperatorSweep, ScopeAsked, SweepAsked, SweptTold
from app.web.house import House
from app.web.operator_schemas import Preview
from app.web.operators.house_told import OperatorSweptTold, SweepPreviewTold
from app.web.problems import invalid_at
from app.web.spec import Call, Reply, Spec, json_of, ok

WRITE: Final = "orders:write"
HALT: Final = "admin:halt"


class Sweeps:
    """Both doors, and the loop behind them."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def client(self, call: Call[SweepAsked, None]) -> Reply:
        """Cancel all orders of a scope: at once what never left, by request what may have.

        200: all of it. 202: it took long; send the same request again, and it goes on. Sent
        again it touches nothing that was placed since.
        """
        asked = call.body
        scope = SweepScope(
            _own_accounts(call.who, asked),
            asked.symbol,
            asked.trading_session_id,
            asked.list_id,
        )
        if all(named is None for named in (asked.account_id, *scope[1:])):
            raise invalid_at("account_id", "name an account, a symbol, a session or a list")
        by = call.actor("asked by its owner")
        by = by._replace(name=call.who.key_id, request_id=asked.request_id)
        begun = await self._house.sweeps.begin_sweep(
            scope, await self._house.sweeps.select(scope), by
        )
        told = await self.swept(scope, begun, CancelOrigin.CLIENT, asked.request_id)
        return ok(told, status=200 if told["done"] else 202)

    async def operator(self, call: Call[OperatorSweep, Preview]) -> Reply:
        """Cancel all orders of a scope, as an operator saw it by a dry run before.

        It halts nothing: halt first, or new orders go on leaving.
        """
        asked = call.body
        accounts = accounts_of(call.who, asked.account_id, HALT)
        named = (asked.symbol, asked.trading_session_id, asked.list_id, asked.broker_id)
        scope = SweepScope(accounts, *named)
        if asked.everything is any((asked.account_id, *named)):
            raise invalid_at("everything", "name what to cancel, or say that it is everything")
        upto = seen_upto(asked.selection_id, Deed.CANCEL, scope)
        selection = await self._house.sweeps.select(scope, upto)
        if call.query.dry_run:
            return ok(previewed(selection, Deed.CANCEL, scope))
        by = call.actor(asked.reason)._replace(request_id=asked.request_id)
        must_not_have_grown(selection, asked.expected_count)
        begun = await self._house.sweeps.begin_sweep(scope, selection, by)
        told = await self.swept(scope, begun, CancelOrigin.OPERATOR, asked.request_id)
        change = Change("orders.mass_canceled", "orders", None, told)
        audit_id = await self._house.control.note(change, by)
        return ok(told | {"audit_id": audit_id}, status=200 if told["done"] else 202)

    async def swept(
        self, scope: SweepScope, begun: Begun, origin: CancelOrigin, request_id: str
    ) -> dict[str, Any]:
        """Work through it for some seconds, and say how far that came."""
        loop = asyncio.get_running_loop()
        until = loop.time() + WORK_S_MAX
        canceled = requested = 0
        after: int | None = 0
        while after is not None and loop.time() < until:
            swept = await self._house.sweeps.sweep(scope, (after, begun.upto, CHUNK), origin)
            canceled += swept.canceled
            requested += swept.requested
            after = swept.after
        return {
            "request_id": request_id,
            "canceled": canceled,
            "cancel_requested": requested,
            "done": after is None,
            "replayed": begun.again,
        }


def _own_accounts(who: Principal, asked: ScopeAsked) -> tuple[str, ...]:
    """Return the accounts that a client may touch: never simply all that there are."""
    accounts = accounts_of(who, asked.account_id, WRITE)
    if accounts is None:
        raise invalid_at("account_id", "this key sees every account: name one")
    return accounts


def sweep_specs(house: House) -> Sequence[Spec[Any, Any]]:
    sweeps = Sweeps(house)
    refuses = (
        Code.MALFORMED_REQUEST,
        Code.NOT_FOUND,
        Code.IDEMPOTENCY_KEY_REUSED,
        Code.VALIDATION_FAILED,
    )
    return (
        Spec(
            method="POST",
            path="/v1/orders/mass-cancel",
            name="mass_cancel",
            scope=WRITE,
            handler=sweeps.client,
            reads=json_of(SweepAsked),
            answers={200: SweptTold, 202: SweptTold},
            refuses=refuses,
            cancels=True,
        ),
        Spec(
            method="POST",
            path="/admin/v1/orders/mass-cancel",
            name="mass_cancel_as_operator",
            scope=HALT,
            handler=sweeps.operator,
            reads=json_of(OperatorSweep),
            asks=Preview,
            answers={200: OperatorSweptTold | SweepPreviewTold, 202: OperatorSweptTold},
            refuses=(*refuses, Code.SELECTION_GREW),
            audited=True,
        ),
    )
