"""Dead letters: an event that nobody can apply is kept beside its topic, with the cause.

    orders.v1 ─► a consumer ─► what it applies
                     └─► orders.v1.dlq   the event as it came, where it stood, why it failed

Only poison goes there: what would fail for ever, whoever tried again. A store or a bus that is
away is nobody's fault; whoever parks for that empties a topic into its dead letters during an
outage. A letter holds the event byte for byte, so that it can be published again once the
cause is gone; its id is the event's own, so that parking twice is parking once.
"""

from base64 import b64decode, b64encode
from typing import Any, Final, NamedTuple

from app import codec
from app.domain.values import legible
from app.ports.bus import Event, Record

SUFFIX: Final = ".dlq"
# Whose place in a topic of letters is what was published again or let go; one for each topic,
# because members of one group wait for each other.
GROUP: Final = "openbell.deadletter."
PARKED: Final = "io.openbell.dead_letter.parked.v1"
# Eight times the largest event that a topic takes: one that was parked for its size fits whole,
# also where each of its bytes needs two as a letter's text.
LETTER_BYTES_MAX: Final = 8 << 20
# What is kept of a payload for which even that is too small: enough to know who sent it.
CUT_BYTES: Final = 16 << 10


class NotALetter(ValueError):
    """An event in a dead letter topic that none of us has parked there."""


class Letter(NamedTuple):
    """A parked event, and what is known of its failure."""

    event: Event  # as it came, with the topic it came from
    partition: int | None  # where it stood; None if it never came so far
    offset: int | None
    group: str  # which consumer could not apply it
    cause: str
    whole: bool  # False: the payload was cut, so it cannot be published again


def parked(record: Record, group: str, cause: Exception | str) -> Event:
    """Return the event that parks what a consumer could not apply."""
    place = {"partition": record.partition, "offset": record.offset}
    return _letter(record.event, place, group, cause)


def unsendable(event: Event, cause: Exception | str) -> Event:
    """Return the event that parks what no topic would take."""
    return _letter(event, {"partition": None, "offset": None}, "", cause)


def topic_of_letters(topic: str) -> str:
    """Return where a topic's dead letters stand; a dead letter that fails stays where it is."""
    return topic if topic.endswith(SUFFIX) else topic + SUFFIX


def read(event: Event) -> Letter:
    """Return the letter that an event carries, or raise `NotALetter`."""
    try:
        fields = codec.decode(event.payload)
        text = fields.get("payload")
        return Letter(
            event=Event(
                topic=_words(fields["topic"]),
                key=_words(fields["key"]),
                event_id=_words(fields["event_id"]),
                type=_words(fields["type"]),
                payload=b64decode(fields["payload_base64"]) if text is None else text.encode(),
            ),
            partition=fields.get("partition"),
            offset=fields.get("offset"),
            group=_words(fields["group"]),
            cause=_words(fields["cause"]),
            whole=not fields.get("cut", False),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as e:
        raise NotALetter(f"{event.event_id}: {type(e).__name__}: {e}") from e


def _letter(event: Event, place: dict[str, Any], group: str, cause: Exception | str) -> Event:
    facts = {
        "topic": event.topic,
        **place,
        "key": event.key,
        "event_id": event.event_id,
        "type": event.type,
        "group": group,
        "cause": legible(str(cause)),  # it may quote what no encoder takes
    }
    payload = codec.encode(facts | _exactly(event.payload))
    if len(payload) > LETTER_BYTES_MAX:
        payload = codec.encode(facts | _exactly(event.payload[:CUT_BYTES]) | {"cut": True})
    return event._replace(topic=topic_of_letters(event.topic), type=PARKED, payload=payload)


def _exactly(payload: bytes) -> dict[str, str]:
    """Return the payload so that it comes back byte for byte: as text if it is text."""
    try:
        return {"payload": payload.decode()}
    except UnicodeDecodeError:
        return {"payload_base64": b64encode(payload).decode()}


def _words(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected text, was {value!r}")
    return value
