"""What goes into the session's machine and what comes out of it: values, no behaviour. Pure.

The line obeys a list of commands strictly in its order, one after the other: what stands
before an `Advance` is done, durably, when the `Advance` is carried out. A crash in between
repeats the messages before it, and applying them is idempotent. The trap is an `Advance`
that overtakes a `Deliver`: the broker believes that we have a fill which nobody wrote down.
"""

from typing import NamedTuple


class Identity(NamedTuple):
    """Who we are to one broker, and what its contract says of the session."""

    sender: str  # 49
    target: str  # 56
    heartbeat_s: int = 30  # 108
    begin_string: str = "FIX.4.4"  # 8
    sender_sub: str | None = None  # 50
    target_sub: str | None = None  # 57
    username: str | None = None  # 553
    password: str | None = None  # 554
    reset_on_logon: bool = False  # 141: each connection begins a new numbering
    next_expected: bool = False  # 789: both sides say in the logon what they lack


class Instant(NamedTuple):
    """One moment twice: the wall's for stamps, a steady one for silence and time-outs.

    A step of the wall clock must not look like a peer that has been silent for an hour.
    """

    wall_ms: int  # since 1970, UTC
    steady_ms: int


class Send(NamedTuple):
    """Send a new message under the next number, noted durably before its bytes leave."""

    type: str  # 35
    fields: tuple[tuple[int, str], ...]  # the body; the line writes header and trailer


class Fill(NamedTuple):
    """Send a SequenceReset-GapFill (35=4, 123=Y, 43=Y, 122) under the old number `begin`.

    NewSeqNo (36) is `before`; where that is None, the number which the next new message
    *written* on this connection will carry. It spends no number and is not noted.
    """

    begin: int
    before: int | None


class Deliver(NamedTuple):
    """Hand an application message, or a session Reject, to whoever reads reports; durably.

    One with a `fault` was rejected, and the broker will not say it again: it is kept unread.
    """

    message: "Message"


class Advance(NamedTuple):
    """Note durably that `next_in` is the next number we expect."""

    next_in: int


class Lacking(NamedTuple):
    """Proof that the peer never got these numbers of ours, both included.

    It asked for them first thing after a logon, took our gap fill and then answered a
    TestRequest without asking again. Of older connections it holds a prefix, no more.
    """

    begin: int
    end: int


class ResetNumbers(NamedTuple):
    """Begin a new numbering: both next numbers are 1. What the old one left open is ended."""

    reason: str


class Disconnect(NamedTuple):
    """Write what was sent before, then close the connection. The machine is off."""

    reason: str


class LoggedOn(NamedTuple):
    """The logon stood its test: `may_send` is true from here."""


class Alarm(NamedTuple):
    """A person should hear of this."""

    words: str


Command = Send | Fill | Deliver | Advance | Lacking | ResetNumbers | Disconnect | LoggedOn | Alarm


class Message(NamedTuple):
    """One whole message whose frame was right: length and checksum agree.

    `fields` are all between BodyLength (9) and CheckSum (10), in their order.
    """

    type: str  # 35
    number: int  # 34; -1: missing or no number
    fields: tuple[tuple[int, str], ...]
    begin_string: str = "FIX.4.4"
    fault: "Fault | None" = None  # the first field that is none; those after it are kept

    def get(self, tag: int) -> str | None:
        """Return the first value of a tag."""
        for it, value in self.fields:
            if it == tag:
                return value
        return None

    def all(self, tag: int) -> list[str]:
        return [value for it, value in self.fields if it == tag]

    @property
    def possible_duplicate(self) -> bool:  # 43
        return self.get(43) == "Y"

    @property
    def sending_time(self) -> str | None:  # 52
        return self.get(52)


class Fault(NamedTuple):
    """What is wrong with one field, as a Reject says it."""

    reason: int  # 373
    tag: str | None  # 371
    words: str  # 58


class Garbled(NamedTuple):
    """Bytes that are no message. FIX ignores them, and so their number never moves."""

    why: str
    raw: bytes  # cut short
