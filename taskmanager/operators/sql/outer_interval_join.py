"""Interval joins that give rows without a partner: LEFT, RIGHT, FULL, SEMI, ANTI.

Rows carry the number of their partners. A row that has none when nothing more can meet it is given
alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.sql.expressions import Expression
from lesto.sql.settings import SqlSettings
from lesto.state.row_table import RowTable, RowTableDescriptor
from lesto.taskmanager.operators.sql.interval_join import (
    ROW_TABLES,
    Band,
    BandedJoin,
    Times,
)
from lesto.taskmanager.operators.sql.join import PARTNERS, recounted
from lesto.taskmanager.operators.sql.join_results import Flags, Ids, ResultRows, Rows
from lesto.taskmanager.operators.sql.join_sides import (
    Arrivals,
    JoinSide,
    columns_of,
    not_null,
)
from lesto.taskmanager.operators.sql.join_steps import PAIRS_MAX, RESULT_ROWS_MAX

#: Column behind a side's own that holds a row's time, ms.
TIME_COLUMN: Final = "$time"
#: Lists of times are merged when there are more.
LISTS_MAX: Final = 16
#: By times of arrival: rows are let go once in so long, ms.
CLEAR_EVERY_MS: Final = 100
#: Before all and behind all times.
MIN_NOW: Final = -(2**63)
MAX_NOW: Final = 2**63 - 1


class Departures:
    """When rows are over: ids by time."""

    def __init__(self) -> None:
        self._lists: list[tuple[Times, Ids]] = []

    def add(self, times: Times, ids: Ids) -> None:
        """More rows."""
        if not len(ids):
            return
        lists = self._lists
        lists.append((times, ids))
        if len(lists) > LISTS_MAX:
            times = np.concatenate([t for t, _ in lists])
            ids = np.concatenate([i for _, i in lists])
            lists.clear()
            lists.append((times, ids))
        order = np.argsort(lists[-1][0], kind="stable")
        lists[-1] = (lists[-1][0][order], lists[-1][1][order])

    def before(self, first: int, most: int) -> Ids:
        """Ids of earlier times, some of them if there are more; they are forgotten."""
        gone: list[Ids] = []
        kept: list[tuple[Times, Ids]] = []
        for times, ids in self._lists:
            at = min(int(np.searchsorted(times, first)), most)
            most -= at
            gone.append(ids[:at])
            if at < len(ids):
                kept.append((times[at:], ids[at:]))
        self._lists = kept
        return np.concatenate(gone) if gone else np.zeros(0, np.int64)

    @property
    def earliest(self) -> int | None:
        """The least time; None without any."""
        return min((int(times[0]) for times, _ in self._lists), default=None)


class OuterIntervalJoinOperator(BandedJoin):
    """Interval joins but INNER.

    Args:
        settings: of the session.
        left: of input 0.
        right: of input 1; ``outer`` says of which side rows without a partner are given.
        band: how near times must be.
        condition: what pairs must meet besides; None for nothing.
        schema: of the results.
        alone: "pairs" gives pairs too; "semi" gives left rows with a partner; "anti" left rows
            without one.
    """

    def __init__(
        self,
        settings: SqlSettings,
        left: JoinSide,
        right: JoinSide,
        band: Band,
        condition: Expression | None,
        schema: pa.Schema,
        alone: str,
    ) -> None:
        super().__init__(settings, left, right, band, condition, schema)
        self._alone = alone

    def open(self) -> None:
        """Get the restored rows."""
        super().open()
        tables = []
        for index, side in enumerate(self.sides):
            schema = self.input_schema(index).append(pa.field(TIME_COLUMN, pa.int64()))
            tables.append(
                self.backend.row_table(
                    RowTableDescriptor(ROW_TABLES[index], schema, side.keys, (PARTNERS,))
                )
            )
        self._tables: list[RowTable] = tables
        widths = (self.sides[0].width, self.sides[1].width if self._alone == "pairs" else 0)
        self._results = ResultRows(self.schema, widths, self.emit)
        self._departures = (Departures(), Departures())
        for table, departures in zip(tables, self._departures, strict=True):
            ids = table.live()
            departures.add(_times_in(table, ids), ids)
        self._now = MIN_NOW
        self.restore_rest()
        self.arm()

    def piece(self, rows: Arrivals) -> int:
        """As many rows as have a bounded number of others with their key."""
        other = self._tables[1 - rows.index]
        most = len(other)
        if len(rows) * most <= PAIRS_MAX:
            return len(rows)
        if rows.hashes is None:
            return max(1, PAIRS_MAX // most)
        met = np.cumsum(
            other.match_counts(columns_of(rows.data, self.keys[rows.index]), rows.hashes)
        )
        return max(1, int(np.searchsorted(met, PAIRS_MAX, side="right")))

    def join(self, rows: Arrivals) -> None:
        """Give the pairs of the rows of one side, and keep them."""
        index = rows.index
        keyed = not_null(rows.data, self.keys[index])
        if keyed is not None:
            if self.sides[index].outer:
                self._give_alone(rows.take(np.flatnonzero(~keyed)).data, index)
            rows = rows.take(np.flatnonzero(keyed))
        if len(rows):
            self._join(rows, self.times_of(rows))
        self._results.flush()
        self.arm()

    def _join(self, rows: Arrivals, times: Times) -> None:
        index = rows.index
        other = self._tables[1 - index]
        at, ids = self._pairs(rows, times, other)
        partners = np.bincount(at, minlength=len(rows)).astype(np.int64)
        again = recounted(other, ids, np.ones(len(ids), np.int8)) if len(ids) else None
        if self._alone == "pairs":
            self._results.pairs(rows.data, at, index, other, ids, None)
        elif self._alone == "semi":
            if not index:
                self._results.alone(rows.take(np.flatnonzero(partners)).data, None)
            elif again is not None:
                self._results.alone(other.take(again.ids[again.found]), None)
        self._keep(rows, times, partners)

    def _pairs(self, rows: Arrivals, times: Times, other: RowTable) -> tuple[Rows, Ids]:
        index = rows.index
        if rows.hashes is None:
            every = other.live()
            at, ids = np.repeat(np.arange(len(rows)), len(every)), np.tile(every, len(rows))
        else:
            at, ids = other.matches(columns_of(rows.data, self.keys[index]), rows.hashes)
        if not len(at):
            return at, ids
        lower, upper = self.band.around(index)
        apart = _times_in(other, ids) - times[at]
        near: Flags = (apart >= lower) & (apart <= upper)
        if not near.all():
            at, ids = at[near], ids[near]
        if self.condition is not None and len(at):
            mask = self.condition.mask(rows.data, at, index, other, ids)
            at, ids = at[mask], ids[mask]
        return at, ids

    def _keep(self, rows: Arrivals, times: Times, partners: Ids) -> None:
        index = rows.index
        over = times < self.band.alive(index, self._now) if self._now > MIN_NOW else None
        if over is not None and over.any():
            if self.sides[index].outer:
                self._give_alone(rows.take(np.flatnonzero(over & (partners == 0))).data, index)
            kept = np.flatnonzero(~over)
            rows, times, partners = rows.take(kept), times[kept], partners[kept]
        if not len(rows):
            return
        table = self._tables[index]
        data = pa.RecordBatch.from_arrays(
            [*rows.data.columns, pa.array(times)], schema=table.descriptor.schema
        )
        ids = table.add(data, rows.hashes)
        table.counter(PARTNERS)[ids] = partners
        table.mark(ids)
        self._departures[index].add(times, ids)

    def _give_alone(self, data: pa.RecordBatch, index: int) -> None:
        if self._alone == "pairs":
            self._results.padded(data, index, None)
        else:
            self._results.alone(data, None)

    # time ----------------------------------------------------------------------------------------

    def forget(self, now: int) -> Iterator[None]:
        """Let go what meets nothing that comes after ``now``, with those that met nothing."""
        self._now = max(self._now, now)
        for index in (0, 1):
            yield from self._depart(index, self.band.alive(index, now))

    def _depart(self, index: int, first: int) -> Iterator[None]:
        table, departures = self._tables[index], self._departures[index]
        while len(some := departures.before(first, RESULT_ROWS_MAX)):
            if self.sides[index].outer:
                alone = some[table.counter(PARTNERS)[some] == 0]
                if len(alone):
                    self._give_alone(table.take(alone), index)
                    self._results.flush()
            table.remove(some)
            yield

    def clear_at(self) -> int | None:
        """When the first row is over."""
        ends = []
        for index, departures in enumerate(self._departures):
            earliest = departures.earliest
            if earliest is not None:
                # The least now for which its time is no longer alive, and a millisecond for those
                # that may still come in it.
                ends.append(earliest - self.band.alive(index, 0) + 2)
        if not ends:
            return None
        return max(min(ends), self.context.clock.now_ms() + CLEAR_EVERY_MS)

    def finale(self) -> Iterator[None]:
        """By times of arrival: nothing more comes, so all that met nothing is given."""
        if self.band.times is None:
            for index in (0, 1):
                yield from self._depart(index, MAX_NOW)


def _times_in(table: RowTable, ids: Ids) -> Times:
    last = len(table.descriptor.schema) - 1
    times: Times = table.take(ids, [last]).column(0).to_numpy(zero_copy_only=False)
    return times
