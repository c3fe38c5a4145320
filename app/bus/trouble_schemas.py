"""What anomaly and failover events carry, as JSON Schema, for whoever acts on trouble.

`told` of `domain/anomaly.py` is what is written; a test holds each of its events to this. Words
(`severity`, `state`, `action`) are open lists: the trap is a subscriber that dies of the first
rule that it does not know, in the very minute in which it is needed.
"""

from collections.abc import Iterable
from typing import Final

from app.bus.schemas import INSTANT, KINDS, Fields, Schema, object_of
from app.domain.anomaly import AnomalyState, Severity
from app.domain.session import Phase

_TEXT: Final = KINDS[str]
_COUNT: Final = KINDS[int]
_FLAG: Final = KINDS[bool]
_NUMBER: Final[Schema] = {"type": "number"}
# Where a failover stands; `held` and what follows `prepared` are what matters to people.
FAILOVER_STATES: Final = (
    "suspected",
    "confirmed",
    "held",
    "prepared",
    "fencing",
    "draining",
    "ramping",
    "done",
    "aborted",
    "halted",
)
# What a rule may speak of; who alarms from outside may name other kinds.
SUBJECT_KINDS: Final = ("broker", "route", "gateway", "process", "rule", "subscriber")


def _maybe(kind: Schema) -> Schema:
    return {**kind, "type": [kind["type"], "null"]}


def _word(words: Iterable[str]) -> Schema:
    return {**_TEXT, "x-known-words": [str(word) for word in words]}


def _list(kind: Schema) -> Schema:
    return {"type": "array", "items": kind}


_RULE: Final[Fields] = {
    "id": (_TEXT, "Which rule found it; `external.` begins what other systems told."),
    "version": (_COUNT, "The version of its numbers."),
}
_SUBJECT: Final[Fields] = {
    "kind": (_word(SUBJECT_KINDS), "What kind of thing."),
    "id": (_TEXT, "Which one."),
    "route": (_maybe(_TEXT), "The route that it is, or served when it opened."),
}
_SESSION: Final[Fields] = {
    "trading_session_id": (_TEXT, "The session of that route's market; tag 336."),
    "phase": (_word(Phase), "Where in it."),
}
_OBSERVED: Final[Fields] = {
    "metric": (_TEXT, "What was measured."),
    "value": (_NUMBER, "How much it was."),
    "unit": (_TEXT, "In what."),
    "window_s": (_NUMBER, "Over how long."),
    "sample": (_COUNT, "From how many."),
}
_THRESHOLD: Final[Fields] = {
    "op": (_TEXT, "How it is compared."),
    "raise": (_NUMBER, "Where it begins."),
    "clear": (_NUMBER, "Where it ends."),
    "for_s": (_NUMBER, "How long it must last."),
}
_RECOMMENDED: Final[Fields] = {
    "action": (
        _word(("failover", "lower_rate", "raise_tps", "halt_route", "reconcile", "none")),
        "What would help.",
    ),
    "target": (_maybe(_TEXT), "To which broker."),
    "confidence": (_NUMBER, "From 0 to 1."),
}
ANOMALY: Final[Fields] = {
    "anomaly_id": (_TEXT, "One raise-to-clear of a rule on a subject: go by it."),
    "incident_id": (_TEXT, "Shared by all that one episode touches, failovers included."),
    "rule": (object_of(_RULE), "What found it."),
    "state": (_word(AnomalyState), "Whether it goes on."),
    "severity": (_word(Severity), "The worst that it was."),
    "subject": (object_of(_SUBJECT), "Whom it is about; as `kind/id` the key of the record."),
    "session": (_maybe(object_of(_SESSION)), "When it fell in a market's day."),
    "observed": (object_of(_OBSERVED), "What was measured last."),
    "threshold": (object_of(_THRESHOLD), "What it was held against."),
    "evidence": ({"type": "object"}, "Facts for a person; never an account or a customer."),
    "opened_at": (INSTANT, "When it began."),
    "updated_at": (INSTANT, "When it was last seen."),
    "resolved_at": (_maybe(INSTANT), "When it ended."),
    "valid_until": (INSTANT, "Do not act on it after this."),
    "occurrences": (_COUNT, "How many findings said so."),
    "recommended": (object_of(_RECOMMENDED), "What would help, as far as a rule can know."),
    "automation": (_maybe({"type": "object"}), "What was done by itself, if it is known here."),
    "route_epoch": (_maybe(_COUNT), "The route's epoch when it opened."),
    "drill": (_FLAG, "True: somebody is only trying it out."),
    "acknowledged_by": (_maybe(_TEXT), "Who has seen it."),
    "acknowledged_at": (_maybe(INSTANT), "And when."),
    "silenced_until": (_maybe(INSTANT), "Tell no person before then."),
}
_STEP: Final[Fields] = {
    "state": (_word(FAILOVER_STATES), "Where it came to."),
    "at": (INSTANT, "And when."),
}
FAILOVER: Final[Fields] = {
    "failover_id": (_TEXT, "One change of a route's broker, or the thought of one."),
    "incident_id": (_maybe(_TEXT), "The episode that it belongs to."),
    "route_id": (_TEXT, "Which order book; as `route/…` the key of the record."),
    "kind": (_word(("auto", "planned", "forced", "failback")), "Who wanted it."),
    "state": (_word(FAILOVER_STATES), "Where it stands."),
    "from_broker": (_TEXT, "Who had the route."),
    "to_broker": (_maybe(_TEXT), "Who is to have it."),
    "epoch": (_maybe(_COUNT), "The route's epoch that fences it."),
    "reason": (_TEXT, "Why, for a person."),
    "held_by": (_list(_TEXT), "What keeps it from happening."),
    "witnesses": (_list(_TEXT), "Who says that the broker is bad."),
    "steps": (_list(object_of(_STEP)), "How far it came, and when."),
    "moved": (_COUNT, "Orders that were never sent, and go to the new broker."),
    "pinned": (_COUNT, "Orders in doubt that stay where they are."),
    "drill": (_FLAG, "True: somebody is only trying it out."),
    "at": (INSTANT, "When it came to this state."),
}


def anomaly_schema() -> Schema:
    """Return what every event about an anomaly carries: all of it, as it is now."""
    return object_of(ANOMALY)


def failover_schema() -> Schema:
    """Return what every event about a failover carries."""
    return object_of(FAILOVER)
