"""Checks and small parts of the calls on a DataStream."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from lesto.client.datastream.checks import require_schema, wrong
from lesto.client.datastream.errors import SchemaConflictError
from lesto.client.datastream.location import user_location
from lesto.common.evaluator import resolve_column
from lesto.common.expressions import Alias, Column, Expr, to_expr
from lesto.common.functions import OutputTag
from lesto.common.types import Types
from lesto.common.watermarks import WatermarkStrategy


class FieldsByPosition:
    """Fields by position, as a picklable function."""

    def __init__(self, indexes: tuple[int, ...]) -> None:
        self.indexes = indexes

    def __call__(self, value: Any) -> tuple[Any, ...]:
        """The fields."""
        return tuple(value[i] for i in self.indexes)


def single_type(tag: OutputTag) -> Any:
    """The type of a tag, for which PyFlink also takes a list of types."""
    return Types.TUPLE(tag.type_info) if isinstance(tag.type_info, list) else tag.type_info


def chosen_exprs(method: str, exprs: tuple[Any, ...], named: dict[str, Any]) -> list[Expr]:
    """Columns asked for by name, by expression, or as ``name=expression``."""
    chosen: list[Expr] = []
    for expr in exprs:
        if isinstance(expr, str):
            chosen.append(Column(expr))
        elif isinstance(expr, Expr):
            chosen.append(expr)
        else:
            wrong(method, "column names and expressions", expr)
    chosen.extend(Alias(to_expr(value), name) for name, value in named.items())
    return chosen


def check_same_schema(first: pa.Schema | None, second: pa.Schema | None) -> None:
    """Streams of a union have the same columns, or none.

    Raises:
        SchemaConflictError: names the difference.
    """
    if first is None or second is None or first.equals(second):
        if (first is None) == (second is None):
            return
        msg = "union: one stream has columns, the other carries opaque Python values"
        remedy = "give the latter's last step output_type=Types.ROW_NAMED([...], [...])"
        raise SchemaConflictError(msg, remedy=remedy, location=user_location())
    ours, theirs = (", ".join(f"{f.name}: {f.type}" for f in s) for s in (first, second))
    msg = f"union: the streams have different columns: ({ours}) and ({theirs})"
    raise SchemaConflictError(
        msg, remedy="bring them to the same columns with select(...)", location=user_location()
    )


def check_timestamp_column(
    strategy: WatermarkStrategy, schema: pa.Schema | None, stream: str
) -> None:
    """Check that the strategy's column exists and can be a time."""
    if strategy.timestamp_column is None:
        return
    columns = require_schema("with_timestamp_column", schema)
    index = resolve_column(
        strategy.timestamp_column, columns, stream=stream, location=user_location()
    )
    kind = columns.field(index).type
    ok = pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_integer(kind)
    if not ok:
        wrong(
            "with_timestamp_column",
            "a column of timestamps, dates or integer milliseconds",
            f"{strategy.timestamp_column}: {kind}",
        )


def strategy_functions(strategy: WatermarkStrategy) -> tuple[Any, ...]:
    """The user functions in a strategy."""
    functions = (strategy.timestamp_assigner, strategy.generator_factory)
    return tuple(f for f in functions if f is not None)
