"""JSON made of SQL values, and quoting."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from lesto.sql import types as t
from lesto.sql.builder import not_taken, symbol
from lesto.sql.casts.text import java_double, java_float, plain_decimal
from lesto.sql.expressions import Call, Expression, Literal
from lesto.sql.functions import params as p
from lesto.sql.functions.json_functions import (
    JsonError,
    define,
    dumps,
    is_json,
    parsed,
    quoted,
)
from lesto.sql.functions.strings import constant
from lesto.sql.functions.table import function, sig
from lesto.sql.types import SqlType, TypeRoot
from lesto.sql.values import Kernel, per_row

_TEXT: Final = pa.string()


# ------------------------------------------------------------------------------------- constructors


def to_json(value: Any, kind: SqlType) -> Any:
    """A SQL value (dates and times as integers) as what :func:`dumps` writes."""
    if value is None:
        return None
    match kind.root:
        case TypeRoot.DECIMAL:
            return _Number(plain_decimal(value))
        case TypeRoot.DOUBLE | TypeRoot.FLOAT:
            render = java_double if kind.root is TypeRoot.DOUBLE else java_float
            if not math.isfinite(value):
                return render(value)
            # As BigDecimal writes it: 1.0E+10.
            return _Number(decimal.Decimal(render(value)))
        case TypeRoot.BINARY | TypeRoot.VARBINARY:
            return base64.b64encode(value).decode()
        case TypeRoot.ARRAY:
            return [to_json(v, kind.element) for v in value]
        case TypeRoot.MAP:
            return {_key_text(k, kind.children[0]): to_json(v, kind.children[1]) for k, v in value}
        case TypeRoot.MULTISET:
            return {_key_text(k, kind.element): v for k, v in value}
        case TypeRoot.ROW:
            pairs = zip(kind.names, kind.children, strict=True)
            return {name: to_json(value[name], child) for name, child in pairs}
        case TypeRoot.DATE:
            return (dt.date(1970, 1, 1) + dt.timedelta(days=value)).isoformat()
        case TypeRoot.TIME | TypeRoot.TIMESTAMP | TypeRoot.TIMESTAMP_LTZ:
            return _time_text(value, kind)
    return value


class _Number(str):
    """Text that is written without quotes."""

    __slots__ = ()


def _key_text(key: Any, kind: SqlType) -> str:
    found = to_json(key, kind)
    return found if isinstance(found, str) else dumps(found)


def _time_text(value: int, kind: SqlType) -> str:
    per = (
        1000
        if kind.root is TypeRoot.TIME
        else {"ms": 10**3, "us": 10**6, "ns": 10**9}[t.time_unit(kind.precision)]
    )
    seconds, fraction = divmod(value, per)
    digits = f"{fraction:0{len(str(per)) - 1}}".rstrip("0")
    tail = "." + digits if digits else ""
    if kind.root is TypeRoot.TIME:
        clock = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)  # noqa: DTZ001
        return f"{clock:%H:%M:%S}{tail}"
    moment = dt.datetime(1970, 1, 1) + dt.timedelta(seconds=seconds)  # noqa: DTZ001
    zone = "Z" if kind.root is TypeRoot.TIMESTAMP_LTZ else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{tail}{zone}"


class _Raw(str):
    """JSON that is put in as it is."""

    __slots__ = ()


def written(value: Any) -> str:
    """JSON text of what :func:`to_json` gives."""
    if isinstance(value, _Number | _Raw):
        return str.__str__(value)
    if isinstance(value, list):
        return "[" + ",".join(map(written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{quoted(k)}:{written(v)}" for k, v in sorted(value.items())) + "}"
    return dumps(value)


_BUILDERS: Final = frozenset({"JSON_OBJECT", "JSON_ARRAY", "JSON"})


def _writer(kind: SqlType, raw: bool) -> Callable[[Any], Any]:
    """How an argument's values become JSON: what a JSON constructor made is put in as it is."""
    if raw:
        return lambda v: None if v is None else _Raw(v)
    return lambda v: to_json(v, kind)


def _is_built(e: Expression) -> bool:
    return isinstance(e, Call) and e.function in _BUILDERS


def _ending(args: Sequence[Expression], default: str) -> tuple[list[Expression], str]:
    values = [a for a in args if a.type.root is not TypeRoot.SYMBOL]
    words = [str(constant(a)) for a in args if a.type.root is TypeRoot.SYMBOL]
    return values, (words[-1].removesuffix(" ON NULL") if words else default)


def _how(on_null: str, values: Sequence[Expression]) -> Literal:
    """What is done with NULL, and which values are JSON: they may be folded to text later."""
    return symbol(on_null + " " + "".join("r" if _is_built(v) else "v" for v in values))


def _how_of(call_: Call, values: Sequence[Expression]) -> tuple[bool, list[Callable[[Any], Any]]]:
    on_null, _, kinds = str(constant(call_.args[0])).partition(" ")
    writers = [_writer(v.type, k == "r") for v, k in zip(values, kinds, strict=True)]
    return on_null == "NULL", writers


def _bind_object(args: Sequence[Expression]) -> Expression:
    values, on_null = _ending(args, "NULL")
    keys = values[::2]
    if len(values) % 2 or not all(isinstance(constant(k), str) for k in keys):
        raise not_taken(function("JSON_OBJECT"), args)
    how = _how(on_null, values[1::2])
    return Call("JSON_OBJECT", (how, *values), t.STRING().not_null())


def _bind_json_array(args: Sequence[Expression]) -> Expression:
    values, on_null = _ending(args, "ABSENT")
    return Call("JSON_ARRAY", (_how(on_null, values), *values), t.STRING().not_null())


def _object(call_: Call) -> Kernel:
    keep, writers = _how_of(call_, call_.args[2::2])
    keys = [str(constant(k)) for k in call_.args[1::2]]

    def one(*row: Any) -> str:
        pairs: dict[str, Any] = {}
        for key, write, value in zip(keys, writers, row[1::2], strict=True):
            if value is not None or keep:
                pairs[key] = write(value)
        return written(pairs)

    return per_row(one, _TEXT, strict=False)


def _json_array(call_: Call) -> Kernel:
    keep, writers = _how_of(call_, call_.args[1:])

    def one(*row: Any) -> str:
        pairs = zip(writers, row, strict=True)
        return written([write(v) for write, v in pairs if v is not None or keep])

    return per_row(one, _TEXT, strict=False)


def _json_string(call_: Call) -> Kernel:
    write = _writer(call_.args[0].type, _is_built(call_.args[0]))
    return per_row(lambda v: written(write(v)), _TEXT)


define(
    "JSON_OBJECT", _object, ("JSON_OBJECT()", "{}"),
    ("JSON_OBJECT('K1' VALUE 'V1', 'K2' VALUE 2)", '{"K1":"V1","K2":2}'),
    ("JSON_OBJECT(KEY 'K1' VALUE CAST(NULL AS STRING) NULL ON NULL)", '{"K1":null}'),
    ("JSON_OBJECT(KEY 'K1' VALUE CAST(NULL AS STRING) ABSENT ON NULL)", "{}"),
    ("JSON_OBJECT(KEY 'K1' VALUE JSON_OBJECT(KEY 'K2' VALUE 'V'))", '{"K1":{"K2":"V"}}'),
    bind=_bind_object,
    syntax="JSON_OBJECT([[KEY] key VALUE value, ...] [NULL | ABSENT ON NULL])",
)  # fmt: skip
define(
    "JSON_ARRAY", _json_array, ("JSON_ARRAY()", "[]"), ("JSON_ARRAY(1, '2')", '[1,"2"]'),
    ("JSON_ARRAY(CAST(NULL AS STRING) NULL ON NULL)", "[null]"),
    ("JSON_ARRAY(CAST(NULL AS STRING))", "[]"), ("JSON_ARRAY(JSON_ARRAY(1))", "[[1]]"),
    bind=_bind_json_array, syntax="JSON_ARRAY([value, ...] [NULL | ABSENT ON NULL])",
)  # fmt: skip
define(
    "JSON_STRING", _json_string, ("JSON_STRING(1)", "1"), ("JSON_STRING(TRUE)", "true"),
    ("JSON_STRING('Hello')", '"Hello"'), ("JSON_STRING(ARRAY[1, 2])", "[1,2]"),
    ("JSON_STRING(CAST(NULL AS INT))", None), ("JSON_STRING(MAP['a', 1.5])", '{"a":1.5}'),
    signatures=(sig(p.ANY, to=t.STRING()),),
)  # fmt: skip


def _checked_json(text: str) -> str:
    if not is_json(text):
        msg = f"{text[:100]!r} is no JSON"
        raise JsonError(msg, remedy="look at the rows that hold other text")
    return dumps(parsed(text))


define(
    "JSON", lambda _call: per_row(_checked_json, _TEXT),
    ("""JSON_OBJECT('K' VALUE JSON('{"a": 1}'))""", '{"K":{"a":1}}'),
    signatures=(sig(p.STRING, to=t.STRING()),), fallible=True,
)  # fmt: skip


# ------------------------------------------------------------------------------------------ quoting

_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "/": "\\/", "\b": "\\b", "\f": "\\f", "\n": "\\n",
                   "\r": "\\r", "\t": "\\t"}  # fmt: skip


def _quote(text: str) -> str:
    out = []
    for c in text:
        if c in _ESCAPES:
            out.append(_ESCAPES[c])
        elif ord(c) < 0x20 or ord(c) > 0x7E:
            units = c.encode("utf-16-be")
            out += [f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2)]
        else:
            out.append(c)
    return '"' + "".join(out) + '"'


def _unquote(text: str) -> str:
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':
        return text
    value = parsed(text)
    return value if isinstance(value, str) else text


define(
    "JSON_QUOTE", lambda _call: per_row(_quote, _TEXT), ("JSON_QUOTE('a\"b')", '"a\\"b"'),
    ("JSON_QUOTE('a/b')", '"a\\/b"'), signatures=(sig(p.STRING, to=t.STRING()),),
)  # fmt: skip
define(
    "JSON_UNQUOTE", lambda _call: per_row(_unquote, _TEXT), ("JSON_UNQUOTE('\"a\\\"b\"')", 'a"b'),
    ("JSON_UNQUOTE('abc')", "abc"), signatures=(sig(p.STRING, to=t.STRING()),),
)  # fmt: skip
