"""Which problems each door may answer with, as OpenAPI words them.

A door names what its own handler refuses; what every door of its kind refuses (a broken body, an
old version, a key that lacks the scope) is added here, so that none forgets it. The trap is an
answer that no client expects: the whole document is played against a running gateway, and a
status that is not described fails.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from app.domain.errors import Code
from app.web.problems import Fault
from app.web.spec import Spec, takes_key

PROBLEM_JSON: Final = "application/problem+json"
EXAMPLES: Final = "#/components/examples/"
_LOCKED: Final = (Code.UNAUTHENTICATED, Code.SCOPE_MISSING, Code.STORE_AWAY)
_READ: Final = (Code.MALFORMED_REQUEST, Code.VALIDATION_FAILED)
_KEYED: Final = (
    Code.REQUEST_IN_PROGRESS,
    Code.IDEMPOTENCY_KEY_REUSED,
    Code.VALIDATION_FAILED,  # what is no key
)
# Headers that these answers always carry.
_ALWAYS: Final[Mapping[int, tuple[str, ...]]] = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After",),
    503: ("Retry-After",),
}
# Looking costs these nothing and shows an example, not advice.
_EXAMPLE_ID: Final = "req_00c0ffee00c0ffee00c0"


def refusals(spec: Spec[Any, Any]) -> list[Code]:
    """Return every code that the door may answer with, each once."""
    reads = spec.reads is not None
    rows: Sequence[tuple[bool, Sequence[Code]]] = (
        (True, (*spec.refuses, Code.INTERNAL)),
        (spec.scope is not None, _LOCKED),
        (reads, (Code.BODY_TOO_LARGE,)),
        (reads and spec.scope is not None, _READ),
        (spec.asks is not None or spec.streams, (Code.VALIDATION_FAILED,)),
        (takes_key(spec), _KEYED),
        (spec.takes_orders, (Code.DRAINING,)),
        (spec.if_match != "", (Code.STALE_VERSION,)),
        (spec.if_match == "required", (Code.IF_MATCH_REQUIRED,)),
    )
    return list(dict.fromkeys(code for so, codes in rows if so for code in codes))


def problems(spec: Spec[Any, Any]) -> dict[int | str, dict[str, Any]]:
    """Return the door's refusals by status."""
    found: dict[int | str, dict[str, Any]] = {}
    for code in sorted(refusals(spec), key=lambda code: code.status):
        told = found.setdefault(code.status, _problem(code.status))
        told["description"] = f"{told['description']} · {code.code}".removeprefix(" · ")
        told["content"][PROBLEM_JSON]["examples"][code.code] = {"$ref": EXAMPLES + code.code}
    return found


def _problem(status: int) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Problem"}
    headers = {name: header_ref(name) for name in _ALWAYS.get(status, ())}
    return {
        "description": "",
        "headers": headers,
        "content": {PROBLEM_JSON: {"schema": schema, "examples": {}}},
    }


def header_ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}


def problem_examples() -> dict[str, Any]:
    """Return one example for each code that a reply can carry."""
    return {
        code.code: {"summary": code.title, "value": _example(code)} for code in Code if code.status
    }


def _example(code: Code) -> dict[str, Any]:
    later = 1 if code.status in {429, 503} else None
    return Fault(code, code.title, retry_after_s=later).document("/v1/orders", _EXAMPLE_ID)
