"""Interval joins: pairs of rows of equal keys whose times are near.

Times are those of a column, or of arrival. The inner join keeps rows sorted by key and time
(:mod:`lesto.state.timed_rows`) and finds a batch's pairs in one pass over both; kinds that give
rows without a partner are in :mod:`lesto.taskmanager.operators.sql.outer_interval_join`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from lesto.kernels import jit
from lesto.kernels.intervals import Matches
from lesto.kernels.intervals import Rows as ProbeRows
from lesto.kernels.partition import take_array
from lesto.kernels.scalar import hash_value
from lesto.kernels.timestamps import millis
from lesto.sql.expressions import Expression
from lesto.sql.settings import SqlSettings
from lesto.state.timed_rows import Run, TimedRows, TimedRowsDescriptor, sorted_run
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.sql.join_results import PairCondition
from lesto.taskmanager.operators.sql.join_sides import (
    Arrivals,
    JoinSide,
    equal_rows,
    not_null,
)
from lesto.taskmanager.operators.sql.join_steps import (
    PAIRS_MAX,
    RESULT_ROWS_MAX,
    SteppedOperator,
)

Times = npt.NDArray[np.int64]

ROW_TABLES: Final = ("left-timed-rows", "right-timed-rows")
#: Rows of arrival times are cleared this much later than they could be, ms: an alarm is dear.
CLEAR_EVERY_MS: Final = 1_000
#: Key column of rows that have none.
ANY_KEY: Final = "$any"
_ANY_HASH: Final = np.uint64(hash_value(0))


@dataclass(frozen=True, slots=True)
class Band:
    """``lower <= left time - right time <= upper``, ms.

    Attributes:
        times: position of the left and of the right time column; None when times are of arrival.
        lower: inclusive.
        upper: inclusive.
    """

    times: tuple[int, int] | None
    lower: int
    upper: int

    def around(self, index: int) -> tuple[int, int]:
        """Bounds of the other side's times, relative to a time of side ``index``."""
        return (self.lower, self.upper) if index else (-self.upper, -self.lower)

    def alive(self, index: int, now: int) -> int:
        """Rows of side ``index`` of earlier times meet nothing that comes after ``now``."""
        first = now + (1 - self.upper if index else 1 + self.lower)
        return min(max(first, MIN_TIMESTAMP), MAX_TIMESTAMP)

    @property
    def delay(self) -> int:
        """How far a result's times may lie behind what event time was when it is given."""
        return max(0, self.upper, -self.lower)


class BandedJoin(SteppedOperator):
    """What interval joins share: times, and watermarks that results do not fall behind.

    Args:
        settings: of the session.
        left: of input 0.
        right: of input 1.
        band: how near times must be.
        condition: what pairs must meet besides, over left and right columns; None for nothing.
        schema: of the results.
    """

    def __init__(
        self,
        settings: SqlSettings,
        left: JoinSide,
        right: JoinSide,
        band: Band,
        condition: Expression | None,
        schema: pa.Schema,
    ) -> None:
        super().__init__(settings, (left.keys, right.keys))
        self.sides = (left, right)
        self.band = band
        self._condition_given = condition
        self.condition: PairCondition | None = None
        self.schema = schema
        self._told = MIN_TIMESTAMP
        self._cancel_alarm: Callable[[], None] | None = None

    def open(self) -> None:
        """Compile the condition."""
        super().open()
        jit.warm(("hashing", "rows", "intervals"))
        if self._condition_given is not None:
            self.condition = PairCondition(
                self._condition_given, self.sides[0].width, self.evaluation
            )

    def forget(self, now: int) -> Iterator[None]:
        """Let go what meets nothing that comes after ``now``, in steps."""
        raise NotImplementedError

    def clear_at(self) -> int | None:
        """By times of arrival: when there is something to let go, ms; None for never."""
        raise NotImplementedError

    def times_of(self, rows: Arrivals) -> Times:
        """int64[n], ms.

        Raises:
            MissingTimestampError: a row has none.
        """
        if self.band.times is None:
            return np.full(len(rows), self.context.clock.now_ms())
        at = self.band.times[rows.index]
        column = rows.data.column(at)
        if column.null_count:
            name = rows.data.schema.field(at).name
            msg = f"a row has no event time: its '{name}' is NULL"
            raise MissingTimestampError(msg, remedy=f"filter out rows whose '{name}' is NULL")
        return millis(column)

    def advance(self, watermark: int) -> Iterator[None]:
        """Let go what is over."""
        if self.band.times is not None:
            yield from self.forget(watermark)

    def advanced(self, watermark: int) -> None:
        """Results to come may be older than event time is, by the band's width."""
        self.watermark = watermark
        held = watermark
        if self.band.times is not None and watermark != MAX_TIMESTAMP:
            held = watermark - self.band.delay
        if held > max(self._told, MIN_TIMESTAMP):
            self._told = held
            self.output.emit_watermark(held)

    def arm(self) -> None:
        """By times of arrival: ring when there is something to let go."""
        if self.band.times is not None or self._cancel_alarm is not None:
            return
        at = self.clear_at()
        if at is not None:
            at = max(at, self.context.clock.now_ms() + 1)
            self._cancel_alarm = self.context.register_processing_timer(at, self._ring)

    def _ring(self, timestamp: int) -> None:
        self._cancel_alarm = None
        # Rows of this very millisecond may still come.
        for _ in self.forget(self.context.clock.now_ms() - 1):
            pass
        self.arm()

    def close(self) -> None:
        """Take the alarm back."""
        super().close()
        if self._cancel_alarm is not None:
            self._cancel_alarm()
            self._cancel_alarm = None


@dataclass(slots=True)
class _Prepared:
    """A batch that was compared with the rows that are there.

    Attributes:
        rows: as they came.
        run: the same, sorted.
        found: a run of the other side and its matches.
    """

    rows: Arrivals
    run: Run
    found: list[tuple[Run, Matches]]


class IntervalJoinOperator(BandedJoin):
    """The inner interval join; arguments as of :class:`BandedJoin`."""

    def open(self) -> None:
        """Get the restored rows."""
        super().open()
        self._schemas = [self._kept_schema(i) for i in (0, 1)]
        tables = []
        for index, schema in enumerate(self._schemas):
            keys = tuple(schema.field(i).name for i in self.keys[index]) or (ANY_KEY,)
            tables.append(
                self.backend.timed_rows(TimedRowsDescriptor(ROW_TABLES[index], schema, keys))
            )
        self._tables: list[TimedRows] = tables
        self._prepared: _Prepared | None = None
        self.restore_rest()
        self.arm()

    def _kept_schema(self, index: int) -> pa.Schema:
        schema = self.input_schema(index)
        return schema if self.keys[index] else schema.append(pa.field(ANY_KEY, pa.int8()))

    def piece(self, rows: Arrivals) -> int:
        """As many rows as meet a bounded number of others."""
        keyed = not_null(rows.data, self.keys[rows.index])
        kept = rows if keyed is None else rows.take(np.flatnonzero(keyed))
        if not len(kept):
            return len(rows)
        run = self._run(kept)
        found = self._compared(run, rows.index)
        total = sum(matches.total for _, matches in found)
        if total > PAIRS_MAX and len(rows) > 1:
            return max(1, len(rows) * PAIRS_MAX // total)
        self._prepared = _Prepared(rows, run, found)
        return len(rows)

    def _run(self, rows: Arrivals) -> Run:
        data, hashes = rows.data, rows.hashes
        if hashes is None:
            any_key = pa.repeat(pa.scalar(0, pa.int8()), len(rows))
            data = pa.RecordBatch.from_arrays(
                [*data.columns, any_key], schema=self._schemas[rows.index]
            )
            hashes = np.full(len(rows), _ANY_HASH)
        else:
            data = pa.RecordBatch.from_arrays(data.columns, schema=self._schemas[rows.index])
        return sorted_run(data, hashes, self.times_of(rows))

    def _compared(self, run: Run, index: int) -> list[tuple[Run, Matches]]:
        lower, upper = self.band.around(index)
        table = self._tables[1 - index]
        found = []
        for other in table.runs:
            matches = Matches(
                other.hashes, other.times, run.hashes, run.times, lower, upper, table.first_alive
            )
            if matches.total:
                found.append((other, matches))
        return found

    def join(self, rows: Arrivals) -> None:
        """Give the pairs of the rows of one side, and keep them."""
        prepared, self._prepared = self._prepared, None
        if prepared is None or prepared.rows is not rows:
            keyed = not_null(rows.data, self.keys[rows.index])
            kept = rows if keyed is None else rows.take(np.flatnonzero(keyed))
            if not len(kept):
                return
            run = self._run(kept)
            prepared = _Prepared(rows, run, self._compared(run, rows.index))
        index, run = rows.index, prepared.run
        for other, matches in prepared.found:
            for mine, theirs in self._equal(run, other, index, matches):
                self._give(run, mine, other, theirs, index)
        table = self._tables[index]
        late = run.times < table.first_alive
        if late.any():
            if late.all():
                return
            run = run.take(np.flatnonzero(~late))
        table.add(run)
        self.arm()

    def _equal(
        self, run: Run, other: Run, index: int, matches: Matches
    ) -> Iterator[tuple[ProbeRows, ProbeRows]]:
        """The pairs whose keys, not only their hashes, are equal."""
        keys = self.keys[index]
        ours = [run.data.column(i) for i in keys]
        theirs_ = [other.data.column(i) for i in self.keys[1 - index]]
        certain = not keys or (len(keys) == 1 and pa.types.is_signed_integer(ours[0].type))
        for mine, theirs in matches.pairs(RESULT_ROWS_MAX):
            if certain:
                yield mine, theirs
                continue
            names = [str(i) for i in range(len(keys))]
            a = pa.RecordBatch.from_arrays([take_array(c, mine) for c in ours], names)
            b = pa.RecordBatch.from_arrays([take_array(c, theirs) for c in theirs_], names)
            equal = equal_rows(a, b)
            if equal.all():
                yield mine, theirs
            elif equal.any():
                yield mine[equal], theirs[equal]

    def _give(self, run: Run, mine: ProbeRows, other: Run, theirs: ProbeRows, index: int) -> None:
        (left, at), (right, on) = (
            ((other, theirs), (run, mine)) if index else ((run, mine), (other, theirs))
        )
        if self.condition is not None:
            one, two = self.condition.sides
            columns = [take_array(left.data.column(i), at) for i in one]
            columns += [take_array(right.data.column(i), on) for i in two]
            mask = self.condition.of_columns(columns, len(at))
            if not mask.all():
                at, on = at[mask], on[mask]
        columns = [take_array(left.data.column(i), at) for i in range(self.sides[0].width)]
        columns += [take_array(right.data.column(i), on) for i in range(self.sides[1].width)]
        self.emit(pa.RecordBatch.from_arrays(columns, schema=self.schema))

    def forget(self, now: int) -> Iterator[None]:
        """Let go what meets nothing that comes after ``now``."""
        for index, table in enumerate(self._tables):
            table.expire(self.band.alive(index, now))
        yield

    def clear_at(self) -> int | None:
        """Some time after the first row could go."""
        if not any(table.runs for table in self._tables):
            return None
        keep = max(self.band.upper, -self.band.lower, CLEAR_EVERY_MS)
        return self.context.clock.now_ms() + keep
