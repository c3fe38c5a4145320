"""How fast orders leave when it is not the operator's number alone that says so."""

from typing import Any

from app.domain.messages import NotSent, Throttled
from app.domain.records import BrokerControl, LaneStatus
from app.domain.tuning import with_facts
from tests.scenarios.brokers import BrokerWorld
from tests.scenarios.fates import Fate
from tests.scenarios.floor import Floor
from tests.scenarios.seconds import worst_second
from tests.virtual import NS_PER_S

NAMES = [f"o-{n}" for n in range(600)]


def lane(floor: Floor, broker: str = "north") -> LaneStatus:
    return next(s for s in floor.gateway.floor.lanes() if s.broker_id == broker)


def acts(floor: Floor, broker: str = "north") -> tuple[int, str]:
    """Return the rate that acts, and whose word it is."""
    now = lane(floor, broker)
    return now.tps_effective, now.tps_source


def row(floor: Floor, broker: str = "north") -> BrokerControl:
    return floor.run(floor.gateway.ledger.controls())[broker]


def tune(floor: Floor, /, **facts: Any) -> None:
    tuned = with_facts(row(floor), facts)
    floor.run(floor.sets("north", tps=tuned.tps, tuning=tuned.tuning))


def sent(broker: BrokerWorld, since_ns: int) -> list[int]:
    return [s.at_ns for s in broker.sent if s.at_ns >= since_ns]


def test_a_persons_number_is_used_from_the_first_send_on(floor: Floor) -> None:
    floor.reserve_all(NAMES[:220])
    floor.bell()
    floor.until(lambda: len(floor.north.sent) >= 1)
    began_ns = floor.north.sent[0].at_ns
    floor.passes(4)
    first_4_s = [t for t in sent(floor.north, began_ns) if t < began_ns + 4 * NS_PER_S]

    assert 0.98 * 200 <= len(first_4_s) <= 200
    # At 50 a second from the bell on, half of these had left after two seconds.
    half, nearly_all = lane(floor).open_to_send_p50_ms, lane(floor).open_to_send_p99_ms
    assert half is not None
    assert nearly_all is not None
    assert 1_800 <= half <= 2_400
    assert 3_700 <= nearly_all <= 4_500


def test_a_broker_that_comes_back_begins_slowly(floor: Floor) -> None:
    floor.reserve_all(NAMES[:160])
    floor.north.does("new", verdict=NotSent("HTTP 401", credentials=True))
    floor.bell()
    floor.until(lambda: lane(floor).circuit == "open")
    floor.north.answers()
    floor.until(lambda: acts(floor)[1] == "slow start")
    closed_ns = floor.world.now_ns
    assert acts(floor) == (12, "slow start")
    assert floor.gateway.lanes[0].permits.limit == 50, "no promise of ours to the broker moves"
    floor.passes(10.6)
    assert acts(floor) == (25, "slow start")
    assert 90 <= len(sent(floor.north, closed_ns)) <= 140
    floor.passes(10)

    assert acts(floor) == (50, "operator")


def test_a_route_that_comes_to_a_broker_comes_slowly(floor: Floor) -> None:
    floor.reserve_all(NAMES[:120])
    floor.bell()
    floor.until(lambda: len(floor.north.received) >= 20)
    assert acts(floor, "south") == (50, "operator")
    floor.leads("south")
    floor.until(lambda: len(floor.south.received) >= 1)

    assert acts(floor, "south") == (12, "slow start")
    floor.passes(21)
    assert acts(floor, "south") == (50, "operator")


def test_a_restart_obeys_a_persons_number_at_once_and_forgets_what_was_found(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.bell()
    floor.until(lambda: len(floor.north.received) >= 20)
    assert acts(floor) == (50, "operator"), "the first start was before the bell"
    floor.restart()
    floor.passes(2)
    assert acts(floor) == (50, "operator")

    tune(floor, mode="adaptive")
    floor.restart()
    floor.passes(2)

    assert acts(floor) == (12, "slow start")


def test_the_schedule_moves_the_limit_itself_and_a_person_stands_above_it(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    open_at_5 = [
        {"at": "open-60m", "tps": 40},
        {"at": "open", "tps": 5},
        {"at": "open+9s", "tps": 40},
    ]
    tune(floor, schedule=open_at_5)
    assert acts(floor) == (5, "schedule"), "two seconds before the bell, for clocks that differ"
    floor.bell()
    floor.passes(8)
    assert worst_second([s.at_ns for s in floor.north.sent]) <= 5
    assert 35 <= len(floor.north.sent) <= 40

    tune(floor, tps=30, held=True)
    assert acts(floor) == (30, "operator")
    tune(floor, held=False)
    assert acts(floor) == (5, "schedule")
    floor.passes(4)

    assert acts(floor) == (40, "schedule"), "two seconds late, for clocks that differ"


def test_a_broker_that_takes_less_is_found_out_below_the_number(floor: Floor) -> None:
    took: list[int] = []

    def takes_20_a_second(verb: str) -> Fate:
        now = floor.world.now_ns
        if verb != "new" or sum(t > now - NS_PER_S for t in took) < 20:
            took.append(now)
            return Fate()
        return Fate(verdict=Throttled(0.1))

    tune(floor, mode="adaptive", floor=4)
    before = row(floor)
    floor.reserve_all(NAMES)
    floor.north.fates = takes_20_a_second
    floor.bell()
    floor.passes(15)

    rate, source = acts(floor)
    assert source == "adaptive"
    assert 10 <= rate <= 26
    assert len(floor.north.orders) >= 170, "of 300; the first seconds went for finding out"
    refused = sum(r.decision == "throttled" for r in floor.north.received)
    assert refused < 0.1 * len(floor.north.received)
    assert row(floor) == before, "the operator's row is never touched"


def test_in_mode_advise_it_says_what_it_would_do_and_does_nothing(floor: Floor) -> None:
    tune(floor, mode="advise", target_ms=100)
    floor.reserve_all(NAMES)
    floor.north.does("new", there_s=0.2)
    floor.bell()
    floor.passes(5)

    assert acts(floor) == (50, "operator")
    advised = lane(floor).tps_advised
    assert advised is not None
    assert advised < 50


def test_a_wish_for_a_longer_pause_than_two_seconds_is_shown(floor: Floor) -> None:
    floor.reserve_all(NAMES[:20])
    floor.north.does("new", verdict=Throttled(30))
    floor.bell()
    floor.until(lambda: len(floor.north.received) >= 1)
    floor.passes(1)
    wish_s = lane(floor).throttle_wish_s
    assert wish_s is not None
    assert 25 < wish_s <= 30
    floor.north.answers()
    floor.passes(3)
    assert len(floor.north.orders) >= 1, "the wish is the operator's to grant"
    floor.passes(30)

    assert lane(floor).throttle_wish_s is None


def test_a_higher_number_is_climbed_to_if_the_operator_says_so(floor: Floor) -> None:
    tune(floor, ramp_s=10)
    tune(floor, tps=250)
    assert acts(floor)[1] == "ramp"
    floor.passes(5)
    assert acts(floor)[0] in range(130, 171)
    tune(floor, tps=20)
    assert acts(floor) == (20, "operator")
    tune(floor, tps=250)
    floor.passes(11)

    assert acts(floor) == (250, "operator")
