"""Claim, cancel, amend, settle, report, release, expire, halt and take-over, all at once.

Every worker has connections of its own and does what its process would do, as fast as it can, on
the same few orders. Afterwards each order has had one end, and the laws of `books` hold. Where two
must meet at one exact moment, a session of our own holds the row or the lock at which they meet.
"""

import random
from collections import Counter
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from decimal import Decimal
from typing import Any, Final

import pytest

from app.domain.drill import Drill, DrillFault
from app.domain.errors import Refused
from app.domain.messages import Accepted, NotSent, Rejected, Throttled, Unknown
from app.domain.order import Order
from app.domain.records import Fence, FenceLost, SessionOverride, Settlement
from app.domain.session import SessionPause
from app.domain.values import CancelOrigin, Status
from tests.builders import NOW, SESSION, a_report, a_taking
from tests.ledger.books import ME, sendable
from tests.ledger.pg import Process, Site, until

SID: Final = SESSION.trading_session_id
ANSWERS: Final = (Accepted("N-1"), Rejected("no"), NotSent("no"), Throttled(), Unknown("?"))


@pytest.fixture
def site(ledger_url: str) -> Iterator[Site]:
    site = Site(ledger_url)
    yield site
    site.close()
    site.check()


# --- one moment -------------------------------------------------------------------------


def test_a_former_epoch_claims_nothing(site: Site) -> None:
    old, new = site.process("old"), site.process("new")
    former = old.owns(lease_ms=1)
    order = old.queued()
    fence = until(lambda: _owned(new))
    assert fence is not None
    with pytest.raises(FenceLost):
        old.claims(former)

    assert [c.order.order_id for c in new.claims(fence)] == [order.order_id]


def _owned(process: Process) -> Fence | None:
    try:
        return process.owns()
    except FenceLost:
        return None


def test_a_claim_waits_for_a_new_epoch_under_way_and_then_claims_nothing(site: Site) -> None:
    process = site.process()
    fence = process.owns()
    process.queued()
    with site.session() as bump, bump.transaction():
        bump.execute("UPDATE broker_leases SET epoch = epoch + 1")
        claiming = process.starts(process.ledger.claim(fence, 5, sendable))
        until(lambda: site.lock_waits() == 1)
    with pytest.raises(FenceLost):
        claiming.result()

    assert site.statuses() == {"queued": 1}


def test_what_ends_by_itself_is_ended_by_one_of_all_who_look(site: Site) -> None:
    one, two = site.process("one"), site.process("two")
    pause = SessionPause(SID, paused=True, expires_at=NOW)
    one.run(one.ledger.pause_session(pause, 0, ME))
    with site.session() as operator:
        operator.execute("SELECT pg_advisory_lock(hashtext('openbell.control'))")
        ends = [each.starts(each.ledger.end_overrides()) for each in (one, two)]
        until(lambda: site.lock_waits() == 2)
    ended = sorted((each.result(60) for each in ends), key=len)

    assert ended == [[], [f"session-release/{SID}"]]
    assert one.run(one.ledger.pauses())[0].version == 2


def test_a_route_has_one_drill_however_many_begin_one_and_it_ends_once(site: Site) -> None:
    many = [site.process(name) for name in ("one", "two")]
    fault = ("XNAS", "north", DrillFault.ERRS, 1.0, 30, NOW, "kim", "a race")
    drills = [Drill(f"dr_{process.name}", *fault) for process in many]

    def at_once(work: list[Coroutine[Any, Any, Any]]) -> list[BaseException | None]:
        with site.session() as operator:
            operator.execute("SELECT pg_advisory_lock(hashtext('openbell.control'))")
            asked = [each.starts(one) for each, one in zip(many, work, strict=True)]
            until(lambda: site.lock_waits() == 2)
        return [each.exception(60) for each in asked]

    begun = at_once([p.ledger.start_drill(d, ME) for p, d in zip(many, drills, strict=True)])
    standing = drills[begun.index(None)].drill_id
    assert sorted(map(str, begun)) == ["None", f"drill-running: {standing} goes on"]
    ended = at_once([each.ledger.end_drill(standing, ME, 1) for each in many])
    assert sorted(map(str, ended)) == ["None", f"stale-version: somebody has ended {standing}"]
    assert site.sql("SELECT action FROM audit ORDER BY sequence") == [
        ("drill.start",),
        ("drill.end",),
    ]


@pytest.mark.parametrize(
    "change",
    ["UPDATE routes SET epoch = epoch + 1", "UPDATE broker_control SET dispatch = 'paused'"],
)
def test_a_claim_waits_for_a_route_or_a_pause_under_way(site: Site, change: str) -> None:
    process = site.process()
    fence = process.owns()
    process.queued()
    with site.session() as other, other.transaction():
        other.execute(change)
        claiming = process.starts(process.ledger.claim(fence, 5, sendable))
        until(lambda: site.lock_waits() == 1)

    if "paused" in change:
        with pytest.raises(FenceLost):
            claiming.result()
    else:
        assert [c.route_epoch for c in claiming.result()] == [2]


@pytest.mark.parametrize(
    ("scope", "target"),
    [("all", ""), ("route", "XNAS"), ("broker", "north"), ("account", "ann"), ("symbol", "AAPL")],
)
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_a_claim_waits_for_a_halt_under_way_and_obeys_it(
    site: Site, scope: str, target: str, isolation: str
) -> None:
    """Whatever the server's default: what a claim reads must be newer than what it waited for."""
    site.set(f"default_transaction_isolation = '{isolation}'")
    process = site.process()
    fence = process.owns()
    process.queued()
    with site.session() as operator, operator.transaction():
        operator.execute("INSERT INTO halts VALUES (%s, %s, 'kim', 0, 'why')", [scope, target])
        claiming = process.starts(process.ledger.claim(fence, 5, sendable))
        until(lambda: site.lock_waits() == 1)

    if scope in {"all", "broker"}:
        with pytest.raises(FenceLost):
            claiming.result()
    else:
        assert claiming.result() == []
    assert site.statuses() == {"queued": 1}


def test_a_halt_waits_for_a_claim_under_way_so_that_none_comes_after_it(site: Site) -> None:
    process, operator = site.process(), site.process("operator")
    fence = process.owns()
    process.queued()
    with site.stalled("dispatch_inflight"):
        claiming = process.starts(process.ledger.claim(fence, 5, sendable))
        until(lambda: site.lock_waits("advisory") == 1)
        halting = operator.starts(operator.ledger.halt("symbol", "AAPL", ME))
        until(lambda: site.lock_waits() == 2)
        assert not halting.done()

    assert len(claiming.result()) == 1
    halting.result()
    process.queued("c-2")
    assert process.claims(fence) == []


def test_what_a_client_holds_is_passed_over_and_stays_in_its_queue(site: Site) -> None:
    process = site.process()
    fence = process.owns()
    first, second = process.queued("c-1"), process.queued("c-2")
    reserved = process.reserved("c-3")
    with site.session() as client, client.transaction():
        client.execute(
            "SELECT 1 FROM orders WHERE order_id = ANY(%s) FOR UPDATE",
            [[first.order_id, reserved.order_id]],
        )
        claimed = process.claims(fence)
        released = process.run(process.ledger.release(SID, 10, sendable))
        expired = process.run(process.ledger.expire(SID, 10))

    assert [c.order.order_id for c in claimed] == [second.order_id]
    assert (released, expired) == ((0, 0), 0)
    assert [c.order.order_id for c in process.claims(fence)] == [first.order_id]
    assert process.run(process.ledger.release(SID, 10, sendable)) == (1, 0)


def test_a_cancel_that_meets_a_claim_under_way_becomes_a_wish(site: Site) -> None:
    process, client = site.process(), site.process("client")
    fence = process.owns()
    order = process.queued()
    with site.stalled("dispatch_inflight"):
        claiming = process.starts(process.ledger.claim(fence, 5, sendable))
        until(lambda: site.lock_waits("advisory") == 1)
        canceling = client.starts(
            client.ledger.cancel(order.order_id, order.version, CancelOrigin.CLIENT)
        )
        wishing = client.starts(client.ledger.cancel(order.order_id, None, CancelOrigin.CLIENT))
        until(lambda: site.lock_waits() == 2)

    assert len(claiming.result()) == 1
    with pytest.raises(Refused, match="version 2"):
        canceling.result()
    assert wishing.result().status is Status.SENDING


def test_a_report_and_an_answer_to_one_attempt_at_once_are_both_heard(site: Site) -> None:
    one, two = site.process("one"), site.process("two")
    fence = one.owns()
    for n in range(15):
        one.queued(f"c-{n}")
        (claimed,) = one.claims(fence)
        key = claimed.broker_order_key
        answer = Accepted("N-1") if n % 2 else Unknown("?")
        settling = one.starts(one.ledger.settle([Settlement(key, answer, 5)]))
        fill = a_report(execution_id=f"e-{n}", broker_order_key=key, last_quantity=Decimal(4))
        applying = two.starts(two.ledger.apply([fill, fill], "report"))
        settling.result()

        assert applying.result().applied == 1
        order = one.order(claimed.order.order_id)
        assert order.status is Status.PARTIALLY_FILLED
        assert order.filled_quantity == 4


def test_one_execution_id_for_two_orders_at_once_belongs_to_one_of_them(site: Site) -> None:
    """Neither sees the other's row; the key says who came first, and the other one looks again."""
    one, two = site.process("one"), site.process("two")
    fence = one.owns()
    one.queued("c-1")
    one.queued("c-2")
    keys = [c.broker_order_key for c in one.claims(fence)]
    one.run(one.ledger.settle([Settlement(key, Accepted("N"), 5) for key in keys]))
    reports = [a_report(broker_order_key=key, last_quantity=Decimal(4)) for key in keys]
    with site.stalled("outbox"):
        first = one.starts(one.ledger.apply([reports[0]], "report"))
        until(lambda: site.lock_waits("advisory") == 1)
        second = two.starts(two.ledger.apply([reports[1]], "report"))
        until(lambda: site.lock_waits() == 2)

    assert first.result().applied == 1
    assert second.result().quarantined == 1


def test_operators_at_once_are_one_after_the_other(site: Site) -> None:
    """Each change compares versions, and the chain of the audit has one end."""
    people = [site.process(f"p-{n}") for n in range(4)]
    control = people[0].run(people[0].ledger.controls())["north"]
    works = [
        [
            person.ledger.set_control(control._replace(tps=n + 1), 1, ME),
            person.ledger.halt("account", f"a-{n}", ME),
            person.ledger.override_session(SessionOverride("XNAS-1", 0, n, n + 1, "", ""), 0, ME),
        ]
        for n, person in enumerate(people)
    ]
    done: list[Future[Any]] = [
        person.starts(work) for person, each in zip(people, works, strict=True) for work in each
    ]
    refused = [each.exception(30) for each in done if each.exception(30)]

    assert [type(e) for e in refused] == [Refused] * 6, "one of four was first, twice"
    assert people[0].run(people[0].ledger.audit_broken_at()) is None
    assert len(people[0].run(people[0].ledger.audit(0, 100))) == 6
    assert people[0].run(people[0].ledger.overrides())[0].version == 1


# --- a crowd ----------------------------------------------------------------------------

ORDERS: Final = 400


class Crowd:
    """Everybody at once, on the same orders."""

    def __init__(self, site: Site) -> None:
        self.site = site
        first = site.process("first", writers=4)
        self.fence = first.owns()
        entries = [
            a_taking(f"c-{n}", account_id=f"a-{n % 7}", reserved=n % 2 == 0) for n in range(ORDERS)
        ]
        self.orders = [r.order for r in first.run(first.ledger.take(entries))]  # type: ignore[union-attr]
        self.claimed: list[str] = []
        self.refusals: Counter[str] = Counter()
        self.first = first

    async def claimer(self, process: Process) -> None:
        """Claim and answer, as a lane does; what it says comes from its own die."""
        die = random.Random(process.name)
        for _ in range(60):
            claims = await process.ledger.claim(self.fence, die.randint(1, 25), sendable)
            self.claimed += [c.broker_order_key for c in claims]
            die.shuffle(claims)
            answers = [Settlement(c.broker_order_key, die.choice(ANSWERS), 5) for c in claims]
            await process.ledger.settle(answers)

    async def client(self, process: Process) -> None:
        die = random.Random(process.name)
        for order in die.sample(self.orders, ORDERS // 2):
            try:
                await self._changes_his_mind(process, die, order)
            except Refused as e:
                self.refusals[e.code.code] += 1

    async def _changes_his_mind(self, process: Process, die: random.Random, order: Order) -> None:
        if die.random() < 0.5:
            await process.ledger.cancel(order.order_id, None, CancelOrigin.CLIENT)
        else:
            await process.ledger.amend(order.order_id, die.randint(1, 2), Decimal(7), Decimal(180))

    async def bell(self, process: Process) -> None:
        for _ in range(40):
            await process.ledger.release(SID, 20, sendable)

    async def floor(self, process: Process) -> None:
        """Report, doubt and refuse what the others have sent."""
        die = random.Random(process.name)
        for n in range(60):
            keys = die.sample(self.claimed, min(8, len(self.claimed)))
            reports = [
                a_report(
                    execution_id=f"e-{die.randint(1, 300)}",
                    broker_order_key=key,
                    last_quantity=Decimal(die.randint(1, 4)),
                )
                for key in keys
            ]
            await process.ledger.apply(reports, "report")
            doubts = await process.ledger.in_doubt("north")
            await process.ledger.never_received(
                [d.broker_order_key for d in doubts[: n % 5]], "lookup"
            )
            pending = await process.ledger.pending_cancels("north", 5)
            await process.ledger.refuse_cancel([p.order_id for p in pending.cancels[:2]])

    def play(self) -> None:
        names = {
            "claimer": (self.claimer, 3),
            "client": (self.client, 3),
            "bell": (self.bell, 1),
            "floor": (self.floor, 2),
        }
        busy = []
        for name, (does, count) in names.items():
            for n in range(count):
                process = self.site.process(f"{name}-{n}")
                busy.append(process.starts(does(process)))
        for each in busy:
            each.result(120)


@pytest.mark.storm
def test_whoever_meets_whom_each_order_goes_one_way(site: Site) -> None:
    crowd = Crowd(site)
    crowd.play()

    assert len(crowd.claimed) == len(set(crowd.claimed)), "an attempt was claimed twice"
    keys = {key for (key,) in site.sql("SELECT broker_order_key FROM attempts")}
    assert keys == set(crowd.claimed), "an attempt that nobody was told of"
    assert {"canceled", "rejected"} <= set(site.statuses())
    assert crowd.refusals["order-terminal"] > 10
    ((deadlocks,),) = site.sql(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    )
    assert deadlocks == 0
