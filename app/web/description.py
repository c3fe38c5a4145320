"""What FastAPI is told of a door, so that OpenAPI says what the door does.

A door's handler takes a `Call`, which says nothing to FastAPI; so each door shows it a
signature made from its `Spec`: the parts of the path, the query, If-Match, the body.
"""

import re
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Annotated, Any, Final

from fastapi import Body, Header, Path, Query, Request

from app.domain.errors import Code
from app.web.spec import Spec, takes_key

_PART: Final = re.compile(r"{(\w+)}")
_PROBLEM: Final = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
_ANY_KEY: Final = (Code.UNAUTHENTICATED, Code.SCOPE_MISSING)


def described(spec: Spec[Any, Any]) -> Callable[..., Any]:
    """Return a function that has the door's signature and is never called."""

    async def shown() -> None:
        raise AssertionError(f"{spec.name} is described here and served by its door")

    shown.__name__ = spec.name
    shown.__doc__ = spec.handler.__doc__
    shown.__signature__ = Signature(_parameters(spec))  # type: ignore[attr-defined]
    return shown


def _parameters(spec: Spec[Any, Any]) -> list[Parameter]:
    found = [_parameter("request", Request)]
    found += [_parameter(part, Annotated[str, Path()]) for part in _PART.findall(spec.path)]
    if spec.asks is not None:
        found.append(_parameter("query", Annotated[spec.asks, Query()]))
    if spec.if_match == "required":
        seen = Header(alias="If-Match", description="The ETag that you saw.")
        found.append(_parameter("if_match", Annotated[str, seen]))
    elif spec.if_match:
        seen = Header(alias="If-Match", description="The ETag that you saw.")
        found.append(_parameter("if_match", Annotated[str | None, seen], None))
    if spec.confirms:
        named = Header(alias="X-Confirm", description="For a large step: the name of what changes.")
        found.append(_parameter("x_confirm", Annotated[str | None, named], None))
    if takes_key(spec):
        same = Header(alias="Idempotency-Key", description="Sent again, the first answer is.")
        found.append(_parameter("idempotency_key", Annotated[str | None, same], None))
    if spec.reads is not None:
        found.append(_parameter("body", Annotated[spec.reads.model, Body()]))
    return found


def _parameter(name: str, kind: object, default: object = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def operation(spec: Spec[Any, Any]) -> dict[str, Any]:
    """Return what `APIRoute` wants to know beyond the signature."""
    answers: dict[int | str, dict[str, Any]] = {}
    for status, model in spec.answers.items():
        answers[status] = {"model": model} if model else {}
    for code in (*(_ANY_KEY if spec.scope else ()), *spec.refuses, *_of_keys(spec)):
        known = answers.setdefault(code.status, {"content": _PROBLEM, "description": ""})
        words = known.get("description", "")
        known["description"] = f"{words} · {code.code}".removeprefix(" · ")
    lock = [{"api_key": [spec.scope]}] if spec.scope else []
    extra: dict[str, Any] = {"security": lock}
    return {
        "methods": [spec.method],
        "operation_id": spec.name,
        "status_code": next(iter(spec.answers)),
        "responses": answers,
        "summary": spec.name.replace("_", " ").capitalize(),
        "tags": [_tag(spec.path)],
        "deprecated": True if spec.retires else None,
        "openapi_extra": extra,
        "include_in_schema": spec.path.startswith(("/v1", "/admin", "/hooks")),
    }


def _of_keys(spec: Spec[Any, Any]) -> tuple[Code, ...]:
    if not takes_key(spec):
        return ()
    found = (Code.REQUEST_IN_PROGRESS, Code.IDEMPOTENCY_KEY_REUSED)
    return tuple(code for code in found if code not in spec.refuses)


def _tag(path: str) -> str:
    return "operator" if path.startswith("/admin") else "client"
