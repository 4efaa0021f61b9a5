"""Joins in steps: rows that meet very many others must not hold up the slot, nor fill its memory.

A batch is joined piece by piece. What is left when a step's time is over waits here; the task polls
for it and takes no input meanwhile. Watermarks wait behind it. What waits is in the checkpoint.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels import keygroups
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.sql.base import SqlOperator
from lesto.taskmanager.operators.sql.join_sides import Arrivals, arrivals
from lesto.taskmanager.operators.window_firing import STEP_MS

#: List state: rows that have come and are not joined yet.
REST_STATE: Final = "rows-to-join"
#: Pairs of rows that are looked at together, unless one row alone has more.
PAIRS_MAX: Final = 262_144
#: Rows of a result batch at most.
RESULT_ROWS_MAX: Final = 65_536
_NO_ROOM: Final = 0
_ROOM: Final = 1 << 40


class SteppedOperator(SqlOperator):
    """Base of joins that work in steps.

    Subclasses say how many rows make a piece, join one, and what is left to do at the end.

    Args:
        settings: of the session.
        keys: key columns of each input; both have as many.
    """

    concurrent = True

    def __init__(self, settings: SqlSettings, keys: tuple[tuple[int, ...], ...]) -> None:
        super().__init__(settings)
        self.keys = keys
        self._rest: deque[Arrivals] = deque()
        self._ended: set[int] = set()
        self._finale: Iterator[None] | None = None
        self._watermark_held: int | None = None
        self._idle_held: bool | None = None

    # what subclasses do --------------------------------------------------------------------------

    def piece(self, rows: Arrivals) -> int:
        """How many of the first rows are joined together, at least one."""
        raise NotImplementedError

    def join(self, rows: Arrivals) -> None:
        """Join a piece, and keep its rows."""
        raise NotImplementedError

    def finale(self) -> Iterator[None]:
        """What is given when all inputs have ended, in steps; state is consistent at each."""
        return iter(())

    def time_passed(self, watermark: int) -> None:
        """Event time has advanced and all rows before are joined; passes the watermark on."""
        super().process_watermark(watermark)

    # steps ---------------------------------------------------------------------------------------

    def restore_rest(self) -> None:
        """Take over what waited; call it in ``open``, when tables are there."""
        for encoded in self.context.restored_list(REST_STATE):
            rows = self._decoded(encoded)
            if rows.hashes is not None:
                own = self.backend
                groups = keygroups.key_groups(rows.hashes, own.max_parallelism)
                inside = (groups >= own.key_group_start) & (groups <= own.key_group_end)
                rows = rows.take(np.flatnonzero(inside))
            if len(rows):
                self._rest.append(rows)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Join the rows with those that are there, and keep them."""
        assert isinstance(batch, ColumnarBatch)
        self._rest.append(arrivals(batch.data, batch.kinds, input_index, self.keys[input_index]))
        self._work()

    def _work(self) -> bool:
        """A step; whether there was anything to do."""
        rest = self._rest
        if not rest:
            return False
        clock = self.context.clock
        began = clock.monotonic_ms()
        while rest:
            rows = rest[0]
            taken = self._cut(rows, self.piece(rows))
            if taken >= len(rows):
                rest.popleft()
                self.join(rows)
            else:
                rest[0] = rows.part(taken, len(rows))
                self.join(rows.part(0, taken))
            if clock.monotonic_ms() - began >= STEP_MS:
                break
        return True

    @staticmethod
    def _cut(rows: Arrivals, at: int) -> int:
        """Not between what was before an update and what is after, where that can be."""
        kinds = rows.kinds
        if kinds is None or at <= 1 or at >= len(rows):
            return at
        return at - 1 if kinds[at - 1] == 1 and kinds[at] == 2 else at

    def poll(self) -> bool:
        """A step, or what was held back behind the last."""
        worked = self._work()
        if self._rest:
            return worked
        if self._watermark_held is not None:
            held, self._watermark_held = self._watermark_held, None
            self.time_passed(held)
            worked = True
        if self._idle_held is not None:
            idle, self._idle_held = self._idle_held, None
            self.output.emit_status(idle)
        if self._finale is not None:
            clock = self.context.clock
            began = clock.monotonic_ms()
            for _ in self._finale:
                if clock.monotonic_ms() - began >= STEP_MS:
                    return True
            self._finale = None
            worked = True
        return worked

    def room(self) -> int:
        """None while rows wait."""
        return _NO_ROOM if self._rest else _ROOM

    def in_flight(self) -> bool:
        """Whether rows wait, or the end is not over."""
        return bool(self._rest) or self._finale is not None or self._watermark_held is not None

    # control -------------------------------------------------------------------------------------

    def process_watermark(self, timestamp: int) -> None:
        """Behind the rows that came before it."""
        if self._rest:
            self._watermark_held = timestamp
        else:
            self.time_passed(timestamp)

    def process_status(self, idle: bool) -> None:
        """Behind the rows that came before it."""
        if self._rest or self._watermark_held is not None:
            self._idle_held = idle
        else:
            self.output.emit_status(idle)

    def end_input(self, input_index: int = 0) -> None:
        """When all have ended, give what is left."""
        self._ended.add(input_index)
        if len(self._ended) == len(self.keys):
            self._finale = self.finale()

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Keyed state, and what waits."""
        taken = super().snapshot(checkpoint_id, canonical)
        if self._rest:
            taken.union_lists[REST_STATE] = [self._encoded(rows) for rows in self._rest]
        return taken

    @staticmethod
    def _encoded(rows: Arrivals) -> bytes:
        kinds = np.zeros(len(rows), np.int8) if rows.kinds is None else rows.kinds
        columns = [pa.array(kinds), *rows.data.columns]
        names = [str(i) for i in range(len(columns))]
        batch = pa.RecordBatch.from_arrays(columns, names)
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        return bytes([rows.index]) + sink.getvalue().to_pybytes()

    def _decoded(self, encoded: bytes) -> Arrivals:
        index = encoded[0]
        batch = pa.ipc.open_stream(pa.py_buffer(encoded[1:])).read_next_batch()
        schema = self.input_schema(index)
        data = pa.RecordBatch.from_arrays(batch.columns[1:], schema=schema)
        kinds = batch.column(0).to_numpy()
        return arrivals(data, kinds if kinds.any() else None, index, self.keys[index])
