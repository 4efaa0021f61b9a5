"""OVER of rows that only come, ordered by time: each row is given once, with its results.

By event time rows wait until the watermark has passed them and are then taken in order of time;
late rows are dropped and counted. By processing time they are taken as they come. Per step all rows
of all partitions that are due are sorted and computed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels import jit
from lesto.kernels.partition import take_array, take_batch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.columnar.fired import FiredRange, FiredUntil
from lesto.taskmanager.operators.sql.base import SqlOperator
from lesto.taskmanager.operators.sql.over_program import (
    OverProgram,
    OverSpec,
    Results,
    Stretch,
    window_times,
)
from lesto.taskmanager.operators.sql.rank_rows import (
    RESULT_ROWS_MAX,
    Flags,
    Ids,
    KeyedRows,
    Numbered,
    key_hashes,
)
from lesto.taskmanager.operators.sql.sort_order import Words, permutation, sort_words
from lesto.taskmanager.operators.sql.sort_times import TimedIds, WaitingRows

#: Union list state: until when rows have been given, by key group.
FIRED_STATE: Final = "over-fired"
_TIME: Final = "time"
_DONE: Final = "done"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, int, int]).decode


class OverOperator(SqlOperator):
    """Adds a column a call.

    Args:
        settings: of the session.
        spec: the window and its calls.
        time: position of the event time, None for processing time.
        schema: of the results.
        ttl_ms: of idle partitions, 0 for good.
    """

    def __init__(
        self,
        settings: SqlSettings,
        spec: OverSpec,
        time: int | None,
        schema: pa.Schema,
        ttl_ms: int = 0,
    ) -> None:
        super().__init__(settings)
        self._spec = spec
        self._time = time
        self._schema = schema
        self._ttl_ms = ttl_ms

    def open(self) -> None:
        """Compile; find what is kept."""
        super().open()
        jit.warm(("frames",))
        spec, schema = self._spec, self.input_schema()
        self._program = OverProgram(spec)
        self._by_ms = spec.preceding is not None and not spec.rows
        program = self._program
        self._keeps = (
            program.keeps_all or program.keeps_firsts or program.keep_rows > 0 or self._by_ms
        )
        #: Columns that are computed with or sorted by.
        self._read = sorted({*program.columns, *(o.index for o in spec.order)})
        self._rows = KeyedRows(
            self.backend, "over", schema, spec.partition, (_TIME, _DONE), self._ttl_ms
        )
        self._carry = self._carried_rows(schema)
        self._late = self.context.metrics.counter("num_late_records_dropped")
        backend = self.backend
        groups = (backend.key_group_start, backend.key_group_end, backend.max_parallelism)
        restored = [_decode(item) for item in self.context.restored_list(FIRED_STATE)]
        self._fired = FiredUntil(restored, groups)
        table = self._rows.table
        ids = table.live()
        done = table.counter(_DONE)[ids] != 0
        self._waiting, self._kept = WaitingRows(self._rows, _TIME, ids[~done]), TimedIds()
        if self._by_ms:
            self._kept.add(ids[done], table.counter(_TIME)[ids[done]])

    def _carried_rows(self, schema: pa.Schema) -> KeyedRows | None:
        kinds = self._program.carry_types
        if not kinds:
            return None
        keys = [schema.field(i).with_name(f"k{i}") for i in self._spec.partition]
        fields = [*keys, *(pa.field(f"a{i}", kind) for i, kind in enumerate(kinds))]
        return KeyedRows(
            self.backend, "over-carry", pa.schema(fields), range(len(keys)), (), self._ttl_ms
        )

    # ------------------------------------------------------------------ rows and time

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Rows wait for their time, or are taken at once."""
        assert isinstance(batch, ColumnarBatch)
        self._expire()
        data, spec = batch.data, self._spec
        if self._time is None:
            now = np.full(data.num_rows, self.context.clock.now_ms(), np.int64)
            self._take(data, now)
            if self._by_ms:
                self._forget_before(int(now[0]) - (spec.preceding or 0))
            return
        times = self._times(data)
        until: Ids | int = self._fired.done
        if self._fired.apart and spec.partition:  # only behind a restore
            until = self._fired.of(key_hashes([data.column(i) for i in spec.partition]))
        late = times <= np.maximum(until, self.watermark)
        if late.any():
            self._late.inc(int(late.sum()))
            rows = np.flatnonzero(~late)
            data, times = take_batch(data, rows), times[rows]
        self._waiting.add(data, times)

    def _times(self, data: pa.RecordBatch) -> Ids:
        assert self._time is not None
        return window_times(data.column(self._time), self._spec.order[0])

    def process_watermark(self, timestamp: int) -> None:
        """Give the rows whose time has come, then pass the watermark on."""
        if self._time is not None:
            due = self._waiting.due(timestamp)
            if due is not None:
                self._take(*due)
            self._fired.advance(timestamp)
            if self._by_ms:
                self._forget_before(timestamp - (self._spec.preceding or 0) + 1)
        super().process_watermark(timestamp)

    def _forget_before(self, time: int) -> None:
        """No frame reaches back behind a time any more."""
        self._rows.remove(self._kept.due(time - 1))

    def _expire(self) -> None:
        if not self._ttl_ms:
            return
        table = self._rows.table
        if self._carry is not None:
            self._carry.expire(self.context.clock)
        waiting = self._waiting.stored.waiting()
        if len(waiting):
            table.mark(waiting)  # what has yet to be given is not idle
        gone = self._rows.expired(self.context.clock)
        self._kept.forget(gone)

    # ------------------------------------------------------------------ results

    def _take(self, data: pa.RecordBatch, times: Ids) -> None:
        """Compute and give rows, in the order in which they came; keep what later frames need."""
        rows, spec = self._rows, self._spec
        found = rows.numbered([data.column(i) for i in spec.partition], data.num_rows)
        kept, groups = np.zeros(0, np.int64), found.numbers
        if self._keeps:
            numbers, kept = rows.stored(found)
            done = rows.table.counter(_DONE)[kept] != 0
            numbers, kept = numbers[done], kept[done]
            groups = np.concatenate([numbers, groups])
            times = np.concatenate([rows.table.counter(_TIME)[kept], times])
        columns = self._columns(data, kept)
        words = self._words(columns, times)
        order = permutation([groups, *words], len(groups))
        carry, carry_at, carry_ids = self._carried(found)
        stretch = Stretch(
            _gathered(data.schema, columns, order),
            groups[order],
            order >= len(kept),
            [w[order] for w in words],
            times[order],
            carry,
            carry_at,
        )
        results = self._program.compute(stretch, self.evaluation())
        fresh = order[stretch.fresh] - len(kept)
        self._give(data, fresh, results, [w[len(kept) :] for w in words])
        if self._carry is not None:
            self._carry.remove(carry_ids)
            carried = [*found.keys, *results.carry]
            self._carry.add(
                pa.RecordBatch.from_arrays(carried, schema=self._carry.schema),
                found.hashes if spec.partition else None,
            )
        stays = self._stays(order, groups, results)
        self._keep(data, times[len(kept) :], kept, stays, found)

    def _columns(self, data: pa.RecordBatch, kept: Ids) -> dict[int, pa.Array]:
        """The columns that are read, of rows that are kept and then of new ones."""
        found = {i: data.column(i) for i in self._read}
        if len(kept):
            before = self._rows.table.take(kept, self._read)
            for at, i in enumerate(self._read):
                found[i] = pa.concat_arrays([before.column(at), found[i]])
        return found

    def _words(self, columns: dict[int, pa.Array], times: Ids) -> list[Words]:
        """Of the order, such that rows that are not peers differ."""
        spec = self._spec
        if self._time is not None:
            return sort_words([columns[o.index] for o in spec.order], spec.order)
        return [times] if self._by_ms else [np.arange(len(times))]

    def _carried(self, found: Numbered) -> tuple[pa.RecordBatch | None, Ids | None, Ids]:
        if self._carry is None:
            return None, None, np.zeros(0, np.int64)
        numbers, ids = self._carry.stored(found)
        at = np.full(len(found), -1, np.int64)
        at[numbers] = np.arange(len(ids))
        first = len(self._spec.partition)
        columns = list(range(first, first + len(self._program.carry_types)))
        return self._carry.table.take(ids, columns), at, ids

    def _give(
        self, data: pa.RecordBatch, fresh: Ids, results: Results, words: Sequence[Words]
    ) -> None:
        """Rows in order of time, over all partitions."""
        order = permutation([w[fresh] for w in words], len(fresh))
        given = take_batch(data, fresh[order]).columns
        chosen = pa.array(order)
        columns = [*given, *(c.take(chosen) for c in results.columns)]
        whole = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        for at in range(0, len(fresh), RESULT_ROWS_MAX):
            self.emit(whole.slice(at, RESULT_ROWS_MAX))

    def _keep(
        self, data: pa.RecordBatch, times: Ids, kept: Ids, stays: Flags, found: Numbered
    ) -> None:
        """Keep the rows that later frames reach back to, and forget the others."""
        self._rows.remove(kept[~stays[: len(kept)]])
        rows = np.flatnonzero(stays[len(kept) :])
        if not len(rows):
            return
        hashes = found.row_hashes[rows] if self._spec.partition else None
        held = self._rows.add(take_batch(data, rows), hashes)
        table = self._rows.table
        table.counter(_DONE)[held] = 1
        table.counter(_TIME)[held] = times[rows]
        table.mark(held)
        if self._by_ms:
            self._kept.add(held, times[rows])

    def _stays(self, order: Ids, groups: Ids, results: Results) -> Flags:
        """Bool by row as given: what is needed later."""
        program, n = self._program, len(order)
        if program.keeps_all or self._by_ms:
            return np.ones(n, np.bool_)
        stays = np.zeros(n, np.bool_)
        if results.firsts is not None:
            stays[order[results.firsts]] = True
        if program.keep_rows:
            ordered = groups[order]
            ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) + 1
            sizes = np.diff(np.append(0, ends))
            behind = np.repeat(ends, sizes) - np.arange(n)
            stays[order[behind <= program.keep_rows]] = True
        return stays

    # ------------------------------------------------------------------ state

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """The rows, what is carried, and until when rows have been given."""
        self._waiting.store()
        found = super().snapshot(checkpoint_id, canonical)
        ranges: Sequence[FiredRange] = self._fired.ranges()
        found.union_lists[FIRED_STATE] = [_encode(item) for item in ranges]
        return found


def _gathered(schema: pa.Schema, columns: dict[int, pa.Array], order: Ids) -> pa.RecordBatch:
    """Rows in an order; the columns that are not read keep their places, empty."""
    found = [
        take_array(columns[i], order) if i in columns else pa.nulls(len(order), f.type)
        for i, f in enumerate(schema)
    ]
    return pa.RecordBatch.from_arrays(found, schema=schema)
