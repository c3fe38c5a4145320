"""What the console knows at one moment: the records of the house as they are, nothing derived.

The lanes are read from memory at each look; the book comes from the ledger and says when. What
could not be read is None, and stands on the screen as unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from app.domain.anomaly import Anomaly
from app.domain.failover import Failover, RoutePolicy
from app.domain.proposal import Proposal
from app.domain.records import (
    AlarmCounts,
    Backlog,
    BrokerControl,
    Doubt,
    Halt,
    LaneStatus,
    Route,
)
from app.domain.session import SessionPause, TradingSession
from app.domain.signs import CommitPace, DaysKept, Owners
from app.web.console.paces import Second

AuditRow = Mapping[str, Any]


class Counts(NamedTuple):
    """A session's orders by status: counted seldom, because it is one pass over its day."""

    at: int
    by_status: Mapping[str, int]

    @property
    def total(self) -> int:
        return sum(self.by_status.values())


class Book(NamedTuple):
    """What the ledger says."""

    at: int
    controls: Mapping[str, BrokerControl]
    routes: tuple[Route, ...]
    policies: Mapping[str, RoutePolicy]
    backlog: Backlog
    backlog_at: int  # counted more seldom where it is long
    halts: tuple[Halt, ...]
    doubts: tuple[Doubt, ...]  # the oldest first
    anomalies: tuple[Anomaly, ...]  # what goes on, then the latest
    failovers: tuple[Failover, ...]  # the latest first
    audit: tuple[AuditRow, ...]  # the latest last
    counts: Mapping[str, Counts] = {}  # by session
    owners: Owners | None = None  # of the lanes; None: not read
    skew_ms: float = 0.0  # between the ledger's clock and ours
    pauses: tuple[SessionPause, ...] = ()  # of sessions whose release was ever held back
    proposals: tuple[Proposal, ...] = ()  # the newest first

    def total(self, session: TradingSession) -> int:
        """Return how many orders the session was found to have when it was last counted."""
        counts = self.counts.get(session.trading_session_id)
        return 0 if counts is None else counts.total


class Viewer(NamedTuple):
    """Who looks: what may be shown, and what may be offered."""

    name: str
    scopes: frozenset[str]
    accounts: frozenset[str]

    def may(self, scope: str) -> bool:
        return scope in self.scopes

    def sees(self, account_id: str) -> bool:
        return account_id in self.accounts or "*" in self.accounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """One look at the house."""

    at: int
    lanes: tuple[LaneStatus, ...]
    paces: tuple[Second, ...]  # messages a second, the latest last
    contracts: Mapping[str, int]
    book: Book | None  # None: the ledger has not been read yet
    trouble: str | None  # why the last reading of the ledger failed
    tonight: tuple[TradingSession, ...]  # what drains, or else opens next; the first stands on top
    following: tuple[TradingSession, ...]  # of every market, with what is open
    calendar_ends: Mapping[str, str]  # by market, the last trade date that we know
    view_behind: int | None  # events that the account view has not seen; None: unknown
    draining: bool
    not_ready: tuple[str, ...]
    keyring_trouble: str | None
    days: DaysKept | None
    alarms: AlarmCounts | None
    commits: CommitPace | None = None  # of the writer in this process, where there is one
    markets: Mapping[str, str] = field(default_factory=dict)  # market to the zone of its clock
    environment: str = ""  # what this house is called, so that nobody turns the wrong one

    @property
    def session(self) -> TradingSession | None:
        return self.tonight[0] if self.tonight else None

    def as_seen_by(self, viewer: Viewer) -> "Sight":
        """Return this sight without the halts of accounts that the viewer does not see."""
        if self.book is None:
            return self
        halts = tuple(h for h in self.book.halts if h.scope != "account" or viewer.sees(h.target))
        return replace(self, book=self.book._replace(halts=halts))

    def lane(self, broker_id: str) -> LaneStatus | None:
        return next((lane for lane in self.lanes if lane.broker_id == broker_id), None)
