"""Padding, characters and encodings, splitting, tests of text."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import types as t
from lesto.sql.builder import bind_signature, coerce, literal, not_taken
from lesto.sql.casts.parse import read_decimal
from lesto.sql.errors import SqlEvaluationError
from lesto.sql.expressions import Call, Expression
from lesto.sql.functions import params as p
from lesto.sql.functions.strings import constant, define, slow
from lesto.sql.functions.table import ScalarFunction, function, register, sig
from lesto.sql.types import CHARACTER
from lesto.sql.values import Evaluation, Kernel, Value, broadcast, ints, is_scalar, per_row

_TEXT: Final = pa.string()


# ------------------------------------------------------------------------------------------ padding


def _lpad(text: str, length: int, pad: str) -> str | None:
    return _pad(text, length, pad, left=True)


def _rpad(text: str, length: int, pad: str) -> str | None:
    return _pad(text, length, pad, left=False)


def _pad(text: str, length: int, pad: str, *, left: bool) -> str | None:
    if length < 0 or not pad:
        return None
    if len(text) >= length:
        return text[:length]
    missing = length - len(text)
    filling = (pad * (missing // len(pad) + 1))[:missing]
    return filling + text if left else text + filling


define(
    "LPAD", [sig(p.STRING, p.INT, p.STRING, to=t.STRING())], slow(_lpad),
    ("LPAD('hi', 4, '??')", "??hi"), ("LPAD('hi', 1, '??')", "h"), ("LPAD('hi', -1, '?')", None),
    nullable="always", costly=True,
)  # fmt: skip
define(
    "RPAD", [sig(p.STRING, p.INT, p.STRING, to=t.STRING())], slow(_rpad),
    ("RPAD('hi', 4, '?')", "hi??"), ("RPAD('hi', 5, 'ab')", "hiaba"), nullable="always",
    costly=True,
)  # fmt: skip


# ------------------------------------------------------------------------- characters and encodings


def _chr(code: int) -> str:
    return "" if code < 0 else chr(code & 0xFF)


define(
    "ASCII", [sig(p.STRING, to=t.INT())],
    slow(lambda s: (s.encode()[0] ^ 0x80) - 0x80 if s else 0, pa.int32()),
    ("ASCII('abc')", "97"), ("ASCII(CAST(NULL AS STRING))", None), costly=True,
)  # fmt: skip
define(
    "CHR", [sig(p.INTEGER, to=t.STRING())], slow(_chr), ("CHR(97)", "a"), ("CHR(353)", "a"),
    costly=True,
)  # fmt: skip
_CHARSETS: Final = {
    "US-ASCII": "ascii",
    "ISO-8859-1": "latin-1",
    "UTF-8": "utf-8",
    "UTF-16BE": "utf-16-be",
    "UTF-16LE": "utf-16-le",
    "UTF-16": "utf-16",
}


def _charset(name: str) -> str:
    found = _CHARSETS.get(name.upper())
    if found is None:
        msg = f"there is no character set {name!r}"
        raise SqlEvaluationError(msg, remedy=f"write one of {', '.join(_CHARSETS)}")
    return found


def _encode(text: str, charset: str) -> bytes:
    codec = _charset(charset)
    if codec == "utf-16":
        return b"\xfe\xff" + text.encode("utf-16-be")  # Java writes big-endian with a mark
    return text.encode(codec, "replace")


def _decode(data: bytes, charset: str) -> str:
    codec = _charset(charset)
    if codec == "utf-16" and data[:2] not in {b"\xfe\xff", b"\xff\xfe"}:
        codec = "utf-16-be"
    return data.decode(codec, "replace")


define(
    "ENCODE", [sig(p.STRING, p.STRING, to=t.BYTES())], slow(_encode, pa.binary()),
    ("CAST(ENCODE('hello', 'UTF-8') AS STRING)", "hello"), costly=True, fallible=True,
)  # fmt: skip
define(
    "DECODE", [sig(p.BYTES, p.STRING, to=t.STRING())], slow(_decode),
    ("DECODE(X'68656C6C6F', 'UTF-8')", "hello"), costly=True, fallible=True,
)  # fmt: skip


def _from_base64(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8", "replace")
    except binascii.Error as cause:
        msg = f"{data[:100]!r} is no base64"
        raise SqlEvaluationError(msg, remedy="look at the rows that hold other text") from cause


define(
    "FROM_BASE64", [sig(p.STRING, to=t.STRING())], slow(_from_base64),
    ("FROM_BASE64('aGVsbG8gd29ybGQ=')", "hello world"), costly=True, fallible=True,
)  # fmt: skip
define(
    "TO_BASE64",
    [sig(p.STRING, to=t.STRING()), sig(p.BYTES, to=t.STRING())],
    slow(lambda s: base64.b64encode(s.encode() if isinstance(s, str) else s).decode()),
    ("TO_BASE64('hello world')", "aGVsbG8gd29ybGQ="), costly=True,
)  # fmt: skip


# ---------------------------------------------------------------------------------------- splitting


def _bind_split_index(args: Sequence[Expression]) -> Expression:
    """The splitting is an expression of its own, which several SPLIT_INDEX of a text share."""
    found = bind_signature(function("SPLIT_INDEX"), args)
    text, separator, index = found.args
    if separator.type.root not in CHARACTER:
        code = constant(separator)
        if code is None:
            raise not_taken(function("SPLIT_INDEX"), args)
        separator = literal("" if code < 0 or code > 255 else chr(code))
    parts = t.ARRAY(t.STRING()).with_nullable(found.type.nullable)
    pieces = Call("SPLIT PARTS", (text, coerce(separator, t.STRING())), parts)
    return Call("SPLIT_INDEX", (pieces, index), t.STRING())


def _split_parts(call_: Call) -> Kernel:
    separator = constant(call_.args[1])
    if separator:
        return lambda _ev, value, _s: pc.split_pattern(value, separator)
    return per_row(lambda s, c: s.split(c) if c else s.split(), pa.list_(_TEXT))


def _list_item(ev: Evaluation, lists: Value, index: Value) -> Value:
    """The item at an index from 0, or NULL; an empty text has no items."""
    if is_scalar(lists):
        lists = broadcast(lists, ev.rows)
    positions = ints(broadcast(index, ev.rows))
    starts = ints(lists.offsets)[:-1]
    lengths = np.diff(ints(lists.offsets))
    values = lists.values
    if len(values) == 0:
        return pa.nulls(ev.rows, _TEXT)
    single = lengths == 1
    if single.any():
        first = values.take(pa.array(np.minimum(starts, len(values) - 1)))
        empty = np.asarray(pc.fill_null(pc.equal(pc.binary_length(first), 0), False))
        lengths = np.where(single & empty, 0, lengths)
    bad = (positions < 0) | (positions >= lengths)
    for value in (lists, index):
        if not is_scalar(value) and value.null_count:
            bad |= np.asarray(pc.is_null(value))
        elif is_scalar(value) and not value.is_valid:
            bad[:] = True
    return values.take(pa.array(np.where(bad, 0, starts + positions), mask=bad))


define(
    "SPLIT_INDEX",
    [
        sig(p.STRING, p.STRING, p.INT, to=t.STRING()),
        sig(p.STRING, p.INT, p.INT, to=t.STRING()),
    ],
    lambda _call: _list_item,
    ("SPLIT_INDEX('a/b/c', '/', 1)", "b"), ("SPLIT_INDEX('a/b', '/', 2)", None),
    ("SPLIT_INDEX('a/b', '/', -1)", None), ("SPLIT_INDEX('a//b', '/', 1)", ""),
    ("SPLIT_INDEX('', '/', 0)", None), ("SPLIT_INDEX('a,b', 44, 1)", "b"),
    bind=_bind_split_index, syntax="SPLIT_INDEX(<STRING>, separator, <INT>)",
)  # fmt: skip
register(
    ScalarFunction(
        "SPLIT PARTS",
        "internal",
        (sig(p.STRING, p.STRING, to=t.ARRAY(t.STRING())),),
        _split_parts,
        syntax="what SPLIT_INDEX splits",
        examples=(("SPLIT_INDEX('a::b', '::', 1)", "b"),),
    )
)


# --------------------------------------------------------------------------------------- tests, ELT


def _is_alpha(text: Any) -> bool:
    return isinstance(text, str) and text.isalpha()


def _is_digit(text: Any) -> bool:
    return isinstance(text, str) and text.isdigit()


def _is_decimal(text: Any) -> bool:
    if not isinstance(text, str):
        return text is not None
    return read_decimal(text, 38, 18) is not None


for _name, _test, _examples in (
    ("IS_ALPHA", _is_alpha, (("IS_ALPHA('abc')", "TRUE"), ("IS_ALPHA('a1')", "FALSE"))),
    ("IS_DIGIT", _is_digit, (("IS_DIGIT('123')", "TRUE"), ("IS_DIGIT('1.5')", "FALSE"))),
    ("IS_DECIMAL", _is_decimal, (("IS_DECIMAL('1.5')", "TRUE"), ("IS_DECIMAL('x')", "FALSE"))),
):
    register(
        ScalarFunction(
            _name,
            "conditional",
            (sig(p.ANY, to=t.BOOLEAN()),),
            lambda _call, test=_test: per_row(test, pa.bool_(), strict=False),  # type: ignore[misc]
            nullable="never",
            costly=True,
            examples=_examples,
        )
    )


def _elt(index: int | None, *values: Any) -> Any:
    return values[index - 1] if index is not None and 1 <= index <= len(values) else None


define(
    "ELT",
    [
        sig(p.INTEGER, p.COMMON_STRING, to=lambda a: a[1], repeats=1),
    ],
    lambda c: per_row(_elt, c.type.to_arrow(), strict=False),
    ("ELT(2, 'scala', 'java')", "java"), ("ELT(3, 'a')", None), nullable="always", costly=True,
)  # fmt: skip


def _count_char(call_: Call) -> Kernel:
    wanted = constant(call_.args[1])
    if isinstance(wanted, str) and wanted:
        first = wanted[0]
        return lambda _ev, value, _c: pc.cast(pc.count_substring(value, first), pa.int64())
    return per_row(lambda s, c: s.count(c[0]) if c else 0, pa.int64())


define(
    "COUNT_CHAR", [sig(p.STRING, p.STRING, to=t.BIGINT())], _count_char,
    ("COUNT_CHAR('banana', 'a')", "3"),
    syntax="COUNT_CHAR(<STRING>, character): not in Flink, but a user function of Nexmark",
)  # fmt: skip
