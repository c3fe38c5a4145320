"""The ledger without anything around it: prepared orders, taken in groups.

It is what the gateway is compared with, and how a bench fills a ledger before the gateway
starts. Each group is one durable transaction; a thousand, as a batch over HTTP is.
"""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Final

from app.cli.stage.book import US, reserved_book
from app.clock import SystemClock
from app.domain.records import Taking
from app.domain.request import OrderRequest, request_hash
from app.domain.session import Calendar
from app.domain.values import OrderType, Side, TimeInForce
from app.ledger.schema import upgrade
from app.ledger.store import Ledger
from app.postgres import PostgresDatabase
from app.reference import load_calendar
from app.sqlite import Database

GROUP: Final = 1_000
DAY_MS: Final = 86_400_000


def far_sessions(calendar: Calendar) -> dict[str, str]:
    """Return a session of each market that no bench will live to see open by itself."""
    later = SystemClock().now() + DAY_MS
    found = {market: calendar.next(market, later) for market in US}
    return {m: session.trading_session_id for m, session in found.items() if session is not None}


def takings(
    count: int, sessions: dict[str, str], calendar: Calendar, name: str = "night"
) -> Iterator[Taking]:
    """Yield checked requests as the desk hands them to the writer."""
    for number, order in enumerate(reserved_book(count, sessions)):
        yield _taking(order | {"client_order_id": f"{name}-{number}"}, calendar)


def _taking(order: dict[str, Any], calendar: Calendar) -> Taking:
    request = OrderRequest(
        account_id=order["account_id"],
        client_order_id=order["client_order_id"],
        symbol=order["symbol"],
        market=order["market"],
        side=Side(order["side"]),
        order_type=OrderType(order["order_type"]),
        quantity=Decimal(order["quantity"]),
        limit_price=Decimal(order["limit_price"]),
        currency=order["currency"],
        time_in_force=TimeInForce(order["time_in_force"]),
        trading_session_id=order["trading_session_id"],
        list_id=None,
        text=None,
    )
    session = calendar.session(order["trading_session_id"])
    assert session is not None, "the book names sessions of this calendar"
    return Taking(request, request_hash(request), session, reserved=True, route_id=order["market"])


class Store:
    """A ledger of its own: a file on disk, or the database of an address."""

    def __init__(self, where: Path | str) -> None:
        self._database = (
            Database(where / "ledger.db") if isinstance(where, Path) else PostgresDatabase(where)
        )
        upgrade(self._database)
        self._ledger = Ledger(self._database, SystemClock())

    def take(self, entries: Iterator[Taking], *, group: int = GROUP, lanes: int = 1) -> float:
        """Take them all, a group a commit; return the seconds that each lane's ledger needed."""
        groups = iter(lambda: list(islice(entries, group)), [])
        return asyncio.run(self._take(groups, lanes)) / lanes

    async def _take(self, groups: Iterator[list[Taking]], lanes: int) -> float:
        async def lane() -> float:
            needed_s = 0.0
            for entries in groups:
                began = perf_counter()
                await self._ledger.take(entries)
                needed_s += perf_counter() - began
            return needed_s

        return sum(await asyncio.gather(*(lane() for _ in range(lanes))))

    def close(self) -> None:
        self._database.close()


def fill(data_dir: Path, count: int) -> tuple[dict[str, str], float]:
    """Put a reserved book into a ledger; return its sessions and how many a second went in.

    Nobody has to be told of it: the events of the loading are the bell's evening, not its night.
    """
    calendar = load_calendar()
    sessions = far_sessions(calendar)
    store = Store(data_dir)
    try:
        needed_s = store.take(takings(count, sessions, calendar))
    finally:
        store.close()
    file = data_dir / "ledger.db"
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("DELETE FROM outbox")
    return sessions, count / needed_s
