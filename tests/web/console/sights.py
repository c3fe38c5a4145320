"""What the console may see, as values: a calm night, and one in which everything is hostile."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Final, TypeVar

from app.domain.anomaly import (
    Anomaly,
    AnomalyState,
    Observed,
    Recommended,
    Severity,
    Subject,
    Threshold,
)
from app.domain.failover import Failover, FailoverKind, FailoverState, FailoverStep, RoutePolicy
from app.domain.proposal import Proposal, ProposalState
from app.domain.records import Backlog, BrokerControl, Doubt, Halt, LaneStatus, Route
from app.domain.session import SessionPause, TradingSession
from app.domain.signs import CommitPace, DaysKept, Heard, LaneOwner, Owners, Probe
from app.web.access.keyfile import SCOPES
from app.web.console.paces import Second
from app.web.console.sight import Book, Counts, Sight, Viewer
from tests.builders import CLOSES_AT, OPENS_AT, a_lane

NOW: Final = OPENS_AT + 60_000
OPERATOR: Final = Viewer("mina", SCOPES, frozenset({"*"}))
LOOKER: Final = Viewer("jun", frozenset({"admin:read"}), frozenset({"*"}))
# Each way out of a text that a page knows, and marks that turn what follows them around.
EVIL: Final = "x\"'></td></style></script><script>alert(1)</script><img src=x onerror=e>&\u202e\x00"

T = TypeVar("T")


def a_control(broker_id: str = "nova", **facts: Any) -> BrokerControl:
    control = BrokerControl(
        broker_id=broker_id,
        version=3,
        tps=500,
        dispatch="running",
        breaker="auto",
        changed_by="settings",
        changed_at=NOW - 60_000,
        reason="first start",
        expires_at=None,
        reverts_to=None,
    )
    return control._replace(**facts)


def a_session(**facts: Any) -> TradingSession:
    session = TradingSession("XNYS-2026-03-02-REG", "XNYS", date(2026, 3, 2), OPENS_AT, CLOSES_AT)
    return session._replace(**facts)


def a_second(at: int, sent: int, limit: int = 500) -> Second:
    return Second(at, {"nova": sent}, {"nova": limit})


def an_owner(broker_id: str = "nova", **facts: Any) -> LaneOwner:
    owner = LaneOwner(broker_id, "gw-2:0f3a9c1d2e4b5a67", 41, NOW + 3_000)
    return owner._replace(**facts)


def a_pace(**facts: Any) -> CommitPace:
    pace = CommitPace(True, 0, 60, 12_720, 3.1, 9.8)
    return pace._replace(**facts)


def a_book(**facts: Any) -> Book:
    session = "XNYS-2026-03-02-REG"
    book = Book(
        at=NOW,
        controls={"nova": a_control()},
        routes=(Route("XNYS", "nova", 4),),
        policies={"XNYS": RoutePolicy("XNYS")},
        backlog=Backlog({session: 200}, {"XNYS": 100}, {}, 3),
        backlog_at=NOW,
        halts=(),
        doubts=(),
        anomalies=(),
        failovers=(),
        audit=(),
        counts={session: Counts(NOW, {"reserved": 200, "queued": 100, "new": 700})},
        owners=Owners(NOW, (an_owner(),)),
        skew_ms=3.0,
    )
    return book._replace(**facts)


def a_sight(**facts: Any) -> Sight:
    """Return a night that is well, one minute after the bell."""
    sound: dict[str, Any] = {
        "at": NOW,
        "lanes": (a_lane("nova", sent_last_second=100, tps_effective=500, tps_contract=1000),),
        "paces": tuple(a_second(NOW - 2_000 + i * 1_000, 90 + i * 10) for i in range(3)),
        "contracts": {"nova": 1000},
        "book": a_book(),
        "trouble": None,
        "tonight": (a_session(),),
        "following": (a_session(),),
        "calendar_ends": {"XNYS": "2027-12-31"},
        "view_behind": 4,
        "draining": False,
        "not_ready": (),
        "keyring_trouble": None,
        "days": DaysKept(2, 2, 0, None),
        "alarms": None,
        "commits": a_pace(),
        "markets": {"XNYS": "America/New_York"},
    }
    return Sight(**(sound | facts))


def a_halt(**facts: Any) -> Halt:
    return Halt("symbol", "AA", "lee", NOW - 9_000, "strange quotes")._replace(**facts)


def a_doubt(**facts: Any) -> Doubt:
    doubt = Doubt("01KJQF7NXG0TM7ZYTBND0CPFKB", "A-1", "AA", "key-01", "nova", NOW - 61_000, 4)
    return doubt._replace(**facts)


def an_anomaly(**facts: Any) -> Anomaly:
    anomaly = Anomaly(
        anomaly_id="an-1",
        incident_id="in-1",
        rule_id="broker.error_rate",
        rule_version=1,
        state=AnomalyState.OPEN,
        severity=Severity.CRITICAL,
        subject=Subject("broker", "nova"),
        route_id="XNYS",
        trading_session_id=None,
        phase=None,
        observed=Observed("error_rate", 0.61, "ratio", 10.0, 500),
        threshold=Threshold(">=", 0.5, 0.2, 5.0),
        recommended=Recommended("failover"),
        evidence={},
        opened_at=NOW - 8_000,
        updated_at=NOW,
        resolved_at=None,
        valid_until=NOW + 30_000,
        occurrences=8,
        route_epoch=4,
        drill=False,
    )
    return anomaly._replace(**facts)


def a_failover(**facts: Any) -> Failover:
    failover = Failover(
        failover_id="fo-1",
        incident_id="in-1",
        route_id="XNYS",
        kind=FailoverKind.FORCED,
        state=FailoverState.DONE,
        from_broker="nova",
        to_broker="sol",
        epoch=5,
        reason="error rate 61 %",
        steps=(FailoverStep(FailoverState.DONE, NOW - 4_000),),
        by="openbell",
    )
    return failover._replace(**facts)


def a_proposal(**facts: Any) -> Proposal:
    proposal = Proposal(
        proposal_id="pr-1",
        version=1,
        state=ProposalState.OPEN,
        operation="release_orders",
        call={"parts": {}, "query": {}, "body": {"everything": True}, "if_match": None},
        proposed_by="mina",
        key_id="key-1",
        reason="rebalance is over",
        proposed_at=NOW - 9_000,
        expires_at=NOW + 600_000,
    )
    return proposal._replace(**facts)


def a_row(**facts: Any) -> Mapping[str, Any]:
    """Return a line of the audit log: a rate that was raised."""
    row = {
        "sequence": 7,
        "at": NOW - 5_000,
        "actor": "lee",
        "action": "broker.control",
        "resource": "broker/nova",
        "before": a_control()._asdict(),
        "after": a_control(tps=800)._asdict(),
        "reason": "desk asked, OPS-12",
    }
    return row | facts


def a_lane_in_trouble(name: str) -> LaneStatus:
    return a_lane(name, circuit="open", circuit_reason="61 % failed", next_trial_s=23.0)


def evil(record: T) -> T:
    """Return the same record with every plain text of it turned against the page."""
    fields = record._asdict()  # type: ignore[attr-defined]
    hostile = {name: EVIL for name, value in fields.items() if type(value) is str}
    return record._replace(**hostile)  # type: ignore[attr-defined, no-any-return]


def an_evil_sight() -> Sight:
    """Return a night in which whoever could write a text wrote an attack."""
    control = evil(a_control())._replace(expires_at=NOW + 9_000, dispatch="paused")
    facts = control._asdict()
    subject = Subject(EVIL, EVIL)
    book = a_book(
        controls={EVIL: control, "nova": a_control()},
        routes=(evil(Route("XNYS", "nova", 4)),),
        policies={EVIL: RoutePolicy("XNYS")},
        backlog=Backlog({EVIL: 2}, {EVIL: 1}, {EVIL: 3}, 3),
        halts=(evil(a_halt()),),
        doubts=(evil(a_doubt()),),
        anomalies=(evil(an_anomaly())._replace(subject=subject), an_anomaly(acknowledged_by=EVIL)),
        failovers=(evil(a_failover()),),
        owners=Owners(NOW, (evil(an_owner()),)),
        audit=(
            a_row(**dict.fromkeys(("actor", "action", "resource", "reason"), EVIL)),
            a_row(before=facts, after=facts, actor=EVIL, reason=EVIL),
        ),
        pauses=(SessionPause(EVIL, 1, paused=True, changed_by=EVIL, reason=EVIL),),
        proposals=(evil(a_proposal())._replace(call={"parts": {"x": EVIL}, "body": {"y": EVIL}}),),
    )
    return a_sight(
        book=book,
        lanes=(
            evil(a_lane_in_trouble(EVIL))._replace(
                probes=(Probe(EVIL, NOW, EVIL),), heard=Heard(1.0, ((EVIL, 1),))
            ),
            a_lane(EVIL, running=False, why_not=EVIL),
        ),
        paces=(Second(NOW - 1_000, {EVIL: 1}, {EVIL: 3}), Second(NOW, {EVIL: 2}, {EVIL: 3})),
        contracts={EVIL: 1000},
        trouble=EVIL,
        tonight=(evil(a_session()),),
        following=(evil(a_session()),),
        calendar_ends={EVIL: EVIL},
        not_ready=(EVIL,),
        keyring_trouble=EVIL,
        days=DaysKept(0, 0, 0, EVIL),
        markets={EVIL: "UTC"},
        environment=EVIL,
    )
