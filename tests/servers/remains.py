"""Nothing of ours stays behind: no process and no directory, however the run ends.

A run that ends well ends its servers itself (`end_all`). For one that gets `kill -9`, a small
process of its own watches over both: see guardian.py.
"""

import atexit
import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any, NamedTuple, Protocol

# A tool that makes a server's files takes seconds: initdb, javac, Kafka's format.
MADE_S_MAX = 120.0
# It gives what is left five seconds; there is nothing left when it is dismissed.
DISMISSED_S_MAX = 15.0


class Unavailable(Exception):
    """A server cannot be had; the message says why, in words for the skip's line."""


class Owner(NamedTuple):
    """Whom a server runs as, where it refuses root."""

    user: int
    group: int


class Ending(Protocol):
    """What must end with us."""

    def ask_to_end(self) -> None: ...
    def stop(self) -> None: ...


def unprivileged() -> Owner | None:
    """Find somebody who is not root; None where we are not root ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Owner(entry.pw_uid, entry.pw_gid)
    raise Unavailable("we are root, and there is no user postgres or nobody")


def as_owner(owner: Owner | None) -> dict[str, Any]:
    """Return what Popen needs to run a command as that owner."""
    return {} if owner is None else {"user": owner.user, "group": owner.group, "extra_groups": []}


def scratch(owner: Owner | None = None) -> Path:
    """Make a directory that the owner can write to and that is removed at the end.

    Not pytest's own (0700), which an owner other than us cannot read; and its name is short, since
    a socket's path may have 107 bytes.
    """
    path = Path(tempfile.mkdtemp(prefix="ob-"))
    note(f"+d {path}")
    _directories.append(path)
    path.chmod(0o755)
    if owner is not None:
        os.chown(path, owner.user, owner.group)
    return path


def remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
    if path in _directories:
        _directories.remove(path)
        note(f"-d {path}")


class Guardian:
    """The line to the small process that cleans up after us when we could not."""

    def __init__(self) -> None:
        program = Path(__file__).with_name("guardian.py")
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-I", "-S", str(program)],
            stdin=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is for us
        )
        assert self._process.stdin is not None
        self._lines: IO[bytes] = self._process.stdin

    def note(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # somebody has ended it: then we are alone
            self._lines.write(f"{line}\n".encode())
            self._lines.flush()

    def dismiss(self) -> None:
        self._lines.close()
        try:
            self._process.wait(DISMISSED_S_MAX)
        except subprocess.TimeoutExpired:  # a child that was forked and never executed has our end
            self._process.kill()
            self._process.wait()


_directories: list[Path] = []
_processes: list[Ending] = []
_guardians: list[Guardian] = []


def note(line: str) -> None:
    """Tell the guardian, in its own words; the first word brings it to life."""
    if not _guardians:
        _guardians.append(Guardian())
    _guardians[0].note(line)


def started(process: Ending) -> None:
    _processes.append(process)


def ended(process: Ending) -> None:
    if process in _processes:
        _processes.remove(process)


def end_all() -> None:
    """End every process and remove every directory of ours; twice is once."""
    ours = tuple(_processes)
    for process in ours:
        process.ask_to_end()  # all of them first, so that they end side by side
    for process in ours:
        process.stop()
    for directory in tuple(_directories):
        remove(directory)
    while _guardians:
        _guardians.pop().dismiss()


atexit.register(end_all)
