"""JSON: tests, queries, constructors, quoting."""

from __future__ import annotations

import decimal
import functools
import json
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from lesto.sql import types as t
from lesto.sql.builder import cast, coerce, literal, not_taken
from lesto.sql.casts.parse import read_boolean, read_double, read_integer
from lesto.sql.errors import FunctionArgumentsError, SqlEvaluationError
from lesto.sql.expressions import Call, Expression
from lesto.sql.functions import params as p
from lesto.sql.functions.strings import constant
from lesto.sql.functions.table import ScalarFunction, function, register, sig
from lesto.sql.json_path import PathError, evaluate, json_path
from lesto.sql.type_parser import parse_type
from lesto.sql.types import CHARACTER, SqlType, TypeRoot
from lesto.sql.values import Evaluation, Kernel, Value, per_row

_GROUP: Final = "json"
_TEXT: Final = pa.string()
_BAD: Final = object()


class JsonError(SqlEvaluationError):
    """A JSON function with ERROR ON EMPTY or ERROR ON ERROR found nothing, or no JSON."""

    code = "LESTO-6214"


class _Float(float):
    """A number with all its digits, written as Java's BigDecimal writes it."""

    text: str

    def __new__(cls, text: str) -> _Float:
        made = super().__new__(cls, text)
        made.text = str(decimal.Decimal(text))
        return made


@functools.lru_cache(maxsize=4096)
def parsed(text: str) -> Any:
    """The document; _BAD if it is none. Several functions over a column often read it again."""
    try:
        return json.loads(text, parse_float=_Float, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return _BAD


def is_json(text: str) -> bool:
    """Whether a text is a JSON document."""
    return parsed(text) is not _BAD


def _refuse(_word: str) -> Any:
    msg = "JSON has no NaN"
    raise ValueError(msg)


def dumps(value: Any) -> str:
    """A value as compact JSON, its keys in order, as the reference writes it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case _Float():
            return value.text
        case dict():
            return (
                "{"
                + ",".join(f"{quoted(str(k))}:{dumps(v)}" for k, v in sorted(value.items()))
                + "}"
            )
        case list():
            return "[" + ",".join(map(dumps, value)) + "]"
        case str():
            return quoted(value)
        case _:
            return str(value)


def quoted(text: str) -> str:
    """A JSON string."""
    return json.dumps(text, ensure_ascii=False)


# ------------------------------------------------------------------------------------------ IS JSON


def _is_json(kind: str) -> Callable[[str], bool]:
    def test(text: str | None) -> bool:
        if text is None:
            return False
        value = parsed(text)
        if value is _BAD:
            return False
        match kind:
            case "OBJECT":
                return isinstance(value, dict)
            case "ARRAY":
                return isinstance(value, list)
            case "SCALAR":
                return not isinstance(value, dict | list)
        return True

    return test


def _prepare_is_json(negated: bool) -> Callable[[Call], Kernel]:
    def prepare(call_: Call) -> Kernel:
        kind = constant(call_.args[1]) if len(call_.args) == 2 else "VALUE"
        test = _is_json(str(kind))
        found = per_row(lambda s: test(s) is not negated, pa.bool_(), strict=False)
        return lambda ev, text, *_kind: found(ev, text)

    return prepare


for _name in ("IS JSON", "IS NOT JSON"):
    register(
        ScalarFunction(
            _name,
            _GROUP,
            (sig(p.STRING, to=t.BOOLEAN()), sig(p.STRING, p.SYMBOL, to=t.BOOLEAN())),
            _prepare_is_json("NOT" in _name),
            nullable="never",
            costly=True,
            syntax=f"<STRING> {_name} [VALUE | SCALAR | ARRAY | OBJECT]",
            examples=(
                (("'{}' IS NOT JSON", "FALSE"), ("'abc' IS NOT JSON OBJECT", "TRUE"))
                if "NOT" in _name
                else (
                    ("'1' IS JSON", "TRUE"),
                    ("'abc' IS JSON", "FALSE"),
                    ("'{}' IS JSON OBJECT", "TRUE"),
                    ("'[]' IS JSON SCALAR", "FALSE"),
                    ("CAST(NULL AS STRING) IS JSON", "FALSE"),
                )
            ),
        )
    )


# ------------------------------------------------------------------ JSON_EXISTS, _VALUE and _QUERY


def _searched(text: str, path: str) -> Any:
    """Found values, or an exception object where the document or the path is at fault."""
    document = parsed(text)
    if document is _BAD:
        return ValueError(f"{text[:100]!r} is no JSON")
    try:
        return evaluate(json_path(path), document)
    except PathError as error:
        return error


def _error(cause: object) -> JsonError:
    return JsonError(str(cause), remedy="write NULL ON ERROR, or a DEFAULT")


def _options(args: Sequence[Expression]) -> dict[str, Expression | str]:
    """What follows the path: symbols, and the expression behind each DEFAULT."""
    found: dict[str, Expression | str] = {}
    i = 0
    while i < len(args):
        word = str(constant(args[i])).upper()
        if word.startswith("RETURNING "):
            found["RETURNING"] = str(constant(args[i]))[10:]
        elif word.startswith("DEFAULT ON "):
            i += 1
            if i == len(args):
                break
            found[word.removeprefix("DEFAULT ")] = args[i]
        elif word.endswith(("ON EMPTY", "ON ERROR")):
            what, _, when = word.rpartition(" ON ")
            found["ON " + when] = what
        elif word.endswith("WRAPPER"):
            found["WRAPPER"] = word.replace("ARRAY ", "").removesuffix(" WRAPPER")
        else:
            msg = f"a JSON function has no option {word}"
            raise FunctionArgumentsError(msg, remedy="write NULL ON EMPTY, ERROR ON ERROR, ...")
        i += 1
    return found


def _checked_path(name: str, args: Sequence[Expression]) -> None:
    fits = len(args) >= 2 and all(a.type.root in CHARACTER | {TypeRoot.NULL} for a in args[:2])
    if not fits:
        raise not_taken(function(name), args)
    path = constant(args[1])
    if path is not None:
        json_path(path)


def _bind_exists(args: Sequence[Expression]) -> Expression:
    _checked_path("JSON_EXISTS", args)
    options = _options(args[2:])
    on_error = str(options.get("ON ERROR", "FALSE"))
    fitted = (*(coerce(a, t.STRING()) for a in args[:2]), literal(on_error))
    return Call("JSON_EXISTS", fitted, t.BOOLEAN())


def _exists(call_: Call) -> Kernel:
    on_error = constant(call_.args[2])

    def one(text: str, path: str) -> bool | None:
        found = _searched(text, path)
        if isinstance(found, Exception):
            if on_error == "ERROR":
                raise _error(found)
            return {"TRUE": True, "FALSE": False}.get(str(on_error))
        return bool(found.values) and not (found.definite and found.values[0] is None)

    by_row = per_row(one, pa.bool_())
    return lambda ev, text, path, _e: by_row(ev, text, path)


_RETURNED: Final = {
    TypeRoot.VARCHAR, TypeRoot.CHAR, TypeRoot.BOOLEAN, TypeRoot.INTEGER, TypeRoot.DOUBLE,
}  # fmt: skip


def _returned(text: str | None) -> SqlType:
    if text is None:
        return t.STRING()
    kind = parse_type(text)
    if kind.root not in _RETURNED:
        msg = f"JSON_VALUE cannot return {kind}"
        raise FunctionArgumentsError(msg, remedy="return STRING, BOOLEAN, INT or DOUBLE")
    return kind.with_nullable(True)


def _bind_value(args: Sequence[Expression]) -> Expression:
    _checked_path("JSON_VALUE", args)
    options = _options(args[2:])
    returning = options.get("RETURNING")
    kind = _returned(returning if isinstance(returning, str) else None)
    fitted: list[Expression] = [coerce(a, t.STRING()) for a in args[:2]]
    for when in ("ON EMPTY", "ON ERROR"):
        choice = options.get(when, "NULL")
        if isinstance(choice, str):
            fitted += [literal(choice), literal(None, kind)]
        else:
            fitted += [literal("DEFAULT"), cast(choice, kind)]
    return Call("JSON_VALUE", tuple(fitted), kind)


def _scalar_reader(kind: SqlType) -> Callable[[Any], Any]:
    """From a JSON scalar to the type; ValueError where it has no such value."""

    def read(value: Any) -> Any:
        if value is None:
            return None
        text = value if isinstance(value, str) else dumps(value)
        match kind.root:
            case TypeRoot.BOOLEAN:
                found: Any = value if isinstance(value, bool) else read_boolean(text)
            case TypeRoot.INTEGER:
                found = read_integer(text, 32)
            case TypeRoot.DOUBLE:
                found = read_double(text)
            case _:
                return text
        if found is None:
            msg = f"{text[:100]!r} is no {kind}"
            raise ValueError(msg)
        return found

    return read


def _value(call_: Call) -> Kernel:
    on_empty, on_error = constant(call_.args[2]), constant(call_.args[4])
    read = _scalar_reader(call_.type)

    def failed(cause: object, default: Any) -> Any:
        if on_error == "ERROR":
            raise _error(cause)
        return default if on_error == "DEFAULT" else None

    def one(text: str | None, path: str | None, if_empty: Any, if_error: Any) -> Any:
        if text is None or path is None:
            return None
        found = _searched(text, path)
        if isinstance(found, Exception):
            return failed(found, if_error)
        if not found.values or (found.definite and found.values[0] is None):
            if on_empty == "ERROR":
                cause = f"{path} finds nothing"
                raise _error(cause)
            return if_empty if on_empty == "DEFAULT" else None
        # A path that may lead to several places leads to an array, even of one.
        if not found.definite or isinstance(found.values[0], dict | list):
            return failed(f"{path} leads to no scalar", if_error)
        try:
            return read(found.values[0])
        except ValueError as error:
            return failed(error, if_error)

    by_row = per_row(one, call_.type.to_arrow(), strict=False)
    fast = per_row(lambda s, x: one(s, x, None, None), call_.type.to_arrow())
    plain = "DEFAULT" not in {on_empty, on_error}

    def kernel(ev: Evaluation, text: Value, path: Value, *rest: Value) -> Value:
        return fast(ev, text, path) if plain else by_row(ev, text, path, rest[1], rest[3])

    return kernel


_EMPTY: Final[dict[str, list[Any] | dict[str, Any]]] = {"EMPTY ARRAY": [], "EMPTY OBJECT": {}}
_WRAPPERS: Final = {
    "WITHOUT": "WITHOUT",
    "WITH": "UNCONDITIONAL",
    "WITH CONDITIONAL": "CONDITIONAL",
    "WITH UNCONDITIONAL": "UNCONDITIONAL",
}


def _bind_query(args: Sequence[Expression]) -> Expression:
    _checked_path("JSON_QUERY", args)
    options = _options(args[2:])
    kind = parse_type(str(options.get("RETURNING", "STRING"))).with_nullable(True)
    listed = kind.root is TypeRoot.ARRAY and kind.element.is_in(CHARACTER)
    if not (listed or kind.is_in(CHARACTER)):
        msg = f"JSON_QUERY cannot return {kind}"
        raise FunctionArgumentsError(msg, remedy="return STRING or ARRAY<STRING>")
    choices = [
        _WRAPPERS[str(options.get("WRAPPER", "WITHOUT"))],
        str(options.get("ON EMPTY", "NULL")),
        str(options.get("ON ERROR", "NULL")),
    ]
    fitted = [coerce(a, t.STRING()) for a in args[:2]]
    return Call("JSON_QUERY", (*fitted, *map(literal, choices)), kind)


def _query(call_: Call) -> Kernel:
    wrapper, on_empty, on_error = (constant(a) for a in call_.args[2:])
    listed = call_.type.root is TypeRoot.ARRAY

    def instead(choice: Any, cause: object) -> Any:
        if choice == "ERROR":
            raise _error(cause)
        return _EMPTY.get(choice)

    def choose(text: str, path: str) -> Any:
        found = _searched(text, path)
        if isinstance(found, Exception):
            return instead(on_error, found)
        value: Any = found.values[0] if found.definite and found.values else found.values
        if (found.definite and not found.values) or value is None:
            return instead(on_empty, f"{path} finds nothing")
        if (
            wrapper == "UNCONDITIONAL"
            or (wrapper == "CONDITIONAL" and not isinstance(value, list | dict))
            or (wrapper == "CONDITIONAL" and isinstance(value, dict))
        ):
            value = [value]
        if not isinstance(value, list | dict):
            return instead(on_error, f"{path} leads to a scalar")
        if listed and not isinstance(value, list):
            return instead(on_error, f"{path} leads to no array")
        return value

    def one(text: str, path: str) -> Any:
        value = choose(text, path)
        if value is None or not listed:
            return None if value is None else dumps(value)
        return [v if v is None or isinstance(v, str) else dumps(v) for v in value]

    by_row = per_row(one, call_.type.to_arrow())
    return lambda ev, text, path, *_rest: by_row(ev, text, path)


def define(
    name: str,
    prepare: Callable[[Call], Kernel],
    *examples: tuple[str, str | None],
    **more: Any,
) -> None:
    """Register a function of JSON."""
    register(ScalarFunction(name, _GROUP, prepare=prepare, examples=examples, costly=True, **more))


define(
    "JSON_EXISTS", _exists, ("""JSON_EXISTS('{"a": true}', '$.a')""", "TRUE"),
    ("""JSON_EXISTS('{"a": true}', '$.b')""", "FALSE"),
    ("""JSON_EXISTS('{"a": [{"b": 1}]}', '$.a[0].b')""", "TRUE"),
    ("""JSON_EXISTS('{"a": true}', 'strict $.b' TRUE ON ERROR)""", "TRUE"),
    ("""JSON_EXISTS('{"a": true}', 'lax $.b' TRUE ON ERROR)""", "FALSE"),
    bind=_bind_exists, fallible=True,
    syntax="JSON_EXISTS(json, path [TRUE | FALSE | UNKNOWN | ERROR ON ERROR])",
)  # fmt: skip
define(
    "JSON_VALUE", _value, ("""JSON_VALUE('{"a": true}', '$.a')""", "true"),
    ("""JSON_VALUE('{"a": true}', '$.a' RETURNING BOOLEAN)""", "TRUE"),
    ("""JSON_VALUE('{"a": 1.50}', '$.a')""", "1.50"),
    ("""JSON_VALUE('{"a": 7}', '$.a' RETURNING INT)""", "7"),
    ("""JSON_VALUE('{"a": true}', 'lax $.b' DEFAULT 'x' ON EMPTY)""", "x"),
    ("""JSON_VALUE('{"a": true}', 'strict $.b' DEFAULT 'y' ON ERROR)""", "y"),
    ("""JSON_VALUE('{"a.b": [0.998,0.996]}', '$.["a.b"][0]' RETURNING DOUBLE)""", "0.998"),
    ("""JSON_VALUE('{"a b": "true"}', '$.[''a b'']')""", "true"),
    ("""JSON_VALUE('{"a": [1]}', '$.a')""", None), ("JSON_VALUE('no json', '$.a')", None),
    bind=_bind_value, fallible=True,
    syntax="JSON_VALUE(json, path [RETURNING type] [... ON EMPTY] [... ON ERROR])",
)  # fmt: skip
define(
    "JSON_QUERY", _query, ("""JSON_QUERY('{ "a": { "b": 1 } }', '$.a')""", '{"b":1}'),
    ("JSON_QUERY('[1, 2]', '$')", "[1,2]"),
    ("""JSON_QUERY('{"a":[{"c":"c1"},{"c":"c2"}]}', 'lax $.a[*].c')""", '["c1","c2"]'),
    ("""JSON_QUERY('{"a":[{"c":"c1"},{"c":"c2"}]}', 'lax $.a[*].c' RETURNING ARRAY<STRING>)""",
     "[c1, c2]"),
    ("JSON_QUERY('{}', '$' WITH CONDITIONAL ARRAY WRAPPER)", "[{}]"),
    ("JSON_QUERY('[1, 2]', '$' WITH CONDITIONAL ARRAY WRAPPER)", "[1,2]"),
    ("JSON_QUERY('[1, 2]', '$' WITH UNCONDITIONAL ARRAY WRAPPER)", "[[1,2]]"),
    ("JSON_QUERY('1', '$')", None), ("JSON_QUERY('1', '$' WITH CONDITIONAL ARRAY WRAPPER)", "[1]"),
    ("JSON_QUERY('{}', 'lax $.invalid' EMPTY OBJECT ON EMPTY)", "{}"),
    ("JSON_QUERY('{}', 'strict $.invalid' EMPTY ARRAY ON ERROR)", "[]"),
    bind=_bind_query, fallible=True,
    syntax="JSON_QUERY(json, path [RETURNING type] [wrapper] [... ON EMPTY] [... ON ERROR])",
)  # fmt: skip
