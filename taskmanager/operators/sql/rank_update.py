"""Top-N of rows that change: all rows are kept, the ranked ones and some behind them apart.

A partition's *head* are its first rows in order, as many as are ranked at least; all others are its
*rest*. Only heads are sorted: a row that comes behind the head joins the rest unseen, and a row of
the rest that is taken back changes no rank. When a head has lost so many rows that ranks are
missing, it is filled up from the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels.partition import take_array, take_batch
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.base import SqlOperator, signs
from lesto.taskmanager.operators.sql.rank_changes import RankChanges, Rows
from lesto.taskmanager.operators.sql.rank_order import Ranks, Sorted, sorted_rows
from lesto.taskmanager.operators.sql.rank_plan import TopN
from lesto.taskmanager.operators.sql.rank_rows import Flags, Ids, KeyedRows, Numbered, joined
from lesto.taskmanager.operators.sql.sort_order import sort_words

_ARRIVAL: Final = "arrival"
#: A last rank beyond this is as good as none.
_ENDLESS: Final = 1 << 60
_NONE: Final = np.zeros(0, np.int64)


@dataclass(slots=True)
class _Head:
    """Rows of the touched partitions' heads: those kept, of the batch, moved from the rest.

    Attributes:
        kept: ids in the head of those that were there.
        added: rows of the batch and of the rest that are in the head now.
        groups: int64[n], partitions of all rows.
        arrivals: int64[n].
    """

    kept: Ids
    added: pa.RecordBatch
    groups: Ids
    arrivals: Ids

    def __len__(self) -> int:
        return len(self.groups)


class TopNUpdateOperator(SqlOperator):
    """Gives the changes of the ranked rows.

    Args:
        settings: of the session.
        top: what is ranked.
        schema: of what is given.
        spare: rows beyond those that are ranked that a head is filled up to.
    """

    def __init__(
        self, settings: SqlSettings, top: TopN, schema: pa.Schema, spare: int = 256
    ) -> None:
        super().__init__(settings)
        self._top = top
        self._schema = schema
        self._filled = min(top.end, _ENDLESS) + spare

    def open(self) -> None:
        """Find the rows kept."""
        top, schema = self._top, self.input_schema()
        self._head, self._rest = (
            KeyedRows(self.backend, name, schema, top.partition, (_ARRIVAL,), top.ttl_ms)
            for name in ("top-n", "top-n-rest")
        )
        self._order_columns = [o.index for o in top.order]
        self._changes = RankChanges(
            top.start,
            top.end,
            top.function,
            top.with_rank,
            top.give_before,
            top.row_key,
            inserts=False,
        )
        self._missing = self.context.metrics.counter("retractions_ignored")
        self._arrived = 0
        for rows in (self._head, self._rest):
            ids = rows.table.live()
            if len(ids):
                self._arrived = max(self._arrived, int(rows.table.counter(_ARRIVAL)[ids].max()) + 1)

    # ------------------------------------------------------------------ a batch

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Rank the partitions of the batch."""
        assert isinstance(batch, ColumnarBatch)
        top, data = self._top, batch.data
        self._head.expire(self.context.clock)
        self._rest.expire(self.context.clock)
        adds = signs(batch.kinds, data.num_rows) > 0
        found = self._head.numbered([data.column(i) for i in top.partition], data.num_rows)
        plus, minus = np.flatnonzero(adds), np.flatnonzero(~adds)
        groups, kept = self._head.stored(found)
        behind = self._behind(found, groups, kept, data, plus)
        hashes = found.row_hashes if top.partition else None

        fresh = plus[~behind]
        arrivals = self._arrived + np.arange(len(plus))
        self._arrived += len(plus)
        self._added(self._rest, data, plus[behind], hashes, arrivals[behind])
        new_ids = self._added(self._head, data, fresh, hashes, arrivals[~behind])
        gone = self._taken_back(data, minus, hashes)

        kept_arrivals = self._head.table.counter(_ARRIVAL)[kept]
        head = _Head(
            kept,
            take_batch(data, fresh),
            np.concatenate([groups, found.numbers[fresh]]),
            np.concatenate([kept_arrivals, arrivals[~behind]]),
        )
        ids = np.concatenate([kept, new_ids])
        alive = ~np.isin(ids, gone)
        ranked = self._sorted(head)
        ranks = ranked.ranks(top.function, alive)
        short = self._short(found, head, ranks, alive)
        if len(short):
            head, ids, alive = self._filled_up(found, head, ids, alive, short)
            ranked = self._sorted(head)
            ranks = ranked.ranks(top.function, alive)
        self._give(ranked, ranks, head)
        self._head.remove(gone)
        self._shrink(found, ranked, ranks, head, ids, alive)

    def _sorted(self, head: _Head) -> Sorted:
        columns = []
        stored = self._head.table.take(head.kept, self._order_columns) if len(head.kept) else None
        for at, index in enumerate(self._order_columns):
            column = head.added.column(index)
            if stored is not None:
                column = pa.concat_arrays([stored.column(at), column])
            columns.append(column)
        words = sort_words(columns, self._top.order)
        # What arrived first stands first among equal rows, and is a peer of them still.
        by_arrival = np.argsort(head.arrivals, kind="stable")
        found = sorted_rows(head.groups[by_arrival], [w[by_arrival] for w in words])
        return Sorted(by_arrival[found.rows], found.groups, found.words)

    def _behind(
        self, found: Numbered, groups: Ids, kept: Ids, data: pa.RecordBatch, plus: Ids
    ) -> Flags:
        """Bool of ``plus``: the rows that come behind a head which does not hold all rows."""
        rest = self._counts(self._rest, found) > 0
        if not rest.any() or not len(plus):
            return np.zeros(len(plus), np.bool_)
        rows = np.concatenate([groups, found.numbers[plus]])
        arrivals = np.arange(len(rows))  # what comes now is later than what was there
        columns = take_batch(data, plus)
        ranked = self._sorted(_Head(kept, columns, rows, arrivals))
        place = np.empty(len(rows), np.int64)
        place[ranked.rows] = np.arange(len(rows))
        last = np.full(len(found), -1, np.int64)
        np.maximum.at(last, groups, place[: len(kept)])
        numbers = found.numbers[plus]
        return rest[numbers] & (place[len(kept) :] > last[numbers])

    def _counts(self, rows: KeyedRows, found: Numbered) -> Ids:
        """int64[keys]: how many rows each key has."""
        if not rows.keys:
            return np.full(len(found), len(rows.table), np.int64)
        return rows.table.match_counts(found.keys, found.hashes)

    def _added(
        self,
        rows: KeyedRows,
        data: pa.RecordBatch,
        chosen: Ids,
        hashes: np.ndarray | None,
        arrivals: Ids,
    ) -> Ids:
        if not len(chosen):
            return _NONE
        some = data if len(chosen) == data.num_rows else take_batch(data, chosen)
        ids = rows.add(some, None if hashes is None else hashes[chosen])
        rows.table.counter(_ARRIVAL)[ids] = arrivals
        rows.table.mark(ids)
        return ids

    def _taken_back(self, data: pa.RecordBatch, minus: Ids, hashes: np.ndarray | None) -> Ids:
        """Ids in the head that are taken back; those of the rest are removed."""
        if not len(minus):
            return _NONE
        gone = take_batch(data, minus)
        some = None if hashes is None else hashes[minus]
        ids = self._head.find(gone, some)
        left = np.flatnonzero(ids < 0)
        if len(left):
            rest = self._rest.find(take_batch(gone, left), None if some is None else some[left])
            self._missing.inc(int((rest < 0).sum()))
            self._rest.remove(rest[rest >= 0])
        return ids[ids >= 0]

    # ------------------------------------------------------------------ the size of heads

    def _short(self, found: Numbered, head: _Head, ranks: Ranks, alive: Flags) -> Ids:
        """Partitions whose head lacks ranked rows that the rest has."""
        rest = self._counts(self._rest, found) > 0
        if not rest.any():
            return _NONE
        if self._top.function == "ROW_NUMBER":
            enough = np.bincount(head.groups[alive], minlength=len(found)) >= self._top.end
        else:
            # A row behind the last rank shows that no other has it.
            enough = np.zeros(len(found), np.bool_)
            enough[head.groups[ranks > self._top.end]] = True
        return np.flatnonzero(rest & ~enough)

    def _filled_up(
        self, found: Numbered, head: _Head, ids: Ids, alive: Flags, short: Ids
    ) -> tuple[_Head, Ids, Flags]:
        """Move the first rows of the rest to the head."""
        rest = self._rest
        some = Numbered(
            np.arange(len(short)),
            short,
            [take_array(k, short) for k in found.keys],
            found.hashes[short] if rest.keys else found.hashes,
            found.row_hashes,
        )
        groups, rest_ids = rest.stored(some)
        arrivals = rest.table.counter(_ARRIVAL)[rest_ids]
        order = np.argsort(arrivals, kind="stable")
        groups, rest_ids, arrivals = groups[order], rest_ids[order], arrivals[order]
        columns = rest.table.take(rest_ids, self._order_columns).columns
        ranked = sorted_rows(groups, sort_words(columns, self._top.order))
        moved = ranked.ranks("ROW_NUMBER") <= self._filled
        if self._top.function != "ROW_NUMBER":
            moved |= ranked.ranks("DENSE_RANK") <= self._top.end + 1
        chosen = np.flatnonzero(moved)
        rows = rest.table.take(rest_ids[chosen])
        numbers = groups[chosen]
        rest.remove(rest_ids[chosen])
        hashes = some.hashes[numbers] if rest.keys else None
        new = self._added(self._head, rows, np.arange(len(chosen)), hashes, arrivals[chosen])
        filled = _Head(
            head.kept,
            joined([head.added, rows], head.added.schema),
            np.concatenate([head.groups, short[numbers]]),
            np.concatenate([head.arrivals, arrivals[chosen]]),
        )
        alive = np.concatenate([alive, np.ones(len(chosen), np.bool_)])
        return filled, np.concatenate([ids, new]), alive

    def _shrink(
        self,
        found: Numbered,
        ranked: Sorted,
        ranks: Ranks,
        head: _Head,
        ids: Ids,
        alive: Flags,
    ) -> None:
        """Move the last rows of large heads to the rest."""
        sizes = np.bincount(head.groups[alive], minlength=len(found))
        large = sizes > 2 * self._filled
        if not large.any():
            return
        places = ranks
        if self._top.function != "ROW_NUMBER":
            places = ranked.ranks("ROW_NUMBER", alive)
        # One row behind the ranked ones stays, to show that they are all there.
        shown = np.bincount(head.groups[alive & (ranks <= self._top.end)], minlength=len(found))
        stays = np.maximum(self._filled, shown + 1)
        leaves = np.flatnonzero(alive & large[head.groups] & (places > stays[head.groups]))
        if not len(leaves):
            return
        moved = ids[leaves]
        rows = self._head.table.take(moved)
        hashes = found.hashes[head.groups[leaves]] if self._head.keys else None
        arrivals = head.arrivals[leaves]
        self._head.remove(moved)
        self._added(self._rest, rows, np.arange(len(leaves)), hashes, arrivals)

    # ------------------------------------------------------------------ results

    def _give(self, ranked: Sorted, ranks: Ranks, head: _Head) -> None:
        old = len(head.kept)
        was = np.zeros(len(head), np.bool_)
        was[:old] = True
        old_ranks = ranked.ranks(self._top.function, was)
        place = np.arange(len(head)) - old
        table = self._head.table
        rows = Rows(old, lambda r: table.take(head.kept[r]), head.added, place)
        found = self._changes.between(ranked, old_ranks, ranks, rows)
        if found is not None:
            self.emit(pa.RecordBatch.from_arrays(found[0], schema=self._schema), found[1])
