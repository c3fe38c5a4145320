"""Every door by which an operator changes something has a verb that sends what the door asks."""

import json
import shlex
from collections.abc import Iterator
from typing import Any, Final

import pytest
from aiohttp import web
from typer.testing import CliRunner

from app.cli import app
from app.web.door import Door
from app.web.spec import Spec
from tests.cli.gateway import APPROVER, OPERATOR, Gateway, running
from tests.web.house import a_gateway

# What each door's verb is; `BY` says of those without one what leads there.
VERBS: Final = {
    "mass_cancel_as_operator": "order sweep --request-id r-1 --account A-1 --expect 1",
    "hold_orders": "order hold-many --request-id r-1 --symbol AA --expect 1",
    "release_orders": "order release-many --request-id r-1 --symbol AA --expect 1",
    "hold_order": "order hold x",
    "release_order": "order release x",
    "cancel_order_as_operator": "order end x",
    "disable_webhook": "webhook operator disable x",
    "enable_webhook": "webhook operator enable x",
    "set_broker_breaker": "broker breaker x forced_closed --confirm x",
    "set_broker_dispatch": "broker pause x --expires 5m",
    "undo_broker_change": "broker undo x 12 --confirm x",
    "set_breaker_config": "broker circuit set x open_s=9",
    "reset_breaker": "broker circuit reset x --to closed --confirm x",
    "reset_broker_session": "broker session reset x --confirm x",
    "log_out_broker_session": "broker session logout x",
    "set_broker_rate": "broker rate set x 40 --confirm x",
    "set_broker_schedule": "broker schedule set x open=3 --confirm x",
    "end_broker_schedule": "broker schedule clear x --confirm x",
    "set_route_policy": "route policy x --automation off",
    "lock_route": "route lock x --for 5m",
    "unlock_route": "route unlock x",
    "undo_route_change": "route undo x 12",
    "fail_over": "failover run x --to south --confirm south",
    "fail_back": "failover back x --confirm x",
    "abort_failover": "failover abort x",
    "acknowledge_failover": "failover ack x",
    "start_drill": "drill start x",
    "end_drill": "drill end x",
    "halt": "halt on --scope all --confirm all",
    "resume": "halt off --scope symbol:x",
    "kill": "halt kill --scope broker:x --confirm x",
    "probe_doubt": "doubt probe x",
    "resolve_doubt": "doubt resolve x --attempt x-01 --verdict rejected --evidence letter",
    "propose": "stray propose x --attempt x-01 --verdict canceled --evidence letter",
    "approve_proposal": "proposal approve x",
    "decline_proposal": "proposal decline x",
    "raise_anomaly": "anomaly raise broker/x",
    "ack_anomaly": "anomaly ack x",
    "silence_anomaly": "anomaly ack x --silence 5m",
    "resolve_anomaly": "anomaly resolve x",
    "set_anomaly_rule": "anomaly rule set x -",
    "undo_anomaly_rule_change": "anomaly rule undo x 12",
    "test_anomaly_rule": "anomaly rule test x",
    "override_session": "session override x --opens +1h --closes +2h",
    "lift_session_override": "session lift x",
    "undo_session_override": "session undo x 12",
    "pause_session": "session pause x",
    "resume_session": "session resume x",
    "rebuild_view": "view rebuild",
    "revoke_key": "key remote revoke x",
}
BY: Final = {"settle_stray": "proposal approve"}
ASKS_NO_REASON: Final = {"test_anomaly_rule"}
CHANGING: Final = ("POST", "PUT", "PATCH", "DELETE")
# A thing that has whatever a verb looks for; its version is 7.
ONE: Final = {
    **dict.fromkeys(("order_id", "endpoint_id", "target", "proposal_id", "drill_id"), "x"),
    "version": 7,
    "epoch": 3,
    "scope": "symbol",
    "to_broker": "x",
    "from_broker": "y",
    "orders_affected": 1,
    "selection_id": "s",
    "done": True,
    "moved": 1,
    "left": 0,
    "canceled": 1,
    "cancel_requested": 0,
}


@pytest.fixture(scope="module")
def doors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Spec[Any, Any]]:
    """Return what an operator may change, by the name of its door."""
    served: Any = a_gateway(tmp_path_factory.mktemp("doors")).client.app
    specs = [door.spec for door in served.router.routes if isinstance(door, Door)]
    return {
        spec.name: spec
        for spec in specs
        if spec.path.startswith("/admin/") and spec.method in CHANGING
    }


@pytest.fixture(scope="module")
def gateway() -> Iterator[Gateway]:
    with running() as gateway:
        gateway.more["/admin/v1/"] = _answer
        yield gateway


def _answer(_request: web.Request) -> web.Response:
    return web.json_response(ONE | {"data": [ONE]}, headers={"ETag": '"v7"'})


def test_every_door_that_changes_something_has_a_verb(doors: dict[str, Spec[Any, Any]]) -> None:
    assert doors.keys() == VERBS.keys() | BY.keys()


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_sends_what_its_door_asks(
    doors: dict[str, Spec[Any, Any]], gateway: Gateway, name: str
) -> None:
    spec, words = doors[name], shlex.split(VERBS[name])
    why = [] if name in ASKS_NO_REASON else ["--reason", "the desk asked"]
    environment = {
        "OPENBELL_URL": gateway.url,
        "OPENBELL_KEY": OPERATOR,
        "OPENBELL_APPROVER_KEY": APPROVER,
    }
    rule = json.dumps({"rule_id": "x"})

    ran = CliRunner(env=environment).invoke(app, [*words, *why], input=rule, catch_exceptions=False)

    assert ran.exit_code == 0, ran.output
    method, path, body = gateway.requests[-1]
    named = words[words.index("--confirm") + 1] if "--confirm" in words else None
    assert (method, path.partition("?")[0]) == (spec.method, _filled(spec.path))
    assert gateway.headers[-1].get("X-Confirm") == named
    assert named is not None or not (spec.confirms or spec.names)
    assert (body.get("reason") == "the desk asked") is bool(why)
    if spec.if_match:
        assert gateway.headers[-1]["If-Match"] == '"v7"'


def _filled(path: str) -> str:
    return "/".join("x" if part.startswith("{") else part for part in path.split("/"))
