"""How far an open has come, when it will be through, and how long it is to the bell.

What waits is counted by the ledger at each reading; what there was in all, seldom. The ETA
divides what waits by what left a second, over the last ten since the bell, and by what may leave
while nothing does: the last second alone says two minutes now and seven in a moment. A night has
several markets, each led to a broker of its own: it is through when the last of them is.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from app.domain.records import LaneStatus
from app.domain.session import TradingSession
from app.domain.values import Status
from app.web.console.grades import Grade
from app.web.console.markup import Piece, Safe, join, tag
from app.web.console.paces import TICK_MS, may_leave
from app.web.console.second import paused, release_button
from app.web.console.shapes import bar, dated, mark, moment, span
from app.web.console.sight import Book, Sight, Viewer

# No market that we know trades for less on a whole day.
WHOLE_DAY_MS: Final = 6 * 3_600_000
STEADY_MS: Final = 10_000
_COLUMNS: Final = (
    *(tag("th", name, scope="col") for name in ("Session", "Opens", "Closes", "State")),
    tag("th", "Waits", scope="col", class_="number"),
)


class Drain(NamedTuple):
    """What waits for one session's bell, or leaves after it."""

    name: str
    waiting: int
    total: int
    rate: int  # messages a second
    is_open: bool
    is_real: bool  # it is what left, not what may

    @property
    def gone(self) -> int:
        return self.total - self.waiting

    @property
    def percent(self) -> int:
        return 100 * self.gone // self.total if self.total else 0

    @property
    def eta_s(self) -> int | None:
        if not self.waiting:
            return 0
        return -(-self.waiting // self.rate) if self.rate else None


def drained(sight: Sight, book: Book) -> tuple[Drain, ...]:
    """Return how far each session of this night has come."""
    return tuple(_drain(sight, book, session) for session in sight.tonight)


def _drain(sight: Sight, book: Book, session: TradingSession) -> Drain:
    is_open = session.opens_at <= sight.at
    reserved = book.backlog.reserved.get(session.trading_session_id, 0)
    ready = book.backlog.ready.get(session.market, 0) if is_open else 0
    waiting = reserved + ready
    serving = {r.active_broker for r in book.routes if r.route_id == session.market}
    lanes = [lane for lane in sight.lanes if lane.broker_id in serving]
    real = _left(sight, lanes, session.opens_at) if is_open else 0
    allowed = _allowed(book, lanes)
    if _held(sight, book, session) or ("route", session.market) in _halted(book):
        real = allowed = 0  # what leaves still is what was released before
    total = max(book.total(session), waiting)
    return Drain(session.market, waiting, total, real or allowed, is_open, real > 0)


def _allowed(book: Book, lanes: Iterable[LaneStatus]) -> int:
    """Return what may leave a second by these lanes, where nobody has paused or halted them."""
    halted = _halted(book)
    if ("all", "") in halted:
        return 0
    resting = {name for name, one in book.controls.items() if one.dispatch != "running"}
    stopped = resting | {target for scope, target in halted if scope == "broker"}
    return sum(may_leave(lane) for lane in lanes if lane.broker_id not in stopped)


def _halted(book: Book) -> set[tuple[str, str]]:
    return {(halt.scope, halt.target if halt.scope != "all" else "") for halt in book.halts}


def _left(sight: Sight, lanes: Sequence[LaneStatus], since: int) -> int:
    """Return how many messages a second left by these lanes of late."""
    since = max(since + TICK_MS, sight.at - STEADY_MS)  # the bell's own second is half a one
    of_late = [one for one in sight.paces if one.at > since]
    if not of_late:
        return sum(lane.sent_last_second for lane in lanes)
    names = {lane.broker_id for lane in lanes}
    sent = sum(number for one in of_late for name, number in one.sent.items() if name in names)
    return round(sent / len(of_late))


def together(parts: Iterable[Drain], sight: Sight, book: Book) -> Drain:
    """Return the whole night; lanes that serve two markets are counted once."""
    each = tuple(parts)
    is_open = any(one.is_open for one in each)
    bell = min((session.opens_at for session in sight.tonight), default=sight.at)
    real = _left(sight, sight.lanes, bell)
    allowed = _allowed(book, sight.lanes)
    return Drain(
        "",
        sum(one.waiting for one in each),
        sum(one.total for one in each),
        (real if is_open else 0) or allowed,
        is_open,
        is_open and real > 0,
    )


def last_eta_s(parts: Iterable[Drain]) -> int | None:
    """Return when the last market is through; None if one of them does not move."""
    etas = [one.eta_s for one in parts]
    known = [eta for eta in etas if eta is not None]
    return max(known, default=0) if len(known) == len(etas) else None


def session_panel(sight: Sight, book: Book | None, viewer: Viewer) -> Safe:
    """Write the bell, and the sessions that follow."""
    session = sight.session
    if session is None:
        return tag("p", "No session is known: build the calendar.")
    following = sorted(sight.following, key=lambda one: one.opens_at)
    rows = [_row(sight, book, one) for one in following]
    # What is far away is not paused by mistake: its button comes when its night does.
    near = [one for one in following if one in sight.tonight or _held(sight, book, one)]
    releases = [release_button(one, book, viewer) for one in near] if book else None
    return join(
        _bell(sight, session),
        tag("p", _coming(sight, book), class_="small") if book else None,
        tag(
            "div",
            tag("table", tag("thead", tag("tr", *_COLUMNS)), tag("tbody", rows)),
            class_="wide",
        ),
        tag("div", releases, class_="acts"),
    )


def _held(sight: Sight, book: Book | None, session: TradingSession) -> bool:
    held = paused(sight, book) if book else ()
    return any(one.trading_session_id == session.trading_session_id for one in held)


def _coming(sight: Sight, book: Book) -> Piece:
    """Say how many wait for a bell that has not rung; what leaves already is the drain's."""
    opened = {one.trading_session_id for one in sight.following if one.opens_at <= sight.at}
    reserved = book.backlog.reserved.items()
    coming = sum(number for name, number in reserved if name not in opened)
    if not coming:
        return "No order waits for a later bell."
    return [tag("strong", f"{coming:,}"), " orders wait for a bell to come"]


def _bell(sight: Sight, session: TradingSession) -> Safe:
    is_open = session.opens_at <= sight.at
    bell = session.closes_at if is_open else session.opens_at
    word = "closes in" if is_open else "opens in"
    markets = [one.market for one in sight.tonight if one.opens_at == session.opens_at]
    return tag(
        "p",
        tag("strong", " · ".join(markets)),
        f" {word if len(markets) == 1 else word.replace('s ', ' ', 1)} ",
        tag("strong", span((bell - sight.at + 999) // 1000), class_="big bell", data_until=bell),
        class_="bellline",
    )


def _row(sight: Sight, book: Book | None, session: TradingSession) -> Safe:
    is_open = session.opens_at <= sight.at < session.closes_at
    reserved = book.backlog.reserved.get(session.trading_session_id, 0) if book else 0
    ready = book.backlog.ready.get(session.market, 0) if book and is_open else 0
    held = _held(sight, book, session)
    return tag(
        "tr",
        tag("td", session.trading_session_id),
        tag("td", dated(session.opens_at)),
        tag("td", dated(session.closes_at)),
        tag("td", mark(Grade.WARNING, "paused") if held else _state(session, sight.at)),
        tag("td", f"{reserved + ready:,}", class_="number"),
        class_=None if held or is_open or session in sight.tonight else "later",
    )


def _state(session: TradingSession, at: int) -> str:
    if session.is_closed_day:
        return "closed by an operator"
    phase = session.phase(at).value.replace("_", " ")
    short = session.closes_at - session.opens_at < WHOLE_DAY_MS
    return f"{phase}, short day" if short else phase


def drain_panel(sight: Sight, book: Book) -> Safe:
    """Write the bar, the rate and the ETA, and the orders by status as they were counted."""
    parts = drained(sight, book)
    if not parts:
        return tag("p", "No session, so nothing drains.")
    night = together(parts, sight, book)
    label = f"{night.gone:,} of {night.total:,} have left, {night.percent} %"
    moving = [one for one in parts if one.total]
    return join(
        tag(
            "p",
            tag("strong", f"{night.gone:,}", class_="big"),
            f" / {night.total:,} have left ",
            tag("strong", f"{night.percent} %", class_="percent"),
            tag("span", _until(night, parts), class_="eta"),
            id="drained",
        ),
        bar(night.gone, night.total, label),
        tag(
            "p",
            tag("strong", f"{night.waiting:,}"),
            " wait",
            _pace(night) if night.waiting else None,
            tag("span", " · as of ", moment(book.backlog_at), class_="small"),
        ),
        tag("p", [_part(one) for one in moving], class_="small counts")
        if len(moving) > 1
        else None,
        _counts(sight, book),
    )


def _until(night: Drain, parts: Sequence[Drain]) -> Piece:
    """Say when it is through; before the bell, how long it will take then."""
    eta_s = last_eta_s(parts)
    if not night.waiting:
        return tag("strong", "all have left" if night.total else "no orders yet", class_="big")
    if eta_s is None:
        still = [one.name for one in parts if one.eta_s is None]
        whose = "nothing may leave" if len(still) == len(parts) else f"{still[0]} may not leave"
        return ["ETA ", tag("strong", f"unknown: {whose}", class_="big")]
    return ["ETA " if night.is_open else "will take ", tag("strong", span(eta_s), class_="big")]


def _pace(night: Drain) -> str:
    if night.is_real:
        return f" · {night.rate:,} a second leave"
    yet = ", none leaves now" if night.is_open else ""
    return f" · {night.rate:,} a second may leave{yet}"


def _part(one: Drain) -> Safe:
    eta = "stands still" if one.eta_s is None else span(one.eta_s)
    return tag(
        "span",
        f"{one.name} ",
        tag("b", f"{one.percent} %"),
        f" of {one.total:,}, {eta}" if one.waiting else f" of {one.total:,}",
    )


def _counts(sight: Sight, book: Book) -> Safe | None:
    """Write the night's orders by status; they are older than what stands above, and say so."""
    counted = [
        found
        for session in sight.tonight
        if (found := book.counts.get(session.trading_session_id)) is not None
    ]
    if not counted:
        return None
    by_status = {status: sum(one.by_status.get(status, 0) for one in counted) for status in Status}
    shown = [
        tag("span", f"{status.value.replace('_', ' ')} ", tag("b", f"{number:,}"))
        for status, number in by_status.items()
        if number
    ]
    if not shown:  # counted before the first of them came: what stands above is newer
        return None
    oldest = min(one.at for one in counted)
    return tag("p", "At ", moment(oldest), ": ", shown, class_="small counts")
