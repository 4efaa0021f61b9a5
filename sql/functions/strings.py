"""Functions of text. Positions count from 1 and in characters, as SQL has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import types as t
from lesto.sql.builder import bind_signature, literal, symbol
from lesto.sql.expressions import Call, Expression, Literal
from lesto.sql.functions import params as p
from lesto.sql.functions.table import ScalarFunction, function, pure, register, sig
from lesto.sql.values import Evaluation, Kernel, Value, broadcast, is_scalar, per_row

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


def define(
    name: str,
    signatures: Sequence[Any],
    prepare: Callable[[Call], Kernel],
    *examples: tuple[str, str | None],
    **more: Any,
) -> None:
    """Register a function of text."""
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


define(
    "||", [sig(p.STRING, p.STRING, to=t.STRING())], lambda _call: _concat,
    ("'a' || 'b'", "ab"), ("'a' || CAST(NULL AS STRING)", None),
    bind=_bind_concat, syntax="a || b",
)  # fmt: skip
define(
    "CONCAT", [sig(p.STRING, to=t.STRING(), repeats=1)], lambda _call: _concat,
    ("CONCAT('AA', 'BB', 'CC')", "AABBCC"), ("CONCAT('a', CAST(NULL AS STRING))", None),
)  # fmt: skip
define(
    "CONCAT_WS", [sig(p.STRING, p.STRING, to=t.STRING(), repeats=1)], lambda _call: _concat_ws,
    ("CONCAT_WS('~', 'AA', CAST(NULL AS STRING), 'BB', '', 'CC')", "AA~BB~~CC"),
    ("CONCAT_WS(CAST(NULL AS STRING), 'a', 'b')", None),
)  # fmt: skip
define(
    "CHAR_LENGTH", [sig(p.STRING, to=t.INT())], pure(pc.utf8_length),
    ("CHAR_LENGTH('héllo')", "5"), ("CHAR_LENGTH('')", "0"), aliases=("CHARACTER_LENGTH",),
)  # fmt: skip
define(
    "UPPER", [sig(p.STRING, to=t.STRING())], _case(pc.utf8_upper, str.upper),
    ("UPPER('hello')", "HELLO"), ("UPPER('é')", "É"),
)  # fmt: skip
define(
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


define(
    "INITCAP", [sig(p.STRING, to=t.STRING())], slow(_initcap),
    ("INITCAP('hello wORLD-x')", "Hello World-X"), costly=True,
)  # fmt: skip
define(
    "REVERSE", [sig(p.STRING, to=t.STRING())], pure(pc.utf8_reverse), ("REVERSE('abc')", "cba"),
)  # fmt: skip


def _repeat(ev: Evaluation, value: Value, times: Value) -> Value:
    if not is_scalar(value) or not is_scalar(times):
        value = broadcast(value, ev.rows)
    return pc.binary_repeat(value, pc.max_element_wise(times, 0, skip_nulls=False))


define(
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


define(
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
define(
    "LTRIM", _ONE_OR_TWO, _trim("LEADING", 0, 1),
    ("LTRIM('  a ')", "a "), ("LTRIM('xyax', 'yx')", "ax"),
)  # fmt: skip
define(
    "RTRIM", _ONE_OR_TWO, _trim("TRAILING", 0, 1),
    ("RTRIM(' a  ')", " a"), ("RTRIM('axy', 'xy')", "a"),
)  # fmt: skip
define(
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


define(
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


define(
    "LEFT", [sig(p.STRING, p.INT, to=t.STRING())], _left_kernel,
    ("LEFT('hello', 2)", "he"), ("LEFT('hello', -1)", ""),
)  # fmt: skip
define(
    "RIGHT", [sig(p.STRING, p.INT, to=t.STRING())], _right_kernel,
    ("RIGHT('hello', 2)", "lo"), ("RIGHT('hi', 5)", "hi"),
)  # fmt: skip


def _overlay(text: str, new: str, start: int, length: int | None = None) -> str:
    if start <= 0 or start > len(text):
        return text
    count = len(new) if length is None else length
    end = start - 1 + count
    if count <= 0 or end > len(text):
        return text[: start - 1] + new
    return text[: start - 1] + new + text[end:]


define(
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


define(
    "REPLACE", [sig(p.STRING, p.STRING, p.STRING, to=t.STRING())], _replace,
    ("REPLACE('hello world', 'world', 'flink')", "hello flink"),
    ("REPLACE('ababab', 'abab', 'z')", "zab"),
)  # fmt: skip


def _translate(text: str, old: str, new: str) -> str:
    table: dict[int, str] = {}
    for i, c in enumerate(old):
        table.setdefault(ord(c), new[i] if i < len(new) else "")
    return text.translate(table)


define(
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
    return text.find(needle, max(0, start - 1)) + 1 if needle else 1


define(
    "POSITION", [sig(p.STRING, p.STRING, to=t.INT())], _position(0, 1),
    ("POSITION('ll' IN 'hello')", "3"), ("POSITION('x' IN 'hello')", "0"),
    syntax="POSITION(<STRING> IN <STRING>)",
)  # fmt: skip
define(
    "INSTR", [sig(p.STRING, p.STRING, to=t.INT())], _position(1, 0),
    ("INSTR('hello', 'l')", "3"), ("INSTR('hello', 'z')", "0"),
)  # fmt: skip
define(
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
define(
    "STARTSWITH", _PAIRS, _affix(pc.starts_with, lambda a, b: a.startswith(b)),
    ("STARTSWITH('hello', 'he')", "TRUE"), ("STARTSWITH('hello', '')", "TRUE"),
    ("STARTSWITH(X'6865', X'68')", "TRUE"),
)  # fmt: skip
define(
    "ENDSWITH", _PAIRS, _affix(pc.ends_with, lambda a, b: a.endswith(b)),
    ("ENDSWITH('hello', 'lo')", "TRUE"), ("ENDSWITH('hello', 'he')", "FALSE"),
)  # fmt: skip
