"""Alerts of other systems: right code each, kept once, and never more than evidence.

The payloads are as Alertmanager and Grafana document and write them; a sender repeats only what
was answered with a 5xx, so each code here decides whether an alert is lost.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from app.domain.alerts import OutsideAlert
from app.domain.anomaly import Anomaly, Severity, Subject
from app.ports.away import StoreAway
from app.web.app import create_app
from app.web.hooks.payloads import Nonsense, alerts_of
from tests.web.house import HMAC_SECRET, TOKEN, Gateway, run

NOW = 1_772_461_740_000
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ALERT: dict[str, Any] = {
    "status": "firing",
    "labels": {
        "alertname": "OpenbellBrokerErrors",
        "broker": "nova",
        "severity": "critical",
        "account_id": "A-1",
    },
    "annotations": {"summary": "nova answers one in three"},
    "startsAt": "2026-03-02T14:28:17.123456789Z",
    "endsAt": "0001-01-01T00:00:00Z",
    "generatorURL": "http://prometheus:9090/graph?g0.expr=x",
    "fingerprint": "c1f0a3d2b4e59687",
}
ALERTMANAGER: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="OpenbellBrokerErrors"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "openbell",
    "groupLabels": {"alertname": "OpenbellBrokerErrors"},
    "commonLabels": {"alertname": "OpenbellBrokerErrors", "openbell_subject": "broker/nova"},
    "commonAnnotations": {},
    "externalURL": "http://alertmanager:9093",
    "notification_reason": "first notification",
    "routeLabels": {},
    "alerts": [ALERT],
}
GRAFANA: dict[str, Any] = {
    **ALERTMANAGER,
    "version": "1",
    "orgId": 1,
    "title": "[FIRING:1] OpenbellBrokerErrors",
    "state": "alerting",
    "message": "**Firing**",
    "alerts": [
        {
            **ALERT,
            "silenceURL": "http://grafana:3000/alerting/silence/new",
            "dashboardURL": "",
            "panelURL": "",
            "values": {"B": 0.33, "C": 1},
            "valueString": "[ var='B' value=0.33 ]",
            "orgId": 1,
        }
    ],
}
KIBANA = {
    "name": "nova is slow",
    "status": "active",
    "alert_id": "k-1",
    "subject": "broker/nova",
    "severity": "warning",
    "timestamp": "2026-03-02T14:28:17+00:00",
    "message": "p95 above 2 s",
}


def resolved(payload: dict[str, Any]) -> dict[str, Any]:
    ended = {**ALERT, "status": "resolved", "endsAt": "2026-03-02T14:29:00Z"}
    return {**payload, "status": "resolved", "alerts": [ended]}


def signed(body: bytes, stamp: int | None = None) -> dict[str, str]:
    """Return the headers of Grafana's contact point, or of one that signs its time as well."""
    told = body if stamp is None else f"{stamp}:".encode() + body
    found = hmac.new(HMAC_SECRET.encode(), told, hashlib.sha256).hexdigest()
    headers = {"X-Grafana-Alerting-Signature": found}
    return headers if stamp is None else headers | {"X-Timestamp": str(stamp)}


def post(gateway: Gateway, payload: object, headers: dict[str, str] = BEARER) -> Any:
    return gateway.client.post("/hooks/alertmanager", json=payload, headers=headers)


def going_on(gateway: Gateway) -> list[Anomaly]:
    return run(gateway.house.trouble.open_anomalies())


# --- golden payloads ----------------------------------------------------------------------


def test_alertmanager_fires_and_resolves(gateway: Gateway) -> None:
    fired = post(gateway, ALERTMANAGER)
    (anomaly,) = going_on(gateway)
    ended = post(gateway, resolved(ALERTMANAGER))

    assert (fired.status_code, fired.json()) == (200, {"taken": 1, "new": 1})
    assert (anomaly.rule_id, str(anomaly.subject)) == (
        "external.OpenbellBrokerErrors",
        "broker/nova",
    )
    assert (anomaly.severity, anomaly.recommended.action) == (Severity.CRITICAL, "none")
    assert ended.json() == {"taken": 1, "new": 1}
    assert going_on(gateway) == []


def test_what_it_repeats_is_known_whatever_comes_between(gateway: Gateway) -> None:
    repeated = {**ALERTMANAGER, "notification_reason": "repeat interval elapsed"}
    news = [
        post(gateway, each).json()["new"]
        for each in (ALERTMANAGER, repeated, resolved(ALERTMANAGER), ALERTMANAGER, repeated)
    ]

    assert news == [1, 0, 1, 0, 0]
    assert going_on(gateway) == []


def test_what_is_left_out_is_not_over(gateway: Gateway) -> None:
    post(gateway, ALERTMANAGER)
    truncated = {**ALERTMANAGER, "truncatedAlerts": 7, "alerts": []}

    assert post(gateway, truncated).json() == {"taken": 0, "new": 0}
    assert len(going_on(gateway)) == 1


def test_grafana_signs_its_body_and_may_put_it(gateway: Gateway) -> None:
    body = json.dumps(GRAFANA).encode()
    for ask in (gateway.client.post, gateway.client.put):
        assert ask("/hooks/grafana", content=body, headers=signed(body)).status_code == 200

    assert [a.rule_id for a in going_on(gateway)] == ["external.OpenbellBrokerErrors"]


def test_a_connector_with_a_template_is_understood(gateway: Gateway) -> None:
    now_s = gateway.clock.now() // 1000
    for status, open_ in (("active", 1), ("recovered", 0)):
        body = json.dumps({**KIBANA, "status": status}).encode()
        headers = signed(body, now_s)
        reply = gateway.client.post("/hooks/generic", content=body, headers=headers)

        assert reply.status_code == 200
        assert len(going_on(gateway)) == open_


def read(payload: object, source: str = "alertmanager") -> OutsideAlert:
    (alert,) = alerts_of(source, json.dumps(payload).encode(), NOW)
    return alert


def test_what_an_alert_says_is_read_with_what_its_group_says() -> None:
    alert = read(ALERTMANAGER)

    assert alert.starts_at == 1_772_461_697_123
    assert (alert.fingerprint, alert.summary) == (ALERT["fingerprint"], "nova answers one in three")
    assert set(alert.labels) == {"alertname", "broker", "severity", "openbell_subject"}


@pytest.mark.parametrize(
    ("labels", "subject"),
    [
        ({"openbell_subject": "route/XNYS", "broker": "nova"}, Subject("route", "XNYS")),
        ({"openbell_subject": "what?", "broker": "nova"}, Subject("broker", "nova")),
        ({"broker": "no va"}, Subject("gateway", "alertmanager")),
        ({}, Subject("gateway", "alertmanager")),
    ],
)
def test_whom_it_is_about(labels: dict[str, str], subject: Subject) -> None:
    assert read({"alerts": [{"labels": {"alertname": "x", **labels}}]}).subject == subject


@pytest.mark.parametrize(
    "payload",
    [
        {"title": "[FIRING] x", "state": "alerting"},
        {"alerts": [{}]},
        [{"labels": {"alertname": "x"}, "startsAt": "0001-01-01T00:00:00Z"}],
        {"alerts": [{"labels": "x", "annotations": 3, "startsAt": {}, "fingerprint": []}, "y"]},
        {"labels": {"alertname": "x\0"}, "status": "firing", "startsAt": "soon"},
    ],
)
def test_a_template_may_leave_out_nearly_all(payload: object) -> None:
    alert = read(payload)

    assert alert.firing
    assert (alert.starts_at, len(alert.fingerprint)) == (NOW, 16)
    assert "\0" not in alert.name + alert.rule_id


# --- wrong ones ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", [b"", b"{", b"3", b'"x"', b"{}", b'{"alerts":3}', b'{"alerts":["x"]}', b"\xff"]
)
def test_what_has_no_alert_in_it_is_nonsense(gateway: Gateway, body: bytes) -> None:
    reply = gateway.client.post("/hooks/alertmanager", content=body, headers=BEARER)

    assert (reply.status_code, reply.json()["code"]) == (400, "malformed-request")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer \xff".encode("latin-1")},
        signed(json.dumps(ALERTMANAGER).encode()),
    ],
)
def test_who_cannot_say_who_he_is_is_told_nothing(gateway: Gateway, headers: Any) -> None:
    reply = post(gateway, ALERTMANAGER, headers)

    assert (reply.status_code, reply.json()["code"]) == (401, "unauthenticated")
    assert going_on(gateway) == []


@pytest.mark.parametrize("late_s", [None, -301, 301])
def test_a_signature_of_another_body_or_another_hour_is_wrong(
    gateway: Gateway, late_s: int | None
) -> None:
    body, now_s = json.dumps(KIBANA).encode(), gateway.clock.now() // 1000
    headers = signed(body, now_s + late_s) if late_s else signed(body + b" ", now_s)
    unstamped = gateway.client.post("/hooks/generic", content=body, headers=signed(body))
    reply = gateway.client.post("/hooks/generic", content=body, headers=headers)

    assert (reply.status_code, unstamped.status_code) == (401, 401)


def test_a_door_without_a_secret_is_none(gateway: Gateway) -> None:
    gateway.house.hooks.clear()  # type: ignore[attr-defined]

    assert post(gateway, ALERTMANAGER).status_code == 404


def test_what_is_too_large_is_refused(gateway: Gateway) -> None:
    assert post(gateway, {"name": "x" * (1 << 20)}).status_code == 413


class _AwayStore:
    async def hear(self, alerts: Sequence[OutsideAlert]) -> int:
        raise StoreAway("gone")


def test_what_could_not_be_kept_is_asked_for_again(gateway: Gateway) -> None:
    trouble: Any = _AwayStore()
    house = replace(gateway.house, trouble=trouble, registry=CollectorRegistry())
    reply = TestClient(create_app(house)).post(
        "/hooks/alertmanager", json=ALERTMANAGER, headers=BEARER
    )
    assert reply.status_code == 503
    assert int(reply.headers["retry-after"]) >= 1


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["x/y", "firing"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["alerts", "labels", "status", "startsAt", "alertname", "name", "severity"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_is_posted_is_alerts_or_nonsense(payload: object) -> None:
    try:
        alerts = alerts_of("generic", json.dumps(payload).encode(), NOW)
    except Nonsense:
        return
    for alert in alerts:
        assert alert.fingerprint
        assert alert.rule_id.startswith("external.")
        assert 0 < alert.starts_at < 2**53
