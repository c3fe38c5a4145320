"""The record under contract: each implementation, and how to run it.

`inline` runs on the loop that asks, in virtual time; `file` is a real file with its two threads;
`postgres` is a database of its own on a real server.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import pytest
from sqlalchemy import text

from app.domain.errors import Code
from app.domain.order import Order
from app.domain.records import Actor, Claimed, Fence, Taken
from app.ledger.schema import upgrade
from app.ledger.store import Ledger
from app.ports.control import ControlStore, ProposalStore
from app.ports.dispatch import DispatchStore, ReplaceStore
from app.ports.failover import DrillStore, FailoverStore
from app.ports.orders import HoldStore, OrderStore, SweepStore, TicketStore
from app.postgres import PostgresDatabase
from app.sql import Database as SqlDatabase
from app.sqlite import Database
from tests.builders import SESSION, StillClock, a_taking
from tests.virtual import VirtualLoop

T = TypeVar("T")
KIM: Final = Actor("kim", "because")
LEE: Final = Actor("lee", "all is well")


class Record(
    OrderStore,
    DispatchStore,
    ReplaceStore,
    SweepStore,
    HoldStore,
    TicketStore,
    ControlStore,
    ProposalStore,
    FailoverStore,
    DrillStore,
    Protocol,
):
    """All of its ports on one record."""


class Shop:
    """One implementation, and how to run it."""

    def __init__(self, store: Record, runner: asyncio.Runner, clock: StillClock) -> None:
        self.store = store
        self.clock = clock
        self._runner = runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def take(self, client_order_id: str = "c-1", **facts: Any) -> Order:
        (result,) = self.run(self.store.take([a_taking(client_order_id, **facts)]))
        assert isinstance(result, Taken)
        return result.order

    def passes(self, milliseconds: int) -> None:
        """Let time pass, by whichever clock it is that judges a lease."""
        self.clock.at += milliseconds
        database = self.store._database  # type: ignore[attr-defined]
        if database.is_shared:  # its server's, which we cannot move: so move the leases
            moved = text("UPDATE broker_leases SET expires_at = expires_at - :ms")
            database.write_now(lambda c: c.execute(moved, {"ms": milliseconds}))

    def owned(self) -> Fence:
        epoch = self.run(self.store.take_lease("north", "me", 10_000))
        return Fence("north", "me", epoch, frozenset({SESSION.trading_session_id}))

    def sending(self, client_order_id: str = "c-1") -> Claimed:
        self.take(client_order_id)
        (claimed,) = self.run(self.store.claim(self.owned(), 10, sendable))
        return claimed

    def get(self, order_id: str) -> Order:
        found = self.run(self.store.get(order_id))
        assert found is not None
        return found


def sendable(_order: Order) -> Code | None:
    """Break no limit."""
    return None


def opened(path: Path | None, clock: StillClock) -> tuple[Database, Ledger]:
    database = Database(path)
    upgrade(database)
    return database, declared(database, clock)


def declared(database: SqlDatabase, clock: StillClock) -> Ledger:
    """Return the ledger on a database at the head of its schema."""
    ledger = Ledger(database, clock)
    ledger.declare({"north": 100, "south": 100}, {"XNAS": "north"})
    return ledger


@pytest.fixture(params=["inline", "file", "postgres"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    clock = StillClock()
    if request.param == "postgres":
        database = PostgresDatabase(request.getfixturevalue("ledger_url"), writers=3)
        with asyncio.Runner() as runner:
            yield Shop(declared(database, clock), runner, clock)
        database.close()
        return
    inline = request.param == "inline"
    embedded, ledger = opened(None if inline else tmp_path / "ledger.db", clock)
    with asyncio.Runner(loop_factory=VirtualLoop if inline else None) as runner:
        yield Shop(ledger, runner, clock)
    embedded.close()
