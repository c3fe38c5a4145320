"""What the watch makes of lanes, pings and the ledger, from the cause to the store."""

import asyncio
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.diagnostics.meters import WatchMeters
from app.diagnostics.rules import BadRule
from app.diagnostics.tripwires import RULE_FAILED
from app.domain.anomaly import Severity
from app.domain.messages import Accepted, Answer, Rejected
from app.domain.records import Health
from tests.builders import a_lane
from tests.diagnostics.rig import OPEN, Watched
from tests.virtual import Virtual

BELL_MS = 60_000  # after the start of every virtual day


@pytest.fixture
def watched(virtual: Virtual) -> Iterator[Watched]:
    watched = Watched(virtual)
    yield watched
    watched.database.close()


def at_the_open(watched: Watched) -> None:
    assert watched.passes(BELL_MS / 1_000 + 1) == {}


def test_a_quiet_healthy_hour_has_nothing_to_tell(watched: Watched) -> None:
    assert watched.passes(700) == {}
    assert watched.watch.looks in {1_400, 1_401}
    assert len(watched.watch._ring) < 2_500


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        ("broker.in_doubt broker/north", {"doubts": {"north": (20, 2**50)}}),
        ("broker.in_doubt_age broker/north", {"doubts": {"north": (1, 0)}}),
        ("conservation.unbalanced gateway/ledger", {"unbalanced": 1}),
    ],
)
def test_what_the_ledger_says_is_told_within_five_seconds(
    watched: Watched, name: str, facts: dict[str, object]
) -> None:
    watched.passes(2)
    watched.has(**facts)
    assert list(watched.passes(4.5)) == [name]
    watched.has(doubts={}, unbalanced=0)

    assert watched.passes(3) == {}


def test_an_outbox_that_nobody_empties_lags_and_one_that_moves_does_not(watched: Watched) -> None:
    for first in range(1, 12):  # each event waits for a second or two, and ever more come
        watched.has(outbox_first=10 * first, outbox_last=10 * first + 9)
        assert watched.passes(1) == {}
    assert list(watched.passes(6)) == ["outbox.lag gateway/outbox"]
    watched.has(outbox_first=0, outbox_last=0)
    assert watched.passes(2) == {}


def test_a_view_that_falls_behind_is_told_of_after_half_a_minute(watched: Watched) -> None:
    watched.behind = 4_999
    assert watched.passes(60) == {}
    watched.behind = 5_001
    assert watched.passes(29) == {}
    assert list(watched.passes(3)) == ["projector.lag gateway/projector"]
    watched.behind = 0
    assert watched.passes(3) == {}


def test_a_ledger_that_is_away_hides_no_broker_and_raises_nothing_of_its_own(
    watched: Watched,
) -> None:
    watched.has(unbalanced=1)
    watched.away = True
    watched.brokers["north"].alive = False

    assert list(watched.passes(4.5)) == ["broker.unreachable broker/north"]
    assert watched.watch.distance.trouble == "StoreAway: gone fishing"


def test_a_clock_that_runs_ahead_of_the_ledgers_is_told_of(watched: Watched) -> None:
    watched.db_ahead_ms = -199
    assert watched.passes(5) == {}
    watched.db_ahead_ms = -201
    assert list(watched.passes(2)) == ["clock.skew process/here"]
    watched.db_ahead_ms = 150
    assert len(watched.passes(5)) == 1
    watched.db_ahead_ms = 99
    assert watched.passes(2) == {}


def test_a_wall_clock_that_steps_is_told_of_for_a_while(watched: Watched) -> None:
    watched.passes(2)
    watched.clock.set_now(watched.clock.now() - 501)
    assert list(watched.passes(1)) == ["clock.step process/here"]
    assert watched.passes(40) == {}


def test_two_brokers_that_fall_ill_within_five_seconds_have_one_cause(watched: Watched) -> None:
    watched.passes(2)
    watched.brokers["north"].alive = False
    watched.passes(4)
    watched.brokers["south"].alive = False
    found = watched.passes(3)["common.cause gateway/brokers"]
    assert found.severity is Severity.CRITICAL
    assert found.evidence == {"brokers": ["north", "south"]}
    watched.brokers["north"].alive = True
    assert "common.cause gateway/brokers" in watched.passes(29)
    assert "common.cause gateway/brokers" not in watched.passes(5)


def test_two_brokers_that_fall_ill_apart_have_not(watched: Watched) -> None:
    watched.passes(2)
    watched.brokers["north"].alive = False
    watched.passes(7)
    watched.brokers["south"].alive = False

    assert "common.cause gateway/brokers" not in watched.passes(20)


def test_a_broker_of_another_process_counts_as_well(watched: Watched) -> None:
    del watched.lanes["south"]
    watched.passes(2)
    ill = Health("south", 0, 9, 1.0, None, False, True, None, None, None)
    watched.shown = [(a_lane("south", health=ill), watched.clock.now() + 60_000)]
    watched.brokers["north"].alive = False

    assert "common.cause gateway/brokers" in watched.passes(4)


def test_who_slept_through_the_trouble_doubts_himself_first(watched: Watched) -> None:
    watched.passes(2)
    watched.virtual.run(asyncio.sleep(6))
    watched.brokers["north"].alive = False
    evidence = watched.passes(4)["common.cause gateway/brokers"].evidence

    assert evidence == {"brokers": ["north", "gateway"]}


def test_only_one_process_speaks_for_the_gateway(watched: Watched) -> None:
    watched.has(unbalanced=1)
    watched.shown = [(a_lane("mercury"), watched.clock.now() + 60_000)]
    assert watched.passes(5) == {}
    watched.shown = [(a_lane("tokyo"), watched.clock.now() + 60_000)]

    assert list(watched.passes(5)) == ["conservation.unbalanced gateway/ledger"]


def test_a_lane_that_should_send_and_does_not_has_stalled(watched: Watched) -> None:
    watched.has(ready={"XNAS": 5})
    assert watched.passes(BELL_MS / 1_000) == {}  # no session is open
    watched.halted = True
    assert watched.passes(10) == {}
    watched.halted = False
    watched.control(dispatch="paused")
    assert watched.passes(10) == {}
    watched.control(dispatch="running")
    watched.lanes["north"] = OPEN
    assert list(watched.passes(10)) == ["breaker.opened broker/north"]
    watched.lanes["north"] = {"sent_total": 1}
    assert "dispatch.stalled broker/north" in watched.passes(7)
    watched.lanes["north"] = {"sent_total": 2}
    assert "dispatch.stalled broker/north" not in watched.passes(2)


def test_orders_whose_broker_nobody_owns_are_told_of(watched: Watched) -> None:
    watched.has(owned=frozenset({"south"}))
    assert watched.passes(15) == {}
    watched.has(ready={"XNAS": 1})
    assert watched.passes(9) == {}
    assert list(watched.passes(3)) == ["ownership.missing broker/north"]
    watched.has(owned=frozenset({"north", "south"}))
    assert watched.passes(2) == {}


def test_a_book_that_will_not_be_through_by_the_close_is_a_risk(watched: Watched) -> None:
    at_the_open(watched)
    left_s = 23_400
    watched.has(ready={"XNAS": 12 * left_s})
    for second in range(40):  # ten a second: 1.2 sessions' work
        watched.lanes["north"] = {"sent_total": 10 * second}
        found = watched.passes(1)
    risk = found["queue.deadline_risk route/XNAS"]
    assert (risk.severity, risk.recommended.action) == (Severity.WARNING, "raise_tps")
    watched.has(ready={"XNAS": 7 * left_s})
    watched.lanes["north"] = {"sent_total": 410}

    assert watched.passes(2) == {}


def test_a_flapping_circuit_is_counted_from_closed(watched: Watched) -> None:
    watched.passes(1)
    for _ in range(3):
        watched.lanes["north"] = OPEN
        watched.passes(6)
        watched.lanes["north"] = {"circuit": "half_open"}
        watched.passes(1)
        watched.lanes["north"] = OPEN
        found = watched.passes(6)
        watched.lanes["north"] = {}
        watched.passes(1)

    assert "breaker.flapping broker/north" in found


def test_a_reason_that_spreads_is_told_with_its_code(watched: Watched) -> None:
    watched.passes(1)
    answers: list[Answer] = [*[Accepted("b")] * 80, *[Rejected("locate")] * 20]
    watched.witness.sending("north")
    watched.witness.answered("north", answers, 5_000_000)
    found = watched.passes(2)["reject.spike broker/north"]

    assert found.evidence["reason_code"] == "locate"
    assert found.recommended.action == "none"


def test_a_stray_word_stays_until_somebody_has_seen_it_also_over_a_restart(
    watched: Watched,
) -> None:
    watched.passes(1)
    watched.strays["north"] = 1
    watched.has(quarantined=3)
    watched.passes(2)
    watched.starts()
    found = watched.passes(15)
    assert sorted(found) == [
        "duplicate.execution broker/north",
        "report.quarantined gateway/reports",
    ]
    for anomaly in found.values():
        watched.acknowledges(anomaly)
    watched.has(quarantined=0)
    assert watched.passes(12) == {}
    watched.strays["north"] = 1

    assert list(watched.passes(2)) == ["duplicate.execution broker/north"]


def test_what_a_former_life_found_ends_in_the_next(watched: Watched) -> None:
    watched.brokers["north"].alive = False
    watched.passes(5)
    watched.brokers["north"].alive = True
    watched.starts()

    assert watched.passes(15) == {}


def test_a_look_that_throws_is_told_of_and_stops_nobody(watched: Watched) -> None:
    watched.passes(2)
    lanes, watched.lanes = watched.lanes, {"nobody": {}}
    assert f"{RULE_FAILED} rule/watch" in watched.passes(3)
    assert watched.watch.looks_failed >= 6
    watched.lanes = lanes
    assert watched.passes(3) == {}
    watched.lanes = {"nobody": {}}
    watched.passes(3)
    watched.lanes = lanes
    watched.starts()

    assert watched.passes(15) == {}


def test_a_rule_is_tried_on_the_last_minutes_before_it_is_in_force(watched: Watched) -> None:
    for _ in range(3):
        watched.brokers["north"].alive = False
        watched.passes(1)
        watched.brokers["north"].alive = True
        assert watched.passes(20) == {}
    document = {"rule_id": "broker.unreachable", "warning": {"raise_at": 0.5}, "critical": None}
    rehearsal = watched.watch.rehearse(document)
    assert len(rehearsal.firings) == 3
    assert 60 < rehearsal.seconds < 64
    with pytest.raises(BadRule):
        watched.watch.rehearse({"rule_id": "broker.moods"})
    watched.watch.put_rules([document, {"rule_id": "broker.moods"}])
    assert list(watched.watch.bad_rules) == ["broker.moods"]
    watched.watch.put_rules([])
    assert watched.watch.refused == 0


def test_every_number_of_the_watch_is_there_for_prometheus(watched: Watched) -> None:
    watched.brokers["north"].alive = False
    watched.has(doubts={"north": (1, 0)}, outbox_first=1, outbox_last=2)
    watched.witness.sending("north")
    watched.witness.answered("north", [Accepted("b")], 5_000_000)
    watched.passes(5)
    registry = CollectorRegistry()
    registry.register(WatchMeters(watched.watch, watched.witness))
    text = generate_latest(registry).decode()

    assert 'openbell_rules_raised{rule="broker.unreachable",severity="warning"} 1.0' in text
    assert 'openbell_broker_ping{broker="north"} 0.0' in text
    assert 'openbell_broker_ping{broker="south"} 1.0' in text
    assert 'openbell_broker_ack_p95_seconds{broker="north"} 0.00' in text
    assert "openbell_outbox_oldest_age_seconds 5.0" in text
    assert "openbell_projector_lag_seconds 0.0" in text
    assert 'openbell_in_doubt_oldest_age_seconds{broker="north"}' in text
    assert "openbell_watch_looks_total 1" in text
