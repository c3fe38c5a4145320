"""What happened, by itself and by hand, the newest first: one story from three records.

Anomalies, failovers and the audit log tell of the same night in three places. The trap is to
tell a thing twice: a change that the gateway made stands in the audit log too, and is marked as
automatic there by who made it.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from app.domain.anomaly import AnomalyState, Severity
from app.web.console.grades import Grade
from app.web.console.markup import Safe, tag
from app.web.console.shapes import mark, moment
from app.web.console.sight import AuditRow, Book
from app.web.console.words import deed, rule_words

SHOWN: Final = 60
TUNINGS_SHOWN: Final = 20
# Under these names the gateway acts by itself.
ITSELF: Final = frozenset({"openbell", "system", "schedule", "settings"})
SWITCHED: Final = "route.failover"
SETTING_WORDS: Final = {"tps": "rate", "dispatch": "sending"}


class Moment(NamedTuple):
    """One line of the story."""

    at: int
    kind: str  # automatic, human
    grade: Grade
    who: str
    says: str


def timeline(book: Book, *, audited: bool) -> Safe:
    """Write the story; without the right to read the audit log, what people did is left out."""
    found = [*_anomalies(book), *_failovers(book), *(_audit(book) if audited else ())]
    found.sort(key=lambda one: one.at)
    found.reverse()  # so that of one millisecond, too, the last stands first
    if not found:
        return tag("p", "Nothing has happened.")
    return tag("ol", [_line(one) for one in found[:SHOWN]], class_="story")


def _line(one: Moment) -> Safe:
    return tag(
        "li",
        moment(one.at),
        " ",
        tag("span", "AUTO" if one.kind == "automatic" else one.who, class_="who"),
        " ",
        mark(one.grade, "") if one.grade >= Grade.WARNING else None,
        tag("span", one.says),
        class_=one.kind + (" bad" if one.grade is Grade.CRITICAL else ""),
    )


def _anomalies(book: Book) -> Iterator[Moment]:
    for anomaly in book.anomalies:
        bad = Grade.CRITICAL if anomaly.severity is Severity.CRITICAL else Grade.WARNING
        what = f"{anomaly.subject.id}: {rule_words(anomaly)} ({anomaly.rule_id})"
        says = f"{anomaly.severity.value}, {what}"
        yield Moment(anomaly.opened_at, "automatic", bad, "openbell", says)
        if anomaly.state is AnomalyState.RESOLVED and anomaly.resolved_at is not None:
            yield Moment(anomaly.resolved_at, "automatic", Grade.OK, "openbell", f"over, {what}")


def _failovers(book: Book) -> Iterator[Moment]:
    for failover in book.failovers:
        where = f"{failover.from_broker} → {failover.to_broker or 'nobody'}"
        kind = "automatic" if failover.by in ITSELF else "human"
        for step in failover.steps:
            why = f" ({failover.reason})" if step is failover.steps[0] else ""
            says = f"failover {failover.route_id} {where}: {step.state.value}{why}"
            yield Moment(step.at, kind, Grade.WARNING, failover.by, says)


def _audit(book: Book) -> Iterator[Moment]:
    told = {failover.route_id for failover in book.failovers}
    for row in book.audit:
        if row["action"] == SWITCHED and str(row["resource"]).removeprefix("route/") in told:
            continue  # its steps stand here
        actor = str(row["actor"])
        kind = "automatic" if actor in ITSELF else "human"
        action = str(row["action"])
        denied = action.startswith("denied.")
        says = f"{deed(action, str(row['resource']))}{changed(row)}: {row['reason']}"
        yield Moment(int(row["at"]), kind, Grade.WARNING if denied else Grade.OK, actor, says)


def changed(row: AuditRow) -> str:
    """Return what of a broker's settings a row has moved; nothing of other rows."""
    before, after = row["before"], row["after"]
    if not isinstance(before, dict) or not isinstance(after, dict):
        return ""
    told = [
        f"{SETTING_WORDS.get(name, name)} {before[name]} → {after[name]}"
        for name in ("tps", "dispatch", "breaker")
        if name in before and name in after and before[name] != after[name]
    ]
    return f" ({', '.join(told)})" if told else ""


def tunings(book: Book) -> list[AuditRow]:
    """Return the changes to brokers' settings, the latest first."""
    found = [row for row in reversed(book.audit) if _is_tuning(row)]
    return found[:TUNINGS_SHOWN]


def _is_tuning(row: AuditRow) -> bool:
    before, after = row["before"], row["after"]
    return _is_control(before) and _is_control(after)


def _is_control(document: Any) -> bool:
    wanted = {"broker_id", "tps", "dispatch", "breaker"}
    return isinstance(document, dict) and wanted <= document.keys()
