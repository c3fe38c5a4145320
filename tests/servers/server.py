"""A server as a test sees it: an address, what it can do, and the means to hurt it.

    def test_the_view_survives_a_frozen_store(mongo: Server) -> None:
        mongo.needs("freeze")
        with mongo.freeze():
            ...

- `url` is its address (for Kafka `host:port`, also called `bootstrap`).
- `on` says in words what it is: "Apache Kafka 4.1.0, started by the tests".
- `needs("session_expiry")` skips the test where this server cannot show that, or fails it where
  OPENBELL_REQUIRE names `kafka:session_expiry`. Ask for what the test needs, not for a name.
- `kill()` is SIGKILL, `stop()` a clean end; `start()` brings it back on the same port with its
  data, and does nothing where it runs. `freeze()` holds it still: sockets open, no answer. They
  need the capability `kill` or `freeze`, which a server that is somebody else's has not.
- `proxied()` puts a TCP proxy before it (capability `proxied`): see proxy.py.
- `fresh_name()` is a name that nobody else uses, for a topic, a group, a database, a key. A server
  is shared by all tests of a session: share no names, and delete nothing that is not yours.

The trap: a test that names a server's product instead of what it needs, and is then skipped, or
wrong, on every other one.
"""

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.servers.proc import PROC
from tests.servers.process import Process
from tests.servers.proxy import Proxy
from tests.servers.wishes import is_required

# A server may be somebody's, who must see at a glance what is ours.
PREFIX = "openbell_test_"


def fresh_name(of: str = "") -> str:
    """Return a name that nobody else uses; legal for topics, groups, databases and keys."""
    return f"{PREFIX}{of}{'_' if of else ''}{secrets.token_hex(5)}"


def place(url: str) -> str:
    """Return where that is, without the password."""
    split = urlsplit(url)
    return f"at {split.hostname}:{split.port}"


@dataclass(kw_only=True, eq=False)
class Server:
    """One server of the session: see the module's words."""

    service: str
    url: str
    on: str
    capabilities: frozenset[str]
    process: Process | None = None
    # Kafka tells clients its own address, so a proxied listener has two ports of its own: the one
    # where it listens, and the one that it tells.
    proxied_ports: tuple[int, int] | None = None

    @property
    def bootstrap(self) -> str:
        return self.url

    def needs(self, *capabilities: str) -> None:
        """Skip the test, or fail it, where the server lacks one of these."""
        for missing in [name for name in capabilities if name not in self.capabilities]:
            reason = f"{self.service}: {self.on} cannot show {missing}"
            if is_required(self.service, missing):
                pytest.fail(f"required: {reason}", pytrace=False)
            pytest.skip(reason)

    def kill(self) -> None:
        self.needs("kill")
        self._own.kill()

    def stop(self) -> None:
        self.needs("kill")
        self._own.stop()

    def start(self) -> None:
        """Bring it back, on the same port and with its data, where it does not run."""
        if self.process is not None:
            self.process.start()

    @contextlib.contextmanager
    def freeze(self) -> Iterator[None]:
        self.needs("freeze")
        with self._own.freeze():
            yield

    @contextlib.contextmanager
    def proxied(self) -> Iterator[Proxy]:
        """Put a proxy before it; `proxy.url` is what the client is told."""
        self.needs("proxied")
        if self.proxied_ports is not None:
            behind, told = self.proxied_ports
            with Proxy(("127.0.0.1", behind), port=told, url="{}") as proxy:
                yield proxy
            return
        split = urlsplit(self.url)
        host, port = split.hostname or "127.0.0.1", split.port
        assert port is not None, f"no port in {self.url}"
        login, at, _ = split.netloc.rpartition("@")
        url = split._replace(netloc=f"{login}{at}{{}}").geturl()
        with Proxy((host, port), url=url) as proxy:
            yield proxy

    @property
    def _own(self) -> Process:
        assert self.process is not None, f"{self.on} has `kill` or `freeze` and no process"
        return self.process


def lifecycle() -> set[str]:
    """Return what each server can do that we started ourselves."""
    return {"kill", "freeze"} if PROC.is_dir() else {"kill"}
