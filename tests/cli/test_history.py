"""The history commands: what they print, how they end, and that a kill costs nothing."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymongo
import pytest
from typer.testing import CliRunner, Result

from app.accounts.history.report import read_report
from app.accounts.history.signing import read_key
from app.cli import app
from app.cli.history.bar import Speed
from app.settings import inherited
from tests.accounts.history.archive import MONDAY, SEOUL, TUESDAY, a_row, corrupt, rows, write
from tests.children import outlived
from tests.eventually import eventually
from tests.servers.server import Server, fresh_name

ZONE = ("--source-tz", SEOUL)


@dataclass(frozen=True)
class Desk:
    """A terminal beside an archive and an account store."""

    here: Path
    url: str
    store: Any  # the database, seen from outside

    @property
    def archive(self) -> Path:
        return self.here / "orders"

    @property
    def environment(self) -> dict[str, str]:
        mongo = {"url": self.url, "database": self.store.name, "driver": "pymongo"}
        return {
            "OPENBELL_MONGO": json.dumps(mongo),
            "OPENBELL_DATA_DIR": str(self.here / "data"),
            "NO_COLOR": "1",
        }

    def run(self, *words: str, **environment: str | None) -> Result:
        return CliRunner(env={**self.environment, **environment}).invoke(
            app, ["history", *words], catch_exceptions=False
        )

    def load(self, *words: str) -> Result:
        rejects = ("--rejects", str(self.here / "rejects.parquet"))
        fast = ("--rate", "100000", "--workers", "1")
        return self.run("load", str(self.archive), *ZONE, *fast, *rejects, *words)

    def verify(self, *words: str) -> Result:
        out = ("--out", str(self.here / "report.json"), "--workers", "1")
        return self.run("verify", str(self.archive), *ZONE, *out, *words)

    @property
    def orders(self) -> Any:
        return self.store["account_orders"]


@pytest.fixture
def desk(mongo: Server, tmp_path: Path) -> Iterator[Desk]:
    with pymongo.MongoClient[dict[str, Any]](mongo.url) as client:
        desk = Desk(tmp_path, mongo.url, client[fresh_name("history")])
        desk.archive.mkdir()
        yield desk
        client.drop_database(desk.store.name)


def test_an_archive_is_loaded_and_verified_and_the_report_is_signed(desk: Desk) -> None:
    write(desk.archive, MONDAY, rows(40))
    write(desk.archive, TUESDAY, rows(30, first=41))

    loaded = desk.load("--json", "--before", "2026-01-06")
    again = desk.load("--json")
    status = desk.run("status", str(desk.archive), "--json")
    verified = desk.verify()

    assert (loaded.exit_code, again.exit_code, verified.exit_code) == (0, 0, 0)
    assert json.loads(loaded.stdout) == json.loads(loaded.stdout) | {
        "rows": 70,
        "read": 70,
        "inserted": 40,
        "later": 30,
        "rejected": 0,
        "troubles": [],
    }
    assert json.loads(again.stdout)["inserted"] == 70
    assert json.loads(status.stdout)["chunks_done"] == 2
    assert verified.stdout == "2 of 2 days are equal\n"
    key = read_key(desk.here / "data" / "verification.key")
    report = read_report((desk.here / "report.json").read_bytes(), key)
    assert (report["record"], report["verdict"]) == ("parquet", "equal")


def test_a_verification_that_fails_names_the_order_and_ends_with_one(desk: Desk) -> None:
    write(desk.archive, MONDAY, rows(40))
    desk.load()
    desk.orders.update_one({"_id": "SRC-00000007"}, {"$set": {"side": "sell"}})
    desk.orders.delete_one({"_id": "SRC-00000008"})

    verified = desk.verify()

    assert verified.exit_code == 1
    assert "0 of 1 days are equal" in verified.stdout
    assert "SRC-00000007" in verified.stdout
    assert "SRC-00000008" in verified.stdout
    assert "is not there" in verified.stdout


def test_what_was_left_out_is_told_and_ends_with_one(desk: Desk) -> None:
    write(desk.archive, MONDAY, [*rows(20), a_row(21, account_id=None)])
    corrupt(write(desk.archive, TUESDAY, rows(1_000, first=100)))
    cut = write(desk.archive, TUESDAY, rows(50, first=200), name="cut.parq")
    cut.write_bytes(cut.read_bytes()[:-9])

    loaded = desk.load()

    assert loaded.exit_code == 1
    assert "inserted 20 duplicates 0 rejected 1" in " ".join(loaded.stdout.split())
    assert "row group 0: " in loaded.stdout
    assert "unreadable: " in loaded.stdout
    assert "1 rows are in" in loaded.stderr
    assert len(list((desk.here / "rejects.parquet").rglob("*.parquet"))) == 1


def test_a_changed_file_is_refused_and_may_be_loaded_again(desk: Desk) -> None:
    path = write(desk.archive, MONDAY, rows(5))
    desk.load()
    write(desk.archive, MONDAY, rows(6))

    refused = desk.load()
    again = desk.load("--again", path.relative_to(desk.archive).as_posix())

    assert (refused.exit_code, again.exit_code) == (1, 0)
    assert "refused: it has changed since it was loaded" in refused.stdout
    assert desk.orders.count_documents({}) == 6


def test_the_ceiling_is_shown_and_set_with_a_reason(desk: Desk) -> None:
    before = desk.run("rate")
    silent = desk.run("rate", "800")
    said = desk.run("rate", "800", "--reason", "the market opens")
    after = desk.run("rate", "--json")

    assert before.stdout == "documents_per_second  5000\n"
    assert (silent.exit_code, said.exit_code) == (2, 0)
    found = json.loads(after.stdout)
    assert found["documents_per_second"] == 800
    assert [change["reason"] for change in found["changes"]] == ["the market opens"]


def test_a_mapping_is_printed_and_a_wrong_one_refused(desk: Desk) -> None:
    mapping = desk.here / "mapping.toml"
    mapping.write_text(desk.run("mapping").stdout, "utf-8")
    write(desk.archive, MONDAY, rows(3))

    right = desk.load("--mapping", str(mapping))
    mapping.write_text('[columns]\norder_key = "x"\n', "utf-8")
    wrong = desk.load("--mapping", str(mapping))

    assert (right.exit_code, wrong.exit_code) == (0, 2)
    assert "no such fields: ['order_key']" in wrong.stderr
    assert "openbell history mapping" in wrong.stderr


def test_each_thing_that_is_missing_is_a_sentence(desk: Desk) -> None:
    archive = str(desk.archive)
    away = json.dumps({"url": "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200"})

    results = {
        "no account store is set": desk.run("load", archive, *ZONE, OPENBELL_MONGO=None),
        "does not answer": desk.run("load", archive, *ZONE, OPENBELL_MONGO=away),
        "expected a zone": desk.run("load", archive, "--source-tz", "KST"),
        "is no folder": desk.run("load", archive + "x", *ZONE),
        "expected YYYY-MM-DD": desk.run("load", archive, *ZONE, "--before", "monday"),
        "Missing option '--source-tz'": desk.run("load", archive),
        "cannot be read": desk.run("rate", OPENBELL_MONGO='{"url": "http://x"}'),
    }

    assert {what: result.exit_code for what, result in results.items()} == {
        "no account store is set": 2,
        "does not answer": 6,
        "expected a zone": 2,
        "is no folder": 2,
        "expected YYYY-MM-DD": 2,
        "Missing option '--source-tz'": 2,
        "cannot be read": 2,
    }
    for what, result in results.items():
        assert what in result.stderr


def test_without_pyarrow_the_command_says_what_to_install(desk: Desk) -> None:
    program = (
        "import sys\nsys.modules['pyarrow'] = None\nfrom app.cli import app\n"
        f"app(['history', 'load', {str(desk.archive)!r}, '--source-tz', 'UTC'])"
    )

    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program],
        env=inherited() | desk.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.returncode == 1
    assert "pip install 'openbell[history]'" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_killed_command_leaves_no_worker_and_goes_on_when_it_is_repeated(desk: Desk) -> None:
    write(desk.archive, MONDAY, rows(3_000))
    words = ["history", "load", str(desk.archive), *ZONE, "--rate", "200", "--workers", "1"]
    chunks = desk.store["history_chunks"]

    child = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", "app", *words],
        env=inherited() | desk.environment,
        cwd=desk.here,
        stderr=subprocess.DEVNULL,
    )
    with outlived(child) as command:
        wait_until(lambda: desk.orders.count_documents({}) >= 100)
        worker = int(chunks.find_one({"state": "running"})["worker"].split(":")[1])
        command.kill()
    wait_until(lambda: chunks.count_documents({"state": "waiting"}) == 1)
    wait_until(lambda: not is_running(worker))
    between = desk.orders.count_documents({})

    again = desk.load("--json")

    assert 100 <= between < 3_000
    assert again.exit_code == 0
    found = json.loads(again.stdout)
    assert found["inserted"] + found["duplicates"] == 3_000
    assert found["duplicates"] == between
    assert desk.orders.count_documents({}) == 3_000
    assert desk.verify().exit_code == 0


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def wait_until(condition: Callable[[], bool]) -> None:
    asyncio.run(eventually(condition, 60))


def test_the_time_left_follows_the_last_half_minute() -> None:
    speed = Speed()
    for second in range(100):
        speed.note(second * 1_000, second)  # 1,000 a second, and then
    for second in range(100, 131):
        speed.note(99_000 + (second - 99) * 10, second)  # 10 a second

    assert round(speed.per_second) == 10
    assert speed.left(36_000) == "1:00:00 left"
    assert Speed().left(5) == "no end in sight"
    assert speed.left(0) == "nothing left"
