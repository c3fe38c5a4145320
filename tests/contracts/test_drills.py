"""What `DrillStore` promises, on every implementation: rows, marks, and times from the record."""

from typing import Any, Final

import pytest

from app.domain.anomaly import Severity
from app.domain.drill import ECHO_MS, Drill, DrillFault, DrillState, report, state_of
from app.domain.errors import Code, Refused
from app.domain.failover import Failover, FailoverKind, FailoverState, FailoverStep
from app.domain.messages import Accepted, Answer, Unknown
from app.domain.records import Claimed, Fence, Settlement
from app.ledger.trouble.store import AnomalyLedger
from tests.builders import NOW, SESSION, a_finding
from tests.contracts.record import KIM, LEE, Shop, sendable, shop

__all__ = ["shop"]

STATE: Final = FailoverState


def a_drill(number: str = "1", **facts: Any) -> Drill:
    drill = Drill(
        f"dr_{number}", "XNAS", "north", DrillFault.ERRS, 1.0, 30, NOW, "kim", "the test says so"
    )
    return drill._replace(**facts)


def a_failover(failover_id: str = "fo_1", **facts: Any) -> Failover:
    failover = Failover(
        failover_id=failover_id,
        incident_id="in_7",
        route_id="XNAS",
        kind=FailoverKind.AUTO,
        state=STATE.FENCING,
        from_broker="north",
        to_broker="south",
        epoch=1,
        reason="north: submit and ping for 8 s",
        steps=(
            FailoverStep(STATE.SUSPECTED, NOW + 1_000),
            FailoverStep(STATE.CONFIRMED, NOW + 9_000),
            FailoverStep(STATE.FENCING, NOW + 9_100),
        ),
        by="kim",
    )
    return failover._replace(**facts)


def claims(shop: Shop, broker_id: str) -> Claimed:
    epoch = shop.run(shop.store.take_lease(broker_id, "me", 60_000))
    fence = Fence(broker_id, "me", epoch, frozenset({SESSION.trading_session_id}))
    (claimed,) = shop.run(shop.store.claim(fence, 1, sendable))
    return claimed


def answered(shop: Shop, claimed: Claimed, answer: Answer) -> None:
    shop.run(shop.store.settle([Settlement(claimed.broker_order_key, answer, 1)]))


def anomalies(shop: Shop) -> AnomalyLedger:
    return AnomalyLedger(shop.store._database, shop.clock)  # type: ignore[attr-defined]


def test_a_drill_is_kept_and_audited_and_one_goes_on_at_a_time(shop: Shop) -> None:
    shop.run(shop.store.start_drill(a_drill(), KIM))
    with pytest.raises(Refused) as running:
        shop.run(shop.store.start_drill(a_drill("2"), LEE))
    shop.clock.at += 30_001
    shop.run(shop.store.start_drill(a_drill("3", started_at=shop.clock.at), LEE))

    assert running.value.code is Code.DRILL_RUNNING
    assert [d.drill_id for d in shop.run(shop.store.drills(NOW))] == ["dr_3", "dr_1"]
    assert shop.run(shop.store.drill("dr_1")) == a_drill()
    assert shop.run(shop.store.drill("dr_9")) is None
    rows = shop.run(shop.store.audit(0, 10))
    assert [(r["actor"], r["action"], r["resource"]) for r in rows] == [
        ("kim", "drill.start", "route/XNAS"),
        ("lee", "drill.start", "route/XNAS"),
    ]


def test_who_ends_a_drill_first_has_ended_it(shop: Shop) -> None:
    shop.run(shop.store.start_drill(a_drill(), KIM))
    shop.clock.at += 1_000
    first = shop.run(shop.store.end_drill("dr_1", LEE))
    shop.clock.at += 1_000
    again = shop.run(shop.store.end_drill("dr_1", KIM))

    assert first.interrupted_at == first.until == NOW + 1_000
    assert again == first
    with pytest.raises(Refused):
        shop.run(shop.store.end_drill("dr_9", KIM))


def test_what_a_drill_causes_is_marked_until_its_echo_is_over(shop: Shop) -> None:
    store, drill = anomalies(shop), a_drill()
    shop.run(shop.store.start_drill(drill, KIM))
    (sick, other) = shop.run(store.note([a_finding(), a_finding(subject="broker/south")]))
    assert (sick.drill, sick.incident_id) == (True, drill.incident_id)
    assert (other.drill, other.incident_id != drill.incident_id) == (False, True)

    shop.clock.at = drill.until + ECHO_MS
    (louder,) = shop.run(store.note([a_finding(Severity.CRITICAL)]))
    assert louder.drill
    shop.clock.at += 1
    (real,) = shop.run(store.note([a_finding(Severity.CRITICAL)]))
    assert not real.drill


def test_what_stood_open_before_a_drill_stays_real_and_ends_as_ever(shop: Shop) -> None:
    store = anomalies(shop)
    shop.run(store.note([a_finding()]))
    shop.run(shop.store.start_drill(a_drill(), KIM))
    (worse,) = shop.run(store.note([a_finding(Severity.CRITICAL)]))
    (over,) = shop.run(store.note([a_finding(None)]))

    assert (worse.drill, worse.severity, over.state) == (False, "critical", "resolved")


def test_a_failover_that_openbell_begins_in_a_drill_is_a_drills(shop: Shop) -> None:
    shop.run(shop.store.start_drill(a_drill(), KIM))
    shop.run(shop.store.fence(a_failover(), 1, KIM))
    found = shop.run(shop.store.failover("fo_1"))

    assert found is not None
    assert (found.drill, found.incident_id) == (True, a_drill().incident_id)


@pytest.mark.parametrize("facts", [{"kind": FailoverKind.PLANNED}, {"from_broker": "east"}])
def test_a_failover_of_somebody_else_is_none(shop: Shop, facts: dict[str, Any]) -> None:
    shop.run(shop.store.start_drill(a_drill(), KIM))
    shop.run(shop.store.fence(a_failover(**facts), 1, KIM))

    assert [f.drill for f in shop.run(shop.store.failovers(0))] == [False]


def test_the_next_failover_is_meant_once_the_echo_is_over(shop: Shop) -> None:
    shop.run(shop.store.start_drill(a_drill(), KIM))
    shop.clock.at = a_drill().marks_until + 1
    shop.run(shop.store.fence(a_failover(), 1, KIM))

    assert [f.drill for f in shop.run(shop.store.failovers(0))] == [False]


def test_the_times_are_those_of_the_record(shop: Shop) -> None:
    for name in ("c-1", "c-2", "c-3"):
        shop.take(name)
    early, late = claims(shop, "north"), claims(shop, "north")
    answered(shop, early, Accepted("n-1"))
    drill = a_drill()
    shop.run(shop.store.start_drill(drill, KIM))
    shop.clock.at = NOW + 500
    answered(shop, late, Unknown("HTTP 503"))
    nothing = shop.run(shop.store.drilled(drill))
    shop.clock.at = NOW + 9_100
    shop.run(shop.store.fence(a_failover(), 1, KIM))
    moved = claims(shop, "south")
    shop.clock.at = NOW + 9_300
    answered(shop, moved, Accepted("s-1"))
    found = shop.run(shop.store.drilled(drill))
    told = report(drill, found, shop.clock.at)

    assert (nothing.failover, nothing.failed_at, nothing.accepted_at) == (None, NOW + 500, None)
    assert state_of(drill, nothing, NOW + 500) is DrillState.RUNNING
    assert state_of(drill, nothing, NOW + 91_000) is DrillState.FAILED
    assert told["state"] == "succeeded"
    assert told["first_failing_answer_s"] == 0.5
    assert told["times_s"] == {
        "detected": 0.5,
        "decided": 8.5,
        "fenced": 8.6,
        "first_accepted": 8.8,
    }
