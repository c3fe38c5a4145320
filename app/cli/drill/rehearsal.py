"""A broker's death, rehearsed: two simulated brokers, a gateway, a fault, and what time it took.

    reserve ─► bell ─► the fault ─► [openbell switches by itself] ─► the fault ends ─► check

Nobody touches the route: the drill only names who may take its orders, as an operator must. The
times come from files that were written meanwhile, the ledger's and the other broker's own record.
The trap is a drill that measures itself: what it polls, and when, is in none of the figures.
"""

import json
import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from app.brokers.fault_line import switches
from app.cli.stage.book import reserved_book
from app.cli.stage.checker import Report, check
from app.cli.stage.incident import Incident, incident
from app.cli.stage.processes import Stage
from app.domain.drill import DrillFault

ROUTE: Final = "XNYS"
OLD, NEW = "north", "south"
CONTRACT: Final = 1_000
# A target must have been well for ten seconds before anybody goes there.
WARM_S: Final = 12.0
OVER_S_MAX: Final = 150.0
ASK_S: Final = 0.2
GOING_ON: Final = ("reserved", "queued", "sending", "in_doubt", "new", "partially_filled")
LIVE_TWICE: Final = "P3 live at one broker at most"
# It outlasts a hold: a machine too busy to be sure of itself waits for half a minute before it
# believes that only the broker is ill, and a broker that is well by then is not left at all.
FAULT_S: Final = 75.0
Say = Callable[[str], None]


class Rehearsed(NamedTuple):
    """What a drill came to."""

    fault: str
    incident: Incident
    report: Report

    @property
    def live_twice(self) -> int:
        return len(self.report.violations.get(LIVE_TWICE, []))

    def shown(self) -> dict[str, Any]:
        """Return it as plain values."""
        names = ("failover_id", "from_broker", "to_broker", "epoch", "reason", "moved", "pinned")
        told = self.incident
        return {
            "fault": self.fault,
            "first_failing_answer_s": round(told.failed_after, 3),
            "alerted_s": None if told.alerted is None else round(told.alerted, 3),
            **{f"{name}_s": round(at, 3) for name, at in told.times._asdict().items()},
            **{name: told.failover[name] for name in names},
            "live_twice": self.live_twice,
            "balanced": self.report.balanced,
        }


class Rehearsal:
    """One gateway, two brokers, one fault."""

    def __init__(self, directory: Path, fault: str, rate: int, say: Say) -> None:
        self._fault, self._rate, self._say = fault, rate, say
        self._session = ""
        self._stage = Stage(
            directory,
            rates={OLD: rate, NEW: rate},
            contract=max(CONTRACT, rate),
            arguments=("--fills", "partial"),
        )

    def play(self) -> Rehearsed:
        """Play it to its end; whatever happens, every process of it ends."""
        stage = self._stage
        try:
            ready_s = stage.open()
            self._say(f"gateway ready in {ready_s:.2f} s; {ROUTE} goes to {OLD}, may go to {NEW}")
            began = time.monotonic()
            self._allow()
            self._load()
            time.sleep(max(0.0, began + WARM_S - time.monotonic()))
            injected = time.time_ns()
            stage.ask_broker(OLD, "/sim/faults", self._faults())
            self._say(f"{OLD} {self._fault}")
            failover = self._watch()
            self._settle()
            stage.stop()
        finally:
            stage.close()
        return self._told(injected, failover)

    def _faults(self) -> dict[str, Any]:
        return switches(DrillFault(self._fault), 1.0, FAULT_S)

    def _allow(self) -> None:
        seen = f"/admin/v1/routes/{ROUTE}"
        body = {"candidates": [OLD, NEW], "reason": "a drill: both have the same accounts"}
        with closing(self._stage.client("operator")) as operator:
            operator.change("PATCH", f"{seen}/policy", body, seen=seen)

    def _load(self) -> None:
        """Reserve what would keep the old broker busy far beyond the fault, and ring."""
        with closing(self._stage.client("client")) as client:
            listed = client.get("/v1/sessions")["data"]
            upcoming = [s for s in reversed(listed) if s["state"] == "upcoming"]
            sessions = {s["market"]: s["trading_session_id"] for s in upcoming}
            self._session = sessions[ROUTE]
            count = round(self._rate * WARM_S * 2.5)
            book = (o for o in reserved_book(count * 8, sessions) if o["market"] == ROUTE)
            while batch := list(islice(book, min(1_000, count))):
                client.insist("/v1/orders/batch", json.dumps({"orders": batch}).encode())
                count -= len(batch)
        opens = datetime.now(UTC) + timedelta(seconds=1)
        bells = {
            "opens_at": opens.isoformat(),
            "closes_at": (opens + timedelta(hours=6)).isoformat(),
            "reason": "a drill rings its own bell",
        }
        with closing(self._stage.client("operator")) as operator:
            path = f"/admin/v1/sessions/{sessions[ROUTE]}/override"
            operator.change("PUT", path, bells, seen=path)

    def _watch(self) -> dict[str, Any]:
        """Wait until the course is steady at the other broker."""
        with closing(self._stage.client("operator")) as operator:
            state, why, until = "", "", time.monotonic() + OVER_S_MAX
            while True:
                found = operator.get("/admin/v1/failovers")["data"]
                if found and found[0]["state"] != state:
                    state = found[0]["state"]
                    held = ", ".join(found[0]["held_by"])
                    why = f"held by {held}, " if held else why
                    self._say(f"{state}{': ' + held if held else ''}")
                if state == "done":
                    return dict(found[0])
                if state == "aborted" or time.monotonic() > until:
                    raise TimeoutError(f"no switch: {why}{state or 'nothing was noticed'}")
                time.sleep(ASK_S)

    def _settle(self) -> None:
        """Let the old broker answer questions again, until every order has its end."""
        self._stage.ask_broker(OLD, "/sim/faults", {"*": None})
        until = time.monotonic() + OVER_S_MAX
        plan = f"/admin/v1/sessions/{self._session}/plan"
        with closing(self._stage.client("operator")) as operator:
            while time.monotonic() < until:
                by_status = operator.get(plan)["conservation"]["by_status"]
                if not any(by_status.get(status) for status in GOING_ON):
                    break
                time.sleep(ASK_S)
        for name in self._stage.brokers:
            self._stage.ask_broker(name, "/sim/flush", {"timeout_s": 30})

    def _told(self, injected_ns: int, failover: dict[str, Any]) -> Rehearsed:
        stage = self._stage
        audits = {name: broker.process.audit for name, broker in stage.brokers.items()}
        limits = {name: broker.rate for name, broker in stage.brokers.items()}
        ledger = stage.ledger_file()
        return Rehearsed(
            fault=self._fault,
            incident=incident(ledger, audits[NEW], failover, injected_ns / 1e6),
            report=check(ledger, audits, None, limits),
        )
