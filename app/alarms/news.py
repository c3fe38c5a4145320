"""Reads what the bus says into what people may be told. Pure, and lenient where it can be.

Three kinds: the newest word about an anomaly, about a failover, and about an operator's change.
An event of a type that we do not know is nobody's fault (a newer sender has more of them) and is
`None`; one of a type that we do know, and cannot read, is `NotNews`: poison, to be parked.
No account is told to people: a halt of one says that it is of one.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import IntEnum
from typing import Any, Final, NamedTuple

from app import codec
from app.domain.values import legible
from app.ports.bus import Event

ANOMALIES: Final = "openbell.anomalies.v1"
AUDIT: Final = "openbell.audit.v1"
_ANOMALY: Final = "io.openbell.anomaly."
_FAILOVER: Final = "io.openbell.failover."
_AUDITED: Final = "io.openbell.audit.recorded."
# A reason is a sentence; whoever sends a novel is cut here, before it is kept.
WORDS_MAX: Final = 500
NAMES_MAX: Final = 20
_ONE_ACCOUNT: Final = "halt/an account"
_UNREADABLE: Final = (
    codec.Malformed,
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    RecursionError,
)


class NotNews(Exception):
    """An event of ours that cannot be read: poison."""


class Level(IntEnum):
    """How loud, the loudest last; `PAGE` is for what no machine will mend."""

    OVER = 0
    NOTICE = 1
    WARNING = 2
    CRITICAL = 3
    PAGE = 4


class Trouble(NamedTuple):
    """The newest word about one anomaly."""

    event: Event
    id: str
    incident_id: str
    sequence: int
    at: int
    drill: bool
    level: Level
    resolved: bool
    rule: str
    subject: str
    route: str | None
    epoch: int | None
    observed: str
    raised: str
    witnesses: tuple[str, ...]
    action: str
    target: str | None
    valid_until: int
    acknowledged_by: str | None
    silenced_until: int
    evidence: Mapping[str, Any]


class Switch(NamedTuple):
    """The newest word about one failover."""

    event: Event
    id: str
    incident_id: str
    sequence: int
    at: int
    drill: bool
    state: str
    kind: str
    route: str
    from_broker: str
    to_broker: str | None
    epoch: int | None
    reason: str
    held_by: tuple[str, ...]
    witnesses: tuple[str, ...]
    moved: int
    pinned: int
    steps: tuple[tuple[str, int], ...]


class Act(NamedTuple):
    """What an operator did; the incident is what it was done to."""

    event: Event
    id: str
    incident_id: str
    sequence: int
    at: int
    drill: bool
    level: Level
    actor: str
    what: str
    reason: str
    left: str  # what is left to do
    ends: bool  # nothing goes on after it


News = Trouble | Switch | Act


def read(event: Event) -> News | None:
    """Return the news in an event, None if there is none for people, or raise `NotNews`."""
    try:
        if event.type.startswith(_ANOMALY):
            return _trouble(event, codec.decode(event.payload))
        if event.type.startswith(_FAILOVER):
            return _switch(event, codec.decode(event.payload))
        if event.type.startswith(_AUDITED):
            return _act(event, codec.decode(event.payload))
    except _UNREADABLE as e:
        raise NotNews(f"{type(e).__name__}: {e}") from e
    return None


def _trouble(event: Event, told: Mapping[str, Any]) -> Trouble:
    subject, observed, threshold = told["subject"], told["observed"], told["threshold"]
    resolved = told["state"] == "resolved"
    rule = told["rule"]
    evidence = told.get("evidence") or {}
    return Trouble(
        event=event,
        id=_id(told["anomaly_id"]),
        incident_id=_id(told["incident_id"]),
        sequence=_sequence(event),
        at=_instant((told.get("resolved_at") if resolved else None) or told["updated_at"]),
        drill=bool(told.get("drill")),
        level=Level.CRITICAL if told["severity"] == "critical" else Level.WARNING,
        resolved=resolved,
        rule=_words(rule["id"]),
        subject=_words(f"{subject['kind']}/{subject['id']}"),
        route=_maybe(subject.get("route")),
        epoch=told.get("route_epoch"),
        observed=_words(
            f"{observed['metric']} {observed['value']:.4g} {observed['unit']}"
            f" over {observed['window_s']:g} s, n = {observed['sample']}"
        ),
        raised=_words(f"{threshold['op']} {threshold['raise']:.4g}"),
        witnesses=_names(evidence.get("witnesses")),
        action=_words((told.get("recommended") or {}).get("action") or "none"),
        target=_maybe((told.get("recommended") or {}).get("target")),
        valid_until=_instant(told["valid_until"]),
        acknowledged_by=_maybe(told.get("acknowledged_by")),
        silenced_until=_instant(told.get("silenced_until") or 0),
        evidence={k: v for k, v in evidence.items() if isinstance(v, int | float)},
    )


def _switch(event: Event, told: Mapping[str, Any]) -> Switch:
    steps = [(_words(step["state"]), _instant(step["at"])) for step in told.get("steps") or ()]
    return Switch(
        event=event,
        id=_id(told["failover_id"]),
        incident_id=_id(told.get("incident_id") or told["failover_id"]),
        sequence=_sequence(event),
        at=_instant(told["at"]),
        drill=bool(told.get("drill")),
        state=_words(told["state"]),
        kind=_words(told.get("kind") or "auto"),
        route=_words(told["route_id"]),
        from_broker=_words(told["from_broker"]),
        to_broker=_maybe(told.get("to_broker")),
        epoch=told.get("epoch"),
        reason=_words(told.get("reason") or ""),
        held_by=_names(told.get("held_by")),
        witnesses=_names(told.get("witnesses")),
        moved=int(told.get("moved") or 0),
        pinned=int(told.get("pinned") or 0),
        steps=tuple(steps[-NAMES_MAX:]),
    )


def _act(event: Event, row: Mapping[str, Any]) -> Act | None:
    tell = _ACTS.get(row["action"])
    said = tell(row) if tell is not None else None
    if said is None:
        return None
    what, level, left = said
    return Act(
        event=event,
        id=f"audit-{int(row['sequence'])}",
        incident_id=_incident_of(row),
        sequence=int(row["sequence"]),
        at=int(row["at"]),
        drill=False,
        level=level,
        actor=_words(row["actor"]),
        what=_words(what),
        reason=_words(row["reason"]),
        left=left,
        ends=row["action"] != "halt",
    )


Said = tuple[str, Level, str]


def _halt(row: Mapping[str, Any]) -> Said:
    scope = _spoken(row["resource"]).removeprefix("halt/")
    wide = scope.partition(":")[0] in {"all", "route", "broker"}
    left = "Another person lifts it when its reason is gone: openbell halt off"
    return f"new sends are halted: {scope}", Level.CRITICAL if wide else Level.WARNING, left


def _resume(row: Mapping[str, Any]) -> Said:
    scope = _spoken(row["resource"]).removeprefix("halt/")
    return f"new sends go on: {scope}", Level.NOTICE, ""


def _control(row: Mapping[str, Any]) -> Said | None:
    """Say what changed of what people set: rate, dispatch, breaker; the rest is bookkeeping."""
    before, after = (codec.decode(row[side]) or {} for side in ("before", "after"))
    changes = [
        f"{name} {before.get(name)} -> {after[name]}"
        for name in ("tps", "dispatch", "breaker")
        if name in after and before.get(name) != after[name]
    ]
    if not changes:
        return None
    stopped = after.get("dispatch") != "running" and "dispatch" in " ".join(changes)
    broker = str(row["resource"]).removeprefix("broker/")
    left = "It goes back by itself." if after.get("expires_at") else ""
    return f"{broker}: {', '.join(changes)}", Level.WARNING if stopped else Level.NOTICE, left


_ACTS: Final[Mapping[str, Callable[[Mapping[str, Any]], Said | None]]] = {
    "halt": _halt,
    "resume": _resume,
    "broker.control": _control,
}


def _spoken(resource: object) -> str:
    """Return what was changed, without a customer's account."""
    text = str(resource)
    return _ONE_ACCOUNT if text.startswith("halt/account:") else text


def _incident_of(row: Mapping[str, Any]) -> str:
    """Name what a halt and its end have in common; accounts, which we do not name, have nothing."""
    spoken = _spoken(row["resource"])
    return _id(f"{spoken} {row['sequence']}" if spoken == _ONE_ACCOUNT else spoken)


def _sequence(event: Event) -> int:
    _, _, number = event.event_id.rpartition("-")
    if not (number.isascii() and number.isdecimal()):
        raise ValueError(f"expected an id that ends in a sequence, was {event.event_id!r}")
    return int(number)


def _instant(value: object) -> int:
    """Read an instant, written or in milliseconds."""
    if isinstance(value, str):
        at = datetime.fromisoformat(value)
        if at.tzinfo is None:
            raise ValueError(f"expected an instant with its zone, was {value!r}")
        return int(at.timestamp() * 1000)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"expected an instant, was {value!r}")
    return value


def _id(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"expected an id, was {value!r}")
    return _words(value)


def _words(value: object) -> str:
    return legible(str(value))[:WORDS_MAX]


def _maybe(value: object) -> str | None:
    return None if value is None else _words(value)


def _names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        return ()
    return tuple(_words(name) for name in value[:NAMES_MAX])
