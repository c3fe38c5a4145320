"""A simulated broker ends with the process that started it: two would write to one record."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from tests.children import first_words, outlived
from tests.eventually import eventually

PARENT = """
import os, sys
from pathlib import Path
from app.brokers.sim.process import SimProcess
child = SimProcess(Path(sys.argv[1]), "secret", more=["--with-parent"]).start()
print(child.pid, flush=True)
sys.stdin.read()
os._exit(9)
"""


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_it_ends_when_its_parent_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "audit.jsonl")]
    parent = subprocess.Popen(  # noqa: S603 - our own lines
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    with outlived(parent):
        child = int(first_words(parent))
        assert lives(child)
        parent.kill()

    try:
        asyncio.run(eventually(lambda: not lives(child), 10))
    finally:
        if lives(child):
            os.kill(child, 9)
