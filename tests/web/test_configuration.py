"""The settings that act are told with their origin, and none of them is a secret."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

from app.effective import SECRET, effective, plain
from app.settings import PREFIX, environment, read_settings
from app.web.app import create_app
from tests.web.house import READER, Gateway
from tests.web.operators import ADMIN

PATH = f"{ADMIN}/config"
HIDDEN = ("hunter2", "s3cret-option", "xoxb-bot", "whoever-has-this")


@pytest.fixture
def told(
    gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, dict[str, object]]:
    brokers = {"nova": {"adapter": "http", "options": {"secret": "s3cret-option"}}}
    monkeypatch.setenv("OPENBELL_BROKERS", json.dumps(brokers))
    monkeypatch.setenv("OPENBELL_LEDGER_URL", "postgresql://me:hunter2@db/x?password=hunter2")
    slack = {"webhook_url": "https://hooks.slack.com/whoever-has-this"}
    monkeypatch.setenv("OPENBELL_SLACK", json.dumps(slack))
    monkeypatch.setenv("OPENBELL_WEBHOOKS__LOOPBACK", "true")
    settings = read_settings(data_dir=tmp_path)
    found = effective(settings, settings.model_fields_set, environment(), PREFIX)
    house = replace(gateway.house, effective=found, registry=CollectorRegistry())
    with TestClient(create_app(house)) as client:
        reply = client.get(PATH, headers=gateway.key())
        assert client.get(PATH, headers=gateway.key("lee", READER)).status_code == 403
    assert not any(secret in reply.text for secret in HIDDEN)
    return {row["setting"]: row for row in reply.json()["data"]}


def test_every_setting_says_where_it_comes_from(told: dict[str, dict[str, object]]) -> None:
    assert told["ledger_url"]["origin"] == "OPENBELL_LEDGER_URL"
    assert told["webhooks"]["origin"] == "OPENBELL_WEBHOOKS"
    assert told["webhooks"]["value"] == {"hosts": [], "loopback": True}
    assert told["data_dir"]["origin"] == "command line"
    assert (told["port"]["value"], told["port"]["origin"]) == (8080, "default")


def test_what_may_be_secret_is_not_told(told: dict[str, dict[str, object]]) -> None:
    assert told["ledger_url"]["value"] == f"postgresql://{SECRET}@db/x"
    brokers = told["brokers"]["value"]
    assert isinstance(brokers, dict)
    assert brokers["nova"]["options"] == {"secret": SECRET}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("mongodb://me:hunter2@one,two/db?tls=true", f"mongodb://{SECRET}@one,two/db"),
        ("redis://cache:6379/0", "redis://cache:6379/0"),
        ("redis://me:hun?ter2@cache", SECRET),
        ("postgresql:///db?host=one&password=hunter2@home", SECRET),
        ("host=one password=hunter2", SECRET),
    ],
)
def test_an_address_whose_secret_cannot_be_found_is_not_told(url: str, shown: str) -> None:
    assert plain("ledger_url", url) == shown
