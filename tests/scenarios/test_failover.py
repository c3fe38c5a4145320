"""When a route changes its broker in mid-drain: what was not sent goes the new way, no more."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from app.domain.errors import Code
from app.domain.messages import Unknown
from app.domain.values import OrderType
from tests.scenarios.builders import MARKET
from tests.scenarios.fates import PLAIN
from tests.scenarios.floor import ALICE, Floor
from tests.virtual import Virtual

NAMES = [f"o-{n}" for n in range(40)]


def test_what_was_claimed_and_not_written_goes_to_the_new_broker(floor: Floor) -> None:
    """A claim is of 50 ms of the rate, so two of each three claimed orders wait for their turn."""
    floor.reserve_all(NAMES)
    floor.bell()
    floor.until(lambda: len(floor.north.sent) == 10)
    floor.leads("south")
    floor.gateway.board.changed()
    moved_ns = floor.world.now_ns
    floor.comes_to("new", *NAMES)

    sent = [s.key for s in (*floor.north.sent, *floor.south.sent)]
    assert len(sent) == len(set(sent)) == len(NAMES)
    assert floor.north.sent[-1].at_ns < moved_ns + 10_000_000
    returned = {a.outcome for n in NAMES for a in floor.attempts(n) if a.broker_id == "north"}
    assert returned == {"accepted", "not_sent"}


def test_a_doubt_stays_at_the_broker_that_may_have_it(floor: Floor) -> None:
    floor.reserve_all(NAMES)
    floor.north.goes_silent_after_receiving()
    floor.north.does("query", arrives=False)
    floor.bell()
    floor.until(lambda: len(floor.north.sent) == 10)
    floor.leads("south")
    floor.gateway.board.changed()
    floor.passes(30)

    at_north = {key[:-2] for key in floor.north.news()}
    at_south = {key[:-2] for key in floor.south.news()}
    assert not at_north & at_south
    assert {floor.state(n) for n in NAMES if floor.ids[n] in at_north} == {"in_doubt"}
    assert {floor.state(n) for n in NAMES if floor.ids[n] in at_south} == {"new"}

    floor.north.answers()
    floor.comes_to("new", *NAMES, timeout_s=60)
    assert {key[:-2] for key in floor.south.news()} == at_south


@pytest.fixture
def watched(virtual: Virtual) -> Iterator[Floor]:
    """Lend a gateway that may lead its route away by itself."""
    floor = Floor(virtual, tps=5, watched=True)
    policy = floor.run(floor.gateway.ledger.policies())[MARKET]
    wanted = policy._replace(candidates=("north", "south"))
    floor.run(floor.gateway.ledger.set_policy(wanted, policy.version, ALICE))
    yield floor
    floor.crash()


@pytest.mark.parametrize("everything", [True, False])
def test_a_broker_that_answers_orders_with_errors_is_left_as_a_dead_one(
    watched: Floor, *, everything: bool
) -> None:
    """An error says nothing of the order, but all of them together say enough of the broker."""
    watched.reserve_all([f"o-{n}" for n in range(150)])
    watched.bell()
    watched.passes(12)
    watched.north.does("new", verdict=Unknown("HTTP 503"))
    if everything:
        watched.north.does("query", arrives=False)
        watched.north.pings = False
    took = watched.until(lambda: bool(watched.south.news()), timeout_s=15)

    (failover,) = watched.run(watched.gateway.ledger.failovers(0))
    assert [s.state.value for s in failover.steps][:4] == [
        *("suspected", "confirmed", "prepared", "fencing")
    ]
    assert took < 15
    assert {"submit", "silence"} <= set(failover.witnesses)
    live = [key[:-2] for broker in watched.brokers.values() for key in broker.orders]
    assert len(live) == len(set(live))


def test_what_the_other_broker_cannot_take_is_denied_and_never_sent(virtual: Virtual) -> None:
    floor = Floor(virtual, capabilities=PLAIN)
    floor.south.capabilities = replace(PLAIN, order_types=frozenset({"limit"}))
    floor.restart()
    floor.reserve_all(NAMES[:3])
    floor.reserve_all(NAMES[3:6], order_type=OrderType.MARKET, limit_price=None)
    floor.leads("south")
    floor.bell()
    floor.comes_to("new", *NAMES[:3])
    floor.comes_to("denied", *NAMES[3:6])

    assert {floor.order(name).reason_code for name in NAMES[3:6]} == {Code.BROKER_LACKS.code}
    assert len(floor.south.news()) == 3
    floor.crash()
