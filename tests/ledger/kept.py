"""A ledger with days behind and before it, and the job that keeps them.

Today is the Monday of the builders; its session is open. A day is filled by real orders: one
that was canceled, one that traded, so that each of its tables has rows.
"""

import asyncio
import json
from collections.abc import Coroutine
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, text

from app.domain.messages import Accepted, ExecutionType
from app.domain.order import Order
from app.domain.records import Fence, Settlement, Taken
from app.domain.session import Calendar, TradingSession
from app.domain.values import CancelOrigin
from app.ledger import days
from app.ledger.partitions.catalog import Compare, Gate, MayDrop, agreed, nobody_minds
from app.ledger.partitions.job import PartitionJob, Ran, name_of
from app.ledger.partitions.plan import Policy
from app.postgres import PostgresDatabase
from app.sqlite import Database
from tests.builders import OPENS_AT, SESSION, TODAY, StillClock, a_report, a_taking
from tests.contracts.record import declared, sendable

T = TypeVar("T")
DAY_MS: Final = 86_400_000
AHEAD: Final = [TODAY + timedelta(days=count) for count in (0, 1, 2, 3, 4, 7)]
OLD: Final = date(2026, 2, 25)
OLDER: Final = date(2026, 2, 24)


def session_of(day: date) -> TradingSession:
    """Return the session of a date: as long as today's, at the same hour."""
    moved = (day - TODAY).days * DAY_MS
    return SESSION._replace(
        trading_session_id=f"XNAS-{day}-REG",
        trade_date=day,
        opens_at=SESSION.opens_at + moved,
        closes_at=SESSION.closes_at + moved,
    )


def calendar(until: int = 30) -> Calendar:
    """Return every weekday from two weeks ago until so many days from today."""
    dates = [TODAY + timedelta(days=count) for count in range(-14, until)]
    hours = [session_of(day)[-2:] for day in dates]
    return Calendar(
        {"XNAS": [(d, *bells) for d, bells in zip(dates, hours, strict=True) if d.weekday() < 5]}
    )


class Kept:
    """One ledger, and how to run it."""

    def __init__(
        self, database: PostgresDatabase | Database, runner: asyncio.Runner, archive_dir: Path
    ) -> None:
        self.database = database
        self.clock = StillClock()
        self.archive_dir = archive_dir
        self.calendar = calendar()
        self.ledger = declared(database, self.clock)
        self._runner = runner
        self._orders = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def sql(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Run any statement; return its rows."""

        def work(connection: Connection) -> list[tuple[Any, ...]]:
            found = connection.execute(text(statement), values)
            return [tuple(row) for row in found] if found.returns_rows else []

        return self.database.write_now(work)

    # --- orders -------------------------------------------------------------------------

    def taken(self, day: date, *, reserved: bool = False) -> Order:
        self._orders += 1
        entry = a_taking(f"c-{self._orders}", session=session_of(day), reserved=reserved)
        (result,) = self.run(self.ledger.take([entry]))
        assert isinstance(result, Taken)
        return result.order

    def canceled(self, day: date) -> Order:
        order = self.taken(day)
        return self.run(self.ledger.cancel(order.order_id, order.version, CancelOrigin.CLIENT))

    def traded(self, day: date) -> Order:
        order = self.taken(day)
        epoch = self.run(self.ledger.take_lease("north", "me", 10_000))
        fence = Fence("north", "me", epoch, frozenset({session_of(day).trading_session_id}))
        (claimed,) = self.run(self.ledger.claim(fence, 1, sendable))
        self.run(self.ledger.settle([Settlement(claimed.broker_order_key, Accepted("N-1"), 5)]))
        key = claimed.broker_order_key
        trade = a_report(ExecutionType.TRADE, f"e-{self._orders}", broker_order_key=key)
        self.run(self.ledger.apply([trade], "report"))
        return self.order(order.order_id)

    def filled(self, *dates: date) -> None:
        """Give each day two orders that have ended."""
        for day in dates:
            self.canceled(day)
            assert self.traded(day).is_terminal

    def order(self, order_id: str) -> Order:
        found = self.run(self.ledger.get(order_id))
        assert found is not None
        return found

    # --- days ---------------------------------------------------------------------------

    def job(
        self,
        keep: int = 1,
        may_drop: MayDrop = nobody_minds,
        compare: Compare = agreed,
        sessions: int = 5,
    ) -> PartitionJob:
        return PartitionJob(
            self.database,
            lambda: self.calendar,
            self.clock,
            self.archive_dir,
            policy=Policy(sessions, keep),
            gate=Gate(may_drop, compare),
        )

    def applied(self, job: PartitionJob | None = None) -> Ran:
        return self.run((job or self.job()).apply())

    def steps(self, ran: Ran) -> list[str]:
        """Return what was done, but for what was made ahead."""
        told = [f"{name_of(action)} {action.trade_date}" for action in ran.done]
        return [step for step in told if not step.startswith("create")]

    def attached(self) -> list[date]:
        return self.database.write_now(days.attached)

    def manifest(self, day: date) -> dict[str, Any]:
        path = self.archive_dir / day.isoformat() / "manifest.json"
        return dict(json.loads(path.read_text("utf-8")))

    def files(self, day: date) -> list[Path]:
        """Return the archived files of a day, the manifest apart."""
        found = (self.archive_dir / day.isoformat()).iterdir()
        return sorted(path for path in found if path.name != "manifest.json")


assert SESSION.opens_at == OPENS_AT
