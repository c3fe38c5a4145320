"""QuickFIX's own loop as a client, for `openbell bench fix`: orders out, reports in, a window open.

    python -m tests.servers.acceptors.quickfix_initiator PORT CLIENT ORDERS WINDOW DIRECTORY

It keeps its numbers and messages in QuickFIX's file store, in a directory that is gone at the
end, and writes no log. Once logged on it counts the time from the first order to the last report,
and prints it as JSON, beside the processor's. The numbers begin at 1 each time (141=Y).

The trap is to compare unlike things. Its orders have the fields and the lengths of ours, and like
ours it judges no message by a dictionary. But QuickFIX writes its store and does not wait for the
disk: what a power cut leaves of it, nobody knows. With `--durable` its store is in a directory
whose files are written through (chattr +S), so that a message and its number are on disk before
the bytes leave, as ours are; each alone, for the engine has no group commit. What a report says it
keeps in neither: there the gateway does more.
"""

import argparse
import gc
import json
import sys
import tempfile
from pathlib import Path
from secrets import token_hex
from threading import Event
from time import perf_counter, process_time
from typing import Any, Final

import quickfix  # type: ignore[import-untyped]

from tests.servers.acceptors.written_through import write_through

# Twenty thousand round trips, each of which waits for a slow disk four times; longer is a hang.
PATIENCE_S: Final = 300.0
SETTINGS: Final = """[DEFAULT]
ConnectionType=initiator
SocketConnectHost=127.0.0.1
SocketConnectPort={port}
SocketNodelay=Y
HeartBtInt=30
ReconnectInterval=1
NonStopSession=Y
ResetOnLogon=Y
FileStorePath={directory}/store
UseDataDictionary=N
BeginString=FIX.4.4
SenderCompID={client}
TargetCompID=BROKER
[SESSION]
"""


class Application(quickfix.Application):  # type: ignore[misc]
    """Sends one more order for each report that comes."""

    def __init__(self, orders: int, window: int) -> None:
        super().__init__()
        self._run = token_hex(4).upper()  # the broker remembers the orders of an earlier one
        self._orders = orders
        self._window = window
        self._sent = 0
        self._heard = 0
        self.began = self.ended = 0.0
        self.used_s = 0.0
        self.done = Event()

    def onCreate(self, _session: Any) -> None: ...  # noqa: N802 - QuickFIX's names
    def onLogout(self, _session: Any) -> None: ...  # noqa: N802
    def toAdmin(self, _message: Any, _session: Any) -> None: ...  # noqa: N802
    def fromAdmin(self, _message: Any, _session: Any) -> None: ...  # noqa: N802
    def toApp(self, _message: Any, _session: Any) -> None: ...  # noqa: N802

    def onLogon(self, session: Any) -> None:  # noqa: N802
        self.began, self.used_s = perf_counter(), process_time()
        for _ in range(min(self._window, self._orders)):
            self._send(session)

    def fromApp(self, message: Any, session: Any) -> None:  # noqa: N802
        assert message.getField(39) == "0"
        self._heard += 1
        if self._sent < self._orders:
            self._send(session)
        elif self._heard == self._orders:
            self.ended, self.used_s = perf_counter(), process_time() - self.used_s
            self.done.set()

    def _send(self, session: Any) -> None:
        self._sent += 1
        message = quickfix.Message()
        message.getHeader().setField(35, "D")
        for tag, value in (
            (11, f"{self._run}{self._sent:020d}"),
            (1, "A-1"),
            (21, "1"),
            (55, "AAPL"),
            (207, "XNAS"),
            (54, "1"),
            (38, "10"),
            (40, "2"),
            (44, "12.5"),
            (15, "USD"),
            (59, "0"),
        ):
            message.setField(tag, value)
        message.setField(quickfix.TransactTime(3))
        quickfix.Session.sendToTarget(message, session)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--durable", action="store_true")
    parser.add_argument("port")
    parser.add_argument("client")
    parser.add_argument("orders", type=int)
    parser.add_argument("window", type=int)
    parser.add_argument("directory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        if given.durable and not write_through(Path(directory)):
            raise SystemExit("no file is written through there: the file system knows no chattr +S")
        application = _played(given, directory)
    told = {
        "name": "QuickFIX, its store durable" if given.durable else "QuickFIX, its store buffered",
        "seconds": application.ended - application.began,
        "processor_seconds": application.used_s,
    }
    sys.stdout.write(json.dumps(told) + "\n")


def _played(given: argparse.Namespace, directory: str) -> Application:
    path = Path(directory) / "initiator.cfg"
    path.write_text(SETTINGS.format(port=given.port, client=given.client, directory=directory))
    settings = quickfix.SessionSettings(str(path))
    application = Application(given.orders, given.window)
    store = quickfix.FileStoreFactory(settings)
    initiator = quickfix.SocketInitiator(application, store, settings)
    gc.freeze()  # like the gateway's, its processor is spared collections
    gc.set_threshold(50_000)
    initiator.start()
    finished = application.done.wait(PATIENCE_S)
    initiator.stop()
    if not finished:
        raise SystemExit("the round trips did not end")
    return application


if __name__ == "__main__":
    main()
