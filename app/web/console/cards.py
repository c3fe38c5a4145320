"""One card for each broker: how it does, how fast it may go, and what can be turned."""

from collections.abc import Iterator
from typing import Final

from app.domain.broker_session import SessionStatus
from app.domain.records import BrokerControl, LaneStatus
from app.domain.signs import Heard
from app.domain.values import Status
from app.web.console.acts import (
    MOVE,
    TUNE,
    breaker_act,
    button,
    dispatch_act,
    failover_act,
    rate_acts,
)
from app.web.console.grades import Grade
from app.web.console.judge import lane_state
from app.web.console.markup import Piece, Safe, join, tag
from app.web.console.shapes import lasting, mark, moment, span, sparkline
from app.web.console.sight import Book, Sight, Viewer

KEYS: Final = 9  # `1` to `9` choose a card
NONE: Final = "\N{EN DASH}"
SESSION_WELL: Final = frozenset({"logged_on", "closed"})  # closed: these are not its hours
BREAKER_WORDS: Final = {
    "closed": (Grade.OK, "closed"),
    "half_open": (Grade.WARNING, "half open"),
    "open": (Grade.CRITICAL, "OPEN"),
}


def brokers(sight: Sight, book: Book, viewer: Viewer) -> Safe:
    """Write all cards, in the order of their names."""
    cards = [
        _card(sight, book, control, viewer, number)
        for number, (_, control) in enumerate(sorted(book.controls.items()), 1)
    ]
    routes = [_route(book, route.route_id, viewer) for route in book.routes]
    course = tag("article", tag("h3", "Routes"), routes, class_="card routes") if routes else None
    none = tag("p", "No broker is known here.")
    return tag("div", cards or none, course, class_="cards")


def _card(sight: Sight, book: Book, control: BrokerControl, viewer: Viewer, number: int) -> Safe:
    name = control.broker_id
    lane = sight.lane(name)
    grade, says = (Grade.OFF, "no lane in this process") if lane is None else lane_state(lane)
    if control.dispatch != "running":
        grade, says = max(grade, Grade.WARNING), f"paused by {control.changed_by}"
    contract = sight.contracts.get(name, lane.tps_contract if lane else control.tps)
    return tag(
        "article",
        tag(
            "header",
            tag("kbd", number) if number <= KEYS else None,
            tag("h3", name),
            mark(grade),
            tag("span", says, class_="says"),
        ),
        _rate(sight, control, lane, contract),
        tag("dl", list(_figures(book, control, lane))),
        _turned(control),
        tag("div", list(_buttons(control, contract, viewer)), class_="acts"),
        class_=f"card {grade.name.lower()}",
        id=f"broker-{number}",
        tabindex="-1",
        data_broker=name,
    )


def _rate(sight: Sight, control: BrokerControl, lane: LaneStatus | None, contract: int) -> Safe:
    sent = lane.sent_last_second if lane else 0
    acting = lane.tps_effective if lane else 0
    label = f"{control.broker_id}: {sent:,} sent in the last second, limit {acting:,}"
    set_to = f"set {control.tps:,}"
    if lane is not None and lane.tps_source != "operator" and acting != control.tps:
        set_to += f", held at {acting:,} by {lane.tps_source}"
    return tag(
        "div",
        tag(
            "p",
            tag("strong", f"{sent:,}", class_="big"),
            tag("span", f" / {acting:,} a second", class_="limit"),
        ),
        tag("p", f"{set_to}, contract {contract:,}", class_="small"),
        sparkline(sight.paces, control.broker_id, label),
        class_="rate",
    )


def _figures(book: Book, control: BrokerControl, lane: LaneStatus | None) -> Iterator[Safe]:
    yield _figure("Breaker", _breaker(control, lane), long=True)
    yield _figure("In doubt", _in_doubt(book.backlog.in_doubt.get(control.broker_id, 0)))
    yield from _answers(lane)
    yield _figure("In flight", f"{lane.in_flight:,}" if lane else NONE)
    yield _figure("Sent", f"{lane.sent_total:,}" if lane else NONE)
    if lane is not None:
        for name, ms in (
            ("Bell to send p50", lane.open_to_send_p50_ms),
            ("Bell to send p99", lane.open_to_send_p99_ms),
        ):
            yield _figure(name, NONE if ms is None else lasting(ms))
    if lane is not None and lane.tps_advised is not None:
        yield _figure("Advised", f"{lane.tps_advised:,}")
    if lane is not None:
        for answer, count in sorted(lane.answers.items()):
            if count and answer != "accepted":
                yield _figure(answer.replace("_", " ").capitalize(), f"{count:,}")
        yield from _refusals(lane.heard)
        if lane.session is not None:
            yield from _session(lane.session)


def _answers(lane: LaneStatus | None) -> Iterator[Safe]:
    """Write how a broker answers; of no answers none has failed, and that says nothing."""
    health, heard = (lane.health, lane.heard) if lane else (None, None)
    known = health if health is not None and health.sent else None
    yield _figure("Errors", NONE if known is None else f"{known.error_ratio * 100:.1f} %")
    p95_ms = known.p95_ms if known else None
    p99_ms = heard.p99_ms if known and heard else None
    tails = " / ".join(NONE if ms is None else f"{ms:,.0f}" for ms in (p95_ms, p99_ms))
    yield _figure("p95 / p99", NONE if p95_ms is None else f"{tails} ms")


def _refusals(heard: Heard | None) -> Iterator[Safe]:
    """Write why orders were rejected, in the broker's own words, the most frequent first."""
    said = [f"{code} {count:,}" for code, count in (heard.refusals if heard else ())]
    if said:
        yield _figure("Rejected for", " · ".join(said), long=True)


def _in_doubt(doubts: int) -> Safe:
    if not doubts:
        return mark(Grade.OK, "0")
    shape = tag("span", "◆", class_="shape", aria_hidden="true")
    return tag("span", shape, f" {doubts:,}", class_="mark doubt")


def _session(session: SessionStatus) -> Iterator[Safe]:
    """Write how a session stands, for a broker that lives on one."""
    state = session.state.replace("_", " ")
    well = session.state in SESSION_WELL
    yield _figure("Session", mark(Grade.OK if well else Grade.CRITICAL, state))
    yield _figure("Next out / in", f"{session.next_out:,} / {session.next_in:,}")
    if session.last_in_at is not None:
        yield _figure("Heard", moment(session.last_in_at))


def _figure(name: str, value: Piece, *, long: bool = False) -> Safe:
    return tag("div", tag("dt", name), tag("dd", value), class_="long" if long else None)


def _breaker(control: BrokerControl, lane: LaneStatus | None) -> Safe:
    if lane is None:
        return mark(Grade.OFF, "unknown")
    grade, word = BREAKER_WORDS.get(lane.circuit, (Grade.WARNING, lane.circuit))
    if control.breaker != "auto":
        grade, word = max(grade, Grade.WARNING), f"{word} ({control.breaker})"
    trial = None
    if lane.next_trial_s is not None:
        trial = f", next trial in {span(round(lane.next_trial_s))}"
    return join(mark(grade, word), trial)


def _turned(control: BrokerControl) -> Safe:
    """Say who turned this last, and what ends by itself."""
    until = None
    if control.expires_at is not None:
        until = [" · ends ", moment(control.expires_at)]
    return tag(
        "p",
        f"{control.changed_by}: {control.reason} · ",
        moment(control.changed_at),
        f" · v{control.version}",
        until,
        class_="small turned",
    )


def _buttons(control: BrokerControl, contract: int, viewer: Viewer) -> Iterator[Safe | None]:
    for act in (*rate_acts(control, contract), dispatch_act(control), breaker_act(control)):
        yield button(act, viewer, TUNE)


def _route(book: Book, route_id: str, viewer: Viewer) -> Safe:
    route = next(route for route in book.routes if route.route_id == route_id)
    policy = book.policies.get(route_id)
    automation = "unknown" if policy is None else policy.automation.value
    ready = book.backlog.ready.get(route_id, 0)
    act = failover_act(route, tuple(sorted(book.controls)))
    return tag(
        "div",
        tag("p", tag("strong", route_id), " → ", tag("strong", route.active_broker)),
        tag(
            "p",
            f"{ready:,} {Status.QUEUED} · epoch {route.epoch}",
            tag("br"),
            f"automation: {automation}",
            class_="small",
        ),
        button(act, viewer, MOVE) if len(book.controls) > 1 else None,
        class_="route",
    )
