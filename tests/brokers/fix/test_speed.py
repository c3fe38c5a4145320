"""What an order and its report cost beside simplefix's own codec.

`pytest -m bench -s tests/brokers/fix` prints it. The budget is a ratio of the same run: whoever
shares the machine slows both.
"""

from collections.abc import Callable
from time import perf_counter_ns
from typing import Final

import pytest
import simplefix  # type: ignore[import-untyped]

from app.brokers.fix import words
from app.brokers.fix.commands import Message
from app.brokers.fix.frame import Frames, write
from app.brokers.fix.hearing import heard
from app.brokers.fix.words import Dialect
from tests.brokers.builders import a_submission
from tests.brokers.fix.peer import NOW, THEM, US, Peer, read

pytestmark = pytest.mark.bench

ROUNDS: Final = 5_000
DIALECT: Final = Dialect()
ORDER: Final = words.new_order(DIALECT, a_submission(), NOW).fields
REPORT: Final = write(
    THEM,
    "8",
    3,
    [*ORDER, (37, "N1"), (17, "E1"), (150, "F"), (39, "1"), (32, "4"), (31, "185.49"), (14, "4")],
    NOW,
)


def microseconds(what: Callable[[], object]) -> float:
    begun = perf_counter_ns()
    for _ in range(ROUNDS):
        what()
    return (perf_counter_ns() - begun) / ROUNDS / 1_000


def their_order() -> bytes:
    message = simplefix.FixMessage()
    message.append_pair(8, "FIX.4.4")
    message.append_pair(35, "D")
    for tag, value in ORDER:
        message.append_pair(tag, value)
    encoded: bytes = message.encode()
    return encoded


def their_report() -> object:
    parser = simplefix.FixParser()
    parser.append_buffer(REPORT)
    return parser.get_message()


def test_an_order_is_written_in_a_third_of_simplefixs_time() -> None:
    theirs = microseconds(their_order)
    ours = microseconds(lambda: write(US, "D", 7, ORDER, NOW))
    print(f"\nan order written: simplefix {theirs:.1f} µs, ours {ours:.1f} µs")  # noqa: T201

    assert ours < theirs / 3


def test_a_report_is_read_in_a_quarter_of_simplefixs_time() -> None:
    theirs = microseconds(their_report)
    frames = Frames()
    ours = microseconds(lambda: frames.feed(REPORT))
    print(f"\na report read: simplefix {theirs:.1f} µs, ours {ours:.1f} µs")  # noqa: T201

    assert ours < theirs / 4


def test_a_report_is_obeyed_and_understood_in_less_time_than_simplefix_reads_it() -> None:
    theirs = microseconds(their_report)
    message = read(REPORT)
    assert isinstance(message, Message)
    peer = Peer().logged_on()
    numbers = iter(range(3, ROUNDS + 3))

    def ours() -> None:
        peer.session.received(message._replace(number=next(numbers)), peer.at)
        heard("north", DIALECT, message)

    took = microseconds(ours)
    print(f"\na report obeyed and understood: {took:.1f} µs")  # noqa: T201
    assert took < theirs
