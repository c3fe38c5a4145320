"""A stress test says what was held, and ends so that a script hears it."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.cli.bench.load import Paced
from app.cli.stress import Found, Wanted, missed
from tests.cli.benches import NOWHERE

WANTED = Wanted(800.0, 60.0, 64, 1_000.0, bell=True)
HELD = Found({"201": 48_000}, 41.0, 5_000.0)
MISSED = {
    "503": HELD._replace(statuses={"201": 47_000, "503": 1_000}),
    "the p99 was 1400 ms": HELD._replace(p99_ms=1_400.0),
    "799 a second were answered": HELD._replace(answered=799.0),
}


def test_a_small_peak_is_held_and_reported(tmp_path: Path) -> None:
    report, work = tmp_path / "stress.json", tmp_path / "work"
    words = ["stress", "--peak", "10", "--seconds", "0.5", "--connections", "2", "--no-bell"]
    words += ["--p99-ms", "60000", "--dir", str(work), "--report", str(report)]

    result = CliRunner(env=NOWHERE).invoke(app, words, catch_exceptions=False)

    assert result.exit_code == 0, result.output
    told = json.loads(report.read_text())
    assert told["conditions"]["verdict"] == "held"
    assert {one["name"]: one["median"] for one in told["figures"]}["orders taken"] == 1
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("words", MISSED)
def test_what_was_not_held_is_said(words: str) -> None:
    (said,) = missed(WANTED, MISSED[words], 48_000)

    assert words in said
    assert missed(WANTED, HELD, 48_000) == []
    assert missed(WANTED, HELD._replace(answered=None), 48_000) == []


def test_an_open_loop_does_not_wait_for_a_slow_gateway() -> None:
    async def taken() -> list[tuple[bytes, float] | None]:
        paced = Paced([b"1", b"2"], {}, rate=1_000_000.0)
        return [paced.next() for _ in range(3)]

    first, second, third = asyncio.run(taken())

    # Nobody has answered the first; the second is due all the same, and from its own time on.
    assert first is not None
    assert second is not None
    assert second[1] - first[1] == pytest.approx(1e-6, abs=1e-8)
    assert third is None
