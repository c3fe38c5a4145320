"""`kill -9` wherever it may hurt, while brokers lie and people change their minds.

The nights run two at a time, since a storm mostly waits. Each is judged by files alone: no
order lost, doubled, invented or altered; then all of them together: a storm in which nothing
happened has proved nothing, so it must have been one.
"""

import random
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tests.faults.storm_night import LIVED, Arm, Plan, StormNight
from tests.faults.storm_stage import say

pytestmark = pytest.mark.storm

NIGHTS: Final = 4
AT_ONCE: Final = 2
SEED: Final = "2026-01-02"
KILLS_MIN: Final = 60
POINTS_MIN: Final = 20
# A night is invalid as a proof unless these happened so often, over all nights.
SOMETIMES: Final = {
    "in doubt": 50,
    "not received": 3,
    "found": 5,
    "killed unwritten": 3,
    "cancel won": 3,
    "cancel lost": 3,
    "canceled unsent": 10,
    "order amended": 10,
    "dial turned": 10,
    "answer lost": 10,
}
DUPLICATE_FILLS_MIN: Final = 10
UNWRITTEN: Final = ("claim.after_commit", "send.after_check", "send.before_write")
UNWRITTEN_MIN: Final = 3

# Point, the most passes before death, and how long to wait for it. Before the bell nothing is
# sent, so each of these comes at once.
BEFORE: Final = (
    ("intake.before_commit", 12, 3.0),
    ("intake.after_commit", 12, 3.0),
    ("relay.before_publish", 6, 3.0),
    ("relay.after_publish", 6, 3.0),
    ("cancel.after_commit", 4, 3.0),
    ("admin.after_commit", 1, 3.0),
)
# A new owner's first second is silent (its window starts full), so a burst takes that long.
AFTER: Final = (
    ("claim.before_commit", 25, 3.0),
    ("claim.after_commit", 25, 3.0),
    ("send.after_check", 10, 4.0),
    ("send.before_write", 10, 4.0),
    ("send.after_reply", 10, 4.0),
    ("settle.before_commit", 8, 4.0),
    ("settle.after_commit", 8, 4.0),
    ("report.after_poll", 8, 4.0),
    ("report.before_commit", 8, 4.0),
    ("report.after_apply", 8, 4.0),
    ("cancel.before_send", 3, 4.0),
    ("cancel.after_reply", 3, 4.0),
    ("find.after_reply", 3, 5.0),
    ("verdict.before_commit", 1, 8.0),
    ("verdict.after_commit", 1, 8.0),
    ("lease.after_acquire", 2, 1.0),
    ("recover.after_commit", 2, 1.0),
)


def plans() -> list[Plan]:
    """Deal the points out: each comes up about equally often, in an order of its own."""
    die = random.Random(SEED)
    after = _dealt(AFTER, 11 * NIGHTS, die)
    before = _dealt(BEFORE, 2 * NIGHTS, die)
    return [
        Plan(
            seed=f"{SEED}/{night}",
            before=before[night::NIGHTS],
            bell=[Arm("release.before_commit", die.randint(1, 2), 2.0)],
            after=[*after[night::NIGHTS], Arm(LIVED, 1, die.uniform(1.0, 2.0))],
        )
        for night in range(NIGHTS)
    ]


def _dealt(points: Sequence[tuple[str, int, float]], count: int, die: random.Random) -> list[Arm]:
    dealt: list[Arm] = []
    while len(dealt) < count:
        deck = list(points)
        die.shuffle(deck)
        dealt += [Arm(point, die.randint(1, passes), within) for point, passes, within in deck]
    return dealt[:count]


def test_whatever_is_killed_no_order_is_lost_doubled_invented_or_altered(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    storms = [StormNight(tmp_path_factory.mktemp("night"), plan) for plan in plans()]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        nights = list(pool.map(StormNight.play, storms))
    killed_at = sum((night.killed_at for night in nights), Counter[str]())
    points = {point for point in killed_at if "." in point}
    seen = sum((night.seen for night in nights), Counter[str]())
    fired = sum((night.fired for night in nights), Counter[str]())
    say(f"{killed_at.total()} kills at {len(points)} points: {dict(killed_at)}")
    say(f"not reached: {[point for night in nights for point in night.not_reached]}")
    say(f"{sum(night.report.orders for night in nights)} orders: {dict(seen)}; {dict(fired)}")
    say(f"seconds: {[round(night.seconds) for night in nights]}")

    assert [(night.seed, night.wrong) for night in nights if night.wrong] == []
    # A storm in which nothing happened has proved nothing.
    assert killed_at.total() >= KILLS_MIN
    assert len(points) >= POINTS_MIN, sorted(points)
    assert sum(killed_at[point] for point in UNWRITTEN) >= UNWRITTEN_MIN
    assert fired["duplicate_fill"] >= DUPLICATE_FILLS_MIN
    assert {name: seen[name] for name, least in SOMETIMES.items() if seen[name] < least} == {}
