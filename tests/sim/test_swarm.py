"""Seeded chaos around the open: whatever happens, nothing illegal does, and then all comes to rest.

A failure prints its seed: run it alone with `pytest "tests/sim/test_swarm.py::test_a_seed[7]"`.
"""

from collections import Counter
from typing import Final

import pytest

from tests.scenarios.floor import SESSION_OPENS, Floor
from tests.sim.checks import everything_wrong
from tests.sim.swarm import BEFORE_S, Swarm
from tests.virtual import Virtual

SEEDS: Final = 130
# Further seeds, to see that the trouble which the checks are there for does happen: at least so
# often in all of them together, and about a third of what they show today.
WITNESSES: Final = range(1_000, 1_020)
HAPPENS: Final = {
    "asked_again": 50,
    "cancel_requested": 5,
    "canceled_unsent": 20,
    "crashed_in_flight": 3,
    "dial_turned": 20,
    "disorder": 10,
    "duplicate": 10,
    "found": 10,
    "halted": 3,
    "hidden": 1,
    "late": 4,
    "lost": 5,
    "not_received": 10,
    "not_sent": 10,
    "route_moved": 5,
    "silent": 5,
    "stopped": 2,
    "throttled": 4,
}


# In the last three a replace meets the end of its order, which is rare.
RESTLESS: Final = (*range(2_000, 2_009), 2_018, 2_032, 2_033)
REPLACES: Final = {
    "accepted": 30,
    "ended": 1,
    "not_received": 3,
    "not_sent": 2,
    "rejected": 4,
    "withdrawn": 3,
}


def ran(seed: int, *, restless: bool = False) -> Swarm:
    # Half of the seeds also shuffle what may run now, more widely than asyncio ever does.
    schedule = seed if seed % 2 else None
    with Virtual(seed=schedule, now=SESSION_OPENS - round(BEFORE_S * 1000)) as virtual:
        swarm = Swarm(virtual, seed, restless=restless)
        swarm.run()
        assert everything_wrong(swarm) == []
        swarm.floor.crash()
    return swarm


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_seed(seed: int) -> None:
    ran(seed)


def test_trouble_of_every_kind_happens() -> None:
    happened: Counter[str] = Counter()
    for seed in WITNESSES:
        swarm = ran(seed)
        happened.update(swarm.counts)
        happened.update(how_attempts_ended(swarm.floor))

    assert {kind: happened[kind] for kind, least in HAPPENS.items() if happened[kind] < least} == {}


def test_replaces_meet_every_kind_of_trouble_and_leave_one_order_each() -> None:
    happened: Counter[str] = Counter()
    for seed in RESTLESS:
        happened.update(how_replaces_ended(ran(seed, restless=True).floor))

    assert {k: happened[k] for k, least in REPLACES.items() if happened[k] < least} == {}


def how_replaces_ended(floor: Floor) -> Counter[str]:
    """Count what became of replaces."""
    return Counter(row.state for row in floor.query("SELECT state FROM replaces"))


def how_attempts_ended(floor: Floor) -> Counter[str]:
    """Count outcomes, and the doubts that a look-up ended by finding the order."""
    ended = Counter(row.outcome for row in floor.query("SELECT outcome FROM attempts"))
    found = "SELECT 1 FROM attempts WHERE outcome = 'accepted' AND settled_by = 'lookup'"
    ended["found"] = len(floor.query(found))
    return ended
