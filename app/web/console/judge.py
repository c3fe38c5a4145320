"""Says in one line whether the night is well, and what there is to look at.

Every finding has a shape, a word and, where somebody can do something, what to do: colour is
never the only sign. The worst finding is the verdict. What stands here is what the server
knows; an unknown is a warning, because silence is no good news.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from app.domain.anomaly import Anomaly, AnomalyState, Severity, Subject
from app.domain.records import LaneStatus
from app.domain.values import rfc3339
from app.web.console.grades import Finding, Grade
from app.web.console.inside import inside
from app.web.console.second import paused
from app.web.console.sight import Book, Sight
from app.web.console.words import rule_helps, rule_words

# The ledger is read each second, and each few while it is slow; beyond this, what stands on the
# screen is history.
LEDGER_LATE_MS: Final = 7_000
LEDGER_AWAY_MS: Final = 10_000
# A doubt younger than this is asked about by itself; an older one waits for a person.
DOUBT_OLD_MS: Final = 60_000
OUTBOX_LONG: Final = 50_000
# In the lane's own words: why it takes nothing now, although all is well.
NOTHING_TO_DO: Final = frozenset({"no session is open"})
BREAKER_OPENED: Final = "breaker.opened"
UNREACHABLE: Final = "broker.unreachable"
GRAVER: Final = {"broker.in_doubt": "broker.in_doubt_age"}
BETWEEN_SENDS: Final = frozenset({"at its rate", "too many unanswered"})
VIEW_BEHIND_LONG: Final = 50_000


class Verdict(NamedTuple):
    """All findings, the worst first, and what they come to."""

    grade: Grade
    says: str
    findings: tuple[Finding, ...]


def judged(sight: Sight) -> Verdict:
    """Return the verdict on one look."""
    found: list[Finding] = []
    if sight.book is not None:
        found += [*_book(sight, sight.book), *_overrides(sight, sight.book)]
    troubles = _troubles(sight.book) if sight.book is not None else {}
    found += [*_house(sight), *_stores(sight), *_calendar(sight)]
    found += [*_lanes(sight, troubles), *_others(sight, troubles)]
    if sight.book is not None:
        found += _pipelines(sight, sight.book)
    found += inside(sight)
    found.sort(key=lambda finding: -finding.grade)
    critical = sum(1 for f in found if f.grade is Grade.CRITICAL)
    warnings = sum(1 for f in found if f.grade is Grade.WARNING)
    if critical:
        return Verdict(Grade.CRITICAL, _things(critical, "needs you", "need you"), tuple(found))
    if warnings:
        return Verdict(Grade.WARNING, _things(warnings, "to look at", "to look at"), tuple(found))
    return Verdict(Grade.OK, "All is well", tuple(found))


def _things(count: int, one: str, more: str) -> str:
    return f"1 thing {one}" if count == 1 else f"{count} things {more}"


def _house(sight: Sight) -> Iterator[Finding]:
    if sight.draining:
        yield Finding(Grade.CRITICAL, "Gateway", "is stopping: no new orders", "another replica?")
    elif sight.not_ready:
        yield Finding(Grade.CRITICAL, "Gateway", "; ".join(sight.not_ready), "see /readyz")
    else:
        yield Finding(Grade.OK, "Gateway", "takes orders durably")
    if sight.keyring_trouble is not None:
        yield Finding(
            Grade.WARNING, "Keys", sight.keyring_trouble, "mend the key file; see the issuer"
        )


def _stores(sight: Sight) -> Iterator[Finding]:
    book = sight.book
    if book is None:
        yield Finding(Grade.CRITICAL, "Ledger", "not read yet", "see /readyz")
    elif sight.trouble is not None:
        # One reading that came too late, on a busy machine, is no ledger that is away.
        away = sight.at - book.at > LEDGER_AWAY_MS
        says = f"cannot be read for {(sight.at - book.at) // 1000} s: {sight.trouble}"
        yield Finding(Grade.CRITICAL if away else Grade.WARNING, "Ledger", says, "see /readyz")
    elif sight.at - book.at > LEDGER_LATE_MS:
        late = (sight.at - book.at) // 1000
        yield Finding(Grade.WARNING, "Ledger", f"was last read {late} s ago", "is it busy?")
    else:
        yield Finding(Grade.OK, "Ledger", "answers")
    days = sight.days
    if days is not None and (days.trouble is not None or not days.ahead):
        says = days.trouble or "no trade date ahead has its tables"
        yield Finding(Grade.WARNING, "Partitions", says, "openbell partitions")
    elif days is not None:
        yield Finding(Grade.OK, "Partitions", f"{days.ahead} trade dates ahead")


def _calendar(sight: Sight) -> Iterator[Finding]:
    if sight.session is None:
        yield Finding(Grade.CRITICAL, "Calendar", "knows no session", "openbell calendar build")
    else:
        ends = ", ".join(f"{m} until {day}" for m, day in sight.calendar_ends.items())
        yield Finding(Grade.OK, "Calendar", ends)


def _lanes(sight: Sight, troubles: Mapping[Subject, list[Anomaly]]) -> Iterator[Finding]:
    """Say of each broker in one line what its lane shows and what the rules found of it."""
    if not sight.lanes:
        yield Finding(Grade.WARNING, "Lanes", "none runs in this process", "see the dispatcher")
    for lane in sight.lanes:
        found = troubles.get(Subject("broker", lane.broker_id), [])
        grade, says = lane_state(lane)
        worst = max([grade, *(_grade(one) for one in found)])
        told = [says] if grade or not found else []
        told += [rule_words(one) for one in found if not _is_said(one, found, grade, says)]
        name = f"Broker {lane.broker_id}"
        yield Finding(worst, name, ", ".join(told), _helps(sight, lane.broker_id, worst))


def _is_said(one: Anomaly, found: Sequence[Anomaly], grade: Grade, says: str) -> bool:
    """Say whether the lane itself, or a graver rule, says the same thing better."""
    if one.rule_id == BREAKER_OPENED:
        return bool(grade)
    if one.rule_id == UNREACHABLE:
        return "ping" in says
    return any(other.rule_id == GRAVER.get(one.rule_id) for other in found)


def _helps(sight: Sight, broker_id: str, grade: Grade) -> str:
    if grade is not Grade.CRITICAL:
        return "look at its card" if grade is Grade.WARNING else ""
    routes = sight.book.routes if sight.book else ()
    if routes and not any(route.active_broker == broker_id for route in routes):
        return "no route leads to it any more: settle its doubts"
    return "fail over, or wait for its next trial"


def _others(sight: Sight, troubles: Mapping[Subject, list[Anomaly]]) -> Iterator[Finding]:
    """Say what the rules found of whatever has no lane here."""
    lanes = {Subject("broker", lane.broker_id) for lane in sight.lanes}
    for subject, found in troubles.items():
        if subject not in lanes:
            grade = max(_grade(one) for one in found)
            helps = next((fix for one in found if (fix := rule_helps(one))), "see the timeline")
            says = ", ".join(rule_words(one) for one in found)
            yield Finding(grade, f"{subject.kind} {subject.id}".capitalize(), says, helps)


def _grade(anomaly: Anomaly) -> Grade:
    return Grade.CRITICAL if anomaly.severity is Severity.CRITICAL else Grade.WARNING


def _troubles(book: Book) -> dict[Subject, list[Anomaly]]:
    """Return what goes on, by whom it is about: one sick broker is one thing to look at."""
    found: dict[Subject, list[Anomaly]] = {}
    for anomaly in book.anomalies:
        if anomaly.state is AnomalyState.OPEN:
            found.setdefault(anomaly.subject, []).append(anomaly)
    return found


def lane_state(lane: LaneStatus) -> tuple[Grade, str]:
    """Return how a lane does, in a word or two."""
    if lane.circuit == "open":
        return Grade.CRITICAL, f"breaker open: {lane.circuit_reason or 'it failed too often'}"
    if lane.circuit != "closed":
        return Grade.WARNING, "breaker half open: it is being tried"
    health = lane.health
    if health is not None and health.bad_since is not None:
        return Grade.CRITICAL, f"both witnesses call it bad since {rfc3339(health.bad_since)}"
    if health is not None and not health.session_up:
        return Grade.CRITICAL, "its session is down"
    if not lane.running and not _rests(lane):
        return Grade.WARNING, f"not sending: {lane.why_not or 'stopped'}"
    if lane.sent_last_second:
        return Grade.OK, "sending"
    return Grade.OK, lane.why_not if lane.why_not in NOTHING_TO_DO else "ready"


def _rests(lane: LaneStatus) -> bool:
    """Say whether a lane that takes nothing at this instant does as it should.

    A lane at full speed waits for its next permit most of the time, and before the bell no
    session is open: a screen that warns of either is one that nobody reads.
    """
    busy = lane.sent_last_second > 0
    return lane.why_not in NOTHING_TO_DO or (busy and lane.why_not in BETWEEN_SENDS)


def _book(sight: Sight, book: Book) -> Iterator[Finding]:
    for halt in book.halts:
        where = "everything" if halt.scope == "all" else f"{halt.scope} {halt.target}"
        says = f"{where}, by {halt.halted_by}: {halt.reason}"
        yield Finding(Grade.CRITICAL, "HALT", says, "resume takes another person")
    if book.doubts:
        oldest = (sight.at - min(d.since for d in book.doubts)) // 1000
        grade = Grade.CRITICAL if oldest * 1000 >= DOUBT_OLD_MS else Grade.WARNING
        many = "1 order" if len(book.doubts) == 1 else f"{len(book.doubts):,} orders"
        says = f"{many}, the oldest for {oldest:,} s"
        yield Finding(grade, "In doubt", says, "probe, then settle by evidence")
    else:
        yield Finding(Grade.OK, "In doubt", "none")
    for failover in book.failovers:
        where = f"{failover.route_id}: {failover.from_broker} → {failover.to_broker or 'nobody'}"
        if not failover.has_ended:
            yield Finding(Grade.CRITICAL, "Failover", f"{where}, {failover.state.value}")
        elif failover.acknowledged_by is None:
            moved = f"{failover.moved:,} moved, {failover.pinned:,} stay in doubt"
            says = f"{where}, {failover.state.value}: {moved}"
            fix = "press Seen in the timeline: the next one waits for that"
            yield Finding(Grade.WARNING, "Failover", says, fix)


def _overrides(sight: Sight, book: Book) -> Iterator[Finding]:
    for pause in paused(sight, book):
        name, by = pause.trading_session_id, pause.changed_by
        says = f"release of {name} paused by {by}: {pause.reason}"
        yield Finding(Grade.WARNING, "Override", says, _ends(sight, pause.expires_at))
    for control in book.controls.values():
        if control.dispatch != "running" or control.breaker != "auto":
            what = "paused" if control.dispatch != "running" else f"breaker {control.breaker}"
            says = f"{control.broker_id} {what} by {control.changed_by}: {control.reason}"
            yield Finding(Grade.WARNING, "Override", says, _ends(sight, control.expires_at))
        elif control.expires_at is not None:
            says = f"{control.broker_id} at {control.tps:,} a second by {control.changed_by}"
            yield Finding(Grade.WARNING, "Override", says, _ends(sight, control.expires_at))


def _ends(sight: Sight, expires_at: int | None) -> str:
    if expires_at is None:
        return "stands until somebody changes it"
    minutes, seconds = divmod(max(0, expires_at - sight.at) // 1000, 60)
    return f"ends by itself in {minutes} min {seconds} s"


def _pipelines(sight: Sight, book: Book) -> Iterator[Finding]:
    long = book.backlog.outbox > OUTBOX_LONG
    says = f"{book.backlog.outbox:,} events wait"
    yield Finding(Grade.WARNING if long else Grade.OK, "Outbox", says)
    if sight.view_behind is None:
        yield Finding(Grade.WARNING, "Account view", "unknown: the bus does not answer")
    else:
        behind = sight.view_behind > VIEW_BEHIND_LONG
        says = f"{sight.view_behind:,} events behind"
        yield Finding(Grade.WARNING if behind else Grade.OK, "Account view", says)
    if sight.alarms is not None and sight.alarms.dead:
        yield Finding(
            Grade.WARNING, "Alarms", f"{sight.alarms.dead} reached nobody", "openbell slack test"
        )
