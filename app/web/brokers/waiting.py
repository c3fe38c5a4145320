"""How much waits for each broker, and how long that takes.

Reserved orders count for the broker that their market's route names now: after a failover the
same backlog stands before another broker.
"""

from collections import Counter
from collections.abc import Sequence

from app.domain.records import Backlog, Route
from app.domain.session import Calendar


def waiting_by_broker(
    backlog: Backlog, routes: Sequence[Route], calendar: Calendar
) -> dict[str, int]:
    """Return the orders that wait for each broker, reserved and ready."""
    brokers = {route.route_id: route.active_broker for route in routes}
    waiting: Counter[str] = Counter()
    for route_id, count in backlog.ready.items():
        if route_id in brokers:
            waiting[brokers[route_id]] += count
    for session_id, count in backlog.reserved.items():
        session = calendar.session(session_id)
        if session is not None and session.market in brokers:
            waiting[brokers[session.market]] += count
    return dict(waiting)


def duration(orders: int, tps: int) -> str:
    """Return how long so many orders take, as hours, minutes and seconds."""
    seconds = -(-orders // tps)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
