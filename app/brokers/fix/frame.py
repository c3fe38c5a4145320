"""Bytes to messages and back. It never raises, never hangs, and holds at most one message.

The framing is ours, simplefix is its judge: the tests hold every byte written and every field
read to simplefix's codec. Its own parser checks neither length nor checksum, keeps what never
ends, and raises on a tag that is no number. It writes an order in 16 µs and reads a report in
108; here it is 4 and 16 in the same run (`pytest -m bench -s tests/brokers/fix` prints them).

What is garbled (a wrong length, a wrong checksum, the first three fields out of order, a
truncated message) is told and skipped, as FIX wants it: the number of a message that nobody
could read must not count as received. The trap is hunting for the next message inside a
garbled one again and again: a crafted stream then costs its square. So a frame whose trailer
stands where its length says is skipped whole, and every byte is summed at most once.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from zlib import adler32

from simplefix.data import RAW_DATA_TAGS, RAW_LEN_TAGS  # type: ignore[import-untyped]

from app.brokers.fix import stamps, tags
from app.brokers.fix.commands import Fault, Garbled, Identity, Message

# The longest message that a broker of ours sends is a list's status: 500 orders, 60 bytes each.
BODY_MAX: Final = 65_536
FIELDS_MAX: Final = 4_096
# FIX 4.4 sets no bound; ten digits are 30 years at ten messages a second, every second.
NUMBER_DIGITS_MAX: Final = 10
NO_NUMBER: Final = -1
RAW_MAX: Final = 128  # of garbled bytes: enough to see what they are

_HEADER: Final = re.compile(rb"8=(FIXT?\.[0-9]\.[0-9])\x019=([0-9]{1,6})\x01")
_HEADER_MAX: Final = 28  # the longest that the pattern takes, and some
_HEADER_FIELDS: Final = 2
_START: Final = b"8=FIX"
_TRAILER: Final = re.compile(rb"10=([0-9]{3})\x01")
_TRAILER_LENGTH: Final = 7
_SUMMED_MAX: Final = 256  # bytes of 255: one less than where Adler-32 begins anew
assert _SUMMED_MAX * 0xFF + 1 < 65_521  # noqa: PLR2004 - its prime
# Values of these tags may hold any byte, the separator too: their length stands before them.
_DATA_OF: Final = dict(zip(RAW_LEN_TAGS, RAW_DATA_TAGS, strict=True))
_TAGS: Final = {str(tag): tag for tag in range(1, 2_000)}
_TAG: Final = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)

_Field = tuple[int, str]


class Unwritable(ValueError):
    """A field that cannot stand in a message: no bytes of it exist."""


class Frames:
    """What one connection has received; a new connection gets a new one."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._skipped = 0  # bytes of nonsense, since the last thing told

    def feed(self, data: bytes) -> list[Message | Garbled]:
        """Take what came and return what is whole by now, in order."""
        self._held += data
        found: list[Message | Garbled] = []
        at = 0
        while (after := self._step(at, found)) is not None:
            at = after
        del self._held[:at]
        return found

    def _step(self, at: int, found: list[Message | Garbled]) -> int | None:
        """Take one thing off at this place; return where the next one starts, None: wait."""
        held = self._held
        if at >= len(held):
            return None
        header = _HEADER.match(held, at)
        if header is None:
            return self._hunt(at, found)
        length = int(header[2])
        if length > BODY_MAX:
            return self._lost(at, header.end(), f"a body of {length} bytes", found)
        end = header.end() + length + _TRAILER_LENGTH
        if len(held) < end:
            return None
        trailer = _TRAILER.match(held, end - _TRAILER_LENGTH)
        if trailer is None or held[end - _TRAILER_LENGTH - 1] != 1:
            return self._lost(at, header.end(), "the body length is wrong", found)
        self._skipped = 0
        found.append(_message(held, at, header, end))
        return end

    def _hunt(self, at: int, found: list[Message | Garbled]) -> int | None:
        """Skip to what may be a start; keep what may become one."""
        held = self._held
        rest = len(held) - at
        if held.startswith(_START, at):
            window = held[at : at + _HEADER_MAX]
            if rest < _HEADER_MAX and window.count(1) < _HEADER_FIELDS:
                return None
            return self._lost(at, at + 1, "begin string or body length is none", found)
        start = held.find(_START, at + 1)
        if start < 0:
            kept = _ends_like_a_start(held, at)
            if kept == rest:
                return None
            start = len(held) - kept
        return self._lost(at, start, "not the start of a message", found)

    def _lost(self, at: int, to: int, why: str, found: list[Message | Garbled]) -> int:
        """Skip bytes; tell of the first, and of every 64 KiB where nothing is ever found."""
        if not self._skipped or self._skipped >= BODY_MAX:
            found.append(Garbled(why, bytes(self._held[at : at + RAW_MAX])))
            self._skipped = 0
        self._skipped += to - at
        return to


def _ends_like_a_start(held: bytearray, at: int) -> int:
    """Return how many of the last bytes may begin a message whose rest has not come."""
    for length in range(min(len(_START) - 1, len(held) - at), 0, -1):
        if held.endswith(_START[:length]):
            return length
    return 0


def _message(held: bytearray, at: int, header: re.Match[bytes], end: int) -> Message | Garbled:
    """Read what stands between a header and a trailer that fit each other."""
    checked = end - _TRAILER_LENGTH
    if checksum(held[at:checked]) != int(held[checked + 3 : checked + 6]):
        return Garbled("the checksum is wrong", bytes(held[at : at + RAW_MAX]))
    body = held[header.end() : checked - 1].decode("latin-1")
    if not body.startswith("35=") or body[3:4] in {"", "\x01"}:
        return Garbled("the third field is no message type", bytes(held[at : at + RAW_MAX]))
    if body.count("\x01") >= FIELDS_MAX:
        return Garbled("too many fields", bytes(held[at : at + RAW_MAX]))
    fields, fault = _fields(body)
    number = _first(fields, tags.NUMBER)
    whole = number.isdecimal() and len(number) <= NUMBER_DIGITS_MAX
    return Message(
        type=fields[0][1],
        number=int(number) if whole else NO_NUMBER,
        fields=tuple(fields),
        begin_string=header[1].decode("ascii"),
        fault=fault,
    )


def _first(fields: list[_Field], wanted: int) -> str:
    for tag, value in fields:
        if tag == wanted:
            return value
    return ""


def _fields(body: str) -> tuple[list[_Field], Fault | None]:
    fields: list[_Field] = []
    fault: Fault | None = None
    known = _TAGS
    for text in body.split("\x01"):
        name, _, value = text.partition("=")
        tag = known.get(name)
        if tag is None or not value or tag in _DATA_OF:
            if tag in _DATA_OF:
                return _fields_with_data(body)
            tag, wrong = _judged(name, value)
            fault = fault or wrong
            if wrong is not None:
                continue
        fields.append((tag, value))
    return fields, fault


def _fields_with_data(body: str) -> tuple[list[_Field], Fault | None]:
    """Read field by field: a value with a length of its own may hold separators."""
    fields: list[_Field] = []
    fault: Fault | None = None
    place = 0
    while place < len(body):
        next_field = _separator(body, place)
        name, equals, _ = body[place:next_field].partition("=")
        start = place + len(name) + len(equals)
        end = _end_of_value(body, start, name, fields) if equals else next_field
        tag, wrong = _judged(name, body[start:end])
        if wrong is None:
            fields.append((tag, body[start:end]))
        fault = fault or wrong
        place = end + 1
    return fields, fault


def _end_of_value(body: str, start: int, name: str, fields: list[_Field]) -> int:
    """Return where a value ends: after its stated length where that fits, else at a separator."""
    if fields and name.isdecimal() and _DATA_OF.get(fields[-1][0]) == int(name):
        stated = fields[-1][1]
        if stated.isdecimal() and len(stated) <= NUMBER_DIGITS_MAX:
            end = start + int(stated)
            if end == len(body) or body[end : end + 1] == "\x01":
                return end
    return _separator(body, start)


def _separator(body: str, start: int) -> int:
    end = body.find("\x01", start)
    return len(body) if end < 0 else end


def _judged(name: str, value: str) -> tuple[int, Fault | None]:
    """Return the tag of a field, and what is wrong with it."""
    if not _TAG.fullmatch(name):
        return 0, Fault(tags.INVALID_TAG, name[:16] or None, "Invalid tag number")
    if not value:
        return 0, Fault(tags.NO_VALUE, name, "Tag specified without a value")
    return int(name), None


def checksum(data: bytes | bytearray) -> int:
    """Return the sum of all bytes, modulo 256.

    The low half of an Adler-32 is one more than the sum, modulo 65,521: of so few bytes it is the
    sum itself, in a fifth of the time.
    """
    if len(data) <= _SUMMED_MAX:
        return (adler32(data) - 1) & 0xFF
    return sum(data) & 0xFF


def write(
    identity: Identity,
    type: str,  # noqa: A002 - tag 35's own name
    number: int,
    fields: Sequence[_Field],
    sending_time_ms: int,
    possible_duplicate: bool = False,  # noqa: FBT001, FBT002 - tag 43's own name
) -> bytes:
    """Return a whole message, or raise `Unwritable`.

    A possible duplicate is a gap fill of ours and nothing else, so its OrigSendingTime (122)
    is its SendingTime.
    """
    stamp = stamps.written(sending_time_ms)
    again = f"43=Y\x01122={stamp}\x01" if possible_duplicate else ""
    header = f"35={type}\x0134={number}\x0149={_comp_ids(identity)}\x0152={stamp}\x01{again}"
    text = "".join([f"{tag}={value}\x01" for tag, value in fields])
    if text.count("\x01") != len(fields) or "=\x01" in text:
        _expect_writable(fields)
    try:
        body = (header + text).encode("latin-1")
    except UnicodeEncodeError as e:
        raise Unwritable(f"expected Latin letters, found {e.object[e.start]!r}") from e
    if len(body) > BODY_MAX:
        raise Unwritable(f"expected at most {BODY_MAX} bytes, were {len(body)}")
    whole = b"8=%b\x019=%d\x01%b" % (identity.begin_string.encode(), len(body), body)
    return b"%b10=%03d\x01" % (whole, checksum(whole))


def _expect_writable(fields: Sequence[_Field]) -> None:
    for tag, value in fields:
        if not value or "\x01" in value:
            raise Unwritable(f"tag {tag}: expected a value without separators, was {value[:40]!r}")


@lru_cache(maxsize=64)  # one a session
def _comp_ids(identity: Identity) -> str:
    """Write who speaks to whom, from the value of 49 on."""
    ours = "" if identity.sender_sub is None else f"\x0150={identity.sender_sub}"
    theirs = "" if identity.target_sub is None else f"\x0157={identity.target_sub}"
    return f"{identity.sender}{ours}\x0156={identity.target}{theirs}"
