"""Window Top-N and deduplication: of each partition and window the first rows, when it ends.

Only rows that may still be ranked are kept: each batch is ranked together with those kept of its
partitions, and what falls out is forgotten.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels.partition import take_array, take_batch
from lesto.kernels.timestamps import millis
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.columnar.time_windows import Lists
from lesto.taskmanager.operators.sql.rank_bounds import Bounds
from lesto.taskmanager.operators.sql.rank_order import Sorted, sorted_rows
from lesto.taskmanager.operators.sql.rank_rows import Ids, KeyedRows, Numbered, joined
from lesto.taskmanager.operators.sql.sort_order import (
    Order,
    is_lasting,
    lead_words,
    sort_words,
)
from lesto.taskmanager.operators.sql.window_given import GivenWindowsOperator
from lesto.taskmanager.operators.sql.window_slices import RESULT_ROWS_MAX

RANKED_TABLE: Final = "window_ranked"


@dataclass(frozen=True, slots=True)
class RankPlan:
    """What is ranked.

    Attributes:
        function: ROW_NUMBER, RANK or DENSE_RANK.
        partition: positions, those of the window among them.
        orders: of the rows.
        start: first rank that is given.
        end: last one.
        window_end: position.
        shown: whether the rank is the last column of the results.
        last_of_ties: whether of equal rows the one that came last goes first.
    """

    function: str
    partition: tuple[int, ...]
    orders: tuple[Order, ...]
    start: int
    end: int
    window_end: int
    shown: bool = False
    last_of_ties: bool = False


class WindowRankOperator(GivenWindowsOperator):
    """Gives ranked rows when their window ends.

    Args:
        settings: of the session.
        plan: partition, order, ranks.
        schema: of the results.
        zoned: whether windows are those of instants, in the session's zone.
    """

    def __init__(
        self, settings: SqlSettings, plan: RankPlan, schema: pa.Schema, zoned: bool
    ) -> None:
        super().__init__(settings, zoned)
        self._plan = plan
        self._schema = schema

    def open(self) -> None:
        """Get the rows that wait."""
        super().open()
        plan = self._plan
        given = self.input_schema()
        self._rows = KeyedRows(self.backend, RANKED_TABLE, given, plan.partition)
        self._ends = Lists()
        #: By id: the window's end. An id that was freed may be listed where it was.
        self._end_of = np.zeros(1024, np.int64)
        live = self._rows.table.live()
        if len(live):
            ends = millis(self._rows.table.take(live, [plan.window_end]).column(0))
            self._enter(live, ends)
        self._bounds: Bounds | None = None
        if plan.orders and is_lasting(given.field(plan.orders[0].index).type):
            several = len(plan.orders) > 1 or plan.last_of_ties
            kinds = [given.field(i).type for i in plan.partition]
            self._bounds = Bounds(kinds, plan.function, plan.end, several)

    def _enter(self, ids: Ids, ends: Ids) -> None:
        bound = int(ids.max()) + 1
        if bound > len(self._end_of):
            longer = np.zeros(max(bound, 2 * len(self._end_of)), np.int64)
            longer[: len(self._end_of)] = self._end_of
            self._end_of = longer
        self._end_of[ids] = ends
        self._ends.add(ends, ids)

    # -- rows

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Keep the rows that may be ranked."""
        assert isinstance(batch, ColumnarBatch)
        plan = self._plan
        data, ends, _ = self.in_time(batch, plan.window_end, plan.partition)
        data, ends = self._promising(data, ends)
        if not data.num_rows:
            return
        keys = [data.column(i) for i in plan.partition]
        found = self._rows.numbered(keys, data.num_rows)
        numbers, ids = self._rows.stored(found)
        stored = self._rows.table.take(ids)
        whole = joined([stored, data], data.schema)
        ranked = self._ranked(whole, np.concatenate([numbers, found.numbers]))
        ranks = ranked.ranks(plan.function)
        kept = ranks <= plan.end
        self._learn(found, whole, ranked, ranks, kept)
        self._rows.remove(ids[~kept[: len(ids)]])
        fresh = np.flatnonzero(kept[len(ids) :])
        if len(fresh):
            added = self._rows.add(take_batch(data, fresh), found.row_hashes[fresh])
            self._enter(added, ends[fresh])

    def _promising(self, data: pa.RecordBatch, ends: Ids) -> tuple[pa.RecordBatch, Ids]:
        """Without rows that come behind a full partition's last."""
        if self._bounds is None or not len(self._bounds) or not data.num_rows:
            return data, ends
        order = self._plan.orders[0]
        keys = [data.column(i) for i in self._plan.partition]
        lead = lead_words(data.column(order.index), order)
        rows = self._bounds.may_enter(keys, lead, data.num_rows)
        if len(rows) == data.num_rows:
            return data, ends
        return take_batch(data, rows), ends[rows]

    def _learn(
        self, found: Numbered, whole: pa.RecordBatch, ranked: Sorted, ranks: Ids, kept: np.ndarray
    ) -> None:
        if self._bounds is not None:
            order = self._plan.orders[0]
            lead = lead_words(whole.column(order.index), order)
            self._bounds.learn(found, ranked, ranks, kept, lead)

    def _ranked(self, data: pa.RecordBatch, groups: Ids) -> Sorted:
        orders = self._plan.orders
        words = sort_words([data.column(o.index) for o in orders], orders)
        if self._plan.last_of_ties:
            words.append(-np.arange(len(groups)))
        return sorted_rows(groups, words)

    # -- time

    def fire(self, progress: int) -> Iterator[None]:
        """Give the ranked rows of the windows that have ended, a window at a step."""
        for end in self._ends.until(progress + 1 if progress < 2**63 - 1 else progress):
            ids = self._ends.pop(end)
            # Of an id that was freed and given again the last place counts.
            ids = ids[::-1]
            ids = ids[np.sort(np.unique(ids, return_index=True)[1])][::-1]
            ids = ids[self._end_of[ids] == end]
            self._end_of[ids] = 0
            self._give(ids)
            self.fired.advance(end - 1)
            yield
        self.fired.advance(progress)

    def _give(self, ids: Ids) -> None:
        plan = self._plan
        if not len(ids):
            return
        data = self._rows.table.take(ids)
        found = self._rows.numbered([data.column(i) for i in plan.partition], len(ids))
        ranked = self._ranked(data, found.numbers)
        ranks = ranked.ranks(plan.function)
        chosen = ranked.rows[(ranks >= plan.start)[ranked.rows]]
        self._rows.remove(ids)
        for at in range(0, len(chosen), RESULT_ROWS_MAX):
            some = chosen[at : at + RESULT_ROWS_MAX]
            columns = [take_array(c, some) for c in data.columns]
            if plan.shown:
                columns.append(pa.array(ranks[some]))
            self.emit(pa.RecordBatch.from_arrays(columns, schema=self._schema))
