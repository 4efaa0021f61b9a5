"""COUNT, SUM, AVG, MIN, MAX, FIRST_VALUE, LAST_VALUE, variances."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from lesto.sql import types as t
from lesto.sql.aggregates.table import (
    COUNT_TYPE,
    Accumulator,
    AggregateFunction,
    Collected,
    Folded,
    FoldKind,
    Form,
    null_of,
    ref,
    register,
)
from lesto.sql.builder import call, case, cast, literal
from lesto.sql.errors import SqlEvaluationError
from lesto.sql.expressions import Expression
from lesto.sql.functions import params as p
from lesto.sql.functions.table import sig
from lesto.sql.type_rules import avg_type, sum_type
from lesto.sql.types import INTEGER, SqlType, TypeRoot

_Args = tuple[Expression, ...]


def _first(types: tuple[SqlType, ...]) -> SqlType:
    return types[0]


def _sum_store(kind: SqlType) -> SqlType:
    """What a sum is kept in: 64 bits for numbers of machines, 38 digits for decimals."""
    if kind.is_in(INTEGER):
        return t.BIGINT()
    return t.DECIMAL(38, kind.scale) if kind.root is TypeRoot.DECIMAL else t.DOUBLE()


def _as(value: Expression, kind: SqlType) -> Expression:
    return cast(value, kind.with_nullable(value.type.nullable))


def _count(args: _Args, _kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
    if len(args) == 1:
        given: Expression | None = args[0] if args[0].type.nullable else None
    elif args:
        # COUNT(DISTINCT a, b) counts rows in which neither is NULL.
        known = call("AND", [call("IS NOT NULL", [a]) for a in args])
        given = case([(known, literal(1))])
    else:
        given = None
    counter = Accumulator("count", "count", given, COUNT_TYPE)
    form = Folded((counter,), ref(0, COUNT_TYPE))
    return form, form


def _sum(zero: bool) -> Callable[[_Args, SqlType, bool], tuple[Form, Form]]:
    def build(args: _Args, kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
        store = _sum_store(args[0].type)
        total = Accumulator("sum", "sum", _as(args[0], store), store)
        count = Accumulator("count", "count", args[0], COUNT_TYPE)
        shown = _as(ref(0, store), kind)
        if zero:
            filled = call("COALESCE", [shown, cast(literal(0), kind)])
            form = Folded((total,), filled)
            return form, form
        # What has been added and taken away again leaves 0, which is not NULL.
        empty = call("=", [ref(1, COUNT_TYPE), literal(0)])
        back = case([(empty, null_of(kind))], shown)
        return Folded((total,), shown), Folded((total, count), back)

    return build


def _avg(args: _Args, kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
    store = _sum_store(args[0].type)
    total = Accumulator("sum", "sum", _as(args[0], store), store)
    count = Accumulator("count", "count", args[0], COUNT_TYPE)
    divided = call("/", [ref(0, store), ref(1, COUNT_TYPE)])
    empty = call("=", [ref(1, COUNT_TYPE), literal(0)])
    form = Folded((total, count), case([(empty, null_of(kind))], _as(divided, kind)))
    return form, form


def _extreme(kind_: FoldKind, best: Callable[[Any], Any]) -> Any:
    def finish(values: Sequence[Any]) -> Any:
        return best(v[0] for v, _count in values) if values else None

    def build(args: _Args, kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
        store = args[0].type.with_nullable(True)
        kept = Accumulator(kind_, kind_, args[0], store)
        return Folded((kept,), _as(ref(0, store), kind)), Collected(
            "multiset", (args[0],), (0,), finish
        )

    return build


def _ordered(kind_: FoldKind, position: int) -> Any:
    def finish(values: Sequence[Any]) -> Any:
        return values[position][0] if values else None

    def build(args: _Args, kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
        store = args[0].type.with_nullable(True)
        kept = Accumulator(kind_, kind_, args[0], store)
        return Folded((kept,), _as(ref(0, store), kind)), Collected(
            "list", (args[0],), (0,), finish
        )

    return build


def _single(values: Sequence[Any]) -> Any:
    if len(values) > 1:
        msg = "a subquery that stands for one value gave more than one row"
        raise SqlEvaluationError(msg, remedy="aggregate it, or add LIMIT 1")
    return values[0][0] if values else None


def _single_value(args: _Args, _kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
    form = Collected("list", (args[0],), (), _single)
    return form, form


def _variance(*, sample: bool, root: bool) -> Any:
    """From count, sum and sum of squares, which can take values back.

    Cancellation costs digits where the mean is large beside the deviation: about as many as
    ``2 * log10(mean / deviation)`` of 15.
    """

    def build(args: _Args, kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
        double = t.DOUBLE()
        x = _as(args[0], double)
        n = Accumulator("count", "count", args[0], COUNT_TYPE)
        total = Accumulator("sum", "sum", x, double)
        squares = Accumulator("squares", "sum", call("*", [x, x]), double)
        count, s, q = ref(0, COUNT_TYPE), ref(1, double), ref(2, double)
        real = _as(count, double)
        spread = call("-", [q, call("/", [call("*", [s, s]), real])])
        above = call("GREATEST", [spread, literal(0.0)])
        divisor = call("-", [real, literal(1.0)]) if sample else real
        found = call("/", [above, divisor])
        if root:
            found = call("SQRT", [found])
        few = call("<=", [count, literal(1 if sample else 0)])
        result = case([(few, null_of(kind))], _as(found, kind))
        form = Folded((n, total, squares), result)
        return form, form

    return build


_COMPARED: Final = p.kind_of(
    "comparable",
    t.NUMERIC | t.CHARACTER | t.DATETIME | t.INTERVAL | {TypeRoot.BOOLEAN},
    t.INT(),
)

register(
    AggregateFunction(
        "COUNT",
        (sig(to=t.BIGINT()), sig(p.ANY, to=t.BIGINT(), repeats=1)),
        _count,
        nullable="never",
        examples=(
            ("COUNT(*)", "5"),
            ("COUNT(x)", "4"),
            ("COUNT(DISTINCT x)", "3"),
            ("COUNT(x) FILTER (WHERE x > 1)", "3"),
        ),
    ),
    AggregateFunction(
        "SUM",
        (sig(p.NUMERIC, to=lambda a: sum_type(a[0])),),
        _sum(zero=False),
        examples=(
            ("SUM(x)", "17"),
            ("SUM(DISTINCT x)", "14"),
            ("SUM(d)", "10.85"),
            ("SUM(f)", "0.25"),
            ("SUM(x) FILTER (WHERE x > 100)", None),
        ),
    ),
    AggregateFunction(
        "SUM0",
        (sig(p.NUMERIC, to=lambda a: sum_type(a[0])),),
        _sum(zero=True),
        aliases=("$SUM0",),
        nullable="never",
        examples=(("SUM0(x)", "17"), ("SUM0(x) FILTER (WHERE x > 100)", "0")),
    ),
    AggregateFunction(
        "AVG",
        (sig(p.NUMERIC, to=lambda a: avg_type(a[0])),),
        _avg,
        examples=(("AVG(x)", "4"), ("AVG(d)", "2.712500"), ("AVG(f)", "0.0625")),
    ),
    AggregateFunction(
        "MIN",
        (sig(_COMPARED, to=_first),),
        _extreme("min", min),
        ignores_distinct=True,
        examples=(("MIN(x)", "1"), ("MIN(y)", "a"), ("MIN(d)", "0.10")),
    ),
    AggregateFunction(
        "MAX",
        (sig(_COMPARED, to=_first),),
        _extreme("max", max),
        ignores_distinct=True,
        examples=(("MAX(x)", "10"), ("MAX(f)", "2.5")),
    ),
    AggregateFunction(
        "FIRST_VALUE",
        (sig(p.ANY, to=_first),),
        _ordered("first", 0),
        ignores_distinct=True,
        examples=(("FIRST_VALUE(y)", "a"), ("FIRST_VALUE(x)", "1")),
    ),
    AggregateFunction(
        "LAST_VALUE",
        (sig(p.ANY, to=_first),),
        _ordered("last", -1),
        ignores_distinct=True,
        examples=(("LAST_VALUE(y)", "c"), ("LAST_VALUE(x)", "10")),
    ),
    AggregateFunction(
        "SINGLE_VALUE",
        (sig(p.ANY, to=_first),),
        _single_value,
        nullable="always",
        ignores_distinct=True,
    ),
    *(
        AggregateFunction(
            name,
            (sig(p.NUMERIC, to=lambda a: avg_type(a[0])),),
            _variance(sample=sample, root=root),
            aliases=aliases,
            nullable="always",
            examples=((f"{name}(f)", expected),),
        )
        for name, sample, root, aliases, expected in (
            ("STDDEV_POP", False, True, (), "2.477240147825802"),
            ("STDDEV_SAMP", True, True, ("STDDEV",), "2.86047053238915"),
            ("VAR_POP", False, False, (), "6.13671875"),
            ("VAR_SAMP", True, False, ("VARIANCE",), "8.182291666666666"),
        )
    ),
)
