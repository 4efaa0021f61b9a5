"""Columns of a JSON Schema, as Flink derives them from one."""

from __future__ import annotations

import json
from typing import Any, Final

import pyarrow as pa

from lesto.connectors.errors import ConnectorConfigError

_PLAIN: Final = {
    "string": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
    "null": pa.null(),
}
_TEXTS: Final = {
    "date": pa.date32(),
    "time": pa.time64("us"),
    "date-time": pa.timestamp("us", "UTC"),
}


def columns_of(text: str) -> pa.Schema:
    """Columns of the objects that a JSON Schema describes.

    Raises:
        ConnectorConfigError: not JSON, no object, or types that have no column.

    >>> columns_of('{"type": "object", "properties": {"id": {"type": "integer"}}}').names
    ['id']
    """
    try:
        schema = json.loads(text)
    except ValueError as error:
        msg = f"a JSON Schema is JSON: {error}"
        raise ConnectorConfigError(msg) from error
    made = _type(schema, schema, "the schema", ())
    if not isinstance(made, pa.StructType):
        msg = "a JSON Schema of records describes an object"
        raise ConnectorConfigError(msg, remedy='begin with {"type": "object", "properties": ...}')
    return pa.schema(list(made))


def _type(node: Any, root: Any, where: str, open_refs: tuple[str, ...]) -> pa.DataType:
    if not isinstance(node, dict):
        msg = f"{where} is no JSON Schema"
        raise ConnectorConfigError(msg)
    if "$ref" in node:
        reference = str(node["$ref"])
        if reference in open_refs:
            msg = f"{where} holds itself"
            raise ConnectorConfigError(msg, remedy="read it as text")
        return _type(_found(root, reference), root, where, (*open_refs, reference))
    kind = node.get("type")
    if isinstance(kind, list):
        kinds = [k for k in kind if k != "null"]
        kind = kinds[0] if len(kinds) == 1 else None
    if kind == "object" or (kind is None and "properties" in node):
        fields = node.get("properties", {})
        return pa.struct(
            [(name, _type(f, root, f"field '{name}'", open_refs)) for name, f in fields.items()]
        )
    if kind == "array":
        return pa.list_(_type(node.get("items"), root, f"an element of {where}", open_refs))
    if kind == "string":
        return _TEXTS.get(str(node.get("format", "")), pa.string())
    if kind not in _PLAIN:
        msg = f"{where} has no single type: {node}"
        raise ConnectorConfigError(msg, remedy="give the columns with type_info(...)")
    return _PLAIN[kind]


def _found(root: Any, reference: str) -> Any:
    node = root
    for part in reference.removeprefix("#").strip("/").split("/"):
        if not isinstance(node, dict) or part not in node:
            msg = f"the JSON Schema refers to {reference}, which is not in it"
            raise ConnectorConfigError(msg)
        node = node[part]
    return node
