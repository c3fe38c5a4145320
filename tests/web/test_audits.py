"""The audit log by its doors: carried away as it was sealed, checked against what was kept."""

import json
from typing import Any, Final

import pytest

from app.ledger.audit import GENESIS, AuditRow, seal
from app.ledger.store import Ledger
from tests.web.house import Gateway, run
from tests.web.operators import ADMIN, sure

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


def test_an_empty_log_has_no_head(gateway: Gateway) -> None:
    told = verified(gateway, gateway.key())

    assert told == {"intact": True, "first_broken": None, "anchor": None, "head": None}
    assert run(gateway.ledger.audit(0, 1)) == []
