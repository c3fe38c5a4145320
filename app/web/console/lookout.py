"""Looks at the house once a tick for every console that is open, and never waits for long.

    lanes      from memory, at each look
    book       from the ledger: who set what, halts, doubts, what happened
    backlog    what waits, counted: not before a rest of twenty times as long as it took
    counts     of a session's orders by status, one pass over its day: seldom
    paces      of the last fifteen minutes, from memory
    view       how far the account view is behind, from the bus, which may be away

The trap it avoids: a screen that costs what it shows. Twenty consoles are one reading; a ledger
that answers slowly at the open is asked less often, and the screen says how old its word is. A
store that is away leaves what was known standing, with its age.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Generic, TypeVar

from app import codec
from app.accounts.projector import GROUP, TOPIC
from app.clock import Clock
from app.domain.records import Backlog
from app.domain.session import TradingSession
from app.domain.signs import Owners, skew_ms
from app.web.console.paces import Paces
from app.web.console.shapes import ZONES
from app.web.console.sight import AuditRow, Book, Counts, Sight
from app.web.house import House, trouble_with_keys
from app.web.trail import Trail

TICK_MS: Final = 1_000
# A reading takes a twentieth of the ledger's time at most, however long the book is.
REST_TIMES: Final = 20
# Who set what is read by then, however slow: what is older stands on the screen as late.
REST_MS_MAX: Final = 3_000
READ_WITHIN_S: Final = 3.0
# The bus is asked seldom, and hardly waited for: it may be away, and the screen must not be.
BUS_EVERY_MS: Final = 5_000
BUS_WITHIN_S: Final = 0.3
BUS_AWAY_MS: Final = 15_000
# One answer that came too late, on a busy machine, is no bus that is away.
BUS_KNOWN_MS: Final = 10_000
COUNT_EVERY_MS: Final = 10_000
COUNTED_WITHIN_S: Final = 1.5
AUDIT_KEPT: Final = 300
ANOMALIES_SHOWN: Final = 30
PROPOSALS_SHOWN: Final = 20
FAILOVERS_MS: Final = 24 * 3_600_000
NS_PER_MS: Final = 1_000_000

T = TypeVar("T")
_log: Final = logging.getLogger("openbell.console")


class Rested(Generic[T]):
    """A question that is dear: after each answer it rests, the longer the dearer it was."""

    def __init__(self, clock: Clock, rest_ms: int) -> None:
        self._clock = clock
        self._rest_ms = rest_ms
        self._known: tuple[str, T] | None = None
        self._due = 0
        self.at = 0  # when it was answered
        self.spent_ms = 0  # for answers so far

    async def answer(self, about: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Return the last answer about this, or a new one."""
        now, known = self._clock.now(), self._known
        if known is not None and known[0] == about and now < self._due:
            return known[1]
        began = self._clock.monotonic_ns()
        found = await ask()
        took_ms = (self._clock.monotonic_ns() - began) // NS_PER_MS
        self._known, self.at = (about, found), now
        self.spent_ms += took_ms
        self._due = self._clock.now() + max(self._rest_ms, took_ms * REST_TIMES)
        return found


class Lookout:
    """The one who looks; everybody else reads what it saw."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._trail = Trail(house.control)
        self._one_at_a_time = asyncio.Lock()
        self._sight: Sight | None = None
        self._book: Book | None = None
        self._trouble: str | None = None
        self._book_due = 0
        self._backlog: Rested[Backlog] = Rested(house.clock, TICK_MS)
        self._counts: dict[str, Rested[dict[str, int]]] = {}  # by market
        self._counted: dict[str, Counts] = {}  # by session
        self._count_due = 0
        self._bus_due = 0
        self._bus_at = 0
        self._behind: int | None = None
        self._audited = 0
        self._audit: deque[AuditRow] = deque(maxlen=AUDIT_KEPT)
        self._paces = house.paces or Paces(house.floor, house.clock)

    async def look(self) -> Sight:
        """Return the sight of this tick; whoever comes first looks, the others wait for it."""
        async with self._one_at_a_time:
            now = self._house.clock.now()
            seen = self._sight
            if seen is None or not 0 <= now - seen.at < TICK_MS:
                await self._read(now)
                self._sight = self._seen(self._house.clock.now())
            assert self._sight is not None
            return self._sight

    async def _read(self, now: int) -> None:
        if now >= self._book_due:
            began, dear = self._house.clock.monotonic_ns(), self._backlog.spent_ms
            found = await self._asked("ledger", self._read_book(now), READ_WITHIN_S)
            took = (self._house.clock.monotonic_ns() - began) // NS_PER_MS
            # What was counted rests by itself: who set what is not to wait for it.
            took -= self._backlog.spent_ms - dear
            rest = min(max(TICK_MS, took * REST_TIMES), REST_MS_MAX)
            self._book_due = self._house.clock.now() + rest
            self._trouble = None if found is not None else "no answer"
            self._book = found or self._book
            if found is not None and now >= self._count_due:
                done = await self._asked("counts", self._count(now), COUNTED_WITHIN_S)
                self._count_due = now + (TICK_MS if done else COUNT_EVERY_MS)
            if found is not None:
                self._book = found._replace(counts=dict(self._counted))
        if now >= self._bus_due:
            behind = await self._asked("bus", self._house.bus.lag(TOPIC, GROUP), BUS_WITHIN_S)
            if behind is not None or now - self._bus_at > BUS_KNOWN_MS:
                self._behind, self._bus_at = behind, now
            self._bus_due = now + (BUS_AWAY_MS if behind is None else BUS_EVERY_MS)

    async def _asked(self, name: str, question: Awaitable[T], within_s: float) -> T | None:
        """Return the answer, or None: whatever a store says, the screen goes on."""
        try:
            async with asyncio.timeout(within_s):
                return await question
        except Exception as e:  # noqa: BLE001 - each store has its own way of being away
            _log.warning("console.unread", extra={"store": name, "why": type(e).__name__})
            return None

    async def _read_book(self, now: int) -> Book:
        house = self._house
        going_on = await house.trouble.open_anomalies()
        latest = await house.trouble.anomalies(None, ANOMALIES_SHOWN)
        known = {anomaly.anomaly_id for anomaly in going_on}
        await self._read_audit()
        owners, skew = await self._owners()
        return Book(
            at=now,
            controls=await house.control.controls(),
            routes=tuple(await house.control.routes()),
            policies=await house.courses.policies(),
            backlog=await self._backlog.answer("", house.control.backlog),
            backlog_at=self._backlog.at,
            halts=tuple(await house.control.halts()),
            doubts=tuple(sorted(await house.control.doubts(), key=lambda doubt: doubt.since)),
            anomalies=(*going_on, *(a for a in latest if a.anomaly_id not in known)),
            failovers=tuple(await house.courses.failovers(now - FAILOVERS_MS)),
            audit=tuple(self._audit),
            owners=owners,
            skew_ms=skew,
            pauses=tuple(await house.control.pauses()),
            proposals=tuple(await house.proposals.proposals(PROPOSALS_SHOWN)),
        )

    async def _owners(self) -> tuple[Owners, float]:
        """Return who owns the lanes, and how far the clock that judges it is from ours."""
        clock = self._house.clock
        asked_at, began = clock.now(), clock.monotonic_ns()
        owners = await self._house.control.owners()
        took_ms = (clock.monotonic_ns() - began) / NS_PER_MS
        return owners, skew_ms(asked_at, took_ms, owners.at)

    async def _read_audit(self) -> None:
        """Read what is new at the end of the log, which may have grown by a lot since."""
        end = await self._trail.end()
        self._audited = max(self._audited, end - AUDIT_KEPT)
        rows = await self._house.control.audit(self._audited, AUDIT_KEPT)
        self._audit.extend(_told(row) for row in rows)
        self._audited += len(rows)

    async def _count(self, now: int) -> bool:
        """Count the sessions that are open, and those that open next."""
        wanted = (*self._open(now), *_first(self._coming(now)))
        names = {session.trading_session_id for session in wanted}
        self._counted = {name: one for name, one in self._counted.items() if name in names}
        for session in wanted:
            name, date = session.trading_session_id, session.trade_date
            rested = self._counts.setdefault(
                session.market, Rested(self._house.clock, COUNT_EVERY_MS)
            )
            ask = partial(self._house.control.by_status, name, date)
            by_status = await rested.answer(name, ask)
            self._counted[name] = Counts(rested.at, by_status)
        return True

    def _open(self, now: int) -> tuple[TradingSession, ...]:
        return tuple(self._house.reference().calendar.open_now(now))

    def _coming(self, now: int) -> tuple[TradingSession, ...]:
        calendar = self._house.reference().calendar
        known = [calendar.next(market, now) for market in calendar.markets]
        return tuple(session for session in known if session is not None)

    def _tonight(self, now: int) -> tuple[TradingSession, ...]:
        """Return the sessions that this night is about: where orders are, or else what is next."""
        book, opened = self._book, self._open(now)
        coming = self._coming(now)
        if book is not None:
            busy = [one for one in opened if book.total(one)]
            reserved = book.backlog.reserved
            waited = [one for one in coming if reserved.get(one.trading_session_id)]
            found = busy or _first(waited)
            if found:
                return tuple(found)
        return opened or _first(coming)

    def _seen(self, now: int) -> Sight:
        house = self._house
        calendar = house.reference().calendar
        lanes = tuple(house.floor.lanes())
        if house.paces is None:  # nobody else notes it
            self._paces.note(lanes)
        return Sight(
            at=now,
            lanes=lanes,
            paces=self._paces.seen(),
            contracts={
                name: broker.capabilities.orders_per_second_max
                for name, broker in house.brokers.items()
            },
            book=self._book,
            trouble=self._trouble,
            tonight=self._tonight(now),
            following=(*self._open(now), *self._coming(now)),
            calendar_ends={m: calendar.last_date(m).isoformat() for m in calendar.markets},
            view_behind=self._behind,
            draining=house.health.draining,
            not_ready=tuple(house.health.not_ready()),
            keyring_trouble=trouble_with_keys(house),
            days=_known(house.days_kept),
            alarms=_known(house.alarms),
            commits=_known(house.commits),
            markets={market: ZONES.get(market, "UTC") for market in calendar.markets},
            environment=house.environment,
        )


def _first(sessions: Sequence[TradingSession]) -> tuple[TradingSession, ...]:
    """Return those that open at the earliest bell."""
    bell = min((session.opens_at for session in sessions), default=None)
    return tuple(session for session in sessions if session.opens_at == bell)


def _told(row: dict[str, object]) -> AuditRow:
    """Return a row of the log with its documents read."""
    before, after = (codec.decode(str(row[name])) for name in ("before", "after"))
    return row | {"before": before, "after": after}


def _known(ask: Callable[[], T] | None) -> T | None:
    return None if ask is None else ask()
