"""A bell for a bench: a full book, one simulated broker, a gateway, and what became of it.

The book is in the ledger before the gateway starts, so that loading is not measured. What is
measured is read from files when all is over: the instants that the ledger keeps of each order
and attempt, and the broker's own record of what arrived. Nothing is polled that would slow the
gateway down.
"""

import json
import sqlite3
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Final, NamedTuple

from app.brokers.sim.process import SimProcess
from app.cli.asking.client import Client
from app.cli.bench.machine import memory_mb
from app.cli.stage.processes import Stage
from app.cli.stage.simulated import Simulated

BROKER: Final = "north"
SECRET: Final = "openbell-bench"  # noqa: S105 - of a simulated broker on loopback
BELL_IN_S: Final = 0.5
POLL_S: Final = 0.1
SECOND_NS: Final = 1_000_000_000


class Bell(NamedTuple):
    """What one bell left behind. Rates are orders a second, from the bell to the last one."""

    released: float
    sent: float
    answered: float
    before_mb: float | None  # the gateway's memory before the bell
    peak_mb: float | None


class Wire(NamedTuple):
    """What left and what arrived, by instants in nanoseconds."""

    sent: list[int]
    arrived: list[int]
    refused: int


class Book:
    """A stage with one broker, on a ledger that is already full."""

    def __init__(
        self,
        directory: Path,
        sessions: dict[str, str],
        *,
        rate: int,
        tps: int | None = None,
    ) -> None:
        self.stage = Stage(directory, rates={}, contract=rate)
        brokers = directory / "brokers"
        brokers.mkdir()
        enforced = [] if tps is None else ["--tps", str(tps)]
        more = ["--fills", "none", *enforced]
        process = SimProcess(brokers / f"{BROKER}.audit.jsonl", SECRET, name=BROKER, more=more)
        self.stage.brokers[BROKER] = Simulated(process.start(), rate, rate)
        self._sessions = sessions
        self._process = process
        self._stats = Client(process.url, SECRET)
        self._before = 0  # what the broker had accepted when the bell was rung
        self.opens_at = 0
        self.before_mb: float | None = None

    @property
    def broker_url(self) -> str:
        return self._process.url

    @property
    def pid(self) -> int:
        assert self.stage.gateway is not None
        return self.stage.gateway.pid

    @property
    def ledger(self) -> Path:
        return self.stage.directory / "data" / "ledger.db"

    def ring(self, **settings: str) -> None:
        """Start the gateway and move its bells to now, as an operator would."""
        self.start(**settings)
        self.move_bells()

    def start(self, **settings: str) -> None:
        """Start the gateway; what is due stays so until its bells are moved."""
        self._before = self.accepted()
        self.stage.open(**settings)
        self.before_mb = memory_mb(self.pid, "VmRSS")

    def move_bells(self) -> None:
        """Move the bells to now."""
        opens = datetime.now(UTC) + timedelta(seconds=BELL_IN_S)
        bells = {
            "opens_at": opens.isoformat(),
            "closes_at": (opens + timedelta(hours=1)).isoformat(),
            "reason": "a bench rings its own bell",
        }
        operator = self.stage.client("operator")
        for session in self._sessions.values():
            path = f"/admin/v1/sessions/{session}/override"
            operator.change("PUT", path, bells, seen=path)
        operator.close()
        self.opens_at = round(opens.timestamp() * 1_000)

    def accepted(self) -> int:
        """Ask the broker how many orders it has accepted since the bell was rung."""
        return int(self._stats.get("/sim/stats")["accepted"]) - self._before

    def until_answered(self, orders: int, patience_s: float) -> None:
        """Return when the ledger knows the broker's answer to every order."""
        deadline = monotonic() + patience_s
        while (accepted := self.accepted()) < orders or self._open_attempts():
            if monotonic() > deadline:
                raise RuntimeError(f"{accepted} of {orders} accepted after {patience_s:.0f} s")
            sleep(POLL_S)

    def _open_attempts(self) -> int:
        with closing(sqlite3.connect(f"{self.ledger.as_uri()}?mode=ro", uri=True)) as connection:
            # The words of the partial index, so that it is used.
            sql = "SELECT count(*) FROM attempts WHERE outcome IN ('open', 'unknown')"
            return int(connection.execute(sql).fetchone()[0])

    def wire(self) -> Wire:
        """Return every instant at which an order left or arrived, in order."""
        with closing(sqlite3.connect(f"{self.ledger.as_uri()}?mode=ro", uri=True)) as connection:
            sql = "SELECT sent_ns FROM attempts WHERE sent_ns IS NOT NULL ORDER BY sent_ns"
            sent = [row[0] for row in connection.execute(sql)]
        with self._process.audit.open("rb") as file:
            judged = [line for raw in file if (line := json.loads(raw))["kind"] == "NEW"]
        arrived = sorted(line["ns"] for line in judged)
        refused = sum(line["decision"] == "throttled" for line in judged)
        return Wire(sent, arrived, refused)

    def outcome(self, orders: int) -> Bell:
        """Return how fast the orders passed each post."""
        with closing(sqlite3.connect(f"{self.ledger.as_uri()}?mode=ro", uri=True)) as connection:
            released = connection.execute("SELECT max(released_at) FROM orders").fetchone()[0]
            first, last, claimed, settled = connection.execute(
                "SELECT min(sent_ns), max(sent_ns), min(claimed_at), max(settled_at) FROM attempts"
            ).fetchone()
        sent_at = claimed + (last - first) / 1e6  # the first leaves in the millisecond of its claim
        return Bell(
            self._rate(orders, released),
            self._rate(orders, sent_at),
            self._rate(orders, settled),
            self.before_mb,
            memory_mb(self.pid),
        )

    def _rate(self, orders: int, until: float) -> float:
        return orders * 1_000 / max(1, until - self.opens_at)

    def close(self) -> None:
        """End the gateway and the broker."""
        self._stats.close()
        self.stage.close()
        gateway = self.stage.gateway
        if gateway is not None and gateway.stdout is not None:
            gateway.stdout.close()


def worst_second(instants: Sequence[int]) -> int:
    """Return the most instants within any half-open second."""
    window: deque[int] = deque()
    worst = 0
    for instant in instants:
        window.append(instant)
        while window[0] <= instant - SECOND_NS:
            window.popleft()
        worst = max(worst, len(window))
    return worst


def within(instants: Iterable[int], begin: int, end: int) -> int:
    """Count the instants of a half-open stretch of time."""
    return sum(begin <= instant < end for instant in instants)
