"""The first of two phases: the rows of a batch are folded by group before they are exchanged.

It gives a row a group: the keys, the counts, the accumulators; the second phase folds those on. It
keeps nothing from batch to batch, so that it has no state. Values that must be known of all rows
(DISTINCT, MIN and MAX with retractions, collected values, users' accumulators) cannot be had so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from lesto.common.elements import ColumnarBatch
from lesto.kernels import jit
from lesto.kernels.groups import GROUPS, count_masks
from lesto.kernels.partition import take_array
from lesto.sql.settings import SqlSettings
from lesto.state.table import StateTable, TableDescriptor
from lesto.taskmanager.operators.sql.base import signs
from lesto.taskmanager.operators.sql.group_counts import block_columns
from lesto.taskmanager.operators.sql.group_gather import GatheringOperator, MiniBatch
from lesto.taskmanager.operators.sql.group_plan import GroupPlan
from lesto.taskmanager.operators.sql.group_state import GroupState
from lesto.taskmanager.operators.sql.group_values import read
from lesto.taskmanager.operators.sql.window_arguments import CallSpec

_ONE = pa.scalar(0, pa.int8())
_FIRST = np.zeros(1, np.int64)


def partial_schema(
    keys: Sequence[pa.DataType], calls: Sequence[CallSpec], *, retracting: bool
) -> pa.Schema | None:
    """Columns of the first phase's rows; None if there can be none."""
    plan = GroupPlan(calls, grouped=bool(keys), retracting=retracting)
    if plan.sets or plan.collections or plan.users or not (plan.counts or plan.accumulators):
        return None
    fields = [pa.field(f"key{i}", kind) for i, kind in enumerate(keys)]
    return pa.schema([*fields, *accumulator_fields(plan)])


def accumulator_fields(plan: GroupPlan) -> list[pa.Field]:
    """The columns behind the keys: counts, then accumulators."""
    fields = [pa.field(f"count{i}", pa.int64()) for i in range(len(plan.counts))]
    return fields + [pa.field(f"acc{i}", kind.to_arrow()) for i, kind in enumerate(plan.types)]


class _InMemory:
    """Gives tables that nobody stores."""

    def table(self, descriptor: TableDescriptor) -> StateTable:
        """An empty table."""
        return StateTable(descriptor, max_parallelism=1)


class LocalAggregateOperator(GatheringOperator):
    """Folds each batch by group.

    Args:
        settings: of the session.
        keys: positions of the keys in the input.
        calls: the aggregates.
        schema: of what it gives, see :func:`partial_schema`.
        retracting: whether input takes rows back.
        mini_batch: how long rows are gathered; None: not at all.
    """

    def __init__(
        self,
        settings: SqlSettings,
        keys: Sequence[int],
        calls: Sequence[CallSpec],
        schema: pa.Schema,
        retracting: bool,
        mini_batch: MiniBatch | None = None,
    ) -> None:
        super().__init__(settings)
        self._keys = tuple(keys)
        self._calls = tuple(calls)
        self._schema = schema
        self._retracting = retracting
        self._mini_batch = mini_batch

    def open(self) -> None:
        """Compile, load the kernels."""
        super().open()
        jit.warm((*GROUPS, "rows"))
        self._plan = GroupPlan(self._calls, grouped=bool(self._keys), retracting=self._retracting)
        types = [self.input_schema().field(i).type for i in self._keys] or [_ONE.type]
        self._state = GroupState(self._plan, types, _InMemory())  # type: ignore[arg-type]

    def _take(self, batch: ColumnarBatch) -> None:
        data = batch.data
        rows = data.num_rows
        if not rows:
            return
        state, table = self._state, self._state.table
        keys = [data.column(i) for i in self._keys] or [pa.repeat(_ONE, rows)]
        slots, first = table.upsert(keys)
        signed = signs(batch.kinds, rows) if self._retracting else None
        if signed is not None:
            counts = state.counts
            count_masks(slots, None, 1, _FIRST, signed, counts.values, counts.width, table.dirty)
        state.update(data, slots, signed, self.evaluation())
        touched = slots[first]
        columns = [take_array(data.column(i), first) for i in self._keys]
        columns += block_columns(state.counts.read(touched), range(state.counts.width))
        columns += [
            read(table.accumulator(spec.name), touched, kind.to_arrow())
            for spec, kind in zip(self._plan.accumulators, self._plan.types, strict=True)
        ]
        table.remove(touched)
        self.emit(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def process_watermark(self, timestamp: int) -> None:
        """What has come before is given before."""
        self._flush()
        super().process_watermark(timestamp)

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """What has come before the barrier is given before it: nothing is kept."""
        self._flush()

    def end_input(self, input_index: int = 0) -> None:
        """Give what waits."""
        self._flush()
