"""`kill -9` wherever a FIX session may be hurt: between number, commit, write, report and advance.

Two gateways at a time, each against an acceptor of its own that outlives it. They are judged by
the acceptors' audits and the ledgers alone: no order came twice under any id, and every fill was
applied once.
"""

import random
import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from app.cli.stage.book import reserved_book
from app.domain.values import ORDER_ID_LENGTH
from tests.faults.fix_stage import FixStage
from tests.faults.storm_stage import say, until

pytestmark = pytest.mark.storm

NIGHTS: Final = 2
# In the second night orders leave as lists, and what works is asked about in one question.
LISTS: Final[dict[str, Any]] = {"lists": True, "batch_max": 5, "mass_status": True}
ABLE: Final[list[dict[str, Any]]] = [{}, LISTS]
SEED: Final = "2026-03-02"
ORDERS: Final = 1_500
RATE: Final = 400
KILLS_MIN: Final = 40
POINTS_MIN: Final = 10
# At a logon each of these comes at once: its own number, its bytes, what it is answered.
LOGON: Final = (
    "fix.before_number",
    "fix.after_number",
    "fix.before_write",
    "fix.after_write",
    "fix.after_read",
    "fix.before_advance",
    "fix.after_advance",
)
# In the burst: the most passes before death. Reports and their numbers gather, so there are few.
BURST: Final = (
    ("fix.before_number", 8),
    ("fix.after_number", 8),
    ("fix.before_write", 8),
    ("fix.after_write", 8),
    ("fix.after_read", 6),
    ("fix.after_deliver", 2),
    ("fix.before_advance", 5),
    ("fix.after_advance", 5),
    ("claim.after_commit", 6),
    ("send.before_write", 30),
    ("settle.before_commit", 3),
    ("report.before_commit", 2),
)
WITHIN_S: Final = 4.0


class Night(NamedTuple):
    """What one night was, told by files."""

    killed_at: Counter[str]
    not_reached: list[str]
    came: list[str]
    filled: list[str]
    ledger: dict[str, int]
    settled: dict[str, int]
    wrong: list[str]


def plan(number: int) -> list[tuple[str, int]]:
    """Deal the deaths of one night: each point comes up, in an order of the night's own."""
    die = random.Random(f"{SEED}/{number}")
    logon = [(point, die.randint(1, 2)) for point in LOGON]
    burst = [(point, die.randint(min(3, most), most)) for point, most in BURST]
    dealt = [*logon, *burst, (die.choice(LOGON), 1), (die.choice(LOGON), 1)]
    die.shuffle(dealt)
    return dealt


def played(directory: Path, deaths: Sequence[tuple[str, int]], able: Mapping[str, Any]) -> Night:
    with closing(FixStage(directory, rate=RATE, able=able)) as stage:
        stage.open()
        stage.take(list(reserved_book(ORDERS, stage.find_sessions())), directory / "acked.jsonl")
        stage.ring(in_s=0.2)
        stage.kill()
        killed, not_reached = Counter({"after the bell was set": 1}), []
        for point, passes in deaths:
            if not stage.open_armed(point, passes) or stage.dies_within(WITHIN_S):
                killed[point] += 1
            else:
                stage.kill()
                killed["random"] += 1
                not_reached.append(point)
        stage.open()
        stage.until_quiet()
        # A report may come after the end that a look-up showed.
        until(lambda: _executions(stage) >= len(stage.acceptor.told("fill")), "every fill", 90)
        status = stage.stop()
        wrong = [] if status == 0 else [f"it stopped with {status}: {stage.last_words()}"]
        if "Traceback" in stage.log.read_text():
            wrong.append(f"it logged a traceback: {stage.last_words()}")
        return _judged(stage, killed, not_reached, wrong)


def _executions(stage: FixStage) -> int:
    with closing(sqlite3.connect(f"file:{stage.ledger}?mode=ro", uri=True)) as ledger:
        return int(ledger.execute("SELECT count(*) FROM executions").fetchone()[0])


def _judged(
    stage: FixStage, killed: Counter[str], not_reached: list[str], wrong: list[str]
) -> Night:
    came = [*stage.acceptor.told("D"), *stage.acceptor.told("E")]
    filled = stage.acceptor.told("fill")
    with closing(sqlite3.connect(f"file:{stage.ledger}?mode=ro", uri=True)) as ledger:
        by_status = dict(ledger.execute("SELECT status, count(*) FROM orders GROUP BY status"))
        settled = dict(ledger.execute("SELECT outcome, count(*) FROM attempts GROUP BY outcome"))
        wrong += [
            f"{order_id}: {traded} of {quantity} in {times} executions"
            for order_id, quantity, traded, times in ledger.execute(_TRADED)
            if (traded, times) != (quantity, 1)
        ]
        quarantined = ledger.execute("SELECT count(*) FROM quarantine").fetchone()[0]
    wrong += [f"{key} came {n} times" for key, n in Counter(came).items() if n > 1]
    orders = Counter(key[:ORDER_ID_LENGTH] for key in came)
    wrong += [f"order {order_id} came {n} times" for order_id, n in orders.items() if n > 1]
    wrong += [f"{quarantined} reports in quarantine"] if quarantined else []
    return Night(killed, not_reached, came, filled, by_status, settled, wrong)


_TRADED: Final = (
    "SELECT o.order_id, o.quantity, o.filled_quantity, (SELECT count(*) FROM executions AS e"
    " WHERE e.order_id = o.order_id) FROM orders AS o"
)


def test_whatever_is_killed_no_order_comes_twice_and_every_fill_is_applied_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with ThreadPoolExecutor(NIGHTS) as pool:
        directories = [tmp_path_factory.mktemp("fix") for _ in range(NIGHTS)]
        nights = list(pool.map(played, directories, map(plan, range(NIGHTS)), ABLE))
    killed = sum((night.killed_at for night in nights), Counter[str]())
    points = {point for point in killed if "." in point}
    say(f"{killed.total()} kills at {len(points)} points: {dict(killed)}")
    say(f"not reached: {[point for night in nights for point in night.not_reached]}")
    say(f"attempts: {[night.settled for night in nights]}")

    assert [night.wrong[:5] for night in nights if night.wrong] == []
    assert [night.ledger for night in nights] == [{"filled": ORDERS}] * NIGHTS
    assert [len(night.filled) for night in nights] == [ORDERS] * NIGHTS
    # A storm in which nothing happened has proved nothing.
    assert killed.total() >= KILLS_MIN
    assert len(points) >= POINTS_MIN, sorted(points)
    assert sum(night.settled.get("not_received", 0) for night in nights) > 0
