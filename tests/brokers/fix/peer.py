"""The other end of a FIX session, message by message: valid by default, wrong on purpose."""

from collections.abc import Mapping, Sequence
from typing import Final

from app.brokers.fix.commands import (
    Advance,
    Command,
    Garbled,
    Identity,
    Instant,
    Message,
    Send,
)
from app.brokers.fix.frame import Frames, write
from app.brokers.fix.machine import Session
from app.brokers.fix.stamps import written

NOW: Final = 1_772_548_200_000
US: Final = Identity("OPENBELL", "NORTH")
THEM: Final = Identity("NORTH", "OPENBELL")
LOGON: Final = ((98, "0"), (108, "30"))
REPORT: Final = ((37, "N1"), (11, "01JD3Z0K8V6W2Q4T000000000101"), (17, "E1"), (150, "0"))
SOH: Final = b"\x01"

Fields = Sequence[tuple[int | str, str]]


def framed(body: bytes, begin: bytes = b"FIX.4.4") -> bytes:
    """Put a right length and a right checksum around any body at all."""
    whole = b"8=" + begin + SOH + b"9=" + str(len(body)).encode() + SOH + body
    return whole + b"10=%03d\x01" % (sum(whole) % 256)


def raw(*fields: tuple[int | str, str], begin: bytes = b"FIX.4.4") -> bytes:
    return framed("".join(f"{tag}={value}\x01" for tag, value in fields).encode("latin-1"), begin)


def read(data: bytes) -> Message | Garbled:
    (only,) = Frames().feed(data)
    return only


class Peer:
    """A session of ours at one end, and what its broker says to it."""

    def __init__(self, identity: Identity = US, next_out: int = 1, next_in: int = 1) -> None:
        self.session = Session(identity)
        self.steady_ms = 0
        self.number = next_in  # the next one that the broker gives
        self.next_out = next_out
        self.next_in = next_in  # as the line has noted it
        self.last: list[Command] = self.carried_out(
            self.session.connected(self.at, next_out, next_in)
        )

    @property
    def at(self) -> Instant:
        return Instant(NOW + self.steady_ms, self.steady_ms)

    def carried_out(self, commands: list[Command]) -> list[Command]:
        """Do what the line does: number what is sent, note what was advanced."""
        for command in commands:
            if isinstance(command, Send):
                self.session.wrote(self.at, self.next_out)
                self.next_out += 1
            elif isinstance(command, Advance):
                self.next_in = command.next_in
        return commands

    def logged_on(self) -> "Peer":
        """Answer the logon and its test: the session is up."""
        self.says("A", *LOGON)
        self.answers()
        assert self.session.may_send
        return self

    def says(
        self,
        type_: str,
        *fields: tuple[int | str, str],
        number: int | None = None,
        header: Mapping[str, str] | None = None,
    ) -> list[Command]:
        """Say a message under the next number, or under another one on purpose."""
        return self.hears(self.a_message(type_, *fields, number=number, header=header))

    def repeats(
        self, type_: str, *fields: tuple[int | str, str], number: int, first: int | None = None
    ) -> list[Command]:
        """Say a message again (43=Y), with when it was first sent (122)."""
        sent = written(self.at.wall_ms if first is None else first)
        return self.says(type_, (43, "Y"), (122, sent), *fields, number=number)

    def a_message(
        self,
        type_: str,
        *fields: tuple[int | str, str],
        number: int | None = None,
        header: Mapping[str, str] | None = None,
    ) -> Message | Garbled:
        header = header or {}
        if number is None:
            number, self.number = self.number, self.number + 1
        return read(
            raw(
                (35, type_),
                (34, str(number)),
                (49, header.get("sender", "NORTH")),
                (56, header.get("target", "OPENBELL")),
                (52, header.get("sent", written(self.at.wall_ms))),
                *fields,
                begin=header.get("begin", "FIX.4.4").encode(),
            )
        )

    def hears(self, what: Message | Garbled) -> list[Command]:
        self.last = self.carried_out(self.session.received(what, self.at))
        return self.last

    def answers(self) -> list[Command]:
        """Answer the TestRequest that we sent last."""
        return self.says("0", (112, self.test_id))

    @property
    def test_id(self) -> str:
        (test_id,) = (dict(s.fields)[112] for s in sends(self.last) if s.type == "1")
        return test_id

    def waits(self, seconds: float) -> list[Command]:
        self.steady_ms += int(seconds * 1000)
        self.last = self.carried_out(self.session.tick(self.at))
        return self.last


def sends(commands: Sequence[Command]) -> list[Send]:
    return [command for command in commands if isinstance(command, Send)]


def types(commands: Sequence[Command]) -> str:
    """Return the types of what is sent, in order."""
    return " ".join(send.type for send in sends(commands))


def written_by(identity: Identity, type_: str, number: int, *fields: tuple[int, str]) -> bytes:
    return write(identity, type_, number, fields, NOW)
