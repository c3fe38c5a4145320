"""A terminal in front of a stand-in gateway."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from tests.cli.gateway import APPROVER, KEY, OPERATOR, Gateway, running


class Terminal(NamedTuple):
    """Runs commands in a directory with the keys of a first start; it never really waits."""

    gateway: Gateway
    here: Path
    waits: list[float]

    def run(self, *words: str, url: str | None = None, **more: Any) -> Result:
        environment = {
            "OPENBELL_URL": url or self.gateway.url,
            "OPENBELL_DATA_DIR": str(self.here),
            "OPENBELL_KEY": None,
            "OPENBELL_APPROVER_KEY": None,
            "OPENBELL_CONTEXT": None,
        }
        stdin = more.pop("stdin", b"")
        return CliRunner(env=environment | more).invoke(
            app, list(words), input=stdin, obj=self.waits.append, catch_exceptions=False
        )

    def file(self, name: str, text: str) -> str:
        path = self.here / name
        path.write_text(text, "utf-8")
        return str(path)


@pytest.fixture(autouse=True)
def _no_contexts_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests may work with gateways of his own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running() as gateway:
        yield gateway


@pytest.fixture
def terminal(gateway: Gateway, tmp_path: Path) -> Terminal:
    keys = f'{{"client": "{KEY}", "operator": "{OPERATOR}", "approver": "{APPROVER}"}}'
    (tmp_path / "first-keys.json").write_text(keys, "utf-8")
    return Terminal(gateway, tmp_path, [])
