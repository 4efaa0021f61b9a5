"""Top-N of rows that only come: of each partition the rows whose rank is within a range.

Per batch the rows of the partitions it touches are sorted once, with ranks before and after, and
what differs is given. A partition keeps the rows that are ranked; most rows of a batch are seen to
be too late in the order before anything else is looked at.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from lesto.common.elements import MAX_TIMESTAMP, Batch, ColumnarBatch
from lesto.kernels.partition import take_array, take_batch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator
from lesto.taskmanager.operators.sql.rank_bounds import Bounds
from lesto.taskmanager.operators.sql.rank_changes import RankChanges, Rows
from lesto.taskmanager.operators.sql.rank_order import Ranks, Sorted, sorted_rows
from lesto.taskmanager.operators.sql.rank_plan import TopN
from lesto.taskmanager.operators.sql.rank_rows import (
    RESULT_ROWS_MAX,
    Ids,
    KeyedRows,
    Numbered,
)
from lesto.taskmanager.operators.sql.sort_order import is_lasting, lead_words, sort_words


class TopNOperator(SqlOperator):
    """Gives the changes of the ranked rows.

    Args:
        settings: of the session.
        top: what is ranked.
        schema: of what is given.
    """

    def __init__(self, settings: SqlSettings, top: TopN, schema: pa.Schema) -> None:
        super().__init__(settings)
        self._top = top
        self._schema = schema
        self._ended = False

    def open(self) -> None:
        """Find the rows kept."""
        top, schema = self._top, self.input_schema()
        self._rows = KeyedRows(self.backend, "top-n", schema, top.partition, ttl_ms=top.ttl_ms)
        self._order_columns = [o.index for o in top.order]
        self._changes = RankChanges(
            top.start,
            top.end,
            top.function,
            top.with_rank,
            top.give_before,
            top.row_key,
            inserts=True,
        )
        self._bounds: Bounds | None = None
        if top.order and is_lasting(schema.field(top.order[0].index).type):
            types = [schema.field(i).type for i in top.partition]
            self._bounds = Bounds(types, top.function, top.end, len(top.order) > 1)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Rank the partitions of the batch."""
        assert isinstance(batch, ColumnarBatch)
        top, rows = self._top, self._rows
        if rows.expire(self.context.clock) and self._bounds is not None:
            self._bounds.clear()
        data = batch.data
        keys = [data.column(i) for i in top.partition]
        bounds = self._bounds
        chosen: Ids | None = None
        if bounds is not None and len(bounds):
            lead = lead_words(data.column(top.order[0].index), top.order[0])
            chosen = bounds.may_enter(keys, lead, data.num_rows)
            if not len(chosen):
                return
            keys = [take_array(k, chosen) for k in keys]
        count = data.num_rows if chosen is None else len(chosen)
        found = rows.numbered(keys, count)
        numbers, ids = rows.stored(found)
        ranked, columns = self._sorted(data, chosen, found, numbers, ids)
        new_ranks = ranked.ranks(top.function)
        old = len(ids)
        kept = new_ranks <= top.end
        entered = np.flatnonzero(kept[old:])
        if bounds is not None:
            lead = lead_words(columns[0], top.order[0])
            bounds.learn(found, ranked, new_ranks, kept, lead)
        if not len(entered):
            return
        fresh = entered if chosen is None else chosen[entered]
        added = take_batch(data, fresh)
        if not top.final:
            self._give(ranked, new_ranks, ids, added, entered + old)
        rows.remove(ids[~kept[:old]])
        rows.add(added, found.row_hashes[entered] if top.partition else None)

    def _sorted(
        self,
        data: pa.RecordBatch,
        chosen: Ids | None,
        found: Numbered,
        numbers: Ids,
        ids: Ids,
    ) -> tuple[Sorted, list[pa.Array]]:
        """Rows that are kept and then those of the batch, sorted; and the columns of the order."""
        columns = []
        stored = self._rows.table.take(ids, self._order_columns) if len(ids) else None
        for at, index in enumerate(self._order_columns):
            column = data.column(index)
            if chosen is not None:
                column = take_array(column, chosen)
            if stored is not None:
                column = pa.concat_arrays([stored.column(at), column])
            columns.append(column)
        words = sort_words(columns, self._top.order)
        groups = np.concatenate([numbers, found.numbers])
        return sorted_rows(groups, words), columns

    def _give(
        self,
        ranked: Sorted,
        new_ranks: Ranks,
        ids: Ids,
        added: pa.RecordBatch,
        added_rows: Ids,
    ) -> None:
        """Give what differs; rows are numbered: those of ``ids`` first, then those of the batch."""
        old = len(ids)
        chosen = np.zeros(len(new_ranks), np.bool_)
        chosen[:old] = True
        old_ranks = ranked.ranks(self._top.function, chosen)
        place = np.full(len(new_ranks), -1, np.int64)
        place[added_rows] = np.arange(len(added_rows))
        table = self._rows.table
        rows = Rows(old, lambda r: table.take(ids[r]), added, place)
        found = self._changes.between(ranked, old_ranks, new_ranks, rows)
        if found is not None:
            self.emit(pa.RecordBatch.from_arrays(found[0], schema=self._schema), found[1])

    # ------------------------------------------------------------------ the end of bounded input

    def process_watermark(self, timestamp: int) -> None:
        """Of bounded input the end of event time is passed on behind the rows."""
        if not (timestamp == MAX_TIMESTAMP and self._top.final):
            super().process_watermark(timestamp)

    def end_input(self, input_index: int = 0) -> None:
        """Of bounded input give the ranked rows: those before may have given theirs just now."""
        self._give_final()
        if self._top.final:
            super().process_watermark(MAX_TIMESTAMP)

    def _give_final(self) -> None:
        top, table = self._top, self._rows.table
        if not top.final or self._ended:
            return
        self._ended = True
        ids = table.live()
        if not len(ids):
            return
        columns = table.take(ids, [*top.partition, *self._order_columns])
        keys = columns.columns[: len(top.partition)]
        groups = self._rows.numbered(keys, len(ids)).numbers
        ranked = sorted_rows(groups, sort_words(columns.columns[len(keys) :], top.order))
        ranks = ranked.ranks(top.function)[ranked.rows]
        shown = (ranks >= top.start) & (ranks <= top.end)
        ids, ranks = ids[ranked.rows[shown]], ranks[shown]
        for at in range(0, len(ids), RESULT_ROWS_MAX):
            some = slice(at, at + RESULT_ROWS_MAX)
            found = table.take(ids[some]).columns
            if top.with_rank:
                found = [*found, pa.array(ranks[some])]
            self.emit(pa.RecordBatch.from_arrays(found, schema=self._schema))
