"""What a figure needs beside it: the machine, and what a process has used of it.

A rate without its machine says nothing, so each report begins with one. Rounds are apart: the
next begins when the gateway has nothing left to do from the one before, or the second of two
would pay for the first.
"""

import os
import platform
import sqlite3
import tempfile
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep
from typing import Any, Final

from app.cli.doctor.checkup import IN_MEMORY, filesystem_of

FSYNCS: Final = 32
PAGE_BYTES: Final = 4_096
# A process that used less than this share of a core for a moment has nothing left to do; the
# gateway's timers alone take one or two hundredths.
QUIET_SHARE: Final = 0.08
QUIET_LOOK_S: Final = 0.15
QUIET_S_MAX: Final = 60.0


def work_directory(wanted: Path | None) -> Path:
    """Make a directory for one run, on a disk if there is one: durable is what we measure."""
    place = wanted or Path(tempfile.gettempdir())
    if wanted is None and filesystem_of(place) in IN_MEMORY:
        place = Path.cwd()
    place.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="openbell-bench-", dir=place))


def machine(directory: Path) -> dict[str, Any]:
    """Return the facts of this machine that the figures depend on."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else cores(),
        "load_average": round(os.getloadavg()[0], 2),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "disk": filesystem_of(directory) or "unknown",
        "fsync_ms": fsync_ms(directory),
    }


def cores() -> int:
    return os.cpu_count() or 1


def fsync_ms(directory: Path) -> float:
    """Return the median time in which a page is written and on disk."""
    taken = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(FSYNCS):
            began = perf_counter()
            file.write(bytes(PAGE_BYTES))
            file.flush()
            os.fsync(file.fileno())
            taken.append(perf_counter() - began)
    return round(median(taken) * 1_000, 3)


def cpu_s(pid: int) -> float | None:
    """Return the seconds of processor that a process has used; None where nobody tells."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return (int(after_name[11]) + int(after_name[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int, what: str = "VmHWM") -> float | None:
    """Return the most memory that a process has held (`VmRSS`: holds now), in MB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith(f"{what}:")]
    return round(int(found[0]) * 1_024 / 1e6, 1) if found else None


def until_quiet(pid: int) -> None:
    """Return when the process has worked off what the last round left it."""
    deadline = monotonic() + QUIET_S_MAX
    before, at = cpu_s(pid), monotonic()
    while monotonic() < deadline:
        sleep(QUIET_LOOK_S)
        now = cpu_s(pid)
        if now is None or before is None:
            return
        if now - before < QUIET_SHARE * (monotonic() - at):
            return
        before, at = now, monotonic()
