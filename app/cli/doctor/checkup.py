"""The checks of `openbell doctor`, each a function that looks and says what it found.

A finding is `ok`, a `note`, or a `fail` with its fix. The trap is to check by opening: nothing
here opens the ledger for writing or takes its lock, so a gateway may run meanwhile.
"""

import ctypes
import socket
import sqlite3
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from importlib import metadata
from pathlib import Path
from shutil import disk_usage
from typing import Final, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

PYTHON_MIN: Final = (3, 11)
SQLITE_FIXED: Final = (3, 51, 3)
# A checkout lies two floors up; an installed package has no lock beside it.
ROOT: Final = Path(__file__).parents[3]
IN_MEMORY: Final = {"tmpfs", "ramfs"}
# A day of a million orders is about 2 GB with its events, and the outbox needs room to lag.
FREE_BYTES_MIN: Final = 4_000_000_000
# Long enough for a gateway at the open to say that it lives.
PROBE_TIMEOUT_S: Final = 2.0
HORIZON_FAIL_DAYS: Final = 30
HORIZON_NOTE_DAYS: Final = 180
# adjtimex(2) returns this when nobody keeps the clock in step.
TIME_ERROR: Final = 5
TIMEX_BYTES: Final = 512
EPOCH_OF_THIS_PROGRAM: Final = date(2026, 1, 1)


class Finding(NamedTuple):
    """What one check found, and how to repair it."""

    check: str
    state: Literal["ok", "note", "fail"]
    found: str
    fix: str = ""


def python_version() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] < PYTHON_MIN:
        return Finding("python", "fail", found, "install Python 3.11 or newer, then: make install")
    return Finding("python", "ok", found)


def locked_packages(root: Path = ROOT) -> Finding:
    """Compare what is installed with the lock; only a checkout has one."""
    lock = root / "requirements.lock"
    if not lock.exists():
        return Finding("packages", "ok", "installed as a package, without a lock beside it")
    differing = [
        f"{name} {installed} instead of {' or '.join(sorted(wanted))}"
        for name, wanted in _locked(lock).items()
        if (installed := _installed(name)) not in {None, *wanted}
    ]
    if differing:
        return Finding("packages", "fail", ", ".join(differing), "make install")
    return Finding("packages", "ok", "as in requirements.lock")


def sqlite_version() -> Finding:
    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < SQLITE_FIXED:
        return Finding(
            "sqlite",
            "note",
            f"{found}: before 3.51.3 two connections that checkpoint at once can corrupt a WAL"
            " file; here one connection writes and checkpoints, so it cannot happen",
            "let no other program write to the files in the data directory",
        )
    return Finding("sqlite", "ok", found)


def data_directory(data_dir: Path) -> Iterator[Finding]:
    """Look for a place that a file survives in, without leaving one there."""
    standing = next(p for p in (data_dir.absolute(), *data_dir.absolute().parents) if p.exists())
    fix = f"mkdir -p {data_dir}, owned by who runs the gateway; or name another with --data-dir"
    try:
        with tempfile.NamedTemporaryFile(dir=standing) as file:
            file.write(b"x")
    except OSError as e:
        yield Finding("data directory", "fail", f"{standing}: {e.strerror}", fix)
        return
    kind = filesystem_of(standing)
    if kind in IN_MEMORY:
        found = f"{standing} is in memory ({kind}): an order would not survive a power cut"
        yield Finding("data directory", "fail", found, "name a directory on a disk: --data-dir")
    elif kind == "overlay":
        found = f"{standing} is a container's own layer and dies with it"
        yield Finding("data directory", "note", found, "mount a volume there")
    else:
        yield Finding("data directory", "ok", f"{standing} is writable ({kind or 'unknown disk'})")
    free = disk_usage(standing).free
    text = f"{free / 1e9:.1f} GB free"
    if free < FREE_BYTES_MIN:
        yield Finding("disk", "fail", text, "make room: a large day needs about 4 GB")
    else:
        yield Finding("disk", "ok", text)


def filesystem_of(path: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Return the type of the file system that holds the path; empty where nobody tells."""
    try:
        lines = mounts.read_text("utf-8").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split()[4].replace("\\040", " ")
        # A later mount hides an earlier one at the same place.
        if path.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, after.split()[0]
    return kind


def port_free(host: str, port: int) -> Finding:
    name = f"port {port}"
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        # As the server does: a connection that only lingers does not hold the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as e:
            if _answers(host, port):
                return Finding(name, "ok", f"{host}: a gateway serves there already")
            fix = "stop what listens there, or serve on another: OPENBELL_PORT"
            return Finding(name, "fail", f"{host}: {e.strerror}", fix)
    return Finding(name, "ok", f"{host}: free")


def _answers(host: str, port: int) -> bool:
    """Say whether what holds the port answers as a gateway does."""
    connection = HTTPConnection(host, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/livez")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def database_revision(data_dir: Path) -> Finding:
    """Read the revision of the ledger beside whoever has it open."""
    from app.ledger.schema import HEAD

    file = data_dir / "ledger.db"
    if not file.exists():
        return Finding("ledger", "ok", f"{file}: not there yet; the first start makes it")
    try:
        connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as e:
        return Finding(
            "ledger", "fail", f"{file}: {e}", "restore it from a backup, or move it away"
        )
    found = row[0] if row else "none"
    if found > HEAD:
        fix = "run the newer version that wrote it, or restore a backup from before"
        return Finding("ledger", "fail", f"revision {found}, this program knows {HEAD}", fix)
    if found != HEAD:
        return Finding("ledger", "note", f"revision {found}; the next start brings it to {HEAD}")
    return Finding("ledger", "ok", f"revision {found}")


def calendar_horizon(today: date) -> Iterator[Finding]:
    """Say for how long we know when the bell rings."""
    from app.reference import BadReference, load_calendar

    fix = "openbell calendar build, then review and ship app/data/sessions.json"
    try:
        calendar = load_calendar()
    except BadReference as e:
        yield Finding("calendar", "fail", str(e), fix)
        return
    for market in calendar.markets:
        last = calendar.last_date(market)
        days = (last - today).days
        state: Literal["ok", "note", "fail"] = "ok"
        if days < HORIZON_NOTE_DAYS:
            state = "note" if days >= HORIZON_FAIL_DAYS else "fail"
        found = f"sessions up to {last}, {days} days ahead"
        yield Finding(f"calendar {market}", state, found, "" if state == "ok" else fix)


def time_zones() -> Finding:
    try:
        ZoneInfo("America/New_York"), ZoneInfo("Asia/Seoul")
    except ZoneInfoNotFoundError as e:
        return Finding("time zones", "fail", str(e), "make install brings the package tzdata")
    return Finding("time zones", "ok", "known")


def clock_in_step(today: date) -> Finding:
    """Ask the kernel whether anybody keeps the clock right; sessions open by it."""
    fix = "run chrony or systemd-timesyncd; in a container, on its host"
    if today < EPOCH_OF_THIS_PROGRAM:
        return Finding("clock", "fail", f"it says {today}", fix)
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(TIMEX_BYTES))
    except (OSError, AttributeError):
        state = -1
    if state == TIME_ERROR:
        return Finding("clock", "note", "nobody keeps it in step: the bell may ring late", fix)
    if state < 0:
        return Finding("clock", "note", "the kernel does not say whether it is in step", fix)
    return Finding("clock", "ok", "in step")


def _locked(lock: Path) -> dict[str, set[str]]:
    """Return the versions of each package; an older Python may be given another one."""
    found: dict[str, set[str]] = defaultdict(set)
    for line in lock.read_text("utf-8").splitlines():
        name, pinned, rest = line.partition("==")
        if pinned and not line.startswith((" ", "#")):
            found[name.partition("[")[0]].add(rest.split()[0])
    return found


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
