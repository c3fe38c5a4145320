"""The processes of a demonstration: one gateway, two simulated brokers, and how they end.

Everything is started here, by its own id, on loopback, and ended here. The gateway runs as a
user would run it (`openbell serve`), so that killing it kills what a user would lose.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import Any, AnyStr, Final

from app.cli.asking.client import Client
from app.cli.stage.ports import free_port
from app.cli.stage.simulated import Simulated, start

STOP_S_MAX: Final = 60.0
# One that says nothing for so long says nothing any more, and its pipe would be read for ever.
START_S_MAX: Final = 180.0


def ready_line(process: "subprocess.Popen[AnyStr]", within_s: float = START_S_MAX) -> AnyStr:
    """Return what a part of ours says when it is ready; nothing if it has ended, or had to be."""
    assert process.stdout is not None
    impatience = Timer(within_s, process.kill)
    impatience.start()
    try:
        return process.stdout.readline()
    finally:
        impatience.cancel()


class Stage:
    """A gateway and its brokers, on disk in one directory."""

    def __init__(
        self,
        directory: Path,
        *,
        rates: Mapping[str, int],
        contract: int,
        arguments: Sequence[str] = (),
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._extra = dict(settings or {})
        self.brokers: dict[str, Simulated] = {
            name: start(
                directory / "brokers",
                name,
                self.url,
                rate=rate,
                contract=contract,
                arguments=arguments,
            )
            for name, rate in rates.items()
        }
        self.gateway: subprocess.Popen[str] | None = None
        self.log = directory / "gateway.log"

    def client(self, who: str, timeout_s: float = 30.0) -> Client:
        """Return a caller with the key of client, operator or approver."""
        keys = json.loads((self.directory / "data" / "first-keys.json").read_text())
        return Client(self.url, keys[who], timeout_s=timeout_s)

    def open(self, **extra: str) -> float:
        """Start the gateway; return the seconds until it was ready."""
        began = monotonic()
        with self.log.open("a") as log:
            self.gateway = subprocess.Popen(
                [sys.executable, "-m", "app", "serve"],
                env=self.settings(extra),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        if not ready_line(self.gateway):
            self._ended()
            raise RuntimeError(f"the gateway did not start: {self.log.read_text()[-2_000:]}")
        return monotonic() - began

    def settings(self, extra: Mapping[str, str]) -> dict[str, str]:
        """Return the whole environment of a gateway on this stage."""
        from app.settings import inherited  # slow to import, and only a stage needs it

        names = list(self.brokers)
        return inherited() | {
            "OPENBELL_DATA_DIR": str(self.directory / "data"),
            "OPENBELL_PORT": str(self.port),
            "OPENBELL_BROKERS": json.dumps({n: b.settings() for n, b in self.brokers.items()}),
            "OPENBELL_ROUTES": json.dumps({"XNYS": names[0], "XNAS": names[-1]}),
            **self._extra,
            **{f"OPENBELL_{name.upper()}": value for name, value in extra.items()},
        }

    def ledger_file(self) -> Path:
        """Return the file that the checker reads."""
        return self.directory / "data" / "ledger.db"

    def kill(self) -> None:
        """End the gateway as a power cut would: no farewell."""
        assert self.gateway is not None
        self.gateway.send_signal(signal.SIGKILL)
        self._ended()

    def must_live(self) -> None:
        """Raise if the gateway has ended by itself: nobody would come back to wait for."""
        if self.gateway is not None and self.gateway.poll() is not None:
            raise RuntimeError(f"the gateway ended: {self.log.read_text()[-2_000:]}")

    def stop(self) -> int:
        """Ask the gateway to drain and end; return its exit status."""
        assert self.gateway is not None
        self.gateway.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        """Wait for the gateway to be gone, and let go of its pipe; return its exit status."""
        assert self.gateway is not None
        status = self.gateway.wait(STOP_S_MAX)
        if self.gateway.stdout is not None:
            self.gateway.stdout.close()
        return status

    def close(self) -> None:
        """End whatever of ours still runs."""
        if self.gateway is not None:
            self.gateway.kill()  # nothing happens to one that has ended
            self._ended()
        for broker in self.brokers.values():
            broker.process.stop()

    def ask_broker(self, name: str, path: str, body: Any = None) -> Any:
        """Call the control plane of a simulated broker."""
        broker = self.brokers[name]
        client = Client(broker.process.url, "")
        headers = {"Authorization": f"Bearer {broker.process.secret}"}
        method = "GET" if body is None else "POST"
        try:
            return client.call(method, path, body, headers).document
        finally:
            client.close()
