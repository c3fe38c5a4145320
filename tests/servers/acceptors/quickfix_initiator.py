"""QuickFIX's own loop as a client, for `openbell bench fix`: orders out, reports in, a window open.

    python -m tests.servers.acceptors.quickfix_initiator PORT CLIENT ORDERS WINDOW

It keeps its numbers and messages in QuickFIX's file store, in a directory that is gone at the
end, and writes no log. Once logged on it counts the time from the first order to the last report,
and prints it as JSON, beside the processor's. The numbers begin at 1 each time (141=Y).

The trap is to compare unlike things: QuickFIX writes its store and does not wait for the disk,
where the gateway's numbers are durable before the bytes leave.
"""

import json
import sys
import tempfile
from pathlib import Path
from secrets import token_hex
from threading import Event
from time import perf_counter, process_time
from typing import Any, Final

import quickfix  # type: ignore[import-untyped]

# A hundred thousand round trips take half a minute; longer is a hang.
PATIENCE_S: Final = 120.0
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
        self._run = token_hex(4)  # the broker remembers the orders of an earlier one
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
            (11, f"{self._run}-{self._sent}"),
            (1, "A-1"),
            (55, "AAPL"),
            (54, "1"),
            (38, "10"),
            (40, "2"),
            (44, "12.5"),
            (59, "0"),
        ):
            message.setField(tag, value)
        message.setField(quickfix.TransactTime())
        quickfix.Session.sendToTarget(message, session)


def main() -> None:
    port, client, orders, window = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "initiator.cfg"
        path.write_text(SETTINGS.format(port=port, client=client, directory=directory))
        settings = quickfix.SessionSettings(str(path))
        application = Application(orders, window)
        store = quickfix.FileStoreFactory(settings)
        initiator = quickfix.SocketInitiator(application, store, settings)
        initiator.start()
        finished = application.done.wait(PATIENCE_S)
        initiator.stop()
        if not finished:
            raise SystemExit("the round trips did not end")
    took_s = application.ended - application.began
    told = {"seconds": took_s, "processor_seconds": application.used_s}
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
