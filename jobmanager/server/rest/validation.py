"""Checks values against the part of JSON schema that the endpoints use for what comes in.

``type``, ``enum``, ``pattern``, lengths, bounds, ``properties``, ``required``, ``items``,
``additionalProperties``, ``anyOf``. What is wrong is told without repeating long input.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from lesto.jobmanager.server.rest.errors import BadRequestError
from lesto.jobmanager.server.rest.routing import Endpoint, Parameter, Schema

#: Characters of wrong input that an error repeats.
SHOWN_CHARACTERS: Final = 40
#: Parameters of one query; values of one list in it.
MAX_QUERY_FIELDS: Final = 100
MAX_LIST_VALUES: Final = 1_000
#: Digits of a number in a query: what 64 bits hold.
MAX_NUMBER_DIGITS: Final = 18

#: What the whole body is called in errors; its members are called by their paths in it.
BODY: Final = "the body"

_INTEGER = re.compile(rf"-?[0-9]{{1,{MAX_NUMBER_DIGITS}}}")
_NUMBER = re.compile(rf"-?[0-9]{{1,{MAX_NUMBER_DIGITS}}}(\.[0-9]{{1,18}})?")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def check(value: Any, schema: Schema, where: str) -> None:
    """Let a value pass.

    Raises:
        BadRequestError: it does not fit; says where.
    """
    if "anyOf" in schema:
        _check_any(value, schema["anyOf"], where)
    wanted = schema.get("type")
    if wanted is not None:
        kinds = [wanted] if isinstance(wanted, str) else list(wanted)
        if not any(_is(value, kind) for kind in kinds):
            _refuse(f"{where} is not {_words(kinds)}")
    if "enum" in schema and value not in schema["enum"]:
        _refuse(f"{where} is none of {', '.join(map(str, schema['enum']))}")
    if isinstance(value, str):
        _check_text(value, schema, where)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_number(value, schema, where)
    elif isinstance(value, list):
        _check_list(value, schema, where)
    elif isinstance(value, dict):
        _check_object(value, schema, where)


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if isinstance(value, float) and not math.isfinite(value):
        return False  # Python's parser takes NaN; JSON has none
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    return isinstance(value, _TYPES[kind])


def _words(kinds: Iterable[str]) -> str:
    articles = {"object": "an object", "array": "a list", "integer": "a whole number"}
    articles |= {"string": "text", "number": "a number", "boolean": "true or false", "null": "null"}
    return " or ".join(articles[kind] for kind in kinds)


def _check_any(value: Any, schemas: Iterable[Schema], where: str) -> None:
    reasons = []
    for schema in schemas:
        try:
            return check(value, schema, where)
        except BadRequestError as error:
            reasons.append(error.message)
    _refuse(reasons[-1])
    return None


def _check_text(value: str, schema: Schema, where: str) -> None:
    if len(value) > schema.get("maxLength", math.inf):
        _refuse(f"{where} is longer than {schema['maxLength']} characters")
    if len(value) < schema.get("minLength", 0):
        _refuse(f"{where} is empty or too short")
    # \Z: Python's $ would let a line feed at the end pass.
    pattern = schema.get("pattern")
    if pattern and not re.search(_exact(pattern), value):
        _refuse(f"{where} '{shown(value)}' does not have the form {pattern}")


def _exact(pattern: str) -> str:
    return pattern[:-1] + r"\Z" if pattern.endswith("$") else pattern


def _check_number(value: float, schema: Schema, where: str) -> None:
    if value < schema.get("minimum", -math.inf):
        _refuse(f"{where} is less than {schema['minimum']}")
    if value > schema.get("maximum", math.inf):
        _refuse(f"{where} is more than {schema['maximum']}")


def _check_list(value: list[Any], schema: Schema, where: str) -> None:
    if len(value) > schema.get("maxItems", math.inf):
        _refuse(f"{where} has more than {schema['maxItems']} entries")
    if len(value) < schema.get("minItems", 0):
        _refuse(f"{where} has fewer than {schema['minItems']} entries")
    items = schema.get("items")
    if items:
        for entry in value:
            check(entry, items, f"an entry of {where}")


def _check_object(value: dict[str, Any], schema: Schema, where: str) -> None:
    for name in schema.get("required", ()):
        if name not in value:
            _refuse(f"{_member(where, name)} is missing")
    if len(value) < schema.get("minProperties", 0):
        _refuse(f"{where} has fewer than {schema['minProperties']} members")
    if len(value) > schema.get("maxProperties", math.inf):
        _refuse(f"{where} has more than {schema['maxProperties']} members")
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name, entry in value.items():
        inner = properties.get(name, others)
        if inner is False:
            _refuse(f"{where} has an unknown member '{shown(name)}'")
        if isinstance(inner, Mapping):
            check(entry, inner, _member(where, name))


def _member(where: str, name: str) -> str:
    return shown(name) if where == BODY else f"{where}.{shown(name)}"


def _refuse(message: str) -> None:
    raise BadRequestError(message, remedy="See /openapi.json for what is accepted.")


def shown(text: str) -> str:
    """Return the beginning of wrong input, without control characters."""
    clipped = text[:SHOWN_CHARACTERS]
    return "".join(c if c.isprintable() else "?" for c in clipped)


# ------------------------------------------------------------------------------------- parameters


def path_values(endpoint_path: Mapping[str, str], known: Mapping[str, Parameter]) -> dict[str, str]:
    """Return the parameters of a path.

    Raises:
        BadRequestError: one does not have its form.
    """
    for name, value in endpoint_path.items():
        check(value, known[name].schema, name)
    return dict(endpoint_path)


def query_values(endpoint: Endpoint, query_string: bytes) -> dict[str, Any]:
    """Return the declared parameters of a query, parsed; defaults for those that are missing.

    Raises:
        BadRequestError: one is missing, repeated or does not fit.
    """
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_QUERY_FIELDS,
        )
    except ValueError:
        msg = f"the query is not readable, or has more than {MAX_QUERY_FIELDS} parameters"
        raise BadRequestError(msg) from None
    given: dict[str, list[str]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
    return {p.name: _parameter(p, given.get(p.name)) for p in endpoint.query}


def _parameter(parameter: Parameter, given: list[str] | None) -> Any:
    if given is None:
        if parameter.required:
            _refuse(f"the parameter {parameter.name} is missing")
        return parameter.schema.get("default")
    if parameter.schema.get("type") == "array":
        texts = [part for text in given for part in text.split(",") if part]
        if len(texts) > MAX_LIST_VALUES:
            _refuse(f"{parameter.name} has more than {MAX_LIST_VALUES} entries")
        items = parameter.schema.get("items", {"type": "string"})
        value: Any = [_scalar(text, items, parameter.name) for text in texts]
    else:
        if len(given) > 1:
            _refuse(f"the parameter {parameter.name} is given {len(given)} times")
        value = _scalar(given[0], parameter.schema, parameter.name)
    check(value, parameter.schema, parameter.name)
    return value


def _scalar(text: str, schema: Schema, name: str) -> Any:
    match schema.get("type", "string"):
        case "integer":
            if not _INTEGER.fullmatch(text):
                _refuse(f"{name} is not a whole number")
            return int(text)
        case "number":
            if not _NUMBER.fullmatch(text):
                _refuse(f"{name} is not a number")
            return float(text)
        case "boolean":
            if text not in {"true", "false"}:
                _refuse(f"{name} is not true or false")
            return text == "true"
    return text
