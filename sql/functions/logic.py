"""AND, OR, NOT, IS TRUE and the conditional functions, in three-valued logic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import types as t
from lesto.sql.builder import call, case, coerce, literal, not_taken
from lesto.sql.expressions import Call, Expression
from lesto.sql.functions import params as p
from lesto.sql.functions.table import ScalarFunction, function, pure, register, sig
from lesto.sql.type_rules import common_type
from lesto.sql.types import TypeRoot
from lesto.sql.values import Value, broadcast, is_scalar

_GROUP: Final = "logical"


def _bind_junction(name: str) -> Callable[[Sequence[Expression]], Expression]:
    def bind(args: Sequence[Expression]) -> Expression:
        fits = all(a.type.root in {TypeRoot.BOOLEAN, TypeRoot.NULL} for a in args)
        if len(args) < 2 or not fits:
            raise not_taken(function(name), args)
        # a AND (b AND c) is evaluated as a AND b AND c: from left to right, as far as needed.
        flat: list[Expression] = []
        for arg in args:
            nested = isinstance(arg, Call) and arg.function == name and arg.user is None
            flat += arg.args if nested and isinstance(arg, Call) else [coerce(arg, t.BOOLEAN())]
        nullable = any(a.type.nullable for a in flat)
        return Call(name, tuple(flat), t.BOOLEAN().with_nullable(nullable))

    return bind


def _is(wanted: bool, negated: bool) -> Callable[[Value], Value]:
    def kernel(value: Value) -> Value:
        if is_scalar(value):
            return pa.scalar((value.as_py() is wanted) is not negated)
        found = pc.fill_null(value if wanted else pc.invert(value), False)
        return pc.invert(found) if negated else found

    return kernel


def _test(name: str, compute: Any, *examples: tuple[str, str | None]) -> ScalarFunction:
    return ScalarFunction(
        name,
        _GROUP,
        (sig(p.BOOLEAN, to=t.BOOLEAN()),),
        pure(compute),
        nullable="never",
        syntax=f"condition {name}",
        examples=examples,
    )


register(
    ScalarFunction(
        "AND",
        _GROUP,
        bind=_bind_junction("AND"),
        syntax="a AND b, of BOOLEAN",
        examples=(
            ("TRUE AND FALSE", "FALSE"),
            ("CAST(NULL AS BOOLEAN) AND FALSE", "FALSE"),
            ("CAST(NULL AS BOOLEAN) AND TRUE", None),
        ),
    ),
    ScalarFunction(
        "OR",
        _GROUP,
        bind=_bind_junction("OR"),
        syntax="a OR b, of BOOLEAN",
        examples=(
            ("TRUE OR CAST(NULL AS BOOLEAN)", "TRUE"),
            ("FALSE OR CAST(NULL AS BOOLEAN)", None),
        ),
    ),
    ScalarFunction(
        "NOT",
        _GROUP,
        (sig(p.BOOLEAN, to=t.BOOLEAN()),),
        pure(pc.invert),
        syntax="NOT condition",
        examples=(("NOT TRUE", "FALSE"), ("NOT CAST(NULL AS BOOLEAN)", None)),
    ),
    _test("IS TRUE", _is(True, False), ("CAST(NULL AS BOOLEAN) IS TRUE", "FALSE")),
    _test("IS NOT TRUE", _is(True, True), ("CAST(NULL AS BOOLEAN) IS NOT TRUE", "TRUE")),
    _test("IS FALSE", _is(False, False), ("FALSE IS FALSE", "TRUE")),
    _test("IS NOT FALSE", _is(False, True), ("CAST(NULL AS BOOLEAN) IS NOT FALSE", "TRUE")),
    _test(
        "IS UNKNOWN",
        lambda v: pa.scalar(not v.is_valid) if is_scalar(v) else pc.is_null(v),
        ("(1 = CAST(NULL AS INT)) IS UNKNOWN", "TRUE"),
    ),
    _test(
        "IS NOT UNKNOWN",
        lambda v: pa.scalar(bool(v.is_valid)) if is_scalar(v) else pc.is_valid(v),
        ("TRUE IS NOT UNKNOWN", "TRUE"),
    ),
)

# ------------------------------------------------------------------------------------- conditional


def _bind_case(args: Sequence[Expression]) -> Expression:
    """CASE as a call: condition, value, ..., otherwise."""
    pairs = [(args[i], args[i + 1]) for i in range(0, len(args) - 1, 2)]
    if not pairs:
        raise not_taken(function("CASE"), args)
    return case(pairs, args[-1] if len(args) % 2 else None)


def _bind_if(args: Sequence[Expression]) -> Expression:
    if len(args) != 3:
        raise not_taken(function("IF"), args)
    return case([(args[0], args[1])], args[2])


def _bind_nullif(args: Sequence[Expression]) -> Expression:
    if len(args) != 2:
        raise not_taken(function("NULLIF"), args)
    kind = args[0].type.with_nullable(True)
    return case([(call("=", args), literal(None, kind))], args[0])


def _bind_coalesce(args: Sequence[Expression]) -> Expression:
    if not args:
        raise not_taken(function("COALESCE"), args)
    kind = common_type([a.type for a in args])
    values = tuple(coerce(a, kind) for a in args)
    return Call("COALESCE", values, kind.with_nullable(all(a.type.nullable for a in args)))


def _bind_ifnull(args: Sequence[Expression]) -> Expression:
    if len(args) != 2:
        raise not_taken(function("IFNULL"), args)
    return _bind_coalesce(args)


def _coalesce(ev: Any, *values: Value) -> Value:
    if len(values) == 1:
        return values[0]
    if values[0].type.num_fields and not all(map(is_scalar, values)):
        values = tuple(broadcast(v, ev.rows) for v in values)
    return pc.coalesce(*values)


register(
    ScalarFunction(
        "CASE",
        "conditional",
        bind=_bind_case,
        syntax="CASE WHEN condition THEN value ... ELSE value END",
        examples=(
            ("CASE WHEN 1 > 2 THEN 'a' WHEN 2 > 1 THEN 'b' ELSE 'c' END", "b"),
            ("CASE 3 WHEN 1 THEN 'one' WHEN 2 THEN 'two' END", None),
            ("CASE WHEN TRUE THEN 1 ELSE 2.5 END", "1.0"),
            ("CASE WHEN FALSE THEN 1 / 0 ELSE 7 END", "7"),
        ),
    ),
    ScalarFunction(
        "IF",
        "conditional",
        bind=_bind_if,
        syntax="IF(condition, T, T)",
        examples=(("IF(5 > 3, 5, 3)", "5"), ("IF(CAST(NULL AS BOOLEAN), 1, 2)", "2")),
    ),
    ScalarFunction(
        "NULLIF",
        "conditional",
        bind=_bind_nullif,
        syntax="NULLIF(T, T)",
        examples=(("NULLIF(5, 5)", None), ("NULLIF(5, 0)", "5")),
    ),
    ScalarFunction(
        "COALESCE",
        "conditional",
        prepare=lambda _call: _coalesce,
        bind=_bind_coalesce,
        syntax="COALESCE(T, ...)",
        examples=(
            ("COALESCE(NULL, 'default')", "default"),
            ("COALESCE(CAST(NULL AS INT), 2, 3)", "2"),
            ("COALESCE(TRY_CAST('non-number' AS INT), 0)", "0"),
        ),
    ),
    ScalarFunction(
        "IFNULL",
        "conditional",
        bind=_bind_ifnull,
        syntax="IFNULL(T, T)",
        examples=(("IFNULL(CAST(NULL AS INT), 5)", "5"), ("IFNULL('a', 'b')", "a")),
    ),
)
