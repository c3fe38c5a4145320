"""How far an open has come, when it will be through, and how long it is to the bell.

What waits is counted by the ledger at each reading; what there was in all, seldom. The ETA
divides what waits by what left in the last second, and by what may leave while nothing does.
"""

from typing import NamedTuple

from app.domain.session import TradingSession
from app.domain.values import Status
from app.web.console.markup import Safe, join, tag
from app.web.console.shapes import bar, moment, span
from app.web.console.sight import Book, Sight


class Drain(NamedTuple):
    """What waits for one session's bell, or leaves after it."""

    waiting: int
    total: int
    rate: int  # messages a second
    is_open: bool
    is_real: bool  # it is what left, not what may

    @property
    def gone(self) -> int:
        return self.total - self.waiting

    @property
    def eta_s(self) -> int | None:
        if not self.waiting:
            return 0
        return -(-self.waiting // self.rate) if self.rate else None


def drained(sight: Sight, book: Book) -> Drain | None:
    """Return how far the session has come; None without one."""
    session = sight.session
    if session is None:
        return None
    is_open = session.opens_at <= sight.at
    reserved = book.backlog.reserved.get(session.trading_session_id, 0)
    ready = book.backlog.ready.get(session.market, 0) if is_open else 0
    counts = book.counts
    counted = 0
    if counts is not None and counts.trading_session_id == session.trading_session_id:
        counted = sum(counts.by_status.values())
    waiting = reserved + ready
    serving = {r.active_broker for r in book.routes if r.route_id == session.market}
    lanes = [lane for lane in sight.lanes if lane.broker_id in serving]
    real = sum(lane.sent_last_second for lane in lanes) if is_open else 0
    allowed = sum(lane.tps_effective for lane in lanes)
    return Drain(waiting, max(counted, waiting), real or allowed, is_open, real > 0)


def session_panel(sight: Sight, book: Book | None) -> Safe:
    """Write the bell, and the sessions that follow."""
    session = sight.session
    if session is None:
        return tag("p", "No session is known: build the calendar.")
    rows = [_row(one, sight.at) for one in sight.following]
    reserved = sum(book.backlog.reserved.values()) if book else 0
    return join(
        _bell(session, sight.at),
        tag("p", tag("strong", f"{reserved:,}"), " orders wait for a bell", class_="small"),
        tag(
            "table",
            tag("thead", tag("tr", *(tag("th", name, scope="col") for name in _COLUMNS))),
            tag("tbody", rows),
        ),
    )


_COLUMNS = ("Session", "Opens", "Closes", "State")


def _bell(session: TradingSession, at: int) -> Safe:
    is_open = session.opens_at <= at
    bell = session.closes_at if is_open else session.opens_at
    word = "closes in" if is_open else "opens in"
    return tag(
        "p",
        tag("strong", session.market),
        f" {word} ",
        tag("strong", span((bell - at + 999) // 1000), class_="big bell", data_until=bell),
        class_="bellline",
    )


def _row(session: TradingSession, at: int) -> Safe:
    return tag(
        "tr",
        tag("td", session.trading_session_id),
        tag("td", moment(session.opens_at)),
        tag("td", moment(session.closes_at)),
        tag("td", session.phase(at).value.replace("_", " ")),
    )


def drain_panel(sight: Sight, book: Book) -> Safe:
    """Write the bar, the rate and the ETA, and the orders by status as they were counted."""
    drain = drained(sight, book)
    if drain is None:
        return tag("p", "No session, so nothing drains.")
    percent = 100 * drain.gone // drain.total if drain.total else 0
    label = f"{drain.gone:,} of {drain.total:,} have left, {percent} %"
    by = "at what leaves now" if drain.is_real else "at what may leave"
    by = by if drain.is_open else f"after the bell, {by}"
    eta = "unknown: nothing may leave" if drain.eta_s is None else f"{span(drain.eta_s)}"
    return join(
        tag(
            "p",
            tag("strong", f"{drain.gone:,}", class_="big"),
            f" / {drain.total:,} ",
            tag("strong", f"{percent} %"),
            id="drained",
        ),
        bar(drain.gone, drain.total, label),
        tag(
            "p",
            tag("strong", f"{drain.waiting:,}"),
            f" wait · {drain.rate:,} a second · ETA ",
            tag("strong", eta),
            f" {by}" if drain.eta_s else None,
            tag("span", " · as of ", moment(book.backlog_at), class_="small"),
        ),
        _counts(book),
    )


def _counts(book: Book) -> Safe | None:
    if book.counts is None:
        return None
    by_status = book.counts.by_status
    shown = [
        tag("span", f"{status.value.replace('_', ' ')} ", tag("b", f"{by_status[status]:,}"))
        for status in Status
        if by_status.get(status)
    ]
    return tag(
        "p", shown or "no orders yet", " · counted ", moment(book.counts.at), class_="small counts"
    )
