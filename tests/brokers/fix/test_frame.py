"""Bytes and messages: simplefix is the judge of both ways, and no bytes at all do any harm."""

import random
from collections.abc import Callable
from time import perf_counter
from typing import Final

import pytest
import simplefix  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from app.brokers.fix import stamps
from app.brokers.fix.commands import Fault, Garbled, Message
from app.brokers.fix.frame import BODY_MAX, FIELDS_MAX, Frames, Unwritable, checksum, write
from tests.brokers.fix.peer import NOW, SOH, US, framed, raw, read, written_by
from tests.servers.wishes import wish

HEADER: Final = ((35, "0"), (34, "2"), (49, "NORTH"), (56, "OPENBELL"), (52, "20260303-14:30:00"))
ORDER: Final = ((11, "01JD3Z0K8V6W2Q4T000000000101"), (55, "AAPL"), (38, "10"), (44, "185.50"))
WHOLE: Final = raw(*HEADER)
# OPENBELL_TEST_FIX_FUZZ=200000: how many streams the parser is fed.
STREAMS: Final = int(wish("OPENBELL_TEST_FIX_FUZZ") or 3_000)

values = st.text(st.characters(codec="latin-1", exclude_characters="\x01"), min_size=1, max_size=20)
bodies = st.lists(st.tuples(st.integers(1, 99_999), values), max_size=30)
ENVELOPE: Final = {8, 9, 10, 34, 35, 43, 49, 50, 52, 56, 57, 122}
DATA: Final = set(simplefix.data.RAW_LEN_TAGS) | set(simplefix.data.RAW_DATA_TAGS)


def plain(fields: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Leave out what the frame writes itself, and what needs a length before it."""
    return [(tag, value) for tag, value in fields if tag not in ENVELOPE | DATA]


def whys(things: list[Message | Garbled]) -> list[str]:
    return [thing.why for thing in things if isinstance(thing, Garbled)]


def test_what_we_write_is_byte_for_byte_what_simplefix_writes() -> None:
    theirs = simplefix.FixMessage()
    stamp = "20260303-14:30:00.000"
    for tag, value in ((8, "FIX.4.4"), (35, "D"), (34, 7), (49, "OPENBELL"), (56, "NORTH")):
        theirs.append_pair(tag, value)
    for tag, value in ((52, stamp), *ORDER):
        theirs.append_pair(tag, value)

    assert written_by(US, "D", 7, *ORDER) == theirs.encode()


@given(bodies)
def test_what_we_write_simplefix_reads_and_we_read(fields: list[tuple[int, str]]) -> None:
    fields = plain(fields)
    data = write(US, "D", 7, fields, NOW)
    parser = simplefix.FixParser()
    parser.append_buffer(data)
    theirs = parser.get_message()
    ours = read(data)

    assert isinstance(ours, Message)
    assert (ours.type, ours.number, ours.fault) == ("D", 7, None)
    assert list(ours.fields[5:]) == fields
    assert [(t, v.decode("latin-1")) for t, v in theirs][2:-1] == list(ours.fields)


@given(st.binary())
def test_the_checksum_is_the_sum_of_all_bytes(data: bytes) -> None:
    assert checksum(data) == sum(data) % 256


def test_the_checksum_of_the_highest_bytes_is_their_sum_at_any_length() -> None:
    assert [checksum(b"\xff" * size) for size in range(1_000)] == [
        255 * size % 256 for size in range(1_000)
    ]


def test_a_gap_fill_says_that_it_may_be_known_and_when_it_was_first_sent() -> None:
    message = read(write(US, "4", 3, ((123, "Y"), (36, "9")), NOW, True))

    assert isinstance(message, Message)
    assert message.possible_duplicate
    assert message.get(122) == message.sending_time == "20260303-14:30:00.000"


@pytest.mark.parametrize(
    "fields", [((58, ""),), ((58, "a\x01b"),), ((58, "\N{HANGUL SYLLABLE GA}"),)]
)
def test_what_cannot_stand_in_a_message_is_never_written(fields: tuple[tuple[int, str]]) -> None:
    with pytest.raises(Unwritable):
        write(US, "D", 7, fields, NOW)


def test_what_is_longer_than_any_message_is_never_written() -> None:
    with pytest.raises(Unwritable):
        write(US, "D", 7, ((58, "x" * BODY_MAX),), NOW)


@given(st.lists(st.integers(1, 40), max_size=40))
def test_it_does_not_matter_in_which_pieces_a_stream_comes(cuts: list[int]) -> None:
    stream = WHOLE + b"nonsense" + WHOLE[:-2] + b"9\x01" + WHOLE * 2
    frames, found, at = Frames(), [], 0
    for length in [*cuts, len(stream)]:
        found += frames.feed(stream[at : at + length])
        at += length

    assert [type(it) for it in found] == [type(it) for it in Frames().feed(stream)]
    assert sum(isinstance(it, Message) for it in found) == 3


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (WHOLE[:-4] + b"000\x01", "checksum"),
        (WHOLE.replace(b"34=2", b"34=3"), "checksum"),
        (WHOLE.replace(b"9=5", b"9=4"), "body length"),
        (WHOLE.replace(SOH + b"35=0" + SOH, SOH) + WHOLE, "body length"),
        (framed(b"35=0\x0134=2"), "body length"),
        (framed(b"34=2\x0135=0\x01"), "third field"),
        (framed(b"35=\x0134=2\x01"), "third field"),
        (b"35=0\x01" + raw(*HEADER), "not the start"),
        (b"8=FIX.4.4\x0135=0\x019=5\x0134=2\x0110=000\x01", "begin string"),
        (b"8=FIX.4.4\x019=-5\x0135=0\x0110=000\x01", "begin string"),
        (b"8=FIX.4.4\x019=five\x0135=0\x0110=000\x01", "begin string"),
        (b"8=FIX.4.4\x019=9999999\x0135=0\x0110=000\x01", "begin string"),
        (b"8=FIX.4.4\x019=%d\x0135=0\x01" % (BODY_MAX + 1), "a body of"),
        (framed(b"35=0\x01" + b"58=x\x01" * FIELDS_MAX), "too many fields"),
        (b"8=FIX.banana\x019=5\x0135=0\x0110=000\x01", "begin string"),
        (b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n", "not the start"),
    ],
)
def test_what_is_garbled_is_told_and_the_next_message_is_read(data: bytes, why: str) -> None:
    found = Frames().feed(data + WHOLE)

    assert why in whys(found)[0]
    assert isinstance(found[-1], Message)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ((("-1", "HI"),), Fault(0, "-1", "Invalid tag number")),
        ((("0", "HI"),), Fault(0, "0", "Invalid tag number")),
        ((("007", "HI"),), Fault(0, "007", "Invalid tag number")),
        ((("\xb2", "HI"),), Fault(0, "\xb2", "Invalid tag number")),
        ((("1" * 10, "HI"),), Fault(0, "1" * 10, "Invalid tag number")),
        ((("", "HI"),), Fault(0, None, "Invalid tag number")),
        (((58, ""), ("x", "y")), Fault(4, "58", "Tag specified without a value")),
    ],
)
def test_a_field_that_is_none_is_named_and_the_rest_is_kept(
    fields: tuple[tuple[int | str, str], ...], fault: Fault
) -> None:
    message = read(raw(*HEADER, *fields, (112, "T")))

    assert isinstance(message, Message)
    assert message.fault == fault
    assert message.fields == (*HEADER, (112, "T"))


@pytest.mark.parametrize("number", ["", "two", "-2", "+2", "2.0", "1" * 11, "\xb2"])
def test_a_number_that_is_none_is_no_number(number: str) -> None:
    message = read(raw((35, "0"), (34, number), (49, "NORTH")))

    assert isinstance(message, Message)
    assert message.number == -1


def test_a_value_with_a_length_of_its_own_may_hold_separators_and_messages() -> None:
    inner = WHOLE.decode("latin-1")
    message = read(raw(*HEADER, (95, str(len(inner))), (96, inner), (58, "after")))

    assert isinstance(message, Message)
    assert (message.get(96), message.get(58), message.fault) == (inner, "after", None)


@pytest.mark.parametrize("length", ["", "3", "999", "1" * 12, "x"])
def test_a_length_that_does_not_fit_its_value_loses_no_field_after_it(length: str) -> None:
    message = read(raw(*HEADER, (95, length), (96, "abcd"), (58, "after")))

    assert isinstance(message, Message)
    assert (message.get(96), message.get(58)) == ("abcd", "after")


def test_a_stream_without_any_message_is_forgotten_as_it_comes() -> None:
    frames = Frames()
    told = 0
    for _ in range(200):
        told += len(frames.feed(b"\x00" * 10_000))

    assert len(frames._held) < 100
    assert told < 50


def test_an_unfinished_message_is_all_that_is_held() -> None:
    frames = Frames()
    frames.feed(b"8=FIX.4.4\x019=%d\x01" % BODY_MAX)
    for _ in range(40):
        frames.feed(b"8=FIX.4.4\x019=65000\x0135=0\x01" * 100)

        assert len(frames._held) < BODY_MAX + 100


def crafted(kind: str) -> bytes:
    """Return about a megabyte that is to cost its square."""
    match kind:
        case "starts":
            return b"8=FIX.4.4\x01" * 100_000
        case "headers":
            return b"8=FIX.4.4\x019=65000\x01" * 50_000
        case "nested":  # many headers whose lengths all lead to one trailer
            inner = b"".join(
                b"8=FIX.4.4\x019=%06d\x01" % (BODY_MAX - 20 * i) for i in range(1, 3_000)
            )
            return (inner + b"10=000\x01") * 16
        case _:
            return WHOLE.replace(b"34=2", b"34=3") * 13_000


@pytest.mark.parametrize("kind", ["starts", "headers", "nested", "wrong checksums"])
def test_no_stream_costs_its_square(kind: str) -> None:
    data = crafted(kind)
    begun = perf_counter()
    frames = Frames()
    for at in range(0, len(data), 65_536):
        frames.feed(data[at : at + 65_536])

    # About 0.2 s; what is quadratic takes minutes. The bound is for a machine under load.
    assert perf_counter() - begun < 10


def mutated(chance: random.Random) -> bytes:
    """Return some messages after a stranger's hand: cut, doubled, swapped, flipped."""
    data = bytearray()
    for _ in range(chance.randint(1, 4)):
        fields = [(chance.choice(TAGS), chance.choice(VALUES)) for _ in range(chance.randint(0, 6))]
        data += raw(*HEADER[: chance.randint(0, 5)], *fields)
    for _ in range(chance.randint(0, 4)):
        MUTATIONS[chance.randrange(len(MUTATIONS))](data, chance)
    return bytes(data)


TAGS: Final[list[int | str]] = [
    8,
    9,
    10,
    34,
    35,
    36,
    58,
    95,
    96,
    354,
    355,
    1,
    0,
    -1,
    "x",
    "",
    99999,
]
VALUES: Final = ["", "0", "Y", "A", "999999999999", "-1", "8=FIX.4.4", "=", "\xff", "a" * 50, "3"]
PIECES: Final = [b"8=FIX.4.4\x01", b"9=", b"9=70000\x01", b"10=000\x01", SOH, b"=", b"8=F", b"\xb2"]


def _flip(data: bytearray, chance: random.Random) -> None:
    if data:
        data[chance.randrange(len(data))] = chance.randrange(256)


def _cut(data: bytearray, chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    del data[at : at + chance.randint(1, 20)]


def _put(data: bytearray, chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = chance.choice(PIECES)


def _double(data: bytearray, chance: random.Random) -> None:
    at = chance.randint(0, len(data))
    data[at:at] = data[at : at + chance.randint(1, 60)]


MUTATIONS: Final[list[Callable[[bytearray, random.Random], None]]] = [_flip, _cut, _put, _double]


def test_no_stream_at_all_breaks_the_parser_or_hides_the_message_after_it() -> None:
    for seed in range(STREAMS):
        chance = random.Random(seed)
        stream = mutated(chance)
        frames, at, found = Frames(), 0, []
        while at < len(stream):
            length = chance.choice((1, 7, 64, len(stream)))
            found += frames.feed(stream[at : at + length])
            at += length
        assert len(frames._held) < BODY_MAX + 100, f"seed {seed}"
        # A length that lies may swallow what follows it, though no more than it says.
        found += frames.feed(b"\x01" * (BODY_MAX + 40))
        found += frames.feed(WHOLE)
        assert isinstance(found[-1], Message), f"seed {seed}"
        assert found[-1].fields == HEADER, f"seed {seed}"


@given(st.integers(0, 4_102_444_800_000))
def test_an_instant_is_read_as_it_was_written(at: int) -> None:
    assert stamps.read(stamps.written(at)) == at


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20260303",
        "20260303-14:30",
        "20260303-14:30:00.",
        "20260303-14:30:00Z",
        "20260303-24:00:00",
        "20260303-14:60:00",
        "20260230-14:30:00",
        "2026-03-03T14:30:00",
        "20260303-14:30:00.0000000000000",
        " 20260303-14:30:00",
        "2026030\xb2-14:30:00",
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert stamps.read(text) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_either_messages_or_garbled(data: bytes) -> None:
    for thing in Frames().feed(data + WHOLE):
        assert isinstance(thing, Message | Garbled)
