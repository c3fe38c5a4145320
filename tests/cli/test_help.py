"""The help answers at once, and says what is true of every command."""

import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from app.cli import NOUNS, app

ROOT: Any = get_command(app)
# The words of others, who write their own examples.
OTHERS = {"calendar", "migrate", "serve", "demo", "bench"}
# What would make the help slow, or drag the gateway in.
HEAVY = {
    "aiohttp",
    "alembic",
    "asyncio",
    "fastapi",
    "http.client",
    "msgspec",
    "pydantic",
    "rich",
    "sqlalchemy",
    "uvicorn",
    "app.web",
    "app.wiring",
    *(f"app.cli.{noun}" for noun in NOUNS),
}


def verbs(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, below in command.commands.items():
        yield from verbs(below, *path, name)


EVERY = [(path, verb) for path, verb in verbs(ROOT) if path[0] not in OTHERS]


@pytest.mark.parametrize("words", [["--help"], []])
def test_the_help_imports_nothing_heavy(words: list[str]) -> None:
    program = (
        "import sys\nfrom app.__main__ import main\n"
        f"sys.argv = ['openbell', *{words!r}]\n"
        "try:\n    main()\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    )

    ran = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60
    )

    assert "Take orders" in ran.stdout + ran.stderr
    assert HEAVY.intersection(ran.stderr.split()) == set()


@pytest.mark.parametrize("noun", list(ROOT.commands))
def test_the_table_says_what_the_command_itself_says(noun: str) -> None:
    assert ROOT.commands[noun].help.splitlines()[0] == NOUNS[noun]


def test_the_help_lists_every_noun() -> None:
    shown = CliRunner().invoke(app, ["--help"]).stdout

    assert set(ROOT.commands) >= set(NOUNS) - {"serve", "demo", "bench"}
    assert all(f"  {noun} " in shown for noun in ROOT.commands)


@pytest.mark.parametrize(("path", "verb"), EVERY, ids=[" ".join(path) for path, _ in EVERY])
def test_every_command_shows_two_examples_that_it_understands(
    path: tuple[str, ...], verb: Any
) -> None:
    shown = CliRunner().invoke(app, [*path, "--help"], terminal_width=200).stdout
    examples = [line for line in shown.splitlines() if line.startswith("    openbell ")]

    assert len(examples) >= 2
    for example in examples:
        words = shlex.split(example)[1:]
        if words[-2:-1] in (["<"], [">"]):  # the shell's part
            words = words[:-2]
        assert tuple(words[: len(path)]) == path
        verb.make_context(path[-1], words[len(path) :])


@pytest.mark.parametrize("verb", [verb for _, verb in EVERY])
def test_every_command_says_what_it_does_and_what_each_option_means(verb: Any) -> None:
    assert verb.help.splitlines()[0].endswith(".")
    assert all(parameter.help for parameter in verb.params if parameter.name != "help")


# They do one thing and print no data; a measurement has a report of its own.
WITHOUT_DATA = {
    *("demo", "serve", "migrate", "bench", "stress", "drill failover", "drill alerts", "events"),
    *(
        "completion",
        "config check",
        "config env",
        "config init",
        "config schema",
        "openapi",
        "api",
        "history mapping",
    ),
    *("deadletter replay", "deadletter retry", "deadletter discard", "outbox replay"),
    *("key create", "key revoke", "key rotate"),
    *("context add", "context use", "context remove", "calendar build", "calendar verify"),
}


@pytest.mark.parametrize(
    "verb",
    [
        pytest.param(verb, id=" ".join(path))
        for path, verb in verbs(ROOT)
        if not {path[0], " ".join(path)} & WITHOUT_DATA
    ],
)
def test_whatever_prints_data_prints_it_in_the_form_that_is_asked_for(verb: Any) -> None:
    options = {option for parameter in verb.params for option in parameter.opts}

    assert options >= {"-o", "--output", "--json"}


def test_a_slip_of_the_hand_is_met_with_a_suggestion() -> None:
    result = CliRunner().invoke(app, ["oder"])

    assert result.exit_code == 2
    assert "Did you mean 'order'" in result.stderr
