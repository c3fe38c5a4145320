"""The house at one glance, its audit log, its attempts and its account view, for operators."""

from collections.abc import Sequence
from typing import Any, Final

from app import codec
from app.domain.errors import Code
from app.domain.records import Change
from app.domain.values import rfc3339
from app.web.house import House
from app.web.keys import authorize, not_there
from app.web.operator_schemas import AuditAsked, Reasoned
from app.web.shapes import control_shape, halt_shape, instant, lane_shape, session_shape
from app.web.spec import Call, Reply, Spec, json_of, ok

SEE: Final = "admin:read"


class Overview:
    """What an operator looks at."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def overview(self, call: Call[None, None]) -> Reply:  # noqa: ARG002 - doors are alike
        """Show lanes, backlog, halts, routes and sessions, all from one moment."""
        house = self._house
        now = house.clock.now()
        backlog = await house.control.backlog()
        halts = await house.control.halts()
        controls = await house.control.controls()
        routes = await house.control.routes()
        calendar = house.reference().calendar
        following = [calendar.next(market, now) for market in calendar.markets]
        told = {
            "at": rfc3339(now),
            "draining": house.health.draining,
            "not_ready": house.health.not_ready(),
            "keyring": house.keyring.trouble,
            "lanes": [lane_shape(lane) for lane in house.floor.lanes()],
            "controls": [control_shape(control) for control in controls.values()],
            "routes": [route._asdict() for route in routes],
            "backlog": backlog,
            "halts": [halt_shape(halt) for halt in halts],
            "sessions_open": [session_shape(s, now) for s in calendar.open_now(now)],
            "sessions_next": [session_shape(s, now) for s in following if s is not None],
        }
        return ok(told)

    async def attempts(self, call: Call[None, None]) -> Reply:
        """List every attempt at an order, and how each ended."""
        order = await self._house.orders.get(call.part("order_id"))
        if order is None:
            raise not_there()
        authorize(call.who, SEE, order.account_id)
        found = await self._house.orders.attempts(order.order_id)
        shapes = [
            attempt._asdict()
            | {
                "claimed_at": rfc3339(attempt.claimed_at),
                "settled_at": instant(attempt.settled_at),
            }
            for attempt in found
        ]
        return ok({"data": shapes})

    async def audit(self, call: Call[None, AuditAsked]) -> Reply:
        """List who did what, when and why, oldest first."""
        asked = call.query
        rows = await self._house.control.audit(asked.after, asked.limit)
        more = len(rows) == asked.limit
        told = {
            "data": [_audit_shape(row) for row in rows],
            "has_more": more,
            "next_after": rows[-1]["sequence"] if more else None,
        }
        return ok(told)

    async def verify_audit(self, call: Call[None, None]) -> Reply:  # noqa: ARG002
        """Check the chain of hashes from the first row to the last."""
        broken_at = await self._house.control.audit_broken_at()
        return ok({"intact": broken_at is None, "first_broken": broken_at})

    async def rebuild_view(self, call: Call[Reasoned, None]) -> Reply:
        """Build the account view again from the ledger."""
        documents = await self._house.rebuild_view()
        change = Change("view.rebuild", "view/accounts", None, {"documents": documents})
        audit_id = await self._house.control.note(change, call.actor(call.body.reason))
        return ok({"documents": documents, "audit_id": audit_id})

    async def verify_view(self, call: Call[None, None]) -> Reply:  # noqa: ARG002
        """Compare the account view with the ledger."""
        differences = await self._house.verify_view()
        return ok({"equal": not differences, "differences": differences})


def _audit_shape(row: dict[str, object]) -> dict[str, object]:
    at = row["at"]
    assert isinstance(at, int), "the store stamps its audit rows"
    return row | {
        "at": rfc3339(at),
        "before": codec.decode(str(row["before"])),
        "after": codec.decode(str(row["after"])),
    }


def overview_specs(house: House) -> Sequence[Spec[Any, Any]]:
    overview = Overview(house)
    seen = [
        Spec(
            method="GET",
            path=f"/admin/v1/{path}",
            name=name,
            scope=scope,
            handler=handler,
            answers={200: None},
            refuses=(Code.NOT_FOUND,) if "{" in path else (),
        )
        for path, name, scope, handler in (
            ("overview", "get_overview", SEE, overview.overview),
            ("orders/{order_id}/attempts", "list_attempts", SEE, overview.attempts),
            ("audit/verify", "verify_audit", "audit:read", overview.verify_audit),
            ("view/verify", "verify_view", SEE, overview.verify_view),
        )
    ]
    return (
        *seen,
        Spec(
            method="GET",
            path="/admin/v1/audit",
            name="list_audit",
            scope="audit:read",
            handler=overview.audit,
            asks=AuditAsked,
            answers={200: None},
            refuses=(Code.VALIDATION_FAILED,),
        ),
        Spec(
            method="POST",
            path="/admin/v1/view/rebuild",
            name="rebuild_view",
            scope="admin:tune",
            handler=overview.rebuild_view,
            reads=json_of(Reasoned),
            answers={200: None},
            refuses=(Code.MALFORMED_REQUEST, Code.VALIDATION_FAILED),
            audited=True,
        ),
    )
