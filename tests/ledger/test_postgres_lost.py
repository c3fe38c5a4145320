"""A commit whose answer is lost, and those who stand beside it: once, never twice, never none.

The answer is lost in three ways, and no client can tell them apart: the commit stands, it does not,
or it is still on its way inside the server. The third is the trap: who reads back at once sees
nothing, and a moment later it is there.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final

import pytest
from sqlalchemy import event

from app.domain.errors import Refused
from app.domain.messages import Accepted, NotSent
from app.domain.records import Settlement, Taken, Taking
from app.domain.values import CancelOrigin, Status
from app.ports.away import StoreAway
from tests.builders import a_report, a_taking
from tests.ledger.books import ME, sendable
from tests.ledger.pg import Process, Site, proxied, until
from tests.servers.proxy import Proxy

RUN_OUT: Final = "SELECT 1 FROM broker_leases WHERE expires_at < extract(epoch FROM now()) * 1000"
COMMIT: Final = b"COMMIT\0"  # and not BEGIN ISOLATION LEVEL READ COMMITTED
TWINS: Final = [a_taking("c-1"), a_taking("c-2", reserved=True), a_taking("c-1")]


@pytest.fixture
def site(ledger_url: str) -> Iterator[Site]:
    site = Site(ledger_url)
    yield site
    site.close()
    site.check()


@pytest.fixture
def far(site: Site) -> Iterator[tuple[Process, Proxy]]:
    """Lend a process that reaches the ledger through a proxy, and the proxy."""
    with proxied(site.url) as (url, proxy):
        yield site.process("far", url=url), proxy


def cut_before_the_next_commit(process: Process, proxy: Proxy) -> None:
    """Lose the connection so that its COMMIT never leaves."""
    cuts = iter([proxy.cut])

    def cut(_connection: Any) -> None:
        for once in cuts:
            once()

    event.listen(process.database._engine, "commit", cut)


def created(results: Any) -> list[bool]:
    return [isinstance(result, Taken) and result.created for result in results]


# --- take -------------------------------------------------------------------------------


def test_an_order_whose_commit_stands_unanswered_was_created_once(
    far: tuple[Process, Proxy], site: Site
) -> None:
    process, proxy = far
    process.queued("warm")
    proxy.hold(after=COMMIT)
    results = process.run(process.ledger.take(TWINS))

    assert proxy.lost == 1
    assert created(results) == [True, True, False]
    assert site.sql("SELECT count(*) FROM orders") == [(3,)]
    first = results[0]
    assert isinstance(first, Taken)
    assert process.order(first.order.order_id) == first.order


def test_an_order_whose_commit_never_left_is_created_all_the_same(
    far: tuple[Process, Proxy], site: Site
) -> None:
    process, proxy = far
    process.queued("warm")
    cut_before_the_next_commit(process, proxy)
    results = process.run(process.ledger.take(TWINS))

    assert created(results) == [True, True, False]
    assert site.sql("SELECT count(*) FROM orders") == [(3,)]


def test_an_order_whose_commit_is_under_way_is_waited_for(
    far: tuple[Process, Proxy], site: Site
) -> None:
    process, proxy = far
    with site.stalled("reserved_book"):
        taking = process.starts(process.ledger.take(TWINS))
        until(lambda: site.lock_waits("advisory") == 1)
        proxy.cut()
        until(lambda: taking.done() or site.lock_waits() == 2)

    assert created(taking.result()) == [True, True, False]
    assert site.sql("SELECT count(*) FROM orders") == [(2,)]


def test_what_was_taken_unanswered_may_have_moved_on_by_the_time_it_is_read_back(
    far: tuple[Process, Proxy], site: Site
) -> None:
    process, proxy = far
    near = site.process("near")
    fence = near.owns()
    with site.stalled("dispatch_ready"):
        taking = process.starts(process.ledger.take([a_taking("c-1")]))
        until(lambda: site.lock_waits("advisory") == 1)
        proxy.hold()
        proxy.cut()
    (claimed,) = until(lambda: near.claims(fence))
    proxy.resume()
    (taken,) = taking.result()

    assert isinstance(taken, Taken)
    assert taken.created
    assert taken.order.order_id == claimed.order.order_id
    assert taken.order.status in {Status.QUEUED, Status.SENDING}


@pytest.mark.parametrize("standing", [True, False])
def test_while_the_server_stays_away_no_order_is_said_to_be_taken_or_not(
    far: tuple[Process, Proxy], monkeypatch: pytest.MonkeyPatch, *, standing: bool
) -> None:
    process, proxy = far
    monkeypatch.setattr("app.ledger.orders.store.CLIENT_PATIENCE_S", 0.0)
    process.queued("warm")
    if standing:
        proxy.hold(after=COMMIT)
    else:
        cut_before_the_next_commit(process, proxy)
    with pytest.raises(StoreAway):
        process.run(process.ledger.take(TWINS))
    again = process.run(process.ledger.take(TWINS))

    assert created(again) == [not standing, not standing, False]


# --- twins ------------------------------------------------------------------------------


def test_twins_in_two_processes_are_one_order(site: Site) -> None:
    one, two = site.process("one"), site.process("two")
    for n in range(20):
        batch = [a_taking(f"c-{n}-{i}") for i in range(3)]
        first, second = one.starts(one.ledger.take(batch)), two.starts(two.ledger.take(batch[::-1]))
        results = [*first.result(), *second.result()]

        assert sum(created(results)) == 3
        assert len({taken.order.order_id for taken in results if isinstance(taken, Taken)}) == 3


def test_another_body_under_the_same_key_is_a_conflict_in_whichever_process(site: Site) -> None:
    one, two = site.process("one"), site.process("two")
    for n in range(20):
        first = one.starts(one.ledger.take([a_taking(f"c-{n}")]))
        second = two.starts(two.ledger.take([a_taking(f"c-{n}", symbol="MSFT")]))
        won = [*created(first.result()), *created(second.result())]

        assert sorted(won) == [False, True]


def test_a_twin_waits_for_a_commit_under_way_and_is_answered_from_it(site: Site) -> None:
    one, two = site.process("one"), site.process("two")
    with site.stalled("dispatch_ready"):
        first = one.starts(one.ledger.take([a_taking("c-1")]))
        until(lambda: site.lock_waits("advisory") == 1)
        second = two.starts(two.ledger.take([a_taking("c-1"), a_taking("c-2")]))
        until(lambda: site.lock_waits() == 2)

    assert created(first.result()) == [True]
    assert created(second.result()) == [False, True]


def test_shuffled_keys_in_four_takers_end_in_no_deadlock(site: Site) -> None:
    """Unsorted, four such batches met in six deadlocks, at a second each."""
    takers = [site.process(f"p-{n}") for n in range(4)]
    for name in range(6):
        batch: list[Taking] = [a_taking(f"{name}-{n}", account_id=f"a-{n}") for n in range(60)]
        busy = []
        for taker in takers:
            shuffled = sorted(batch, key=lambda _, taker=taker: taker.clock.random_bits(32))  # type: ignore[misc]
            busy.append(taker.starts(taker.ledger.take(shuffled)))
        won = sum(sum(created(each.result())) for each in busy)

        assert won == len(batch)
    ((deadlocks,),) = site.sql(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    assert deadlocks == 0


# --- claim ------------------------------------------------------------------------------


def test_a_claim_whose_commit_stands_unanswered_is_read_back_as_it_was(
    far: tuple[Process, Proxy],
) -> None:
    process, proxy = far
    fence = process.owns()
    orders = [process.queued(f"c-{n}") for n in range(3)]
    proxy.hold(after=COMMIT)
    claimed = process.claims(fence, 2)

    assert proxy.lost == 1
    assert [c.order.order_id for c in claimed] == [o.order_id for o in orders[:2]]
    assert all(process.order(c.order.order_id) == c.order for c in claimed)
    assert len(process.claims(fence)) == 1


def test_a_claim_whose_commit_never_left_has_claimed_nothing(
    far: tuple[Process, Proxy],
) -> None:
    process, proxy = far
    fence = process.owns()
    process.queued("c-1")
    cut_before_the_next_commit(process, proxy)

    assert process.claims(fence) == []
    assert len(process.claims(fence)) == 1


def test_a_claim_whose_commit_is_under_way_is_waited_for(
    far: tuple[Process, Proxy], site: Site
) -> None:
    """Read back too early, its orders would be nobody's: sending, and never sent."""
    process, proxy = far
    fence = process.owns()
    order = process.queued("c-1")
    with site.stalled("dispatch_inflight"):
        claiming = process.starts(process.ledger.claim(fence, 5, sendable))
        until(lambda: site.lock_waits("advisory") == 1)
        proxy.cut()
        until(lambda: claiming.done() or site.lock_waits() == 2)

    assert [c.order.order_id for c in claiming.result()] == [order.order_id]
    assert site.statuses() == {"sending": 1}


def test_another_owner_waits_for_a_claim_under_way_and_finds_what_it_left(
    site: Site,
) -> None:
    old, new = site.process("old"), site.process("new")
    old.queued("c-1")
    fence = old.owns(lease_ms=1_000)
    with site.stalled("dispatch_inflight"):
        claiming = old.starts(old.ledger.claim(fence, 5, sendable))
        until(lambda: site.lock_waits("advisory") == 1)
        until(lambda: site.sql(RUN_OUT))
        taking = new.starts(_own_and_recover(new))
        until(lambda: taking.done() or site.lock_waits() >= 2)
        assert not taking.done()

    assert len(claiming.result()) == 1
    assert taking.result() == 1
    assert site.statuses() == {"in_doubt": 1}


async def _own_and_recover(process: Process) -> int:
    epoch = await process.ledger.take_lease("north", process.name, 60_000)
    return await process.ledger.recover("north", epoch)


# --- the rest of dispatch ---------------------------------------------------------------


def test_an_answer_is_noted_once_though_its_commit_is_not_answered(
    far: tuple[Process, Proxy], site: Site
) -> None:
    process, proxy = far
    fence = process.owns()
    for n in range(2):
        process.queued(f"c-{n}")
    here, back = process.claims(fence)
    proxy.hold(after=COMMIT)
    process.run(
        process.ledger.settle(
            [
                Settlement(here.broker_order_key, Accepted("N-1"), 5),
                Settlement(back.broker_order_key, NotSent("no"), None),
            ]
        )
    )

    assert proxy.lost == 1
    assert site.statuses() == {"new": 1, "queued": 1}
    assert [c.broker_order_key[-2:] for c in process.claims(fence)] == ["02"]


def test_a_fill_is_applied_once_though_its_commit_is_not_answered(
    far: tuple[Process, Proxy],
) -> None:
    process, proxy = far
    fence = process.owns()
    process.queued("c-1")
    (claimed,) = process.claims(fence)
    fill = a_report(broker_order_key=claimed.broker_order_key, last_quantity=Decimal(4))
    proxy.hold(after=COMMIT)
    process.run(process.ledger.apply([fill], "report"))

    assert proxy.lost == 1
    assert process.order(claimed.order.order_id).filled_quantity == 4


def test_who_cancels_or_halts_is_told_that_nobody_knows(far: tuple[Process, Proxy]) -> None:
    process, proxy = far
    order = process.queued("c-1")
    proxy.hold(after=COMMIT)
    with pytest.raises(StoreAway):
        process.run(process.ledger.cancel(order.order_id, None, CancelOrigin.CLIENT))
    with pytest.raises(Refused, match="canceled"):
        process.run(process.ledger.cancel(order.order_id, None, CancelOrigin.CLIENT))
    proxy.hold(after=COMMIT)
    with pytest.raises(StoreAway):
        process.run(process.ledger.halt("all", "", ME))
    process.run(process.ledger.halt("all", "", ME))

    assert len(process.run(process.ledger.halts())) == 1
    assert process.run(process.ledger.audit_broken_at()) is None
