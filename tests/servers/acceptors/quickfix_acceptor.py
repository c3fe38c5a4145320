"""A broker on QuickFIX, in a process of its own, for tests and for `openbell bench fix`.

    python -m tests.servers.acceptors.quickfix_acceptor DIRECTORY FIX_PORT CONTROL_PORT [CLIENTS]

It speaks FIX 4.4 as BROKER to CLIENT1, CLIENT2 and so on: each has numbers, a desk and a
directory of its own, so that tests share a process and nothing else. The last five say in their
logon what they expect (789), as some brokers' contracts demand. QuickFIX keeps its numbers
and messages in its file store and logs into files; a life after a `kill -9` goes on from them.

The other port takes commands over HTTP, `POST /what?client=CLIENT1&...`, and answers in JSON:

    state                       logged_on, next_out, next_in, received, executions
    set ?fills= mute= drop= lose=   how it answers, and forgets, from here on
    die ?booked=                end without a word inside fromApp, at the client's next order
    disconnect, logout          now
    numbers ?next_out= next_in=
    fill, bust, correct, cancel_all     what nobody asked for: see desk.py

The wheel brings no dictionaries, so nothing is checked against one here: QuickFIX/J does that.
"""

import json
import os
import sys
from collections.abc import Iterable
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Lock
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import quickfix  # type: ignore[import-untyped]

from tests.servers.acceptors.book import Book
from tests.servers.acceptors.desk import Desk, Message

SENDER: Final = "BROKER"
CLIENTS: Final = 40
SAY_EXPECTED: Final = 5
SETTINGS: Final = """[DEFAULT]
ConnectionType=acceptor
SocketAcceptPort={port}
SocketReuseAddress=Y
SocketNodelay=Y
NonStopSession=Y
FileStorePath={directory}/store
FileLogPath={directory}/log
UseDataDictionary=N
BeginString=FIX.4.4
SenderCompID={sender}
"""


class Application(quickfix.Application):  # type: ignore[misc]
    """What QuickFIX calls, on its own thread."""

    def __init__(self, directory: Path, clients: Iterable[str]) -> None:
        super().__init__()
        self.desks = {client: Desk(Book(directory / client)) for client in clients}
        self.dies: dict[str, bool] = {}
        self.lock = Lock()  # commands come on another thread

    def onCreate(self, _session: Any) -> None: ...  # noqa: N802 - QuickFIX's names
    def onLogon(self, _session: Any) -> None: ...  # noqa: N802
    def onLogout(self, _session: Any) -> None: ...  # noqa: N802
    def toAdmin(self, _message: Any, _session: Any) -> None: ...  # noqa: N802
    def fromAdmin(self, _message: Any, _session: Any) -> None: ...  # noqa: N802
    def toApp(self, _message: Any, _session: Any) -> None: ...  # noqa: N802

    def fromApp(self, message: Any, session: Any) -> None:  # noqa: N802
        fields = dict(_fields(message.toString()))
        client = fields[49]
        desk = self.desks[client]
        with self.lock:
            if fields[35] == "D" and client in self.dies:
                desk.book.arrived(fields, booked=self.dies[client])
                os._exit(9)
            told = desk.answers(fields)
        send(told, session)


def send(told: Iterable[Message], session: Any) -> None:
    for answer in told:
        message = quickfix.Message()
        message.getHeader().setField(35, answer.type)
        for tag, value in answer.fields:
            message.setField(tag, value)
        quickfix.Session.sendToTarget(message, session)


def _fields(text: str) -> Iterable[tuple[int, str]]:
    for field in text.split("\x01")[:-1]:
        tag, _, value = field.partition("=")
        yield int(tag), value


class Control:
    """The commands of the other port."""

    def __init__(self, application: Application) -> None:
        self._application = application

    def does(self, what: str, given: dict[str, str]) -> dict[str, object]:
        client = given.pop("client")
        session = quickfix.SessionID("FIX.4.4", SENDER, client)
        desk = self._application.desks[client]
        # The engine calls us holding its lock, so its calls are made without ours.
        with self._application.lock:
            told = self._at_desk(what, client, given)
        if told is None:
            self._at_session(what, quickfix.Session.lookupSession(session), given)
        else:
            send(told, session)
        return _state(quickfix.Session.lookupSession(session), desk)

    def _at_desk(self, what: str, client: str, given: dict[str, str]) -> list[Message] | None:
        desk = self._application.desks[client]
        if what == "set":
            desk.fills = given.get("fills", desk.fills)
            desk.mute = given.get("mute", "Y" if desk.mute else "N") == "Y"
            desk.drop = int(given.get("drop", desk.drop))
            desk.lose = int(given.get("lose", desk.lose))
            return []
        if what == "die":
            self._application.dies[client] = given["booked"] == "Y"
            return []
        return [] if what == "state" else desk.does(what, given)

    def _at_session(self, what: str, session: Any, given: dict[str, str]) -> None:
        if what == "disconnect":
            session.disconnect()
        elif what == "logout":
            session.logout(given.get("text", ""))
        elif what == "logon":
            session.logon()
        elif what == "numbers":
            if "next_out" in given:
                session.setNextSenderMsgSeqNum(int(given["next_out"]))
            if "next_in" in given:
                session.setNextTargetMsgSeqNum(int(given["next_in"]))
        else:
            raise ValueError(f"no such command: {what}")


def _state(session: Any, desk: Desk) -> dict[str, object]:
    return {
        "logged_on": bool(session.isLoggedOn()),
        "next_out": session.getExpectedSenderNum(),
        "next_in": session.getExpectedTargetNum(),
        "received": desk.book.received,
        "executions": desk.book.executions,
    }


class Door(BaseHTTPRequestHandler):
    """One command, one answer."""

    def __init__(self, control: Control, *arguments: Any) -> None:
        self._control = control
        super().__init__(*arguments)

    def do_POST(self) -> None:
        asked = urlsplit(self.path)
        try:
            said: object = self._control.does(asked.path.strip("/"), dict(parse_qsl(asked.query)))
            status = 200
        except (AssertionError, KeyError, ValueError, ArithmeticError) as e:
            said, status = f"{type(e).__name__}: {e}", 400
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def main() -> None:
    directory, port, control_port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    count = int(sys.argv[4]) if sys.argv[4:] else CLIENTS
    clients = [f"CLIENT{number}" for number in range(1, count + 1)]
    path = directory / "acceptor.cfg"
    sessions = "".join(f"[SESSION]\nTargetCompID={client}\n" for client in clients[:-SAY_EXPECTED])
    for client in clients[-SAY_EXPECTED:]:
        sessions += f"[SESSION]\nTargetCompID={client}\nSendNextExpectedMsgSeqNum=Y\n"
    path.write_text(SETTINGS.format(port=port, directory=directory, sender=SENDER) + sessions)
    settings = quickfix.SessionSettings(str(path))
    application = Application(directory, clients)
    # QuickFIX keeps references and no counts: what is not named here is gone under its feet.
    store, log = quickfix.FileStoreFactory(settings), quickfix.FileLogFactory(settings)
    acceptor = quickfix.SocketAcceptor(application, store, settings, log)
    acceptor.start()
    HTTPServer(("127.0.0.1", control_port), partial(Door, Control(application))).serve_forever()


if __name__ == "__main__":
    main()
