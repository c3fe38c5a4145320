"""The night of the open, act by act: load, ring, drain, and what goes wrong on the way.

    load ─► bell ─► dial turned ─► a broker swallows answers ─► kill -9 ─► restart ─► last fill

Everything goes through the doors that a user has: orders and operator calls over HTTP, faults
through the simulated broker's own control plane, the kill by the process id.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep, time_ns
from typing import Any, Final

from app.cli.asking.output import Ends, Failure
from app.cli.asking.problems import Problem, Unreachable
from app.cli.stage.book import reserved_book
from app.cli.stage.processes import Stage

BATCH: Final = 1_000
POLL_S: Final = 0.5
# Counting by status reads every order; a large night is counted more rarely.
COUNT_EVERY_S: Final = 3.0
ORDERS_COUNTED_A_SECOND: Final = 50_000
# Comparing a million documents takes its minutes.
VERIFY_S_MAX: Final = 900.0
BELL_IN_S: Final = 2
SWALLOW_S: Final = 4
# After the last send: fills are told, doubts wait for their broker's visibility window.
QUIET_S_MAX: Final = 120.0
# Connections end without a word, whatever is asked: only its control plane hears us still.
DEAD: Final = {"close_before_read": {"on": ["orders", "cancels", "lookups", "ping"]}}
ENDED: Final = ("filled", "canceled", "expired", "rejected", "denied")


@dataclass(slots=True)
class Progress:
    """What the gateway says of itself at one moment."""

    at_s: float
    orders: int
    reserved: int = 0
    ready: int = 0
    in_doubt: int = 0
    filled: int = 0
    ended: int = 0
    lanes: list[dict[str, Any]] = field(default_factory=list)
    reachable: bool = True

    @property
    def left(self) -> int:
        """How many orders have left the queue."""
        return self.orders - self.reserved - self.ready

    @property
    def eta_s(self) -> float | None:
        rate = sum(lane["sent_last_second"] for lane in self.lanes)
        return (self.reserved + self.ready) / rate if rate else None


@dataclass(slots=True)
class Told:
    """One line of the night's log."""

    at_s: float
    text: str


Show = Callable[[Progress], None]
Say = Callable[[str], None]


class Night:
    """One run, on one stage."""

    def __init__(self, stage: Stage, orders: int, show: Show, say: Say) -> None:
        self._stage = stage
        self._orders = orders
        self._show = show
        self._say_out = say
        self._began = monotonic()
        self._client = stage.client("client")
        self._operator = stage.client("operator")
        self._counts: dict[str, int] = {}
        self._counted_at = 0.0
        self._count_every_s = max(COUNT_EVERY_S, orders / ORDERS_COUNTED_A_SECOND)
        self.sessions: dict[str, str] = {}
        self.log: list[Told] = []
        self.history = stage.directory / "acked.jsonl"
        self.rates = {name: broker.rate for name, broker in stage.brokers.items()}
        self.load_s = 0.0
        self.drain_s = 0.0
        self.recovery_s = 0.0
        self.dead, self.died_ms = "", 0.0
        self.failover: dict[str, Any] | None = None

    def _say(self, text: str) -> None:
        self.log.append(Told(monotonic() - self._began, text))
        self._say_out(text)

    # --- acts ---------------------------------------------------------------------------

    def load(self, progress: Callable[[int], None]) -> None:
        """Post every order in batches and keep what was answered."""
        for session in self._client.get("/v1/sessions")["data"]:
            if session["state"] == "upcoming":
                self.sessions.setdefault(session["market"], session["trading_session_id"])
        began, batch = monotonic(), []
        with self.history.open("w") as history:
            for order in reserved_book(self._orders, self.sessions):
                batch.append(order)
                if len(batch) == BATCH:
                    progress(self._post(batch, history))
                    batch = []
            if batch:
                progress(self._post(batch, history))
        self.load_s = monotonic() - began
        self._say(f"{self._orders:,} orders taken in {self.load_s:.1f} s, each on disk")

    def _post(self, batch: list[dict[str, Any]], history: Any) -> int:
        reply = self._client.insist("/v1/orders/batch", json.dumps({"orders": batch}).encode())
        for result in reply.document["results"]:
            if result["status"] not in {200, 201}:
                raise Failure(Ends.FAILED_CHECK, f"an order of the book was refused: {result}")
            order = result["order"]
            kept = {name: order[name] for name in ("account_id", "client_order_id", "order_id")}
            history.write(json.dumps(kept) + "\n")
        return len(batch)

    def ring(self) -> None:
        """Move tonight's bells to two seconds from now, as an operator may."""
        opens = datetime.now(UTC) + timedelta(seconds=BELL_IN_S)
        bells = {
            "opens_at": opens.isoformat(),
            "closes_at": (opens + timedelta(hours=6, minutes=30)).isoformat(),
            "reason": "a demonstration rings its own bell",
        }
        for market in ("XNYS", "XNAS"):
            path = f"/admin/v1/sessions/{self.sessions[market]}/override"
            self._operator.change("PUT", path, bells, seen=path)
        self._say(f"the bell rings in {BELL_IN_S} s")

    def turn_the_dial(self, broker: str, tps: int) -> None:
        """Move one broker's rate in mid-drain."""
        seen = f"/admin/v1/brokers/{broker}"
        body = {"tps": tps, "reason": "the desk asked for more"}
        reply = self._operator.change("PATCH", f"{seen}/rate", body, seen=seen, confirm=broker)
        self.rates[broker] = max(self.rates[broker], tps)
        applied = "acting" if reply.document.get("applied") else "not yet acting"
        self._say(f"{broker}: {tps} messages a second, {applied}")

    def swallow(self, broker: str) -> None:
        """Let a broker take orders and not answer for some seconds."""
        fault = {"accept_drop_reply": {"for_s": SWALLOW_S}}
        self._stage.ask_broker(broker, "/sim/faults", fault)
        self._say(f"{broker} accepts and does not answer, for {SWALLOW_S} s")

    def kill(self) -> None:
        """Kill -9 in mid-drain, and start again."""
        self._stage.kill()
        self._say("kill -9: the gateway is gone")
        self._show(Progress(self._elapsed(), self._orders, reachable=False))
        self.recovery_s = self._stage.open()
        self._say(f"started again, ready after {self.recovery_s:.2f} s")

    def allow(self) -> None:
        """Say who may take whose orders: without a person's word no route ever moves."""
        for route in self._operator.get("/admin/v1/routes")["data"]:
            seen = f"/admin/v1/routes/{route['route_id']}"
            home = route["active_broker"]
            others = [name for name in self._stage.brokers if name != home]
            body = {"candidates": [home, *others], "reason": "both have the same accounts"}
            self._operator.change("PATCH", f"{seen}/policy", body, seen=seen)
        self._say("each route may go to the other broker, by itself")

    def dies(self) -> None:
        """Let the broker that most orders wait for die, for good."""
        waiting = self._operator.get("/admin/v1/overview")["backlog"]["ready"]
        routes = self._operator.get("/admin/v1/routes")["data"]
        route_id = max((r["route_id"] for r in routes), key=lambda name: waiting.get(name, 0))
        route = self._operator.get(f"/admin/v1/routes/{route_id}")
        self.dead, self.died_ms = route["active_broker"], time_ns() / 1e6
        self._stage.ask_broker(self.dead, "/sim/faults", DEAD)
        self._say(f"{self.dead} is dead, with {waiting.get(route_id, 0):,} orders waiting for it")

    def mends(self) -> None:
        """Let the dead broker's people answer questions again, once all has been said and done."""
        found = self._operator.get("/admin/v1/failovers")["data"]
        self.failover = next((f for f in found if f["from_broker"] == self.dead), None)
        self._stage.ask_broker(self.dead, "/sim/faults", {"*": None})
        self._say(f"{self.dead} answers questions again; its doubts can be settled")

    # --- watching -----------------------------------------------------------------------

    def drain(self, acts: list[tuple[float, Callable[[], None]]]) -> None:
        """Watch until every order has left, playing each act when its share has gone."""
        began, waiting = monotonic(), list(acts)
        while True:
            now = self.look()
            self._show(now)
            self._stage.must_live()
            if now.reachable and not now.reserved and not now.ready and not waiting:
                break
            while waiting and now.reachable and now.left >= waiting[0][0] * self._orders:
                waiting.pop(0)[1]()
            sleep(POLL_S)
        self.drain_s = monotonic() - began
        self._say(f"the last order has left, {self.drain_s:.1f} s after the bell was set")

    def settle(self) -> None:
        """Wait until no order is in doubt and every fill has been told and applied."""
        deadline = monotonic() + QUIET_S_MAX
        for name in self._stage.brokers:
            self._stage.ask_broker(name, "/sim/flush", {"timeout_s": 30})
        before = -1
        while monotonic() < deadline:
            self._counted_at = 0.0
            now = self.look()
            self._show(now)
            done = now.reachable and not now.in_doubt and now.ended == before
            if done:
                self._say("no order is in doubt; every fill is told")
                return
            before = now.ended
            sleep(2 * POLL_S)
        self._say("some orders have not come to an end in time")

    def look(self) -> Progress:
        """Ask the gateway how it stands; while it is away, say so."""
        now = Progress(self._elapsed(), self._orders)
        try:
            overview = self._operator.get("/admin/v1/overview")
            if monotonic() - self._counted_at > self._count_every_s:
                self._counts = self._count()
                self._counted_at = monotonic()
        except (Unreachable, Problem):
            now.reachable = False
            return now
        backlog = overview["backlog"]
        now.reserved = sum(backlog["reserved"].values())
        now.ready = sum(backlog["ready"].values())
        now.in_doubt = sum(backlog["in_doubt"].values())
        now.filled = self._counts.get("filled", 0)
        now.ended = sum(self._counts.get(status, 0) for status in ENDED)
        now.lanes = overview["lanes"]
        return now

    def _count(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for market in ("XNYS", "XNAS"):
            plan = self._operator.get(f"/admin/v1/sessions/{self.sessions[market]}/plan")
            for status, number in plan["conservation"]["by_status"].items():
                counts[status] = counts.get(status, 0) + number
        return counts

    def view_differs(self) -> list[str]:
        """Return the orders whose account view is not what the ledger says, once it is quiet.

        A view that comes nearer is not quiet yet: what stands in for a server may be slow.
        """
        deadline, fewest = monotonic() + QUIET_S_MAX, None
        patient = self._stage.client("operator", VERIFY_S_MAX)
        while True:
            found: list[str] = patient.get("/admin/v1/view/verify")["differences"]
            if not found or monotonic() > deadline:
                return found
            if fewest is None or len(found) < fewest:
                deadline, fewest = monotonic() + QUIET_S_MAX, len(found)
            sleep(1.0)

    def _elapsed(self) -> float:
        return monotonic() - self._began


def kept_files(stage: Stage) -> tuple[Path, dict[str, Path]]:
    """Return the ledger and each broker's audit file, for the checker."""
    audits = {name: broker.process.audit for name, broker in stage.brokers.items()}
    return stage.ledger_file(), audits
