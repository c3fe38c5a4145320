"""Reads the ledger's own past: is each order's life one unbroken line, and the audit one chain?

A part of `checker`, under the same rule: files and the standard library, nothing of the
gateway's. The trap is a table that agrees with itself because one function wrote both sides,
so the hashes are computed here again, and a life is judged by what may never follow what.
"""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any, Final

GENESIS: Final = "0" * 64
# From here an order may still be told of fills and their undoing; it never goes anywhere again.
OVER: Final = frozenset({"canceled", "expired", "rejected", "denied", "filled"})
ALIVE: Final = frozenset({"reserved", "held", "queued", "sending", "in_doubt"})
# Once a broker is known to have it, nobody sends it again.
AT_BROKER: Final = frozenset({"new", "partially_filled", "filled"})

Note = Callable[[str, str], None]


def check_trail(connection: sqlite3.Connection, note: Note) -> dict[str, int]:
    """Check every life and the audit chain; return how often orders came into each state."""
    visits: dict[str, int] = {}
    lives = connection.execute(
        "SELECT o.order_id, o.version, o.status, e.sequence, e.type FROM orders AS o"
        " JOIN order_events AS e ON e.order_id = o.order_id ORDER BY e.order_id, e.sequence"
    )
    for order, rows in groupby(lives, key=lambda row: row[:3]):
        past = [(sequence, kind.removeprefix("order.")) for *_, sequence, kind in rows]
        for _, state in past:
            visits[state] = visits.get(state, 0) + 1
        for wrong in _wrong_with(order[1], order[2], past):
            note("P6 one unbroken life", f"{order[0]}: {wrong}")
    _check_chain(connection, note)
    return visits


def _wrong_with(version: int, status: str, past: list[tuple[int, str]]) -> Iterator[str]:
    if [sequence for sequence, _ in past] != list(range(1, version + 1)):
        yield f"its events are not 1 to {version}"
    if past[-1][1] != status:
        yield f"it stands as {status}, and its last event says {past[-1][1]}"
    over = at_broker = False
    for sequence, state in past:
        if over and state in ALIVE:
            yield f"it had ended, and event {sequence} says {state}"
        if at_broker and state in ALIVE:
            yield f"a broker had it, and event {sequence} says {state}"
        over = over or state in OVER
        at_broker = at_broker or state in AT_BROKER


def _check_chain(connection: sqlite3.Connection, note: Note) -> None:
    previous, expected = GENESIS, 1
    for row in connection.execute(
        "SELECT sequence, at, actor, action, resource, before, after, reason, request_id,"
        " previous_hash, hash, via, ip FROM audit ORDER BY sequence"
    ):
        sealed = row[:10] if row[11:] == (None, None) else row[:10] + row[11:]
        if row[0] != expected or row[9] != previous or row[10] != _seal(sealed):
            note("P12 the audit chain holds", f"row {row[0]} does not follow from the one before")
            return
        previous, expected = row[10], expected + 1


def _seal(row: tuple[Any, ...]) -> str:
    text = json.dumps(row, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
