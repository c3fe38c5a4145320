"""A terminal with an operator's token in the place of a key."""

import ast
import json
from pathlib import Path

from typer.testing import CliRunner, Result

from app.cli import app
from app.cli.asking.output import Ends
from tests.cli.served import served
from tests.deployment import ROOT
from tests.web.house import a_gateway
from tests.web.issuer import bearer, trusting
from tests.web.operators import audit

WHY = ("--reason", "wild prices")
AA = ("--scope", "symbol:AA")


def test_a_token_is_a_key_to_every_command(tmp_path: Path) -> None:
    gateway = a_gateway(tmp_path)
    house = trusting(gateway)
    mina, jun = (bearer(house, who, ["operator", "approver"]) for who in ("mina", "jun"))

    with served(house) as url:

        def says(who: dict[str, str], *words: str) -> Result:
            key = who["Authorization"].removeprefix("Bearer ")
            return CliRunner().invoke(app, [*words, "--url", url, "--key", key])

        assert says(mina, "halt", "on", *AA, *WHY).exit_code == 0
        own = says(mina, "halt", "off", *AA, *WHY)
        assert own.exit_code == Ends.CONFLICT
        assert "another person" in own.output
        assert says(jun, "halt", "off", *AA, *WHY).exit_code == 0

        orders = says(mina, "order", "list", "--account", "A-1")
        assert orders.exit_code == Ends.AUTHENTICATION

    rows = [(row["actor"], row["action"]) for row in audit(gateway)]
    assert rows == [
        ("oidc:mina", "halt"),
        ("oidc:mina", "denied.resume"),
        ("oidc:jun", "resume"),
    ]


def test_a_key_says_whose_it_is_and_its_successor_says_so_too(tmp_path: Path) -> None:
    def says(*words: str) -> Result:
        return CliRunner().invoke(app, ["key", *words, "--data-dir", str(tmp_path)])

    grant = ("--role", "operator", "--account", "*")
    assert says("create", "mina-night", *grant, "--person", "00u1f3").exit_code == 0
    assert says("create", "oidc:mina", *grant).exit_code == Ends.USAGE
    assert says("create", "jun", *grant, "--person", "jun doe").exit_code == Ends.USAGE
    (made,) = json.loads(says("list", "--json").stdout)
    assert (made["name"], made["person"]) == ("mina-night", "00u1f3")

    assert says("rotate", made["id"]).exit_code == 0
    assert [key["person"] for key in json.loads(says("list", "--json").stdout)] == ["00u1f3"] * 2


def test_nobody_imports_what_reads_tokens_before_an_issuer_is_named() -> None:
    importers = set()
    for file in (ROOT / "app").rglob("*.py"):
        for node in ast.parse(file.read_text()).body:  # those inside functions are asked for later
            if isinstance(node, ast.ImportFrom) and node.module in {
                "app.web.access.tokens",
                "app.web.access.issuer",
            }:
                importers.add(file.name)

    assert importers == {"issuer.py"}
