"""The processes of a demonstration on real stores: one for each role, and what outlives them.

The stores are the caller's, named by the environment as for any gateway; `make demo STACK=1`
starts them. The roles are started as a site would start them, `openbell migrate` first, and end
here. A demonstration fills a ledger with orders that nobody placed, so it wants an empty one.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any, Final

from app.cli.asking.output import Ends, Failure
from app.cli.stage.processes import STOP_S_MAX, Stage, ready_line

# The doors first: whoever comes after them finds callbacks answered.
ROLES: Final = ("api", "dispatcher", "relay", "projector", "failover")
SHARED: Final = ("OPENBELL_LEDGER_URL", "OPENBELL_KAFKA", "OPENBELL_MONGO", "OPENBELL_REDIS_URL")
TABLES: Final = ("orders", "order_events", "attempts", "executions", "audit")


def shared_settings() -> dict[str, str]:
    """Return what the environment says of the stores, or fail if they are not all named."""
    from app.settings import environment

    named = {k: v for k, v in environment().items() if k.startswith(SHARED)}
    missing = [name for name in SHARED[:3] if not any(key.startswith(name) for key in named)]
    if missing:
        raise Failure(Ends.USAGE, f"--stack needs stores: {', '.join(missing)} is not set")
    return named


class RoleStage(Stage):
    """A gateway in five processes, and its brokers."""

    def __init__(
        self,
        directory: Path,
        *,
        rates: Mapping[str, int],
        contract: int,
        arguments: Sequence[str] = (),
    ) -> None:
        self._stores = shared_settings()
        self._parts: dict[str, subprocess.Popen[str]] = {}
        directory.mkdir(parents=True, exist_ok=True)
        self._migrate(directory)
        super().__init__(
            directory, rates=rates, contract=contract, arguments=arguments, settings=self._stores
        )

    def _migrate(self, directory: Path) -> None:
        from app.settings import inherited

        ran = subprocess.run(
            [sys.executable, "-m", "app", "migrate"],
            env=inherited() | self._stores | {"OPENBELL_DATA_DIR": str(directory / "data")},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            raise Failure(Ends.FAILED_CHECK, f"openbell migrate: {ran.stderr.strip()}")
        if _count(self._stores[SHARED[0]], "order_keys"):
            raise Failure(Ends.USAGE, "this ledger has orders in it; a demonstration wants its own")

    def open(self, **extra: str) -> float:
        """Start every role that does not run; return the seconds until all are ready."""
        began = monotonic()
        self.started = [self._start(role, extra) for role in ROLES if role not in self._parts]
        for part in self.started:
            if not ready_line(part):
                raise RuntimeError(f"a role did not start: {self.log.read_text()[-2_000:]}")
        return monotonic() - began

    def _start(self, role: str, extra: Mapping[str, str]) -> subprocess.Popen[str]:
        settings = self.settings(extra)
        if role != "api":
            settings["OPENBELL_PORT"] = "0"
        with self.log.open("a") as log:
            self._parts[role] = subprocess.Popen(  # noqa: S603 - a role of ours
                [sys.executable, "-m", "app", "serve", "--role", role],
                env=settings,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self._parts[role]

    def kill(self) -> None:
        """End every role as a power cut would: no farewell."""
        for part in self._parts.values():
            os.kill(part.pid, signal.SIGKILL)
        self._all_ended()

    def must_live(self) -> None:
        for role, part in self._parts.items():
            if part.poll() is not None:
                raise RuntimeError(f"the {role} ended: {self.log.read_text()[-2_000:]}")

    def stop(self) -> int:
        """Ask every role to drain and end, the doors first; return the worst exit status."""
        for part in self._parts.values():
            part.send_signal(signal.SIGTERM)
        return self._all_ended()

    def _all_ended(self) -> int:
        worst = 0
        while self._parts:
            _, part = self._parts.popitem()
            worst = max(worst, abs(part.wait(STOP_S_MAX)))
            if part.stdout is not None:
                part.stdout.close()
        return worst

    def close(self) -> None:
        for part in self._parts.values():
            part.kill()
        self._all_ended()
        super().close()

    def ledger_file(self) -> Path:
        """Copy what the checker reads out of PostgreSQL, past the gateway's own code."""
        return copied(self._stores[SHARED[0]], self.directory / "ledger-copy.db")


def _count(url: str, table: str) -> int:
    import psycopg
    from psycopg import sql

    with psycopg.connect(url) as connection:
        counting = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
        found = connection.execute(counting).fetchone()
    assert found is not None
    return int(found[0])


def copied(url: str, file: Path) -> Path:
    """Copy the ledger's tables, every value as the text or number that it is, into SQLite."""
    import sqlite3

    import psycopg
    from psycopg import sql

    with psycopg.connect(url) as server, sqlite3.connect(file) as target:
        for table in TABLES:
            with server.cursor(name=f"copy_{table}") as rows:
                rows.itersize = 10_000
                rows.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table)))
                columns = [column.name for column in rows.description or ()]
                target.execute(f"CREATE TABLE {table} ({', '.join(map(_quoted, columns))})")
                places = ", ".join("?" * len(columns))
                put = f"INSERT INTO {table} VALUES ({places})"  # noqa: S608 - a name of ours
                target.executemany(put, (list(map(_plain, row)) for row in rows))
                # Whoever judges asks for what an order had: without it, each asks all.
                if "order_id" in columns:
                    target.execute(f"CREATE INDEX {table}_of ON {table} (order_id)")
    return file


def _quoted(name: str) -> str:
    return f'"{name}"'


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int | str) else str(value)
