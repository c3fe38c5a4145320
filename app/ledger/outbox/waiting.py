"""What waits in the outbox, for a person who asks: how much, and since when.

The outbox keeps no instants, for a column of them would cost every order its share; so the age of
the oldest event is what the event itself says. The trap is a count of all of it: after an hour
without a bus there are a million, so it is counted so far and told roughly beyond.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, text

from app import codec
from app.domain.outflow import OutboxStands
from app.ledger.operators.control import OUTBOX_COUNTED_MAX, OUTBOX_LENGTH

_OLDEST: Final = text("SELECT event_id, type, payload FROM outbox ORDER BY id LIMIT 1")
# By which name an event says when it happened: an order's last change, an audit row's instant.
AT: Final = ("updated_at", "at")


def stands(connection: Connection) -> OutboxStands:
    """Return how the outbox stands."""
    waiting = connection.execute(OUTBOX_LENGTH, {"most": OUTBOX_COUNTED_MAX}).scalar_one()
    first = connection.execute(_OLDEST).first()
    if first is None:
        return OutboxStands(0, None, None, None)
    return OutboxStands(int(waiting or 0), first.event_id, first.type, happened_at(first.payload))


def happened_at(payload: str | bytes) -> int | None:
    """Return the instant that an event names, or None."""
    facts: Any = codec.decode(payload)
    if not isinstance(facts, dict):
        return None
    return next((at for name in AT if (at := _instant(facts.get(name))) is not None), None)


def _instant(value: object) -> int | None:
    if isinstance(value, int):
        return value
    try:
        return round(datetime.fromisoformat(str(value)).timestamp() * 1000)
    except ValueError:
        return None
