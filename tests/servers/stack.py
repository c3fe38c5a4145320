"""The four servers for a developer without Docker: `make stack`.

    python -m tests.servers.stack                      until Ctrl-C; prints what to export
    python -m tests.servers.stack --env-file FILE      and writes that to FILE, to be sourced
    python -m tests.servers.stack -- openbell serve    for as long as that command runs

The servers are those that the tests start: real where they are installed, stand-ins else. They
are new at each start, their data are removed at the end, and nothing of them outlives this process,
not even its `kill -9`. The trap: a figure measured here is not one of a production cluster.
"""

import argparse
import contextlib
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg

from tests.servers import kafka, mongo, postgres, redis
from tests.servers.remains import Unavailable
from tests.servers.server import Server
from tests.servers.wishes import without_settings

STARTERS = (postgres.of_our_own, kafka.of_our_own, mongo.of_our_own, redis.of_our_own)


class Stack(dict[str, str]):
    """What to put into a gateway's environment, by name; and the servers behind it."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = {server.service: server for server in servers}
        super().__init__(
            OPENBELL_LEDGER_URL=_database(self.servers["postgres"].url),
            OPENBELL_KAFKA__BOOTSTRAP=self.servers["kafka"].bootstrap,
            # One broker: more copies than that cannot be had.
            OPENBELL_KAFKA__REPLICATION="1",
            OPENBELL_KAFKA__MIN_INSYNC="1",
            OPENBELL_MONGO__URL=self.servers["mongo"].url,
            OPENBELL_REDIS_URL=self.servers["redis"].url,
        )

    def lines(self) -> str:
        """Return it for a shell."""
        return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in self.items())


@contextlib.contextmanager
def running_stack() -> Iterator[Stack]:
    """Run the four servers; lend the environment that a gateway needs to use them."""
    with contextlib.ExitStack() as ends:
        servers: list[Server] = []
        for start in STARTERS:
            server = start()
            assert server.process is not None
            ends.callback(server.process.discard)
            servers.append(server)
        yield Stack(servers)


def _database(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE openbell")
    return f"{url.rpartition('/')[0]}/openbell"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.servers.stack", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--env-file", type=Path, help="where to write the lines to source")
    parser.add_argument("--needs", default="", help="what Kafka has to show, or there is no stack")
    parser.add_argument("command", nargs="*", help="run this on the stack, and end with it")
    given = parser.parse_args(arguments)
    # As Ctrl-C, from the first moment on: a start that is interrupted ends what it has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with running_stack() as stack:
            _require(stack.servers["kafka"], given.needs.split())
            return _serve(stack, given.env_file, given.command)
    except Unavailable as e:
        say(f"no stack: {e}")
        return 1
    except KeyboardInterrupt:
        return 0


def _require(server: Server, capabilities: Sequence[str]) -> None:
    """Raise `Unavailable` where a stand-in would only fail later, and look like our fault."""
    missing = [name for name in capabilities if name not in server.capabilities]
    if missing:
        raise Unavailable(f"{server.service}: {server.on} cannot show {', '.join(missing)}")


def _serve(stack: Stack, env_file: Path | None, command: Sequence[str]) -> int:
    for server in stack.servers.values():
        assert server.process is not None
        say(f"{server.service}: {server.on}; its log is {server.process.program.log}")
    if env_file is not None:
        _write(env_file, stack.lines())
    try:
        if command:
            return _run(command, stack)
        sys.stdout.write(stack.lines())
        sys.stdout.flush()
        say("ready; Ctrl-C ends it")
        while True:
            signal.pause()
    finally:
        if env_file is not None:
            env_file.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    """Write it whole or not at all: whoever waits for the file reads it at once."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)


def _run(command: Sequence[str], stack: Stack) -> int:
    with subprocess.Popen(command, env=without_settings() | stack) as child:  # noqa: S603 - theirs
        try:
            return child.wait()
        except KeyboardInterrupt:
            child.terminate()
            return child.wait()


def say(text: str) -> None:
    sys.stderr.write(f"stack: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
