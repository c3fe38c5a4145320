"""MongoDB for tests: a replica set of one, since majority writes and transactions need a set.

Without a `mongod` it is SecantusDB, which speaks MongoDB's wire protocol: always as a process of
its own, found as a command and never imported, since its licence is the GPL. What it cannot do
(`hashed`, `sharded`) is no capability, so that such a test is skipped and says so.
"""

import contextlib
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import pymongo
from pymongo.errors import OperationFailure

from app.cli.stage.ports import free_port
from tests.servers.container import run_container
from tests.servers.images import IMAGES
from tests.servers.process import Process, Program, ask
from tests.servers.remains import Unavailable, scratch
from tests.servers.server import Server, lifecycle, place

NOT_FOUND: Final = "no mongod and no secantusd-py (the wheel SecantusDB)"
SET: Final = "rs0"
ASK_MS: Final = 1_000
AS_A_SET: Final = ["--replSet", SET, "--setParameter", "enableTestCommands=1"]


def named(url: str) -> Server:
    # Failpoints would hurt whoever else uses it.
    return _server(url, place(url), capabilities=_probed(url))


def in_docker() -> Server:
    host, port = run_container(
        IMAGES["mongo"],
        port=27017,
        command=" ".join(["mongod", "--bind_ip_all", *AS_A_SET]),
        ready=lambda host, port: _become_primary(_direct(host, port), "127.0.0.1:27017"),
    )
    url = _direct(host, port)
    return _server(url, f"container {IMAGES['mongo']}", capabilities=_probed(url) | {"failpoints"})


def of_our_own() -> Server:
    directory = scratch()
    port = free_port()
    url = _direct("127.0.0.1", port)
    mongod = shutil.which("mongod")
    if mongod:
        where = ["--port", str(port), "--bind_ip", "127.0.0.1", "--dbpath", str(directory)]
        command = [mongod, *where, *AS_A_SET, "--wiredTigerCacheSizeGB", "0.25"]
    else:
        where = ["--port", str(port), "--storage-path", str(directory / "wt")]
        sizes = ["--cache-size", "256M", "--log-level", "WARNING"]
        command = [_secantusd(), *where, *sizes, "--enable-test-commands"]

    def ready() -> None:
        ask(port)
        _become_primary(url, f"127.0.0.1:{port}")

    process = Process(
        Program(name=Path(command[0]).name, command=command, directory=directory, ready=ready)
    ).start()
    can = _probed(url) | {"failpoints", "survives_kill"} | lifecycle()
    return _server(url, f"({command[0]}), started by the tests", capabilities=can, process=process)


def _direct(host: str, port: int) -> str:
    # Direct: a set tells its clients where its members are, and that address may be another's.
    return f"mongodb://{host}:{port}/?directConnection=true"


def _secantusd() -> str:
    beside = Path(sys.executable).with_name("secantusd-py")
    found = str(beside) if beside.exists() else shutil.which("secantusd-py")
    if not found:
        raise Unavailable(NOT_FOUND)
    return found


def _client(url: str) -> pymongo.MongoClient[dict[str, Any]]:
    return pymongo.MongoClient(url, serverSelectionTimeoutMS=ASK_MS, socketTimeoutMS=5 * ASK_MS)


def _become_primary(url: str, member: str) -> None:
    with _client(url) as client:
        if client.admin.command("hello").get("isWritablePrimary"):
            return
        with contextlib.suppress(OperationFailure):  # it was told already, and is about to be
            members = [{"_id": 0, "host": member}]
            client.admin.command("replSetInitiate", {"_id": SET, "members": members})
        raise Unavailable("the set has no primary yet")


def _server(
    url: str, where: str, *, capabilities: frozenset[str], process: Process | None = None
) -> Server:
    with _client(url) as client:
        version = client.server_info()["version"]
        product = "SecantusDB as MongoDB" if _is_secantus(client) else "MongoDB"
    return Server(
        service="mongo",
        url=url,
        on=f"{product} {version} {where}",
        capabilities=capabilities,
        process=process,
    )


def _is_secantus(client: pymongo.MongoClient[dict[str, Any]]) -> bool:
    return client.admin.command("hello").get("setName") == "secantus"


def _probed(url: str) -> frozenset[str]:
    with _client(url) as client:
        told = client.admin.command("hello")
        can = {"update_pipeline", "partial_index"}
        if "directConnection=true" in url:
            can |= {"proxied"}
        if "setName" in told or told.get("msg") == "isdbgrid":
            can |= {"transactions", "change_streams"}
        if not _is_secantus(client):
            can |= {"hashed"}
        if told.get("msg") == "isdbgrid":
            can |= {"sharded"}
    return frozenset(can)
