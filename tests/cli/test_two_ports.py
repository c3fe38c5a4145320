"""A terminal before a gateway whose operators have a port of their own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.cli.asking.output import Ends
from tests.web.house import Gateway, a_gateway
from tests.web.operators import reserve
from tests.web.test_listeners import Two, opened

WHY = ("--reason", "wild prices")


class Desk:
    """A terminal, its file of contexts, and where the two ports are."""

    def __init__(self, gateway: Gateway, ports: Two, home: Path) -> None:
        reserve(gateway, 1)
        self.key = gateway.key()["Authorization"].removeprefix("Bearer ")
        self.url, self.admin = (f"http://127.0.0.1:{port}" for port in ports)
        self.environment = {"XDG_CONFIG_HOME": str(home), "HOME": str(home)}

    def says(self, *words: str, stdin: str = "", **environment: str) -> Result:
        runner = CliRunner(env=self.environment | environment)
        return runner.invoke(app, list(words), input=stdin)

    def works(self, *words: str, **environment: str) -> None:
        """Ask at each port, and change something after looking at it."""
        for command in (
            ("order", "list", "--account", "A-1"),
            ("session", "list"),
            ("broker", "list"),
            ("halt", "on", "--scope", "symbol:AA", *WHY),
            ("audit", "list"),
        ):
            result = self.says(*command, *words, **environment)
            assert result.exit_code == 0, (command, result.output)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    gateway = a_gateway(tmp_path)
    with opened(gateway) as ports:
        yield Desk(gateway, ports, tmp_path)


def test_each_port_is_asked_for_what_it_has(desk: Desk) -> None:
    desk.works("--url", desk.url, "--admin-url", desk.admin, "--key", desk.key)
    named = {"OPENBELL_URL": desk.url, "OPENBELL_ADMIN_URL": desk.admin, "OPENBELL_KEY": desk.key}
    desk.works(**named)

    alone = desk.says("broker", "list", "--url", desk.url, "--key", desk.key)
    assert alone.exit_code == Ends.NOT_FOUND


def test_a_context_knows_both_and_sends_its_keys_nowhere_else(desk: Desk) -> None:
    add = ("context", "add", "ops", "--url", desk.url, "--admin-url", desk.admin)
    keys = ("--role", "operator", "--role", "client", "--use")
    added = desk.says(*add, *keys, stdin=f"{desk.key}\n" * 2)
    assert added.exit_code == 0, added.output
    (shown,) = json.loads(desk.says("context", "list", "--json").stdout)
    assert (shown["url"], shown["admin_url"]) == (desk.url, desk.admin)

    desk.works()
    # A variable of yesterday gets no key of this context; an option says what is wrong with it.
    nobody = "http://127.0.0.1:9"
    desk.works(OPENBELL_ADMIN_URL=nobody)
    other = desk.says("broker", "list", "--admin-url", nobody)
    assert other.exit_code == Ends.USAGE
    assert "name two ports" in other.output
    assert desk.says("broker", "list", "--admin-url", desk.admin).exit_code == 0
