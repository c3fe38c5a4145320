"""The stage of a storm over real stores: four roles, each started again whenever it ends.

A site has an orchestrator that restarts what ended; here that is `Kept`, a thread for each role.
It counts lives and how they ended, and may give the next lives a place to die at (`Arm`); those
that are to die anywhere are killed by whoever makes the weather. The doors reach PostgreSQL
through a proxy that can lose the answer to a COMMIT; the others reach it directly.

The trap is a supervisor that hides a crash loop: every end is kept, and whoever judges the
storm sees how many of them nobody had planned.
"""

import json
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event, Lock, Thread, Timer
from time import perf_counter
from typing import Any, Final, NamedTuple

from app.cli.asking.client import Client
from app.cli.bench.machine import memory_mb
from app.cli.stage.roles import ROLES, RoleStage
from tests.faults.storm_night import LIVED, Arm
from tests.faults.storm_stage import MARKETS, QUICK

# A start takes two seconds where nothing else runs; here ten processes start beside each other,
# perhaps beside other suites. Only a test that fails waits so long.
START_S_MAX: Final = 180.0
END_S_MAX: Final = 60.0
# A start costs a core for two seconds, and one whose store is away ends at once: an orchestrator
# backs off as well. What was killed comes back at once.
RESTART_S: Final = 0.1
BACK_OFF_S: Final = 3.0
CALL_S_MAX: Final = 30.0
SAID_CHARACTERS: Final = 2_000


class End(NamedTuple):
    """How one life of a role ended, and whether it was to die somewhere."""

    status: int
    arm: Arm | None


class Kept:
    """One role, kept running until it is asked to stop."""

    def __init__(self, stage: "StackStage", role: str, name: str | None = None) -> None:
        self._stage = stage
        self.role = role
        self.name = name or role
        self.ready = Event()
        # Where the next lives are to die, and the present one.
        self.arms: deque[Arm] = deque()
        self.arm: Arm | None = None
        self.ready_since = 0.0
        self.ends: list[End] = []
        self.peak_mb: float | None = None  # of the life that was asked to stop
        self._child: subprocess.Popen[str] | None = None
        self._lock = Lock()
        self._enough = Event()
        # What has failed to end holds up no interpreter's own end.
        self._thread = Thread(target=self._keep, name=f"keeps {self.name}", daemon=True)

    def start(self) -> "Kept":
        self._thread.start()
        return self

    @property
    def killed(self) -> int:
        return sum(end.status == -signal.SIGKILL for end in self.ends)

    @property
    def by_itself(self) -> list[End]:
        """Ends that nobody caused: the role gave up, as crash-only design allows."""
        return [end for end in self.ends if end.status not in (-signal.SIGKILL, 0)]

    def kill(self) -> None:
        """End the present life as a crash does."""
        with self._lock:
            if self._child is not None:
                self._child.kill()

    def stop(self) -> int:
        """Ask it to drain and end, for good; return its exit status."""
        with self._lock:
            self._enough.set()
            if self._child is not None:
                self.peak_mb = memory_mb(self._child.pid)
                self._child.send_signal(signal.SIGTERM)
        self._thread.join(END_S_MAX)
        if self._thread.is_alive():
            self.kill()
            self._thread.join(END_S_MAX)
        return self.ends[-1].status if self.ends else 0

    def _keep(self) -> None:
        while self._live():
            killed = self.ends[-1].status == -signal.SIGKILL
            self._enough.wait(RESTART_S if killed else BACK_OFF_S)

    def _live(self) -> bool:
        """Live once; return whether there is to be another life."""
        with self._lock:
            if self._enough.is_set():
                return False
            self.arm = self.arms.popleft() if self.arms else None
            self._child = child = self._stage.spawn(self.role, self.name, self.arm)
        # SIGABRT, so that no impatience of ours is taken for a planned death.
        impatience = Timer(START_S_MAX, child.send_signal, [signal.SIGABRT])
        impatience.start()
        assert child.stdout is not None
        with child.stdout:
            if child.stdout.readline():
                self.ready_since = perf_counter()
                self.ready.set()
            impatience.cancel()
            status = child.wait()
        self.ready.clear()
        self.ends.append(End(status, self.arm))
        if self.arm is not None and status != -signal.SIGKILL:
            self.arms.appendleft(self.arm)  # it ended before it came there
        return True


class StackStage(RoleStage):
    """The roles, their brokers, and what keeps them running. The environment names the stores."""

    def __init__(
        self,
        directory: Path,
        *,
        rates: Mapping[str, int],
        contract: int,
        arguments: Sequence[str],
        options: Mapping[str, Any],
    ) -> None:
        super().__init__(directory, rates=rates, contract=contract, arguments=arguments)
        self._options = dict(options)
        self.kept: dict[str, Kept] = {}
        # How the doors reach the ledger; as all others do, until somebody stands in between.
        self.doors_ledger_url: str | None = None

    def raise_curtain(self) -> None:
        """Start every role and return when all are ready."""
        started = [self.keep(role) for role in ROLES]
        for kept in started:
            assert kept.ready.wait(START_S_MAX), f"no {kept.name}: {self.said(kept.name)}"

    def keep(self, role: str, name: str | None = None) -> Kept:
        """Start one more process of a role, under a name that nobody had, and keep it running."""
        kept = Kept(self, role, name)
        assert kept.name not in self.kept
        self.kept[kept.name] = kept
        return kept.start()

    def spawn(self, role: str, name: str, arm: Arm | None) -> subprocess.Popen[str]:
        """Start one life of one role."""
        brokers = {name: broker.settings() for name, broker in self.brokers.items()}
        for settings in brokers.values():
            settings["options"] |= self._options
        extra = {"brokers": json.dumps(brokers), "quotas": "{}"}
        if arm is not None and arm.point != LIVED:
            extra["crash_at"] = f"{arm.point}:{arm.passes}"
        environment = self.settings(extra) | QUICK
        if role != "api":
            environment["OPENBELL_PORT"] = "0"
        elif self.doors_ledger_url is not None:
            environment["OPENBELL_LEDGER_URL"] = self.doors_ledger_url
        with self._log_of(name).open("a") as log:
            return subprocess.Popen(  # noqa: S603 - a role of ours
                [sys.executable, "-m", "app", "serve", "--role", role],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def replay(self, trade_date: str) -> None:
        """Put each order of a day into the outbox once more, as an operator does at a terminal."""
        ran = subprocess.run(  # noqa: S603 - a command of ours
            [sys.executable, "-m", "app", "outbox", "replay", "--trade-date", trade_date],
            env=self.settings({}) | QUICK,
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S_MAX,
        )
        assert ran.returncode == 0, ran.stderr

    # --- what people do -------------------------------------------------------------------

    def calling(self, who: str, timeout_s: float = CALL_S_MAX) -> closing[Client]:
        """Return a client that hangs up at the end of its block."""
        return closing(self.client(who, timeout_s))

    def find_sessions(self) -> dict[str, str]:
        """Return the next session of each market that is not open yet."""
        found: dict[str, str] = {}
        with self.calling("client") as client:
            for session in client.get("/v1/sessions")["data"]:
                if session["state"] == "upcoming":
                    found.setdefault(session["market"], session["trading_session_id"])
        return {market: found[market] for market in MARKETS}

    def ring(self, sessions: Mapping[str, str]) -> None:
        """Move the bells of these sessions, as an operator may."""
        opens = datetime.now(UTC) + timedelta(seconds=1)  # noqa: TID251 - a person's watch
        bells = {
            "opens_at": opens.isoformat(),
            "closes_at": (opens + timedelta(hours=6)).isoformat(),
            "reason": "a storm rings its own bell",
        }
        with self.calling("operator") as operator:
            for session in sessions.values():
                path = f"/admin/v1/sessions/{session}/override"
                operator.change("PUT", path, bells, seen=path)

    def faults(self, switches: Mapping[str, Any]) -> None:
        """Switch faults at both brokers; `{"*": None}` heals them."""
        for name in self.brokers:
            self.ask_broker(name, "/sim/faults", switches)

    # --- what is seen ---------------------------------------------------------------------

    def _log_of(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def said(self, name: str) -> str:
        """Return the end of a role's log."""
        return self.logs().get(name, "")[-SAID_CHARACTERS:]

    def logs(self) -> dict[str, str]:
        """Return what each role has said, as far as it has said anything."""
        files = {name: self._log_of(name) for name in list(self.kept)}
        return {name: file.read_text() for name, file in files.items() if file.exists()}

    def stop_all(self) -> dict[str, int]:
        """Drain every role, the doors first; return their exit statuses."""
        return {name: kept.stop() for name, kept in self.kept.items()}

    def close(self) -> None:
        for kept in self.kept.values():
            kept.kill()
            kept.stop()
        super().close()
