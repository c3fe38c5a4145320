"""Anomalies and their rules at the doors of operators."""

from typing import Any

from app.domain.anomaly import Anomaly, Severity
from tests.builders import a_finding
from tests.web.house import Gateway, run
from tests.web.operators import ADMIN, audit, seen, seen_at
from tests.web.stand_ins import SmallRulebook

PATH = f"{ADMIN}/anomalies"
RULES = f"{ADMIN}/anomaly-rules"
RULE = f"{RULES}/broker.error_rate"
REASON = {"reason": "the desk asked"}


def opened(gateway: Gateway, subject: str = "broker/nova", **facts: Any) -> Anomaly:
    finding = a_finding(Severity.CRITICAL, subject, **facts)
    (anomaly,) = run(gateway.house.trouble.note([finding]))
    return anomaly


def test_what_goes_on_is_listed_with_its_session_and_route(gateway: Gateway) -> None:
    anomaly = opened(gateway)
    key = gateway.key()
    listed = gateway.client.get(PATH, params={"state": "open"}, headers=key).json()
    one = gateway.client.get(f"{PATH}/{anomaly.anomaly_id}", headers=key).json()

    assert listed == {"data": [one], "has_more": False, "next_cursor": None}
    assert one["subject"] == {"kind": "broker", "id": "nova", "route": "XNYS"}
    assert one["session"] == {"trading_session_id": "XNYS-2026-03-02-REG", "phase": "pre_open"}


def test_the_list_is_turned_page_by_page_and_its_cursor_fits_no_other(gateway: Gateway) -> None:
    key = gateway.key()
    for number in range(3):
        opened(gateway, f"broker/b{number}")
        gateway.clock.at += 1
    first = gateway.client.get(PATH, params={"limit": 2}, headers=key).json()
    query = {"limit": 2, "cursor": first["next_cursor"]}
    second = gateway.client.get(PATH, params=query, headers=key).json()
    foreign = gateway.client.get(PATH, params=query | {"state": "resolved"}, headers=key)

    shown = [a["subject"]["id"] for page in (first, second) for a in page["data"]]
    assert shown == ["b2", "b1", "b0"]
    assert (first["has_more"], second["has_more"]) == (True, False)
    assert foreign.status_code == 422


def test_who_has_seen_it_and_for_how_long_nobody_is_told(gateway: Gateway) -> None:
    path = f"{PATH}/{opened(gateway).anomaly_id}"
    headers = gateway.key("mina") | seen_at(gateway, path)
    marked = gateway.client.post(f"{path}/ack", json=REASON, headers=headers)
    headers = gateway.key("lee") | {"If-Match": marked.headers["etag"]}
    quiet = gateway.client.post(f"{path}/silence", json={"ttl_s": 60, **REASON}, headers=headers)

    assert (marked.status_code, marked.json()["acknowledged_by"]) == (200, "mina")
    assert quiet.json()["silenced_until"] > quiet.json()["acknowledged_at"]
    assert [row["action"] for row in audit(gateway)] == ["anomaly.ack", "anomaly.silence"]


def test_marks_need_a_reason_a_scope_and_an_anomaly(gateway: Gateway) -> None:
    path = f"{PATH}/{opened(gateway).anomaly_id}/ack"
    reader = gateway.key("viewer", frozenset({"admin:read"}))
    key = gateway.key() | seen(1)

    assert gateway.client.post(path, json={}, headers=key).status_code == 422
    assert gateway.client.post(path, json=REASON, headers=reader).status_code == 403
    assert gateway.client.post(f"{PATH}/an_x/ack", json=REASON, headers=key).status_code == 404
    assert gateway.client.get(f"{PATH}/an_x", headers=key).status_code == 404


def test_a_person_raises_trouble_and_ends_it(gateway: Gateway) -> None:
    key = gateway.key("mina")
    body = {"subject": "route/XNYS", "severity": "critical", "drill": True, **REASON}
    raised = gateway.client.post(PATH, json=body, headers=key)
    path = f"{PATH}/{raised.json()['anomaly_id']}"
    looked = {"If-Match": raised.headers["etag"]}
    ended = gateway.client.post(f"{path}/resolve", json=REASON, headers=key | looked)

    assert raised.status_code == 201
    assert (raised.json()["rule"]["id"], raised.json()["drill"]) == ("manual.raised", True)
    assert ended.json()["state"] == "resolved"
    assert [row["action"] for row in audit(gateway)] == ["anomaly.raise", "anomaly.resolve"]


def test_nobody_talks_away_what_is_measured(gateway: Gateway) -> None:
    path = f"{PATH}/{opened(gateway).anomaly_id}"
    headers = gateway.key() | seen_at(gateway, path)
    reply = gateway.client.post(f"{path}/resolve", json=REASON, headers=headers)

    assert reply.status_code == 422
    assert len(run(gateway.house.trouble.open_anomalies())) == 1


def test_what_is_measured_each_second_can_be_named_and_what_got_worse_cannot(
    gateway: Gateway,
) -> None:
    """A version that moved with each measurement could never be named at all."""
    (anomaly,) = run(gateway.house.trouble.note([a_finding(Severity.WARNING)]))
    path = f"{PATH}/{anomaly.anomaly_id}"
    headers = gateway.key() | seen_at(gateway, path)
    gateway.clock.at += 30_000
    run(gateway.house.trouble.note([a_finding(Severity.WARNING)]))
    again = gateway.client.get(path, headers=headers)
    run(gateway.house.trouble.note([a_finding(Severity.CRITICAL)]))
    late = gateway.client.post(f"{path}/ack", json=REASON, headers=headers)

    assert again.json()["occurrences"] == 2
    assert again.headers["etag"] == headers["If-Match"]
    assert (late.status_code, late.json()["code"]) == (412, "stale-version")
    assert late.json()["context"]["current"]["severity"] == "critical"
    assert run(gateway.house.trouble.open_anomalies())[0].acknowledged_by is None


# --- rules --------------------------------------------------------------------------------


def test_a_rule_is_changed_on_the_version_that_was_seen(gateway: Gateway) -> None:
    key = gateway.key("mina")
    shown = gateway.client.get(RULE, headers=key)
    body = {"document": {"raise": 0.4}, **REASON}
    blind = gateway.client.put(RULE, json=body, headers=key)
    changed = gateway.client.put(RULE, json=body, headers=key | {"If-Match": '"v3"'})
    stale = gateway.client.put(RULE, json=body, headers=key | {"If-Match": '"v3"'})

    assert shown.headers["etag"] == '"v3"'
    assert (shown.json()["shipped"], shown.json()["document"]["raise"]) == (True, 0.2)
    assert (blind.status_code, stale.status_code) == (428, 412)
    assert (changed.status_code, changed.headers["etag"]) == (200, '"v4"')
    document = {"rule_id": "broker.error_rate", "version": 4, "raise": 0.4}
    assert changed.json()["document"] == document
    (listed,) = gateway.client.get(RULES, headers=key).json()["data"]
    undo = {"audit_id": 1, "undo_url": f"{RULE}/undo?audit_id=1"}
    assert listed | undo == changed.json()
    assert listed["changed_by"] == "mina"
    assert next(row["action"] for row in audit(gateway)) == "anomaly.rule"


def test_what_is_no_rule_is_not_kept(gateway: Gateway) -> None:
    headers = gateway.key() | {"If-Match": '"v3"'}
    body = {"document": {"raise": "a lot"}, **REASON}

    assert gateway.client.put(RULE, json=body, headers=headers).status_code == 422
    assert gateway.client.put(f"{RULES}/x", json=body, headers=headers).status_code == 404
    assert run(gateway.house.trouble.rules()) == []


def test_a_rule_is_tried_on_the_last_minutes_and_changes_nothing(gateway: Gateway) -> None:
    key = gateway.key()
    tried = gateway.client.post(f"{RULE}/test", json={}, headers=key).json()
    harder = {"document": {"raise": 0.5}}
    silent = gateway.client.post(f"{RULE}/test", json=harder, headers=key).json()

    assert (tried["fired"], tried["seconds"]) == (1, 600.0)
    assert (silent["fired"], silent["firings"]) == (0, [])
    assert run(gateway.house.trouble.rules()) == []


def test_who_remembers_no_minutes_says_who_does(gateway: Gateway) -> None:
    assert isinstance(gateway.house.rulebook, SmallRulebook)
    gateway.house.rulebook.watches = False
    told = gateway.client.post(f"{RULE}/test", json={}, headers=gateway.key()).json()

    assert told["fired"] is None
    assert "dispatches" in told["why_not"]
