"""The API for people: one plain page out of the OpenAPI document, without a script from anywhere.

It needs no network beyond us, so whoever sits in a machine room without the internet can read it.
The trap is text of the document that becomes markup: everything is escaped, once, here.
"""

from html import escape
from json import dumps
from typing import Any, Final

_REF: Final = "#/components/schemas/"


def docs_page(document: dict[str, Any]) -> str:
    """Return every operation with its fields, answers and example, and an index before them."""
    schemas = document.get("components", {}).get("schemas", {})
    operations = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    index = "".join(
        f'<li><a href="#{escape(o["operationId"])}">'
        f"<code>{method.upper()} {escape(path)}</code></a>"
        for path, method, o in operations
    )
    body = "".join(_operation(path, method, o, schemas) for path, method, o in operations)
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} API</title>'
        f"<h1>{title}</h1><p>{escape(document['info'].get('description') or '')}</p>"
        f'<p><a href="/openapi.json">openapi.json</a> · <a href="/asyncapi.json">asyncapi.json</a>'
        f"</p><ul>{index}</ul>{body}</html>"
    )


def _operation(path: str, method: str, operation: dict[str, Any], schemas: dict[str, Any]) -> str:
    name = escape(operation["operationId"])
    going = " (deprecated)" if operation.get("deprecated") else ""
    parameters = [
        (p["name"], p["schema"], p.get("description") or "", p.get("required", False))
        for p in operation.get("parameters", ())
    ]
    sent = _body(operation.get("requestBody", {}), schemas)
    answers = "".join(
        f"<li><code>{escape(status)}</code> {_links(answer.get('description') or '')}"
        for status, answer in operation["responses"].items()
    )
    return (
        f'<h2 id="{name}"><code>{method.upper()} {escape(path)}</code>{going}</h2>'
        f"<p>{escape(operation.get('description') or '')}</p>"
        f"{_table('Asked', parameters)}{_table('Sent', _fields(sent))}"
        f"{_example(operation.get('requestBody', {}))}"
        f"<ul>{answers}</ul>"
    )


def _body(request: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    content = request.get("content", {}).get("application/json", {})
    reference = content.get("schema", {}).get("$ref", "")
    found: dict[str, Any] = schemas.get(reference.removeprefix(_REF), {})
    return found


def _fields(schema: dict[str, Any]) -> list[tuple[str, dict[str, Any], str, bool]]:
    required = schema.get("required", ())
    return [
        (name, field, field.get("description") or "", name in required)
        for name, field in schema.get("properties", {}).items()
    ]


def _table(title: str, fields: list[tuple[str, dict[str, Any], str, bool]]) -> str:
    if not fields:
        return ""
    rows = "".join(
        f"<tr><td><code>{escape(name)}</code><td>{escape(_kind(schema))}"
        f"<td>{'required' if required else ''}<td>{escape(words)}"
        for name, schema, words, required in fields
    )
    return f"<table><caption>{title}</caption>{rows}</table>"


def _kind(schema: dict[str, Any]) -> str:
    """Return a schema in a word."""
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    return str(schema.get("format") or schema.get("type") or "any")


def _example(request: dict[str, Any]) -> str:
    content = request.get("content", {}).get("application/json", {})
    return (
        f"<pre>{escape(dumps(content['example'], indent=1))}</pre>" if "example" in content else ""
    )


def _links(words: str) -> str:
    """Return the codes of an answer as links to their pages."""
    found = []
    for word in words.split(" · "):
        is_code = word and word == word.lower() and " " not in word
        text = escape(word)
        found.append(f'<a href="/errors/{text}">{text}</a>' if is_code else text)
    return " · ".join(found)
