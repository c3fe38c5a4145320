"""The red button in mid-burst: sends stop within 100 ms, cancels pass, and it outlives a kill.

The instant of the halt is when its answer was in the caller's hands; the instants of the sends
are the gateway's own, read right before each write, by the same monotonic clock.
"""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from app.cli.asking.change import seen_in
from app.cli.asking.problems import Problem
from app.cli.stage.book import reserved_book
from tests.faults.storm_stage import StormStage, say, until

pytestmark = pytest.mark.storm

RATES: Final = {"north": 400, "south": 400}
ORDERS: Final = 3_000
LATE_NS: Final = 100_000_000
# Fills take so long that many orders still stand at a broker when their cancel comes.
BROKERS: Final = ("--fills", "partial", "--fill-delay-ms", "4000")
CANCELS: Final = 20
REASON: Final = {"reason": "a storm presses the red button"}


class Sends:
    """What left, by broker, in monotonic ns: the ledger's word, else the broker's."""

    def __init__(self, stage: StormStage) -> None:
        self._stage = stage
        with closing(sqlite3.connect(f"file:{stage.ledger}?mode=ro", uri=True)) as ledger:
            noted = dict(ledger.execute("SELECT broker_order_key, sent_ns FROM attempts"))
        self.at: dict[str, list[int]] = {}
        self.cancels: list[int] = []
        for broker, simulated in stage.brokers.items():
            with simulated.process.audit.open() as lines:
                audit = [json.loads(line) for line in lines]
            self.at[broker] = [
                noted.get(line["client_order_id"]) or line["ns"]
                for line in audit
                if line["kind"] == "NEW"
            ]
            self.cancels += [line["ns"] for line in audit if line["kind"] == "CANCEL"]

    def between(self, broker: str, start: int, end: int) -> int:
        return sum(start < ns <= end for ns in self.at[broker])


def pressed(stage: StormStage, who: str, word: str, scope: dict[str, str]) -> int:
    """Halt or resume; return when the answer was there."""
    with stage.calling(who) as client:
        halts = client.get("/admin/v1/halts")["data"]
        seen = [seen_in(halt).etag for halt in halts if halt["scope"] == scope["scope"]]
        headers = {"X-Confirm": scope.get("id", "all"), "If-Match": (seen or ["*"])[0] or "*"}
        client.call("POST", f"/admin/v1/{word}", scope | REASON, headers)
    return stage.clock.monotonic_ns()


def watched(stage: StormStage, seconds: float) -> int:
    """Let it run on for a while; return the instant at its end."""
    end = stage.clock.monotonic_ns() + round(seconds * 1_000_000_000)
    until(lambda: stage.clock.monotonic_ns() > end, "time passes", 2 * seconds)
    return stage.clock.monotonic_ns()


def canceled(stage: StormStage, orders: list[dict[str, Any]]) -> list[str]:
    """Cancel some orders that stand at a broker; return their ids."""
    asked: list[str] = []
    with stage.calling("client") as client:
        for order in orders:
            try:
                reply = client.call("DELETE", f"/v1/orders/{order['order_id']}")
            except Problem:
                continue  # it has filled meanwhile
            if reply.status == 202:
                asked.append(order["order_id"])
            if len(asked) == CANCELS:
                break
    return asked


def standing(stage: StormStage, orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return orders that a broker has and has not filled."""
    found = []
    with stage.calling("client") as client:
        for account_id in sorted({order["account_id"] for order in orders})[:40]:
            path = f"/v1/orders?account_id={account_id}&status=new&limit=100"
            found += client.get(path)["data"]
    return found


class Halted(NamedTuple):
    """What happened, and when, in monotonic ns."""

    north_at: int
    all_at: int
    cancels_done: int
    before_resume: int
    left: int
    asked: list[str]
    halts: set[tuple[str, str]]


def play(stage: StormStage, history: Path) -> Halted:
    """Halt one broker in the burst, then all; cancel; kill; resume by another; drain."""
    stage.open()
    orders = stage.take(list(reserved_book(ORDERS, stage.find_sessions())), history)
    stage.ring()
    until(lambda: stage.left() > ORDERS // 8, "the burst is on", 120)
    north_at = pressed(stage, "operator", "halt", {"scope": "broker", "id": "north"})
    watched(stage, 0.8)
    all_at = pressed(stage, "operator", "halt", {"scope": "all"})
    asked = canceled(stage, standing(stage, orders))
    until(lambda: not _pending(stage, asked), "every cancel has its end", 60)
    cancels_done = stage.clock.monotonic_ns()
    left = stage.left()
    stage.kill()
    stage.open()
    before_resume = watched(stage, 2.0)
    halts = _halts(stage)
    with pytest.raises(Problem) as refused:
        pressed(stage, "operator", "resume", {"scope": "all"})
    assert refused.value.code == "second-principal-required"
    pressed(stage, "approver", "resume", {"scope": "all"})
    pressed(stage, "approver", "resume", {"scope": "broker", "id": "north"})
    until(lambda: stage.left() >= ORDERS, "the last has left", 120)
    stage.until_quiet()
    return Halted(north_at, all_at, cancels_done, before_resume, left, asked, halts)


def test_a_halt_stops_the_burst_lets_cancels_pass_and_outlives_a_kill(tmp_path: Path) -> None:
    history = tmp_path / "acked.jsonl"
    with closing(StormStage(tmp_path, rates=RATES, arguments=BROKERS)) as stage:
        night = play(stage, history)
        assert stage.stop() == 0
    sends, report = Sends(stage), stage.checked(history, RATES)

    halted = {"north": night.north_at, "south": night.all_at}
    after = {name: sends.between(name, at, night.before_resume) for name, at in halted.items()}
    late = {
        name: sends.between(name, at + LATE_NS, night.before_resume) for name, at in halted.items()
    }
    say(f"{night.left} of {ORDERS} had left; sent after the halt's answer {after}, late {late}")
    assert late == {"north": 0, "south": 0}
    assert sends.between("south", night.north_at + LATE_NS, night.all_at) > 0, "its scope was north"
    assert night.left < ORDERS
    assert len(night.asked) == CANCELS
    # One whose order fills after it was asked, and before it leaves, need not leave.
    assert sum(night.all_at < ns <= night.cancels_done for ns in sends.cancels) > CANCELS // 2
    assert night.halts == {("all", "*"), ("broker", "north")}
    assert report.shown() == {}


def _pending(stage: StormStage, order_ids: list[str]) -> list[str]:
    with stage.calling("client") as client:
        return [
            order_id
            for order_id in order_ids
            if client.get(f"/v1/orders/{order_id}")["pending_request"] == "cancel"
        ]


def _halts(stage: StormStage) -> set[tuple[str, str]]:
    with stage.calling("operator") as operator:
        found = operator.get("/admin/v1/halts")["data"]
    return {(halt["scope"], halt["target"]) for halt in found}
