"""A storm's stage whose broker speaks FIX: a plain acceptor in a process of its own.

The acceptor (`tests/brokers/fix/counterpart.py`) lives through every death of the gateway, and
its audit tells each message of an order as it came, and each fill as it was made.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, cast

from app.cli.stage.simulated import Simulated
from tests.brokers.fix.counterpart import SENDER, TARGET
from tests.children import first_words
from tests.faults.storm_stage import StormStage

BROKER: Final = "north"
# What a doubt needs to end: an answer to a question, and the proof of the number. So short,
# because a counterpart on this machine that says "unknown" has not the order on its way.
TERMS: Final = {
    "heartbeat_s": 5,
    "answer_s": 1.0,
    "find_s": 1.0,
    "visibility_window_s": 0.5,
    "unknown_answers_required": 1,
    "back_off_s_min": 0.05,
    "back_off_s_max": 0.2,
}


class Acceptor:
    """The counterpart's process, as a stage sees a broker."""

    def __init__(self, directory: Path, rate: int, contract: int, able: Mapping[str, Any]) -> None:
        self.audit = directory / "acceptor.jsonl"
        self.audit.touch()
        self._rate, self._able = rate, {"orders_per_second_max": contract, **able}
        module = ("-m", "tests.brokers.fix.counterpart")
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, *module, "--audit", str(self.audit), "--fills"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(first_words(self._process))

    @property
    def process(self) -> "Acceptor":
        return self

    def settings(self) -> dict[str, Any]:
        """Return the broker as the gateway's settings name it."""
        own = {"hosts": f"127.0.0.1:{self.port}", "sender": TARGET, "target": SENDER}
        options = own | TERMS | self._able
        return {"adapter": "fix", "orders_per_second": self._rate, "options": options}

    def stop(self) -> None:
        """End it, by the pipe that it holds on to."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def told(self, type_: str) -> list[str]:
        """Return the ClOrdIDs of what came, or was filled, in its order."""
        with self.audit.open() as lines:
            return [it["key"] for it in map(json.loads, lines) if it["type"] == type_]


class FixStage(StormStage):
    """A gateway, and one broker that speaks FIX."""

    def __init__(
        self,
        directory: Path,
        *,
        rate: int,
        contract: int = 2_000,
        able: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(directory, rates={})
        self.acceptor = Acceptor(directory, rate, contract, able)
        self.brokers = {BROKER: cast("Simulated", self.acceptor)}

    def ask_broker(self, name: str, path: str, body: Any = None) -> Any:
        """Do nothing: an acceptor has no control plane, and holds nothing back."""
