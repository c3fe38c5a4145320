"""Reads what the plan of partitions is made from: what stands, what is archived, what is open.

The scan for open orders is asked for few days: those that would leave. The trap is an order
that moves although it had ended, by a late fill or a bust: whoever detaches or drops a day asks
once more right before, and a day that has left with an open order comes back by the next plan.
"""

from collections.abc import Callable, Iterable
from datetime import date
from typing import Final, NamedTuple

from sqlalchemy import Connection, text

from app import codec
from app.domain.order import TERMINAL
from app.ledger import days
from app.ledger.dialect import Statement, of, part
from app.ledger.partitions import Catalog, Policy, leaving, to_examine
from app.ledger.tables import PARTED

MayDrop = Callable[[date], str | None]  # why a day may not leave for ever; None: it may

# Each row of these is work to be done on an order of the day.
QUEUES: Final = {
    "dispatch_inflight": "an attempt of it is open",
    "dispatch_ready": "an order of it waits for a permit",
    "reserved_book": "an order of it waits for its bell",
    "cancel_requests": "a cancel of it is unanswered",
}
_WAITING: Final = {
    queue: Statement(
        lambda d, queue=queue: (  # type: ignore[misc]
            f"SELECT DISTINCT {d.words('trade_date')} FROM {queue}"
            f" WHERE trade_date IN (SELECT value FROM {d.values('days', 'date')} AS i)"
        )
    )
    for queue in QUEUES
}
_ENDED: Final = ", ".join(f"'{status}'" for status in sorted(TERMINAL))


class NotDone(Exception):
    """A step that was not taken, and why; the next run plans anew."""


class Gate(NamedTuple):
    """What an old day must pass on its way out."""

    archived: frozenset[date]
    may_drop: MayDrop


def look(connection: Connection, gate: Gate, today: date, policy: Policy, *, scan: bool) -> Catalog:
    """Return what stands in this ledger, and why what is old may not leave."""
    catalog = Catalog(
        days=days.standings(connection),
        tables=PARTED,
        archived=gate.archived,
        defaults=days.defaults(connection),
        detaches=not of(connection).names_parts,
    )
    old = leaving(catalog.days, today, policy)
    gated = {day: why for day in old if (why := gate.may_drop(day)) is not None}
    catalog = catalog._replace(gated=gated)
    if not scan:
        return catalog
    return catalog._replace(busy=busy(connection, to_examine(catalog, today, policy)))


def busy(connection: Connection, examined: Iterable[date]) -> dict[date, str]:
    """Return why these days may not leave the ledger now; a day that may has no entry."""
    examined = list(examined)
    found: dict[date, str] = {}
    if not examined:
        return found
    asked = codec.text(examined)
    for queue, why in QUEUES.items():
        waiting = _WAITING[queue].run(connection, days=asked).scalars()
        found |= dict.fromkeys(map(date.fromisoformat, waiting), why)
    for day in examined:
        status = None if day in found else _open_status(connection, day)
        if status is not None:
            found[day] = f"an order of it is {status}"
    return found


def quiet(connection: Connection, day: date) -> None:
    """Raise `NotDone` unless nothing of the day is open."""
    why = busy(connection, [day]).get(day)
    if why is not None:
        raise NotDone(f"{day} stays: {why}")


def _open_status(connection: Connection, day: date) -> str | None:
    """Return the status of an order that has not ended, by the table's own name: it may be loose.

    A day of which only the other tables are left has no orders to ask for.
    """
    name = f"orders{part(day)}"
    if "orders" not in days.standings(connection).get(day, {}):
        return None
    found = text(f"SELECT status FROM {name} WHERE status NOT IN ({_ENDED}) LIMIT 1")
    status = connection.execute(found).scalar()
    return None if status is None else str(status)
