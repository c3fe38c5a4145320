"""A gateway that cannot start says why in one sentence, and exits."""

import json
import socket
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.cli.serve import first_keys
from app.clock import SystemClock
from app.settings import Settings, inherited
from app.sqlite import Database
from app.web.access.keyfile import SCOPES, Grant, create_key
from tests.cli.pty_screen import a_terminal

UNKNOWN: Final = '{"acme": {"adapter": "acme"}}'
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
        ({"OPENBELL_BROKERS": UNKNOWN}, 1, "no broker adapter 'acme'"),
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


@pytest.mark.parametrize(("host", "made"), [("127.0.0.1", True), ("0.0.0.0", False)])  # noqa: S104
def test_first_keys_are_announced_where_they_are_made_and_nowhere_else(
    tmp_path: Path, host: str, *, made: bool
) -> None:
    settings = Settings(data_dir=tmp_path, host=host)
    first, again = first_keys(settings), first_keys(settings)

    assert first == again == (tmp_path / "first-keys.json" if made else None)
    assert (tmp_path / "first-keys.json").exists() == made


def test_keys_that_somebody_made_are_not_said_to_be_the_first(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    create_key(settings.keys, Grant("mina", SCOPES, ("*",)), SystemClock())

    assert first_keys(settings) is None


def test_without_any_key_the_start_says_how_to_make_one(tmp_path: Path) -> None:
    code, words = serve(tmp_path, OPENBELL_BROKERS=UNKNOWN, OPENBELL_HOST="0.0.0.0")  # noqa: S104

    assert code == 1
    assert "`openbell key create` makes one" in words


def test_a_ledger_that_another_process_has_open_stops_the_start(tmp_path: Path) -> None:
    database = Database(tmp_path / "data" / "ledger.db")
    try:
        code, words = serve(tmp_path, OPENBELL_BROKERS=ONE_BROKER)
    finally:
        database.close()

    assert code == 1
    assert "is open in another process" in words


def test_whoever_starts_it_at_a_terminal_is_told_where_the_console_is(tmp_path: Path) -> None:
    data = tmp_path / "data"
    words = ("serve", "--port", "0", "--data-dir", str(data))
    with a_terminal(words, inherited() | {"OPENBELL_BROKERS": ONE_BROKER}, columns=240) as screen:
        shown = screen.says("the operator's key is in")
        screen.process.terminate()
        ended = screen.ends()

    assert ended == 0
    assert f"/console; the operator's key is in {data / 'first-keys.json'}" in shown
