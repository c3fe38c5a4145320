"""A small disk whose power can be cut: an ext4 in a file, mounted by a loop device.

The file holds what the file system gave to the device. A copy of it, taken while whoever
writes is stopped, is the disk after a power cut: without the dirty pages. It models a lost page
cache, not a device that lies about a flush. `kill -9` proves nothing here, because the page
cache survives it.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.faults.storm_stage import until

DISK_BYTES: Final = 160 * 1024 * 1024
TOOL_S_MAX: Final = 60.0
TOOLS: Final = ("mkfs.ext4", "mount", "umount", "losetup")


def why_no_disk() -> str | None:
    """Return why no such disk can be had here, or None."""
    if os.name != "posix" or os.geteuid() != 0:
        return "a loop device needs root"
    missing = [tool for tool in TOOLS if _found(tool) is None]
    if missing:
        return f"there is no {missing[0]} here"
    found = _run("losetup", "--find")
    return None if found.returncode == 0 else f"no loop device is free: {found.stderr.strip()}"


def _found(tool: str) -> str | None:
    """Return where a tool is; the system's own are often not on a bare PATH."""
    return shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")


class Disk:
    """One image file and where it is mounted."""

    def __init__(self, image: Path, at: Path) -> None:
        self.image = image
        self.at = at

    def format(self) -> None:
        with self.image.open("wb") as file:
            file.truncate(DISK_BYTES)
        _must("mkfs.ext4", "-q", "-F", str(self.image))

    @contextmanager
    def mounted(self) -> Iterator[None]:
        self.at.mkdir(parents=True)
        _must("mount", "-o", "loop", str(self.image), str(self.at))
        try:
            yield
        finally:
            until(lambda: _run("umount", str(self.at)).returncode == 0, "it lets go", 60)

    def settle(self) -> None:
        """Write down all that is dirty now."""
        _must("sync", "--file-system", str(self.at))

    def cut(self, writer: int, to: Path) -> None:
        """Stop the writing process, all of it, and keep what the disk holds at this instant."""
        os.kill(writer, signal.SIGSTOP)
        until(lambda: set(_states(writer)) <= {"T", "t"}, "every thread is stopped", 60)
        shutil.copyfile(self.image, to)


def _states(pid: int) -> Iterator[str]:
    for task in Path(f"/proc/{pid}/task").iterdir():
        # The name may hold anything, a bracket included; the state follows the last one.
        yield (task / "stat").read_text().rpartition(")")[2].split()[0]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - the few tools above, on files of the test's own
        [_found(command[0]) or command[0], *command[1:]],
        capture_output=True,
        text=True,
        check=False,
        timeout=TOOL_S_MAX,
    )


def _must(*command: str) -> None:
    done = _run(*command)
    assert done.returncode == 0, f"{command[0]}: {done.stderr.strip()}"
