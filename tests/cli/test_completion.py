"""The Tab key: words, options and the gateway's own names; and never an error in the line."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from typer.testing import CliRunner

from app.cli import app
from app.settings import inherited
from tests.cli.gateway import OPERATOR, Gateway, running

BASH = which("bash")
needs_bash = pytest.mark.skipif(BASH is None, reason="needs bash")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running() as gateway:
        yield gateway


def here(home: Path, **settings: str) -> dict[str, str]:
    """Return the environment of a shell whose home is empty, and where we are installed."""
    program = str(Path(sys.executable).parent)
    path = os.pathsep.join((program, inherited()["PATH"]))
    own = {"HOME": str(home), "XDG_CONFIG_HOME": str(home), "PATH": path}
    return inherited() | own | settings


def in_bash(script: str, environment: dict[str, str]) -> str:
    assert BASH is not None
    ran = subprocess.run(  # noqa: S603 - our own script
        [BASH, "--norc", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stderr == ""
    return ran.stdout


def at_tab(line: str, environment: dict[str, str]) -> list[str]:
    """Return what bash offers for the last word of a line."""
    words = line.split(" ")
    script = (
        'source "$HOME/openbell.sh"\n'
        f"COMP_WORDS=({' '.join(word or chr(39) * 2 for word in words)})\n"
        f"COMP_CWORD={len(words) - 1}\n"
        f"$(complete -p openbell | sed 's/.*-F \\([^ ]*\\).*/\\1/') openbell\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return in_bash(script, environment).split()


@needs_bash
def test_bash_offers_words_options_and_the_brokers_that_the_gateway_knows(
    tmp_path: Path, gateway: Gateway
) -> None:
    environment = here(tmp_path, OPENBELL_URL=gateway.url, OPENBELL_KEY=OPERATOR)
    in_bash('openbell completion bash > "$HOME/openbell.sh"', environment)
    environment.pop("OPENBELL_URL")

    assert at_tab("openbell bro", environment) == ["broker"]
    assert set(at_tab("openbell broker rate ", environment)) == {"get", "set"}
    assert "--context" in at_tab("openbell broker list --con", environment)
    given = f"openbell broker get --url {gateway.url} "
    assert at_tab(given, environment) == ["b1", "b2"]
    assert at_tab("openbell broker get --url http://127.0.0.1:1 ", environment) == []


@pytest.mark.parametrize("line", ["", "--ver", "broker rate set b", "order "])
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_tab_key_waits_for_nothing_that_no_word_needs(
    tmp_path: Path, shell: str, line: str
) -> None:
    words = f"openbell {line}"
    asked = {
        "_OPENBELL_COMPLETE": f"complete_{shell}",
        "_TYPER_COMPLETE_ARGS": words,
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
        "OPENBELL_URL": "http://127.0.0.1:1",
        "OPENBELL_KEY": OPERATOR,
    }
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "app"],
        env=here(tmp_path, **asked),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    imported = {said.rpartition("|")[2].strip() for said in ran.stderr.splitlines()}

    assert "app.cli" in imported
    assert imported & {"pydantic", "rich", "asyncio", "app.cli.serve", "app.web"} == set()
    assert ran.stdout.strip() or line.endswith(" b")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("broker get b", ["b1", "b2"]),
        ("failover run XNYS --to ", ["b1", "b2"]),
        ("route get ", ["XNYS"]),
        ("doubt probe ", ["O-1"]),
        ("anomaly ack ", ["an_1"]),
        ("halt status --context d", ["desk"]),
        ("broker get z", []),
        ("preflight --market X", ["XNYS"]),
    ],
)
def test_a_name_is_offered_where_it_belongs(
    tmp_path: Path, gateway: Gateway, words: str, offered: list[str]
) -> None:
    contexts = tmp_path / "openbell" / "contexts.toml"
    contexts.parent.mkdir()
    contexts.write_text('[contexts.desk]\nurl = "http://127.0.0.1:1"\n')
    contexts.chmod(0o600)
    gateway.going_on = [[{"anomaly_id": "an_1"}]]
    asked = {
        "_OPENBELL_COMPLETE": "complete_bash",
        "COMP_WORDS": f"openbell {words}",
        "COMP_CWORD": str(len(words.split(" "))),
        "XDG_CONFIG_HOME": str(tmp_path),
        "OPENBELL_URL": gateway.url,
        "OPENBELL_KEY": OPERATOR,
    }

    ran = CliRunner(env=asked).invoke(app, [], prog_name="openbell")

    assert ran.stdout.split() == offered
    assert ran.stderr == ""
