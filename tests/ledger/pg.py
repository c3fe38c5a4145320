"""One PostgreSQL ledger and the processes that share it, as the tests of the ledger want them.

A `Site` is the database: it looks behind the door, fills it by the hundred thousand and holds it to
the laws of `books`. A `Process` is one of those who share it, with connections, a loop and a thread
of its own. `stalled` stops a COMMIT half way, inside the server: a connection lost at that moment
leaves a transaction that is neither there nor gone. The trap: one pool of connections, in which no
two of "several processes" ever meet.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import psycopg
from psycopg.abc import QueryNoTemplate

from app.domain.order import Order
from app.domain.records import Claimed, Fence, Taken
from app.domain.values import new_order_id
from app.ledger import days
from app.ledger.schema import upgrade
from app.ledger.store import Ledger
from app.postgres import PostgresDatabase
from tests.builders import NOW, SESSION, TODAY, StillClock, a_taking
from tests.eventually import eventually
from tests.ledger.books import _LAWS, sendable
from tests.servers.postgres import PostgresServer
from tests.servers.proxy import Proxy

T = TypeVar("T")

# By the server's clock, which no test can move: longer than any test.
LEASE_MS: Final = 3_600_000
# The machine may be busy with three other suites; only a test that fails waits so long.
PATIENCE_S: Final = 30.0
ROUTES: Final = {"XNAS": "north", "XNYS": "south"}
# A statement of a test's own; whatever takes so long has a lock or a plan that is a fault.
STATEMENT_MS: Final = 600_000
STALL: Final = 20_260_302  # the lock that a stalled commit waits for


# What `take` leaves of queued orders, by numbers, so that a million are there within a minute.
_FRESH: Final = " FROM orders WHERE accept_sequence BETWEEN %(first)s AND %(last)s"
FILL: Final[tuple[QueryNoTemplate, ...]] = (
    (
        "INSERT INTO orders (trade_date, accept_sequence, order_id, session_date,"
        " trading_session_id, account_id, client_order_id, symbol, market, side, order_type,"
        " quantity, limit_price, currency, time_in_force, accepted_at, version, status,"
        " pending_request, filled_quantity, overfilled_quantity, filled_value, done_for_day,"
        " released_at, updated_at) SELECT %(day)s, n, %(prefix)s || lpad(n::text, 16, '0'),"
        " %(day)s, %(session)s, 'a-' || n %% 1000, 'c-' || n, 'AAPL', 'XNAS', 'buy', 'limit',"
        " 10, 187.25, 'USD', 'day', %(now)s, 1, 'queued', 'none', 0, 0, 0, 0, %(now)s, %(now)s"
        " FROM generate_series(%(first)s, %(last)s) AS n"
    ),
    (
        "INSERT INTO order_keys (account_id, client_order_id, order_id, request_hash,"
        " accepted_at) SELECT account_id, client_order_id, order_id, '', accepted_at" + _FRESH
    ),
    (
        "INSERT INTO order_events (trade_date, order_id, sequence, type, at, actor, cause)"
        " SELECT trade_date, order_id, 1, 'order.queued', accepted_at, 'client', 'taken'" + _FRESH
    ),
    (
        "INSERT INTO dispatch_ready (route_id, rank, accept_sequence, trade_date, account_id,"
        " symbol, trading_session_id) SELECT (%(routes)s::text[])[1 + accept_sequence"
        " %% cardinality(%(routes)s::text[])], 1 + (accept_sequence - %(first)s) / 1000,"
        " accept_sequence, trade_date, account_id, symbol, trading_session_id" + _FRESH
    ),
    "SELECT setval('accept_sequence', greatest(%(last)s, nextval('accept_sequence')))",
)


def until(condition: Callable[[], T]) -> T:
    """Ask until it is true."""
    return asyncio.run(eventually(condition, PATIENCE_S))


class Process:
    """One of those who share the ledger."""

    def __init__(self, url: str, *, name: str, seed: int, writers: int) -> None:
        self.name = name
        self.clock = StillClock(seed=seed)
        self.database = PostgresDatabase(url, writers=writers)
        self.ledger = Ledger(self.database, self.clock)
        self._runner = asyncio.Runner()
        self._thread = ThreadPoolExecutor(1, f"process-{name}")

    def starts(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin, and do not wait: what others do happens meanwhile."""
        return self._thread.submit(self._runner.run, work)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.starts(work).result(PATIENCE_S * 2)

    def close(self) -> None:
        self._thread.submit(self._runner.close).result(PATIENCE_S * 4)
        self._thread.shutdown()
        self.database.close()

    def owns(self, broker_id: str = "north", *, lease_ms: int = LEASE_MS) -> Fence:
        """Become the owner of a broker."""
        epoch = self.run(self.ledger.take_lease(broker_id, self.name, lease_ms))
        return Fence(broker_id, self.name, epoch, frozenset({SESSION.trading_session_id}))

    def queued(self, client_order_id: str = "c-1", **facts: Any) -> Order:
        """Take one order that waits for a permit at once."""
        (result,) = self.run(self.ledger.take([a_taking(client_order_id, **facts)]))
        assert isinstance(result, Taken)
        return result.order

    def reserved(self, client_order_id: str = "c-1", **facts: Any) -> Order:
        return self.queued(client_order_id, reserved=True, **facts)

    def claims(self, fence: Fence, limit: int = 100) -> list[Claimed]:
        return self.run(self.ledger.claim(fence, limit, sendable))

    def order(self, order_id: str) -> Order:
        found = self.run(self.ledger.get(order_id))
        assert found is not None
        return found


class Site:
    """One database at the head of its schema, with a part for each of these days."""

    def __init__(self, url: str, trade_dates: Iterable[date] = (TODAY,)) -> None:
        self.url = url
        self.processes: list[Process] = []
        with contextlib.closing(PostgresDatabase(url)) as database:
            upgrade(database)
            Ledger(database, StillClock()).declare(dict.fromkeys(ROUTES.values(), 100), ROUTES)
            for day in trade_dates:
                database.write_now(lambda c, day=day: days.make(c, day))  # type: ignore[misc]

    def process(self, name: str = "me", *, url: str | None = None, writers: int = 2) -> Process:
        """Start another process, at the site's address unless it goes another way."""
        seed = len(self.processes)
        process = Process(url or self.url, name=name, seed=seed, writers=writers)
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            process.close()

    def session(self) -> psycopg.Connection[Any]:
        """Return a session of somebody with a terminal of his own, in autocommit."""
        bound = f"-c statement_timeout={STATEMENT_MS}"
        return psycopg.connect(self.url, autocommit=True, connect_timeout=10, options=bound)

    def sql(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Run any statement; return its rows."""
        with self.session() as session:
            found = session.execute(cast("QueryNoTemplate", statement), values or None)
            return found.fetchall() if found.description else []

    def check(self) -> None:
        """Assert the laws of the house, as `Books.check` does."""
        for broken in _LAWS.split(";"):
            assert self.sql(broken) == [], broken

    def statuses(self) -> dict[str, int]:
        return dict(self.sql("SELECT status, count(*) FROM orders GROUP BY 1"))

    def set(self, setting: str) -> None:
        """Change a default of the database, for the connections to come."""
        name = urlsplit(self.url).path[1:]
        self.sql(f"ALTER DATABASE {name} SET {setting}")

    # --- what happens at the same time ---------------------------------------------------

    def lock_waits(self, kind: str = "%") -> int:
        """Return how many sessions wait for somebody's lock."""
        ((found,),) = self.sql(
            "SELECT count(*) FILTER (WHERE wait_event LIKE %s) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'",
            kind,
        )
        return int(found)

    @contextlib.contextmanager
    def stalled(self, table: str) -> Iterator[None]:
        """Let whoever inserts into `table` come as far as COMMIT, and no further, until the end."""
        self.sql(
            "CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS"
            f" 'BEGIN PERFORM pg_advisory_xact_lock_shared({STALL}); RETURN NULL; END'"
        )
        self.sql(
            f"CREATE CONSTRAINT TRIGGER stall AFTER INSERT ON {table} DEFERRABLE INITIALLY"
            " DEFERRED FOR EACH ROW EXECUTE FUNCTION stall()"
        )
        with self.session() as holder:
            holder.execute("SELECT pg_advisory_lock(%s)", [STALL])
            yield
        self.sql("DROP FUNCTION stall CASCADE")

    # --- filled --------------------------------------------------------------------------

    def fill(
        self,
        count: int,
        first: int = 1_000_000,
        *,
        day: date = TODAY,
        routes: Sequence[str] = ("XNAS",),
    ) -> None:
        """Put `count` queued orders of a thousand accounts down, as `take` would have left them.

        They are dealt out to the routes; an account's orders stay on one if 1,000 divides by them.
        """
        values = {
            "first": first,
            "last": first + count - 1,
            "day": day,
            "prefix": new_order_id(day, 0, 0)[:10],
            "session": SESSION.trading_session_id,
            "now": NOW,
            "routes": list(routes),
        }
        with self.session() as session, session.transaction():
            for statement in FILL:
                session.execute(statement, values)


@contextlib.contextmanager
def proxied(url: str) -> Iterator[tuple[str, Proxy]]:
    """Put a proxy before the server of this database; yield the way that leads through it."""
    at, _, name = url.rpartition("/")
    server = PostgresServer(service="postgres", url=at, on="", capabilities=frozenset({"proxied"}))
    with server.proxied() as proxy:
        yield f"{proxy.url}/{name}", proxy
