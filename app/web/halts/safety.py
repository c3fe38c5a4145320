"""Halt, resume, and the settling of doubts: where a second person stands beside the first.

A halt is in force before it is answered: the row is committed, then the lanes are told. It
stops new sends and cancels nothing; cancels still pass. Who halted may not resume, and a doubt
is settled by two, because a wrong word there is a second order at a broker. A halt needs no
`If-Match`, for it takes nothing back; its end names the halt that was seen, and a verdict the
order as it was seen.
"""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.errors import Code, Refused
from app.domain.halts import version_of
from app.domain.records import Change, Doubt, Halt
from app.domain.values import rfc3339
from app.web.access.keys import Principal, authorize, not_there
from app.web.clients.schemas import OrderTold
from app.web.confirmed import LARGE
from app.web.console.session import operator
from app.web.halts.covered import covered, named_by, target_of
from app.web.halts.persons import must_be_two
from app.web.house import House
from app.web.operator_schemas import HaltChange, Preview, Reasoned, Resolution
from app.web.operators.house_told import DoubtsTold, ProbeTold
from app.web.problems import invalid_at
from app.web.routes.course_told import CoveredTold, HaltsTold, HaltTold, ResumedTold
from app.web.shapes import halt_shape, order_shape
from app.web.spec import Call, Reply, Spec, etag, json_of, ok

SEE: Final = "admin:read"
SETTLE: Final = "admin:settle"
HALT: Final = "admin:halt"
RESUME: Final = "admin:resume"


class Safety:
    """The red buttons."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def halts(self, call: Call[None, None]) -> Reply:
        """List the halts in force, of accounts that the caller sees."""
        found = await self._house.control.halts()
        seen = [halt for halt in found if call.who.sees_halt(halt.scope, halt.target)]
        return ok({"data": [halt_shape(halt) for halt in seen]})

    async def halt(self, call: Call[HaltChange, Preview]) -> Reply:
        """Stop new sends in scope. Working orders stay, and cancels still pass."""
        change = call.body
        if not call.who.sees_halt(change.scope, target_of(change)):
            raise not_there()
        if call.query.dry_run:
            return await self._would(call, HALT)
        standing = await self._house.control.halt(
            change.scope, target_of(change), call.actor(change.reason)
        )
        self._house.floor.halts_changed()
        return ok(halt_shape(standing), etag(version_of(standing)))

    async def resume(self, call: Call[HaltChange, Preview]) -> Reply:
        """Lift a halt; only another person than the one who halted."""
        change = call.body
        target = target_of(change)
        standing = await self._seen(call, target)
        if call.query.dry_run:
            return await self._would(call, RESUME)
        if call.approval is None:  # where it was proposed, those two are two already
            words = f"{standing.halted_by} halted; another person must resume"
            must_be_two(call.who.name, standing.halted_by, words)
        by = call.actor(change.reason)
        await self._house.control.resume(change.scope, target, by, call.version)
        self._house.floor.halts_changed()
        return ok({"scope": change.scope, "target": target, "resumed_by": call.who.name})

    async def _seen(self, call: Call[HaltChange, Any], target: str) -> Halt:
        """Return the halt that stands, or raise `Refused` if the caller saw another one."""
        place = (call.body.scope, target)
        halts = await self._house.control.halts()
        standing = next((h for h in halts if (h.scope, h.target) == place), None)
        if standing is None or not call.who.sees_halt(*place):
            raise not_there()
        if call.version != version_of(standing):
            raise Refused(
                Code.STALE_VERSION,
                f"{standing.halted_by} has halted it since",
                current=halt_shape(standing),
                changed_by=standing.halted_by,
                changed_at=rfc3339(standing.halted_at),
            )
        return standing

    async def _would(self, call: Call[HaltChange, Preview], scope: str) -> Reply:
        target = target_of(call.body)
        orders = await covered(self._house, call, scope)
        told = {"scope": call.body.scope, "target": target, "orders_affected": orders}
        return ok({"dry_run": True} | told)

    async def doubts(self, call: Call[None, None]) -> Reply:
        """List the orders that were sent and not answered, the oldest first."""
        now = self._house.clock.now()
        found = await self._doubts(call.who)
        return ok({"data": [_doubt_shape(doubt, now) for doubt in found]})

    async def probe(self, call: Call[Reasoned, None]) -> Reply:
        """Ask the broker about one order now, and say what that proved."""
        doubt = await self._doubt(call)
        proved = await self._house.floor.probe(doubt.broker_order_key)
        change = Change(
            "doubt.probe",
            f"order/{doubt.order_id}",
            {"attempt": doubt.broker_order_key},
            {"proved": proved},
        )
        audit_id = await self._house.control.note(change, call.actor(call.body.reason))
        told = {"order_id": doubt.order_id, "attempt_id": doubt.broker_order_key}
        return ok(told | {"proved": proved, "audit_id": audit_id})

    async def resolve(self, call: Call[Resolution, None]) -> Reply:
        """Settle a doubt by evidence that two people have seen.

        The second sends nothing: their key stands in `X-Approver-Key`.
        """
        word = call.body
        if word.verdict == "filled" and word.price is None:
            raise invalid_at("price", "filled needs the price")
        doubt = await self._doubt(call)
        approved_by = await self._second(call, doubt)
        if word.attempt_id != doubt.broker_order_key:
            raise Refused(Code.DOUBT_SETTLED, f"attempt {word.attempt_id} is not in doubt")
        if call.version != doubt.version:
            raise await self._stale(doubt)
        terms = {"evidence": word.evidence, "approved_by": approved_by}
        if word.price is not None:
            terms["price"] = word.price
        if word.broker_order_id is not None:
            terms["broker_order_id"] = word.broker_order_id
        order = await self._house.control.resolve_doubt(
            word.attempt_id, word.verdict, terms, call.actor(word.reason), call.version
        )
        shape = order_shape(order, self._house.reference().calendar)
        return ok(shape, etag(order.version))

    async def _second(self, call: Call[Any, Any], doubt: Doubt) -> str:
        """Return who stands beside the caller: who approved the proposal, or lends a key."""
        if call.approval is not None:
            return call.approval.approved_by
        return (await self._approver(call, doubt)).name

    async def _approver(self, call: Call[Any, Any], doubt: Doubt) -> Principal:
        shown = f"Bearer {call.request.headers.get('x-approver-key', '')}"
        try:
            approver = await operator(shown, call.request, self._house)
            authorize(approver, SETTLE, doubt.account_id)  # two see the evidence, of their account
        except Refused as e:
            detail = f"X-Approver-Key: expected a key or token with {SETTLE} that sees the account"
            raise Refused(Code.SECOND_PRINCIPAL_REQUIRED, detail) from e
        words = f"{approver.name} may not approve for themselves"
        must_be_two(approver.name, call.who.name, words)
        return approver

    async def _stale(self, doubt: Doubt) -> Refused:
        order = await self._house.orders.get(doubt.order_id)
        return Refused(
            Code.STALE_VERSION,
            f"the order is at version {doubt.version}",
            current=order and order_shape(order, self._house.reference().calendar),
        )

    async def _doubts(self, who: Principal) -> list[Doubt]:
        found = await self._house.control.doubts()
        return [doubt for doubt in found if who.sees(doubt.account_id)]

    async def _doubt(self, call: Call[Any, Any]) -> Doubt:
        order_id = call.part("order_id")
        for doubt in await self._doubts(call.who):
            if doubt.order_id == order_id:
                return doubt
        order = await self._house.orders.get(order_id)
        if order is None or not call.who.sees(order.account_id):
            raise not_there()
        raise Refused(Code.DOUBT_SETTLED, f"the order is {order.status}", status=order.status)


def _doubt_shape(doubt: Doubt, now: int) -> dict[str, Any]:
    return {
        "order_id": doubt.order_id,
        "attempt_id": doubt.broker_order_key,
        "account_id": doubt.account_id,
        "symbol": doubt.symbol,
        "broker_id": doubt.broker_id,
        "since": rfc3339(doubt.since),
        "age_s": max(0, now - doubt.since) // 1000,
        "version": doubt.version,
    }


def safety_specs(house: House) -> Sequence[Spec[Any, Any]]:
    safety = Safety(house)
    return (*_halts(safety), *_doubts(safety))


def _halts(safety: Safety) -> Sequence[Spec[Any, Any]]:
    return (
        Spec(
            method="GET",
            path="/admin/v1/halts",
            name="list_halts",
            scope=SEE,
            handler=safety.halts,
            answers={200: HaltsTold},
        ),
        Spec(
            method="POST",
            path="/admin/v1/halt",
            name="halt",
            scope=HALT,
            handler=safety.halt,
            reads=json_of(HaltChange),
            asks=Preview,
            answers={200: HaltTold | CoveredTold},
            shows=("ETag",),
            refuses=(
                Code.MALFORMED_REQUEST,
                Code.NOT_FOUND,
                Code.VALIDATION_FAILED,
                Code.CONFIRM_REQUIRED,
            ),
            names=lambda call: named_by(call.body) if call.body.scope in LARGE else None,
            audited=True,
        ),
        Spec(
            method="POST",
            path="/admin/v1/resume",
            name="resume",
            scope=RESUME,
            handler=safety.resume,
            reads=json_of(HaltChange),
            asks=Preview,
            answers={200: ResumedTold | CoveredTold},
            refuses=(
                Code.NOT_FOUND,
                Code.SECOND_PRINCIPAL_REQUIRED,
                Code.STALE_VERSION,
                Code.VALIDATION_FAILED,
                Code.IF_MATCH_REQUIRED,
            ),
            if_match="required",
            audited=True,
        ),
    )


def _doubts(safety: Safety) -> Sequence[Spec[Any, Any]]:
    path = "/admin/v1/in-doubt"
    return (
        Spec(
            method="GET",
            path=path,
            name="list_doubts",
            scope=SEE,
            handler=safety.doubts,
            answers={200: DoubtsTold},
        ),
        Spec(
            method="POST",
            path=f"{path}/{{order_id}}/probe",
            name="probe_doubt",
            scope=SETTLE,
            handler=safety.probe,
            reads=json_of(Reasoned),
            answers={200: ProbeTold},
            refuses=(Code.NOT_FOUND, Code.DOUBT_SETTLED, Code.VALIDATION_FAILED),
            audited=True,
        ),
        Spec(
            method="POST",
            path=f"{path}/{{order_id}}/resolve",
            name="resolve_doubt",
            scope=SETTLE,
            handler=safety.resolve,
            reads=json_of(Resolution),
            answers={200: OrderTold},
            shows=("ETag",),
            approved=True,
            refuses=(
                Code.NOT_FOUND,
                Code.DOUBT_SETTLED,
                Code.SECOND_PRINCIPAL_REQUIRED,
                Code.STALE_VERSION,
                Code.VALIDATION_FAILED,
                Code.IF_MATCH_REQUIRED,
            ),
            if_match="required",
            audited=True,
        ),
    )
