"""Each planted bug is found by the test that is there to find it, in a copy of the program.

    copy app, migrations, tests ─► plant one bug ─► run one test there ─► it must fail

The trap is a test that fails for another reason: the wrong `app` was imported, the test was not
found, the copy was not whole. So the copy says which `app` it imported, only a failed test
counts, and the same copy without a bug must pass.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.mutants.planted import MUTANTS, Mutant

HERE: Final = Path(__file__).parents[2]
COPIED: Final = ("app", "migrations", "tests")
TIMEOUT_S: Final = 300  # only says when to stop hoping
SOME_TESTS_FAILED: Final = 1  # pytest's own exit code; 2 to 5 say that it could not run them
RUN: Final = (
    "import sys, app, pytest;"
    "assert app.__file__.startswith(sys.argv[1]), f'imported {app.__file__}';"
    "sys.exit(pytest.main(['-q', '-x', '-p', 'no:cacheprovider', *sys.argv[2:]]))"
)

pytestmark = pytest.mark.mutant


def copied(to: Path) -> Path:
    """Copy what a test needs, with its bytecode: compiling it again takes longer than the test."""
    for name in COPIED:
        shutil.copytree(HERE / name, to / name, ignore=shutil.ignore_patterns("mutants"))
    shutil.copy2(HERE / "pyproject.toml", to)
    return to


def plant(mutant: Mutant, at: Path) -> None:
    path = at / mutant.file
    text = path.read_text("utf-8")
    found = text.count(mutant.old)
    assert found == 1, f"{mutant.name}: expected its snippet once in {mutant.file}, found {found}"
    path.write_text(text.replace(mutant.old, mutant.new), "utf-8")
    for stale in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        stale.unlink()


def outcome(at: Path, *tests: str) -> tuple[int, str]:
    """Run tests in a copy; return pytest's exit code and what it said."""
    ran = subprocess.run(  # noqa: S603 - our own interpreter on our own copy
        [sys.executable, "-c", RUN, str(at), *tests],
        cwd=at,
        env={"PYTHONPATH": str(at)},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    return ran.returncode, ran.stdout + ran.stderr


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found(mutant: Mutant, tmp_path: Path) -> None:
    at = copied(tmp_path)
    plant(mutant, at)
    code, said = outcome(at, mutant.caught_by)

    assert code == SOME_TESTS_FAILED, said
    assert "1 failed" in said, said


def test_without_a_bug_the_same_copy_passes(tmp_path: Path) -> None:
    tests = sorted({mutant.caught_by for mutant in MUTANTS})
    code, said = outcome(copied(tmp_path), *tests)

    assert code == 0, said


def test_every_mutant_has_a_name_and_a_file_of_ours() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 12
    assert {mutant.file.split("/")[0] for mutant in MUTANTS} == {"app"}
