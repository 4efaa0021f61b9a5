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

from lesto.common.elements import MIN_TIMESTAMP, Batch, ColumnarBatch
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

    Subclasses say how many rows make a piece, join one, and what the advance of event time and the
    end bring.

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
        self._advancing: Iterator[None] | None = None
        self._until = MIN_TIMESTAMP
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

    def advance(self, watermark: int) -> Iterator[None]:
        """What the advance of event time brings, in steps; state is consistent at each."""
        return iter(())

    def advanced(self, watermark: int) -> None:
        """All of that is given: passes the watermark on."""
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
        if self._advancing is None:
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
        if self._advancing is not None:
            return self._advance()
        if self._work():
            return True
        if self._watermark_held is not None:
            held, self._watermark_held = self._watermark_held, None
            self._begin(held)
            return True
        if self._idle_held is not None:
            idle, self._idle_held = self._idle_held, None
            self.output.emit_status(idle)
            return True
        if self._finale is None:
            return False
        if self._stepped(self._finale):
            self._finale = None
        return True

    def _stepped(self, steps: Iterator[None]) -> bool:
        """Do some of the steps; whether those were the last."""
        clock = self.context.clock
        began = clock.monotonic_ms()
        return all(clock.monotonic_ms() - began < STEP_MS for _ in steps)

    def _begin(self, watermark: int) -> None:
        self._advancing, self._until = self.advance(watermark), watermark
        self._advance()

    def _advance(self) -> bool:
        steps = self._advancing
        assert steps is not None, "event time is advancing"
        if self._stepped(steps):
            self._advancing = None
            self.advanced(self._until)
        return True

    @property
    def busy(self) -> bool:
        """Whether there is something to do before anything else may come."""
        held = self._watermark_held is not None or self._idle_held is not None
        return held or bool(self._rest) or self._advancing is not None

    def room(self) -> int:
        """None while there is something to do."""
        return _NO_ROOM if self.busy else _ROOM

    def in_flight(self) -> bool:
        """Whether there is something to do, or the end is not over."""
        return self.busy or self._finale is not None

    # control -------------------------------------------------------------------------------------

    def process_watermark(self, timestamp: int) -> None:
        """Behind the rows that came before it."""
        if self.busy:
            self._watermark_held = timestamp
        else:
            self._begin(timestamp)

    def process_status(self, idle: bool) -> None:
        """Behind the rows that came before it."""
        if self.busy:
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
        written: bytes = sink.getvalue().to_pybytes()
        return bytes([rows.index]) + written

    def _decoded(self, encoded: bytes) -> Arrivals:
        index = encoded[0]
        batch = pa.ipc.open_stream(pa.py_buffer(encoded[1:])).read_next_batch()
        schema = self.input_schema(index)
        data = pa.RecordBatch.from_arrays(batch.columns[1:], schema=schema)
        kinds = batch.column(0).to_numpy()
        return arrivals(data, kinds if kinds.any() else None, index, self.keys[index])
