"""The lists of the stand-in for Alpaca: what a query of one gets, by the public documentation."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

Json = dict[str, Any]
ENDED = {"filled", "canceled", "expired", "rejected", "replaced"}


def ended_orders(orders: Sequence[Json], query: Mapping[str, str]) -> list[Json]:
    """Return a page of the orders that are closed, by the time at which they were sent."""
    assert query["direction"] == "asc"
    assert query["status"] == "closed"
    after = _instant(query["after"])
    found = [o for o in orders if o["status"] in ENDED and _instant(o["submitted_at"]) > after]
    return found[: min(int(query["limit"]), 500)]


def fills(activities: Sequence[Json], query: Mapping[str, str]) -> list[Json]:
    """Return a page of fills, by their ids, which sort by time."""
    assert query["direction"] == "asc"
    after, until = _instant(query["after"]), _instant(query.get("until", "9999-12-31T00:00:00Z"))
    found = [a for a in activities if after < _instant(a["transaction_time"]) < until]
    found.sort(key=lambda activity: str(activity["id"]))
    found = [a for a in found if a["id"] > query.get("page_token", "")]
    return found[: min(int(query["page_size"]), 100)]


def stamp(at: datetime) -> str:
    """Write an instant as they do."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
