"""GROUP BY over a stream: folds batches into groups and gives what has changed of their results.

A batch's changes of a group fold into one: an insert, an update (with what was before, where that
is wanted), or a delete; nothing where the results are the same as before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import ColumnarBatch, RowKinds
from lesto.kernels import jit
from lesto.kernels.groups import GROUPS, Touched, admit
from lesto.kernels.partition import take_array
from lesto.sql.settings import SqlSettings
from lesto.state.accumulators import AccumulatorSpec, Slots
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.sql.base import Signs, signs
from lesto.taskmanager.operators.sql.group_gather import GatheringOperator, MiniBatch
from lesto.taskmanager.operators.sql.group_output import Changes
from lesto.taskmanager.operators.sql.group_plan import GroupPlan
from lesto.taskmanager.operators.sql.group_results import GroupResults, Reading, Results
from lesto.taskmanager.operators.sql.group_state import GroupState
from lesto.taskmanager.operators.sql.window_arguments import CallSpec

#: Key of the one group of an aggregation without keys.
_ONE = pa.scalar(0, pa.int8())
#: Groups that the end of a bounded input gives at a time.
_OUTPUT_ROWS = 65_536
_ACCESS = "access_ms"


class GroupAggregateOperator(GatheringOperator):
    """Aggregates of groups.

    Args:
        settings: of the session.
        keys: positions of the keys in the input; with GROUPING SETS the last is the set's number.
        calls: the aggregates.
        schema: of the results: the keys (without the set's number), then the calls.
        retracting: whether input takes rows back.
        before: whether updates are to come with what was before.
        sets: of GROUPING SETS, the numbers of the keys that each groups by.
        ttl_ms: how long an idle group is kept, 0 for good.
        mini_batch: how long rows are gathered; None: not at all.
        partial: whether the input is what :mod:`.group_local` has made of rows.
    """

    def __init__(
        self,
        settings: SqlSettings,
        keys: Sequence[int],
        calls: Sequence[CallSpec],
        schema: pa.Schema,
        retracting: bool = False,
        before: bool = True,
        sets: Sequence[Sequence[int]] = (),
        ttl_ms: int = 0,
        mini_batch: MiniBatch | None = None,
        partial: bool = False,
    ) -> None:
        super().__init__(settings)
        self._partial = partial
        self._mini_batch = mini_batch
        self._keys = tuple(keys)
        self._calls = tuple(calls)
        self._schema = schema
        self._retracting = retracting
        self._before = before
        self._sets = tuple(tuple(s) for s in sets)
        self._ttl_ms = 0 if settings.batch else ttl_ms

    def open(self) -> None:
        """Compile, load the kernels, get the state."""
        super().open()
        jit.warm((*GROUPS, "rows"))
        self._plan = GroupPlan(
            self._calls,
            grouped=bool(self._keys),
            retracting=self._retracting,
            sets=self._sets,
            removing=self._ttl_ms > 0,
        )
        types = [self.input_schema().field(i).type for i in self._keys] or [_ONE.type]
        extra = (AccumulatorSpec(_ACCESS, "count"),) if self._ttl_ms else ()
        self._state = GroupState(self._plan, types, self.backend, extra)
        self._results = GroupResults(self._plan, self._state)
        self._touched = Touched()
        if self._ttl_ms:
            self._wait()

    # ------------------------------------------------------------------ rows

    def process_watermark(self, timestamp: int) -> None:
        """What has come before is given before."""
        self._flush()
        super().process_watermark(timestamp)

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """What has come before the barrier is given before it."""
        self._flush()

    def _take(self, batch: ColumnarBatch) -> None:
        data = batch.data
        if not data.num_rows:
            return
        keys = self._key_columns(data)
        table = self._state.table
        hashes = table.hashes(keys)
        if self._ttl_ms:
            self._expire(table.lookup(keys, hashes))
        slots, new_rows = table.upsert(keys, None, hashes)
        first = self._touched.first_rows(slots, table.slot_bound)
        touched = slots[first]
        signed = None
        if self._retracting and not self._partial:
            signed = signs(batch.kinds, data.num_rows)
        self._state.start(slots[new_rows])
        if self.settings.batch:
            self._fold(data, slots, signed)
            self._remove_empty(touched)
            return
        existed = self._existed(touched, first, new_rows, data.num_rows)
        before = self._results.read(touched)
        self._fold(data, slots, signed)
        if self._ttl_ms:
            table.accumulator(_ACCESS).values[touched] = self.context.clock.now_ms()
        exists = self._exists(touched)
        self._give(data, first, touched, before, existed, exists)
        if not exists.all():
            self._state.forget(touched[~exists])

    def _key_columns(self, data: pa.RecordBatch) -> list[pa.Array]:
        if not self._keys:
            return [pa.repeat(_ONE, data.num_rows)]
        return [data.column(i) for i in self._keys]

    def _fold(self, data: pa.RecordBatch, slots: Slots, signed: Signs | None) -> None:
        table = self._state.table
        if self._partial:
            self._state.merge(data, slots, len(self._keys))
            return
        if signed is not None:
            slots = slots.copy()
            counts = self._state.counts
            skipped = admit(slots, signed, counts.values, counts.width, table.dirty)
            if skipped:
                self.context.metrics.counter("retractions_ignored").inc(skipped)
        self._state.update(data, slots, signed, self.evaluation())

    def _existed(
        self, touched: Slots, first: Slots, new_rows: Slots, rows: int
    ) -> npt.NDArray[np.bool_]:
        if self._retracting and self._keys:
            return np.asarray(self._state.counts.of_rows(touched) > 0)
        new = np.zeros(rows, np.bool_)
        new[new_rows] = True
        return ~new[first]

    def _exists(self, touched: Slots) -> npt.NDArray[np.bool_]:
        # The one group of all rows has results without any.
        if not self._retracting or not self._keys:
            return np.ones(len(touched), np.bool_)
        return np.asarray(self._state.counts.of_rows(touched) > 0)

    def _remove_empty(self, touched: Slots) -> None:
        exists = self._exists(touched)
        if not exists.all():
            self._state.forget(touched[~exists])

    # ------------------------------------------------------------------ results

    def _give(
        self,
        data: pa.RecordBatch,
        first: Slots,
        touched: Slots,
        before: Reading,
        existed: npt.NDArray[np.bool_],
        exists: npt.NDArray[np.bool_],
    ) -> None:
        """Give the changes of groups: ``touched`` are their slots, ``first`` rows of theirs."""
        t = len(touched)
        reading = before + self._results.read(touched)
        results = self._results.compute(reading, self.evaluation())
        # Operators behind keep state as long as it is written: they are told of what is alive.
        changed = np.ones(t, np.bool_) if self._ttl_ms else self._results.changed(results, t)
        changes = Changes(existed, exists, changed, before=self._before)
        if not len(changes):
            return
        rows = first[changes.groups]
        keys = [take_array(data.column(i), rows) for i in self._keys]
        self._emit(keys, results, changes.rows, changes.row_kinds())

    def _emit(
        self, keys: list[pa.Array], results: Results, rows: Slots | None, kinds: RowKinds | None
    ) -> None:
        n = len(results.counts) if rows is None else len(rows)
        sets = np.asarray(keys.pop()) if self._sets else None
        columns = [*keys, *self._results.columns(results, rows, sets, n)]
        if not columns:
            columns = [pa.repeat(_ONE, n)]
        self.emit(pa.RecordBatch.from_arrays(columns, schema=self._schema), kinds)

    def end_input(self, input_index: int = 0) -> None:
        """Of a bounded input the groups are given now, as inserts."""
        self._flush()
        if not self.settings.batch:
            return
        table = self._state.table
        if not self._keys and not len(table):
            new, _ = table.upsert([pa.repeat(_ONE, 1)])
            self._state.start(new)
        slots = table.live_slots()
        for start in range(0, len(slots), _OUTPUT_ROWS):
            part = slots[start : start + _OUTPUT_ROWS]
            keys = table.keys(part) if self._keys else []
            results = self._results.compute(self._results.read(part), self.evaluation())
            self._emit(keys, results, None, None)

    # ------------------------------------------------------------------ state

    def _expire(self, slots: Slots) -> None:
        """Forget groups of a batch that have been idle for too long."""
        there = np.unique(slots[slots >= 0])
        self._forget_idle(there)

    def _forget_idle(self, slots: Slots) -> None:
        access = self._state.table.accumulator(_ACCESS).values[slots]
        idle = slots[access + self._ttl_ms <= self.context.clock.now_ms()]
        if len(idle):
            self._state.forget(idle)

    def _wait(self) -> None:
        """Look for idle groups when as much time has passed as a group may be idle."""

        def turn(_timestamp: int) -> None:
            self._forget_idle(self._state.table.live_slots())
            self._wait()

        self.context.register_processing_timer(self.context.clock.now_ms() + self._ttl_ms, turn)

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """State at the barrier."""
        self._state.flush()
        return super().snapshot(checkpoint_id, canonical)
