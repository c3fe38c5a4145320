"""A FIX client that does only what it is told, to try an acceptor without a session of ours.

    with RawClient(client) as raw:
        raw.logon()
        raw.send("D", an_order("k-1"))
        assert raw.expect("8")[150] == "0"

It counts its numbers, answers nothing by itself and remembers nothing: a gap, a wrong number or a
silence is made by writing it down. The trap is a clever test client: what it hides, the acceptor
seems to do.
"""

import socket
from collections.abc import Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from simplefix import FixMessage, FixParser  # type: ignore[import-untyped]

from tests.servers.fix import SENDER, Client

# A busy machine; whoever waits longer waits for nothing.
ANSWER_S_MAX = 10.0
CHUNK_BYTES = 65536
HEADER = (43, 97, 122)


def an_order(name: str, **more: str) -> dict[int, str]:
    """Return a NewOrderSingle's fields: `symbol`, `quantity` and `price` may be named."""
    return {
        11: name,
        1: "A-1",
        55: more.get("symbol", "AAPL"),
        54: "1",
        60: _now(),
        38: more.get("quantity", "10"),
        40: "2",
        44: more.get("price", "12.5"),
        59: "0",
    }


def a_cancel(name: str, *, of: str) -> dict[int, str]:
    """Return an OrderCancelRequest's fields."""
    wanted = {tag: value for tag, value in an_order(name).items() if tag in {11, 55, 54, 60, 38}}
    return {**wanted, 41: of}


class RawClient:
    """One connection at a time."""

    def __init__(self, client: Client, *, next_out: int = 1) -> None:
        self._client = client
        self._socket = socket.create_connection((client.host, client.port), ANSWER_S_MAX)
        self._parser = FixParser()
        self.next_out = next_out

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def logon(self, *, reset: bool = False) -> dict[int, str]:
        """Log on and return the broker's Logon."""
        wanted = {98: "0", 108: "30"} | ({141: "Y"} if reset else {})
        self.send("A", wanted)
        return self.expect("A")

    def send(self, kind: str, fields: Mapping[int, str], **header: str | int) -> int:
        """Send one message; `number` and `poss_dup` replace what the header would say."""
        number = int(header.get("number", self.next_out))
        if "number" not in header:
            self.next_out += 1
        message = FixMessage()
        message.append_pair(8, "FIX.4.4")
        now = _now()
        about = {35: kind, 34: str(number), 49: self._client.name, 56: SENDER, 52: now}
        if header.get("poss_dup"):
            about |= {43: "Y", 122: now}
        # A field of the header behind one of the body is refused.
        about |= {tag: value for tag, value in fields.items() if tag in HEADER}
        for tag, value in (about | dict(fields)).items():
            message.append_pair(tag, value)
        self._socket.sendall(message.encode())
        return number

    def next(self) -> dict[int, str]:
        """Return the next message; raise TimeoutError, or EOFError where the line has ended."""
        while (message := self._parser.get_message()) is None:
            data = self._socket.recv(CHUNK_BYTES)
            if not data:
                raise EOFError
            self._parser.append_buffer(data)
        pairs: list[tuple[bytes, bytes]] = message.pairs
        return {int(tag): value.decode() for tag, value in pairs}

    def expect(self, kind: str) -> dict[int, str]:
        """Return the next message, which must be of this type."""
        message = self.next()
        assert message[35] == kind, f"expected {kind}, came {message}"
        return message

    def ended(self) -> bool:
        """Wait for the broker to end the line; whatever it says before is dropped."""
        try:
            while True:
                self.next()
        except (EOFError, ConnectionError):
            return True


def _now() -> str:
    return datetime.now(UTC).strftime("%Y%m%d-%H:%M:%S.%f")[:-3]  # noqa: TID251 - as a stranger
