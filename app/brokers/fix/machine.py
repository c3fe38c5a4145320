"""The FIX 4.4 session as a state machine: events in, commands out. Pure.

    session = Session(identity)
    session.connected(at, next_out=7, next_in=5) -> [Send(Logon)]      TCP and TLS are up
    session.received(message_or_garbled, at)     -> commands
    session.tick(at)                             -> commands           about once a second
    session.wrote(at, number)                    -> None               after bytes have left
    session.logout(reason, at)                   -> commands
    session.lost(at)                             -> commands           the connection is gone
    session.may_send: bool                                             asked before each number

`wrote` tells which new number left (None: a gap fill under an old one), so that silence of
ours is known and a gap is filled up to what was really written.
"""

from app.brokers.fix.commands import Command, Garbled, Identity, Instant, Message


class Session:
    """One session with one broker, as its initiator; lives as long as the process."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    @property
    def may_send(self) -> bool:
        """Whether an order may take a number now: logged on, tested, no gap open either way."""
        raise NotImplementedError

    def connected(self, at: Instant, next_out: int, next_in: int) -> list[Command]:
        raise NotImplementedError

    def received(self, what: Message | Garbled, at: Instant) -> list[Command]:
        raise NotImplementedError

    def tick(self, at: Instant) -> list[Command]:
        raise NotImplementedError

    def wrote(self, at: Instant, number: int | None) -> None:
        raise NotImplementedError

    def logout(self, reason: str, at: Instant) -> list[Command]:
        raise NotImplementedError

    def lost(self, at: Instant) -> list[Command]:
        raise NotImplementedError
