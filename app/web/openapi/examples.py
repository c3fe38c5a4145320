"""Makes an example of every body, out of its schema and the examples of its fields.

A field is given its example once, where it is described, and every body that has the field shows
it. The trap is an example written by hand beside its schema: it is right on the day on which it
is written. One that a model brings itself (`json_schema_extra`) still goes before what is made.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

SCHEMAS: Final = "#/components/schemas/"
Schema = Mapping[str, Any]
# What stands for a value that nobody has given an example of.
PLAIN: Final[Mapping[str, object]] = {
    "string": "text",
    "number": 1.0,
    "boolean": False,
    "null": None,
}


def example_of(schema: Schema, schemas: Mapping[str, Schema], *, whole: bool) -> Any:
    """Return an example; `whole` shows also what may be left out, as a reply does."""
    schema = _resolved(schema, schemas)
    given = _given(schema)
    if given:
        return given[0]
    if "anyOf" in schema:
        return example_of(schema["anyOf"][0], schemas, whole=whole)
    match schema.get("type"):
        case "object":
            return _object(schema, schemas, whole=whole)
        case "array":
            return [example_of(schema["items"], schemas, whole=whole)] if "items" in schema else []
        case "integer":  # whose bounds FastAPI writes as 1.0
            return int(schema.get("minimum", 1))
        case kind:
            return schema.get("minimum", PLAIN.get(str(kind)))


def _given(schema: Schema) -> Sequence[Any]:
    """Return what the schema itself gives, the best first."""
    ones = [schema[place] for place in ("example", "const", "default") if place in schema]
    return [*schema.get("examples", ()), *ones, *schema.get("enum", ())]


def _resolved(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    """Follow a reference; what stands beside it goes before what it leads to."""
    name = schema.get("$ref")
    if name is None:
        return schema
    beside = {key: value for key, value in schema.items() if key != "$ref"}
    return {**schemas[name.removeprefix(SCHEMAS)], **beside}


def _object(schema: Schema, schemas: Mapping[str, Schema], *, whole: bool) -> dict[str, Any]:
    required = schema.get("required", ())
    return {
        name: example_of(field, schemas, whole=whole)
        for name, field in schema.get("properties", {}).items()
        if whole or name in required or "examples" in field
    }
