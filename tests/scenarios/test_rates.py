"""No second holds more sends than the limit in force: while the dial turns, and across restarts."""

from itertools import pairwise

from app.domain.messages import Throttled
from tests.scenarios.floor import Floor
from tests.scenarios.seconds import over_limit, worst_second
from tests.virtual import NS_PER_S

NAMES = [f"o-{n}" for n in range(400)]


def sent(floor: Floor) -> list[int]:
    return [s.at_ns for s in floor.north.sent]


def test_turning_the_dial_lets_no_second_pass_above_it(floor: Floor) -> None:
    floor.reserve_all(NAMES[:250])
    floor.reserve_all(NAMES[250:])
    floor.rate("north", 200)
    floor.bell()
    floor.until(lambda: len(sent(floor)) >= 120)
    floor.rate("north", 50)
    lowered_ns = floor.world.now_ns
    floor.passes(1.0)
    within = [t for t in sent(floor) if lowered_ns < t <= lowered_ns + NS_PER_S]
    assert len(within) <= 50

    floor.rate("north", 200)
    floor.until(lambda: len(sent(floor)) == len(NAMES))

    assert over_limit(sent(floor), floor.rates["north"]) == []
    assert 190 <= worst_second(sent(floor)) <= 200


def test_a_restart_lets_no_second_pass_above_the_limit(floor: Floor) -> None:
    floor.reserve_all(NAMES[:200])
    floor.rate("north", 100)
    floor.bell()
    floor.until(lambda: len(sent(floor)) >= 60)
    floor.restart()
    began = floor.world.now_ns
    floor.until(lambda: len(sent(floor)) >= 120)

    assert over_limit(sent(floor), floor.rates["north"]) == []
    assert min(t for t in sent(floor) if t > began) - began >= NS_PER_S - 20_000_000


def test_cancels_count_as_much_as_orders(floor: Floor) -> None:
    floor.reserve_all(NAMES[:100])
    floor.bell()
    floor.until(lambda: len(floor.north.orders) >= 40)
    for name in NAMES[:40]:
        if floor.state(name) == "new":
            floor.cancel(name)
    floor.until(lambda: len(floor.north.orders) == 100)
    floor.passes(3)

    assert {s.verb for s in floor.north.sent} == {"new", "cancel"}
    assert over_limit(sent(floor), floor.rates["north"]) == []


def test_a_brokers_word_that_we_are_too_fast_makes_a_pause(floor: Floor) -> None:
    floor.reserve_all(NAMES[:20])
    floor.north.does("new", verdict=Throttled(1.5))
    floor.bell()
    floor.until(lambda: len(floor.north.received) >= 1)
    floor.north.answers()
    floor.comes_to("new", *NAMES[:20])

    pauses = [after - before for before, after in pairwise(sent(floor))]
    assert max(pauses) >= 1.5 * NS_PER_S
    outcomes = {a.outcome for name in NAMES[:20] for a in floor.attempts(name)}
    assert outcomes == {"throttled", "accepted"}


def test_one_account_with_many_orders_starves_nobody(floor: Floor) -> None:
    floor.rate("north", 20)
    floor.reserve_all(NAMES[:300], account_id="A-1")
    floor.reserve_all([f"small-{n}" for n in range(3)], account_id="A-2")
    floor.bell()
    floor.comes_to("new", "small-0", "small-1", "small-2", timeout_s=2)

    assert len(floor.north.news()) < 30
