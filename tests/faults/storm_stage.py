"""The stage of a storm: a gateway that can be armed to die, and waits that cannot last for ever.

It is the demonstration's stage (`app/cli/stage/processes.py`) with quicker brokers' terms, so that
a doubt ends within seconds. The trap is a storm that hangs: whatever waits here gives up, says
what it waited for, and shows the end of the gateway's log.
"""

import atexit
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Timer
from time import perf_counter, sleep
from typing import Any, Final, TypeVar

from app.cli.asking.problems import Problem, Unreachable
from app.cli.stage.checker import Report, check
from app.cli.stage.processes import Stage
from app.clock import Clock, SystemClock

T = TypeVar("T")
Order = dict[str, Any]

ASK_EVERY_S: Final = 0.02
START_S_MAX: Final = 30.0
MARKETS: Final = ("XNYS", "XNAS")
IN_FLIGHT: Final = ("queued", "sending", "in_doubt", "new", "partially_filled")
# Compiling is half of a start where Python may not keep what it compiled; here it may.
COMPILED: Final = TemporaryDirectory(prefix="openbell-storm-")
atexit.register(COMPILED.cleanup)
QUICK: Final = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": COMPILED.name}


def say(text: str) -> None:
    """Tell a figure to whoever runs the storm: pytest -s."""
    sys.stdout.write(f"\n{text}")


def until(
    condition: Callable[[], T], what: str, timeout_s: float, every_s: float = ASK_EVERY_S
) -> T:
    """Return the first true answer, or fail with what was waited for."""
    give_up_at = perf_counter() + timeout_s
    while not (answer := condition()):
        assert perf_counter() < give_up_at, f"not within {timeout_s} s: {what}"
        sleep(every_s)
    return answer


class StormStage(Stage):
    """A gateway, its two brokers, and what a storm does to them."""

    def __init__(
        self,
        directory: Path,
        *,
        rates: Mapping[str, int],
        contract: int = 2_000,
        arguments: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            directory,
            rates=rates,
            contract=contract,
            arguments=arguments,
            settings=QUICK,
        )
        self.options = dict(options or {})
        self.sessions: dict[str, str] = {}
        self.clock: Clock = SystemClock()

    # --- the gateway's life ---------------------------------------------------------------

    def open(self, **extra: str) -> float:
        """Start the gateway with our brokers' terms; it is ended if it does not get ready."""
        brokers = {name: broker.settings() for name, broker in self.brokers.items()}
        for settings in brokers.values():
            settings["options"] |= self.options
        impatience = Timer(START_S_MAX, self._give_up)
        impatience.start()
        try:
            return super().open(brokers=json.dumps(brokers), **extra)
        finally:
            impatience.cancel()

    def _give_up(self) -> None:
        if self.gateway is not None:
            self.gateway.send_signal(signal.SIGABRT)

    def open_armed(self, point: str, passes: int) -> bool:
        """Start it with a death planned; return whether it lived to be ready."""
        try:
            self.open(crash_at=f"{point}:{passes}")
        except RuntimeError:
            if not self.was_killed():
                raise
            return False
        return True

    def was_killed(self) -> bool:
        """Whether it has ended, and by SIGKILL; any other end of its own is a failure."""
        assert self.gateway is not None
        status = self.gateway.poll()
        if status is None:
            return False
        assert status == -signal.SIGKILL, f"it ended by itself ({status}): {self.last_words()}"
        return True

    def dies_within(self, timeout_s: float) -> bool:
        """Wait for the planned death."""
        assert self.gateway is not None
        try:
            self.gateway.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        self._ended()
        return self.was_killed()

    def last_words(self) -> str:
        return self.log.read_text()[-3_000:]

    # --- what people do -------------------------------------------------------------------

    def find_sessions(self) -> dict[str, str]:
        """Return the next session of each market that is not open yet."""
        with self.calling("client") as client:
            for session in client.get("/v1/sessions")["data"]:
                if session["state"] == "upcoming":
                    self.sessions.setdefault(session["market"], session["trading_session_id"])
        return {market: self.sessions[market] for market in MARKETS}

    def calling(self, who: str) -> "Calling":
        """Return a client that hangs up at the end of its block."""
        return Calling(self, who)

    def ring(self, *markets: str, in_s: float = 1.0) -> None:
        """Move the bells of these markets, as an operator may."""
        opens = datetime.now(UTC) + timedelta(seconds=in_s)  # noqa: TID251 - a person's watch
        bells = {
            "opens_at": opens.isoformat(),
            "closes_at": (opens + timedelta(hours=6)).isoformat(),
            "reason": "a storm rings its own bell",
        }
        with self.calling("operator") as operator:
            for market in markets or MARKETS:
                path = f"/admin/v1/sessions/{self.sessions[market]}/override"
                operator.change("PUT", path, bells, seen=path)

    def turn(self, broker: str, tps: int) -> int:
        """Turn a broker's dial; return the instant, in monotonic ns, from which it acts."""
        seen = f"/admin/v1/brokers/{broker}"
        with self.calling("operator") as operator:
            body = {"tps": tps, "reason": "a storm turns the dial"}
            reply = operator.change("PATCH", f"{seen}/rate", body, seen=seen, confirm=broker)
        assert reply.document["applied"], "the answer says that it acts, within a second"
        return self.clock.monotonic_ns()

    def take(self, orders: Sequence[Order], history: Path) -> list[Order]:
        """Post orders, each of which must be taken; keep what was answered."""
        taken = []
        with self.calling("client") as client, history.open("a") as file:
            for start in range(0, len(orders), 500):
                body = json.dumps({"orders": orders[start : start + 500]}).encode()
                reply = client.insist("/v1/orders/batch", body)
                for result in reply.document["results"]:
                    assert result["status"] in {200, 201}, result
                    taken.append(result["order"])
                    file.write(kept(result["order"]))
        return taken

    def faults(self, switches: Mapping[str, Any]) -> None:
        """Switch faults at both brokers; `{"*": None}` heals them."""
        for name in self.brokers:
            self.ask_broker(name, "/sim/faults", switches)

    # --- what is seen ---------------------------------------------------------------------

    def counts(self) -> dict[str, int]:
        """Count orders by status, over both sessions."""
        found: dict[str, int] = {}
        with self.calling("operator") as operator:
            for market in MARKETS:
                path = f"/admin/v1/sessions/{self.sessions[market]}/plan"
                by_status = operator.get(path)["conservation"]["by_status"]
                for status, number in by_status.items():
                    found[status] = found.get(status, 0) + number
        return found

    def left(self) -> int:
        """Return how many orders have left the queues so far."""
        counts = self.counts()
        waiting = ("reserved", "queued", "denied", "expired")
        return sum(number for status, number in counts.items() if status not in waiting)

    def until_quiet(self, timeout_s: float = 60.0) -> None:
        """Wait until every order has come to an end and every report is told and applied."""
        seen: dict[str, int] = {}

        def over() -> bool:
            assert self.gateway is not None
            assert self.gateway.poll() is None, f"it ended by itself: {self.last_words()}"
            seen.clear()
            seen.update(self.counts())
            return not any(seen.get(status) for status in IN_FLIGHT)

        try:
            until(over, "every order at its end", timeout_s)
        except AssertionError as e:
            raise AssertionError(f"{e}: {seen}; {self.last_words()}") from None
        for name in self.brokers:
            self.ask_broker(name, "/sim/flush", {"timeout_s": 30})

    def view_differs(self) -> list[str]:
        """Return where the account view differs from the ledger, once it has had its time."""
        found: list[str] = []

        def equal() -> bool:
            with self.calling("operator") as operator:
                found[:] = operator.get("/admin/v1/view/verify")["differences"]
            return not found

        try:
            until(equal, "the view equals the ledger", 10.0)
        except AssertionError:
            return found
        return []

    def checked(self, history: Path | None, limits: dict[str, int]) -> Report:
        """Let the offline checker read all files; the gateway has stopped."""
        audits = {name: broker.process.audit for name, broker in self.brokers.items()}
        return check(self.ledger, audits, history, limits)

    @property
    def ledger(self) -> Path:
        return self.directory / "data" / "ledger.db"


class Calling:
    """A client for one block."""

    def __init__(self, stage: StormStage, who: str) -> None:
        self._client = stage.client(who)

    def __enter__(self) -> Any:
        return self._client

    def __exit__(self, *_: object) -> None:
        self._client.close()


def kept(order: Order) -> str:
    """Write an answered order as the checker reads it."""
    names = ("account_id", "client_order_id", "order_id")
    return json.dumps({name: order[name] for name in names}) + "\n"


AWAY: Final = (Unreachable, Problem)
