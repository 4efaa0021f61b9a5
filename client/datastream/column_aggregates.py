"""Aggregates of columns, checked when the job is built: are they legal, and what columns do they
give.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from lesto.client.datastream.checks import wrong
from lesto.client.datastream.location import user_location
from lesto.common.errors import LestoError
from lesto.common.expressions import Aggregate, Alias, Expr, ExpressionError, WindowBound, walk


def check_aggregates(
    method: str, aggregates: Sequence[Any], named: dict[str, Any]
) -> tuple[Expr, ...]:
    """The aggregates, named; each an expression with an aggregate (or a window bound) in it."""
    chosen: list[Expr] = []
    for expr in (*aggregates, *named.values()):
        if not isinstance(expr, Expr):
            wrong(method, "aggregates such as col('v').sum()", expr)
        if not any(isinstance(part, (Aggregate, WindowBound)) for part in walk(expr)):
            msg = f"{expr} is not an aggregate"
            raise ExpressionError(
                msg, remedy=f"write for example {expr}.sum()", location=user_location()
            )
    chosen.extend(aggregates)
    chosen.extend(Alias(expr, name) for name, expr in named.items())
    if not chosen:
        wrong(method, "at least one aggregate", ())
    return tuple(chosen)


def located_schema(infer: Callable[[], pa.Schema]) -> pa.Schema:
    """Columns that an operator infers, with the user's line on its errors."""
    try:
        return infer()
    except LestoError as error:
        error.location = error.location or user_location()
        raise


def running_schema(
    schema: pa.Schema, keys: Sequence[str], aggregates: Sequence[Expr], *, keep_input: bool = False
) -> pa.Schema:
    """Columns of running aggregates."""
    from lesto.taskmanager.operators.columnar.running import running_output_schema

    return located_schema(lambda: running_output_schema(schema, keys, aggregates, keep_input))


def window_schema(
    schema: pa.Schema, keys: Sequence[str], assigner: Any, aggregates: Sequence[Expr]
) -> pa.Schema:
    """Columns of window aggregates: the key columns, then the aggregates and bounds."""
    from lesto.taskmanager.operators.columnar.window import window_output_schema

    return located_schema(lambda: window_output_schema(schema, keys, assigner, aggregates))


def first_of_others(
    schema: pa.Schema, keys: Sequence[str], kind: str, field: str
) -> tuple[Expr, ...] | None:
    """Flink's ``sum("field")`` by column: the aggregate, and of the other columns the key's first
    values.

    None when the columns cannot be aggregated so; then rows are.
    """
    from lesto.common.expressions import Column
    from lesto.taskmanager.operators.columnar.errors import UnsupportedAggregateError

    aggregates: list[Expr] = []
    for name in schema.names:
        if name not in keys:
            how: Any = kind if name == field else "first"
            aggregates.append(Alias(Aggregate(how, Column(name)), name))
    try:
        running_schema(schema, keys, aggregates, keep_input=True)
    except UnsupportedAggregateError:
        return None
    return tuple(aggregates)
