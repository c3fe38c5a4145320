"""The fixtures of the test servers, and what the run tells about them.

`postgres`, `redis`, `kafka`, `mongo`; `quickfix` and `quickfixj`, and `acceptor` for both in turn.

One server of each for a session, and for a worker of a parallel run; none before a test asks. At
the end the summary names what each ran on, since a green run on a stand-in and one on the real
thing are two different facts.
"""

from collections.abc import Iterator
from typing import Any, Final

import pytest

from tests.servers import chain, fix
from tests.servers import postgres as postgres_server
from tests.servers.postgres import PostgresServer
from tests.servers.remains import Unavailable, end_all
from tests.servers.server import Server
from tests.servers.wishes import is_required

TOLD: Final = "openbell_servers"
_told: set[str] = set()


def lent(service: str) -> Server:
    try:
        return chain.get(service)
    except Unavailable as e:
        if is_required(service):
            pytest.fail(f"required: {e}", pytrace=False)
        pytest.skip(str(e))


@pytest.fixture(scope="session")
def postgres() -> PostgresServer:
    """Lend PostgreSQL, durable; `postgres.fresh_database()` gives a test a database of its own."""
    server = lent("postgres")
    assert isinstance(server, PostgresServer)
    return server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """Lend the address of an empty database for one test."""
    with postgres.fresh_database() as url:
        yield url


@pytest.fixture(scope="session")
def weak_postgres() -> Iterator[PostgresServer]:
    """Lend a PostgreSQL that may lose a commit (`fsync=off`), for tests of the refusal."""
    try:
        server = postgres_server.of_our_own("fsync=off")
    except Unavailable as e:
        pytest.skip(str(e))
    yield server
    assert server.process is not None
    server.process.discard()


@pytest.fixture(scope="session")
def redis() -> Server:
    return lent("redis")


@pytest.fixture(scope="session")
def mongo() -> Server:
    return lent("mongo")


@pytest.fixture(scope="session")
def kafka() -> Server:
    return lent("kafka")


@pytest.fixture(scope="session", params=["quickfix", "quickfixj"])
def acceptor(request: pytest.FixtureRequest) -> fix.Acceptor:
    """Lend a FIX broker on an engine that is not ours: each test runs against every one."""
    return _acceptor(request.param)


@pytest.fixture(scope="session")
def quickfix() -> fix.Acceptor:
    return _acceptor("quickfix")


@pytest.fixture(scope="session")
def quickfixj() -> fix.Acceptor:
    return _acceptor("quickfixj")


def _acceptor(service: str) -> fix.Acceptor:
    server = lent(service)
    assert isinstance(server, fix.Acceptor)
    return server


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown() -> None:
    """Bring back what a test has killed and, failing half way, has left dead."""
    for server in chain.started():
        server.start()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    _told.update(chain.told())
    # A worker of a parallel run has no terminal: it hands its lines to the one who has.
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[TOLD] = sorted(_told)
    end_all()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _told.update(getattr(node, "workeroutput", {}).get(TOLD, []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _told:
        terminalreporter.section("servers")
        for line in sorted(_told):
            terminalreporter.write_line(line)
