"""The dial goes down and up again in mid-drain, the gateway dies in between, and N still holds.

Two brokers, each with an enforcer that refuses whatever comes too fast: one allows exactly the
number on the dial, the other two per cent more. Sends are counted by the instant before each
write, as the gateway noted it; what a kill kept it from noting left when its broker saw it.
"""

import json
import sqlite3
from bisect import bisect_left, bisect_right
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from app.cli.stage.book import reserved_book
from app.cli.stage.checker_brokers import worst_second
from tests.faults.storm_stage import StormStage, say, until

pytestmark = pytest.mark.storm

HIGH: Final = 200
LOW: Final = 50
SECOND_NS: Final = 1_000_000_000
# North's dial stands at 98 % of what its enforcer allows, south's at all of it.
SHARES: Final = {"north": 98, "south": 100}
ORDERS: Final = 2_400
# All of a broker's orders, for each of two brokers, could not leave faster.
DRAIN_S_MAX: Final = 60.0


def dial(broker: str, tps: int) -> int:
    return tps * SHARES[broker] // 100


def sends(stage: StormStage, broker: str) -> list[int]:
    """Return when each message left, in monotonic ns."""
    seen: dict[str, int] = {}
    with stage.brokers[broker].process.audit.open() as lines:
        for line in map(json.loads, lines):
            if line["kind"] == "NEW":
                seen[line["client_order_id"]] = line["ns"]
    with closing(sqlite3.connect(f"file:{stage.ledger}?mode=ro", uri=True)) as ledger:
        noted = ledger.execute(
            "SELECT broker_order_key, sent_ns FROM attempts WHERE broker_id = ?", [broker]
        )
        found = [sent_ns or seen.get(key) for key, sent_ns in noted]
    return sorted(ns for ns in found if ns is not None)


def turned(stage: StormStage, tps: int) -> int:
    """Turn both dials; return when both act."""
    return max(stage.turn(broker, dial(broker, tps)) for broker in SHARES)


def enforced(stage: StormStage, tps: int) -> None:
    for broker in SHARES:
        stage.ask_broker(broker, "/sim/tps", {"tps": tps})


def play(stage: StormStage, history: Path) -> tuple[int, int]:
    """Drain at the high rate, the low one, through a kill, and the high one again.

    Return the instants, in monotonic ns, between which the dials stood low.
    """
    stage.open()
    stage.take(list(reserved_book(ORDERS, stage.find_sessions())), history)
    enforced(stage, HIGH)
    stage.ring()
    until(lambda: stage.left() > ORDERS // 4, "a quarter has left", 120)
    low_from = turned(stage, LOW)
    gone = stage.left()
    until(lambda: stage.left() > gone + 2 * LOW, "a second at the low rate", 120)
    enforced(stage, LOW)  # its own window has forgotten the fast second by now
    stage.kill()
    stage.open()
    again = stage.left()
    until(lambda: stage.left() > again + 2 * LOW, "a second after the restart", 120)
    enforced(stage, HIGH)
    low_to = stage.clock.monotonic_ns()
    turned(stage, HIGH)
    until(lambda: stage.left() >= ORDERS, "the last has left", DRAIN_S_MAX)
    stage.until_quiet()
    return low_from, low_to


def test_no_second_carries_more_than_the_dial_said_and_the_broker_has_nothing_to_refuse(
    tmp_path: Path,
) -> None:
    rates = {broker: dial(broker, HIGH) for broker in SHARES}
    history = tmp_path / "acked.jsonl"
    with closing(StormStage(tmp_path, rates=rates, arguments=("--fills", "instant"))) as stage:
        low_from, low_to = play(stage, history)
        stats = {broker: stage.ask_broker(broker, "/sim/stats") for broker in SHARES}
        assert stage.stop() == 0
    report = stage.checked(history, rates)

    assert report.shown() == {}
    for broker in SHARES:
        all_sends = sends(stage, broker)
        low = all_sends[bisect_right(all_sends, low_from) : bisect_left(all_sends, low_to)]
        worst = worst_second(all_sends)
        say(
            f"{broker}: {len(all_sends)} sent; worst second {worst} of {rates[broker]},"
            f" {worst_second(low)} of {dial(broker, LOW)} while low;"
            f" arrived {stats[broker]['worst_second']}; refused {stats[broker]['throttled']}"
        )
        assert worst <= rates[broker]
        assert 0 < worst_second(low) <= dial(broker, LOW)
    assert stats["north"]["throttled"] == 0
