"""The record of a FIX session: its numbers, what left and what came in.

The trap it avoids: bytes that leave before their number is durable, or under a lost lease.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from app.domain.order import Order
from app.domain.records import Actor

# A message of 64 KiB has room for some three hundred orders.
LEGS_MAX: Final = 1_000


class SessionOwner(NamedTuple):
    """One FIX session in the hands of whoever owns its broker's lane."""

    session_id: str
    broker_id: str
    epoch: int  # the lease under which its numbers are written


class Numbers(NamedTuple):
    """The next number each way; every reset begins a new `numbering`."""

    numbering: int
    next_out: int
    next_in: int


class Outgoing(NamedTuple):
    """A message that is to be numbered; `broker_order_key` names the order that it would place.

    A list places several under its one number: these are its `legs`, at most `LEGS_MAX`.
    """

    type: str
    broker_order_key: str | None
    body: str
    legs: tuple[str, ...] = ()


class Unread(NamedTuple):
    """What a broker said on its session and nobody here can read; it may have been a fill."""

    name: str  # of this one message: said again, it has the same name
    about: str  # the broker_order_key in it, as it stands there, perhaps empty or nobody's
    cause: str
    raw: bytes


class Placed(NamedTuple):
    """Under which number an order left, if it left.

    `lacked`: the broker asked for that number first thing after a logon, or its numbering was
    ended. Once a logon has stood its test after that, the number can never come to it.
    """

    numbering: int
    number: int
    lacked: bool
    body: str = "[]"  # what it said: pairs of tag and value, as JSON


class SessionStore(Protocol):
    """Keeps a session's numbers, and what was numbered, before a byte of it leaves.

    Every change is durable on return and may be asked for again. It names the lease and the
    numbers that it was made on: who has lost either changes nothing, and raises `FenceLost`.
    """

    async def open(self, session: SessionOwner) -> Numbers:
        """Return where the session stands; a new one begins at 1 each way."""

    async def append(
        self, session: SessionOwner, at: Numbers, messages: Sequence[Outgoing]
    ) -> Numbers:
        """Give the messages the numbers from `at.next_out` on, in one commit."""

    async def advance(self, session: SessionOwner, at: Numbers, next_in: int) -> Numbers:
        """Note that everything before `next_in` is dealt with, durably; it never goes back."""

    async def keep_apart(self, session: SessionOwner, unread: Sequence[Unread]) -> None:
        """Put what could not be read into quarantine, each once: there it is seen."""

    async def lack(self, session: SessionOwner, numbering: int, begin: int, end: int) -> int:
        """Note that the broker asked for these, of older connections; return how many are new.

        To be called before they are filled: whoever dies in between is not asked again.
        """

    async def reset(self, session: SessionOwner, at: Numbers, to: Numbers, reason: str) -> Numbers:
        """Begin the next numbering at these numbers, as both sides have agreed."""

    async def reset_by(self, session_id: str, seen: int, by: Actor) -> Numbers:
        """Begin the next numbering at 1 each way by a person's word, audited.

        `seen` is the numbering that the person saw. Raises `Refused` (not found, stale). Whoever
        has the session loses it, and opens it anew.
        """

    async def numbers(self, session_id: str) -> Numbers | None:
        """Return where a session stands; None if it was never opened."""

    async def placed(self, session_id: str, keys: Sequence[str]) -> dict[str, Placed]:
        """Return where these orders were numbered last; one that never was has no entry.

        Of what left on another session nothing is lacked: this one can prove nothing about it.
        Nor of an attempt older than all that this one remembers: it has a place of number 0.
        """

    async def orders(self, keys: Sequence[str]) -> dict[str, Order]:
        """Return the orders of these attempts: what a question or a cancel has to name."""

    async def forget(self, session_id: str, before: int, limit: int) -> int:
        """Drop what was numbered before that instant and is in no doubt; return how many."""
