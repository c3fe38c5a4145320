"""Long work shows a bar to a person, and leaves the data where it belongs."""

import os
import pty
import subprocess
import sys
from pathlib import Path

from app.settings import inherited
from tests.cli.conftest import Terminal
from tests.cli.gateway import OPERATOR

PROGRAM = """
import sys
from app.cli.asking.progress import working
with working("rows", 3) as advance:
    for row in range(3):
        print(row)
        advance(1)
print("rich" in sys.modules)
"""


def ran(stderr: int | None) -> str:
    """Run the program with its stdout in a pipe, and return what came there."""
    process = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", PROGRAM],
        env=inherited() | {"TERM": "xterm"},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=True,
        timeout=60,  # a terminal that nobody reads takes 4 KB and no more
    )
    return process.stdout


def test_a_bar_at_the_terminal_takes_none_of_the_data() -> None:
    ours, theirs = pty.openpty()
    try:
        assert ran(theirs).split() == ["0", "1", "2", "True"]
        shown = os.read(ours, 65_536).decode()
    finally:
        os.close(ours)
        os.close(theirs)

    assert "rows" in shown
    assert "100%" in shown


def test_a_script_hears_nothing() -> None:
    assert ran(subprocess.DEVNULL).split() == ["0", "1", "2", "False"]


def test_what_is_exported_to_a_file_is_all_there(terminal: Terminal, tmp_path: Path) -> None:
    out = tmp_path / "audit.ndjson"

    result = terminal.run("audit", "export", "--out", str(out), OPENBELL_KEY=OPERATOR)

    assert result.exit_code == 0
    assert len(out.read_text().splitlines()) == 3
    assert result.stderr == f"3 rows written to {out}\n"
