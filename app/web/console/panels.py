"""The panels: each one piece of HTML from one sight, drawn alike for the page and the stream."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from app.domain.anomaly import Anomaly, AnomalyState, Severity
from app.domain.failover import Failover
from app.domain.records import Doubt
from app.domain.signs import Probe
from app.domain.values import Status
from app.web.console.acts import (
    HALT,
    MOVE,
    RESUME,
    SETTLE,
    TUNE,
    button,
    doubt_acts,
    halt_act,
    rate_act,
    resume_act,
    seen_act,
)
from app.web.console.auditing import AUDIT, may_audit
from app.web.console.cards import brokers
from app.web.console.drain import drain_panel, session_panel
from app.web.console.grades import Finding, Grade
from app.web.console.judge import Verdict, judged
from app.web.console.markup import Safe, join, tag
from app.web.console.second import waiting
from app.web.console.shapes import clock, mark, moment, order_link, span
from app.web.console.sight import AuditRow, Book, Sight, Viewer
from app.web.console.timeline import timeline, tunings
from app.web.console.words import measured, rule_words

DOUBTS_SHOWN: Final = 50
NAMED: Final = 4  # of what is wrong, beside the verdict


def panels(sight: Sight, viewer: Viewer) -> dict[str, str]:
    """Return every panel's HTML by its id, as plain text that any encoder takes."""
    sight = sight.as_seen_by(viewer)
    verdict, book = judged(sight), sight.book
    drawn = {
        "verdict": _verdict(verdict),
        "banner": _banner(sight, verdict, viewer),
        "session": session_panel(sight, book, viewer),
        "pipelines": _pipelines(sight, verdict),
    }
    for name, draw in BOOKED.items():
        unread = tag("p", "The ledger has not been read yet.")
        drawn[name] = unread if book is None else draw(sight, book, viewer)
    return {name: str(html) for name, html in drawn.items()}


def _verdict(verdict: Verdict) -> Safe:
    return join(
        mark(verdict.grade, verdict.says),
        tag("a", _about(verdict), class_="first", href="#pipelines"),
    )


def _about(verdict: Verdict) -> str:
    """Name what is not well, the worst first; the banner below says the rest."""
    found = Counter(one.name for one in verdict.findings if one.grade >= Grade.WARNING)
    if not found:
        return f"{len(verdict.findings)} checks"
    names = [name if many == 1 else f"{name} ({many})" for name, many in found.items()]
    more = len(names) - NAMED
    return " · ".join(names[:NAMED]) + (f" · {more} more" if more > 0 else "")


def _banner(sight: Sight, verdict: Verdict, viewer: Viewer) -> Safe:
    """Say what is wrong, never hiding itself; a halt carries its way out."""
    bad = [f for f in verdict.findings if f.grade >= Grade.WARNING and f.name != "HALT"]
    halts = [
        tag(
            "li",
            mark(Grade.CRITICAL, "HALT"),
            f" {'everything' if halt.scope == 'all' else f'{halt.scope} {halt.target}'}"
            f" by {halt.halted_by} since ",
            moment(halt.halted_at),
            f": {halt.reason} ",
            button(resume_act(halt), viewer, RESUME),
            class_="critical",
        )
        for halt in (sight.book.halts if sight.book else ())
    ]
    asked = waiting(sight.book, viewer) if sight.book else ()
    lines = [*halts, *asked, *(_line(finding) for finding in bad)]
    return tag("ul", lines) if lines else Safe("")


def _line(finding: Finding) -> Safe:
    fix = tag("span", f" → {finding.fix}", class_="fix") if finding.fix else None
    says = f" {finding.name}: {finding.says}"
    return tag("li", mark(finding.grade), says, fix, class_=finding.grade.name.lower())


def _doubts(sight: Sight, book: Book, viewer: Viewer) -> Safe:
    mine = [doubt for doubt in book.doubts if viewer.sees(doubt.account_id)]
    if not mine:
        return tag("p", mark(Grade.OK, "No order is in doubt."))
    asked = {probe.broker_order_key: probe for lane in sight.lanes for probe in lane.probes}
    rows = [
        _doubt(doubt, asked.get(doubt.broker_order_key), sight, viewer)
        for doubt in mine[:DOUBTS_SHOWN]
    ]
    oldest = span((sight.at - mine[0].since) // 1000)
    summary = f" {len(mine):,} {Status.IN_DOUBT.value.replace('_', ' ')}, the oldest for {oldest}"
    shape = tag("span", "◆", class_="shape", aria_hidden="true")
    more = len(mine) - DOUBTS_SHOWN
    return join(
        tag("p", tag("span", shape, summary, class_="mark doubt")),
        _table(("Order", "Account", "Symbol", "Broker", "Age", ""), rows),
        tag("p", f"and {more:,} more: openbell doubt list", class_="small") if more > 0 else None,
    )


def _doubt(doubt: Doubt, probe: Probe | None, sight: Sight, viewer: Viewer) -> Safe:
    """Write a doubt and, below it, when it was last asked about and what that proved."""
    acts = [button(act, viewer, SETTLE) for act in doubt_acts(doubt)]
    row = tag(
        "tr",
        tag("td", order_link(doubt.order_id)),
        tag("td", doubt.account_id),
        tag("td", doubt.symbol),
        tag("td", doubt.broker_id),
        tag("td", span((sight.at - doubt.since) // 1000), class_="number"),
        tag("td", acts, class_="acts"),
    )
    if probe is None:  # a lane tells of its oldest ones alone
        return row
    heard = tag("td", "Last probe ", moment(probe.at), f": {probe.heard}", colspan=6)
    return join(row, tag("tr", heard, class_="heard"))


def _timeline(sight: Sight, book: Book, viewer: Viewer) -> Safe:  # noqa: ARG001 - panels are alike
    audited, log = may_audit(viewer), None
    if audited:
        log = tag("p", tag("a", "Audit log (g a)", href="/console/audit"), class_="small")
    marks = [*_open_anomalies(book, viewer), *_open_failovers(book, viewer)]
    return join(
        tag("div", marks, class_="marks") if marks else None,
        log,
        timeline(book, audited=audited),
    )


def _open_anomalies(book: Book, viewer: Viewer) -> Iterator[Safe]:
    for anomaly in book.anomalies:
        if anomaly.state is AnomalyState.OPEN:
            yield tag("p", tag("span", _anomaly(anomaly)), _seen(anomaly, viewer))


def _anomaly(anomaly: Anomaly) -> Safe:
    grade = Grade.CRITICAL if anomaly.severity is Severity.CRITICAL else Grade.WARNING
    much = measured(anomaly)
    return join(
        mark(grade, anomaly.severity.value),
        f" {anomaly.subject.id}: {rule_words(anomaly)}",
        f", {much}" if much else None,
        ", since ",
        moment(anomaly.opened_at),
    )


def _seen(anomaly: Anomaly, viewer: Viewer) -> Safe | None:
    if anomaly.acknowledged_by is not None:
        return tag("span", f"seen by {anomaly.acknowledged_by}", class_="small")
    path = f"/admin/v1/anomalies/{quote(anomaly.anomaly_id, safe='')}/ack"
    title = f"Seen: {anomaly.rule_id} of {anomaly.subject}"
    act = seen_act("anomaly", path, title, anomaly.version)
    return button(act, viewer, TUNE)


def _open_failovers(book: Book, viewer: Viewer) -> Iterator[Safe]:
    """Yield failovers that nobody has read: the next one waits for that."""
    for failover in book.failovers:
        if failover.has_ended and failover.acknowledged_by is None:
            yield tag("p", tag("span", _failover(failover)), _read(failover, viewer))


def _failover(failover: Failover) -> Safe:
    where = f"{failover.from_broker} → {failover.to_broker or 'nobody'}"
    moved = f"{failover.moved:,} moved, {failover.pinned:,} stay in doubt"
    says = f" {failover.route_id} {where}: {failover.state.value}, {moved}"
    return join(mark(Grade.WARNING, "failover"), says)


def _read(failover: Failover, viewer: Viewer) -> Safe | None:
    path = f"/admin/v1/failovers/{quote(failover.failover_id, safe='')}/ack"
    act = seen_act("failover", path, f"Seen: {failover.route_id}", failover.version)
    return button(act, viewer, MOVE)


def _pipelines(sight: Sight, verdict: Verdict) -> Safe:
    """Write every check: the preflight, and what carries events away."""
    rows = [
        tag(
            "tr",
            tag("td", mark(finding.grade)),
            tag("th", finding.name, scope="row"),
            tag("td", finding.says),
            tag("td", finding.fix, class_="fix"),
        )
        for finding in verdict.findings
    ]
    good = sum(1 for finding in verdict.findings if finding.grade is Grade.OK)
    read = sight.book.at if sight.book else None
    return join(
        tag("p", f"{good} of {len(rows)} checks are well", class_="small"),
        _table(("", "Check", "Found", "What helps"), rows),
        tag("p", "ledger read ", moment(read), class_="small") if read is not None else None,
    )


def _tuning(sight: Sight, book: Book, viewer: Viewer) -> Safe:
    if not viewer.may(AUDIT):
        return tag("p", "Your key may not read the audit log.")
    rows = [_tuned(row, _back(row, sight, book, viewer)) for row in tunings(book)]
    if not rows:
        return tag("p", "Nobody has turned anything of late.")
    return _table(("When", "Broker", "From", "To", "Who", "Why", ""), rows)


def _back(row: AuditRow, sight: Sight, book: Book, viewer: Viewer) -> Safe | None:
    """Return the way back to the rate before a change, if it is not the one that stands."""
    control, tps = book.controls.get(row["after"]["broker_id"]), row["before"]["tps"]
    if control is None or tps == control.tps:
        return None
    contract = sight.contracts.get(control.broker_id, control.tps)
    return button(rate_act(control, contract, tps, f"Back to {tps:,}…"), viewer, TUNE)


def _tuned(row: AuditRow, back: Safe | None) -> Safe:
    before, after = row["before"], row["after"]
    return tag(
        "tr",
        tag("td", moment(row["at"])),
        tag("td", after["broker_id"]),
        tag("td", _setting(before)),
        tag("td", _setting(after)),
        tag("td", row["actor"]),
        tag("td", row["reason"]),
        tag("td", back),
    )


def _setting(control: Mapping[str, Any]) -> str:
    more = [control["dispatch"]] if control["dispatch"] != "running" else []
    more += [f"breaker {control['breaker']}"] if control["breaker"] != "auto" else []
    until = control.get("expires_at")
    more += [f"until {clock(until)} KST"] if isinstance(until, int) else []
    return " · ".join([f"{control['tps']:,}", *more])


def _halt(sight: Sight, book: Book, viewer: Viewer) -> Safe:  # noqa: ARG001
    return join(button(halt_act(), viewer, HALT, class_="danger"))


def _table(columns: tuple[str, ...], rows: list[Safe]) -> Safe:
    head = tag("thead", tag("tr", [tag("th", column, scope="col") for column in columns]))
    return tag("div", tag("table", head, tag("tbody", rows)), class_="wide")


BOOKED: Final[Mapping[str, Callable[[Sight, Book, Viewer], Safe]]] = {
    "drain": lambda sight, book, _: drain_panel(sight, book),
    "brokers": brokers,
    "doubts": _doubts,
    "timeline": _timeline,
    "tuning": _tuning,
    "halt": _halt,
}
