"""A session as operators see it: what waits for its bell, how long it will take, is all there.

The conservation line counts the orders twice, in two tables: if the book of reserved orders
and the orders that say `reserved` differ, something was lost. The two are read one after the
other, so a difference counts only when it is seen three times.
"""

from collections.abc import Sequence
from typing import Any, Final

from app.domain.capabilities import Capabilities
from app.domain.errors import Code
from app.domain.forecast import Line, Stretch, last_leaves, leave_before, stretches
from app.domain.order import MAYBE_OUT
from app.domain.profile import markets_of
from app.domain.records import Backlog, BrokerControl, Route
from app.domain.session import TradingSession
from app.domain.values import Status, rfc3339
from app.web.access.keys import not_there
from app.web.house import House
from app.web.operators.house_told import PlanTold
from app.web.shapes import session_shape
from app.web.spec import Call, Reply, Spec, ok

LOOKS_MAX: Final = 3


class Plans:
    """What the next open will be like, and the bell itself."""

    def __init__(self, house: House) -> None:
        self._house = house

    async def plan(self, call: Call[None, None]) -> Reply:
        """Show a session's backlog by broker, when it will have left, and its conservation."""
        session = self._house.reference().calendar.session(call.part("trading_session_id"))
        if session is None:
            raise not_there()
        backlog, counts = await self._counted(session)
        reserved = backlog.reserved.get(session.trading_session_id, 0)
        now = self._house.clock.now()
        brokers = await self._brokers(session, reserved, backlog, now)
        told = {
            "session": session_shape(session, now),
            "backlog": reserved,
            "brokers": brokers,
            "conservation": {
                "accepted": sum(counts.values()),
                "by_status": counts,
                "open_attempts": sum(counts.get(status, 0) for status in MAYBE_OUT),
                "balanced": reserved == counts.get(Status.RESERVED, 0),
            },
        }
        return ok(told)

    async def _counted(self, session: TradingSession) -> tuple[Backlog, dict[str, int]]:
        name, day = session.trading_session_id, session.trade_date
        control = self._house.control
        backlog, counts = await control.backlog(), await control.by_status(name, day)
        for _ in range(LOOKS_MAX - 1):
            if backlog.reserved.get(name, 0) == counts.get(Status.RESERVED, 0):
                break
            backlog, counts = await control.backlog(), await control.by_status(name, day)
        return backlog, counts

    async def _brokers(
        self, session: TradingSession, reserved: int, backlog: Backlog, now: int
    ) -> list[dict[str, Any]]:
        """Return a line for the broker that the market's route names, at the rates to come."""
        controls = await self._house.control.controls()
        routes = await self._house.control.routes()
        lines = []
        for route in routes:
            control = controls.get(route.active_broker)
            if route.route_id != session.market or control is None:
                continue
            waiting = reserved + backlog.ready.get(route.route_id, 0)
            found = self._forecast(control, routes, max(now, session.opens_at))
            ends_at = last_leaves(found, waiting)
            lines.append(
                {
                    "broker_id": control.broker_id,
                    "route_id": route.route_id,
                    "backlog": waiting,
                    "tps": found[0].tps,
                    "source": found[0].source,
                    "schedule": [_stretch(s) for s in found if s.at < session.closes_at],
                    "expected_end": None if ends_at is None else rfc3339(ends_at),
                    "will_miss_cut_off": max(0, waiting - leave_before(found, session.closes_at)),
                }
            )
        return lines

    def _forecast(
        self, control: BrokerControl, routes: Sequence[Route], since: int
    ) -> list[Stretch]:
        """Return how fast a broker takes orders from then on; of a stranger, its number alone."""
        broker = self._house.brokers.get(control.broker_id)
        able = Capabilities(orders_per_second_max=control.tps)
        markets = tuple(markets_of(control.broker_id, routes))
        calendar = self._house.reference().calendar
        return stretches(
            Line(control, broker.capabilities if broker else able, markets, calendar), since
        )


def _stretch(stretch: Stretch) -> dict[str, Any]:
    told = {"at": rfc3339(stretch.at), "tps": stretch.tps, "source": stretch.source}
    return told | {"orders_per_second": stretch.orders_per_second}


def plan_specs(house: House) -> Sequence[Spec[Any, Any]]:
    plans = Plans(house)
    return (
        Spec(
            method="GET",
            path="/admin/v1/sessions/{trading_session_id}/plan",
            name="get_session_plan",
            scope="admin:read",
            handler=plans.plan,
            answers={200: PlanTold},
            refuses=(Code.NOT_FOUND,),
        ),
    )
