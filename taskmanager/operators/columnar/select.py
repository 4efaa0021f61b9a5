"""Projection, filter and added columns on Arrow batches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, Form
from lesto.common.evaluator import Predicate, Projection
from lesto.common.expressions import Column, Expr, output_name
from lesto.kernels import arrow
from lesto.kernels.partition import take_batch
from lesto.taskmanager.operators.base import Operator
from lesto.taskmanager.operators.columnar.columns import input_schema


class SelectOperator(Operator):
    """Computes new columns from the old ones.

    Args:
        exprs: one an output column.
    """

    input_form = Form.COLUMNAR

    def __init__(self, exprs: Sequence[Expr]) -> None:
        self._exprs = list(exprs)

    def open(self) -> None:
        """Compile for the input's schema."""
        schema = input_schema(self.context)
        self._projection = Projection(self._select_list(schema), schema)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Project; event times and kinds stay."""
        assert isinstance(batch, ColumnarBatch)
        data = self._projection.evaluate(batch.data)
        self.output.emit(ColumnarBatch(data, batch.timestamps, batch.kinds))

    def _select_list(self, schema: pa.Schema) -> list[Expr]:
        return self._exprs


class WithColumnsOperator(SelectOperator):
    """Adds columns, or replaces those of the same name.

    Args:
        exprs: one an added or replaced column.
    """

    def _select_list(self, schema: pa.Schema) -> list[Expr]:
        return with_columns_exprs(self._exprs, schema)


class FilterOperator(Operator):
    """Keeps the records for which a condition holds; null counts as false.

    Args:
        expr: the condition.
    """

    input_form = Form.COLUMNAR

    def __init__(self, expr: Expr) -> None:
        self._expr = expr

    def open(self) -> None:
        """Compile for the input's schema."""
        self._predicate = Predicate(self._expr, input_schema(self.context))

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Filter; a batch that passes whole is passed on as it is."""
        assert isinstance(batch, ColumnarBatch)
        mask = self._predicate.mask(batch.data)
        kept = mask.true_count
        if kept == len(batch):
            self.output.emit(batch)
        elif kept:
            flags = arrow.unpack_bits(mask.buffers()[1], mask.offset, len(mask))
            rows = np.flatnonzero(flags)
            self.output.emit(
                ColumnarBatch(
                    take_batch(batch.data, rows),
                    None if batch.timestamps is None else batch.timestamps[rows],
                    None if batch.kinds is None else batch.kinds[rows],
                )
            )


def with_columns_exprs(exprs: Sequence[Expr], schema: pa.Schema) -> list[Expr]:
    """The select list that keeps all columns but those replaced, which stay at their place."""
    added = {output_name(e, i): e.alias(output_name(e, i)) for i, e in enumerate(exprs)}
    kept: list[Expr] = [added.pop(name, Column(name)) for name in schema.names]
    return kept + list(added.values())


def select_output_schema(schema: pa.Schema, exprs: Sequence[Expr]) -> pa.Schema:
    """Columns that :class:`SelectOperator` gives."""
    return Projection(exprs, schema).schema


def with_columns_output_schema(schema: pa.Schema, exprs: Sequence[Expr]) -> pa.Schema:
    """Columns that :class:`WithColumnsOperator` gives."""
    return Projection(with_columns_exprs(exprs, schema), schema).schema
