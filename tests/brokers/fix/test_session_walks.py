"""Whatever a peer says, in whatever order, the session keeps the few laws that orders need."""

from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from app.brokers.fix.checks import is_beside
from app.brokers.fix.commands import (
    Advance,
    Command,
    Deliver,
    Disconnect,
    Fill,
    Garbled,
    Lacking,
    LoggedOn,
    Message,
    ResetNumbers,
    Send,
)
from app.brokers.fix.hearing import heard
from app.brokers.fix.machine import Session
from app.brokers.fix.words import Dialect
from tests.brokers.fix.peer import LOGON, REPORT, US, Peer

# What a session says of itself; no order is ever among it.
OURS: Final = frozenset("01235Aj")

tags = st.sampled_from([7, 16, 36, 43, 45, 52, 58, 97, 98, 108, 112, 122, 123, 141, 150, 789, 34])
values = st.sampled_from(["Y", "N", "0", "1", "2", "5", "9", "30", "x", "", "99999999999"])
types = st.sampled_from([*"0123458", "8", "9", "A", "j", "N", "D", "*", "UX", "AE"])
steps = st.one_of(
    st.tuples(st.just("right"), types, st.lists(st.tuples(tags, values), max_size=4)),
    st.tuples(st.just("wrong"), types, st.integers(-1, 20)),
    st.tuples(st.just("again"), types, st.integers(0, 20)),
    st.tuples(st.just("answers"), st.none(), st.none()),
    st.tuples(st.just("waits"), st.sampled_from([1, 10, 30, 36]), st.none()),
    st.tuples(st.just("noise"), st.none(), st.none()),
    st.tuples(st.just("orders"), st.none(), st.none()),
)


def delivered(message: Message) -> None:
    """Check that something is said, and that what was rejected is kept and believed in nothing."""
    said = heard("north", Dialect(), message)
    assert said
    if message.fault is not None and not is_beside(message.fault):
        assert [(one.unread, one.report) for one in said] == [(True, None)]


class Watched(Peer):
    """A peer whose every command is held to the laws."""

    def __init__(self, next_out: int, next_in: int) -> None:
        self.expected = next_in
        self.was_fit = False
        super().__init__(US, next_out, next_in)

    def carried_out(self, commands: list[Command]) -> list[Command]:
        for place, command in enumerate(commands, start=1):
            self.holds(command)
            assert not isinstance(command, Disconnect) or place == len(commands)
        return super().carried_out(commands)

    def holds(self, command: Command) -> None:
        match command:
            case Send(type=type_):
                assert type_ in OURS
            case Deliver(message):
                assert message.number == self.expected
                delivered(message)
            case Advance(next_in):
                assert next_in > self.expected
                self.expected = next_in
            case ResetNumbers():
                self.expected = self.next_out = 1
                self.was_fit = False
            case Fill(begin, before):
                assert 1 <= begin < self.next_out
                assert before is None or begin < before < self.next_out
            case Lacking(begin, end):
                assert 1 <= begin <= end < self.next_out
            case LoggedOn():
                assert not self.was_fit
                self.was_fit = True
            case _:
                pass

    def answer(self) -> None:
        tests = [s for s in self.last if isinstance(s, Send) and s.type == "1"]
        if tests:
            self.says("0", (112, dict(tests[-1].fields)[112]))


@settings(max_examples=200)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.sampled_from(["connected", "logged on", "up", "up"]),
    st.lists(steps, min_size=1, max_size=25),
)
def test_no_walk_breaks_a_law(
    next_out: int, next_in: int, begin: str, walk: list[tuple[str, object, object]]
) -> None:
    peer = Watched(next_out, next_in)
    if begin != "connected":
        peer.says("A", *LOGON)
    if begin == "up":
        peer.answers()
    for kind, what, more in walk:
        taken(peer, kind, what, more)


def taken(peer: Watched, kind: str, what: object, more: object) -> None:
    match kind, what, more:
        case "right", str(type_), list(fields):
            body = REPORT if type_ == "8" else ()
            peer.says(type_, *body, *fields)
        case "wrong", str(type_), int(number):
            peer.says(type_, number=number)
        case "again", str(type_), int(number):
            peer.repeats(type_, (7, "1"), (16, "0"), (36, "9"), (123, "Y"), number=number)
        case "answers", _, _:
            peer.answer()
        case "waits", int(seconds), _:
            peer.waits(seconds)
        case "noise", _, _:
            peer.hears(Garbled("noise", b""))
        case _ if peer.session.may_send:
            assert peer.was_fit
            peer.session.wrote(peer.at, peer.next_out)
            peer.next_out += 1
        case _:
            pass


@given(st.lists(st.tuples(tags | st.integers(1, 1000), values), max_size=20), types)
def test_no_message_at_all_breaks_the_reader(fields: list[tuple[int, str]], type_: str) -> None:
    message = Message(type_, 3, ((35, type_), *fields))

    assert heard("north", Dialect(), message)


def test_a_session_that_never_connected_does_nothing() -> None:
    session = Session(US)

    assert not session.may_send
    assert session.logout("bye", Peer().at) == []
