"""A key that may come from some networks alone is nobody's key elsewhere, whatever it says."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.cli import app as command_line
from app.cli.asking.output import Ends
from app.web.access.keyfile import SCOPES, BadKeyFile, Grant, create_key, read_keys, rotate_key
from app.web.access.networks import lies_in, network_of
from tests.web import things
from tests.web.house import Gateway
from tests.web.operators import ADMIN, seen

OFFICE: Final = ("10.1.0.0/16", "2001:db8:7::/48")
HERE: Final = ("10.1.2.3", "10.1.255.255", "::ffff:10.1.2.3", "2001:db8:7::1")
ELSEWHERE: Final = (
    *("10.2.0.1", "10.10.1.2", "::ffff:10.2.0.1", "2001:db8:8::1", "127.0.0.1", "::1"),
    *("", "testclient", "10.1.2", "10.1.2.3/32", "010.1.2.3", "10.1.2.3, 10.9.9.9", "unix:"),
)


def test_an_address_lies_in_a_network_or_not() -> None:
    assert [address for address in (*HERE, *ELSEWHERE) if lies_in(address, OFFICE)] == list(HERE)
    assert not lies_in("10.1.2.3", [])


def test_a_network_is_written_in_one_way() -> None:
    assert [network_of(text) for text in ("10.1.2.3", "2001:DB8::/32")] == [
        *("10.1.2.3/32", "2001:db8::/32")
    ]
    for wrong in ("10.1.2.3/16", "10.1/16", "office", "", "10.1.0.0/33"):
        with pytest.raises(ValueError, match=r".+"):
            network_of(wrong)


def key_of(gateway: Gateway) -> dict[str, str]:
    """Make a key of the office, and return its header."""
    grant = Grant("mina", SCOPES, ("*",), networks=OFFICE)
    token = create_key(gateway.key_file, grant, gateway.clock)
    gateway.clock.at += 1_000
    return {"Authorization": f"Bearer {token}"}


def at(gateway: Gateway, address: str) -> TestClient:
    return TestClient(gateway.client.app, client=(address, 40_000), follow_redirects=False)


def code(reply: Any) -> str:
    return "" if reply.is_success else str(reply.json()["code"])


def test_a_stolen_key_is_like_an_unknown_one(gateway: Gateway) -> None:
    key = key_of(gateway)
    claimed = {"X-Forwarded-For": "10.1.2.3", "Forwarded": "for=10.1.2.3", "X-Real-IP": "10.1.2.3"}
    unknown = {"Authorization": key["Authorization"][:-4] + "0000"}
    for path in (f"{ADMIN}/overview", "/v1/orders?account_id=A-1"):
        assert code(at(gateway, "10.1.2.3").get(path, headers=key)) == ""
        stolen = at(gateway, "192.0.2.1").get(path, headers=key | claimed)
        guessed = at(gateway, "192.0.2.1").get(path, headers=unknown)
        assert code(stolen) == "unauthenticated"
        assert stolen.json()["detail"] == guessed.json()["detail"]


def test_a_console_and_an_approval_are_no_way_round(gateway: Gateway) -> None:
    key = key_of(gateway)
    typed = {"key": key["Authorization"].removeprefix("Bearer ")}
    origin = {"Origin": "http://testserver"}
    thief, mina = at(gateway, "192.0.2.1"), at(gateway, "10.1.2.3")
    assert thief.post("/console/login", data=typed, headers=origin).status_code == 401
    assert mina.post("/console/login", data=typed, headers=origin).status_code == 303
    assert mina.get(f"{ADMIN}/overview").status_code == 200
    thief.cookies = mina.cookies
    assert thief.get(f"{ADMIN}/overview").status_code == 401

    parts, body = things.a_doubt(gateway)
    jun, thief = gateway.key("jun"), at(gateway, "192.0.2.1")
    listed = thief.get(f"{ADMIN}/in-doubt", headers=jun).json()["data"]
    lent = jun | seen(listed[0]["version"]) | {"X-Approver-Key": typed["key"]}
    url, said = f"{ADMIN}/in-doubt/{parts['order_id']}/resolve", {**body, "reason": "their day"}
    assert code(thief.post(url, json=said, headers=lent)) == "second-principal-required"
    assert code(mina.post(url, json=said, headers=lent)) == ""


def test_where_a_key_may_come_from_is_shown_and_inherited(gateway: Gateway) -> None:
    key_of(gateway)
    (old,) = read_keys(gateway.key_file)
    rotate_key(gateway.key_file, old.id, gateway.clock, grace_ms=1_000)
    shown = gateway.client.get(f"{ADMIN}/keys", headers=gateway.key("eye")).json()["data"]

    assert [key["networks"] for key in shown] == [list(OFFICE), list(OFFICE), []]


def test_a_file_with_a_network_that_is_none_is_not_trusted(gateway: Gateway) -> None:
    key_of(gateway)
    text = gateway.key_file.read_text()
    gateway.key_file.write_text(text.replace(OFFICE[0], "10.1.0.0/61"))

    with pytest.raises(BadKeyFile, match=r"10\.1\.0\.0/61"):
        read_keys(gateway.key_file)


def test_networks_are_given_at_a_terminal(tmp_path: Path) -> None:
    def says(*words: str) -> Any:
        return CliRunner().invoke(command_line, ["key", *words, "--data-dir", str(tmp_path)])

    grant = ("create", "app-1", "--scope", "orders:read", "--account", "A-1")
    assert says(*grant, "--from", "10.1.2.3/16").exit_code == Ends.USAGE
    assert says(*grant, *(["--from", "10.1.2.3"] * 33)).exit_code == Ends.USAGE
    assert says(*grant, "--from", OFFICE[0], "--from", OFFICE[1]).exit_code == 0
    (made,) = json.loads(says("list", "--json").stdout)
    assert made["networks"] == " ".join(OFFICE)
