"""What each event's payload looks like, as JSON Schema, made from the types that are written.

Fields and their kinds come from `Order` and `ExecutionReport`, so the schemas cannot drift from
the code, and a field without words about it stops the import.

The trap is a closed `enum`, which breaks every generated client with the first new state: words
(`status`, `side`) are open lists, and a reader accepts one that it does not know.
"""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_type_hints

from app.bus.envelope import SOURCE
from app.domain.messages import ExecutionReport
from app.domain.order import Order
from app.domain.values import Via

Schema = dict[str, Any]
Fields = Mapping[str, tuple[Schema, str]]

INSTANT: Final[Schema] = {"type": "string", "format": "date-time"}
KINDS: Final[Mapping[type, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    bool: {"type": "boolean"},
    date: {"type": "string", "format": "date"},
    # Never a number: a float would touch money.
    Decimal: {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
}
# An order's instants are numbers in the house and words outside.
ORDER_INSTANTS: Final = {"accepted_at", "released_at", "updated_at"}

ORDER_FIELDS: Final = {
    "accept_sequence": "The order of acceptance, over all orders.",
    "order_id": "Tag 37: ours, a ULID that begins with the trade date.",
    "trade_date": "Tag 75: the exchange's date, not Seoul's. It never changes.",
    "session_date": "The date of the session that it waits for; a rolled session moves it.",
    "trading_session_id": "Tag 336.",
    "account_id": "Tag 1, and the key of the record.",
    "client_order_id": "Tag 11: the client's own id, unique in the account for ever.",
    "list_id": "Tag 66: the batch that it came with.",
    "symbol": "Tag 55.",
    "market": "Tag 207, a MIC.",
    "side": "Tag 54.",
    "order_type": "Tag 40.",
    "quantity": "Tag 38.",
    "limit_price": "Tag 44.",
    "currency": "Tag 15.",
    "time_in_force": "Tag 59.",
    "text": "Tag 58: the client's own words.",
    "accepted_at": "When it was durable here.",
    "version": "Rises by one with each event of the order: the highest is the truth.",
    "status": "Where it stands.",
    "pending_request": "What the client has asked for and no broker has decided yet.",
    "filled_quantity": "Tag 14.",
    "overfilled_quantity": "What was traded beyond the quantity.",
    "filled_value": "The sum of price times quantity over its executions.",
    "average_price": "Tag 6.",
    "broker_id": "Who has it, or may have it.",
    "broker_order_id": "Tag 198: the broker's own id.",
    "reason_code": "Why it was denied, rejected, expired or held.",
    "cancel_origin": "Who ended a canceled order.",
    "done_for_day": "The broker does nothing more with it today.",
    "released_at": "When it was let go towards a broker.",
    "updated_at": "When this version was made.",
}
assert set(ORDER_FIELDS) == set(Order._fields), "every field of an order says what it is"

REPORT_FIELDS: Final = {
    "broker_id": "Who reports.",
    "broker_order_key": "Tag 11 towards the broker: one attempt of one order of ours.",
    "broker_order_id": "Tag 198: the broker's own id of the order.",
    "execution_id": "Tag 17: unique for the broker and the trade date.",
    "execution_type": "Tag 150.",
    "trade_date": "Tag 75, of the execution.",
    "at": "Tag 60, in milliseconds since 1970 UTC.",
    "last_quantity": "Tag 32.",
    "last_price": "Tag 31.",
    "referenced_execution_id": "Tag 19: what a bust or a correction speaks of.",
    "reason": "Tags 103 and 58, in the broker's words.",
    "possible_duplicate": "Tag 43.",
    "quantity": "Tag 38, of a replace: as it stands there now.",
    "limit_price": "Tag 44, of a replace: as it stands there now.",
}
_REPORT_TYPES: Final = get_type_hints(ExecutionReport)
assert set(REPORT_FIELDS) == set(_REPORT_TYPES), "every field of a report says what it is"

_TEXT: Final = KINDS[str]
_COUNT: Final = KINDS[int]
AUDIT: Final[Fields] = {
    "sequence": (_COUNT, "Its place in the chain, without gaps."),
    "at": (_COUNT, "In milliseconds since 1970 UTC."),
    "actor": (_TEXT, "Who acted."),
    "action": (_TEXT, "What was done, such as `broker.rate`."),
    "resource": (_TEXT, "What it was done to; the key of the record."),
    "before": (_TEXT, "How that was, as a JSON text."),
    "after": (_TEXT, "How that is now, as a JSON text."),
    "reason": (_TEXT, "Why, in the actor's words."),
    "request_id": (_TEXT, "The request that did it."),
    "previous_hash": (_TEXT, "The hash of the row before."),
    "hash": (_TEXT, "SHA-256 of the array of all other fields, in this order, as JSON."),
}
# What rows from before they were asked for have not, and their hash then neither.
_MAYBE_IN_AUDIT: Final[Fields] = {
    "via": (
        {"type": ["string", "null"], "x-known-words": [via.value for via in Via]},
        "By which door it came; `auto`: nobody asked.",
    ),
    "ip": ({"type": ["string", "null"]}, "From which address it was asked for."),
}
LETTER: Final[Fields] = {
    "topic": (_TEXT, "Where the event came from."),
    "partition": ({"type": ["integer", "null"]}, "Where it stood; null if it never came so far."),
    "offset": ({"type": ["integer", "null"]}, "And at which place."),
    "key": (_TEXT, "Its key."),
    "event_id": (_TEXT, "Its `ce_id`."),
    "type": (_TEXT, "Its `ce_type`."),
    "group": (_TEXT, "The consumer that could not apply it; empty for one that no topic took."),
    "cause": (_TEXT, "Why, for a person."),
}
_MAYBE_IN_LETTER: Final[Fields] = {
    "payload": (_TEXT, "The event's payload, if it is text."),
    "payload_base64": (_TEXT, "Else here."),
    "cut": (KINDS[bool], "True if the payload was too large even for a letter."),
}


def order_schema() -> Schema:
    """Return what an order event carries: the whole order."""
    hints = get_type_hints(Order)
    outside = {**KINDS, int: INSTANT}
    return object_of(
        {
            name: (_kind(hints[name], outside if name in ORDER_INSTANTS else KINDS), words)
            for name, words in ORDER_FIELDS.items()
        }
    )


def report_schema() -> Schema:
    """Return what an execution, or a broker's report, carries."""
    return object_of(
        {name: (_kind(_REPORT_TYPES[name], KINDS), words) for name, words in REPORT_FIELDS.items()}
    )


def audit_schema() -> Schema:
    """Return what an audit event carries: a row of the chain."""
    return object_of(AUDIT, _MAYBE_IN_AUDIT)


def letter_schema() -> Schema:
    """Return what a dead letter carries."""
    return object_of(LETTER, _MAYBE_IN_LETTER)


def _kind(hint: Any, kinds: Mapping[type, Schema]) -> Schema:
    """Return the schema of one field's type; whatever may be absent is null then."""
    if isinstance(hint, UnionType):
        (known,) = [each for each in get_args(hint) if each is not NoneType]
        schema = _kind(known, kinds)
        return {**schema, "type": [schema["type"], "null"]}
    if issubclass(hint, StrEnum):
        return {"type": "string", "x-known-words": [word.value for word in hint]}
    return dict(kinds[hint])


def object_of(fields: Fields, more: Fields | None = None) -> Schema:
    every = {**fields, **(more or {})}
    return {
        "type": "object",
        "required": list(fields),
        "properties": {
            name: {**kind, "description": words} for name, (kind, words) in every.items()
        },
    }


def headers_schema() -> Schema:
    """Return what stands beside every payload."""
    fixed = {"content-type": "application/json", "ce_specversion": "1.0", "ce_source": SOURCE}
    fields: dict[str, tuple[Schema, str]] = {
        "content-type": (_TEXT, "Of the value."),
        "ce_specversion": (_TEXT, "Of CloudEvents."),
        "ce_source": (_TEXT, "Who says it."),
        "ce_id": (_TEXT, "The same for the same event, however often it arrives."),
        "ce_type": (_TEXT, "What happened."),
        "ce_time": (INSTANT, "When it was published."),
        "ce_subject": (_TEXT, "What it is about: the order's id, or the key."),
        "ce_partitionkey": (_TEXT, "The record's key."),
        "ce_traceparent": (_TEXT, "One trace for all that is told of one thing; never sampled."),
    }
    sequence = {
        "ce_dataschema": (_TEXT, "Where in this document the payload is described."),
        "ce_sequence": (
            _TEXT,
            "The order's version, the audit row's place, or the number of the subject's event.",
        ),
    }
    schema = object_of(fields, sequence)
    for name, value in fixed.items():
        schema["properties"][name]["const"] = value
    return schema
