"""How soon an alert is an event on the bus: many real causes, one gateway under load.

    orders, all the time ─► gateway ◄─ faults of brokers, words about orders that nobody placed
                               └─► bus.db ─► when was the event of each cause published?

A cause begins when it is made: the fault is switched on, the line is cut, the report is sent. It
ends where subscribers read, so rules, ledger, outbox and relay are all in the figure, and the
seconds that a rule wants to see (silence: three) are in it too. The trap is a drill that measures
itself: what it polls, and when, is in none of the figures.
"""

import json
import random
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from app.brokers.fault_line import switches
from app.brokers.sim.callbacks import signature
from app.cli.asking.client import Client
from app.cli.drill.alert_times import Alerted, Late
from app.cli.stage.book import US, reserved_book
from app.cli.stage.processes import Stage
from app.domain.drill import DrillFault

TOPIC: Final = "openbell.anomalies.v1"
LADEN: Final = ("north", "south")  # each leads one market
IDLE: Final = ("east", "west")  # standbys: only pings tell how they are
CONTRACT: Final = 1_000
POLL_S: Final = 0.05
FEED_EVERY_S: Final = 0.5
# Longer than any rule that can speak of it wants to see it.
FAULT_S: Final = 6.0
# Between two causes, so that they meet every phase of every loop.
REST_S: Final = (0.1, 1.0)
# Of a cause of which nothing was heard: it is counted as told so late, and the drill goes on.
GIVEN_UP_S: Final = 30.0
# A subject whose trouble never ends is given no other cause. When that is so of all of them, nobody
# would ever be told anything: a hold and a cool-down together are half of this.
STUCK_S: Final = 300.0
# A batch is insisted on for some minutes, if the gateway asks for that.
FED_S_MAX: Final = 60.0
KINDS: Final = {"report": "report.", "line": "broker.unreachable", "broker": ""}
FAULTS: Final = (DrillFault.ERRS, DrillFault.DIES, DrillFault.HANGS, DrillFault.REFUSES)
Say = Callable[[str], None]


class Events(NamedTuple):
    """What was published of anomalies, read as a subscriber would, past the gateway's own code."""

    file: Path

    def after(self, offset: int) -> list[tuple[int, int, dict[str, Any]]]:
        """Return (offset, published at, anomaly) of what is newer."""
        asked = (
            'SELECT "offset", published_at, payload FROM bus_records'
            " WHERE topic = ? AND type LIKE 'io.openbell.anomaly.%'"
            ' AND "offset" > ? ORDER BY "offset"'
        )
        with closing(sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)) as connection:
            rows = connection.execute(asked, (TOPIC, offset)).fetchall()
        return [(number, at, json.loads(payload)) for number, at, payload in rows]


class Course:
    """One subject that falls ill again and again, and what is open about it now."""

    def __init__(self, kind: str, subject: str, die: random.Random) -> None:
        self.kind, self.subject = kind, subject
        self._die = die
        self.open: set[str] = set()
        self.caused_ms: int | None = None
        self.due = 0.0
        self.late_s: list[float] = []
        self.rest()

    def rest(self) -> None:
        self.due = time.monotonic() + self._die.uniform(*REST_S)

    @property
    def ready(self) -> bool:
        return self.caused_ms is None and not self.open and time.monotonic() >= self.due

    def hears(self, at_ms: int, anomaly: dict[str, Any]) -> bool:
        """Take in one event; return whether it told our cause."""
        name = f"{anomaly['subject']['kind']}/{anomaly['subject']['id']}"
        if name != self.subject or not anomaly["rule"]["id"].startswith(KINDS[self.kind]):
            return False
        if anomaly["state"] == "resolved":
            self.open.discard(anomaly["anomaly_id"])
            self.rest()
            return False
        self.open.add(anomaly["anomaly_id"])
        return self._told(at_ms)

    def gives_up(self) -> bool:
        """Count a cause that nothing has told as told only now."""
        now_ms = time.time_ns() // 1_000_000
        late = self.caused_ms is not None and now_ms - self.caused_ms > GIVEN_UP_S * 1_000
        return late and self._told(now_ms)

    def _told(self, at_ms: int) -> bool:
        if self.caused_ms is None or at_ms < self.caused_ms:
            return False
        self.late_s.append((at_ms - self.caused_ms) / 1_000)
        self.caused_ms = None
        return True


class AlertDrill:
    """One gateway, two brokers under load and two that stand by, and a long row of causes."""

    def __init__(self, directory: Path, causes: int, rate: int, say: Say) -> None:
        self._causes, self._rate, self._say = causes, rate, say
        self._stage = Stage(
            directory,
            rates=dict.fromkeys((*LADEN, *IDLE), 2 * rate),
            contract=max(CONTRACT, 2 * rate),
            arguments=("--fills", "partial"),
            settings={"OPENBELL_ROUTES": json.dumps(dict(zip(US, LADEN, strict=True)))},
        )
        die = random.Random(5)
        self._die = die
        self._events = Events(directory / "data" / "bus.db")
        self._courses = [
            Course("report", "gateway/reports", die),
            *(Course("line", f"broker/{name}", die) for name in IDLE),
            *(Course("broker", f"broker/{name}", die) for name in LADEN),
        ]
        self._numbers = count(1)
        self._over = threading.Event()
        self._placed = 0

    def play(self) -> Alerted:
        """Play it to its end; whatever happens, every process of it ends."""
        stage = self._stage
        feeding = threading.Thread(target=self._feed, name="feed", daemon=True)
        try:
            self._say(f"gateway ready in {stage.open():.2f} s, {self._rate} orders a second each")
            sessions = self._ring()
            self._book = reserved_book(10_000_000, sessions)
            began = time.monotonic()
            feeding.start()
            self._cause_and_listen()
            seconds = time.monotonic() - began
        finally:
            self._over.set()
            if feeding.ident is not None:
                feeding.join(FED_S_MAX)
            stage.close()
        kinds: dict[str, list[float]] = defaultdict(list)
        for course in self._courses:
            kinds[course.kind] += course.late_s
        told = {name: Late(sorted(late)) for name, late in kinds.items() if late}
        return Alerted(told, self._placed, seconds)

    def _ring(self) -> dict[str, str]:
        """Open both markets for six hours; return their sessions."""
        with closing(self._stage.client("client")) as client:
            listed = client.get("/v1/sessions")["data"]
        upcoming = [s for s in reversed(listed) if s["state"] == "upcoming"]
        sessions = {s["market"]: s["trading_session_id"] for s in upcoming}
        opens = datetime.now(UTC) + timedelta(seconds=1)
        bells = {
            "opens_at": opens.isoformat(),
            "closes_at": (opens + timedelta(hours=6)).isoformat(),
            "reason": "a drill rings its own bell",
        }
        with closing(self._stage.client("operator")) as operator:
            for market in US:
                path = f"/admin/v1/sessions/{sessions[market]}/override"
                operator.change("PUT", path, bells, seen=path)
        return sessions

    # --- load -----------------------------------------------------------------------------

    def _feed(self) -> None:
        """Place orders at the rate that both brokers can just take twice."""
        with closing(self._stage.client("client")) as client:
            due = time.monotonic()
            while not self._over.is_set():
                orders = list(islice(self._book, round(len(US) * self._rate * FEED_EVERY_S)))
                client.insist("/v1/orders/batch", json.dumps({"orders": orders}).encode())
                self._placed += len(orders)
                due = max(due + FEED_EVERY_S, time.monotonic() - FEED_EVERY_S)
                self._over.wait(max(0.0, due - time.monotonic()))

    # --- causes ---------------------------------------------------------------------------

    def _cause_and_listen(self) -> None:
        seen, told, before = -1, 0, -1
        stuck_at = 0.0
        while told < self._causes:
            self._stage.must_live()
            if told > before:
                before, stuck_at = told, time.monotonic() + STUCK_S
            if time.monotonic() > stuck_at:
                ill = {course.subject: sorted(course.open) for course in self._courses}
                raise TimeoutError(f"no cause was told for {STUCK_S:g} s; open by subject: {ill}")
            for offset, at_ms, anomaly in self._events.after(seen):
                seen = offset
                told += self._hear(at_ms, anomaly, told)
            told += sum(course.gives_up() for course in self._courses)
            for course in self._courses:
                if course.ready:
                    self._cause(course)
            time.sleep(POLL_S)

    def _hear(self, at_ms: int, anomaly: dict[str, Any], told: int) -> int:
        heard = sum(course.hears(at_ms, anomaly) for course in self._courses)
        stands = anomaly["state"] == "open" and anomaly["acknowledged_by"] is None
        if stands and anomaly["rule"]["id"].startswith(KINDS["report"]):
            # What is in quarantine ends with a person's word, and only then can the next begin.
            path = f"/admin/v1/anomalies/{anomaly['anomaly_id']}"
            # A line of its own: one that was idle for five seconds is one that the server closed.
            with closing(self._stage.client("operator")) as operator:
                body = {"reason": "a drill has read it"}
                operator.change("POST", f"{path}/ack", body, seen=path)
        if heard and (told + heard) % 50 == 0:
            worst = max(late for course in self._courses for late in course.late_s)
            self._say(f"{told + heard:,} of {self._causes:,} causes told, worst {worst:.2f} s")
        return heard

    def _cause(self, course: Course) -> None:
        name = course.subject.partition("/")[2]
        acts: dict[str, Callable[[], None]] = {
            "report": self._send_a_stranger,
            "line": lambda: self._infect(name, DrillFault.REFUSES),
            "broker": lambda: self._infect(name, self._die.choice(FAULTS)),
        }
        course.caused_ms = time.time_ns() // 1_000_000
        acts[course.kind]()

    def _infect(self, broker: str, fault: DrillFault) -> None:
        self._stage.ask_broker(broker, "/sim/faults", switches(fault, 1.0, FAULT_S))

    def _send_a_stranger(self) -> None:
        """Report, in a broker's name and under its signature, an order that nobody has placed."""
        number, now_s = next(self._numbers), int(time.time())
        report = {
            "client_order_id": f"o_99999999_{number:013d}-A1",
            "order_id": f"X{number}",
            "execution_id": f"x{number}",
            "type": "new",
            "trade_date": f"{datetime.now(UTC):%Y-%m-%d}",
            "at_ms": now_s * 1_000,
        }
        body = json.dumps({"broker": IDLE[0], "reports": [report]}).encode()
        secret = self._stage.brokers[IDLE[0]].process.secret
        headers = {
            "X-Callback-Id": f"stranger-{number}",
            "X-Signature": signature(secret, now_s, body),
        }
        with closing(Client(self._stage.url, "")) as caller:
            caller.call("POST", f"/hooks/brokers/{IDLE[0]}", body, headers)
