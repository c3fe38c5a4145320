"""FIX acceptors on engines that we did not write, as a test sees them.

    client = quickfix.client()              a comp id that no other test has: "CLIENT7"
    client.set(fills="full", drop=1)        how its desk behaves from here on
    client.die(booked=True)                 at its next order: inside fromApp, unanswered
    client.audit("received")                the lines of the broker's own record

Tests share an engine's process and nothing else: numbers, orders and the desk belong to a comp id.
`quickfix.kill()` and `start()` end it and bring it back on the same stores; `freeze()` makes it
silent with its sockets open. The commands block for a millisecond, also in an event loop, and need
nothing of the client under test.

The trap: FIX has no way to ask a broker what it has received. The audit is that way: it is written
before anything is answered, so what is not in it never happened.
"""

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from app.cli.stage.ports import free_port
from tests.servers.process import Process, Program, ask
from tests.servers.remains import scratch
from tests.servers.server import Server, lifecycle

SENDER: Final = "BROKER"
# How many tests one process serves; a file of numbers each, so more would slow its start.
CLIENTS: Final = 100
# Of these, the last ones say in their logon which number they expect (789).
SAY_EXPECTED: Final = 5


@dataclass(frozen=True)
class Client:
    """One comp id at a broker, and the means to steer that broker's behaviour towards it."""

    name: str
    host: str
    port: int
    control: int
    directory: Path

    def state(self) -> dict[str, Any]:
        """Return logged_on, next_out, next_in, received, executions: the broker's own view."""
        return self._asked("state")

    def set(self, **how: str | int) -> None:
        """Set `fills` (none, full, partial), `mute` (Y, N), how many answers to `drop`.

        And how many orders to `lose`: they came in, and it knows nothing of them.
        """
        self._asked("set", **how)

    def die(self, *, booked: bool) -> None:
        """Let it end inside fromApp at the next order, which it then knows, or never saw."""
        self._asked("die", booked="Y" if booked else "N")

    def disconnect(self) -> None:
        self._asked("disconnect")

    def logout(self, text: str = "") -> None:
        self._asked("logout", text=text)

    def logon(self) -> None:
        """Let the client in again after a logout."""
        self._asked("logon")

    def numbers(self, **numbers: int) -> None:
        """Set `next_out` or `next_in` as somebody with the broker's console would."""
        self._asked("numbers", **numbers)

    def does(self, what: str, **given: str) -> None:
        """Let it report what nobody asked for: `fill`, `bust`, `correct`, `cancel_all`."""
        self._asked(what, **given)

    def audit(self, what: str) -> list[dict[str, str]]:
        """Return the lines of one kind, "received" or "executed"."""
        path = self.directory / self.name / "audit.jsonl"
        lines = map(json.loads, path.read_text("utf-8").splitlines() if path.exists() else ())
        return [line for line in lines if line["what"] == what]

    def _asked(self, what: str, **given: str | int) -> dict[str, Any]:
        query = urlencode({"client": self.name, **given})
        connection = HTTPConnection(self.host, self.control, timeout=5)
        try:
            connection.request("POST", f"/{what}?{query}", headers={"Content-Length": "0"})
            reply = connection.getresponse()
            said = json.loads(reply.read())
        finally:
            connection.close()
        assert reply.status == 200, f"{what}: {said}"
        assert isinstance(said, dict)
        return said


@dataclass(kw_only=True, eq=False)
class Acceptor(Server):
    """One engine that accepts FIX sessions."""

    directory: Path
    _taken: "count[int]" = field(default_factory=lambda: count(1))
    _saying: "count[int]" = field(default_factory=lambda: count(CLIENTS - SAY_EXPECTED + 1))

    def client(self, *, says_expected: bool = False) -> Client:
        """Return a client that no other test has."""
        number = next(self._saying if says_expected else self._taken)
        last = CLIENTS if says_expected else CLIENTS - SAY_EXPECTED
        assert number <= last, f"expected at most {last} clients of one acceptor"
        split = urlsplit(self.url)
        assert split.hostname is not None
        assert split.port is not None
        control = int(parse_qs(split.query)["control"][0])
        return Client(f"CLIENT{number}", split.hostname, split.port, control, self.directory)

    def revive(self) -> None:
        """Bring it back on the same stores, after `die` has ended it."""
        self.needs("kill")
        self._own.wait_for_end()
        self._own.start()


def named(service: str, url: str) -> Acceptor:
    """Use one that runs already, and is somebody's: `fix://HOST:PORT?control=PORT&audit=DIR`."""
    split = urlsplit(url)
    query = parse_qs(split.query)
    assert split.port is not None
    ask(split.port)
    return Acceptor(
        service=service,
        url=url,
        on=f"{service} at {split.hostname}:{split.port}",
        capabilities=frozenset({"proxied"}),
        directory=Path(query["audit"][0]),
    )


def started(
    service: str,
    on: str,
    command: Callable[[Path, int, int], list[str]],
    *,
    can: frozenset[str] = frozenset(),
    start_s_max: float = 60.0,
) -> Acceptor:
    """Start one in a directory of its own; `command` gets the directory and the two ports."""
    directory = scratch()
    port, control = free_port(), free_port()
    process = Process(
        Program(
            name=on,
            command=command(directory, port, control),
            directory=directory,
            ready=functools.partial(_ready, port, control),
            start_s_max=start_s_max,
        )
    ).start()
    return Acceptor(
        service=service,
        url=f"fix://127.0.0.1:{port}?control={control}",
        on=f"{on}, started by the tests",
        capabilities=frozenset({"proxied"}) | can | lifecycle(),
        process=process,
        directory=directory,
    )


def _ready(port: int, control: int) -> None:
    ask(control)
    ask(port)
