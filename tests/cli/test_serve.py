"""A gateway that cannot start says why in one sentence, and exits."""

import json
import socket
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.sqlite import Database

ONE_BROKER: Final = json.dumps({"n": {"options": {"url": "http://127.0.0.1:9", "secret": "s"}}})


def serve(tmp_path: Path, **environment: str) -> tuple[int, str]:
    arguments = ["serve", "--port", "0", "--data-dir", str(tmp_path / "data")]
    result = CliRunner().invoke(app, arguments, env=environment)
    return result.exit_code, result.stderr


@pytest.mark.parametrize(
    ("environment", "status", "said"),
    [
        ({"OPENBELL_PRT": "8081"}, 2, "unknown settings ['OPENBELL_PRT']"),
        ({"OPENBELL_ROUTES": '{"XNYS": "acme"}'}, 2, "leads to 'acme', which is no broker here"),
        ({"OPENBELL_CRASH_AT": "lunch:1"}, 2, "expected `point:passes`"),
        ({"OPENBELL_BROKERS": '{"acme": {"adapter": "acme"}}'}, 1, "no broker adapter 'acme'"),
        ({"OPENBELL_BROKERS": '{"acme": {"options": {"url": 1}}}'}, 1, "cannot start"),
        (
            {
                "OPENBELL_BROKERS": json.dumps(
                    {"n": {"options": {"url": "http://x", "secret": "s"}}}
                ),
                "OPENBELL_INSTRUMENTS_FILE": "/nowhere.json",
            },
            1,
            "nowhere.json",
        ),
    ],
)
def test_it_says_what_stops_the_start(
    tmp_path: Path, environment: dict[str, str], status: int, said: str
) -> None:
    code, words = serve(tmp_path, **environment)

    assert code == status
    assert said in words
    assert "Traceback" not in words


def test_a_port_that_is_taken_stops_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ["serve", "--port", port, "--data-dir", str(tmp_path)]
        result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 1
    assert "cannot listen" in result.stderr


def test_a_ledger_that_another_process_has_open_stops_the_start(tmp_path: Path) -> None:
    database = Database(tmp_path / "data" / "ledger.db")
    try:
        code, words = serve(tmp_path, OPENBELL_BROKERS=ONE_BROKER)
    finally:
        database.close()

    assert code == 1
    assert "is open in another process" in words
