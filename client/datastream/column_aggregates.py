"""Aggregates of columns, checked when the job is built: which are legal, and what columns they give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from lesto.client.datastream.checks import wrong
from lesto.client.datastream.location import user_location
from lesto.common.evaluator import TypeMismatchError, compile_expr
from lesto.common.expressions import (
    AGGREGATE_KINDS,
    Aggregate,
    Alias,
    Column,
    Expr,
    ExpressionError,
    WindowBound,
    output_name,
)

WINDOW_BOUND_TYPE = pa.timestamp("ms")


def check_aggregates(
    method: str, aggregates: Sequence[Any], named: dict[str, Any], *, windowed: bool
) -> tuple[Expr, ...]:
    """The aggregates, named; each an aggregate (or, of windows, a window bound)."""
    chosen: list[Expr] = []
    for expr in (*aggregates, *(_alias(method, e, name) for name, e in named.items())):
        core = expr.child if isinstance(expr, Alias) else expr
        if not isinstance(core, Expr):
            wrong(method, "aggregates such as col('v').sum()", expr)
        if isinstance(core, WindowBound) and not windowed:
            msg = f"{core} needs a window"
            raise ExpressionError(
                msg, remedy="call window(...) before agg", location=user_location()
            )
        if not isinstance(core, (Aggregate, WindowBound)):
            msg = f"{core} is not an aggregate"
            raise ExpressionError(
                msg,
                remedy=f"write for example {core}.sum(); aggregates: {', '.join(AGGREGATE_KINDS)};"
                " compute with their results in a select(...) behind agg",
                location=user_location(),
            )
        chosen.append(expr)
    if not chosen:
        wrong(method, "at least one aggregate", ())
    return tuple(chosen)


def _alias(method: str, expr: Any, name: str) -> Alias:
    if not isinstance(expr, Expr):
        wrong(method, f"an aggregate as {name}=", expr)
    return Alias(expr, name)


def aggregate_type(aggregate: Aggregate, schema: pa.Schema, stream: str) -> pa.DataType:
    """Type of an aggregate's result."""
    child = aggregate.child
    if isinstance(child, Column) and child.name == "*":
        return pa.int64()
    kind = compile_expr(child, schema, stream=stream, location=user_location()).type
    numeric = (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
        or pa.types.is_boolean(kind)
    )
    match aggregate.kind:
        case "count":
            return pa.int64()
        case ("sum" | "mean") if not numeric:
            msg = f"{aggregate} needs numbers, but {child} is {kind}"
            raise TypeMismatchError(
                msg, remedy=f"cast it: {child}.cast(float)", location=user_location()
            )
        case "mean":
            return pa.float64()
        case "sum":
            return pa.float64() if pa.types.is_floating(kind) else pa.int64()
        case _:
            return kind


def _schema(
    keys: Sequence[str], aggregates: Sequence[Expr], schema: pa.Schema, stream: str
) -> pa.Schema:
    fields = [schema.field(name) for name in keys]
    for position, expr in enumerate(aggregates):
        core = expr.child if isinstance(expr, Alias) else expr
        kind = (
            aggregate_type(core, schema, stream)
            if isinstance(core, Aggregate)
            else WINDOW_BOUND_TYPE
        )
        fields.append(pa.field(output_name(expr, position), kind))
    names = [field.name for field in fields]
    for name in names:
        if names.count(name) > 1:
            msg = f"two columns of the result are named '{name}'"
            raise ExpressionError(
                msg,
                remedy="give one another name with .alias('name')",
                location=user_location(),
            )
    return pa.schema(fields)


def running_schema(
    keys: Sequence[str], aggregates: Sequence[Expr], schema: pa.Schema, stream: str
) -> pa.Schema:
    """Columns of running aggregates: the key columns, then the aggregates."""
    return _schema(keys, aggregates, schema, stream)


def window_schema(
    keys: Sequence[str], aggregates: Sequence[Expr], schema: pa.Schema, stream: str
) -> pa.Schema:
    """Columns of window aggregates: the key columns, then the aggregates and bounds."""
    return _schema(keys, aggregates, schema, stream)
