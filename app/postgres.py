"""A PostgreSQL ledger that several processes share, durable when `write` returns.

Traps that are filed off here, and `tests/test_postgres.py` holds each:

- A server that acknowledges what its disk does not have. `fsync`, `full_page_writes` and
  `synchronous_commit` are asked for at the start, and a weaker setting is refused.
- A lost answer to COMMIT. The transaction may stand or not: `StoreAway`, never "failed".
- Two transactions that wait for each other. The server ends one of them (40P01, 40001), and as
  nothing of it stands, its work runs again.
- A cancelled task that leaves its connection open inside a transaction. Connections belong to
  threads, and a thread is not cancelled.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from enum import Enum, auto
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DBAPIError, OperationalError

from app.ports.away import StoreAway
from app.sql import MissingDay, NotDurable, Work

T = TypeVar("T")

# One lane of intake, one a broker, the bell, reports, operators: more connections only queue at
# the server's two or three busy ones, and each costs it some 8 MB.
WRITERS: Final = 8
READERS: Final = 4
# A dead host answers nothing: a start must say so while somebody still looks at it.
CONNECT_TIMEOUT_S: Final = 5
# The longest of our statements takes some 100 ms; what waits longer waits for a lock that
# somebody has forgotten.
LOCK_TIMEOUT_MS: Final = 10_000
# A session of ours that sits in a transaction is a bug: it holds back the server's vacuum.
IDLE_IN_TRANSACTION_MS: Final = 5_000
# The server breaks a deadlock by ending one side; the second run all but always goes through.
RUNS_MAX: Final = 8
# Serialization failure, deadlock, and a key that somebody else was first to write: nothing of
# the transaction stands, and the work that runs again sees what the other has done.
RERUN: Final = frozenset({"40001", "40P01", "23505"})
CHECK_VIOLATION: Final = "23514"
# Connection; shutdown and crash; disk, memory or connections used up; a lock that nobody gives
# back; a server that may only be read, as the former primary of a pair is.
AWAY: Final = ("08", "57P", "53", "55P03", "25006")
OFF: Final = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"}
URL_PREFIXES: Final = ("postgresql://", "postgres://")


class _Stage(Enum):
    """How far one run of a transaction has come."""

    CONNECTING = auto()
    WORKING = auto()
    COMMITTING = auto()


class PostgresDatabase:
    """A server, reached by a few threads with a connection each."""

    is_shared = True

    def __init__(self, url: str, *, writers: int = WRITERS) -> None:
        self._engine = _engine(
            url,
            pool_size=writers + READERS + 1,
            max_overflow=0,
            pool_use_lifo=True,
            # Whatever the site's default is: a statement must see what was committed before it.
            isolation_level="READ COMMITTED",
        )
        # Not from the pool: it would keep the connection at the end, and with it the locks.
        self._sessions = _engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        self._write_threads = ThreadPoolExecutor(writers, "ledger-writer")
        self._read_threads = ThreadPoolExecutor(READERS, "ledger-reader")
        try:
            self._verify()
        except BaseException:
            self.close()
            raise

    def _verify(self) -> None:
        with translated(), self._engine.connect() as connection:
            found = {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in OFF}
        weak = {name: value for name, value in found.items() if value == OFF[name]}
        if weak:
            settings = ", ".join(f"{name} = {value}" for name, value in weak.items())
            raise NotDurable(f"PostgreSQL could lose what it acknowledged: {settings}")

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction; on return it is durable, on its exception undone."""
        return await _on(self._write_threads, self.write_now, work)

    async def read(self, work: Work[T]) -> T:
        """Run `work`; each of its statements sees what was committed before it."""
        return await _on(self._read_threads, self._read_now, work)

    def write_now(self, work: Work[T]) -> T:
        """Run `work` in one transaction on the calling thread; again after a deadlock."""
        found_dead = False
        for run in range(1, RUNS_MAX + 1):
            stage = _Stage.CONNECTING
            try:
                with translated(), self._engine.begin() as connection:
                    stage = _Stage.WORKING
                    result = work(connection)
                    stage = _Stage.COMMITTING
            except StoreAway:
                if found_dead or stage is not _Stage.WORKING:
                    raise
                found_dead = True  # COMMIT never left, so nothing stands: on a fresh connection
            except DBAPIError as e:
                if sqlstate(e) not in RERUN or run == RUNS_MAX:
                    raise
            else:
                return result
        raise AssertionError("a loop that returns or raises")

    def _read_now(self, work: Work[T]) -> T:
        with translated(), self._engine.connect() as connection:
            return work(connection)

    def session(self) -> sa.Connection:
        """Return a connection of one's own, in autocommit: for locks that live as long as it."""
        with translated():
            return self._sessions.connect()

    def close(self) -> None:
        """Finish what runs and let go."""
        self._read_threads.shutdown()
        self._write_threads.shutdown()
        self._engine.dispose()
        self._sessions.dispose()


async def _on(threads: ThreadPoolExecutor, run: Callable[[Work[T]], T], work: Work[T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(threads, run, work)


def sqlstate(error: DBAPIError) -> str | None:
    """Return the server's five characters for what went wrong, if it said anything."""
    return getattr(error.orig, "sqlstate", None)


class translated:  # noqa: N801 - reads as a clause: `with translated():`
    """Says `StoreAway` for every way in which a connection can be lost."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if not isinstance(error, DBAPIError):
            return
        state = sqlstate(error) or ""
        gone = state.startswith(AWAY)
        silent = isinstance(error, OperationalError) and not state
        if state == CHECK_VIOLATION and error.orig.diag.constraint_name is None:  # type: ignore[union-attr]
            raise MissingDay(str(error.orig)) from error
        if gone or silent or error.connection_invalidated:
            said = " ".join(f"PostgreSQL is away: {error.orig}".split())
            raise StoreAway(said) from error


class Unreadable(ValueError):
    """An address that no server can have."""


def _engine(url: str, **pool: Any) -> sa.Engine:
    for prefix in URL_PREFIXES:
        if url.startswith(prefix):
            url = f"postgresql+psycopg://{url.removeprefix(prefix)}"
    options = (
        f"-c lock_timeout={LOCK_TIMEOUT_MS}"
        f" -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS}"
        " -c timezone=UTC -c datestyle=ISO"
        # A plan that was made when a day was empty would be kept until the day is analysed.
        " -c plan_cache_mode=force_custom_plan"
        " -c jit=off"  # our statements are short; compiling one costs more than running it
    )
    # On a disconnect SQLAlchemy renews the whole pool: one connection was cut, so its siblings
    # are of the same dead server.
    try:
        address = sa.make_url(url)
    except (ArgumentError, ValueError) as e:
        raise Unreadable(f"the ledger's url cannot be read: {e}") from e
    return sa.create_engine(
        address,
        **pool,
        connect_args={
            "connect_timeout": CONNECT_TIMEOUT_S,
            "options": options,
            "application_name": "openbell",
            # A host that vanishes says nothing: these find out within half a minute.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
            "client_encoding": "utf8",  # whatever the database keeps its bytes in
        },
    )
