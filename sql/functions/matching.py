"""LIKE, SIMILAR TO, and functions of Java's regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import types as t
from lesto.sql.builder import call
from lesto.sql.errors import MalformedPatternError
from lesto.sql.expressions import Call, Expression
from lesto.sql.functions import params as p
from lesto.sql.functions.strings import constant
from lesto.sql.functions.table import ScalarFunction, register, sig
from lesto.sql.java_regex import (
    JavaRegex,
    java_regex,
    like_to_regex,
    one_escape,
    similar_to_regex,
)
from lesto.sql.values import Evaluation, Kernel, Value, is_scalar, per_row

_TEXT: Final = pa.string()
_SIGNATURES: Final = (
    sig(p.STRING, p.STRING, to=t.BOOLEAN()),
    sig(p.STRING, p.STRING, p.STRING, to=t.BOOLEAN()),
)


# ------------------------------------------------------------------------------------------- LIKE


def _fast_like(pattern: str, escape: str | None) -> Callable[[Value], Value] | None:
    """A search for fixed text, where the pattern is no more than that."""
    if "_" in pattern or (escape is not None and escape in pattern):
        return None
    inner = pattern.strip("%")
    if "%" in inner:
        return None
    start, end = pattern.startswith("%"), pattern.endswith("%")
    if not inner and pattern:
        return lambda value: pc.starts_with(value, "")
    if start and end:
        return lambda value: pc.match_substring(value, inner)
    if end:
        return lambda value: pc.starts_with(value, inner)
    if start:
        return lambda value: pc.ends_with(value, inner)
    return lambda value: pc.equal(value, pattern)


def _like(call_: Call) -> Kernel:
    pattern = constant(call_.args[1])
    escape = constant(call_.args[2]) if len(call_.args) == 3 else None
    if pattern is None or (len(call_.args) == 3 and escape is None):
        return per_row(_like_row, pa.bool_())
    fast = _fast_like(pattern, one_escape(escape))
    if fast is not None:
        return lambda _ev, value, *_rest: fast(value)
    whole = f"\\A(?:{like_to_regex(pattern, escape)})\\z"
    whole = whole.replace(r"[\s\S]", "(?s:.)")
    return lambda _ev, value, *_rest: pc.match_substring_regex(value, whole)


def _like_row(text: str, pattern: str, escape: str | None = None) -> bool:
    return re.fullmatch(like_to_regex(pattern, escape), text) is not None


def _similar(call_: Call) -> Kernel:
    pattern = constant(call_.args[1])
    escape = constant(call_.args[2]) if len(call_.args) == 3 else None
    if pattern is None:
        return per_row(
            lambda s, x, e=None: re.fullmatch(similar_to_regex(x, e), s, re.ASCII) is not None,
            pa.bool_(),
        )
    compiled = re.compile(similar_to_regex(pattern, escape), re.ASCII)
    by_row = per_row(lambda s: compiled.fullmatch(s) is not None, pa.bool_())
    return lambda ev, value, *_rest: by_row(ev, value)


def _negation(name: str) -> Callable[[Sequence[Expression]], Expression]:
    return lambda args: call("NOT", [call(name, args)])


register(
    ScalarFunction(
        "LIKE",
        "comparison",
        _SIGNATURES,
        _like,
        syntax="<STRING> LIKE pattern [ESCAPE character]",
        fallible=lambda c: constant(c.args[1]) is None,
        examples=(
            ("'hello' LIKE 'h%o'", "TRUE"),
            ("'hello' LIKE '%ell%'", "TRUE"),
            ("'hello' LIKE 'h_llo'", "TRUE"),
            ("'hello' LIKE 'ell'", "FALSE"),
            ("'50%' LIKE '50!%' ESCAPE '!'", "TRUE"),
            ("'50x' LIKE '50!%' ESCAPE '!'", "FALSE"),
            ("CAST(NULL AS STRING) LIKE 'a'", None),
        ),
    ),
    ScalarFunction(
        "NOT LIKE",
        "comparison",
        bind=_negation("LIKE"),
        syntax="<STRING> NOT LIKE pattern [ESCAPE character]",
        examples=(("'hello' NOT LIKE 'x%'", "TRUE"),),
    ),
    ScalarFunction(
        "SIMILAR TO",
        "comparison",
        _SIGNATURES,
        _similar,
        syntax="<STRING> SIMILAR TO pattern [ESCAPE character]",
        fallible=lambda c: constant(c.args[1]) is None,
        costly=True,
        examples=(
            ("'abc' SIMILAR TO '(a|b)%'", "TRUE"),
            ("'abc' SIMILAR TO '[a-c]{2}'", "FALSE"),
            ("'a.c' SIMILAR TO 'a.c'", "TRUE"),
            ("'abc' SIMILAR TO 'a.c'", "TRUE"),
        ),
    ),
    ScalarFunction(
        "NOT SIMILAR TO",
        "comparison",
        bind=_negation("SIMILAR TO"),
        syntax="<STRING> NOT SIMILAR TO pattern [ESCAPE character]",
        examples=(("'abc' NOT SIMILAR TO 'b%'", "TRUE"),),
    ),
)


# ------------------------------------------------------------------------------------------- REGEXP


def _by_pattern(
    compute: Callable[..., Any],
    kind: pa.DataType,
    fast: Callable[[JavaRegex, Call], Callable[[Value], Value] | None] | None = None,
) -> Callable[[Call], Kernel]:
    """A kernel of (text, pattern, more...): the pattern is translated once if it is constant.

    Args:
        compute: from compiled pattern, text and further arguments to the result of a row.
        kind: Arrow type of the result.
        fast: by Arrow, where it has the same meaning for every text without a line end.
    """

    def prepare(call_: Call) -> Kernel:
        pattern = constant(call_.args[1])
        if pattern is None:
            return per_row(lambda s, x, *more: _with_pattern(compute, s, x, more), kind)
        regex = java_regex(pattern)
        by_row = per_row(lambda s, *more: compute(regex.python, s, *more), kind)
        quick = fast(regex, call_) if fast is not None and regex.re2 is not None else None

        def kernel(ev: Evaluation, text: Value, _pattern: Value, *more: Value) -> Value:
            if (
                quick is not None
                and not is_scalar(text)
                and (not regex.ends or not pc.any(pc.match_substring(text, "\n")).as_py())
            ):
                return quick(text)
            return by_row(ev, text, *more)

        return kernel

    return prepare


def _with_pattern(
    compute: Callable[..., Any], text: str, pattern: str, more: tuple[Any, ...]
) -> Any:
    try:
        regex = java_regex(pattern)
    except MalformedPatternError:
        return False if compute is _found else None
    return compute(regex.python, text, *more)


def _found(regex: re.Pattern[str], text: str) -> bool:
    # The empty pattern matches nothing, as in the reference.
    return bool(regex.pattern) and regex.search(text) is not None


def _fast_found(regex: JavaRegex, _call: Call) -> Callable[[Value], Value] | None:
    pattern = regex.re2
    if not pattern:
        return None
    return lambda text: pc.match_substring_regex(text, pattern)


def _extract(regex: re.Pattern[str], text: str, group: int = 0) -> str | None:
    if not 0 <= group <= regex.groups:
        return None
    found = regex.search(text)
    return found[group] if found else None


def _fast_extract(regex: JavaRegex, call_: Call) -> Callable[[Value], Value] | None:
    group = constant(call_.args[2]) if len(call_.args) == 3 else 0
    if group == 0:
        pattern, name = f"(?P<g0>{regex.re2})", "g0"
        if regex.re2 and regex.re2.startswith("(?"):
            return None
    elif group in regex.certain:
        pattern, name = str(regex.re2), f"g{group}"
    else:
        return None

    def compute(text: Value) -> Value:
        # A struct that is NULL where nothing matches: its fields alone would be empty texts.
        return pc.struct_field(pc.extract_regex(text, pattern), name)

    return compute


def _replace(regex: re.Pattern[str], text: str, new: str) -> str:
    return regex.sub(lambda _m: new, text)


def _fast_replace(regex: JavaRegex, call_: Call) -> Callable[[Value], Value] | None:
    new = constant(call_.args[2])
    if new is None or regex.python.match(""):
        return None
    quoted = new.replace("\\", "\\\\")
    return lambda text: pc.replace_substring_regex(text, regex.re2, quoted)


def _extract_all(regex: re.Pattern[str], text: str, group: int = 1) -> list[str | None] | None:
    if not 0 <= group <= regex.groups:
        return None
    return [m[group] for m in regex.finditer(text)]


def _instr(regex: re.Pattern[str], text: str) -> int:
    found = regex.search(text)
    return found.start() + 1 if found else 0


def _substr(regex: re.Pattern[str], text: str) -> str | None:
    found = regex.search(text)
    return found[0] if found else None


def _tolerant(prepare: Callable[[Call], Kernel], kind: pa.DataType) -> Callable[[Call], Kernel]:
    """A malformed pattern gives NULL in each row, as in Flink; what we lack is still an error."""

    def wrapped(call_: Call) -> Kernel:
        try:
            return prepare(call_)
        except MalformedPatternError:
            return _instead(kind)

    return wrapped


def _instead(kind: pa.DataType) -> Kernel:
    """NULL, but FALSE of a test, where the text is not NULL."""
    if not pa.types.is_boolean(kind):
        return lambda _ev, *_values: pa.scalar(None, kind)
    return per_row(lambda *_row: False, kind)


def _regexp(
    name: str,
    result: t.SqlType,
    compute: Callable[..., Any],
    *examples: tuple[str, str | None],
    more: Sequence[p.Param] = (),
    required: int = 0,
    fast: Any = None,
) -> None:
    kind = result.to_arrow()
    lengths = range(required, len(more) + 1)
    forms = tuple(sig(p.STRING, p.STRING, *more[:n], to=result) for n in lengths)
    register(
        ScalarFunction(
            name,
            "string",
            forms,
            _tolerant(_by_pattern(compute, kind, fast), kind),
            nullable="always",
            costly=True,
            fallible=lambda c: constant(c.args[1]) is None,
            examples=examples,
        )
    )


_regexp(
    "REGEXP", t.BOOLEAN(), _found, ("REGEXP('hello', 'l+')", "TRUE"),
    ("REGEXP('hello', '^l')", "FALSE"), fast=_fast_found,
)  # fmt: skip
_regexp(
    "REGEXP_EXTRACT", t.STRING(), _extract,
    ("REGEXP_EXTRACT('foothebar', 'foo(.*?)(bar)', 2)", "bar"),
    ("REGEXP_EXTRACT('x&channel_id=42&y', '(&|^)channel_id=([^&]*)', 2)", "42"),
    ("REGEXP_EXTRACT('foothebar', 'foo')", "foo"), ("REGEXP_EXTRACT('abc', 'x(y)', 1)", None),
    ("REGEXP_EXTRACT('abc', '(x)?abc', 1)", None),
    more=(p.INT,), fast=_fast_extract,
)  # fmt: skip
_regexp(
    "REGEXP_REPLACE", t.STRING(), _replace, ("REGEXP_REPLACE('foobar', 'oo|ar', '')", "fb"),
    ("REGEXP_REPLACE('abc', '(b)', '[$1]')", "a[$1]c"), more=(p.STRING,), required=1,
    fast=_fast_replace,
)  # fmt: skip
_regexp(
    "REGEXP_EXTRACT_ALL", t.ARRAY(t.STRING()), _extract_all,
    ("REGEXP_EXTRACT_ALL('a1b2', '([a-z])([0-9])')", "[a, b]"),
    ("REGEXP_EXTRACT_ALL('a1b2', '[a-z][0-9]', 0)", "[a1, b2]"), more=(p.INT,),
)  # fmt: skip
_regexp(
    "REGEXP_COUNT", t.INT(), lambda r, s: sum(1 for _ in r.finditer(s)),
    ("REGEXP_COUNT('hello', 'l')", "2"),
)  # fmt: skip
_regexp(
    "REGEXP_INSTR", t.INT(), _instr, ("REGEXP_INSTR('hello', 'l+')", "3"),
    ("REGEXP_INSTR('hello', 'x')", "0"),
)  # fmt: skip
_regexp(
    "REGEXP_SUBSTR", t.STRING(), _substr, ("REGEXP_SUBSTR('hello', 'l+')", "ll"),
    ("REGEXP_SUBSTR('hello', '(')", None), ("REGEXP_SUBSTR('hello', 'x')", None),
)  # fmt: skip
