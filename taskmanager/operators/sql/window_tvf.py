"""TUMBLE, HOP and CUMULATE alone: rows with their windows, without state."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch, Timestamps
from lesto.kernels import jit, windows
from lesto.kernels.partition import take_array, take_batch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator
from lesto.taskmanager.operators.sql.window_shapes import WindowSpec
from lesto.taskmanager.operators.sql.window_time import LocalTime, is_zoned, timestamps

#: Rows with NULL in the time column, which are in no window.
NULL_TIMES = "num_null_row_time_records_dropped"


class WindowTvfOperator(SqlOperator):
    """Adds window_start, window_end, window_time; a row comes once for each of its windows.

    A row without event time is dropped and counted. Late rows pass: who waits for the windows to
    end drops them.

    Args:
        settings: of the session.
        window: TUMBLE, HOP or CUMULATE.
        schema: of the results.
        zoned: whether windows are those of instants, in the session's zone.
    """

    def __init__(
        self, settings: SqlSettings, window: WindowSpec, schema: pa.Schema, zoned: bool
    ) -> None:
        super().__init__(settings)
        self._window = window
        self._schema = schema
        self._local = LocalTime(settings.time_zone if zoned else None)

    def open(self) -> None:
        """Load the kernels."""
        super().open()
        jit.warm(("windowing", "rows"))
        self._null_times = self.context.metrics.counter(NULL_TIMES)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Give the rows with their windows."""
        assert isinstance(batch, ColumnarBatch)
        data, kinds = batch.data, batch.kinds
        if self._window.event_time:
            column = data.column(self._window.time)
            if column.null_count:
                there = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
                self._null_times.inc(len(column) - len(there))
                data = take_batch(data, there)
                kinds = None if kinds is None else kinds[there]
                column = take_array(column, there)
            times = self._local.of(column)
        else:
            now = self._local.at(self.context.clock.now_ms())
            times = np.full(data.num_rows, now, np.int64)
        rows, starts, ends = assigned(self._window, times)
        if rows is not None:
            data = take_batch(data, rows)
            kinds = None if kinds is None else kinds[rows]
        self.emit(self._with_windows(data, starts, ends), kinds)

    def _with_windows(
        self, data: pa.RecordBatch, starts: Timestamps, ends: Timestamps
    ) -> pa.RecordBatch:
        columns = window_columns(
            self._schema, starts, ends, self._local, self.context.clock.now_ms(),
            event_time=self._window.event_time,
        )  # fmt: skip
        return pa.RecordBatch.from_arrays([*data.columns, *columns], schema=self._schema)


def window_columns(
    schema: pa.Schema,
    starts: Timestamps,
    ends: Timestamps,
    local: LocalTime,
    now_ms: int,
    *,
    event_time: bool,
) -> list[pa.Array]:
    """Columns window_start, window_end, window_time, the last of ``schema``."""
    first, second, third = (field.type for field in list(schema)[-3:])
    if event_time:
        last = ends - 1
        time = local.instants(last) if is_zoned(third) else last
    else:
        time = np.full(len(ends), now_ms, np.int64)
    return [timestamps(starts, first), timestamps(ends, second), timestamps(time, third)]


def assigned(
    window: WindowSpec, times: Timestamps
) -> tuple[np.ndarray | None, Timestamps, Timestamps]:
    """The windows of rows.

    Returns:
        Row numbers, ascending (None: each row once), starts and ends.
    """
    size, slide, offset = window.size_ms, window.slide_ms, window.offset_ms
    if window.kind == "HOP" and slide != size:
        rows, starts = windows.hop(times, size, slide, offset)
        return rows, starts, starts + size
    starts = windows.tumble(times, size, offset)
    if window.kind != "CUMULATE" or slide == size:
        return None, starts, starts + size
    step = (times - starts) // slide
    counts = size // slide - step
    rows = np.repeat(np.arange(len(times)), counts)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = starts[rows]
    return rows, starts, starts + (step[rows] + 1 + within) * slide
