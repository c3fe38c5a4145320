"""Where a session stands, and the few steps of which every rule is made. Pure.

The trap that it avoids: rules that each move numbers in their own way. The inbound number
moves in one place, the session comes up in one place, and it ends in one place.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

from app.brokers.fix import sayings, tags
from app.brokers.fix.commands import (
    Advance,
    Alarm,
    Command,
    Disconnect,
    Fault,
    Identity,
    Instant,
    Lacking,
    LoggedOn,
    Message,
)
from app.brokers.fix.gap import Inbound
from app.brokers.fix.proof import Outbound
from app.domain.values import legible

QUOTED_MAX: Final = 120
OUT_OF_RANGE: Final = "Value is incorrect (out of range) for this tag"


class State(Enum):
    """Where one connection stands."""

    OFF = auto()
    LOGGING_ON = auto()
    TESTING = auto()
    UP = auto()
    LEAVING = auto()


class Standing:
    """One session's state; a new connection begins it again under the ledger's numbers."""

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.state = State.OFF
        self.since_ms = 0  # when the state began
        self.inbound = Inbound(1)
        self.outbound = Outbound(1, 0)
        self.begun_anew = 0  # how often the peer asked for that since the session last stood

    def begin(self, at: Instant, state: State, next_out: int, next_in: int) -> None:
        self.inbound = Inbound(next_in)
        self.outbound = Outbound(next_out, at.wall_ms)
        self.enter(state, at)

    def enter(self, state: State, at: Instant) -> None:
        self.state = state
        self.since_ms = at.steady_ms

    def turned(self, message: Message, at: Instant) -> list[Command]:
        """Go on to the next number, if this message had the expected one."""
        if message.number != self.inbound.next_in:
            return []
        return self.moved(message.number + 1, at)

    def moved(self, next_in: int, at: Instant) -> list[Command]:
        self.inbound.expected(next_in, at.steady_ms)
        return [Advance(next_in), *self._opened(at)]

    def _opened(self, at: Instant) -> list[Command]:
        """Come up, when the test is answered and nothing of theirs is missing."""
        if self.state is not State.TESTING:
            return []
        if self.inbound.is_open or not self.outbound.tested:
            return []
        self.enter(State.UP, at)
        self.begun_anew = 0
        proven = self.outbound.proven()
        return [LoggedOn()] if proven is None else [Lacking(*proven), LoggedOn()]

    def early(self, message: Message, at: Instant, *, ask: bool) -> list[Command]:
        """Ask for what is missing before this message, if anything is and nobody asked yet."""
        if message.number < self.inbound.next_in:
            return []
        if not self.inbound.early(message.number, at.steady_ms, ask=ask):
            return []
        return [sayings.resend_request(self.inbound.next_in)]

    def test(self, at: Instant) -> list[Command]:
        """Make the peer show that it has what we wrote."""
        test_id = self.outbound.next_test(at.steady_ms)
        if test_id is None:
            return self.cut("the broker does not answer TestRequests")
        return [sayings.test_request(test_id)]

    def rejected(self, message: Message, fault: Fault, at: Instant) -> list[Command]:
        """Refuse one message and go on."""
        return [*self.disbelieved(message, fault), *self.turned(message, at)]

    def disbelieved(self, message: Message, fault: Fault) -> list[Command]:
        """Refuse one message whose number stays, so that it comes again; never a Reject."""
        said = f"rejected {message.type[:4]} number {message.number}: {fault.words} ({fault.tag})"
        answer = [] if message.type == tags.REJECT else [sayings.reject(message, fault)]
        return [*answer, Alarm(legible(said))]

    def leave(self, text: str, at: Instant) -> list[Command]:
        """Log out and wait for the answer."""
        if self.state is State.LEAVING:
            return [Disconnect(text)]
        self.enter(State.LEAVING, at)
        return [sayings.logout(text)]

    def cut(self, text: str) -> list[Command]:
        """Log out and close at once: there is nothing to wait for."""
        return [sayings.logout(text), Alarm(text), Disconnect(text)]


def too_low(message: Message, expected: int) -> str:
    return f"MsgSeqNum too low, expecting {expected} but received {message.number}"


def text_of(values: Mapping[int, str]) -> str:
    """Return what the peer says in words (58), as it may be shown and stored."""
    return legible(values.get(tags.TEXT, "no reason given"))[:QUOTED_MAX]
