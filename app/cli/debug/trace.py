"""One order's story from the records of all who had to do with it, in the order of time.

Its steps, the times that it was sent, and what traded stand in three records; whoever asks at night
what became of an order compares them. The trap is two clocks: an execution carries the broker's
time, and may stand before the step that it caused, so each line says which record it is from.
Few keys open all three, so what one does not open is named and takes nothing else with it.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from app.cli.asking.client import Client, segment
from app.cli.asking.problems import Problem

FORBIDDEN: Final = 403
COLUMNS: Final = ("at", "record", "says", "who", "why")


class Line(NamedTuple):
    """One thing that happened."""

    at: str
    record: str
    says: str
    who: str
    why: str


def traced(client: Client, order_id: str) -> dict[str, Any]:
    """Return the order, and all that happened to it, as far as the key may see it."""
    path = f"/v1/orders/{segment(order_id)}"
    doors = {
        "order": path,
        "events": f"{path}/events",
        "executions": f"{path}/executions",
        "attempts": f"/admin{path}/attempts",
    }
    told: dict[str, Any] = {}
    hidden: dict[str, Problem] = {}
    for name, door in doors.items():
        try:
            found = client.get(door)
        except Problem as e:
            if e.status != FORBIDDEN:
                raise
            hidden[name] = e
        else:
            told[name] = found if name == "order" else found["data"]
    if "order" in hidden and told:  # operators have a door of their own to it
        told = {"order": client.get(f"/admin{path}")} | told
        del hidden["order"]
    if not told:
        raise hidden["order"]
    # All instants have the same form, so their letters have the order of time; what stands first
    # in a record stays first in the same millisecond.
    lines = sorted(_lines(told), key=lambda line: line.at)
    return told | {"story": [line._asdict() for line in lines], "hidden": list(hidden)}


def _lines(told: dict[str, Any]) -> Iterator[Line]:
    for step in told.get("events", ()):
        yield Line(step["at"], "step", step["type"], step["actor"], step["cause"])
    for attempt in told.get("attempts", ()):
        yield from _of_attempt(attempt)
    for one in told.get("executions", ()):
        says = f"{one['execution_type']} {one['last_quantity']}"
        says += f" at {one['last_price']}" if one["last_price"] is not None else ""
        yield Line(one["at"], "execution", says, one["broker_id"], one["execution_id"])


def _of_attempt(attempt: dict[str, Any]) -> Iterator[Line]:
    name = f"attempt {attempt['attempt_number']}"
    key = attempt["broker_order_key"]
    yield Line(attempt["claimed_at"], name, "claimed", attempt["broker_id"], key)
    if attempt["settled_at"] is not None:
        who = attempt["settled_by"] or attempt["broker_id"]
        yield Line(attempt["settled_at"], name, attempt["outcome"], who, key)
