"""Short words for the schemas of answers.

>>> record({"id": TEXT}, optional={"cause": TEXT})["required"]
['id']
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lesto.jobmanager.server.rest.routing import Schema

TEXT: Final[Schema] = {"type": "string"}
TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
INTEGER: Final[Schema] = {"type": "integer"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
NUMBER: Final[Schema] = {"type": "number"}
FLAG: Final[Schema] = {"type": "boolean"}
#: Milliseconds since 1970; -1: not yet.
MOMENT: Final[Schema] = {
    "type": "integer",
    "minimum": -1,
    "description": "ms since 1970; -1: not yet",
}
#: Milliseconds; -1: not known.
DURATION: Final[Schema] = {"type": "integer", "minimum": -1, "description": "ms; -1: not known"}
BYTES: Final[Schema] = {"type": "integer", "minimum": -1, "description": "bytes; -1: not known"}
#: An answer without members.
OBJECT_ANSWER: Final[Schema] = {"type": "object"}
HEX_ID: Final[Schema] = {"type": "string", "pattern": "^[0-9a-f]{32}$"}


def record(
    properties: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None
) -> Schema:
    """An object with these members; ``optional`` ones may be missing."""
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": list(properties),
    }


def listed(items: Schema, max_items: int | None = None) -> Schema:
    """A list."""
    made: dict[str, Any] = {"type": "array", "items": items}
    return made if max_items is None else {**made, "maxItems": max_items}


def mapped(values: Schema) -> Schema:
    """An object with names that are not known before."""
    return {"type": "object", "additionalProperties": values}


def enum(*values: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(values)}


def either(*schemas: Schema) -> Schema:
    """One of these."""
    return {"anyOf": list(schemas)}


def nullable(schema: Schema) -> Schema:
    """This, or null."""
    return either(schema, {"type": "null"})


def ref(name: str) -> Schema:
    """A schema of ``schemas.COMPONENTS``."""
    return {"$ref": f"#/components/schemas/{name}"}
