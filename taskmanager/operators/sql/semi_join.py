"""Left rows that have, or have no, partner: IN, EXISTS, NOT IN, NOT EXISTS.

Of the right side only the distinct values of the columns that matter are kept, with the number of
rows that have them: a right row matters when it is the first of its values, or was the last. Left
rows carry the number of their partners among these.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import RowKinds
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_batch
from lesto.sql.expressions import Expression
from lesto.sql.rewrite import input_refs, remap_refs
from lesto.sql.settings import SqlSettings
from lesto.state.row_table import RowTable, RowTableDescriptor
from lesto.taskmanager.operators.sql.base import DELETE, INSERT, UPDATE_BEFORE, signs
from lesto.taskmanager.operators.sql.join import PARTNERS, TABLE_NAMES, KeepingJoin, recounted
from lesto.taskmanager.operators.sql.join_results import Flags, Ids, ResultRows, Rows, updates_of
from lesto.taskmanager.operators.sql.join_sides import (
    Arrivals,
    Delta,
    JoinSide,
    columns_of,
    delta,
    last_of_keys,
    not_null,
    row_hashes,
)
from lesto.taskmanager.operators.sql.join_steps import RESULT_ROWS_MAX

#: Counter of right values: how many rows have them.
COPIES: Final = "copies"


class SemiJoinOperator(KeepingJoin):
    """SEMI and ANTI joins.

    Args:
        settings: of the session.
        left: of input 0.
        right: of input 1.
        condition: see :class:`~lesto.taskmanager.operators.sql.join.KeepingJoin`.
        schema: of the results.
        anti: whether rows without a partner are given, not those with one.
        before: whether updates are to come with what was before.
        final: whether inputs only insert and only the last result counts.
        ttl_ms: how long an idle row is kept, 0 for good; or of each side.
    """

    def __init__(
        self,
        settings: SqlSettings,
        left: JoinSide,
        right: JoinSide,
        condition: Expression | None,
        schema: pa.Schema,
        anti: bool,
        before: bool,
        final: bool,
        ttl_ms: int | tuple[int, int],
    ) -> None:
        refs = set() if condition is None else input_refs(condition)
        #: Right columns that are kept.
        self._wanted = sorted(set(right.keys) | {i - left.width for i in refs if i >= left.width})
        places = {i: at for at, i in enumerate(self._wanted)}
        if condition is not None:
            moved = {i: i if i < left.width else left.width + places[i - left.width] for i in refs}
            condition = remap_refs(condition, moved)
        super().__init__(settings, left, right, condition, ttl_ms)
        self._given_keys = right.keys
        self._kept_keys = tuple(places[i] for i in right.keys)
        self._schema = schema
        self._anti = anti
        self._before = before
        self._final = final

    def descriptor(self, index: int) -> RowTableDescriptor:
        """Left rows with their partners, right values with the number of rows that have them."""
        schema = self.input_schema(index)
        if not index:
            keys = self.sides[0].keys
            return RowTableDescriptor(TABLE_NAMES[0], schema, keys, (PARTNERS,), self.ttls[0])
        values = pa.schema([schema.field(i) for i in self._wanted] or [_nothing()])
        return RowTableDescriptor(TABLE_NAMES[1], values, self._kept_keys, (COPIES,), self.ttls[1])

    def open(self) -> None:
        """Get the restored rows."""
        super().open()
        self._results = ResultRows(self._schema, (self.sides[0].width, 0), self.emit)

    def join(self, rows: Arrivals) -> None:
        """Give what the rows of one side bring, and keep them."""
        self.expire()
        if rows.index:
            self._right(rows)
        else:
            self._left(rows)
        self._results.flush()

    def shows(self, partners: Ids) -> Flags:
        """bool[n]: rows that are given, by the number of their partners."""
        return partners == 0 if self._anti else partners > 0

    # left rows -----------------------------------------------------------------------------------

    def _left(self, rows: Arrivals) -> None:
        change = delta(self.sides[0], self.tables[0], rows, forgetful=self.ttl_ms > 0)
        if not len(change.rows):
            return
        partners = self.partners_of(change)
        given = self.shows(partners)
        if self._final and self._anti:
            # Kept rows may yet find a partner.
            given = given & ~self.stored(change)
        self._give_left(change, given)
        self.store(change, partners)

    def partners_of(self, change: Delta) -> Ids:
        """int64[n]: partners of left rows among the right values."""
        at, _ = self.pairs(change)
        return np.bincount(at, minlength=len(change.rows)).astype(np.int64)

    def _give_left(self, change: Delta, given: Flags) -> None:
        data, kinds = change.rows.data, change.kinds
        if not self._before and (kinds == UPDATE_BEFORE).any():
            replaced = updates_of(data, kinds, self.sides[0].identity)
            given = given & ~(replaced & np.append(given[1:], False))
            kinds = np.where(kinds == UPDATE_BEFORE, DELETE, kinds).astype(np.int8)
        rows = np.flatnonzero(given)
        if len(rows) < len(given):
            data, kinds = take_batch(data, rows), kinds[rows]
        self._results.alone(data, kinds if kinds.any() else None)

    # right rows ----------------------------------------------------------------------------------

    def _right(self, rows: Arrivals) -> None:
        change = self._values(rows)
        if change is not None:
            self.right_changed(change)

    def right_changed(self, change: Delta) -> None:
        """Right values have come (1) or gone (-1)."""
        at, ids = self.pairs(change)
        if len(at):
            self.left_changed(ids, change.signs[at])

    def left_changed(self, ids: Ids, sign: np.ndarray) -> None:
        """Left rows have got (1) or lost (-1) a partner."""
        again = recounted(self.tables[0], ids, sign)
        came, went = (again.lost, again.found) if self._anti else (again.found, again.lost)
        if self._final and self._anti:
            return
        self._others(again.ids[went], DELETE)
        self._others(again.ids[came], INSERT)

    def _others(self, ids: Ids, kind: int) -> None:
        for start in range(0, len(ids), RESULT_ROWS_MAX):
            some = ids[start : start + RESULT_ROWS_MAX]
            kinds: RowKinds | None = np.full(len(some), kind, np.int8) if kind else None
            self._results.alone(self.tables[0].take(some), kinds)

    def _values(self, rows: Arrivals) -> Delta | None:
        """The right values that come or go, in the form in which they are kept."""
        keyed = self.right_keyed(rows)
        if keyed is not None:
            rows = rows.take(np.flatnonzero(keyed))
        table = self.tables[1]
        sign = signs(rows.kinds, len(rows)).astype(np.int64)
        columns = columns_of(rows.data, self._wanted)
        if not columns:
            columns = [pa.nulls(len(rows), pa.int8())]
        data = pa.RecordBatch.from_arrays(columns, schema=table.descriptor.schema)
        hashes = rows.hashes
        if self.sides[1].upsert:
            data, hashes, sign = self._replaced(data, hashes, sign)
        slots, fresh = _grouped(data)
        change = np.bincount(slots, weights=sign, minlength=len(fresh)).astype(np.int64)
        some = np.flatnonzero(change)
        if not len(some):
            return None
        fresh, change = fresh[some], change[some]
        data, hashes = take_batch(data, fresh), None if hashes is None else hashes[fresh]
        ids = table.find(data, hashes)
        return self._copied(data, hashes, ids, change)

    def right_keyed(self, rows: Arrivals) -> Flags | None:
        """bool[n], False for rows that never count: those with a NULL key; None for none."""
        return not_null(rows.data, self._given_keys)

    def _replaced(
        self, data: pa.RecordBatch, hashes: np.ndarray | None, sign: np.ndarray
    ) -> tuple[pa.RecordBatch, np.ndarray | None, np.ndarray]:
        """Of upserts: also what they replace, as rows that go."""
        assert hashes is not None, "upserts have a key"
        last = last_of_keys(columns_of(data, self._kept_keys), hashes)
        if last is not None:
            data, hashes, sign = take_batch(data, last), hashes[last], sign[last]
        at, ids = self.tables[1].matches(columns_of(data, self._kept_keys), hashes)
        coming = np.flatnonzero(sign > 0)
        old = pa.RecordBatch.from_arrays(self.tables[1].take(ids).columns, schema=data.schema)
        both = pa.concat_batches([old, take_batch(data, coming)])
        sign = np.concatenate([np.full(len(ids), -1), np.ones(len(coming), np.int64)])
        return both, np.concatenate([hashes[at], hashes[coming]]), sign

    def _copied(
        self, data: pa.RecordBatch, hashes: np.ndarray | None, ids: Ids, change: np.ndarray
    ) -> Delta | None:
        """Count the rows that have the values; what appears or disappears."""
        table = self.tables[1]
        known = ids >= 0
        before = np.zeros(len(ids), np.int64)
        before[known] = table.counter(COPIES)[ids[known]]
        after = np.maximum(before + change, 0)
        stays = known & (after > 0)
        table.counter(COPIES)[ids[stays]] = after[stays]
        table.mark(ids[stays])
        goes, comes = known & (after == 0), ~known & (after > 0)
        if goes.any():
            table.remove(ids[goes])
        if comes.any():
            new = np.flatnonzero(comes)
            added = table.add(take_batch(data, new), None if hashes is None else hashes[new])
            table.counter(COPIES)[added] = after[comes]
            table.mark(added)
        some = np.flatnonzero(goes | comes)
        if not len(some):
            return None
        sign = np.where(comes[some], 1, -1).astype(np.int8)
        rows = Arrivals(take_batch(data, some), None, 1, None if hashes is None else hashes[some])
        return Delta(rows, sign, np.full(len(some), -1), None)

    def _met(self, change: Delta, other: RowTable) -> tuple[Rows, Ids]:
        if not change.rows.index:
            return super()._met(change, other)
        keys = self._kept_keys
        if not keys:
            every = other.live()
            n = len(change.rows)
            return np.repeat(np.arange(n), len(every)), np.tile(every, n)
        rows = change.rows
        return other.matches(columns_of(rows.data, keys), rows.hashes)

    # the end -------------------------------------------------------------------------------------

    def finale(self) -> Iterator[None]:
        """When only the last result counts: left rows without a partner. They are gone then."""
        if not (self._final and self._anti):
            return
        table = self.tables[0]
        every = table.live()
        alone = every[table.counter(PARTNERS)[every] == 0]
        for start in range(0, len(alone), RESULT_ROWS_MAX):
            some = alone[start : start + RESULT_ROWS_MAX]
            self._results.alone(table.take(some), None)
            self._results.flush()
            table.remove(some)
            yield


def _nothing() -> pa.Field:
    """The column of right rows of which nothing matters but that they are there."""
    return pa.field("any", pa.int8())


def _grouped(data: pa.RecordBatch) -> tuple[np.ndarray, np.ndarray]:
    """Number of each row's values, and the first row of each: (int64[n], int64[groups])."""
    index = HashIndex(data.schema.types, capacity=max(8, data.num_rows))
    slots, _ = index.lookup_or_insert(data.columns, row_hashes(data))
    return slots, index.new_rows.copy()


class NotInOperator(SemiJoinOperator):
    """``x NOT IN (query of y)``: a row is given while nothing says that x may be among the y.

    A NULL among the y may be any x; a NULL x may be any y. All rows of both sides come to one
    subtask, for a NULL there speaks of all rows here. Partners of a row are the distinct y which
    it may equal. The sides have one key each, whose NULLs count, and there is no condition.
    """

    def right_keyed(self, rows: Arrivals) -> Flags | None:
        """NULLs count."""
        return None

    def partners_of(self, change: Delta) -> Ids:
        """int64[n]: distinct y that each x may equal."""
        values = self.tables[1]
        x = change.rows.data.column(self.sides[0].keys[0])
        at, _ = values.matches([x], change.rows.hashes)
        found = np.bincount(at, minlength=len(x)).astype(np.int64)
        unknown = x.is_null().to_numpy(zero_copy_only=False)
        null = pa.record_batch([pa.nulls(1, x.type)], schema=values.descriptor.schema)
        has_null = int(values.find(null)[0] >= 0)
        return np.where(unknown, len(values), found + has_null)

    def right_changed(self, change: Delta) -> None:
        """A y has come or gone: for its x, and for NULLs; a NULL for all."""
        left, y = self.tables[0], change.rows.data.column(0)
        sign = change.signs.astype(np.int64)
        null = y.is_null().to_numpy(zero_copy_only=False)
        at, ids = left.matches([y], change.rows.hashes)
        met = ~null[at]
        parts, weights = [ids[met]], [sign[at[met]]]
        _, unknown = left.matches([pa.nulls(1, y.type)])
        if len(unknown):
            parts.append(unknown)
            weights.append(np.full(len(unknown), sign.sum()))
        if null.any():
            every = np.setdiff1d(left.live(), unknown)
            parts.append(every)
            weights.append(np.full(len(every), sign[null].sum()))
        self.left_changed(np.concatenate(parts), np.concatenate(weights))
