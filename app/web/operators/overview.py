"""The house at one glance, its attempts and its account view, for operators."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any, Final, TypeVar

from app.accounts.projector import GROUP, TOPIC
from app.domain.errors import Code
from app.domain.records import Change
from app.domain.values import rfc3339
from app.web.access.keys import Principal, authorize, must_see_all, not_there
from app.web.house import House, trouble_with_keys
from app.web.operator_schemas import Reasoned
from app.web.operators.house_told import (
    AttemptsTold,
    OverviewTold,
    RebuiltTold,
    ViewLagTold,
    ViewVerifiedTold,
)
from app.web.shapes import control_shape, halt_shape, instant, lane_shape, session_shape
from app.web.spec import Call, Reply, Spec, json_of, ok

SEE: Final = "admin:read"
AUDIT: Final = "audit:read"
# Whoever asks whether a store is there wants to hear that it is not, and soon.
STORE_WITHIN_S: Final = 2.0
# Of nobody: no account's name is empty, so its page is one look-up that finds nothing.
NO_ACCOUNT: Final = ""
T = TypeVar("T")


class Overview:
    """What an operator looks at."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def overview(self, call: Call[None, None]) -> Reply:
        """Show lanes, backlog, halts, routes and sessions, all from one moment."""
        return ok(as_seen(await self.document(), call.who))

    async def document(self) -> dict[str, Any]:
        """Return what the overview tells."""
        house = self._house
        now = house.clock.now()
        backlog = await house.control.backlog()
        halts = await house.control.halts()
        controls = await house.control.controls()
        routes = await house.control.routes()
        calendar = house.reference().calendar
        following = [calendar.next(market, now) for market in calendar.markets]
        return {
            "at": rfc3339(now),
            "draining": house.health.draining,
            "not_ready": house.health.not_ready(),
            "keyring": trouble_with_keys(house),
            "lanes": [lane_shape(lane) for lane in house.floor.lanes()],
            "controls": [control_shape(control) for control in controls.values()],
            "routes": [route._asdict() for route in routes],
            "backlog": backlog,
            "halts": [halt_shape(halt) for halt in halts],
            "sessions_open": [session_shape(s, now) for s in calendar.open_now(now)],
            "sessions_next": [session_shape(s, now) for s in following if s is not None],
        }

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

    async def rebuild_view(self, call: Call[Reasoned, None]) -> Reply:
        """Build the account view again from the ledger."""
        documents = await self._house.rebuild_view()
        change = Change("view.rebuild", "view/accounts", None, {"documents": documents})
        audit_id = await self._house.control.note(change, call.actor(call.body.reason))
        return ok({"documents": documents, "audit_id": audit_id})

    async def view_lag(self, call: Call[None, None]) -> Reply:  # noqa: ARG002
        """Show how far the account view is behind; a store that is away is named, not waited for.

        The trap is a lag of nothing that was read from a bus that nobody can publish to: what is
        not on the bus yet stands beside it.
        """
        house = self._house
        book = house.accounts.page(NO_ACCOUNT, status=None, cursor=None, limit=1)
        behind, page = await asyncio.gather(_answered(house.bus.lag(TOPIC, GROUP)), _answered(book))
        answers = {"bus": behind, "view": page}
        told = {
            "events_behind": behind,
            "outbox": (await house.control.backlog()).outbox,
            "away": [name for name, answer in answers.items() if answer is None],
        }
        return ok(told)

    async def verify_view(self, call: Call[None, None]) -> Reply:
        """Compare the account view with the ledger; a difference names its account."""
        must_see_all(call.who, SEE)
        differences = await self._house.verify_view()
        return ok({"equal": not differences, "differences": differences})


def as_seen(document: dict[str, Any], who: Principal) -> dict[str, Any]:
    """Return an overview as its reader may see it: the very same one, if he sees all of it."""
    halts = [halt for halt in document["halts"] if who.sees_halt(halt["scope"], halt["target"])]
    return document if len(halts) == len(document["halts"]) else document | {"halts": halts}


async def _answered(question: Awaitable[T]) -> T | None:
    """Return the answer; None from a store that is away, whichever way it has of being so."""
    try:
        async with asyncio.timeout(STORE_WITHIN_S):
            return await question
    except OSError:  # a time-out and `StoreAway` as well
        return None


def overview_specs(house: House) -> Sequence[Spec[Any, Any]]:
    overview = Overview(house)
    seen = [
        Spec(
            method="GET",
            path=f"/admin/v1/{path}",
            name=name,
            scope=SEE,
            handler=handler,
            answers={200: told},
            refuses=(Code.NOT_FOUND,) if "{" in path else (),
        )
        for path, name, handler, told in (
            ("overview", "get_overview", overview.overview, OverviewTold),
            ("orders/{order_id}/attempts", "list_attempts", overview.attempts, AttemptsTold),
            ("view/lag", "get_view_lag", overview.view_lag, ViewLagTold),
            ("view/verify", "verify_view", overview.verify_view, ViewVerifiedTold),
        )
    ]
    return (
        *seen,
        Spec(
            method="POST",
            path="/admin/v1/view/rebuild",
            name="rebuild_view",
            scope="admin:tune",
            handler=overview.rebuild_view,
            reads=json_of(Reasoned),
            answers={200: RebuiltTold},
            refuses=(Code.MALFORMED_REQUEST, Code.VALIDATION_FAILED),
            audited=True,
        ),
    )
