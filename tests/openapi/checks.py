"""What schemathesis asks of every answer beyond its own checks; it loads this file by itself.

Its own checks look at the status alone. Ours look at the code: a problem that the operation does
not name is as undocumented as a status, and `validation-failed` for what the schema allows means
that the schema says too little. What no schema can say stands in `excuses.py`.
"""

from typing import Any, Final

import schemathesis
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.transport import Response
from schemathesis.generation import GenerationMode

from tests.openapi.excuses import FIELDS, WORDS
from tests.servers.wishes import wish

PROBLEM_JSON: Final = "application/problem+json"
UNREAD: Final = {"validation-failed", "malformed-request"}
NOT_ALLOWED: Final = 405
Case = schemathesis.Case[Any]


def _code(response: Response) -> str:
    try:
        return str(response.json()["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _name(case: Case) -> str:
    return str(case.operation.definition.raw["operationId"])


def _mode(case: Case) -> GenerationMode | None:
    return case.meta.generation.mode if case.meta else None


@schemathesis.check
def a_refusal_is_a_problem_that_is_documented(_ctx: Any, response: Response, case: Case) -> None:
    """Every refusal is problem+json, with a code that the operation names for this status."""
    status = response.status_code
    if status < 400 or status == NOT_ALLOWED:  # of a verb that the document does not have
        return
    kind = response.headers.get("content-type", [""])[0]
    assert kind == PROBLEM_JSON, f"{status} came as {kind!r}"
    answers = case.operation.definition.raw["responses"]
    if str(status) in answers:
        named = answers[str(status)]["content"][PROBLEM_JSON]["examples"]
        code = _code(response)
        assert code in named, f"{code!r} is not among {sorted(named)}"


@schemathesis.check
def what_the_schema_allows_is_read(_ctx: Any, response: Response, case: Case) -> None:
    """Refuse what fits its schema only for what it wants, never as unreadable."""
    if _mode(case) is not GenerationMode.POSITIVE or _code(response) not in UNREAD:
        return
    told = response.json()
    places = {error["pointer"].removeprefix("#/") for error in told["errors"]}
    places |= {told["detail"].partition(":")[0], "*"}
    excused = any((who, place) in FIELDS for who in (_name(case), "*") for place in places)
    excused = excused or bool(WORDS.keys() & {error["code"] for error in told["errors"]})
    assert excused, f"{told['detail']} {sorted(places)}"


@schemathesis.check
def a_broken_item_breaks_only_its_own_result(_ctx: Any, response: Response, case: Case) -> None:
    """In place of the check that a batch is spared: one of its items was refused."""
    meta = case.meta
    body = meta.components.get(ParameterLocation.BODY) if meta else None
    if _name(case) != "create_orders" or body is None or body.mode is not GenerationMode.NEGATIVE:
        return
    if response.status_code == 200:
        assert response.json()["rejected"], "every item was taken"


@schemathesis.check
def who_lacks_the_scope_gets_nothing(_ctx: Any, response: Response, _case: Case) -> None:
    """In a run with a key that lacks every scope, each operation refuses."""
    if wish("OPENBELL_TEST_SCOPELESS"):
        assert response.status_code in {401, 403, NOT_ALLOWED}, "it opened"
