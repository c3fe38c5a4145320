"""What `AnomalyStore` promises to whoever watches, decides and tells, on every record."""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, Final, TypeVar

import pytest
from sqlalchemy import text

from app import codec
from app.domain.alerts import OutsideAlert
from app.domain.anomaly import Anomaly, AnomalyState, Finding, Severity, Subject, told
from app.domain.errors import Code, Refused
from app.domain.session import Calendar
from app.ledger.schema import create, upgrade
from app.ledger.store import Ledger
from app.ledger.trouble.store import AnomalyLedger
from app.postgres import PostgresDatabase
from app.sql import Database
from app.sqlite import Database as SqliteDatabase
from tests.builders import NOW, SESSION, StillClock, a_finding, a_report
from tests.contracts.record import KIM, LEE
from tests.virtual import VirtualLoop

T = TypeVar("T")
EMPTY: Final = text(
    "TRUNCATE anomalies, anomaly_subjects, anomaly_rules, outside_alerts, outbox, audit, routes,"
    " quarantine"
)

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
WELL = a_finding(None)


class Trouble:
    """One record of trouble, and what a test may look at beside it."""

    def __init__(self, database: Database, runner: asyncio.Runner) -> None:
        self.database = database
        self.clock = StillClock()
        self.store = AnomalyLedger(database, self.clock)
        self.control = Ledger(database, self.clock)
        self.control.declare({"north": 100}, {"XNAS": "north"})
        self._runner = runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def audit(self) -> list[dict[str, object]]:
        return self.run(self.control.audit(0, 10))


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[PostgresDatabase]:
    """Lend one database to all tests of this suite: to make one costs more than they do."""
    with request.getfixturevalue("postgres").fresh_database() as url:
        database = PostgresDatabase(url, writers=3)
        upgrade(database)
        yield database
        database.close()


@pytest.fixture(params=["inline", "postgres"])
def trouble(request: pytest.FixtureRequest) -> Iterator[Trouble]:
    if request.param == "postgres":
        shared: PostgresDatabase = request.getfixturevalue("server")
        shared.write_now(lambda c: c.execute(EMPTY))
        with asyncio.Runner() as runner:
            yield Trouble(shared, runner)
        return
    database = SqliteDatabase(None)
    database.write_now(create)
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        yield Trouble(database, runner)
    database.close()


def noted(trouble: Trouble, *findings: Finding) -> list[Anomaly]:
    return trouble.run(trouble.store.note(findings))


def opened(trouble: Trouble, *words: Any, **facts: Any) -> Anomaly:
    (anomaly,) = noted(trouble, a_finding(*words, **facts))
    return anomaly


def events(trouble: Trouble, kind: str = "anomalies") -> list[tuple[str, str, str, dict[str, Any]]]:
    """Return (key, id, the type's last word but one, payload) of what waits to be published."""
    found = text(
        "SELECT aggregateid, event_id, type, payload FROM outbox WHERE aggregatetype = :kind"
        " ORDER BY id"
    )
    rows = trouble.database.write_now(lambda c: c.execute(found, {"kind": kind}).all())
    return [(key, name, type_.split(".")[-2], codec.decode(doc)) for key, name, type_, doc in rows]


def steps(trouble: Trouble) -> list[str]:
    return [step for _, _, step, _ in events(trouble)]


def test_a_finding_opens_an_anomaly_and_one_of_health_ends_it(trouble: Trouble) -> None:
    anomaly = opened(trouble)
    trouble.clock.at += 1_000
    (ended,) = noted(trouble, WELL)

    assert (anomaly.state, anomaly.severity, anomaly.opened_at) == ("open", WARNING, NOW)
    assert (anomaly.route_id, anomaly.route_epoch) == ("XNAS", 1)
    assert anomaly.valid_until == NOW + 30_000
    assert ended.anomaly_id == anomaly.anomaly_id
    assert (ended.state, ended.resolved_at) == (AnomalyState.RESOLVED, NOW + 1_000)
    assert ended.evidence == anomaly.evidence
    assert trouble.run(trouble.store.open_anomalies()) == []
    assert trouble.run(trouble.store.anomaly(anomaly.anomaly_id)) == ended


def test_health_of_what_was_never_ill_is_no_news(trouble: Trouble) -> None:
    assert noted(trouble, WELL) == []
    assert events(trouble) == []


def test_what_opens_again_is_another_anomaly(trouble: Trouble) -> None:
    first = opened(trouble)
    noted(trouble, WELL)
    second = opened(trouble)

    assert first.anomaly_id != second.anomaly_id
    assert trouble.run(trouble.store.open_anomalies()) == [second]


def test_the_same_again_is_told_each_ten_seconds_and_kept_each_time(trouble: Trouble) -> None:
    first = opened(trouble)
    said = []
    for _ in range(20):
        trouble.clock.at += 1_000
        said += noted(trouble, a_finding(evidence={"n": trouble.clock.at}))
    (standing,) = trouble.run(trouble.store.open_anomalies())

    assert [anomaly.updated_at for anomaly in said] == [NOW + 10_000, NOW + 20_000]
    assert standing.anomaly_id == first.anomaly_id
    assert (standing.occurrences, standing.valid_until) == (21, NOW + 50_000)
    assert standing.evidence == {"n": NOW + 20_000}
    assert steps(trouble) == ["opened", "updated", "updated"]


def test_severity_only_rises_until_the_end(trouble: Trouble) -> None:
    opened(trouble)
    (louder,) = noted(trouble, a_finding(CRITICAL))
    assert noted(trouble, a_finding(WARNING)) == []
    (standing,) = trouble.run(trouble.store.open_anomalies())
    (ended,) = noted(trouble, WELL)

    assert (louder.severity, standing.severity, ended.severity) == (CRITICAL, CRITICAL, CRITICAL)
    assert steps(trouble) == ["opened", "escalated", "resolved"]


def test_each_event_has_its_place_among_those_of_its_subject(trouble: Trouble) -> None:
    north = opened(trouble)
    south = opened(trouble, WARNING, "broker/south")
    noted(trouble, a_finding(CRITICAL), a_finding(None, "broker/south"))

    assert [(key, name) for key, name, _, _ in events(trouble)] == [
        ("broker/north", f"{north.anomaly_id}-1"),
        ("broker/south", f"{south.anomaly_id}-1"),
        ("broker/north", f"{north.anomaly_id}-2"),
        ("broker/south", f"{south.anomaly_id}-2"),
    ]


def test_the_state_of_each_anomaly_follows_its_events(trouble: Trouble) -> None:
    anomaly = opened(trouble)
    noted(trouble, WELL)

    now = trouble.run(trouble.store.anomaly(anomaly.anomaly_id))
    assert now is not None
    states = events(trouble, "anomaly-state")
    assert [(key, name) for key, name, _, _ in states] == [
        (anomaly.anomaly_id, f"{anomaly.anomaly_id}-1"),
        (anomaly.anomaly_id, f"{anomaly.anomaly_id}-2"),
    ]
    assert [doc for _, _, _, doc in states] == [doc for _, _, _, doc in events(trouble)]
    assert states[-1][3] == told(now) | {"automation": None}


def test_what_one_episode_breaks_shares_an_incident(trouble: Trouble) -> None:
    first = opened(trouble)
    trouble.clock.at += 120_000
    same_broker = opened(trouble, CRITICAL, "broker/north", "broker.in_doubt")
    trouble.clock.at += 1
    its_route = opened(trouble, WARNING, "route/XNAS", "queue.deadline_risk")
    other_broker = opened(trouble, WARNING, "broker/south")
    (at_once, with_it) = noted(
        trouble, a_finding(subject="gateway/outbox"), a_finding(CRITICAL, "gateway/outbox", "other")
    )

    assert same_broker.incident_id == its_route.incident_id == first.incident_id
    assert with_it.incident_id == at_once.incident_id
    assert len({first.incident_id, other_broker.incident_id, at_once.incident_id}) == 3


def test_an_episode_that_is_over_or_long_ago_is_another_incident(trouble: Trouble) -> None:
    first = opened(trouble)
    trouble.clock.at += 120_001
    late = opened(trouble, WARNING, "broker/north", "broker.in_doubt")
    noted(trouble, WELL, a_finding(None, "broker/north", "broker.in_doubt"))
    after = opened(trouble)

    assert len({first.incident_id, late.incident_id, after.incident_id}) == 3


def test_a_drill_neither_hides_nor_ends_what_is_real(trouble: Trouble) -> None:
    real = opened(trouble)
    drilled = opened(trouble, CRITICAL, "broker/north", "broker.in_doubt", drill=True)
    assert noted(trouble, a_finding(CRITICAL, drill=True), WELL._replace(drill=True)) == []
    (turned,) = noted(trouble, a_finding(WARNING, "broker/north", "broker.in_doubt"))

    assert real in trouble.run(trouble.store.open_anomalies())
    assert drilled.incident_id != real.incident_id
    assert (turned.drill, turned.severity) == (False, CRITICAL)
    assert steps(trouble)[-1] == "escalated"


def test_an_anomaly_says_which_session_it_fell_into(trouble: Trouble) -> None:
    calendar = Calendar({"XNAS": [(SESSION.trade_date, SESSION.opens_at, SESSION.closes_at)]})
    trouble.store = AnomalyLedger(trouble.database, trouble.clock, lambda: calendar)
    anomaly = opened(trouble)
    elsewhere = opened(trouble, WARNING, "gateway/outbox")

    assert anomaly.trading_session_id == SESSION.trading_session_id
    assert anomaly.phase == "opening"
    assert (elsewhere.route_id, elsewhere.trading_session_id) == (None, None)


def test_who_acknowledges_first_stands_and_is_audited(trouble: Trouble) -> None:
    anomaly = opened(trouble)
    seen = trouble.run(trouble.store.acknowledge(anomaly.anomaly_id, KIM))
    again = trouble.run(trouble.store.acknowledge(anomaly.anomaly_id, LEE))
    trouble.clock.at += 1_000
    noted(trouble, a_finding())
    (standing,) = trouble.run(trouble.store.open_anomalies())

    assert (seen.acknowledged_by, seen.acknowledged_at) == ("kim", NOW)
    assert again == seen
    assert standing.acknowledged_by == "kim"
    (row,) = trouble.audit()
    assert (row["action"], row["resource"]) == ("anomaly.ack", f"anomaly/{anomaly.anomaly_id}")
    assert steps(trouble) == ["opened", "updated"]


def test_what_is_in_quarantine_is_counted_from_the_last_acknowledgement_on(
    trouble: Trouble,
) -> None:
    """By the record: a process that dies before it says so hides nothing."""

    def quarantined(execution_id: str) -> int:
        trouble.clock.at += 1
        strange = a_report(execution_id=execution_id, broker_order_key="nobody's")
        trouble.run(trouble.control.apply([strange], "report"))
        return trouble.run(trouble.control.vitals()).quarantined

    assert trouble.run(trouble.control.vitals()).quarantined == 0
    assert [quarantined("e-1"), quarantined("e-1"), quarantined("e-2")] == [1, 1, 2]
    anomaly = opened(trouble, rule_id="report.quarantined")
    assert trouble.run(trouble.control.vitals()).quarantined == 2
    trouble.run(trouble.store.acknowledge(anomaly.anomaly_id, KIM))
    assert trouble.run(trouble.control.vitals()).quarantined == 0
    assert [quarantined("e-2"), quarantined("e-3")] == [0, 1]
    noted(trouble, a_finding(None, rule_id="report.quarantined"))
    opened(trouble, rule_id="report.quarantined")
    assert trouble.run(trouble.control.vitals()).quarantined == 1, "the last word still stands"


def test_silence_lasts_as_long_as_it_was_asked_for_and_is_audited(trouble: Trouble) -> None:
    anomaly = opened(trouble)
    quiet = trouble.run(trouble.store.silence(anomaly.anomaly_id, NOW + 60_000, KIM))

    assert quiet.silenced_until == NOW + 60_000
    (row,) = trouble.audit()
    assert (row["actor"], row["action"]) == ("kim", "anomaly.silence")


def test_nobody_can_acknowledge_what_is_not_there(trouble: Trouble) -> None:
    with pytest.raises(Refused) as seen:
        trouble.run(trouble.store.acknowledge("an_x", KIM))
    with pytest.raises(Refused) as silenced:
        trouble.run(trouble.store.silence("an_x", NOW, KIM))

    assert {seen.value.code, silenced.value.code} == {Code.NOT_FOUND}
    assert trouble.audit() == []
    assert trouble.run(trouble.store.anomaly("an_x")) is None


def test_pages_go_back_in_time_and_part_no_millisecond(trouble: Trouble) -> None:
    names = []
    for turn in range(3):
        trouble.clock.at = NOW + turn
        names += noted(trouble, *(a_finding(subject=f"broker/{turn}-{n}") for n in range(3)))
    pages: list[list[Anomaly]] = []
    before: int | None = None
    while page := trouble.run(trouble.store.anomalies(before, 2)):
        pages.append(page)
        before = page[-1].opened_at

    assert [[anomaly.opened_at - NOW for anomaly in page] for page in pages] == [
        [2, 2, 2],
        [1, 1, 1],
        [0, 0, 0],
    ]
    assert {a.anomaly_id for page in pages for a in page} == {a.anomaly_id for a in names}


def test_whoever_sees_the_same_at_once_opens_one_anomaly_and_one_incident(
    trouble: Trouble,
) -> None:
    watchers = [AnomalyLedger(trouble.database, StillClock(seed=n)) for n in range(3)]
    rules = [("broker.error_rate", "broker.in_doubt"), ("broker.in_doubt", "broker.error_rate")]

    async def all_at_once() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number, watcher in enumerate(watchers):
                found = [a_finding(rule_id=rule) for rule in rules[number % 2]]
                tasks.create_task(watcher.note(found))

    trouble.run(all_at_once())
    standing = trouble.run(trouble.store.open_anomalies())

    assert sorted(a.rule_id for a in standing) == sorted(rules[0])
    assert {a.occurrences for a in standing} == {3}
    assert len({a.incident_id for a in standing}) == 1
    assert steps(trouble) == ["opened", "opened"]


def test_who_sees_two_ends_of_one_episode_at_once_opens_one_incident(trouble: Trouble) -> None:
    watchers = [AnomalyLedger(trouble.database, StillClock(seed=n)) for n in range(6)]

    async def all_at_once() -> None:
        async with asyncio.TaskGroup() as tasks:
            for number, watcher in enumerate(watchers):
                subject = ("broker/north", "route/XNAS")[number % 2]
                finding = a_finding(WARNING, subject, f"rule.{number}")
                tasks.create_task(watcher.note([finding]))

    trouble.run(all_at_once())
    standing = trouble.run(trouble.store.open_anomalies())

    assert len(standing) == len(watchers)
    assert len({a.incident_id for a in standing}) == 1


# --- rules --------------------------------------------------------------------------------


def test_a_rule_is_compare_and_set_and_audited(trouble: Trouble) -> None:
    first = trouble.run(trouble.store.put_rule("x", {"rule_id": "x", "n": 1}, 3, KIM))
    with pytest.raises(Refused) as stale:
        trouble.run(trouble.store.put_rule("x", {"rule_id": "x", "n": 2}, 3, LEE))
    second = trouble.run(trouble.store.put_rule("x", {"rule_id": "x", "n": 2}, 4, LEE))

    assert (first.version, first.document) == (4, {"rule_id": "x", "n": 1, "version": 4})
    assert stale.value.code is Code.STALE_VERSION
    assert trouble.run(trouble.store.rules()) == [second]
    assert [row["action"] for row in trouble.audit()] == ["anomaly.rule", "anomaly.rule"]


# --- alerts from outside ------------------------------------------------------------------


def an_alert(fingerprint: str = "f1", at: int = NOW, **facts: Any) -> OutsideAlert:
    alert = OutsideAlert(
        source="alertmanager",
        fingerprint=fingerprint,
        starts_at=at,
        firing=True,
        name="Broker errors",
        subject=Subject("broker", "north"),
        severity=WARNING,
        summary="it fails",
        labels={"severity": "warning"},
    )
    return alert._replace(**facts)


def heard(trouble: Trouble, *alerts: OutsideAlert) -> int:
    return trouble.run(trouble.store.hear(alerts))


def test_an_alert_becomes_a_finding_once_however_often_it_is_told(trouble: Trouble) -> None:
    over = an_alert(firing=False)
    told_in_turn = [heard(trouble, alert) for alert in (an_alert(), an_alert(), over, over)]

    assert told_in_turn == [1, 0, 1, 0]
    assert heard(trouble, an_alert()) == 0  # late, and it is over
    assert heard(trouble) == 0
    assert steps(trouble) == ["opened", "resolved"]
    (_, _, _, document), *_ = events(trouble)
    assert document["rule"]["id"] == "external.Broker_errors"
    assert document["recommended"]["action"] == "none"
    assert document["subject"] == {"kind": "broker", "id": "north", "route": "XNAS"}


def test_trouble_of_two_alerts_is_over_when_both_are(trouble: Trouble) -> None:
    heard(trouble, an_alert("f1"), an_alert("f2", severity=CRITICAL))
    heard(trouble, an_alert("f2", firing=False))
    (standing,) = trouble.run(trouble.store.open_anomalies())
    heard(trouble, an_alert("f1", firing=False))

    assert standing.observed.sample == 1
    assert trouble.run(trouble.store.open_anomalies()) == []
    assert steps(trouble) == ["opened", "resolved"]


def test_one_goes_and_another_comes_in_one_breath_and_nothing_flaps(trouble: Trouble) -> None:
    heard(trouble, an_alert("f1"))
    heard(trouble, an_alert("f1", firing=False), an_alert("f2"))

    assert steps(trouble) == ["opened"]


def test_only_the_latest_firing_of_a_fingerprint_counts(trouble: Trouble) -> None:
    heard(trouble, an_alert(at=NOW))
    heard(trouble, an_alert(at=NOW + 5))
    heard(trouble, an_alert(at=NOW + 5, firing=False))
    assert trouble.run(trouble.store.open_anomalies()) == []

    heard(trouble, an_alert(at=NOW + 2))  # an old one that was on its way for long
    assert trouble.run(trouble.store.open_anomalies()) == []


def test_what_ended_long_ago_is_forgotten(trouble: Trouble) -> None:
    heard(trouble, an_alert(firing=False))
    trouble.clock.at += 31 * 86_400_000
    heard(trouble, an_alert("f2"))

    count = text("SELECT count(*) FROM outside_alerts")
    assert trouble.database.write_now(lambda c: c.execute(count).scalar_one()) == 1
