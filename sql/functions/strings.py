"""Functions of text. Positions count from 1 and in characters, as SQL has it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import types as t
from lesto.sql.builder import bind_signature, coerce, literal, not_taken, symbol
from lesto.sql.errors import SqlEvaluationError
from lesto.sql.expressions import Call, Expression, Literal
from lesto.sql.functions import params as p
from lesto.sql.functions.table import ScalarFunction, function, pure, register, sig
from lesto.sql.types import CHARACTER
from lesto.sql.values import Evaluation, Kernel, Value, broadcast, ints, is_scalar, per_row

_GROUP: Final = "string"
_TEXT: Final = pa.string()


def constant(e: Expression) -> Any:
    """The value of a literal that is not NULL, else None."""
    return e.value if isinstance(e, Literal) else None


def slow(compute: Callable[..., Any], kind: pa.DataType = _TEXT) -> Callable[[Call], Kernel]:
    """A Python function a row."""
    made = per_row(compute, kind)
    return lambda _call: made


def is_ascii(value: Value) -> bool:
    """Whether all texts are ASCII, so that bytes are characters."""
    found = pc.string_is_ascii(value)
    return bool(found.as_py()) if is_scalar(found) else pc.all(found).as_py() is not False


def _case(fast: Any, exact: Callable[[str], str]) -> Callable[[Call], Kernel]:
    # Java's capitals of some letters are several letters; Arrow's are always one.
    by_row = per_row(exact, _TEXT)

    def kernel(ev: Evaluation, value: Value) -> Value:
        return fast(value) if is_ascii(value) else by_row(ev, value)

    return lambda _call: kernel


def _define(
    name: str,
    signatures: Sequence[Any],
    prepare: Callable[[Call], Kernel],
    *examples: tuple[str, str | None],
    **more: Any,
) -> None:
    register(ScalarFunction(name, _GROUP, tuple(signatures), prepare, examples=examples, **more))


# -------------------------------------------------------------------------- joining and measuring


def _bind_concat(args: Sequence[Expression]) -> Expression:
    if len(args) == 2 and all(a.type.root in t.BINARY_STRING for a in args):
        return Call("||", tuple(args), t.BYTES().with_nullable(any(a.type.nullable for a in args)))
    return bind_signature(function("||"), args)


def _concat(_ev: Evaluation, *values: Value) -> Value:
    separator = b"" if pa.types.is_binary(values[0].type) else ""
    return pc.binary_join_element_wise(
        *values, pa.scalar(separator, values[0].type), null_handling="emit_null"
    )


def _joined(separator: str | None, *texts: str | None) -> str | None:
    return None if separator is None else separator.join(x for x in texts if x is not None)


_CONCAT_WS_BY_ROW: Final = per_row(_joined, _TEXT, strict=False)


def _concat_ws(ev: Evaluation, separator: Value, *values: Value) -> Value:
    if not is_scalar(separator) or not separator.is_valid:
        return _CONCAT_WS_BY_ROW(ev, separator, *values)
    # One argument that is never NULL: Arrow loses rows in which all are.
    if all(map(is_scalar, values)):
        found = pc.binary_join_element_wise("", *values, separator, null_handling="skip")
    else:
        arrays = [broadcast(v, ev.rows) for v in values]
        found = pc.binary_join_element_wise("", *arrays, separator, null_handling="skip")
    return pc.utf8_slice_codeunits(found, len(separator.as_py()))


_define(
    "||", [sig(p.STRING, p.STRING, to=t.STRING())], lambda _call: _concat,
    ("'a' || 'b'", "ab"), ("'a' || CAST(NULL AS STRING)", None),
    bind=_bind_concat, syntax="a || b",
)  # fmt: skip
_define(
    "CONCAT", [sig(p.STRING, to=t.STRING(), repeats=1)], lambda _call: _concat,
    ("CONCAT('AA', 'BB', 'CC')", "AABBCC"), ("CONCAT('a', CAST(NULL AS STRING))", None),
)  # fmt: skip
_define(
    "CONCAT_WS", [sig(p.STRING, p.STRING, to=t.STRING(), repeats=1)], lambda _call: _concat_ws,
    ("CONCAT_WS('~', 'AA', CAST(NULL AS STRING), 'BB', '', 'CC')", "AA~BB~~CC"),
    ("CONCAT_WS(CAST(NULL AS STRING), 'a', 'b')", None),
)  # fmt: skip
_define(
    "CHAR_LENGTH", [sig(p.STRING, to=t.INT())], pure(pc.utf8_length),
    ("CHAR_LENGTH('héllo')", "5"), ("CHAR_LENGTH('')", "0"), aliases=("CHARACTER_LENGTH",),
)  # fmt: skip
_define(
    "UPPER", [sig(p.STRING, to=t.STRING())], _case(pc.utf8_upper, str.upper),
    ("UPPER('hello')", "HELLO"), ("UPPER('é')", "É"),
)  # fmt: skip
_define(
    "LOWER", [sig(p.STRING, to=t.STRING())], _case(pc.utf8_lower, str.lower),
    ("LOWER('HeLLo')", "hello"),
)  # fmt: skip


def _initcap(text: str) -> str:
    out: list[str] = []
    inside = False
    for c in text:
        out.append(c.lower() if inside else c.upper())
        inside = c.isascii() and c.isalnum()
    return "".join(out)


_define(
    "INITCAP", [sig(p.STRING, to=t.STRING())], slow(_initcap),
    ("INITCAP('hello wORLD-x')", "Hello World-X"), costly=True,
)  # fmt: skip
_define(
    "REVERSE", [sig(p.STRING, to=t.STRING())], pure(pc.utf8_reverse), ("REVERSE('abc')", "cba"),
)  # fmt: skip


def _repeat(ev: Evaluation, value: Value, times: Value) -> Value:
    if not is_scalar(value) or not is_scalar(times):
        value = broadcast(value, ev.rows)
    return pc.binary_repeat(value, pc.max_element_wise(times, 0, skip_nulls=False))


_define(
    "REPEAT", [sig(p.STRING, p.INT, to=t.STRING())], lambda _call: _repeat,
    ("REPEAT('ab', 2)", "abab"),
    ("REPEAT('ab', -1)", ""), ("REPEAT('ab', CAST(NULL AS INT))", None),
)  # fmt: skip


# ---------------------------------------------------------------------------------------- trimming

_TRIMS: Final = {
    "BOTH": (pc.utf8_trim, str.strip),
    "LEADING": (pc.utf8_ltrim, str.lstrip),
    "TRAILING": (pc.utf8_rtrim, str.rstrip),
}


def _trim(side: str, text: int, characters: int) -> Callable[[Call], Kernel]:
    fast, exact = _TRIMS[side]

    def prepare(call_: Call) -> Kernel:
        chars = " " if len(call_.args) <= characters else constant(call_.args[characters])
        if isinstance(chars, str):
            if not chars:
                return lambda _ev, *values: values[text]
            return lambda _ev, *values: fast(values[text], characters=chars)
        by_row = per_row(lambda s, c: exact(s, c) if c else s, _TEXT)
        return lambda ev, *values: by_row(ev, values[text], values[characters])

    return prepare


def _bind_trim(args: Sequence[Expression]) -> Expression:
    """TRIM(side, characters, text), or TRIM(text)."""
    if len(args) == 1:
        args = [symbol("BOTH"), literal(" "), args[0]]
    return bind_signature(function("TRIM"), args)


_define(
    "TRIM", [sig(p.SYMBOL, p.STRING, p.STRING, to=t.STRING())],
    lambda c: _trim(str(constant(c.args[0])), 2, 1)(c),
    ("TRIM('  a ')", "a"), ("TRIM(LEADING 'x' FROM 'xxaxx')", "axx"),
    ("TRIM(TRAILING FROM 'a  ')", "a"), ("TRIM(BOTH 'xy' FROM 'yxaxy')", "a"),
    bind=_bind_trim, syntax="TRIM([BOTH | LEADING | TRAILING] [characters] FROM <STRING>)",
)  # fmt: skip
_ONE_OR_TWO: Final = (
    sig(p.STRING, to=t.STRING()),
    sig(p.STRING, p.STRING, to=t.STRING()),
)
_define(
    "LTRIM", _ONE_OR_TWO, _trim("LEADING", 0, 1),
    ("LTRIM('  a ')", "a "), ("LTRIM('xyax', 'yx')", "ax"),
)  # fmt: skip
_define(
    "RTRIM", _ONE_OR_TWO, _trim("TRAILING", 0, 1),
    ("RTRIM(' a  ')", " a"), ("RTRIM('axy', 'xy')", "a"),
)  # fmt: skip
_define(
    "BTRIM", _ONE_OR_TWO, _trim("BOTH", 0, 1),
    ("BTRIM('  a ')", "a"), ("BTRIM('xaxx', 'x')", "a"),
)  # fmt: skip


# -------------------------------------------------------------------------------- parts of a text


def substring(text: str, start: int, length: int | None = None) -> str | None:
    """SUBSTRING: from 1; from the end if negative."""
    if length is not None and length < 0:
        return None
    first = start - 1 if start > 0 else len(text) + start if start < 0 else 0
    if first < 0 or first >= len(text):
        return ""
    return text[first:] if length is None else text[first : first + length]


def _substring(call_: Call) -> Kernel:
    start = constant(call_.args[1])
    length = constant(call_.args[2]) if len(call_.args) == 3 else -1
    by_row = per_row(substring, _TEXT)
    if start is None or length is None or (len(call_.args) == 3 and length < 0) or start < 0:
        return by_row
    first = max(0, start - 1)
    stop = None if length < 0 else first + length
    if stop == first:
        return by_row
    return lambda _ev, value, *_rest: pc.utf8_slice_codeunits(value, first, stop)


_define(
    "SUBSTRING",
    [sig(p.STRING, p.INT, to=t.STRING()), sig(p.STRING, p.INT, p.INT, to=t.STRING())],
    _substring,
    ("SUBSTRING('hello' FROM 2 FOR 3)", "ell"), ("SUBSTRING('hello' FROM 4)", "lo"),
    ("SUBSTRING('hello', -3, 2)", "ll"), ("SUBSTRING('hello', 0, 2)", "he"),
    ("SUBSTRING('hello', 9)", ""), ("SUBSTRING('hello', 2, -1)", None),
    aliases=("SUBSTR",), nullable="always", syntax="SUBSTRING(<STRING> FROM start [FOR length])",
)  # fmt: skip


def _left(text: str, n: int) -> str:
    return text[: max(0, n)]


def _right(text: str, n: int) -> str:
    return text[max(0, len(text) - n) :] if n > 0 else ""


def _left_kernel(call_: Call) -> Kernel:
    n = constant(call_.args[1])
    if n is None or n <= 0:
        return per_row(_left, _TEXT)
    return lambda _ev, value, _n: pc.utf8_slice_codeunits(value, 0, n)


def _right_kernel(call_: Call) -> Kernel:
    n = constant(call_.args[1])
    if n is None or n <= 0:
        return per_row(_right, _TEXT)
    return lambda _ev, value, _n: pc.utf8_slice_codeunits(value, -n, None)


_define(
    "LEFT", [sig(p.STRING, p.INT, to=t.STRING())], _left_kernel,
    ("LEFT('hello', 2)", "he"), ("LEFT('hello', -1)", ""),
)  # fmt: skip
_define(
    "RIGHT", [sig(p.STRING, p.INT, to=t.STRING())], _right_kernel,
    ("RIGHT('hello', 2)", "lo"), ("RIGHT('hi', 5)", "hi"),
)  # fmt: skip


def _overlay(text: str, new: str, start: int, length: int | None = None) -> str:
    if start <= 0 or start > len(text):
        return text
    count = len(new) if length is None else length
    end = start - 1 + count
    if count < 0 or end > len(text):
        return text[: start - 1] + new
    return text[: start - 1] + new + text[end:]


_define(
    "OVERLAY",
    [
        sig(p.STRING, p.STRING, p.INT, to=t.STRING()),
        sig(p.STRING, p.STRING, p.INT, p.INT, to=t.STRING()),
    ],
    slow(_overlay),
    ("OVERLAY('xxxxxtest' PLACING 'xxxx' FROM 6)", "xxxxxxxxx"),
    ("OVERLAY('xxxxxtest' PLACING 'xxxx' FROM 6 FOR 2)", "xxxxxxxxxst"),
    costly=True, syntax="OVERLAY(<STRING> PLACING <STRING> FROM start [FOR length])",
)  # fmt: skip


def _replace(call_: Call) -> Kernel:
    old, new = constant(call_.args[1]), constant(call_.args[2])
    if old and new is not None:
        return lambda _ev, value, _o, _n: pc.replace_substring(value, old, new)
    return per_row(str.replace, _TEXT)


_define(
    "REPLACE", [sig(p.STRING, p.STRING, p.STRING, to=t.STRING())], _replace,
    ("REPLACE('hello world', 'world', 'flink')", "hello flink"),
    ("REPLACE('ababab', 'abab', 'z')", "zab"),
)  # fmt: skip


def _translate(text: str, old: str, new: str) -> str:
    table: dict[int, str] = {}
    for i, c in enumerate(old):
        table.setdefault(ord(c), new[i] if i < len(new) else "")
    return text.translate(table)


_define(
    "TRANSLATE", [sig(p.STRING, p.STRING, p.STRING, to=t.STRING())],
    lambda _call: per_row(_translate_nulls, _TEXT, strict=False),
    ("TRANSLATE('www.apache.org', 'wapcheorg', ' APCHEcom')", "   .APACHE.com"),
    ("TRANSLATE('hello', 'el', 'E')", "hEo"), costly=True, nullable="always",
)  # fmt: skip


def _translate_nulls(text: str | None, old: str | None, new: str | None) -> str | None:
    if text is None or old is None:
        return text
    return _translate(text, old, new or "")


# ---------------------------------------------------------------------------------------- searching


def _find(needle: str, text: str) -> int:
    return text.find(needle) + 1


def _position(needle: int, text: int) -> Callable[[Call], Kernel]:
    by_row = per_row(_find, pa.int32())

    def prepare(call_: Call) -> Kernel:
        wanted = constant(call_.args[needle])

        def kernel(ev: Evaluation, *values: Value) -> Value:
            if isinstance(wanted, str) and is_ascii(values[text]):
                found = pc.find_substring(values[text], wanted)
                return pc.add(found, pa.scalar(1, found.type))
            return by_row(ev, values[needle], values[text])

        return kernel

    return prepare


def _locate(needle: str, text: str, start: int = 1) -> int:
    if start < 1 or start - 1 > len(text):
        return 0
    return text.find(needle, start - 1) + 1


_define(
    "POSITION", [sig(p.STRING, p.STRING, to=t.INT())], _position(0, 1),
    ("POSITION('ll' IN 'hello')", "3"), ("POSITION('x' IN 'hello')", "0"),
    syntax="POSITION(<STRING> IN <STRING>)",
)  # fmt: skip
_define(
    "INSTR", [sig(p.STRING, p.STRING, to=t.INT())], _position(1, 0),
    ("INSTR('hello', 'l')", "3"), ("INSTR('hello', 'z')", "0"),
)  # fmt: skip
_define(
    "LOCATE",
    [sig(p.STRING, p.STRING, to=t.INT()), sig(p.STRING, p.STRING, p.INT, to=t.INT())],
    lambda c: _position(0, 1)(c) if len(c.args) == 2 else per_row(_locate, pa.int32()),
    ("LOCATE('l', 'hello')", "3"), ("LOCATE('l', 'hello', 4)", "4"),
    ("LOCATE('l', 'hello', 5)", "0"),
)  # fmt: skip


def _affix(fast: Any, exact: Callable[[Any, Any], bool]) -> Callable[[Call], Kernel]:
    by_row = per_row(exact, pa.bool_())

    def prepare(call_: Call) -> Kernel:
        wanted = constant(call_.args[1])
        if isinstance(wanted, str):
            return lambda _ev, value, _wanted: fast(value, wanted)
        return by_row

    return prepare


_PAIRS: Final = (
    sig(p.STRING, p.STRING, to=t.BOOLEAN()),
    sig(p.BYTES, p.BYTES, to=t.BOOLEAN()),
)
_define(
    "STARTSWITH", _PAIRS, _affix(pc.starts_with, lambda a, b: a.startswith(b)),
    ("STARTSWITH('hello', 'he')", "TRUE"), ("STARTSWITH('hello', '')", "TRUE"),
    ("STARTSWITH(X'6865', X'68')", "TRUE"),
)  # fmt: skip
_define(
    "ENDSWITH", _PAIRS, _affix(pc.ends_with, lambda a, b: a.endswith(b)),
    ("ENDSWITH('hello', 'lo')", "TRUE"), ("ENDSWITH('hello', 'he')", "FALSE"),
)  # fmt: skip


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


_define(
    "LPAD", [sig(p.STRING, p.INT, p.STRING, to=t.STRING())], slow(_lpad),
    ("LPAD('hi', 4, '??')", "??hi"), ("LPAD('hi', 1, '??')", "h"), ("LPAD('hi', -1, '?')", None),
    nullable="always", costly=True,
)  # fmt: skip
_define(
    "RPAD", [sig(p.STRING, p.INT, p.STRING, to=t.STRING())], slow(_rpad),
    ("RPAD('hi', 4, '?')", "hi??"), ("RPAD('hi', 5, 'ab')", "hiaba"), nullable="always",
    costly=True,
)  # fmt: skip


# ------------------------------------------------------------------------- characters and encodings


def _chr(code: int) -> str:
    return "" if code < 0 else chr(code & 0xFF)


_define(
    "ASCII", [sig(p.STRING, to=t.INT())],
    slow(lambda s: s.encode()[0] if s else 0, pa.int32()),
    ("ASCII('abc')", "97"), ("ASCII(CAST(NULL AS STRING))", None), costly=True,
)  # fmt: skip
_define(
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


_define(
    "ENCODE", [sig(p.STRING, p.STRING, to=t.BYTES())], slow(_encode, pa.binary()),
    ("CAST(ENCODE('hello', 'UTF-8') AS STRING)", "hello"), costly=True, fallible=True,
)  # fmt: skip
_define(
    "DECODE", [sig(p.BYTES, p.STRING, to=t.STRING())], slow(_decode),
    ("DECODE(X'68656C6C6F', 'UTF-8')", "hello"), costly=True, fallible=True,
)  # fmt: skip


def _from_base64(data: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode("utf-8", "replace")
    except binascii.Error as cause:
        msg = f"{data[:100]!r} is no base64"
        raise SqlEvaluationError(msg, remedy="look at the rows that hold other text") from cause


_define(
    "FROM_BASE64", [sig(p.STRING, to=t.STRING())], slow(_from_base64),
    ("FROM_BASE64('aGVsbG8gd29ybGQ=')", "hello world"), costly=True, fallible=True,
)  # fmt: skip
_define(
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


_define(
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
    from lesto.sql.casts.parse import read_decimal

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


_define(
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


_define(
    "COUNT_CHAR", [sig(p.STRING, p.STRING, to=t.BIGINT())], _count_char,
    ("COUNT_CHAR('banana', 'a')", "3"),
    syntax="COUNT_CHAR(<STRING>, character): not in Flink, but a user function of Nexmark",
)  # fmt: skip
