"""What goes wrong becomes one document: `application/problem+json`, RFC 9457.

The code is the contract and comes from one enum; everything else is for people. Nothing of the
program shows: no trace, no class name, and never the value that a client sent in a field.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails, ValidationError
from starlette.exceptions import HTTPException

from app.clock import Clock
from app.domain.errors import Busy, Code, Refused
from app.ports.away import StoreAway

ERRORS_SHOWN_MAX: Final = 20
POINTER_LENGTH_MAX: Final = 200
JITTER_BITS: Final = 10
# What the client may simply try again. A commit of unknown outcome too: the id makes it safe.
RETRYABLE: Final = frozenset(
    {Code.QUOTA_EXCEEDED, Code.OVERLOADED, Code.DRAINING, Code.COMMIT_OUTCOME_UNKNOWN}
    | {Code.REQUEST_IN_PROGRESS}
)
_TYPES: Final = {
    Code.QUOTA_EXCEEDED: "https://iana.org/assignments/http-problem-types#quota-exceeded",
    Code.OVERLOADED: ("https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"),
}
_BY_STATUS: Final = {
    404: Code.NOT_FOUND,
    405: Code.METHOD_NOT_ALLOWED,
    413: Code.BODY_TOO_LARGE,
    422: Code.VALIDATION_FAILED,
}
SERVER_FAULT: Final = 500
# A server that restarts is back after some seconds.
AWAY_RETRY_S: Final = 2.0


class Invalid(Refused):
    """A body or query that does not fit, with a pointer to each place."""

    def __init__(self, code: Code, detail: str, errors: Sequence[dict[str, str]]) -> None:
        super().__init__(code, detail)
        self.errors = list(errors)


class OverQuota(Refused):
    """More than the caller's quota allows now: which one is in the way, and when it frees."""

    def __init__(self, policy: str, detail: str, fits_in_s: float, **context: object) -> None:
        super().__init__(Code.QUOTA_EXCEEDED, detail, **context)
        self.policy = policy
        self.fits_in_s = fits_in_s


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure, ready to be told."""

    code: Code
    detail: str
    context: dict[str, object] = field(default_factory=dict)
    errors: list[dict[str, str]] = field(default_factory=list)
    retry_after_s: int | None = None
    violated: tuple[str, ...] = ()  # the quotas in the way

    def document(self, path: str, request_id: str) -> dict[str, Any]:
        """Return the problem document, as it stands in a reply or in an item of a batch."""
        page = f"/errors/{self.code.code}"
        pointer = self.errors[0]["pointer"] if self.errors else ""
        violated = {"violated-policies": list(self.violated)} if self.violated else {}
        return {
            "type": _TYPES.get(self.code, page),
            "title": self.code.title,
            "status": self.code.status,
            "code": self.code.code,
            "detail": self.detail,
            "instance": f"{path}#{request_id}",
            "request_id": request_id,
            "retryable": self.code in RETRYABLE,
            "retry_after": self.retry_after_s,
            "doc_url": page,
            "order_id": self.context.get("order_id"),
            "param": pointer.removeprefix("#/") or None,
            "context": self.context,
            "errors": self.errors,
            **violated,
        }


def fault_of(e: Exception, clock: Clock) -> Fault:
    """Return what to tell of any exception; one that nobody expected says nothing of itself."""
    match e:
        case Invalid():
            return Fault(e.code, e.detail, dict(e.context), e.errors)
        case OverQuota():
            later = _later(e.fits_in_s, clock)
            return Fault(
                e.code, e.detail, dict(e.context), retry_after_s=later, violated=(e.policy,)
            )
        case Refused():
            later_s = 1 if e.code is Code.REQUEST_IN_PROGRESS else None
            return Fault(e.code, e.detail, dict(e.context), retry_after_s=later_s)
        case Busy():
            return Fault(e.code, e.code.title, retry_after_s=_later(e.retry_after_s, clock))
        case StoreAway():
            title = Code.STORE_AWAY.title
            return Fault(Code.STORE_AWAY, title, retry_after_s=_later(AWAY_RETRY_S, clock))
        case RequestValidationError():
            return _of_errors(e.errors())
        case HTTPException():
            return _of_status(e)
        case _:
            return Fault(Code.INTERNAL, Code.INTERNAL.title)


def _of_status(e: HTTPException) -> Fault:
    code = _BY_STATUS.get(e.status_code, Code.MALFORMED_REQUEST)
    code = code if e.status_code < SERVER_FAULT else Code.INTERNAL
    allowed = (e.headers or {}).get("Allow") if code is Code.METHOD_NOT_ALLOWED else None
    return Fault(code, f"this path takes {allowed}" if allowed else code.title)


def invalid(e: ValidationError) -> Invalid:
    """Turn what pydantic found into a refusal: 400 for what is no JSON object, else 422."""
    fault = _of_errors(e.errors(include_url=False, include_context=False, include_input=False))
    return Invalid(fault.code, fault.detail, fault.errors)


def invalid_at(name: str, detail: str, code: Code = Code.VALIDATION_FAILED) -> Invalid:
    """Return a refusal of one field or parameter."""
    return Invalid(code, f"{name}: {detail}", [_error(name, detail, "invalid")])


def _of_errors(found: Sequence[ErrorDetails] | Sequence[Any]) -> Fault:
    errors = []
    for one in found[:ERRORS_SHOWN_MAX]:
        if one["type"] == "json_invalid" or (one["type"] == "model_type" and not one["loc"]):
            return Fault(Code.MALFORMED_REQUEST, "expected one JSON object")
        errors.append(_error(_pointer(one["loc"]), one["msg"], one["type"]))
    first = errors[0]
    name = first["pointer"].removeprefix("#/")
    return Fault(Code.VALIDATION_FAILED, f"{name}: {first['detail']}", errors=errors)


def _error(name: str, detail: str, code: str) -> dict[str, str]:
    return {"pointer": f"#/{name}", "detail": detail, "code": code}


def _pointer(places: Sequence[int | str]) -> str:
    escaped = (str(place).replace("~", "~0").replace("/", "~1") for place in places)
    return "/".join(escaped)[:POINTER_LENGTH_MAX]


def _later(seconds: float, clock: Clock) -> int:
    """Spread the retries over half as long again, or all of them come back at once."""
    spread = clock.random_bits(JITTER_BITS) / (1 << JITTER_BITS)
    return max(1, round(seconds * (1 + spread / 2) + spread))


def error_page(code: Code) -> str:
    """Return the page that `doc_url` names."""
    retry = "You may send it again." if code in RETRYABLE else "Sent again, it fails again."
    if not code.status:
        retry = "It stands on an order as reason_code, never in a reply."
    status = f"HTTP {code.status}" if code.status else "reason_code"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{html.escape(code.code)}</title><h1>{html.escape(code.code)}</h1>"
        f"<p>{html.escape(code.title)}</p><p>{status}. {retry}</p></html>"
    )
