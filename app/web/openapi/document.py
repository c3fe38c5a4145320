"""Finishes the OpenAPI document: what the doors refer to, examples, links from reply to request.

A link says that what one door answers is what another asks for (`order_id`, `If-Match`), and is
found by the names, so a new door is linked by being there. The trap is a document that is nearly
right: a generated client is built from this and from nothing else.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from app.domain.errors import Code
from app.web.clients.schemas import EXAMPLE, Problem
from app.web.openapi.examples import SCHEMAS, example_of
from app.web.openapi.refusals import header_ref, problem_examples
from app.web.spec import Spec

JSON: Final = "application/json"
EXAMPLE_MARKET: Final = str(EXAMPLE["market"])
# What FastAPI adds of its own for a body that does not fit; ours is a problem.
FOREIGN: Final = ("HTTPValidationError", "ValidationError")
Document = dict[str, Any]
Operations = Mapping[str, Document]
HEADERS: Final[Document] = {
    "X-Request-ID": "The request's id: the caller's, or one of ours. It stands in our logs.",
    "ETag": 'The version, such as "v3": what If-Match wants.',
    "Location": "Where what was made stands.",
    "Idempotent-Replayed": "true: this is the first answer again.",
    "Retry-After": "Seconds.",
    "WWW-Authenticate": "Bearer.",
}
LOCKS: Final[Document] = {
    "api_key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key; for operators also a token (JWT) of the configured issuer.",
    },
    "callback": {
        "type": "http",
        "scheme": "bearer",
        "description": "The sender's own token, or its signature of the body: see the settings.",
    },
}
ALWAYS: Final = ("X-Request-ID", "Retry-After", "WWW-Authenticate")
# Where the items of a page stand.
LIST: Final = "data"


def finished(document: Document, specs: Sequence[Spec[Any, Any]]) -> Document:
    """Add to FastAPI's document what it cannot know."""
    operations = {o["operationId"]: o for path in document["paths"].values() for o in path.values()}
    known = [spec for spec in specs if spec.name in operations]
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    for name in FOREIGN:
        schemas.pop(name, None)
    for spec in known:
        for model in (spec.reads and spec.reads.model, *spec.answers.values()):
            _describe(model, schemas)
    schemas["Problem"] = _problem()
    components["securitySchemes"] = LOCKS
    components["examples"] = problem_examples()
    components["headers"] = {name: _header(name, words) for name, words in HEADERS.items()}
    for spec in known:
        _complete(operations[spec.name], spec, schemas)
    for spec in known:
        if links := dict(_links(spec, known, operations, schemas)):
            for status in spec.answers:
                operations[spec.name]["responses"][str(status)]["links"] = links
    return document


def for_today(document: Document, session_id: str | None) -> Document:
    """Return the document with a session that is still to come in its examples."""
    if session_id is None:
        return document
    text = json.dumps(document).replace(str(EXAMPLE["trading_session_id"]), session_id)
    return dict(json.loads(text))


def _problem() -> Document:
    schema = Problem.model_json_schema()
    # Not an enum: a client must live with a code that is younger than it is.
    schema["properties"]["code"]["x-extensible-enum"] = [c.code for c in Code if c.status]
    return schema


def _describe(model: object, schemas: Document) -> None:
    """Give back the words beside a reference, which pydantic drops: the tag of `side` is one."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return
    shown = schemas.get(model.__name__, {}).get("properties", {})
    for name, field in model.model_fields.items():
        if field.description and "$ref" in shown.get(field.alias or name, {}):
            shown[field.alias or name].setdefault("description", field.description)


def _header(name: str, words: str) -> Document:
    kind = "integer" if name == "Retry-After" else "string"
    return {"description": words, "schema": {"type": kind}, "required": name in ALWAYS}


def _complete(operation: Document, spec: Spec[Any, Any], schemas: Document) -> None:
    for status, answer in list(operation["responses"].items()):
        content = answer.get("content", {})
        if any(name in str(content) for name in FOREIGN):
            del operation["responses"][status]
            continue
        answer.setdefault("headers", {})["X-Request-ID"] = header_ref("X-Request-ID")
        if int(status) not in spec.answers:
            continue
        answer["headers"] |= {name: header_ref(name) for name in spec.shows}
        _exemplify(content.get(JSON), schemas, whole=True)
    _exemplify(operation.get("requestBody", {}).get("content", {}).get(JSON), schemas, whole=False)


def _exemplify(content: Document | None, schemas: Document, *, whole: bool) -> None:
    if content and content.get("schema") and "examples" not in content:
        content["example"] = example_of(content["schema"], schemas, whole=whole)


def _links(
    spec: Spec[Any, Any],
    known: Sequence[Spec[Any, Any]],
    operations: Operations,
    schemas: Document,
) -> Iterator[tuple[str, Document]]:
    """Yield a link to each door that can be called with what this one has answered."""
    found = dict(_given(operations[spec.name], spec, schemas))
    for other in known:
        wanted = operations[other.name].get("parameters", ())
        ids = [p["name"] for p in wanted if p.get("required") and p["in"] != "header"]
        if other is spec or not ids or not set(ids) <= set(found):
            continue
        if _root(other) != _root(spec):  # a client's reply leads to no operator's door
            continue
        parameters = {name: found[name] for name in ids}
        if other.if_match == "required":
            if "ETag" not in spec.shows or _shown(spec, known) not in {None, _shown(other, known)}:
                continue
            parameters["If-Match"] = "$response.header.ETag"
        yield other.name, {"operationId": other.name, "parameters": parameters}


def _shown(spec: Spec[Any, Any], known: Sequence[Spec[Any, Any]]) -> str | None:
    """Return what a door is about, as the path of the door that shows it with its ETag."""
    above = (
        one.path
        for one in known
        if one.method == "GET"
        and "ETag" in one.shows
        and (spec.path == one.path or spec.path.startswith(f"{one.path}/"))
    )
    return max(above, key=len, default=None)


def _root(spec: Spec[Any, Any]) -> str:
    return spec.path.split("/")[1]


def _given(
    operation: Document, spec: Spec[Any, Any], schemas: Document
) -> Iterator[tuple[str, str]]:
    """Yield each id that a reply gives or its request has named, and where it stands."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            yield parameter["name"], f"$request.path.{parameter['name']}"
    content = operation["responses"][str(next(iter(spec.answers)))].get("content", {})
    reply = _named(content.get(JSON, {}).get("schema", {}), schemas)
    if LIST in reply.get("properties", {}):
        items = reply["properties"][LIST].get("items", {})
        yield from _ids(_named(items, schemas), f"$response.body#/{LIST}/0/")
    else:
        yield from _ids(reply, "$response.body#/")


def _ids(schema: Document, place: str) -> Iterator[tuple[str, str]]:
    for name, field in schema.get("properties", {}).items():
        if name.endswith("_id") and field.get("type") in {"string", "integer"}:
            yield name, place + name


def _named(schema: Document, schemas: Document) -> Document:
    found: Document = schemas.get(schema.get("$ref", "").removeprefix(SCHEMAS), schema)
    return found
