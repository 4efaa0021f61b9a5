"""Map, filter, flat_map and process with users' functions of whole batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa

from lesto.common.elements import (
    MIN_TIMESTAMP,
    Batch,
    ColumnarBatch,
    Form,
    RowBatch,
    Timestamps,
)
from lesto.common.function_forms import FunctionForm
from lesto.common.functions import OutputTag
from lesto.kernels.partition import take_batch
from lesto.taskmanager.operators.columnar.batch_values import Results, arguments
from lesto.taskmanager.operators.columnar.columns import input_schema
from lesto.taskmanager.operators.errors import KeyedStateUnavailableError
from lesto.taskmanager.operators.stateless import UserFunctionOperator
from lesto.taskmanager.operators.user_functions import bound_method, function_name, user_errors


class BatchFunctionOperator(UserFunctionOperator):
    """Base of the operators whose function takes a batch a call.

    Args:
        function: the user's.
        form: how it takes a batch.
        schema: declared columns of the result; None: as they come.
        as_values: emit values of the one column, for streams of Python values.
    """

    input_form = Form.COLUMNAR
    method = "map"

    def __init__(
        self,
        function: Any,
        form: FunctionForm,
        schema: pa.Schema | None,
        as_values: bool = False,
    ) -> None:
        super().__init__(function)
        self._form = form
        self._schema = schema
        self._as_values = as_values
        self._call = bound_method(function, self.method)

    def open(self) -> None:
        """Open the function, and find the columns that it names."""
        columns = self._form.columns(list(input_schema(self.context).names))
        self._arguments = arguments(self._form, columns)
        self._results = Results(self._form, self.context.operator_name, self._schema)
        super().open()

    def _run(self, batch: ColumnarBatch, *more: Any) -> Any:
        with user_errors(self.context.operator_name, function_name(self._function)):
            return self._call(*self._arguments(batch.data), *more)

    def _emit(self, data: pa.RecordBatch, timestamps: Timestamps | None, kinds: Any = None) -> None:
        if self._as_values:
            self.output.emit(RowBatch(data.column(0).to_pylist(), timestamps, kinds))
        else:
            self.output.emit(ColumnarBatch(data, timestamps, kinds))


class BatchMapOperator(BatchFunctionOperator):
    """As many results as records."""

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Map a batch; event time and row kind stay."""
        assert isinstance(batch, ColumnarBatch)
        data = self._results.columns(self._run(batch))
        self._results.check_rows(data.num_rows, len(batch))
        self._emit(data, batch.timestamps, batch.kinds)


class BatchFilterOperator(BatchFunctionOperator):
    """The records for which the function gives true."""

    method = "filter"

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Keep the records that pass, with their event time and row kind."""
        assert isinstance(batch, ColumnarBatch)
        mask = self._results.mask(self._run(batch), len(batch))
        if mask.all():
            self.output.emit(batch)
        elif mask.any():
            times, kinds = batch.timestamps, batch.kinds
            self.output.emit(
                ColumnarBatch(
                    take_batch(batch.data, np.flatnonzero(mask)),
                    None if times is None else times[mask],
                    None if kinds is None else kinds[mask],
                )
            )


class BatchFlatMapOperator(BatchFunctionOperator):
    """Any number of results: a batch, several, or none.

    Results of records with event time come with the index of the record that each is of:
    ``(batch, indices)``.
    """

    method = "flat_map"
    iterates = True

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Emit what the function gives for a batch."""
        assert isinstance(batch, ColumnarBatch)
        self._emit_all(self._run(batch), batch)

    def _emit_all(self, given: Any, batch: ColumnarBatch) -> None:
        if given is None:
            return
        if not _is_one(given):
            with user_errors(self.context.operator_name, function_name(self._function)):
                results = list(self._iterable(given))
            for result in results:
                self._emit_one(result, batch)
            return
        self._emit_one(given, batch)

    def _iterable(self, given: Any) -> Iterable[Any]:
        if isinstance(given, Iterable):
            return given
        self._results.wrong(
            f"returned a {type(given).__name__}", "return a batch, yield batches, or return None"
        )

    def _emit_one(self, result: Any, batch: ColumnarBatch) -> None:
        indices = None
        if type(result) is tuple and len(result) == 2 and _is_index(result[1]):
            result, indices = result[0], np.asarray(result[1], dtype=np.int64)
        data = self._results.columns(result)
        if data.num_rows:
            self._emit(data, self._times(data.num_rows, indices, batch))

    def _times(self, rows: int, indices: Any, batch: ColumnarBatch) -> Timestamps | None:
        if batch.timestamps is None:
            return None
        if indices is None:
            self._results.wrong(
                "returned results without event time for records that have it",
                "return (batch, indices): for each result the index of its record in the batch",
            )
        if len(indices) != rows:
            self._results.wrong(
                f"returned {len(indices)} indices for {rows} results", "return one a result"
            )
        if len(indices) and not 0 <= indices.min() <= indices.max() < len(batch):
            self._results.wrong(
                f"returned indices outside of the batch of {len(batch)} records",
                "count from 0, as the records of the batch",
            )
        times: Timestamps = batch.timestamps[indices]
        return times


class _BatchContext:
    """The ``ctx`` of a process function of batches."""

    __slots__ = ("_operator", "_timestamps")

    def __init__(self, operator: BatchProcessOperator) -> None:
        self._operator = operator
        self._timestamps: Timestamps | None = None

    def timestamps(self) -> Timestamps | None:
        """int64[n] event times (ms) of the batch's records, or None."""
        return self._timestamps

    def timestamp(self) -> int | None:
        """A batch has no single event time.

        Raises:
            KeyedStateUnavailableError: always.
        """
        msg = "a batch has an event time a record, not one"
        raise KeyedStateUnavailableError(msg, remedy="call ctx.timestamps()")

    def current_watermark(self) -> int:
        """Event time of the operator, ms."""
        return self._operator.current_watermark


class BatchProcessOperator(BatchFlatMapOperator):
    """``process_element(batch, ctx)`` yields batches, and ``tag, batch`` for side outputs."""

    method = "process_element"

    def __init__(
        self,
        function: Any,
        form: FunctionForm,
        schema: pa.Schema | None,
        as_values: bool = False,
    ) -> None:
        super().__init__(function, form, schema, as_values)
        self.current_watermark = MIN_TIMESTAMP
        self._ctx = _BatchContext(self)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Run the function over a batch."""
        assert isinstance(batch, ColumnarBatch)
        self._ctx._timestamps = batch.timestamps
        self._emit_all(self._run(batch, self._ctx), batch)

    def _emit_one(self, result: Any, batch: ColumnarBatch) -> None:
        if type(result) is not tuple or not result or type(result[0]) is not OutputTag:
            super()._emit_one(result, batch)
            return
        tag, given = result[0], result[1]
        indices = None
        if type(given) is tuple and len(given) == 2 and _is_index(given[1]):
            given, indices = given[0], np.asarray(given[1], dtype=np.int64)
        plain = Results(self._form, self.context.operator_name, None)
        data = plain.columns(given)
        if data.num_rows:
            times = self._times(data.num_rows, indices, batch)
            self.output.emit_side(tag.tag_id, ColumnarBatch(data, times))

    def process_watermark(self, timestamp: int) -> None:
        """Event time moves on."""
        self.current_watermark = timestamp
        self.output.emit_watermark(timestamp)


def _is_index(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and value.dtype.kind in "iu"
    if isinstance(value, pa.Array):
        return bool(pa.types.is_integer(value.type))
    return False


def _is_one(value: Any) -> bool:
    """Whether a result is one batch, and not several."""
    if type(value) is tuple:
        return True
    library = type(value).__module__.partition(".")[0]
    return library in {"pyarrow", "pandas", "numpy"} or isinstance(value, dict)
