"""What the README says can be pasted: its commands exist, its tables are current."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from app.cli import app
from app.cli.docs import README, rewritten

TEXT = README.read_text()
ROOT = README.parent
FENCED = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
LINES = [
    line.partition("#")[0].strip()
    for block in FENCED
    for line in block.replace("\\\n", " ").splitlines()
    if line[:1] in ".m"
]


def test_generated_tables_are_current() -> None:
    assert rewritten(TEXT) == TEXT, "run python -m app.cli.docs"


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("make ")])
def test_make_has_the_target(line: str) -> None:
    target = line.split()[1]

    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", [line for line in LINES if "openbell" in line])
def test_the_command_line_knows_the_command(line: str) -> None:
    words = shlex.split(line)[1:]
    command = get_command(app)
    context = command.make_context("openbell", [], resilient_parsing=True)
    while words and hasattr(command, "get_command"):
        found = command.get_command(context, words[0])
        assert found is not None, f"no {words[0]} in {line}"
        command, words = found, words[1:]
    options = {option for parameter in command.params for option in parameter.opts}

    assert {word for word in words if word.startswith("--")} <= options


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`(tests/[a-z_/]+(?:\.py)?)`", TEXT))))
def test_a_promise_names_a_proof_that_exists(path: str) -> None:
    assert (ROOT / Path(path)).exists()


@pytest.mark.parametrize("anchor", sorted(set(re.findall(r"\]\(#([^)]+)\)", TEXT))))
def test_a_link_within_leads_to_a_heading(anchor: str) -> None:
    headings = re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)
    named = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}

    assert anchor in named
