"""Filters and computes columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels import jit
from lesto.kernels.partition import take_array
from lesto.sql.evaluator import CompiledExpressions, compile_expressions
from lesto.sql.expressions import Expression, InputRef
from lesto.sql.rewrite import input_refs
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator

#: Value of the one column of a stream that has none.
_NOTHING = pa.scalar(0, pa.int8())


class CalcOperator(SqlOperator):
    """Gives the expressions of the rows of which the condition is TRUE; kinds stay.

    Args:
        settings: of the session.
        expressions: over the input's columns; None gives the columns as they are.
        schema: of the results.
        condition: None for all rows.
    """

    def __init__(
        self,
        settings: SqlSettings,
        expressions: Sequence[Expression] | None,
        schema: pa.Schema,
        condition: Expression | None = None,
    ) -> None:
        super().__init__(settings)
        self._expressions = None if expressions is None else tuple(expressions)
        self._schema = schema
        self._condition = condition
        self._compiled: CompiledExpressions | None = None
        self._mask: CompiledExpressions | None = None

    def open(self) -> None:
        """Compile."""
        jit.warm(("rows",))
        if self._condition is not None:
            self._mask = compile_expressions([self._condition])
        computed = self._expressions
        width = len(self.input_schema())
        self._needed = list(range(width))
        if computed is not None:
            self._needed = sorted(set().union(*map(input_refs, computed)))
            #: Positions of what is only passed on; None where something is computed.
            self._passed = [e.index if isinstance(e, InputRef) else None for e in computed]
            self._compiled = compile_expressions(
                [e for e in computed if not isinstance(e, InputRef)]
            )

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Filter, compute, pass on."""
        assert isinstance(batch, ColumnarBatch)
        data, kinds = batch.data, batch.kinds
        if self._mask is not None:
            mask = self._mask.mask(data, self.evaluation())
            kept = mask.true_count
            if not kept:
                return
            if kept < len(mask):
                rows = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
                data = self._gathered(data, rows)
                kinds = None if kinds is None else kinds[rows]
        self.emit(self._computed(data), kinds)

    def _gathered(self, data: pa.RecordBatch, rows: np.ndarray) -> pa.RecordBatch:
        """Some rows, in the columns that are read; the others keep their places, empty."""
        needed = set(self._needed)
        columns = [
            take_array(column, rows) if i in needed else pa.nulls(len(rows), column.type)
            for i, column in enumerate(data.columns)
        ]
        return pa.RecordBatch.from_arrays(columns, schema=data.schema)

    def _computed(self, data: pa.RecordBatch) -> pa.RecordBatch:
        compiled = self._compiled
        if compiled is None:
            columns = data.columns
        else:
            given = iter(compiled.evaluate(data, self.evaluation()))
            columns = [next(given) if at is None else data.column(at) for at in self._passed]
            if not columns:
                columns = [pa.repeat(_NOTHING, data.num_rows)]
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)
