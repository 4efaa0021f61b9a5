"""LISTAGG, COLLECT, ARRAY_AGG, JSON aggregates, PERCENTILE, APPROX_COUNT_DISTINCT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lesto.sql import types as t
from lesto.sql.aggregates.table import AggregateFunction, Collected, Form, register
from lesto.sql.builder import literal
from lesto.sql.errors import SqlEvaluationError
from lesto.sql.expressions import Expression, Literal
from lesto.sql.functions import params as p
from lesto.sql.functions.collections import frozen
from lesto.sql.functions.json_build import to_json, written
from lesto.sql.functions.table import sig
from lesto.sql.types import SqlType, TypeRoot

_Args = tuple[Expression, ...]
_Rows = Sequence[Any]


def _values(args: _Args) -> _Args:
    return tuple(a for a in args if a.type.root is not TypeRoot.SYMBOL)


def _word(args: _Args, default: str) -> str:
    words = [str(a.value) for a in args if isinstance(a, Literal) and a.type == t.SYMBOL()]
    return words[-1] if words else default


def _same(form: Form) -> tuple[Form, Form]:
    return form, form


def _listagg(args: _Args, _kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
    inputs = args if len(args) == 2 else (args[0], literal(","))

    def finish(rows: _Rows) -> str | None:
        if not rows:
            return None
        # The separator in front of a value is that of its own row.
        first: str = rows[0][0]
        return first + "".join(sep + text for text, sep in rows[1:])

    return _same(Collected("list", inputs, (0, 1), finish))


def _collect(args: _Args, _kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
    def finish(rows: _Rows) -> list[tuple[Any, int]]:
        return [(value[0], count) for value, count in rows]

    return _same(Collected("multiset", (args[0],), (0,), finish))


def _array_agg(args: _Args, _kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
    required = (0,) if _word(args, "RESPECT NULLS") == "IGNORE NULLS" else ()

    def finish(rows: _Rows) -> list[Any] | None:
        return [row[0] for row in rows] or None

    return _same(Collected("list", _values(args), required, finish))


def _json_object(args: _Args, _kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
    keep = _word(args, "NULL ON NULL") == "NULL ON NULL"
    inputs = _values(args)
    kind = inputs[1].type

    def finish(rows: _Rows) -> str:
        pairs: dict[str, Any] = {}
        for k, v in rows:
            if k in pairs:
                msg = f"JSON_OBJECTAGG has the key {k!r} twice"
                raise SqlEvaluationError(msg, remedy="group by the key too, or aggregate values")
            if v is not None or keep:
                pairs[k] = to_json(v, kind)
        return written(pairs)

    return _same(Collected("list", inputs, (0,), finish))


def _json_array(args: _Args, _kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
    keep = _word(args, "ABSENT ON NULL") == "NULL ON NULL"
    inputs = _values(args)
    kind = inputs[0].type

    def finish(rows: _Rows) -> str:
        return written([to_json(row[0], kind) for row in rows if row[0] is not None or keep])

    return _same(Collected("list", inputs, () if keep else (0,), finish))


def _percentile(args: _Args, kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
    inputs = args if len(args) == 3 else (*args, literal(1))
    several = kind.root is TypeRoot.ARRAY

    def finish(rows: _Rows) -> Any:
        weighted: dict[float, int] = {}
        share: Any = None
        for (value, wanted, frequency), count in rows:
            share = wanted
            if frequency > 0:
                weighted[float(value)] = weighted.get(float(value), 0) + frequency * count
        if not weighted:
            return None
        points = sorted(weighted.items())
        if several:
            return [_at(points, float(s)) for s in share] or None
        return _at(points, float(share))

    return _same(Collected("multiset", inputs, (0, 2), finish))


def _at(points: list[tuple[float, int]], share: float) -> float:
    """The value at a share of the ordered values, between two of them in a straight line."""
    total = sum(count for _, count in points)
    position = (total - 1) * share
    low, high = int(position), -int(-position // 1)
    a, b = _nth(points, low), _nth(points, high)
    return a if low == high else (high - position) * a + (position - low) * b


def _nth(points: list[tuple[float, int]], index: int) -> float:
    for value, count in points:
        if index < count:
            return value
        index -= count
    return points[-1][0]


def _approximate(args: _Args, _kind: SqlType, _distinct: bool) -> tuple[Form, Form]:
    """An exact count: its error is within any bound, and it can take values back."""

    def finish(rows: _Rows) -> int:
        return len({frozen(value[0]) for value, _count in rows})

    return _same(Collected("multiset", (args[0],), (0,), finish))


_PERCENTAGES: Final = p.array_of("ARRAY<NUMERIC>", p.DOUBLE)
_MULTISET: Final = t.MULTISET

register(
    AggregateFunction(
        "LISTAGG",
        (sig(p.STRING, to=t.STRING()), sig(p.STRING, p.STRING, to=t.STRING())),
        _listagg,
        nullable="always",
        examples=(("LISTAGG(y)", "a,b,b,c"), ("LISTAGG(DISTINCT y)", "a,b,c"),
                  ("LISTAGG(y, '-')", "a-b-b-c")),
    ),
    AggregateFunction(
        "COLLECT",
        (sig(p.ANY, to=lambda a: _MULTISET(a[0].not_null())),),
        _collect,
        nullable="never",
        examples=(("COLLECT(y)", "{a=1, b=2, c=1}"),),
    ),
    AggregateFunction(
        "ARRAY_AGG",
        (
            sig(p.ANY, to=lambda a: t.ARRAY(a[0])),
            sig(p.ANY, p.SYMBOL, to=lambda a: t.ARRAY(a[0])),
        ),
        _array_agg,
        nullable="always",
        examples=(
            ("ARRAY_AGG(x)", "[1, 3, 3, NULL, 10]"),
            ("ARRAY_AGG(x) IGNORE NULLS", "[1, 3, 3, 10]"),
        ),
    ),
    AggregateFunction(
        "JSON_OBJECTAGG",
        (
            sig(p.STRING, p.ANY, to=t.STRING()),
            sig(p.STRING, p.ANY, p.SYMBOL, to=t.STRING()),
        ),
        _json_object,
        nullable="never",
        examples=(("JSON_OBJECTAGG(KEY COALESCE(CAST(d AS STRING), '?') VALUE x)",
             '{"0.10":null,"1.50":1,"2.25":3,"7.00":10,"?":3}'),),
    ),
    AggregateFunction(
        "JSON_ARRAYAGG",
        (sig(p.ANY, to=t.STRING()), sig(p.ANY, p.SYMBOL, to=t.STRING())),
        _json_array,
        nullable="never",
        examples=(
            ("JSON_ARRAYAGG(x)", "[1,3,3,10]"),
            ("JSON_ARRAYAGG(y NULL ON NULL)", '["a","b","b",null,"c"]'),
        ),
    ),
    AggregateFunction(
        "PERCENTILE",
        (
            sig(p.NUMERIC, p.DOUBLE, to=t.DOUBLE()),
            sig(p.NUMERIC, p.DOUBLE, p.INTEGER, to=t.DOUBLE()),
            sig(p.NUMERIC, _PERCENTAGES, to=t.ARRAY(t.DOUBLE())),
            sig(p.NUMERIC, _PERCENTAGES, p.INTEGER, to=t.ARRAY(t.DOUBLE())),
        ),
        _percentile,
        nullable="always",
        examples=(
            ("PERCENTILE(x, 0.5)", "3.0"),
            ("PERCENTILE(x, ARRAY[0.0, 0.75, 1.0])", "[1.0, 4.75, 10.0]"),
        ),
    ),
    AggregateFunction(
        "APPROX_COUNT_DISTINCT",
        (sig(p.ANY, to=t.BIGINT()),),
        _approximate,
        nullable="never",
        ignores_distinct=True,
        examples=(("APPROX_COUNT_DISTINCT(x)", "3"),),
    ),
)  # fmt: skip
