"""The session of a broker as operators see it, end it, and begin its numbers anew."""

from typing import Final

import pytest
from sqlalchemy import text

from app.domain.broker_session import SessionStatus
from tests.builders import a_lane
from tests.web.house import Gateway
from tests.web.operators import ADMIN, audit

PATH: Final = f"{ADMIN}/brokers/pine/session"
SESSION: Final = SessionStatus(
    session_id="FIX.4.4:US->PINE",
    state="logged_on",
    why=None,
    host="fix.pine.example:9876",
    since=1_772_461_800_000,
    numbering=1,
    next_out=1,
    next_in=1,
    last_out_at=1_772_461_800_000,
    last_in_at=None,
    alarm=None,
)


BEGUN: Final = text(
    "INSERT INTO fix_sessions (session_id, broker_id, numbering, next_out, next_in, changed_at,"
    " reason) VALUES (:id, 'pine', 1, 7, 5, 0, 'new')"
)


@pytest.fixture
def held(gateway: Gateway) -> None:
    """Let the broker pine live on a session that stands at 7 out, 5 in."""
    gateway.floor.others.append(a_lane("pine", session=SESSION))
    database = gateway.ledger._database
    database.write_now(lambda c: c.execute(BEGUN, {"id": SESSION.session_id}))


@pytest.mark.usefixtures("held")
def test_a_session_is_shown_with_its_numbers_as_they_are_on_disk(gateway: Gateway) -> None:
    reply = gateway.client.get(PATH, headers=gateway.key("operator"))

    assert (reply.status_code, reply.headers["etag"]) == (200, '"v1"')
    shown = reply.json()
    assert (shown["state"], shown["host"]) == ("logged_on", "fix.pine.example:9876")
    assert (shown["numbering"], shown["next_out"], shown["next_in"]) == (1, 7, 5)
    assert (shown["since"], shown["last_in_at"]) == ("2026-03-02T14:30:00.000Z", None)


def test_a_broker_without_a_session_has_none_to_show(gateway: Gateway) -> None:
    reply = gateway.client.get(f"{ADMIN}/brokers/nova/session", headers=gateway.key("operator"))

    assert reply.status_code == 404


@pytest.mark.usefixtures("held")
def test_a_reset_names_the_numbering_that_was_seen_and_is_audited(gateway: Gateway) -> None:
    key, body = gateway.key("operator"), {"reason": "agreed with their desk"}
    blind = gateway.client.post(f"{PATH}/reset", json=body, headers=key)
    done = gateway.client.post(f"{PATH}/reset", json=body, headers=key | {"If-Match": '"v1"'})
    stale = gateway.client.post(f"{PATH}/reset", json=body, headers=key | {"If-Match": '"v1"'})

    assert (blind.status_code, done.status_code, stale.status_code) == (428, 200, 412)
    assert (done.json()["numbering"], done.json()["next_out"]) == (2, 1)
    assert gateway.floor.logged_out == [("pine", "the numbers were reset")]
    (row,) = [row for row in audit(gateway) if row["action"] == "session.reset"]
    assert (row["action"], row["resource"]) == ("session.reset", f"session/{SESSION.session_id}")
    assert row["sequence"] == done.json()["audit_id"]


@pytest.mark.usefixtures("held")
def test_a_logout_is_asked_of_whoever_holds_the_session_and_audited(gateway: Gateway) -> None:
    body = {"reason": "they ask us to come in again"}
    reply = gateway.client.post(f"{PATH}/logout", json=body, headers=gateway.key("operator"))

    assert (reply.status_code, reply.json()["connection"]) == (200, "it logs out")
    assert gateway.floor.logged_out == [("pine", body["reason"])]
    assert [row["action"] for row in audit(gateway)] == ["session.log_out"]


@pytest.mark.usefixtures("held")
def test_who_may_only_look_may_not_touch(gateway: Gateway) -> None:
    body, key = {"reason": "because I can"}, gateway.key(scopes=frozenset({"admin:read"}))
    for path in ("reset", "logout"):
        reply = gateway.client.post(f"{PATH}/{path}", json=body, headers=key | {"If-Match": '"v1"'})
        assert reply.status_code == 403
    assert gateway.floor.logged_out == []
