"""One SQLite file, one writing connection, durable when `write` returns.

Three traps are filed off here, and `tests/test_sqlite.py` holds each:

- A commit that the disk did not get. WAL with `synchronous=NORMAL` loses acknowledged rows in
  a power cut, so the writer asks for FULL and refuses to start when it reads back less.
- Two connections that checkpoint. SQLite before 3.51.3 can corrupt the file then: one
  connection writes and checkpoints, readers are `query_only`, and a lock file keeps a second
  process out.
- Python's lock. `sqlite3` releases the GIL for each *step*, and a busy event loop gives it
  back only every switch interval: 500 rows by `executemany` took 437 µs a row beside a busy
  loop and 4 µs alone. So a batch travels as one JSON text through `json_each`, a listing
  returns as one through `json_group_array`, and each statement is a single step that runs
  beside the loop instead of against it.
"""

import asyncio
import fcntl
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.pool import StaticPool

from app.sql import NotDurable, Work

T = TypeVar("T")

FULL: Final = 2
# A thread that waits for the GIL asks for it this often; at the default 5 ms each of the
# writer's few steps would cost the batch 5 ms beside a busy loop.
SWITCH_INTERVAL_S: Final = 0.0005
# 16,000 pages of 4 KiB: a checkpoint writes each page once, however often it changed, so a longer
# log spares the disk; 64 MiB of it replay in well under a second.
CHECKPOINT_PAGES: Final = 16_000
# For each of six connections; what does not fit lies in the system's cache of the same file.
CACHE_KIB: Final = 16_384


class InUse(Exception):
    """Another process has this file open."""


class Database:
    """A file (or, for virtual time, memory) with one writer and one reader.

    `write` runs one transaction on the writer's own thread and returns after the commit;
    `read` runs beside it on a read-only snapshot. Without a path everything runs inline on
    the loop, so that a seeded schedule decides all of it.
    """

    is_shared = False  # the lock file holds every other process off

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock_file: int | None = None
        self._write_thread: ThreadPoolExecutor | None = None
        self._read_thread: ThreadPoolExecutor | None = None
        if path is None:
            self._writer = self._reader = _engine("sqlite://")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock_file = _lock(path)
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._writer = _engine(f"sqlite:///{path}")
        self._reader = _engine(f"sqlite:///{path}", read_only=True)
        self._write_thread = ThreadPoolExecutor(1, f"{path.stem}-writer")
        self._read_thread = ThreadPoolExecutor(1, f"{path.stem}-reader")
        self._verify()

    def _verify(self) -> None:
        with self._writer.connect() as connection:
            journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
            synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar()
        if journal != "wal" or synchronous != FULL:
            raise NotDurable(
                f"{self.path}: expected journal_mode wal and synchronous {FULL} (FULL),"
                f" found {journal} and {synchronous}"
            )

    async def write(self, work: Work[T]) -> T:
        """Run `work` in one transaction; on return it is durable, on an exception undone."""
        return await _on(self._write_thread, self.write_now, work)

    async def read(self, work: Work[T]) -> T:
        """Run `work` on a consistent snapshot; it must not write."""
        return await _on(self._read_thread, self._read_now, work)

    def write_now(self, work: Work[T]) -> T:
        """Run `work` in one transaction on the calling thread: schema and start-up only."""
        with self._writer.begin() as connection:
            return work(connection)

    def _read_now(self, work: Work[T]) -> T:
        with self._reader.connect() as connection:
            return work(connection)

    def close(self) -> None:
        """Finish what runs, fold the log into the file, let the next process in."""
        for thread in (self._read_thread, self._write_thread):
            if thread is not None:
                thread.shutdown()
        self._reader.dispose()
        self._writer.dispose()
        if self._lock_file is not None:
            os.close(self._lock_file)


async def _on(thread: ThreadPoolExecutor | None, run: Callable[[Work[T]], T], work: Work[T]) -> T:
    if thread is None:
        await asyncio.sleep(0)
        return run(work)
    return await asyncio.get_running_loop().run_in_executor(thread, run, work)


def _lock(path: Path) -> int:
    """Hold `<path>.lock` until this process ends, however it ends."""
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InUse(f"{path} is open in another process") from None
    return descriptor


def _engine(url: str, *, read_only: bool = False) -> sa.Engine:
    engine = sa.create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _prepare(raw: Any, _record: object) -> None:
        raw.isolation_level = None  # the driver's own BEGIN comes too late
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("PRAGMA synchronous=FULL")
        raw.execute(f"PRAGMA cache_size=-{CACHE_KIB}")
        raw.execute("PRAGMA temp_store=MEMORY")
        raw.execute(f"PRAGMA wal_autocheckpoint={0 if read_only else CHECKPOINT_PAGES}")
        if read_only:
            raw.execute("PRAGMA query_only=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
