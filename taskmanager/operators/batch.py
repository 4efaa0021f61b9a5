"""BATCH mode: of a keyed reduction only each key's last result leaves, at the end of the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import (
    MAX_TIMESTAMP,
    NO_TIMESTAMP,
    Batch,
    ColumnarBatch,
    LatencyMarker,
    RowBatch,
)
from lesto.common.errors import Domain, LestoError
from lesto.common.keys import KeySpec
from lesto.taskmanager.operators.base import (
    Operator,
    OperatorContext,
    OperatorFactory,
    OperatorSnapshot,
    Output,
)
from lesto.taskmanager.operators.field_access import key_function
from lesto.taskmanager.operators.results import RESULT_ROWS_MAX

#: Rows that wait to be reduced to the last of each key.
PENDING_ROWS_MAX: Final = 1 << 16
_POSITION: Final = "__lesto_position"
_TIME: Final = "__lesto_time"


class BatchSavepointError(LestoError):
    """A savepoint of a job in BATCH mode before its end."""

    code = "LESTO-6011"
    domain = Domain.USER
    retryable = False


@dataclass(frozen=True, slots=True)
class LastOfKeysFactory:
    """Wraps the factory of a keyed reduction."""

    inner: OperatorFactory
    key: KeySpec

    def create(self) -> Operator:
        """A new operator."""
        return LastOfKeysOperator(self.inner.create(), self.key)


class _Captured:
    """The output of the operator inside: results are kept."""

    def __init__(self, output: Output, take: Callable[[Batch], None]) -> None:
        self.emit = take
        self.emit_side = output.emit_side
        self.emit_status = output.emit_status

    def emit_watermark(self, timestamp: int) -> None:
        """The operator outside passes it on."""

    def emit_latency_marker(self, marker: LatencyMarker) -> None:
        """The operator outside passes it on."""


class LastOfKeysOperator(Operator):
    """Runs a reduction that gives one result for each record, and emits the last of each key.

    Args:
        inner: the reduction.
        key: how records are keyed.
    """

    def __init__(self, inner: Operator, key: KeySpec) -> None:
        self._inner = inner
        self.input_form = inner.input_form
        self._key = key
        self._keys_of = key_function(key)
        self._keys: Sequence[Any] = ()
        self._rows: dict[Any, tuple[Any, int]] = {}
        self._tables: list[pa.Table] = []
        self._pending = 0
        self._settled = 0
        self._ended = False

    def setup(self, context: OperatorContext, output: Output) -> None:
        """Keep what the operator inside emits."""
        super().setup(context, output)
        self._inner.setup(context, _Captured(output, self._take))

    def functions(self) -> Sequence[Any]:
        """Those of the operator inside."""
        return self._inner.functions()

    def open(self) -> None:
        """Open the operator inside."""
        self._inner.open()

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Reduce; keep the results."""
        if isinstance(batch, RowBatch):
            self._keys = self._keys_of(batch.values)
        self._inner.process_batch(batch, input_index)

    def _take(self, batch: Batch) -> None:
        if isinstance(batch, ColumnarBatch):
            self._take_columns(batch)
            return
        n = len(batch.values)
        times = [NO_TIMESTAMP] * n if batch.timestamps is None else batch.timestamps.tolist()
        keys = self._keys
        if len(keys) != n:
            msg = f"a reduction gave {n} results for {len(keys)} records"
            raise LestoError(msg)
        self._rows.update(zip(keys, zip(batch.values, times, strict=True), strict=True))

    def _take_columns(self, batch: ColumnarBatch) -> None:
        times = batch.timestamps
        if times is None:
            times = np.full(len(batch), NO_TIMESTAMP, np.int64)
        table = pa.Table.from_batches([batch.data])
        self._tables.append(table.append_column(_TIME, pa.array(times)))
        self._pending += len(batch)
        if self._pending > max(PENDING_ROWS_MAX, 2 * self._settled):
            self._settle()

    def _settle(self) -> None:
        """Only the last row of each key stays."""
        table = pa.concat_tables(self._tables)
        positions = pa.array(np.arange(table.num_rows, dtype=np.int64))
        names = list(self._key.columns)
        keyed = table.select(names).append_column(_POSITION, positions)
        last = keyed.group_by(names).aggregate([(_POSITION, "max")])[f"{_POSITION}_max"]
        table = table.take(last.combine_chunks().sort()).combine_chunks()
        self._tables = [table]
        self._pending = 0
        self._settled = table.num_rows

    def process_watermark(self, timestamp: int) -> None:
        """At the end of event time, emit before it is passed on."""
        self._inner.process_watermark(timestamp)
        if timestamp == MAX_TIMESTAMP and not self._ended:
            self._ended = True
            self._emit()
        self.output.emit_watermark(timestamp)

    def _emit(self) -> None:
        kept, self._rows = list(self._rows.values()), {}
        for start in range(0, len(kept), RESULT_ROWS_MAX):
            part = kept[start : start + RESULT_ROWS_MAX]
            times = np.array([time for _, time in part], dtype=np.int64)
            timed = None if (times == NO_TIMESTAMP).all() else times
            self.output.emit(RowBatch([value for value, _ in part], timed))
        if self._tables:
            self._settle()
            for data in self._tables[0].to_batches(max_chunksize=RESULT_ROWS_MAX):
                times = data.column(_TIME).to_numpy()
                timed = None if (times == NO_TIMESTAMP).all() else times
                self.output.emit(ColumnarBatch(data.drop_columns([_TIME]), timed))
            self._tables = []

    def end_input(self, input_index: int = 0) -> None:
        """Tell the operator inside."""
        self._inner.end_input(input_index)

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Only of the end, when everything has been emitted.

        Raises:
            BatchSavepointError: results are still kept here.
        """
        if self._rows or self._tables:
            msg = f"'{self.context.operator_name}' runs in BATCH mode, which has no savepoints"
            raise BatchSavepointError(
                msg, remedy="let the job end, or run it with RuntimeExecutionMode.STREAMING"
            )
        return self._inner.snapshot(checkpoint_id, canonical)

    def notify_checkpoint_complete(self, checkpoint_id: int) -> None:
        """Tell the operator inside."""
        self._inner.notify_checkpoint_complete(checkpoint_id)

    def close(self) -> None:
        """Close the operator inside."""
        self._inner.close()
