"""The OpenAPI document as its readers use it: its examples are true, and are taken as they stand.

Every request of the document is sent as it is shown, with ids of things that are there. The trap
is an example that was right when it was written: a newcomer's first call is a copy of it.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

import jsonschema_rs
import pytest

from app.domain.errors import Code
from tests.openapi.stage import JSON, Operation, Stage

PROBLEM_JSON: Final = "application/problem+json"
PART: Final = re.compile(r"{(\w+)}")
# What is there from the start; ids of what is made are read from the replies.
THERE: Final = {
    "broker_id": "north",
    "route_id": "XNAS",
    "rule_id": "broker.error_rate",
}
# Examples that cannot be taken here, the answer that they get, and why.
NOT_HERE: Final[dict[str, tuple[str, str]]] = {
    "take_broker_reports": ("unauthenticated", "a broker signs what it reports"),
    "reset_broker_session": ("not-found", "no broker here lives on a session"),
    "log_out_broker_session": ("not-found", "no broker here lives on a session"),
    "fail_over": ("prechecks-failed", "of a broker that has sent nothing yet, nothing is known"),
    "fail_back": ("prechecks-failed", "it is at home"),
    "abort_failover": ("not-found", "see `fail_over`"),
    "acknowledge_failover": ("not-found", "see `fail_over`"),
    "decline_proposal": ("proposal-closed", "it was approved a moment before"),
    "revoke_key": ("not-found", "the only keys here are those of the tests"),
    "probe_doubt": ("doubt-settled", "nothing is in doubt"),
    "resolve_doubt": ("doubt-settled", "nothing is in doubt"),
    "settle_stray": ("second-principal-required", "it is proposed, and another person approves"),
}
# They end what the others need.
LAST: Final = {"mass_cancel", "mass_cancel_as_operator", "start_drill", "end_drill"}
# What no door shows alone: the list that shows it, and by which of its fields it is found.
LISTED: Final = {
    "resume": ("/admin/v1/halts", "scope"),
    "disable_webhook": ("/admin/v1/webhooks", "endpoint_id"),
    "enable_webhook": ("/admin/v1/webhooks", "endpoint_id"),
}
# Steps of another person than the one who took the first.
DECIDED: Final = {"resume", "approve_proposal", "decline_proposal"}
# FIX names spelled out, and the tags that their descriptions give (order-model's table).
TAGS: Final = {
    "account_id": 1,
    "average_price": 6,
    "client_order_id": 11,
    "currency": 15,
    "execution_id": 17,
    "last_price": 31,
    "last_quantity": 32,
    "order_id": 37,
    "quantity": 38,
    "order_type": 40,
    "limit_price": 44,
    "side": 54,
    "symbol": 55,
    "time_in_force": 59,
    "trade_date": 75,
    "filled_quantity": 14,
    "remaining_quantity": 151,
    "broker_order_id": 198,
    "market": 207,
    "trading_session_id": 336,
}
CLIENTS: Final = ("NewOrder", "NewTerms", "OrderTold", "OrderInView", "ExecutionTold", "SweepAsked")


def bodies(stage: Stage) -> Iterator[tuple[str, Any, Any]]:
    """Yield every example of a body with its schema, requests and replies alike."""
    for operation in stage.operations:
        told = operation.told
        for place, one in (("request", told.get("requestBody", {})), *told["responses"].items()):
            for content in one.get("content", {}).values():
                if "example" in content:
                    yield f"{operation.name} {place}", content["schema"], content["example"]


def judge(stage: Stage, schema: Any) -> jsonschema_rs.Validator:
    whole = {**schema, "components": stage.document["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def test_every_example_fits_its_schema(stage: Stage) -> None:
    found = list(bodies(stage))
    wrong = [name for name, schema, shown in found if not judge(stage, schema).is_valid(shown)]

    assert wrong == []
    assert len(found) > 100


def test_every_request_and_every_answer_has_an_example(stage: Stage) -> None:
    shown = {name for name, _, _ in bodies(stage)}
    wanted = set()
    for operation in stage.operations:
        if "requestBody" in operation.told:
            wanted.add(f"{operation.name} request")
        answers = operation.told["responses"].items()
        wanted |= {
            f"{operation.name} {status}"
            for status, answer in answers
            if status < "300" and answer.get("content", {}).get(JSON, {}).get("schema")
        }

    assert wanted <= shown


def test_every_code_of_a_reply_is_shown_and_named_by_some_operation(stage: Stage) -> None:
    examples = stage.document["components"]["examples"]
    problem = judge(stage, {"$ref": "#/components/schemas/Problem"})
    named = {
        code
        for operation in stage.operations
        for answer in operation.told["responses"].values()
        for code in answer.get("content", {}).get(PROBLEM_JSON, {}).get("examples", ())
    }
    told = {code.code for code in Code if code.status}

    assert set(examples) == told
    assert all(problem.is_valid(example["value"]) for example in examples.values())
    # Of the console's page, and of a verb that no operation has.
    assert told - named == {"forged-request", "method-not-allowed"}


@pytest.mark.parametrize("model", CLIENTS)
def test_a_fix_field_gives_its_tag(stage: Stage, model: str) -> None:
    fields = stage.document["components"]["schemas"][model]["properties"]
    silent = [
        name
        for name, field in fields.items()
        if name in TAGS and not field.get("description", "").startswith(f"Tag {TAGS[name]}")
    ]

    assert silent == []


class Sender:
    """Sends every request as it is shown, and remembers the ids of what has come of it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._known: dict[str, str] = dict(THERE)

    def sent(self, operation: Operation) -> tuple[int, dict[str, str], Any]:
        path = operation.path.format_map(self._ids(operation))
        asked = {p["name"] for p in operation.told.get("parameters", ()) if p.get("required")}
        if "audit_id" in asked:
            path += f"?audit_id={self._known['audit_id']}"
        headers = {"If_Match": self._seen(operation)} if "If-Match" in asked else {}
        if operation.name in DECIDED:
            headers["Authorization"] = f"Bearer {self._stage.approver}"
        headers["X_Approver_Key"] = self._stage.approver
        body = operation.example
        if operation.name == "start_drill":
            body = {**body, "allow_live": True}  # the clock is the real one: the market may be open
        if "X-Confirm" in {p["name"] for p in operation.told.get("parameters", ())}:
            headers["X_Confirm"] = self._named(operation, body)
        status, told, reply = self._stage.call(operation.method, path, body, **headers)
        if status < 300:
            ids = {n: str(v) for n, v in reply.items() if n.endswith("_id") and v is not None}
            self._known |= {name: value for name, value in ids.items() if name not in THERE}
        return status, told, reply

    def _ids(self, operation: Operation) -> dict[str, str]:
        names = PART.findall(operation.path)
        return {name: self._known.get(name, "0") for name in names}

    def _named(self, operation: Operation, body: Any) -> str:
        """Return what the request moves, as a person would type it."""
        ids = self._ids(operation)
        if "broker_id" in ids or operation.name == "fail_back":
            return ids.get("broker_id") or ids["route_id"]
        return str(body.get("to") or body.get("id") or "all")

    def _seen(self, operation: Operation) -> str:
        """Look at what is to be changed, through a door that links to this one."""
        if operation.name in LISTED:
            path, name = LISTED[operation.name]
            wanted = {**(operation.example or {}), **self._known}[name]
            rows = self._stage.call("GET", path)[2]["data"]
            return next(f'"v{row["version"]}"' for row in rows if row[name] == wanted)
        for other in self._stage.operations:
            links = other.told["responses"].get("200", {}).get("links", {})
            if other.method == "GET" and operation.name in links:
                path = other.path.format_map(self._ids(other))
                # What is not there has none; then the change says so as well.
                return str(self._stage.call("GET", path)[1].get("etag", '"v1"'))
        path = f"/v1/orders/{self._known['order_id']}"  # no door of operators shows one order
        return str(self._stage.call("GET", path)[1]["etag"])


def test_every_request_is_taken_as_it_is_shown(stage: Stage) -> None:
    sender = Sender(stage)
    wrong = []
    for operation in sorted(stage.operations, key=lambda one: one.name in LAST):
        if operation.example is None:
            continue
        status, _, reply = sender.sent(operation)
        wanted = NOT_HERE.get(operation.name)
        ok = status < 300 if wanted is None else reply.get("code") == wanted[0]
        if not ok:
            wrong.append(f"{operation.name}: {status} {reply.get('code')} {reply.get('detail')}")

    assert not wrong, "\n".join(wrong)
