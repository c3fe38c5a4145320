"""A part of a gateway that cannot start says why, in one sentence and soon; one that can serves.

The refusals run inside this process, as `serve` does up to its first loop; one dispatcher is
started as a site would start it. The trap is an address that takes the call and never answers:
a refused connection ends by itself, silence has to be ended.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Timer
from time import perf_counter
from typing import Any, Final

import psycopg
import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.cli.stage.ports import free_port
from app.ledger.schema import HEAD
from app.settings import inherited
from tests.servers.server import Server, fresh_name

ONE_BROKER: Final = json.dumps({"n": {"options": {"url": "http://127.0.0.1:9", "secret": "s"}}})
# Whoever waits at a terminal for a wrong address wants the error and not a hang.
SAID_WITHIN_S: Final = 15.0
START_S_MAX: Final = 30.0


@pytest.fixture
def mute() -> Iterator[str]:
    """Lend an address that takes every call and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=16) as listens:
        yield f"127.0.0.1:{listens.getsockname()[1]}"


def run(here: Path, *words: str, **stores: str) -> Result:
    """Run one command of ours in this process, in the environment of a site."""
    environment = site(here, **stores)
    return CliRunner().invoke(app, list(words), env=environment, catch_exceptions=False)


def site(here: Path, **stores: str) -> dict[str, str]:
    """Return the settings of a site; a store that is not named is nowhere."""
    nowhere = f"127.0.0.1:{free_port()}"
    given = {
        "ledger_url": f"postgresql://openbell@{nowhere}/openbell",
        "kafka__bootstrap": nowhere,
        "kafka__replication": "1",
        "kafka__min_insync": "1",
        "mongo__url": f"mongodb://{nowhere}",
        "data_dir": str(here / "data"),
        "brokers": ONE_BROKER,
        **stores,
    }
    return {f"OPENBELL_{name.upper()}": value for name, value in given.items() if value}


def serve(here: Path, role: str, **stores: str) -> Result:
    return run(here, "serve", "--port", "0", "--role", role, **stores)


def refused(result: Result, *words: str) -> bool:
    """Whether it ended with 1 and a word on what is wrong, in which these stand."""
    return result.exit_code == 1 and all(word in result.stderr for word in words)


# --- what stops a start -----------------------------------------------------------------


@pytest.mark.parametrize("role", ["api", "dispatcher"])
def test_a_ledger_that_was_never_migrated_stops_every_part(
    database: str, tmp_path: Path, role: str
) -> None:
    result = serve(tmp_path, role, ledger_url=database)

    assert refused(result, "the ledger is empty", f"needs {HEAD}", "run `openbell migrate`")


@pytest.mark.parametrize(
    "role", ["api", "dispatcher", "relay", "projector", "failover", "throttle", "alarms"]
)
def test_a_part_without_stores_to_share_is_no_part(tmp_path: Path, role: str) -> None:
    result = serve(tmp_path, role, ledger_url="")

    assert result.exit_code == 2
    assert f"role {role}" in result.stderr
    assert "ledger_url, kafka, mongo" in result.stderr


def test_a_ledger_from_the_future_stops_the_start_and_is_not_touched(
    ledger_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(ledger_url, autocommit=True) as session:
        session.execute("UPDATE alembic_version SET version_num = '9999'")
    serving = serve(tmp_path, "api", ledger_url=ledger_url)
    migrating = run(tmp_path, "migrate", ledger_url=ledger_url)
    with psycopg.connect(ledger_url) as session:
        found = session.execute("SELECT version_num FROM alembic_version").fetchall()

    assert refused(serving, "revision 9999", f"this program at {HEAD}")
    assert refused(migrating, "revision 9999", f"this program at {HEAD}")
    assert found == [("9999",)]


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "silent"])
def test_a_ledger_that_is_away_stops_the_start_soon(
    mute: str, tmp_path: Path, *, silent: bool
) -> None:
    url = {"ledger_url": f"postgresql://openbell@{mute}/openbell"} if silent else {}
    began = perf_counter()
    result = serve(tmp_path, "api", **url)

    assert perf_counter() - began < SAID_WITHIN_S
    assert refused(result, "PostgreSQL is away")


@pytest.mark.parametrize("silent", [False, True], ids=["refuses", "silent"])
def test_a_bus_that_is_away_stops_who_needs_it_soon(
    ledger_url: str, mute: str, tmp_path: Path, *, silent: bool
) -> None:
    kafka = {"kafka__bootstrap": mute} if silent else {}
    began = perf_counter()
    result = serve(tmp_path, "relay", ledger_url=ledger_url, **kafka)

    assert perf_counter() - began < SAID_WITHIN_S
    assert refused(result, "topics at 127.0.0.1")


def test_a_view_that_is_away_stops_who_writes_it_soon(mute: str, tmp_path: Path) -> None:
    """On a gateway with an embedded ledger and bus: they come first, and must not be what fails."""
    embedded = {"ledger_url": "", "kafka__bootstrap": "", "kafka__replication": ""}
    mongo = {"kafka__min_insync": "", "mongo__url": f"mongodb://{mute}"}
    began = perf_counter()
    result = serve(tmp_path, "all", **embedded, **mongo)

    assert perf_counter() - began < SAID_WITHIN_S
    assert refused(result, "MongoDB is away")


def test_a_ledger_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    assert len(serve(tmp_path, "api").stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"ledger_url": "mysql://openbell@127.0.0.1/openbell"},
        {"ledger_url": "postgresql://127.0.0.1:port/openbell"},
        {"mongo__url": "http://127.0.0.1"},
    ],
    ids=["another server", "no port", "no mongodb"],
)
def test_an_address_of_nonsense_is_a_wrong_setting(
    ledger_url: str, tmp_path: Path, wrong: Mapping[str, str]
) -> None:
    result = serve(tmp_path, "api", **{"ledger_url": ledger_url, **wrong})

    assert result.exit_code in {1, 2}
    assert result.stderr.strip()


# --- migrate ----------------------------------------------------------------------------


def test_migrate_makes_every_store_ready_and_does_no_harm_a_second_time(
    database: str, mongo: Server, tmp_path: Path
) -> None:
    stores = {"ledger_url": database, "mongo__url": mongo.url, "mongo__database": fresh_name()}
    embedded_bus = {"kafka__bootstrap": "", "kafka__replication": "", "kafka__min_insync": ""}
    said = [run(tmp_path, "migrate", **stores, **embedded_bus) for _ in range(2)]

    assert [each.exit_code for each in said] == [0, 0]
    assert all(f"at revision {HEAD}" in each.stdout for each in said)
    assert serve_stops_at_kafka(tmp_path, database)


def serve_stops_at_kafka(here: Path, ledger_url: str) -> bool:
    """Whether a part gets past this ledger."""
    return refused(serve(here, "relay", ledger_url=ledger_url), "topics at")


def test_migrate_says_which_store_is_away(database: str, tmp_path: Path) -> None:
    ledger = run(tmp_path, "migrate")
    bus = run(tmp_path, "migrate", ledger_url=database)

    assert refused(ledger, "PostgreSQL is away")
    assert refused(bus, "topics at 127.0.0.1")


# --- a part at work ---------------------------------------------------------------------


class Part:
    """One part as a process of its own, and the doors that it has."""

    def __init__(self, role: str, settings: Mapping[str, str]) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - a role of ours
            [sys.executable, "-m", "app", "serve", "--port", "0", "--role", role],
            env=inherited() | dict(settings),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        impatience = Timer(START_S_MAX, self.process.kill)
        impatience.start()
        self.ready: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")
        impatience.cancel()

    def ask(self, path: str, body: bytes | None = None) -> tuple[int, str]:
        url = f"{self.ready['url']}{path}"
        try:
            with urllib.request.urlopen(url, body, timeout=10) as reply:  # noqa: S310 - our own
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as e:
            with e:
                return e.code, e.read().decode()

    def stop(self) -> tuple[int, str]:
        """SIGTERM; return its exit status and what it had to say."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)
        impatience = Timer(START_S_MAX, self.process.kill)
        impatience.start()
        _, said = self.process.communicate()
        impatience.cancel()
        return self.process.returncode, said


@pytest.fixture
def dispatcher(ledger_url: str, tmp_path: Path) -> Iterator[Part]:
    part = Part("dispatcher", site(tmp_path, ledger_url=ledger_url))
    yield part
    part.stop()


def test_a_dispatcher_has_probes_and_metrics_and_no_other_door(dispatcher: Part) -> None:
    """Its bus and its view are away meanwhile: it sends orders without them."""
    assert dispatcher.ready.get("role") == "dispatcher"
    assert "keys" not in dispatcher.ready  # nobody speaks to it
    for probe in ("/livez", "/readyz", "/startupz"):
        assert dispatcher.ask(probe)[0] == 200
    status, metrics = dispatcher.ask("/metrics")
    assert status == 200
    assert 'openbell_broker_owner_epoch{broker="n"} 1.0' in metrics
    for door in ("/v1/orders", "/v1/orders/batch", "/hooks/brokers/n", "/admin/v1/halt"):
        status, told = dispatcher.ask(door, b"{}")
        assert status == 404
        assert json.loads(told)["code"] == "not-found"
    assert dispatcher.ask("/v1/orders")[0] == 404

    assert dispatcher.stop() == (0, "")
