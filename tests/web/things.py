"""Things for an operator to change, each brought about behind the doors' back.

A stale view can be refused only of something that is there: each builder returns the parts of
its path, and what a sound body must name of it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app.domain.anomaly import Severity
from app.domain.drill import Drill, DrillFault
from app.domain.failover import Failover, FailoverKind, FailoverState, FailoverStep
from app.domain.messages import ExecutionType
from app.domain.records import Actor
from tests.builders import a_finding, a_lane, a_report
from tests.web.house import CLIENT_SCOPES, Gateway, put_in_doubt, run
from tests.web.operators import ADMIN, reserve
from tests.web.test_broker_sessions import BEGUN, SESSION

LEE = Actor("lee", "the test says so")


class Thing(NamedTuple):
    """One that is there: its place in a path, and what a body says of it."""

    parts: Mapping[str, str] = {}
    body: Mapping[str, Any] = {}


def a_house(gateway: Gateway) -> Thing:  # noqa: ARG001 - builders are alike
    """Return what is there from the start."""
    return Thing()


def a_halt(gateway: Gateway) -> Thing:
    run(gateway.ledger.halt("symbol", "AA", LEE))
    return Thing(body={"scope": "symbol", "id": "AA"})


def a_doubt(gateway: Gateway) -> Thing:
    order_id = reserve(gateway, 1)
    attempt_id = run(put_in_doubt(gateway.ledger))
    word = {"attempt_id": attempt_id, "verdict": "rejected", "evidence": "their day file"}
    return Thing({"order_id": order_id}, word)


def a_stray(gateway: Gateway) -> Thing:
    """Have a broker show a copy of an order that it had not received, as was proved."""
    order_id = reserve(gateway, 1)
    attempt_id = run(put_in_doubt(gateway.ledger))
    run(gateway.ledger.never_received([attempt_id], "lookup"))
    shown = a_report(ExecutionType.NEW, broker_id="nova", broker_order_key=attempt_id)
    run(gateway.ledger.apply([shown], "report"))
    word = {"attempt_id": attempt_id, "verdict": "canceled", "evidence": "their day file"}
    return Thing({"order_id": order_id}, word)


def an_order(gateway: Gateway) -> Thing:
    return Thing({"order_id": reserve(gateway, 1)})


def an_anomaly(gateway: Gateway) -> Thing:
    finding = a_finding(Severity.CRITICAL, "route/XNYS", rule_id="manual.raised")
    (anomaly,) = run(gateway.house.trouble.note([finding]))
    return Thing({"anomaly_id": anomaly.anomaly_id})


def noted_failover(gateway: Gateway, by: Actor, *held_by: str) -> Failover:
    """Note a failover of the house's own that is held."""
    failover = Failover(
        failover_id="fo_1",
        incident_id="in_1",
        route_id="XNYS",
        kind=FailoverKind.AUTO,
        state=FailoverState.HELD,
        from_broker="nova",
        to_broker="sol",
        epoch=1,
        reason="nova: submit and ping for 8 s",
        steps=(FailoverStep(FailoverState.HELD, gateway.clock.now()),),
        by="openbell",
        held_by=held_by,
    )
    run(gateway.ledger.note_failover(failover, by))
    return failover


def a_failover(gateway: Gateway) -> Thing:
    return Thing({"failover_id": noted_failover(gateway, LEE).failover_id})


def a_drill(gateway: Gateway) -> Thing:
    now = gateway.clock.now()
    drill = Drill("dr_1", "XNYS", "nova", DrillFault.DIES, 1.0, 60, now, "lee", "the monthly one")
    run(gateway.ledger.start_drill(drill, LEE))
    return Thing({"drill_id": "dr_1"})


def a_proposal(gateway: Gateway) -> Thing:
    wanted = {
        "operation": "set_broker_rate",
        "parts": {"broker_id": "nova"},
        "body": {"tps": 400},
        "if_match": '"v1"',
        "reason": "desk asked, OPS-12",
    }
    key = gateway.key("lee")
    told = gateway.client.post(f"{ADMIN}/proposals", json=wanted, headers=key).json()
    return Thing({"proposal_id": told["proposal_id"]})


def a_key(gateway: Gateway) -> Thing:
    return Thing({"key_id": gateway.key("jun")["Authorization"].split("_")[2]})


def an_endpoint(gateway: Gateway) -> Thing:
    body = {"url": "https://customer.com/", "accounts": ["A-1"]}
    key = gateway.key("client", CLIENT_SCOPES)
    told = gateway.client.post("/v1/webhooks", json=body, headers=key).json()
    return Thing({"endpoint_id": told["endpoint_id"]})


def a_session(gateway: Gateway) -> Thing:
    """Let the broker pine live on a session of its own."""
    gateway.floor.others.append(a_lane("pine", session=SESSION))
    database = gateway.ledger._database
    database.write_now(lambda c: c.execute(BEGUN, {"id": SESSION.session_id}))
    return Thing({"broker_id": "pine"})
