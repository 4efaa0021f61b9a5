"""The temporal join: each left row with the version of a right row that was valid at its time.

Left rows wait until event time has passed theirs, for then no version that matters can be missing.
Versions lie by key; when event time has passed one, those before it are gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import MAX_TIMESTAMP, RowKinds
from lesto.kernels import jit
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_array, take_batch
from lesto.kernels.timestamps import millis
from lesto.sql.expressions import Expression
from lesto.sql.settings import SqlSettings
from lesto.state.row_table import RowTable, RowTableDescriptor
from lesto.state.timed_rows import Run, TimedRows, TimedRowsDescriptor, sorted_run
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.operators.columnar.fired import FiredUntil
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.sql.base import DELETE, UPDATE_BEFORE
from lesto.taskmanager.operators.sql.join_results import Ids, PairCondition, ResultRows
from lesto.taskmanager.operators.sql.join_sides import (
    Arrivals,
    JoinSide,
    columns_of,
    hashes_of,
    not_null,
)
from lesto.taskmanager.operators.sql.join_steps import RESULT_ROWS_MAX, SteppedOperator
from lesto.taskmanager.operators.sql.outer_interval_join import Departures
from lesto.taskmanager.operators.sql.window_slices import (
    FIRED_STATE,
    restored_ranges,
    saved_ranges,
)

Times = npt.NDArray[np.int64]

WAITING: Final = "left-rows"
VERSIONS: Final = "versions"
#: Columns behind a side's own.
KIND_COLUMN: Final = "$kind"
TIME_COLUMN: Final = "$time"


class TemporalJoinOperator(SteppedOperator):
    """INNER and LEFT joins with versions in event time.

    Args:
        settings: of the session.
        left: of input 0; ``outer`` of LEFT.
        right: of input 1: its keys are its primary key.
        times: positions of the left and of the right time column.
        condition: what pairs must meet besides; None for nothing.
        schema: of the results.
        before: whether updates come with what was before; else what was before is deleted.
    """

    def __init__(
        self,
        settings: SqlSettings,
        left: JoinSide,
        right: JoinSide,
        times: tuple[int, int],
        condition: Expression | None,
        schema: pa.Schema,
        before: bool,
    ) -> None:
        super().__init__(settings, (left.keys, right.keys))
        self._sides = (left, right)
        self._times = times
        self._condition_given = condition
        self._condition: PairCondition | None = None
        self._schema = schema
        self._before = before

    def open(self) -> None:
        """Get the restored rows."""
        super().open()
        jit.warm(("hashing", "hashindex", "textindex", "rowkeys", "rows", "intervals"))
        left, right = self._sides
        if self._condition_given is not None:
            self._condition = PairCondition(self._condition_given, left.width, self.evaluation)
        kind, time = pa.field(KIND_COLUMN, pa.int8()), pa.field(TIME_COLUMN, pa.int64())
        self._schemas = (self.input_schema(0).append(kind), self.input_schema(1).append(kind))
        keys = tuple(self._schemas[0].field(i).name for i in left.keys)
        self._waiting: TimedRows = self.backend.timed_rows(
            TimedRowsDescriptor(WAITING, self._schemas[0], keys)
        )
        self._versions: RowTable = self.backend.row_table(
            RowTableDescriptor(VERSIONS, self._schemas[1].append(time), right.keys)
        )
        self._results = ResultRows(self._schema, (left.width, right.width), self.emit)
        own = self.backend
        groups = (own.key_group_start, own.key_group_end, own.max_parallelism)
        #: Until when left rows have been joined; state may bring such rows back.
        self._fired = FiredUntil(restored_ranges(self.context.restored_list(FIRED_STATE)), groups)
        self._waiting.retain(lambda run: run.times > self._fired.of(run.hashes))
        #: Versions whose time is still to come.
        self._upcoming = Departures()
        ids = self._versions.live()
        self._upcoming.add(self._times_of_versions(ids), ids)
        self.restore_rest()

    def piece(self, rows: Arrivals) -> int:
        """All of them: they only wait."""
        return len(rows)

    def join(self, rows: Arrivals) -> None:
        """Keep the rows until event time has passed theirs."""
        if rows.index:
            self._keep_versions(rows)
        else:
            self._keep_left(rows)

    def _kinds(self, rows: Arrivals) -> RowKinds:
        return np.zeros(len(rows), np.int8) if rows.kinds is None else rows.kinds

    def _row_times(self, rows: Arrivals) -> Times:
        at = self._times[rows.index]
        column = rows.data.column(at)
        if column.null_count:
            name = rows.data.schema.field(at).name
            msg = f"a row has no event time: its '{name}' is NULL"
            raise MissingTimestampError(msg, remedy=f"filter out rows whose '{name}' is NULL")
        return millis(column)

    def _keep_versions(self, rows: Arrivals) -> None:
        if rows.kinds is not None:
            # What was before is an older version, which has come already.
            rows = rows.take(np.flatnonzero(rows.kinds != UPDATE_BEFORE))
        keyed = not_null(rows.data, self.keys[1])
        if keyed is not None:
            rows = rows.take(np.flatnonzero(keyed))
        if not len(rows):
            return
        times = self._row_times(rows)
        columns = [*rows.data.columns, pa.array(self._kinds(rows)), pa.array(times)]
        schema = self._versions.descriptor.schema
        ids = self._versions.add(pa.RecordBatch.from_arrays(columns, schema=schema), rows.hashes)
        self._upcoming.add(times, ids)

    def _keep_left(self, rows: Arrivals) -> None:
        keyed = not_null(rows.data, self.keys[0])
        if keyed is not None:
            if self._sides[0].outer:
                unkeyed = rows.take(np.flatnonzero(~keyed))
                self._results.padded(unkeyed.data, 0, self._given(self._kinds(unkeyed)))
                self._results.flush()
            rows = rows.take(np.flatnonzero(keyed))
        if not len(rows):
            return
        columns = [*rows.data.columns, pa.array(self._kinds(rows))]
        data = pa.RecordBatch.from_arrays(columns, schema=self._schemas[0])
        assert rows.hashes is not None, "a temporal join has a key"
        # A late row is joined when event time advances next.
        due = np.maximum(self._row_times(rows), self._fired.of(rows.hashes) + 1)
        self._waiting.add(sorted_run(data, rows.hashes, due))

    # event time ----------------------------------------------------------------------------------

    def advance(self, watermark: int) -> Iterator[None]:
        """Join the rows whose time has passed, and forget versions that are over."""
        due = self._due(watermark)
        if due is not None:
            data, times = due
            start = 0
            while start < len(times):
                end = min(start + RESULT_ROWS_MAX, len(times))
                # Rows of one time are given together, for they are dropped together.
                end = int(np.searchsorted(times, times[end - 1], side="right"))
                self._join_due(data.slice(start, end - start))
                self._joined_until(int(times[end - 1]))
                start = end
                yield
        if watermark != MAX_TIMESTAMP:
            self._joined_until(watermark)
        yield from self._forget(watermark)

    def _joined_until(self, time: int) -> None:
        self._waiting.expire(time + 1)
        self._fired.advance(time)

    def snapshot(self, checkpoint_id: int, canonical: bool) -> OperatorSnapshot:
        """Keyed state, what waits, and until when rows have been joined."""
        taken = super().snapshot(checkpoint_id, canonical)
        taken.union_lists |= saved_ranges(self._fired)
        return taken

    def _due(self, watermark: int) -> tuple[pa.RecordBatch, Times] | None:
        """Rows whose time has passed, in order of time, and when they were due."""
        first = self._waiting.first_alive
        parts: list[Run] = []
        for run in self._waiting.runs:
            rows = np.flatnonzero((run.times <= watermark) & (run.times >= first))
            if len(rows):
                parts.append(run.take(rows))
        if not parts:
            return None
        times = np.concatenate([part.times for part in parts])
        order = np.argsort(times, kind="stable")
        return take_batch(pa.concat_batches([part.data for part in parts]), order), times[order]

    def _join_due(self, rows: pa.RecordBatch) -> None:
        column = rows.column(self._times[0])
        versions = self._valid(rows, millis(column))
        kinds: RowKinds = rows.column(rows.num_columns - 1).to_numpy()
        met = versions >= 0
        if self._condition is not None and met.any():
            at = np.flatnonzero(met)
            met[at] = self._condition.mask(rows, at, 0, self._versions, versions[at])
        if met.all():
            given = self._given(kinds)
            self._results.pairs(rows, np.arange(len(met)), 0, self._versions, versions, given)
        elif not self._sides[0].outer:
            at = np.flatnonzero(met)
            self._results.pairs(rows, at, 0, self._versions, versions[at], self._given(kinds[at]))
        else:
            self._mixed(rows, versions, met, kinds)
        self._results.flush()

    def _mixed(
        self, rows: pa.RecordBatch, versions: Ids, met: npt.NDArray[np.bool_], kinds: RowKinds
    ) -> None:
        """Rows with a version and rows without, in their order."""
        left, right = self._sides
        at = np.flatnonzero(met)
        places = np.full(len(met), -1)
        places[at] = np.arange(len(at))
        numbers = pa.array(places, mask=~met)
        taken = self._versions.take(versions[at], range(right.width))
        columns = [rows.column(i) for i in range(left.width)]
        columns += [column.take(numbers) for column in taken.columns]
        self.emit(pa.RecordBatch.from_arrays(columns, schema=self._schema), self._given(kinds))

    def _given(self, kinds: RowKinds) -> RowKinds | None:
        if not self._before:
            kinds = np.where(kinds == UPDATE_BEFORE, DELETE, kinds).astype(np.int8)
        return kinds if kinds.any() else None

    # versions ------------------------------------------------------------------------------------

    def _times_of_versions(self, ids: Ids) -> Times:
        last = len(self._versions.descriptor.schema) - 1
        times: Times = self._versions.take(ids, [last]).column(0).to_numpy(zero_copy_only=False)
        return times

    def _by_key(self, data: pa.RecordBatch, keys: tuple[int, ...]) -> tuple[Ids, Ids, Ids]:
        """Number of each row's key; and of all versions of these keys: key number, id."""
        columns = columns_of(data, keys)
        hashes = hashes_of(data, keys)
        assert hashes is not None, "a temporal join has a key"
        index = HashIndex([c.type for c in columns], capacity=max(8, len(hashes)))
        slots, _ = index.lookup_or_insert(columns, hashes)
        first = index.new_rows.copy()
        distinct = [take_array(c, first) for c in columns]
        at, ids = self._versions.matches(distinct, hashes[first])
        return slots, slots[first][at], ids

    def _valid(self, rows: pa.RecordBatch, times: Times) -> Ids:
        """Id of the version that each row meets, int64[n]; -1 for none."""
        slots, owners, ids = self._by_key(rows, self.keys[0])
        found = np.full(len(times), -1, np.int64)
        if not len(ids):
            return found
        since = self._times_of_versions(ids)
        # Of equal times the version that came last counts.
        order = np.lexsort((np.arange(len(ids)), since, owners))
        owners, ids, since = owners[order], ids[order], since[order]
        ranks = np.unique(np.concatenate([since, times]), return_inverse=True)[1]
        span = int(ranks.max()) + 1
        places = (
            np.searchsorted(
                owners * span + ranks[: len(since)],
                slots * span + ranks[len(since) :],
                side="right",
            )
            - 1
        )
        hit = places >= 0
        hit[hit] = owners[places[hit]] == slots[hit]
        found[hit] = ids[places[hit]]
        rows_met = np.flatnonzero(hit)
        kind_at = len(self._versions.descriptor.schema) - 2
        kinds = self._versions.take(found[rows_met], [kind_at]).column(0).to_numpy()
        found[rows_met[kinds == DELETE]] = -1
        return found

    def _forget(self, watermark: int) -> Iterator[None]:
        """Of each key with versions whose time has passed, only the last of these stays."""
        first = watermark + 1 if watermark != MAX_TIMESTAMP else watermark
        gone = np.zeros(0, np.int64)
        while len(passed := self._upcoming.before(first, RESULT_ROWS_MAX)):
            # Some went already, with a later version of their key.
            passed = passed[~np.isin(passed, gone)]
            if len(passed):
                gone = np.concatenate([gone, self._forget_before(passed, watermark)])
            yield

    def _forget_before(self, passed: Ids, watermark: int) -> Ids:
        rows = self._versions.take(passed)
        _, owners, ids = self._by_key(rows, self.keys[1])
        since = self._times_of_versions(ids)
        past = since <= watermark
        owners, ids, since = owners[past], ids[past], since[past]
        order = np.lexsort((np.arange(len(ids)), since, owners))
        owners, ids = owners[order], ids[order]
        last = np.append(owners[1:] != owners[:-1], True)
        kind_at = len(self._versions.descriptor.schema) - 2
        kinds = self._versions.take(ids, [kind_at]).column(0).to_numpy()
        stays = last & (kinds != DELETE)
        gone: Ids = ids[~stays]
        self._versions.remove(gone)
        return gone
