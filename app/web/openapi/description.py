"""What FastAPI is told of a door, so that OpenAPI says what the door does.

A door's handler takes a `Call`, which says nothing to FastAPI; so each door shows it a
signature made from its `Spec`: the parts of the path, the query, its headers, the body. What a
door may refuse stands in `refusals.py`.
"""

import re
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Annotated, Any, Final

from fastapi import Body, Header, Path, Query, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from app.domain.errors import Code
from app.web.clients.queries import PLACE
from app.web.openapi.refusals import problems
from app.web.spec import Spec, takes_key

_PART: Final = re.compile(r"{(\w+)}")
# What the parts of paths are, for people; one without words here is said by its name.
_PARTS: Final = {
    "order_id": "Tag 37, ours.",
    "account_id": "Tag 1.",
    "client_order_id": "Tag 11.",
    "list_id": "Tag 66.",
    "trading_session_id": "Tag 336, such as XNYS-2026-03-03-REG.",
    "broker_id": "The broker, by the name that settings give it.",
    "route_id": "The route: a market's MIC, such as XNYS.",
}
ONE_VERSION: Final = r'^"v[0-9]{1,18}"$'
ANY_VERSION: Final = r'^("v[0-9]{1,18}"|\*)$'
# A token, or a quoted string, of printable ASCII: as `replays.py` reads it.
REPLAY_KEY: Final = r'^("[ !#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$'


# One event, its fields by the names that they have on the wire.
_EVENT: Final = {
    "type": "object",
    "properties": {
        "event": {"type": "string", "examples": ["order.updated"]},
        "id": {"type": "string", "description": "Send the last one as Last-Event-ID."},
        "data": {"type": "string", "description": "One JSON document."},
        "retry": {"type": "integer", "description": "Milliseconds to wait before the next try."},
    },
}


class EventStream(Response):
    """What a stream answers with."""

    media_type = "text/event-stream"


def described(spec: Spec[Any, Any]) -> APIRoute:
    """Return the door as FastAPI would have it; only the document is ever made from it."""
    return APIRoute(spec.path, _signed(spec), **_operation(spec))


def _signed(spec: Spec[Any, Any]) -> Callable[..., Any]:
    """Return a function that has the door's signature and is never called."""

    async def shown() -> None:
        raise AssertionError(f"{spec.name} is described here and served by its door")

    shown.__name__ = spec.name
    shown.__doc__ = spec.handler.__doc__
    shown.__signature__ = Signature(_parameters(spec))  # type: ignore[attr-defined]
    return shown


def _parameters(spec: Spec[Any, Any]) -> list[Parameter]:
    found = [_parameter("request", Request)]
    for part in _PART.findall(spec.path):
        words = _PARTS.get(part, f"Its {part}.")
        found.append(_parameter(part, Annotated[str, Path(description=words)]))
    if spec.asks is not None:
        found.append(_parameter("query", Annotated[spec.asks, Query()]))
    found += _headers(spec)
    if spec.reads is not None:
        found.append(_parameter("body", Annotated[spec.reads.model, Body()]))
    return found


def _headers(spec: Spec[Any, Any]) -> list[Parameter]:
    found = []
    if spec.if_match:
        required = spec.if_match == "required"
        found.append(
            _header(
                "If-Match",
                "The ETag that you saw.",
                ONE_VERSION if required else ANY_VERSION,
                required=required,
            )
        )
    if spec.confirms or spec.names:
        words = "For a large step: the name of what changes."
        found.append(_header("X-Confirm", words))
    if takes_key(spec):
        words = "A repeated request with the same key gets the first answer again."
        found.append(_header("Idempotency-Key", words, REPLAY_KEY))
    if spec.approved:
        words = "The second person's API key or token."
        found.append(_header("X-Approver-Key", words, r"^[!-~]{1,8192}$"))
    if spec.streams:
        found.append(_header("Last-Event-ID", "The last id that you have.", PLACE))
    return found


def _header(
    name: str, words: str, pattern: str | None = None, *, required: bool = False
) -> Parameter:
    kind = Annotated[str, Header(alias=name, description=words, pattern=pattern)]
    default: object = Parameter.empty if required else None
    return _parameter(name.lower().replace("-", "_"), kind, default)


def _parameter(name: str, kind: object, default: object = Parameter.empty) -> Parameter:
    return Parameter(name, Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _operation(spec: Spec[Any, Any]) -> dict[str, Any]:
    """Return what `APIRoute` wants to know beyond the signature."""
    answers: dict[int | str, dict[str, Any]] = {}
    for status, model in spec.answers.items():
        answers[status] = {"model": model} if model else {}
    if spec.streams:
        answers[200] = {"content": {EventStream.media_type: {"schema": _EVENT}}}
    elif spec.media != JSONResponse.media_type:
        answers[200] = {"content": {spec.media: {"schema": {"type": "string"}}}}
    answers |= problems(spec)
    extra: dict[str, Any] = {"security": _lock(spec)}
    return {
        "methods": [spec.method],
        "operation_id": spec.name,
        "status_code": next(iter(spec.answers)),
        "responses": answers,
        "response_class": _answer(spec),
        "summary": spec.name.replace("_", " ").capitalize(),
        "tags": [_tag(spec.path)],
        "deprecated": True if spec.retires else None,
        "openapi_extra": extra,
        "include_in_schema": spec.path.startswith(("/v1", "/admin", "/hooks")),
    }


def _answer(spec: Spec[Any, Any]) -> type[Response]:
    if spec.streams:
        return EventStream
    if spec.media == JSONResponse.media_type:
        return JSONResponse
    return type("Lines", (Response,), {"media_type": spec.media})


def _lock(spec: Spec[Any, Any]) -> list[dict[str, list[str]]]:
    if spec.scope:
        return [{"api_key": [spec.scope]}]
    return [{"callback": []}] if Code.UNAUTHENTICATED in spec.refuses else []


def _tag(path: str) -> str:
    return "operator" if path.startswith("/admin") else "client"
