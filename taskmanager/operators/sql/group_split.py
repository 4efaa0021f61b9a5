"""DISTINCT against skew: the values of a group are spread over buckets before they are counted.

Rows are sent by group and bucket of their distinct arguments, so that a large group's values lie in
many subtasks. Of each batch these give what it changes, as the first of two phases does, and the
second phase adds that up. Where calls have several kinds of arguments, a row is sent once for each.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels import hashing, jit
from lesto.kernels.groups import GROUPS, Touched, count_masks
from lesto.kernels.partition import take_array
from lesto.sql.evaluator import compile_expressions
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator, signs
from lesto.taskmanager.operators.sql.group_counts import block_columns
from lesto.taskmanager.operators.sql.group_gather import GatheringOperator, MiniBatch
from lesto.taskmanager.operators.sql.group_local import accumulator_fields
from lesto.taskmanager.operators.sql.group_plan import GroupPlan
from lesto.taskmanager.operators.sql.group_state import GroupState
from lesto.taskmanager.operators.sql.group_values import encoded, is_encoded, read
from lesto.taskmanager.operators.sql.window_arguments import CallSpec

_FIRST = np.zeros(1, np.int64)


def split_schema(
    keys: Sequence[pa.DataType], calls: Sequence[CallSpec], *, retracting: bool
) -> pa.Schema | None:
    """Columns of what the buckets give; None if the calls cannot be split, or need not be."""
    plan = GroupPlan(calls, grouped=bool(keys), retracting=retracting)
    whole = plan.collections or plan.users or any(f.extreme is not None for f in plan.folds)
    if whole or not plan.sets:
        return None
    fields = [pa.field(f"key{i}", kind) for i, kind in enumerate(keys)]
    return pa.schema([*fields, *accumulator_fields(plan)])


class BucketOperator(SqlOperator):
    """Gives the input's columns, a bucket and the number of the arguments; a batch for each.

    Args:
        settings: of the session.
        calls: the aggregates.
        buckets: their number.
        schema: of what it gives.
        grouped: whether there are keys.
        retracting: whether input takes rows back.
    """

    def __init__(
        self,
        settings: SqlSettings,
        calls: Sequence[CallSpec],
        buckets: int,
        schema: pa.Schema,
        grouped: bool,
        retracting: bool,
    ) -> None:
        super().__init__(settings)
        self._calls = tuple(calls)
        self._buckets = buckets
        self._schema = schema
        self._grouped = grouped
        self._retracting = retracting

    def open(self) -> None:
        """Compile the arguments."""
        super().open()
        plan = GroupPlan(self._calls, grouped=self._grouped, retracting=self._retracting)
        self._programs = [
            compile_expressions([plan.inputs[i] for i in values.inputs]) for values in plan.sets
        ]

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Give the batch for each kind of arguments; columns are not copied."""
        assert isinstance(batch, ColumnarBatch)
        data = batch.data
        for number, program in enumerate(self._programs):
            columns = [
                encoded(c) if is_encoded(c.type) else c
                for c in program.evaluate(data, self.evaluation())
            ]
            hashes = hashing.hash_columns(columns)
            buckets = pa.array((hashes % np.uint64(self._buckets)).astype(np.int32))
            which = pa.repeat(pa.scalar(number, pa.int32()), data.num_rows)
            self.emit(
                pa.RecordBatch.from_arrays([*data.columns, buckets, which], schema=self._schema),
                batch.kinds,
            )


class SplitDistinctOperator(GatheringOperator):
    """Keeps the distinct values of buckets and gives what each batch changes.

    Args:
        settings: of the session.
        keys: positions of the keys in the input; the last two are bucket and kind of arguments.
        calls: the aggregates.
        schema: of what it gives, see :func:`split_schema`.
        grouped: whether there are keys beside bucket and kind.
        retracting: whether input takes rows back.
        mini_batch: how long rows are gathered; None: not at all.
    """

    def __init__(
        self,
        settings: SqlSettings,
        keys: Sequence[int],
        calls: Sequence[CallSpec],
        schema: pa.Schema,
        grouped: bool,
        retracting: bool,
        mini_batch: MiniBatch | None = None,
    ) -> None:
        super().__init__(settings)
        self._keys = tuple(keys)
        self._calls = tuple(calls)
        self._schema = schema
        self._grouped = grouped
        self._retracting = retracting
        self._mini_batch = mini_batch

    def open(self) -> None:
        """Compile, load the kernels, get the state."""
        super().open()
        jit.warm((*GROUPS, "rows"))
        self._plan = GroupPlan(self._calls, grouped=self._grouped, retracting=self._retracting)
        types = [self.input_schema().field(i).type for i in self._keys]
        self._state = GroupState(self._plan, types, self.backend)
        self._touched = Touched()

    def _take(self, batch: ColumnarBatch) -> None:
        data = batch.data
        rows = data.num_rows
        if not rows:
            return
        state, table = self._state, self._state.table
        slots, new_rows = table.upsert([data.column(i) for i in self._keys])
        first = self._touched.first_rows(slots, table.slot_bound)
        touched = slots[first]
        which = np.asarray(data.column(self._keys[-1]))
        signed = signs(batch.kinds, rows) if self._retracting else None
        counts = state.counts
        if signed is not None:
            once = np.where(which == 0, slots, -1)
            count_masks(once, None, 1, _FIRST, signed, counts.values, counts.width, table.dirty)
        state.update(data, slots, signed, self.evaluation(), which)
        self._give(data, first, touched, np.isin(first, new_rows))
        for name in [spec.name for spec in self._plan.table_accumulators()]:
            table.accumulator(name).reset(touched)
        if signed is not None:
            self._forget_empty(touched, which[first])

    def _give(
        self, data: pa.RecordBatch, first: np.ndarray, touched: np.ndarray, new: np.ndarray
    ) -> None:
        """What changed: of new groups everything, else what is not nothing."""
        table, block = self._state.table, self._state.counts.read(touched)
        shown = new | (block != 0).any(axis=1)
        for spec in self._plan.accumulators:
            shown |= table.accumulator(spec.name).seen[touched] != 0
        if not shown.any():
            return
        kept = touched[shown]
        columns = [take_array(data.column(i), first[shown]) for i in self._keys[:-2]]
        columns += block_columns(block[shown], range(block.shape[1]))
        columns += [
            read(table.accumulator(spec.name), kept, kind.to_arrow())
            for spec, kind in zip(self._plan.accumulators, self._plan.types, strict=True)
        ]
        self.emit(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def _forget_empty(self, touched: np.ndarray, which: np.ndarray) -> None:
        """Buckets without a value go."""
        for number, values in enumerate(self._state.values):
            mine = touched[which == number]
            empty = mine[values.table.childless(mine)]
            if len(empty):
                self._state.forget(empty)

    def process_watermark(self, timestamp: int) -> None:
        """What has come before is given before."""
        self._flush()
        super().process_watermark(timestamp)

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """What has come before the barrier is given before it."""
        self._flush()

    def end_input(self, input_index: int = 0) -> None:
        """Give what waits."""
        self._flush()
