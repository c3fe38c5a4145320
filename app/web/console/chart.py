"""What the one large chart shows: the pace of the night against its limit, and who turned what.

    at      seconds since the first point of this message, so that a point weighs a few bytes
    sent    what left in that second, of all lanes; null where nobody noted anything
    limit   what might have left
    marks   rates turned, halts, failovers and anomalies in these minutes, in words

The browser draws it with uPlot (static/uplot.js, its licence beside it), because a picture of
nine hundred points that answers to the pointer and to the reader's zone is no few hundred bytes
of SVG. It is sent whole once, and then a second at a time. Every number of it stands in words
elsewhere on the screen.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from app.domain.anomaly import Severity
from app.domain.failover import Failover, FailoverState
from app.web.console.grades import WORDS, Grade
from app.web.console.paces import GAP_MS, KEPT, TICK_MS, Second
from app.web.console.sight import Book, Sight, Viewer
from app.web.console.timeline import tunings
from app.web.console.words import rule_words

AUDIT = "audit:read"


class Mark(NamedTuple):
    """Something that happened, and stands on the chart as a line with a word."""

    at: int
    shape: str
    says: str


class Chart(NamedTuple):
    """What was noted, and what happened meanwhile."""

    seconds: Sequence[Second]
    marks: tuple[Mark, ...]

    def whole(self) -> Mapping[str, object]:
        """Return all of it, for a reader who has seen nothing."""
        return self._points(0) | {"whole": True, "marks": self.marks}

    def since(self, before: "Chart") -> Mapping[str, object]:
        """Return what is newer than another chart."""
        after = before.seconds[-1].at if before.seconds else 0
        marks = {"marks": self.marks} if self.marks != before.marks else {}
        return self._points(after) | marks

    def _points(self, after: int) -> dict[str, object]:
        points = list(_with_gaps([one for one in self.seconds if one.at > after], after))
        begin = points[0][0] if points else 0
        return {
            "begin": begin,
            "at": [(at - begin) // 1_000 for at, _, _ in points],
            "sent": [sent for _, sent, _ in points],
            "limit": [limit for _, _, limit in points],
        }


def charted(sight: Sight, viewer: Viewer) -> Chart:
    """Return the chart as a viewer may see it."""
    marks: list[Mark] = []
    if sight.book is not None:
        since = sight.at - KEPT * TICK_MS
        marks = [one for one in _marks(sight.book, audited=viewer.may(AUDIT)) if one.at > since]
    return Chart(sight.paces, tuple(sorted(marks)))


def _with_gaps(
    seconds: Sequence[Second], after: int
) -> Iterator[tuple[int, int | None, int | None]]:
    before = after
    for one in seconds:
        if before and one.at - before > GAP_MS:
            yield before + TICK_MS, None, None
        yield one.at, one.all_sent, one.all_limit
        before = one.at


def _switched(failover: Failover, shape: str) -> tuple[int, str, str]:
    """Return when orders went another way; of one that only thought of it, how far it came."""
    where = f"{failover.from_broker} → {failover.to_broker or 'nobody'}"
    for step in failover.steps:
        if step.state is FailoverState.FENCING:
            return step.at, shape, where
    last = failover.steps[-1]
    return last.at, shape, f"{where}: {last.state.value}"


def _marks(book: Book, *, audited: bool) -> Iterator[Mark]:
    ok, warning, critical = (WORDS[g][1] for g in (Grade.OK, Grade.WARNING, Grade.CRITICAL))
    for halt in book.halts:
        yield Mark(halt.halted_at, critical, "HALT")
    for failover in book.failovers:
        yield Mark(*_switched(failover, critical))
    for anomaly in book.anomalies:  # one that wakes nobody stands in the timeline alone
        if anomaly.severity is Severity.CRITICAL:
            yield Mark(anomaly.opened_at, warning, f"{anomaly.subject.id}: {rule_words(anomaly)}")
    for row in tunings(book) if audited else ():
        before, after = row["before"], row["after"]
        if before["tps"] != after["tps"]:
            says = f"{after['broker_id']} {before['tps']:,} → {after['tps']:,}"
            yield Mark(int(row["at"]), ok, says)
