"""=, <>, <, >, BETWEEN, IN, IS NULL, IS DISTINCT FROM, LIKE's companions are in matching.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import types as t
from lesto.sql.builder import call, cast, coerce, literal, not_taken
from lesto.sql.expressions import Call, Expression, Literal
from lesto.sql.functions import params as p
from lesto.sql.functions.decimals import comparable
from lesto.sql.functions.table import ScalarFunction, function, pure, register, sig
from lesto.sql.type_rules import find_common_type
from lesto.sql.types import CHARACTER, DATETIME, SqlType, TypeRoot
from lesto.sql.values import (
    Evaluation,
    Kernel,
    Value,
    broadcast,
    is_scalar,
    per_row,
    scalar_array,
)

_GROUP: Final = "comparison"

_COMPARE: Final[dict[str, tuple[Any, Callable[[Any, Any], bool]]]] = {
    "=": (pc.equal, lambda a, b: a == b),
    "<>": (pc.not_equal, lambda a, b: a != b),
    "<": (pc.less, lambda a, b: a < b),
    "<=": (pc.less_equal, lambda a, b: a <= b),
    ">": (pc.greater, lambda a, b: a > b),
    ">=": (pc.greater_equal, lambda a, b: a >= b),
}


def comparison_type(types: Sequence[SqlType]) -> SqlType | None:
    """The type in which values are compared: text beside a date or time is read as one."""
    others = [kind for kind in types if not kind.is_in(CHARACTER)]
    if others and len(others) < len(types):
        target = find_common_type(others)
        if target is None:
            return None
        if target.root is TypeRoot.NULL:
            return t.STRING()
        # A number beside a text is more often a mistake than a wish; so it is in the reference.
        return target.with_nullable(True) if target.is_in(DATETIME) else None
    return find_common_type(types)


def unified(name: str, args: Sequence[Expression]) -> list[Expression]:
    """Arguments cast to the type in which they are compared."""
    kind = comparison_type([arg.type for arg in args])
    if kind is None:
        raise not_taken(function(name), args)
    if kind.root is TypeRoot.DECIMAL:
        # Decimals of different scales are compared as they are: a common type may lose digits.
        return [arg if arg.type.root is TypeRoot.DECIMAL else coerce(arg, kind) for arg in args]
    return [coerce(arg, kind) for arg in args]


def _bind_comparison(name: str) -> Callable[[Sequence[Expression]], Expression]:
    def bind(args: Sequence[Expression]) -> Expression:
        if len(args) != 2:
            raise not_taken(function(name), args)
        a, b = unified(name, args)
        ordered = name not in {"=", "<>"}
        if ordered and a.type.root in {
            TypeRoot.MAP,
            TypeRoot.MULTISET,
            TypeRoot.ROW,
            TypeRoot.ARRAY,
        }:
            raise not_taken(function(name), args)
        return Call(name, (a, b), t.BOOLEAN().with_nullable(a.type.nullable or b.type.nullable))

    return bind


def _prepare_comparison(name: str) -> Callable[[Call], Kernel]:
    fast, slow = _COMPARE[name]

    def prepare(call_: Call) -> Kernel:
        kind = call_.args[0].type
        if kind.root is TypeRoot.DECIMAL:
            return lambda _ev, a, b: fast(*comparable(a, b))
        if kind.root is TypeRoot.NULL:
            return lambda _ev, _a, _b: pa.scalar(None, pa.bool_())
        if kind.root in {TypeRoot.MAP, TypeRoot.MULTISET}:
            return per_row(lambda a, b: slow(dict(a), dict(b)), pa.bool_())
        if kind.children:
            return per_row(slow, pa.bool_())
        return lambda _ev, a, b: fast(a, b)

    return prepare


_EXAMPLES: Final[dict[str, tuple[tuple[str, str | None], ...]]] = {
    "=": (
        ("1 = 1", "TRUE"),
        ("1 = CAST(NULL AS INT)", None),
        ("1 = 1.0", "TRUE"),
        ("'a' = 'b'", "FALSE"),
        ("DATE '2020-01-01' = '2020-01-01'", "TRUE"),
        ("ARRAY[1, 2] = ARRAY[1, 2]", "TRUE"),
    ),
    "<>": (("1 <> 2", "TRUE"), ("1.50 <> 1.5", "FALSE")),
    "<": (("1 < 2.5", "TRUE"), ("'a' < 'B'", "FALSE")),
    "<=": (("2 <= 2", "TRUE"), ("TIME '10:00:00' <= TIME '09:59:59'", "FALSE")),
    ">": (
        ("INTERVAL '1' DAY > INTERVAL '23' HOUR", "TRUE"),
        ("CAST(1 AS DOUBLE) > 2", "FALSE"),
    ),
    ">=": (("TRUE >= FALSE", "TRUE"), ("DATE '2020-01-02' >= DATE '2020-01-01'", "TRUE")),
}

register(
    *(
        ScalarFunction(
            name,
            _GROUP,
            prepare=_prepare_comparison(name),
            bind=_bind_comparison(name),
            aliases={"=": ("==",), "<>": ("!=",)}.get(name, ()),
            syntax=f"a {name} b, of types that can be compared",
            examples=_EXAMPLES[name],
        )
        for name in _COMPARE
    )
)


# ------------------------------------------------------------------------------------------- NULL


def _is_null(value: Value) -> Value:
    return pa.scalar(not value.is_valid) if is_scalar(value) else pc.is_null(value)


def _is_not_null(value: Value) -> Value:
    return pa.scalar(bool(value.is_valid)) if is_scalar(value) else pc.is_valid(value)


register(
    ScalarFunction(
        "IS NULL",
        _GROUP,
        (sig(p.ANY, to=t.BOOLEAN()),),
        pure(_is_null),
        nullable="never",
        syntax="value IS NULL",
        examples=(("1 IS NULL", "FALSE"), ("CAST(NULL AS INT) IS NULL", "TRUE")),
    ),
    ScalarFunction(
        "IS NOT NULL",
        _GROUP,
        (sig(p.ANY, to=t.BOOLEAN()),),
        pure(_is_not_null),
        nullable="never",
        syntax="value IS NOT NULL",
        examples=(("'a' IS NOT NULL", "TRUE"), ("CAST(NULL AS STRING) IS NOT NULL", "FALSE")),
    ),
)


def _bind_distinct(name: str) -> Callable[[Sequence[Expression]], Expression]:
    def bind(args: Sequence[Expression]) -> Expression:
        if len(args) != 2:
            raise not_taken(function(name), args)
        a, b = unified(name, args)
        same = call("=", [a, b])
        both_null = call("AND", [call("IS NULL", [a]), call("IS NULL", [b])])
        one_null = call("OR", [call("IS NULL", [a]), call("IS NULL", [b])])
        # CASE WHEN both NULL THEN same WHEN one NULL THEN different ELSE a = b END
        from lesto.sql.builder import case

        equal = case(
            [(both_null, literal(True)), (one_null, literal(False))],
            call("COALESCE", [same, literal(False)]),
        )
        return equal if "NOT" in name else call("NOT", [equal])

    return bind


register(
    ScalarFunction(
        "IS DISTINCT FROM",
        _GROUP,
        bind=_bind_distinct("IS DISTINCT FROM"),
        syntax="a IS DISTINCT FROM b",
        examples=(
            ("1 IS DISTINCT FROM CAST(NULL AS INT)", "TRUE"),
            ("CAST(NULL AS INT) IS DISTINCT FROM CAST(NULL AS INT)", "FALSE"),
            ("1 IS DISTINCT FROM 2", "TRUE"),
        ),
    ),
    ScalarFunction(
        "IS NOT DISTINCT FROM",
        _GROUP,
        bind=_bind_distinct("IS NOT DISTINCT FROM"),
        syntax="a IS NOT DISTINCT FROM b",
        examples=(
            ("1 IS NOT DISTINCT FROM 1", "TRUE"),
            ("1 IS NOT DISTINCT FROM CAST(NULL AS INT)", "FALSE"),
        ),
    ),
)

# ---------------------------------------------------------------------------------- BETWEEN and IN


def _bind_between(name: str) -> Callable[[Sequence[Expression]], Expression]:
    def bind(args: Sequence[Expression]) -> Expression:
        if len(args) != 3:
            raise not_taken(function(name), args)
        value, low, high = args
        inside = call("AND", [call(">=", [value, low]), call("<=", [value, high])])
        if "SYMMETRIC" in name:
            turned = call("AND", [call(">=", [value, high]), call("<=", [value, low])])
            inside = call("OR", [inside, turned])
        return call("NOT", [inside]) if name.startswith("NOT") else inside

    return bind


register(
    *(
        ScalarFunction(
            name,
            _GROUP,
            bind=_bind_between(name),
            syntax=f"value {name} low AND high",
            examples=examples,
        )
        for name, examples in {
            "BETWEEN": (
                ("12 BETWEEN 15 AND 12", "FALSE"),
                ("12 BETWEEN 10 AND CAST(NULL AS INT)", None),
                ("12 BETWEEN CAST(NULL AS INT) AND 10", "FALSE"),
                ("'b' BETWEEN 'a' AND 'c'", "TRUE"),
            ),
            "NOT BETWEEN": (("12 NOT BETWEEN 15 AND 20", "TRUE"),),
            "BETWEEN SYMMETRIC": (("12 BETWEEN SYMMETRIC 15 AND 12", "TRUE"),),
            "NOT BETWEEN SYMMETRIC": (("12 NOT BETWEEN SYMMETRIC 15 AND 12", "FALSE"),),
        }.items()
    )
)


def _bind_in(args: Sequence[Expression]) -> Expression:
    if len(args) < 2:
        raise not_taken(function("IN"), args)
    values = unified("IN", args)
    constant = all(isinstance(v, Literal) for v in values[1:])
    if not constant or values[0].type.children or len({v.type.to_arrow() for v in values}) > 1:
        values[1:] = _folded(values)
        constant = all(isinstance(v, Literal) for v in values[1:])
        if not constant or values[0].type.children:
            tests = [call("=", [values[0], v]) for v in values[1:]]
            return tests[0] if len(tests) == 1 else call("OR", tests)
    return Call(
        "IN", tuple(values), t.BOOLEAN().with_nullable(any(v.type.nullable for v in values))
    )


def _folded(values: Sequence[Expression]) -> list[Expression]:
    """The list's constants in the type of the value, where a cast of each is a constant."""
    from lesto.sql.rewrite import fold

    found: list[Expression] = []
    for value in values[1:]:
        folded = fold(cast(value, values[0].type.with_nullable(True)))
        same = isinstance(folded, Literal) and fold(call("=", [folded, value]))
        found.append(folded if isinstance(same, Literal) and same.value is not False else value)
    return found


def _prepare_in(call_: Call) -> Kernel:
    kind = call_.args[0].type.to_arrow()
    members = [a for a in call_.args[1:] if isinstance(a, Literal)]
    has_null = any(m.value is None for m in members)
    from lesto.sql.evaluator import literal_scalar

    known = [scalar_array(literal_scalar(m)) for m in members if m.value is not None]
    value_set = pa.concat_arrays(known).cast(kind) if known else pa.array([], kind)

    def kernel(_ev: Evaluation, value: Value, *_list: Value) -> Value:
        found = pc.is_in(value, value_set=value_set)
        null = pa.scalar(None, pa.bool_())
        if has_null:
            found = pc.if_else(found, found, null)
        if is_scalar(value):
            return found if value.is_valid else null
        return found if value.null_count == 0 else pc.if_else(pc.is_valid(value), found, null)

    return kernel


register(
    ScalarFunction(
        "IN",
        _GROUP,
        prepare=_prepare_in,
        bind=_bind_in,
        syntax="value IN (a, b, ...)",
        examples=(
            ("4 IN (1, 2, 3)", "FALSE"),
            ("1 IN (1, 2, NULL)", "TRUE"),
            ("4 IN (1, 2, NULL)", None),
            ("'a' IN ('b', 'a')", "TRUE"),
            ("1.5 IN (1, 1.50)", "TRUE"),
            ("CAST(NULL AS INT) IN (1, 2)", None),
        ),
    ),
    ScalarFunction(
        "NOT IN",
        _GROUP,
        bind=lambda args: call("NOT", [call("IN", args)]),
        syntax="value NOT IN (a, b, ...)",
        examples=(
            ("4 NOT IN (1, 2, 3)", "TRUE"),
            ("1 NOT IN (1, 2, NULL)", "FALSE"),
            ("4 NOT IN (1, 2, NULL)", None),
        ),
    ),
)


# ------------------------------------------------------------------------------ GREATEST and LEAST


def _extreme(fast: Any, best: Callable[[list[Any]], Any]) -> Callable[[Call], Kernel]:
    def prepare(call_: Call) -> Kernel:
        kind = call_.type
        if kind.root in {TypeRoot.CHAR, TypeRoot.VARCHAR, TypeRoot.BOOLEAN} or kind.children:
            return per_row(lambda *row: best(list(row)), kind.to_arrow())

        def kernel(ev: Evaluation, *values: Value) -> Value:
            if all(map(is_scalar, values)):
                return fast(*map(scalar_array, values), skip_nulls=False)[0]
            return fast(*[broadcast(v, ev.rows) for v in values], skip_nulls=False)

        return kernel

    return prepare


register(
    ScalarFunction(
        "GREATEST",
        "conditional",
        (sig(p.COMMON, p.COMMON, to=lambda a: a[0], repeats=1),),
        _extreme(pc.max_element_wise, max),
        examples=(
            ("GREATEST(1, 3, 2)", "3"),
            ("GREATEST(1, CAST(NULL AS INT))", None),
            ("GREATEST('a', 'c', 'b')", "c"),
            ("GREATEST(1.5, 2)", "2.0"),
        ),
    ),
    ScalarFunction(
        "LEAST",
        "conditional",
        (sig(p.COMMON, p.COMMON, to=lambda a: a[0], repeats=1),),
        _extreme(pc.min_element_wise, min),
        examples=(
            ("LEAST(1, 3, 2)", "1"),
            ("LEAST(DATE '2020-01-02', DATE '2020-01-01')", "2020-01-01"),
        ),
    ),
)
