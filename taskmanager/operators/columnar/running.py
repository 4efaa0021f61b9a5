"""Running aggregates of a keyed stream: a result for every record."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, Form
from lesto.common.expressions import Expr
from lesto.kernels import jit
from lesto.state.table import StateTable, TableDescriptor
from lesto.taskmanager.operators.base import Operator, OperatorSnapshot
from lesto.taskmanager.operators.columnar.aggregates import AggregatePlan
from lesto.taskmanager.operators.columnar.columns import input_schema, require_insertions


class RunningAggregateOperator(Operator):
    """Gives, for every record, its key's aggregates including that record.

    Args:
        key_columns: names of the key columns.
        aggregates: aggregate expressions.
        keep_input: give all input columns, with those replaced that an aggregate is named after
            (this is ``KeyedStream.sum("v")``), instead of key columns and aggregates.
    """

    input_form = Form.COLUMNAR
    table: StateTable

    def __init__(
        self, key_columns: Sequence[str], aggregates: Sequence[Expr], keep_input: bool = False
    ) -> None:
        self._key_columns = list(key_columns)
        self._aggregates = list(aggregates)
        self._keep_input = keep_input

    def open(self) -> None:
        """Compile, load the kernels, get the table."""
        schema = input_schema(self.context)
        self._plan = AggregatePlan(schema, self._key_columns, self._aggregates)
        self._layout = _Layout(schema, self._plan) if self._keep_input else None
        jit.warm(("hashing", "hashindex", "rowkeys", "aggregates"))
        self._backend = self.context.keyed_backend()
        descriptor = TableDescriptor(
            "running_aggregate", self._plan.key_schema, self._plan.accumulators()
        )
        self.table = self._backend.table(descriptor)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Fold the batch in; the output has its rows, order and event times."""
        assert isinstance(batch, ColumnarBatch)
        require_insertions(batch, self.context.operator_name)
        if len(batch) == 0:
            return
        keys = self._plan.key_arrays(batch.data)
        values = self._plan.values(batch.data)
        slots, _ = self.table.upsert(keys)
        data = self._plan.output(keys, self._plan.fold_running(self.table, slots, values))
        if self._layout is not None:
            data = self._layout.merge(batch.data, data)
        self.output.emit(ColumnarBatch(data, batch.timestamps))

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """State by the keyed backend."""
        return OperatorSnapshot(self._backend.snapshot(checkpoint_id, canonical=canonical))


class _Layout:
    """Input columns with some replaced by results, and the other results behind them."""

    def __init__(self, schema: pa.Schema, plan: AggregatePlan) -> None:
        n_keys = len(plan.key_schema)
        results = {
            field.name: (at, field) for at, field in enumerate(plan.output_schema) if at >= n_keys
        }
        # (position in the input or -1, position in the output of the plan)
        self._sources: list[tuple[int, int]] = []
        fields = []
        for i, field in enumerate(schema):
            at, replacing = results.pop(field.name, (-1, field))
            self._sources.append((i, at))
            fields.append(replacing)
        for at, field in results.values():
            self._sources.append((-1, at))
            fields.append(field)
        self.schema = pa.schema(fields)

    def merge(self, data: pa.RecordBatch, results: pa.RecordBatch) -> pa.RecordBatch:
        """The output batch."""
        columns = [data.column(i) if at < 0 else results.column(at) for i, at in self._sources]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def running_output_schema(
    input_schema: pa.Schema,
    key_columns: Sequence[str],
    aggregates: Sequence[Expr],
    keep_input: bool = False,
) -> pa.Schema:
    """Columns that :class:`RunningAggregateOperator` gives; for checks when the graph is built.

    Raises:
        ExpressionError: unknown or doubled column.
        UnsupportedAggregateError: an aggregate does not take the type it is given.
    """
    plan = AggregatePlan(input_schema, key_columns, aggregates)
    return _Layout(input_schema, plan).schema if keep_input else plan.output_schema
