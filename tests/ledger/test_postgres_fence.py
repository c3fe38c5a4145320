"""A claim and a fence meet at one row: whichever comes first, the other waits and then sees it.

The laws of a fence on every implementation stand in `tests/contracts/test_failovers.py`; here two
processes meet at exact moments, which only a server has.
"""

from collections.abc import Iterator

import pytest

from app.domain.failover import LEADER, FailoverState, Leader
from app.domain.records import FenceLost
from tests.contracts.test_failovers import a_failover
from tests.ledger.books import sendable
from tests.ledger.pg import LEASE_MS, Process, Site, until

FENCED = a_failover().came_to(FailoverState.FENCING, at=0, number=1)


@pytest.fixture
def site(ledger_url: str) -> Iterator[Site]:
    site = Site(ledger_url)
    yield site
    site.close()
    site.check()


def leader(process: Process) -> Leader:
    epoch = process.run(process.ledger.take_lease(LEADER, process.name, LEASE_MS))
    return Leader(process.name, epoch)


def test_a_fence_waits_for_a_claim_under_way_and_none_comes_after_it(site: Site) -> None:
    process, switch = site.process(), site.process("switch")
    north, south, leads = process.owns(), process.owns("south"), leader(switch)
    claimed, waiting = process.queued("c-1"), process.queued("c-2")
    with site.stalled("dispatch_inflight"):
        claiming = process.starts(process.ledger.claim(north, 1, sendable))
        until(lambda: site.lock_waits("advisory") == 1)
        fencing = switch.starts(switch.ledger.fence(FENCED, 1, leads))
        until(lambda: site.lock_waits() == 2)
        assert not fencing.done()

    (first,) = claiming.result()
    assert (first.order.order_id, first.route_epoch) == (claimed.order_id, 1)
    assert fencing.result().epoch == 2
    with pytest.raises(FenceLost):
        process.claims(north)
    (second,) = process.claims(south)
    assert (second.order.order_id, second.route_epoch) == (waiting.order_id, 2)


def test_a_claim_waits_for_a_fence_under_way_and_then_claims_nothing(site: Site) -> None:
    process, switch = site.process(), site.process("switch")
    north, south, leads = process.owns(), process.owns("south"), leader(switch)
    waiting = process.queued()
    with site.stalled("failovers"):
        fencing = switch.starts(switch.ledger.fence(FENCED, 1, leads))
        until(lambda: site.lock_waits("advisory") == 1)
        claiming = process.starts(process.ledger.claim(north, 5, sendable))
        until(lambda: site.lock_waits() == 2)

    assert fencing.result().epoch == 2
    with pytest.raises(FenceLost):
        claiming.result()
    assert [c.order.order_id for c in process.claims(south)] == [waiting.order_id]


def test_of_two_leaders_the_one_whose_lease_was_taken_fences_nothing(site: Site) -> None:
    """The new one takes the lease while the former's transaction waits to look at it."""
    former, now = site.process("former"), site.process("now")
    was = leader(former)
    with site.session() as hand, hand.transaction():
        hand.execute("UPDATE broker_leases SET holder = 'now', epoch = epoch + 1")
        fencing = former.starts(former.ledger.fence(FENCED, 1, was))
        until(lambda: site.lock_waits() == 1)
    with pytest.raises(FenceLost):
        fencing.result()

    assert site.sql("SELECT epoch, active_broker FROM routes WHERE route_id = 'XNAS'") == [
        (1, "north")
    ]
    assert now.run(now.ledger.fence(FENCED, 1, Leader("now", was.epoch + 1))).epoch == 2
