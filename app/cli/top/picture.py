"""What `openbell top` knows at one moment, made of the gateway's own documents.

Values in, values out: nobody asks anything here, and no clock is read. The time is the
gateway's, which rings the bell; the trap is a countdown by the clock of whoever looks at it.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, Final, NamedTuple

Document = Mapping[str, Any]
# A doubt younger than this is asked about by itself; an older one waits for a person.
DOUBT_OLD_S: Final = 60


class Grade(IntEnum):
    """How bad, as the console grades it."""

    OK = 0
    OFF = 1
    WARNING = 2
    CRITICAL = 3


class Bell(NamedTuple):
    """The sessions that ring together: those that are open, or else open next."""

    markets: tuple[str, ...]
    session_ids: tuple[str, ...]
    is_open: bool
    at: int  # when they close, or open


class Drain(NamedTuple):
    """What waits for the bell, or leaves after it."""

    waiting: int
    total: int
    rate: int  # messages a second
    is_real: bool  # it is what left, not what may
    eta_s: int | None  # None: something waits, and nothing may leave


class Broker(NamedTuple):
    """One line of the table."""

    name: str
    grade: Grade
    says: str
    sent: int | None  # in the last second; None: no lane runs where we asked
    limit: int | None
    configured: int
    in_flight: int | None
    circuit: str | None
    waiting: int
    in_doubt: int
    p95_ms: float | None
    error_ratio: float | None


class News(NamedTuple):
    """Something that happened, or goes on."""

    at: int
    grade: Grade
    says: str


class Picture(NamedTuple):
    """One look."""

    at: int
    bell: Bell | None
    drain: Drain | None
    brokers: tuple[Broker, ...]
    banners: tuple[News, ...]  # what is wrong with the house as a whole, halts first
    doubts: int
    doubt_age_s: int | None  # of the oldest
    news: tuple[News, ...]  # the newest first
    outbox: int


class Documents(NamedTuple):
    """What the gateway said; plans by session, counted now and then."""

    overview: Document
    plans: Mapping[str, Document]
    doubts: Sequence[Document]
    anomalies: Sequence[Document]
    failovers: Sequence[Document]


def pictured(said: Documents) -> Picture:
    """Return the picture, or raise `KeyError`, `TypeError` or `ValueError` if it makes no sense."""
    overview = said.overview
    now = instant(overview["at"])
    backlog = overview["backlog"]
    bell = bell_of(overview)
    return Picture(
        at=now,
        bell=bell,
        drain=None if bell is None else _drain(bell, overview, said.plans),
        brokers=tuple(_brokers(overview)),
        banners=tuple(_banners(overview, now)),
        doubts=sum(backlog["in_doubt"].values()),
        doubt_age_s=max((int(doubt["age_s"]) for doubt in said.doubts), default=None),
        news=tuple(sorted(_news(said), key=lambda one: -one.at)),
        outbox=int(backlog["outbox"]),
    )


def bell_of(overview: Document) -> Bell | None:
    """Return the sessions that are looked at: whatever is open, else what opens together next."""
    opened = list(overview["sessions_open"])
    if opened:
        return _bell(opened, instant(min(s["closes_at"] for s in opened)), is_open=True)
    coming = sorted(overview["sessions_next"], key=lambda s: str(s["opens_at"]))
    together = [s for s in coming if s["opens_at"] == coming[0]["opens_at"]]
    return _bell(together, instant(coming[0]["opens_at"]), is_open=False) if coming else None


def _bell(sessions: Sequence[Document], at: int, *, is_open: bool) -> Bell:
    markets = tuple(str(s["market"]) for s in sessions)
    return Bell(markets, tuple(str(s["trading_session_id"]) for s in sessions), is_open, at)


def _drain(bell: Bell, overview: Document, plans: Mapping[str, Document]) -> Drain:
    backlog, routes = overview["backlog"], overview["routes"]
    lanes = {lane["broker_id"]: lane for lane in overview["lanes"]}
    waiting: dict[str, int] = {}
    for session_id, market in zip(bell.session_ids, bell.markets, strict=True):
        for route in routes:
            if route["route_id"] == market:
                broker = route["active_broker"]
                ready = backlog["ready"].get(market, 0) if bell.is_open else 0
                count = ready + backlog["reserved"].get(session_id, 0)
                waiting[broker] = waiting.get(broker, 0) + count
    counted = sum(
        int(plans[name]["conservation"]["accepted"]) for name in bell.session_ids if name in plans
    )
    left = sum(waiting.values())
    rates = {name: _rate(lanes.get(name), is_open=bell.is_open) for name in waiting}
    ends = [-(-count // rates[name].now) for name, count in waiting.items() if rates[name].now]
    stuck = any(count and not rates[name].now for name, count in waiting.items())
    return Drain(
        waiting=left,
        total=max(counted, left),
        rate=sum(rate.now for rate in rates.values()),
        is_real=all(rates[name].is_real for name, count in waiting.items() if count),
        # The open is through when its slowest broker is.
        eta_s=None if stuck else max(ends, default=0),
    )


class _Rate(NamedTuple):
    now: int
    is_real: bool


def _rate(lane: Document | None, *, is_open: bool) -> _Rate:
    """Return what leaves for a broker; or may leave, in a second in which nothing happens to."""
    if lane is None:
        return _Rate(0, is_real=False)
    sent = int(lane["sent_last_second"]) if is_open else 0
    able = lane["running"] and lane["circuit"] != "open"
    return _Rate(sent or (int(lane["tps_effective"]) if able else 0), is_real=sent > 0)


def _brokers(overview: Document) -> Iterator[Broker]:
    backlog = overview["backlog"]
    lanes = {lane["broker_id"]: lane for lane in overview["lanes"]}
    waiting: dict[str, int] = {}
    for route in overview["routes"]:
        name = route["active_broker"]
        waiting[name] = waiting.get(name, 0) + backlog["ready"].get(route["route_id"], 0)
    for control in sorted(overview["controls"], key=lambda one: str(one["broker_id"])):
        name = control["broker_id"]
        lane = lanes.get(name)
        grade, says = _state(control, lane)
        health = _health(lane or {})
        lane = lane or {}
        yield Broker(
            name=name,
            grade=grade,
            says=says,
            sent=lane.get("sent_last_second"),
            limit=lane.get("tps_effective"),
            configured=int(control["tps"]),
            in_flight=lane.get("in_flight"),
            circuit=lane.get("circuit"),
            waiting=waiting.get(name, 0),
            in_doubt=backlog["in_doubt"].get(name, 0),
            p95_ms=health.get("p95_ms"),
            error_ratio=health.get("error_ratio"),
        )


def _state(control: Document, lane: Document | None) -> tuple[Grade, str]:
    if lane is None:
        return Grade.OFF, "no lane in this process"
    grade, says = lane_state(lane)
    if control["dispatch"] != "running":
        return max(grade, Grade.WARNING), f"paused by {control['changed_by']}"
    return grade, says


def lane_state(lane: Document) -> tuple[Grade, str]:
    """Return how a lane does, in the console's words."""
    if not lane["running"]:
        return Grade.WARNING, f"not sending: {lane['why_not'] or 'stopped'}"
    if lane["circuit"] == "open":
        return Grade.CRITICAL, f"breaker open: {lane['circuit_reason'] or 'it failed too often'}"
    if lane["circuit"] != "closed":
        return Grade.WARNING, "breaker half open: it is being tried"
    health = _health(lane)
    if health.get("bad_since") is not None:
        return Grade.CRITICAL, "both witnesses call it bad"
    if not health.get("session_up", True):
        return Grade.CRITICAL, "its session is down"
    return Grade.OK, "sending" if lane["sent_last_second"] else "ready"


def _health(lane: Document) -> Document:
    """Return what is known of it; a gateway of before this command told it as a list."""
    health = lane.get("health")
    return health if isinstance(health, Mapping) else {}


def _banners(overview: Document, now: int) -> Iterator[News]:
    for halt in overview["halts"]:
        where = "everything" if halt["scope"] == "all" else f"{halt['scope']} {halt['target']}"
        says = f"HALT {where} by {halt['halted_by']}: {halt['reason']}"
        yield News(instant(halt["halted_at"]), Grade.CRITICAL, says)
    if overview["draining"]:
        yield News(now, Grade.CRITICAL, "the gateway is stopping: no new orders")
    elif overview["not_ready"]:
        yield News(now, Grade.CRITICAL, f"not ready: {'; '.join(overview['not_ready'])}")
    if overview.get("keyring"):
        yield News(now, Grade.WARNING, f"keys: {overview['keyring']}")


def _news(said: Documents) -> Iterator[News]:
    for anomaly in said.anomalies:
        subject, seen = anomaly["subject"], anomaly.get("acknowledged_by")
        says = f"{subject['kind']}/{subject['id']} {anomaly['rule']['id']}"
        says += " (drill)" if anomaly.get("drill") else ""
        if anomaly["state"] != "open":
            yield News(instant(anomaly["opened_at"]), Grade.OFF, f"{says}, over")
            continue
        grade = Grade.CRITICAL if anomaly["severity"] == "critical" else Grade.WARNING
        says += f", seen by {seen}" if seen else ""
        yield News(instant(anomaly["opened_at"]), grade, f"{anomaly['severity']} {says}")
    for failover in said.failovers:
        way = f"{failover['from_broker']} → {failover['to_broker'] or 'nobody'}"
        says = f"failover {failover['route_id']} {way}: {failover['state']}"
        yield News(instant(failover["at"]), Grade.WARNING, says)


def instant(text: str) -> int:
    """Return an instant in milliseconds."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)
