"""How a broker's rate is found: whose word counts, within which bounds, by which profile.

One JSON text in the broker's control row; none stands for "the operator's number, at once". What
an operator sets for a while goes back name by name: the trap is to bring back a whole text, for
that would also undo what somebody else has set meanwhile, or leave a mark of what is over.
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from app.domain.breaking import GateSettings, numbers_of
from app.domain.records import BrokerControl

# Half of what the gate calls slow: the rate goes down before the circuit opens.
TARGET_MS: Final = 500
# One number of the breaker's is a fact of its own: `circuit.open_s`.
CIRCUIT: Final = "circuit."
# Without a floor of the operator's: a broker that takes less than this is sick, not slow.
FLOOR_SHARE: Final = 10


class Mode(StrEnum):
    """Who turns the rate below the number in force."""

    MANUAL = "manual"  # nobody
    ADVISE = "advise"  # the gateway says what it would do
    ADAPTIVE = "adaptive"  # the gateway does it


class Edge(NamedTuple):
    """From this instant of each session on, so many messages a second: `open+10m`, 6."""

    at: str
    tps: int


class Tuning(NamedTuple):
    """What operators set beside the number. Each name is one fact of its own."""

    mode: Mode = Mode.MANUAL
    floor: int | None = None
    ceiling: int | None = None
    target_ms: int = TARGET_MS
    ramp_s: int = 0  # a higher number is climbed to for so long; a lower one acts at once
    schedule: tuple[Edge, ...] = ()
    held: bool = False  # a person's number stands above the schedule
    circuit: tuple[tuple[str, float], ...] = ()  # the breaker's numbers that a person has turned
    reset_version: int = 0  # the version of the row that asked for the circuit's reset
    reset_to: str = "closed"  # or half_open


class Bounds(NamedTuple):
    """Between which rates the gateway may choose, and which answer is late."""

    floor: int
    ceiling: int
    target_ms: int


PLAIN: Final = Tuning()


def tuning_of(control: BrokerControl) -> Tuning:
    """Return a row's tuning; names that only a newer version knows are passed over."""
    return PLAIN if control.tuning is None else _with(PLAIN, json.loads(control.tuning))


def facts_of(tuning: Tuning) -> dict[str, Any]:
    """Return a tuning as plain JSON values."""
    schedule = [edge._asdict() for edge in tuning.schedule]
    told = {"mode": tuning.mode.value, "schedule": schedule, "circuit": dict(tuning.circuit)}
    return tuning._asdict() | told


def circuit_of(tuning: Tuning) -> GateSettings:
    """Return the breaker's numbers in force."""
    return numbers_of(dict(tuning.circuit))


def fact_of(control: BrokerControl, name: str) -> Any:
    """Return one fact that operators set, of the row or of its tuning."""
    found = facts_of(tuning_of(control))
    if name.startswith(CIRCUIT):
        return found["circuit"].get(name.removeprefix(CIRCUIT))
    return found[name] if name in found else getattr(control, name)


def with_facts(control: BrokerControl, facts: Mapping[str, Any]) -> BrokerControl:
    """Return the row with these facts set, each by its name, as `fact_of` gives them."""
    own = {name: value for name, value in facts.items() if not _is_tuned(name)}
    tuning = _with(tuning_of(control), facts)
    text = None if tuning == PLAIN else json.dumps(facts_of(tuning), separators=(",", ":"))
    return control._replace(**own, tuning=text)


def bounds_of(tuning: Tuning, limit: int) -> Bounds:
    """Return the bounds below the number in force, which is above all of them."""
    ceiling = min(tuning.ceiling or limit, limit)
    floor = min(tuning.floor or max(1, limit // FLOOR_SHARE), ceiling)
    return Bounds(floor, ceiling, tuning.target_ms)


def _with(tuning: Tuning, facts: Mapping[str, Any]) -> Tuning:
    known = {name: value for name, value in facts.items() if name in Tuning._fields}
    if "mode" in known:
        known["mode"] = Mode(known["mode"])
    if "schedule" in known:
        known["schedule"] = tuple(Edge(edge["at"], edge["tps"]) for edge in known["schedule"])
    turned = dict(known.get("circuit", tuning.circuit))
    turned |= {n.removeprefix(CIRCUIT): v for n, v in facts.items() if n.startswith(CIRCUIT)}
    known["circuit"] = tuple(sorted((n, v) for n, v in turned.items() if v is not None))
    return tuning._replace(**known)


def _is_tuned(name: str) -> bool:
    return name in Tuning._fields or name.startswith(CIRCUIT)
