"""How an event looks on Kafka: CloudEvents 1.0 in binary mode.

    key      the event's key, so that one key keeps its partition and its order
    headers  content-type, ce_id, ce_type, ce_source, ce_specversion, ce_time, ce_subject,
             ce_partitionkey, ce_traceparent, ce_dataschema where the type is one of ours, and
             ce_sequence where the id carries a version
    value    the payload, byte for byte

Reading is lenient, writing is not. Whatever stands in a topic comes out as an `Event`, also a
tombstone or a record of strangers without one header of ours: its consumer must see it, judge
it and park it. The trap is an exception here: a poll that raises on the same record for ever.
CloudEvents in structured mode, the whole event as one JSON value, are understood as well.

Nobody here traces, so `ce_traceparent` is derived: all that is told of one order, anomaly or
failover is one trace, by whoever sends it and however often, and is not sampled.
"""

from base64 import b64decode
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec

from app.domain.values import rfc3339
from app.ports.bus import Event

SOURCE: Final = "/openbell"
JSON: Final = b"application/json"
STRUCTURED: Final = b"application/cloudevents+json"
UNKNOWN_TYPE: Final = "unknown"
# Of these types the id is `<what it is about>-<number>`.
_ORDERS: Final = "io.openbell.order."
_VERSIONED: Final = (
    _ORDERS,
    "io.openbell.audit.",
    "io.openbell.anomaly.",
    "io.openbell.failover.",
)
# Whose payload is described under another name than its type has.
_SCHEMAS: Final = {"execution": "report", "broker-report": "report"}
_KINDS: Final = frozenset(
    {"order", "execution", "audit", "anomaly", "failover", "broker-report", "dead_letter"}
)
# The document names itself so (`asyncapi.py`); its parts are where a fragment says.
_DOCUMENT: Final = "urn:openbell:events#/components/schemas/"
_TYPES_REMEMBERED: Final = 256
_FIXED: Final = (
    ("content-type", JSON),
    ("ce_specversion", b"1.0"),
    ("ce_source", SOURCE.encode()),
)

Header = tuple[str, bytes]
AnyHeader = tuple[str, bytes | None]


class Arrived(NamedTuple):
    """A record as it lies in a partition, in no library's words."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Iterable[AnyHeader]


class _Structured(msgspec.Struct):
    """A whole CloudEvent as one JSON value."""

    id: str
    type: str
    data: msgspec.Raw = msgspec.Raw(b"")
    data_base64: str | None = None


_structured: Final = msgspec.json.Decoder(_Structured)


def stamp(now: int) -> Header:
    """Return the header that says when; the same for all that is published at once."""
    return "ce_time", rfc3339(now).encode()


def headers(event: Event, published: Header) -> list[Header]:
    """Return what stands beside the payload; `published` is a `stamp`."""
    key = event.key.encode()
    about, _, version = event.event_id.rpartition("-")
    is_versioned = event.type.startswith(_VERSIONED)
    found = [
        *_FIXED,
        ("ce_id", event.event_id.encode()),
        ("ce_type", event.type.encode()),
        published,
        ("ce_partitionkey", key),
        ("ce_traceparent", _trace(about, version) if is_versioned else _trace(event.event_id, "")),
    ]
    schema = _schema(event.type)
    if schema is not None:
        found.append(("ce_dataschema", schema))
    if not is_versioned:
        found.append(("ce_subject", key))
        return found
    found.append(("ce_subject", about.encode() if event.type.startswith(_ORDERS) else key))
    if version.isdecimal():
        found.append(("ce_sequence", version.encode()))
    return found


@lru_cache(_TYPES_REMEMBERED)
def _schema(type_: str) -> bytes | None:
    """Return what describes the payload of a type; None for types that are not ours."""
    _, _, rest = type_.partition("io.openbell.")
    kind = rest.partition(".")[0]
    return f"{_DOCUMENT}{_SCHEMAS.get(kind, kind)}".encode() if kind in _KINDS else None


def _trace(about: str, version: str) -> bytes:
    """Return version, trace, span and flags of W3C's Trace Context; a span is one event."""
    found = blake2b(about.encode(), digest_size=24).hexdigest()
    span = f"{found[32:40]}{int(version):08x}"[:16] if version.isdecimal() else found[32:]
    return f"00-{found[:32]}-{span}-00".encode()


def event_of(arrived: Arrived) -> Event:
    """Return the event of any record, whoever wrote it."""
    known = dict(arrived.headers)
    if (known.get("content-type") or b"").startswith(STRUCTURED):
        event = _unpacked(arrived)
        if event is not None:
            return event
    event_id, type_ = known.get("ce_id"), known.get("ce_type")
    return Event(
        topic=arrived.topic,
        key=_words(arrived.key or b""),
        event_id=_words(event_id) if event_id else place_of(arrived),
        type=_words(type_) if type_ else UNKNOWN_TYPE,
        payload=arrived.value or b"",
    )


def place_of(arrived: Arrived) -> str:
    """Name a record that has no id of its own: the same record has the same name for ever.

    It must not end in a hyphen and a number: consumers read that as an order's version, and
    would think that the next stranger supersedes this one.
    """
    return f"{arrived.topic}/{arrived.partition}/{arrived.offset}"


def _unpacked(arrived: Arrived) -> Event | None:
    try:
        whole = _structured.decode(arrived.value or b"")
        data = bytes(whole.data) if whole.data_base64 is None else b64decode(whole.data_base64)
    except (ValueError, RecursionError):  # it is not what it says; let the consumer judge
        return None
    if not whole.id or not whole.type:
        return None
    return Event(arrived.topic, _words(arrived.key or b""), whole.id, whole.type, data)


def _words(raw: bytes) -> str:
    """Read text leniently: bytes that are none are spelled out, so that it can be stored."""
    return raw.decode(errors="backslashreplace")
