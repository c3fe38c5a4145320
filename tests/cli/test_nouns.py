"""Drills, rules, accounts, sessions and settings at a terminal, against the doors themselves."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from typer.testing import CliRunner, Result

from app.cli import app
from app.cli.asking.output import Ends
from app.settings import Settings, read_settings
from tests.cli.served import served
from tests.web.house import SESSION, Gateway, a_gateway, an_order

WHY: Final = ("--reason", "the desk asked")
HUSH: Final = "hush-hush-hush-hush"


class Desk:
    """A terminal in front of the doors."""

    def __init__(self, gateway: Gateway, url: str) -> None:
        key = gateway.key()
        gateway.client.post("/v1/orders", json=an_order(), headers=key)
        self._environment = {
            "OPENBELL_URL": url,
            "OPENBELL_KEY": key["Authorization"].removeprefix("Bearer "),
        }

    def says(self, *words: str, status: int = 0, stdin: str = "") -> Result:
        result = CliRunner(env=self._environment).invoke(
            app, list(words), input=stdin, catch_exceptions=False
        )
        assert result.exit_code == status, result.output
        return result

    def asks(self, *words: str) -> Any:
        return json.loads(self.says(*words, "--json").stdout)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    gateway = a_gateway(tmp_path)
    with served(gateway) as url:
        yield Desk(gateway, url)


def test_a_rule_is_read_tried_and_changed_on_the_version_that_was_seen(
    desk: Desk, tmp_path: Path
) -> None:
    name = desk.asks("anomaly", "rule", "list")[0]["rule_id"]
    kept = desk.asks("anomaly", "rule", "get", name)
    file = tmp_path / "rule.json"
    file.write_text(json.dumps(kept))

    assert "fired" in desk.asks("anomaly", "rule", "test", name, "--file", str(file))
    changed = desk.asks("anomaly", "rule", "set", name, str(file), *WHY)
    assert changed["document"]["rule_id"] == kept["document"]["rule_id"]
    assert (changed["shipped"], changed["reason"]) == (False, "the desk asked")

    piped = ("anomaly", "rule", "set", name, "-", *WHY)
    desk.says(*piped, stdin=json.dumps(kept["document"]))
    desk.says(*piped, stdin="not a rule", status=Ends.USAGE)


def test_an_anomaly_is_shown_whole(desk: Desk) -> None:
    raised = desk.asks("anomaly", "raise", "broker/nova", *WHY)

    assert desk.asks("anomaly", "get", raised["anomaly_id"])["rule"]["id"] == "manual.raised"


def test_drills_are_listed_and_refused_where_nothing_is_simulated(desk: Desk) -> None:
    assert desk.asks("drill", "list") == []
    refused = desk.says("drill", "start", "XNYS", *WHY, status=Ends.REFUSED)
    desk.says("drill", "get", "nowhere", status=Ends.NOT_FOUND)

    assert "drill-refused" in refused.stderr


def test_a_session_and_an_account_are_shown(desk: Desk) -> None:
    assert desk.asks("session", "get", SESSION)["market"] == "XNYS"
    assert desk.asks("account", "orders", "A-1") == []
    assert "by_status" in desk.asks("account", "summary", "A-1")


def test_the_api_is_printed_as_the_gateway_has_it(desk: Desk) -> None:
    assert "/v1/orders" in json.loads(desk.says("openapi").stdout)["paths"]


def test_an_endpoint_is_made_turned_and_removed(desk: Desk) -> None:
    made = desk.asks("webhook", "add", "https://hooks.example.com/x", "--type", "order.filled")
    name = made["endpoint_id"]

    assert made["secret"].startswith("whsec_")
    assert desk.asks("webhook", "change", name, "--disable")["state"] == "disabled"
    assert desk.asks("webhook", "change", name, "--enable")["version"] == 3
    assert desk.asks("webhook", "rotate", name, "--overlap", "0")["secret"] != made["secret"]
    test = desk.asks("webhook", "test", name)["delivery_id"]
    assert [row["delivery_id"] for row in desk.asks("webhook", "deliveries", name)] == [test]
    assert desk.asks("webhook", "delivery", name, test)["type"] == "webhook.test"
    assert desk.asks("webhook", "replay", name, "--since", "2026-01-01T00:00:00.000Z")["done"]
    assert desk.asks("webhook", "remove", name)["deleted"]
    assert desk.asks("webhook", "list") == []


def test_any_door_is_asked_by_its_path(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text('{"automation": "advise", "reason": "the desk asked"}')
    door = ("api", "PATCH", "/admin/v1/routes/XNYS/policy", "-d", f"@{file}")

    changed = json.loads(desk.says(*door).stdout)
    stale = desk.says(*door, "--if-match", '"v0"', status=Ends.CONFLICT)

    assert changed["policy"]["automation"] == "advise"
    assert "stale-version" in stale.stderr
    assert json.loads(desk.says("api", "get", "/v1/sessions").stdout)["data"]
    desk.says("api", "POST", "/admin/v1/halt", "-d", "{", status=Ends.USAGE)
    desk.says("api", "FETCH", "/v1/sessions", status=Ends.USAGE)
    desk.says("api", "GET", "/v1/nowhere", status=Ends.NOT_FOUND)


# --- settings -----------------------------------------------------------------------------

SECRETS: Final = {
    "OPENBELL_PORT": "9000",
    "OPENBELL_LEDGER_URL": f"postgresql://me:{HUSH}@db.example/openbell?password={HUSH}",
    "OPENBELL_SLACK__WEBHOOK_URL": f"https://hooks.example/{HUSH}",
    "OPENBELL_MONGO__URL": f"mongodb://me:{HUSH}@m.example",
    "OPENBELL_BROKERS": json.dumps({"n": {"options": {"url": "http://b", "secret": HUSH}}}),
    "OPENBELL_HOOKS": json.dumps({"grafana": {"hmac_secret": HUSH}}),
}


def settings(*words: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(app, ["config", *words], catch_exceptions=False)


@pytest.mark.parametrize("form", ["table", "json"])
def test_settings_are_shown_with_their_origin_and_without_a_secret(form: str) -> None:
    shown = settings("show", "-o", form, **SECRETS)

    assert shown.exit_code == 0
    assert HUSH[:9] not in shown.output
    assert "db.example" in shown.stdout
    if form == "json":
        rows = {row["setting"]: row for row in json.loads(shown.stdout)}
        assert (rows["port"]["value"], rows["port"]["origin"]) == (9000, "OPENBELL_PORT")
        assert rows["host"]["origin"] == "default"
        assert rows["slack"]["origin"] == "OPENBELL_SLACK"


def test_what_would_stop_the_start_is_said() -> None:
    assert settings("check").exit_code == 0
    wrong = settings("check", OPENBELL_ROUTES='{"XNYS": "acme"}')

    assert wrong.exit_code == Ends.USAGE
    assert "leads to 'acme'" in wrong.stderr


def test_the_file_to_begin_with_can_be_begun_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "openbell.env"
    words = ["config", "init", str(file)]
    for status in (0, int(Ends.CONFLICT)):
        assert CliRunner().invoke(app, words, catch_exceptions=False).exit_code == status
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    untold = read_settings()
    # With every default said aloud, a gateway starts as it would without a word.
    lines = [line[1:] for line in file.read_text().splitlines() if line.startswith("#OPENBELL_")]
    said = dict(line.split("=", 1) for line in lines)
    for name, value in said.items():
        if value:
            monkeypatch.setenv(name, value)

    assert len(said) == len(Settings.model_fields)
    assert read_settings() == untold


def test_the_file_to_begin_with_names_every_variable() -> None:
    lines = settings("env").stdout.splitlines()
    named = {line[1:].partition("=")[0] for line in lines if line.startswith("#OPENBELL_")}

    assert named == {f"OPENBELL_{name.upper()}" for name in Settings.model_fields}
    assert (
        json.loads(settings("schema").stdout)["properties"].keys() == Settings.model_fields.keys()
    )
