"""Processes as Linux shows them: who lives, who was born of whom, who stands still.

The traps: a zombie has a pid and is dead, a command's name may hold blanks and brackets, and
SIGSTOP is asynchronous: a process stands still only when each of its threads says so.
"""

import contextlib
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from time import sleep
from typing import Final

PROC: Final = Path("/proc")
ASK_EVERY_S: Final = 0.001


def _stat(path: Path) -> list[str]:
    """Return the fields after the command's name: the state, the parent, and so on."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def lives(pid: int) -> bool:
    """Tell whether it runs or could; a dead one that waits for its burial does not."""
    return _stat(PROC / str(pid) / "stat")[:1] not in ([], ["Z"])


def descendants(pid: int) -> list[int]:
    """Return the children, their children, and so on."""
    children: dict[int, list[int]] = {}
    for entry in PROC.glob("[0-9]*/stat"):
        if found := _stat(entry):
            children.setdefault(int(found[1]), []).append(int(entry.parent.name))
    born: list[int] = []
    asked = [pid]
    while asked:
        found_pids = children.get(asked.pop(), [])
        born += found_pids
        asked += found_pids
    return born


def hold(pid: int) -> None:
    """Make it stand still, and return when it does."""
    tell(pid, signal.SIGSTOP)
    while lives(pid):
        threads = [_stat(entry)[:1] for entry in (PROC / str(pid) / "task").glob("*/stat")]
        if all(state in (["T"], ["t"], []) for state in threads):
            return
        sleep(ASK_EVERY_S)


def thaw(pids: Sequence[int]) -> None:
    for pid in pids:
        tell(pid, signal.SIGCONT)


def tell(pid: int, number: signal.Signals) -> None:
    """Send a signal; the dead are past hearing it, and that is well."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
