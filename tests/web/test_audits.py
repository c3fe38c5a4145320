"""The audit log by its doors: carried away as it was sealed, checked against what was kept."""

import json
from typing import Any, Final

import pytest
from starlette.testclient import TestClient

from app.ledger.operators.audit import GENESIS, AuditRow, seal
from app.ledger.store import Ledger
from app.web.access.keyfile import ROLES
from app.web.console.session import COOKIE
from tests.web.house import Gateway, run
from tests.web.operators import ADMIN, seen, sure

PATH: Final = f"{ADMIN}/audit"
WHY: Final = {"scope": "all", "reason": "wild prices"}


@pytest.fixture
def key(gateway: Gateway) -> dict[str, str]:
    """Have five things done, and return the key of an auditor."""
    mina = gateway.key("mina")
    for _ in range(5):
        gateway.client.post(f"{ADMIN}/halt", json=WHY, headers=mina | sure("all"))
    return gateway.key("jun", frozenset({"audit:read"}))


def verified(gateway: Gateway, key: dict[str, str], anchor: str | None = None) -> Any:
    query = {} if anchor is None else {"anchor": anchor}
    return gateway.client.get(f"{PATH}/verify", headers=key, params=query).json()


def cut(ledger: Ledger, last: int) -> None:
    work = f"DELETE FROM audit WHERE sequence > {last}"
    ledger._database.write_now(lambda c: c.exec_driver_sql(work))


def test_an_export_needs_nothing_of_ours_to_be_checked(
    gateway: Gateway, key: dict[str, str]
) -> None:
    one = gateway.client.get(f"{PATH}/export?limit=3", headers=key)
    two = gateway.client.get(f"{PATH}/export?after=3", headers=key)
    listed = gateway.client.get(f"{PATH}?sealed=true", headers=key).json()["data"]
    rows = [json.loads(line) for line in (one.text + two.text).splitlines()]

    assert one.headers["content-type"] == "application/x-ndjson"
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4, 5]
    assert listed == rows
    previous = GENESIS
    for row in rows:
        sealed = AuditRow(**row)
        assert (sealed.previous_hash, sealed.hash) == (previous, seal(sealed))
        previous = sealed.hash
    assert gateway.client.get(f"{PATH}/export?after=5", headers=key).text == ""


def test_a_cut_tail_shows_against_the_head_that_was_kept(
    gateway: Gateway, key: dict[str, str]
) -> None:
    head = verified(gateway, key)["head"]
    assert verified(gateway, key, head)["intact"]
    cut(gateway.ledger, 3)
    alone, anchored = verified(gateway, key), verified(gateway, key, head)

    assert (alone["intact"], alone["head"][:2]) == (True, "3:")
    assert (anchored["intact"], anchored["first_broken"]) == (False, 4)
    assert anchored["anchor"] == head


def test_another_hash_at_the_anchor_s_place_shows(gateway: Gateway, key: dict[str, str]) -> None:
    forged = "2:" + "0" * 64

    assert verified(gateway, key, forged)["first_broken"] == 2
    assert verified(gateway, key, "2:xyz")["code"] == "validation-failed"


def test_a_row_says_by_which_door_and_from_which_address(gateway: Gateway) -> None:
    """The doors of the gateway's own program, its console, its approvals, and all others."""
    mina, jun = gateway.key("mina"), gateway.key("jun", ROLES["approver"])
    hall = TestClient(gateway.client.app, client=("2001:db8::7", 1))
    rate = {"tps": 510, "reason": "desk asked"}
    path, page = f"{ADMIN}/brokers/nova/rate", {"Origin": "http://testserver"}
    gateway.client.patch(path, json=rate, headers=mina | seen(1))
    hall.patch(path, json=rate, headers=mina | seen(2) | {"User-Agent": "openbell-cli"})
    token = mina["Authorization"].removeprefix("Bearer ")
    hall.post("/console/login", data={"key": token}, headers=page, follow_redirects=False)
    hall.patch(path, json=rate, headers=page | {"X-Openbell-Console": "1"} | seen(3))
    assert COOKIE in hall.cookies
    wanted = {"operation": "set_broker_rate", "parts": {"broker_id": "nova"}, "if_match": '"v4"'}
    wanted |= {"body": {"tps": 500}, "reason": "desk asked"}
    made = gateway.client.post(f"{ADMIN}/proposals", json=wanted, headers=mina)
    url = f"{made.headers['location']}/approve"
    assert hall.post(url, json={"reason": "I looked"}, headers=jun | seen(1)).status_code == 200

    rows = run(gateway.ledger.audit(0, 10))
    assert [(row["actor"], row["via"], row["ip"]) for row in rows] == [
        ("mina", "api", "testclient"),
        ("mina", "cli", "2001:db8::7"),
        ("mina", "console", "2001:db8::7"),
        ("mina", "api", "testclient"),
        ("mina", "api", "2001:db8::7"),  # what was proposed was brought in by the approval
        ("jun", "api", "2001:db8::7"),
    ]
    assert verified(gateway, mina)["intact"]


def test_an_empty_log_has_no_head(gateway: Gateway) -> None:
    told = verified(gateway, gateway.key())

    assert told == {"intact": True, "first_broken": None, "anchor": None, "head": None}
    assert run(gateway.ledger.audit(0, 1)) == []
