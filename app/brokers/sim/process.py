"""Starts the simulated broker as the other process that it is, and ends it by its own pid.

For tests, drills and the demo. Nothing is shared with the child but its command line and the
one line that it prints when it is ready.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Timer
from types import TracebackType
from typing import Self

# A kill and a restart take a blink; a record of a million orders takes some seconds to replay.
STOP_TIMEOUT_S = 10.0
# One that says nothing for so long says nothing any more, and its pipe would be read for ever.
START_TIMEOUT_S = 180.0


class SimDied(Exception):
    """The child ended before it was ready; its own words stand above, on stderr."""


class SimProcess:
    """One child. The port stays the same over restarts, as a broker's address does."""

    def __init__(
        self, audit: Path, secret: str, *, name: str = "north", more: Sequence[str] = ()
    ) -> None:
        self.audit = audit
        self.secret = secret
        self.name = name
        self.port = 0
        self._more = list(more)
        self._child: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    def start(self) -> Self:
        """Start the child and wait for its ready line."""
        command = [sys.executable, "-m", "app.brokers.sim", "--port", str(self.port)]
        command += ["--audit", str(self.audit), "--secret", self.secret, "--name", self.name]
        self._child = subprocess.Popen(  # noqa: S603 - our own module, our own arguments
            [*command, *self._more], stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout is not None
        impatience = Timer(START_TIMEOUT_S, self._child.kill)
        impatience.start()
        try:
            line = self._child.stdout.readline()
        finally:
            impatience.cancel()
        if not line:
            self._end()
            raise SimDied(f"broker {self.name!r} ended before it was ready")
        self.port = json.loads(line)["port"]
        return self

    def stop(self) -> None:
        """End it politely."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash does."""
        self._signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _signal(self, number: signal.Signals) -> None:
        if self._child is not None:
            self._child.send_signal(number)
            self._end()

    def _end(self) -> None:
        assert self._child is not None
        try:
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()
        self._child = None
