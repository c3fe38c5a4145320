"""The power goes: whatever was answered is on the disk that is left, and can be worked with.

The gateway runs on a disk of its own while people post, cancel and amend. It is stopped dead,
the disk is copied as it is, and another gateway starts on the copy. The second half proves that
this can fail: a ledger that asks for less than FULL loses what it acknowledged.
"""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from app.cli.stage.book import reserved_book
from tests.children import first_words, outlived
from tests.faults.crowd import Crowd
from tests.faults.disk import Disk, why_no_disk
from tests.faults.storm_stage import StormStage, say, until

WHY_NOT: Final = why_no_disk()
pytestmark = [
    pytest.mark.storm,
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]

CUTS: Final = 3
# The evening's book, and then some that came one by one.
ACKED_MIN: Final = 650
RATES: Final = {"north": 200, "south": 200}
# Rows that a weak ledger has acknowledged by the time that its power goes.
SCRIBBLED_MIN: Final = 2_000


def test_whatever_was_answered_survives_a_power_cut(tmp_path: Path) -> None:
    acked = [_cut(tmp_path / f"cut-{number}", number) for number in range(CUTS)]

    say(f"answered before each cut: {acked}; lost: 0")


def _cut(directory: Path, number: int) -> int:
    """Run a gateway, cut its power, start another on what is left; return the answers given."""
    disk = Disk(directory / "disk.img", directory / "before" / "data")
    left = Disk(directory / "left.img", directory / "after" / "data")
    directory.mkdir()
    disk.format()
    with disk.mounted(), closing(StormStage(directory / "before", rates=RATES)) as stage:
        crowd = _worked(stage, disk, left.image, number)
    with left.mounted(), closing(StormStage(directory / "after", rates=RATES)) as stage:
        stage.open()
        _still_there(stage, crowd)
        assert stage.stop() == 0
        with closing(sqlite3.connect(stage.ledger)) as ledger:
            assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    return len(crowd.acked)


def _worked(stage: StormStage, disk: Disk, left: Path, number: int) -> Crowd:
    stage.open()
    crowd = Crowd(stage, reserved_book(20_000, stage.find_sessions()), f"power/{number}")
    crowd.start()
    try:
        until(lambda: len(crowd.acked) > ACKED_MIN + 150 * number, "enough is answered", 120)
        assert stage.gateway is not None
        disk.cut(stage.gateway.pid, left)
    finally:
        stage.kill()
        crowd.abandon()
        crowd.finish()
    return crowd


def _still_there(stage: StormStage, crowd: Crowd) -> None:
    """Post every answered order again: it must be known, as it was, under the same id."""
    stage.take([crowd.posted[order_id] for order_id in crowd.acked], crowd.history)
    with stage.calling("client") as client:
        for order_id in crowd.acked[:200]:
            found = client.get(f"/v1/orders/{order_id}")
            assert found["quantity"] in crowd.quantities.get(order_id, {found["quantity"]})
        for order_id in crowd.canceled_at_once:
            assert client.get(f"/v1/orders/{order_id}")["status"] == "canceled"
    with closing(sqlite3.connect(f"file:{stage.ledger}?mode=ro", uri=True)) as ledger:
        known = {row[0] for row in ledger.execute("SELECT order_id FROM orders")}
    lost = [order_id for order_id in crowd.acked if order_id not in known]
    assert lost == []


@pytest.mark.parametrize("level", ["FULL", "NORMAL", "OFF"])
def test_only_full_keeps_what_it_acknowledged(level: str, tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk.img", tmp_path / "before")
    left = Disk(tmp_path / "left.img", tmp_path / "after")
    acked = tmp_path / "acked.txt"
    disk.format()
    with disk.mounted(), _scribbling(disk.at / "ledger.db", acked, level) as scribe:
        disk.settle()  # what was made at the start is not in question
        until(lambda: len(_lines(acked)) > SCRIBBLED_MIN, "enough is written", 120)
        disk.cut(scribe, left.image)
    with left.mounted(), closing(sqlite3.connect(left.at / "ledger.db")) as ledger:
        known = {row[0] for row in ledger.execute("SELECT order_id FROM orders")}
        healthy = ledger.execute("PRAGMA integrity_check").fetchall()
    lost = [order_id for order_id in _lines(acked) if order_id not in known]

    say(f"{level}: {len(_lines(acked))} acknowledged, {len(lost)} lost; {healthy}")
    assert (lost == []) == (level == "FULL")
    assert level != "FULL" or healthy == [("ok",)]


@contextmanager
def _scribbling(ledger: Path, acked: Path, level: str) -> Iterator[int]:
    """Lend the id of a process that takes orders; at the end it is gone."""
    command = [sys.executable, "-m", "tests.faults.scribe", str(ledger), str(acked), level]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: S603 - ours
    with outlived(child) as scribe:
        assert first_words(scribe) == "ready\n"
        yield scribe.pid


def _lines(acked: Path) -> list[str]:
    """Return the whole lines: the last one may be half written."""
    if not acked.exists():
        return []
    text = acked.read_text()
    return text[: text.rfind("\n") + 1].splitlines()
