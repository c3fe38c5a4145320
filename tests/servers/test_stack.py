"""`make stack`: four servers, the environment that a gateway needs for them, and a clean end."""

import asyncio
import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pymongo
import pytest
from psycopg import connect
from redis import Redis

from tests.children import outlived
from tests.eventually import eventually
from tests.servers.proc import lives
from tests.servers.stack import running_stack
from tests.servers.wishes import without_settings

ROOT: Final = Path(__file__).parents[2]
STACK: Final = [sys.executable, "-m", "tests.servers.stack"]
READS: Final = """
import sys
from app.settings import read_settings
settings = read_settings(role="api")
print(settings.model_dump_json())
sys.exit(3)
"""


def test_it_lends_four_servers_and_ends_them() -> None:
    with running_stack() as stack:
        processes = [server.process for server in stack.servers.values()]
        pids = [process.pid for process in processes if process]
        directories = [process.program.directory for process in processes if process]
        with connect(stack["OPENBELL_LEDGER_URL"]) as ledger:
            assert ledger.execute("SELECT current_database()").fetchone() == ("openbell",)
        with pymongo.MongoClient[dict[str, object]](stack["OPENBELL_MONGO__URL"]) as mongo:
            assert mongo.admin.command("ping")["ok"]
        with Redis.from_url(stack["OPENBELL_REDIS_URL"]) as redis:
            assert redis.ping()

    assert len(pids) == 4
    assert not any(map(lives, pids))
    assert not any(directory.exists() for directory in directories)


def test_a_command_finds_its_settings_in_the_environment_and_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "stack.env"
    sourced = f". {file} && {shlex.join([sys.executable, '-c', READS])}"
    ran = subprocess.run(  # noqa: S603 - our own program
        [*STACK, "--env-file", str(file), "--", "env", "-i", "sh", "-c", sourced],
        cwd=ROOT,
        env=without_settings(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    settings = json.loads(ran.stdout)

    assert ran.returncode == 3, ran.stderr  # the command's own
    assert settings["ledger_url"].startswith("postgresql://openbell@127.0.0.1:")
    assert settings["kafka"]["replication"] == settings["kafka"]["min_insync"] == 1
    assert settings["mongo"]["url"].startswith("mongodb://127.0.0.1:")
    assert settings["redis_url"].startswith("redis://127.0.0.1:")
    assert not file.exists()


def test_a_signal_ends_it_all(tmp_path: Path) -> None:
    file = tmp_path / "stack.env"
    child = subprocess.Popen(  # noqa: S603 - our own program
        [*STACK, "--env-file", str(file)],
        cwd=ROOT,
        env=without_settings(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # A stack waits for a signal for ever, and so would we if it is not up in time.
    with outlived(child) as stack:
        asyncio.run(eventually(file.exists, 60))
        lines = file.read_text()
        stack.send_signal(signal.SIGTERM)  # Ctrl-C takes the same way
        printed, said = stack.communicate(timeout=30)

    assert stack.returncode == 0, said
    assert printed == lines
    ledger = shlex.split(lines.splitlines()[0])[1].partition("=")[2]
    with pytest.raises(Exception, match="refused"):
        connect(ledger, connect_timeout=2)
