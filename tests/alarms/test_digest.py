"""What is worth telling: edges, once, while they are true; and what is unreadable is poison."""

import pytest

from app import codec
from app.alarms.digest import FACTS_MAX, INCIDENTS_MAX, STALE_MS, Digest, Edge, Heard
from app.alarms.news import Level, NotNews, Switch, read
from app.domain.anomaly import Severity
from app.domain.failover import Failover, FailoverKind, FailoverState, FailoverStep
from app.domain.failover import told as told_failover
from app.ports.bus import Event
from tests.alarms.words import NOW, anomaly_event, audit_event, control_event, failover_event


def hear(digest: Digest, event: Event, now: int = NOW) -> Edge | Heard:
    news = read(event)
    assert news is not None
    return digest.hear(news, now)


def line(heard: Edge | Heard) -> str:
    assert isinstance(heard, Edge), heard
    return heard.line


def level(digest: Digest, incident_id: str) -> Level:
    return digest.incidents[incident_id].level


def test_an_anomaly_is_told_when_it_opens_worsens_and_ends_and_not_in_between() -> None:
    digest = Digest()

    assert line(hear(digest, anomaly_event())).startswith(
        "broker.error_rate on broker/b1: warning (error_ratio 0.71 ratio over 10 s, n = 412;"
    )
    assert hear(digest, anomaly_event("updated", 2)) is Heard.QUIET
    assert "now critical" in line(hear(digest, anomaly_event("escalated", 3)))
    assert level(digest, "in-1") is Level.CRITICAL
    assert hear(digest, anomaly_event("updated", 4, severity=Severity.CRITICAL)) is Heard.QUIET
    assert "acknowledged by mina" in line(
        hear(
            digest, anomaly_event("updated", 5, acknowledged_by="mina", severity=Severity.CRITICAL)
        )
    )
    assert line(hear(digest, anomaly_event("resolved", 6))).endswith(": over")
    assert level(digest, "in-1") is Level.OVER


def test_the_same_event_twice_or_an_older_one_late_changes_nothing() -> None:
    digest = Digest()
    hear(digest, anomaly_event("escalated", 3))
    before = digest.incidents["in-1"]

    assert hear(digest, anomaly_event("escalated", 3)) is Heard.KNOWN
    assert hear(digest, anomaly_event("opened", 1)) is Heard.KNOWN
    assert digest.incidents["in-1"] == before


def test_a_fact_that_is_no_longer_true_is_not_told_and_its_end_is() -> None:
    digest = Digest()

    assert hear(digest, anomaly_event(), NOW + 30_001) is Heard.STALE
    assert "in-1" not in digest.incidents
    # It goes on: the next word about it is as good as the first.
    event = anomaly_event("updated", 2, valid_until=NOW + 60_000)
    assert "warning" in line(hear(digest, event, NOW + 30_001))
    assert line(hear(digest, anomaly_event("resolved", 3), NOW + 60_000)).endswith("over")


def test_a_new_subscriber_does_not_tell_the_history_of_a_month() -> None:
    late = NOW + STALE_MS + 10
    for event in (
        anomaly_event("resolved", 2),
        failover_event("done"),
        audit_event("halt"),
    ):
        assert hear(Digest(), event, late) is Heard.STALE


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("suspected", None),
        ("confirmed", None),
        ("held", "held by lock"),
        ("prepared", None),
        ("fencing", "started"),
        ("draining", None),
        ("ramping", None),
        ("done", "done, 1204 moved, 37 pinned"),
        ("aborted", "given up"),
        ("halted", "halted"),
    ],
)
def test_of_a_failover_people_hear_what_matters(state: str, told: str | None) -> None:
    event = failover_event(state, held_by=["lock"], moved=1204, pinned=37)
    heard = hear(Digest(), event)

    if told is None:
        assert heard is Heard.QUIET
    else:
        assert told in line(heard)


def test_a_switch_that_is_held_for_the_same_reason_is_told_once() -> None:
    digest = Digest()
    hear(digest, failover_event("held", 1, held_by=["lock"]))

    assert hear(digest, failover_event("held", 2, held_by=["lock"])) is Heard.QUIET
    assert "cooldown" in line(hear(digest, failover_event("held", 3, held_by=["cooldown"])))


def test_both_brokers_dead_is_the_loudest_and_ends_with_the_trouble() -> None:
    digest = Digest()
    hear(digest, anomaly_event("escalated"))
    hear(digest, failover_event("halted", to_broker=None))

    assert level(digest, "in-1") is Level.PAGE
    hear(digest, anomaly_event("resolved", 2))
    assert level(digest, "in-1") is Level.OVER


def test_what_is_silenced_is_told_when_the_silence_ends_and_it_goes_on() -> None:
    digest = Digest()

    assert hear(digest, anomaly_event(silenced_until=NOW + 20_000)) is Heard.QUIET
    assert hear(digest, anomaly_event("escalated", 2, silenced_until=NOW + 20_000)) is Heard.QUIET
    after = anomaly_event("updated", 3, silenced_until=NOW + 20_000, updated_at=NOW + 21_000)
    assert "warning" in line(hear(digest, after, NOW + 21_000))
    silent = Digest()
    hear(silent, anomaly_event(silenced_until=NOW + 20_000))
    assert hear(silent, anomaly_event("resolved", 2)) is Heard.QUIET


def test_a_halt_and_its_end_are_one_incident_and_the_next_halt_is_another() -> None:
    digest = Digest()

    halted = hear(digest, audit_event("halt", 5))
    assert line(halted) == "new sends are halted: symbol:TSLA (by mina: news pending)"
    resumed = hear(digest, audit_event("resume", 6, actor="jun", reason="news is out", at=NOW + 9))
    assert line(resumed) == "new sends go on: symbol:TSLA (by jun: news is out)"
    assert len(digest.incidents["halt/symbol:TSLA"].facts) == 2
    assert level(digest, "halt/symbol:TSLA") is Level.NOTICE
    hear(digest, audit_event("halt", 9, at=NOW + 99))
    assert digest.incidents["halt/symbol:TSLA"].since == NOW + 99
    assert hear(digest, audit_event("halt", 5)) is Heard.KNOWN


def test_a_halt_of_everything_is_louder_than_one_of_a_symbol() -> None:
    news = [read(audit_event("halt", resource=f"halt/{it}")) for it in ("all:*", "symbol:A")]

    assert [getattr(it, "level", None) for it in news] == [Level.CRITICAL, Level.WARNING]


def test_no_account_is_told() -> None:
    digest = Digest()
    heard = hear(digest, audit_event("halt", 7, resource="halt/account:acc-4711"))

    assert "acc-4711" not in line(heard)
    assert "acc-4711" not in str(list(digest.incidents))


def test_a_rate_that_a_person_changes_is_told_and_bookkeeping_is_not() -> None:
    changed = control_event(before={"tps": 500}, after={"tps": 800})

    assert line(hear(Digest(), changed)).startswith("b1: tps 500 -> 800 (by mina")
    assert read(control_event(before={}, after={})) is None
    paused = read(control_event(before={}, after={"dispatch": "paused"}))
    assert getattr(paused, "level", None) is Level.WARNING
    assert read(audit_event("key.create")) is None


def test_a_type_that_nobody_knows_yet_is_no_news_and_no_poison() -> None:
    event = anomaly_event()._replace(type="io.openbell.weather.changed.v1", payload=b"?")

    assert read(event) is None


@pytest.mark.parametrize(
    "event",
    [
        anomaly_event()._replace(payload=b"{"),
        anomaly_event()._replace(payload=b"[]"),
        anomaly_event()._replace(payload=b"\xff"),
        anomaly_event()._replace(payload=b"[" * 5_000),
        anomaly_event()._replace(event_id="an-x"),
        failover_event("done")._replace(payload=b"null"),
        failover_event("done", at="yesterday"),
        failover_event("done", at="2026-03-02T14:00:00"),
        failover_event("done", failover_id=7),
        audit_event("halt", at="now"),
        control_event(before={}, after={})._replace(payload=b'{"action": "broker.control"}'),
    ],
)
def test_an_event_of_ours_that_cannot_be_read_is_poison(event: Event) -> None:
    with pytest.raises(NotNews):
        read(event)


def test_what_is_known_is_bounded_and_what_is_over_goes_first() -> None:
    digest = Digest()
    hear(digest, anomaly_event())
    for number in range(INCIDENTS_MAX + 50):
        event = anomaly_event("resolved", incident_id=f"in-x{number}", anomaly_id=f"an-x{number}")
        hear(digest, event)
    for number in range(2, FACTS_MAX + 50):
        hear(digest, anomaly_event(number=number))

    assert len(digest.incidents) == INCIDENTS_MAX
    assert len(digest.incidents["in-1"].facts) == FACTS_MAX


def test_an_instant_may_be_written_or_counted() -> None:
    body = codec.decode(failover_event("done").payload) | {"at": NOW}
    news = read(failover_event("done")._replace(payload=codec.encode(body)))

    assert news is not None
    assert news.at == NOW


def test_what_the_controller_tells_is_what_is_read_here() -> None:
    steps = (FailoverStep(FailoverState.CONFIRMED, NOW), FailoverStep(FailoverState.HELD, NOW + 7))
    failover = Failover(
        failover_id="fo-1",
        incident_id="in-1",
        route_id="us",
        kind=FailoverKind.AUTO,
        state=FailoverState.HELD,
        from_broker="b1",
        to_broker=None,
        epoch=3,
        reason="b1: silent for 8 s",
        steps=steps,
        by="openbell",
        held_by=("locked",),
    )
    event = failover_event("held")._replace(payload=codec.encode(told_failover(failover)))
    news = read(event)

    assert isinstance(news, Switch)
    assert news.steps == (("confirmed", NOW), ("held", NOW + 7))
    assert (news.at, news.held_by, news.to_broker) == (NOW + 7, ("locked",), None)
    assert "held by locked" in line(hear(Digest(), event))
