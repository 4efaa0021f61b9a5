"""The regular join: inner and outer, of inputs whose rows come, change and go.

Both sides' rows are kept, by the columns that must be equal. A batch of one side meets the other
side's rows all at once. Rows of an outer side carry the number of their partners, so that a row is
given without a partner exactly while it has none; what a batch does to that number is netted.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import RowKinds
from lesto.kernels import jit
from lesto.kernels.partition import take_batch
from lesto.sql.expressions import Expression
from lesto.sql.settings import SqlSettings
from lesto.state.row_table import RowTable, RowTableDescriptor
from lesto.taskmanager.operators.sql.base import DELETE, INSERT, UPDATE_AFTER, UPDATE_BEFORE
from lesto.taskmanager.operators.sql.join_results import (
    Flags,
    Ids,
    PairCondition,
    ResultRows,
    Rows,
    updates_of,
)
from lesto.taskmanager.operators.sql.join_sides import (
    Arrivals,
    Delta,
    JoinSide,
    columns_of,
    delta,
)
from lesto.taskmanager.operators.sql.join_steps import (
    PAIRS_MAX,
    RESULT_ROWS_MAX,
    SteppedOperator,
)

#: Counter of an outer side's rows: how many partners a row has.
PARTNERS: Final = "partners"
#: Idle rows are looked for once in so long, ms.
EXPIRE_EVERY_MS: Final = 1_000
TABLE_NAMES: Final = ("left-rows", "right-rows")


class KeepingJoin(SteppedOperator):
    """What regular joins share: tables of both sides' rows, the pairs of a batch.

    Args:
        settings: of the session.
        left: of input 0.
        right: of input 1.
        condition: what pairs must meet besides equal keys, over ``left.width`` left columns and
            then the right ones; None for nothing.
        ttl_ms: how long an idle row is kept, 0 for good; or of each side.
    """

    def __init__(
        self,
        settings: SqlSettings,
        left: JoinSide,
        right: JoinSide,
        condition: Expression | None,
        ttl_ms: int | tuple[int, int],
    ) -> None:
        super().__init__(settings, (left.keys, right.keys))
        self.sides = (left, right)
        self._condition_given = condition
        self.condition: PairCondition | None = None
        self.ttls = ttl_ms if isinstance(ttl_ms, tuple) else (ttl_ms, ttl_ms)
        #: The shorter of the times, 0 if nothing is forgotten.
        self.ttl_ms = min((ms for ms in self.ttls if ms), default=0)
        self.tables: tuple[RowTable, RowTable]
        self._expire_at = 0

    def descriptor(self, index: int) -> RowTableDescriptor:
        """Of the rows of a side."""
        side = self.sides[index]
        counters = (PARTNERS,) if side.outer else ()
        schema = self.input_schema(index)
        return RowTableDescriptor(TABLE_NAMES[index], schema, side.keys, counters, self.ttls[index])

    def open(self) -> None:
        """Get the restored rows."""
        super().open()
        jit.warm(("hashing", "rows"))
        if self._condition_given is not None:
            self.condition = PairCondition(
                self._condition_given, self.sides[0].width, self.evaluation
            )
        first, second = (self.backend.row_table(self.descriptor(i)) for i in (0, 1))
        self.tables = (first, second)
        self.restore_rest()

    def piece(self, rows: Arrivals) -> int:
        """As many rows as meet a bounded number of others."""
        other = self.tables[1 - rows.index]
        most = len(other)
        if len(rows) * most <= PAIRS_MAX:
            return len(rows)
        if not self.keys[0]:
            return max(1, PAIRS_MAX // most)
        keys = columns_of(rows.data, self.keys[rows.index])
        met = np.cumsum(other.match_counts(keys, rows.hashes))
        return max(1, int(np.searchsorted(met, PAIRS_MAX, side="right")))

    def expire(self) -> None:
        """Now and then, forget rows that were idle for too long."""
        if not self.ttl_ms:
            return
        now = self.context.clock.now_ms()
        if now >= self._expire_at:
            self._expire_at = now + min(EXPIRE_EVERY_MS, self.ttl_ms)
            for table in self.tables:
                table.expire(now)

    def pairs(self, change: Delta) -> tuple[Rows, Ids]:
        """Rows and their partners: (number of the row, id in the other side's table)."""
        rows = change.rows
        other = self.tables[1 - rows.index]
        at, ids = self._met(change, other)
        if self.condition is not None and len(at):
            mask = self.condition.mask(rows.data, at, rows.index, other, ids)
            if not mask.all():
                at, ids = at[mask], ids[mask]
        return at, ids

    def _met(self, change: Delta, other: RowTable) -> tuple[Rows, Ids]:
        rows, keys = change.rows, self.keys[change.rows.index]
        if not keys:
            every = other.live()
            return np.repeat(np.arange(len(rows)), len(every)), np.tile(every, len(rows))
        if change.keyed is None:
            return other.matches(columns_of(rows.data, keys), rows.hashes)
        some = np.flatnonzero(change.keyed)
        part = rows.take(some)
        at, ids = other.matches(columns_of(part.data, keys), part.hashes)
        return some[at], ids

    def stored(self, change: Delta) -> Flags:
        """bool[n]: rows that come and are kept. A NULL key meets nothing, ever."""
        coming: Flags = change.signs > 0
        if change.keyed is None or self.sides[change.rows.index].upsert:
            return coming
        return coming & change.keyed

    def store(self, change: Delta, partners: Ids | None = None) -> None:
        """Keep rows that come, drop those that go.

        Args:
            change: of one side.
            partners: int64[n], of an outer side.
        """
        table = self.tables[change.rows.index]
        going = change.ids[change.ids >= 0]
        if len(going):
            table.remove(going)
        kept = self.stored(change)
        if not kept.any():
            return
        if kept.all():
            ids = table.add(change.rows.data, change.rows.hashes)
        else:
            rows = change.rows.take(np.flatnonzero(kept))
            ids = table.add(rows.data, rows.hashes)
            partners = None if partners is None else partners[kept]
        if partners is not None:
            table.counter(PARTNERS)[ids] = partners
            table.mark(ids)


@dataclass(slots=True)
class Recounted:
    """Rows of the other side whose number of partners has changed.

    Attributes:
        ids: of the rows.
        place: int64[m] of the pairs, in ``ids``.
        found: rows that had no partner and have one.
        lost: rows that had one and have none.
    """

    ids: Ids
    place: Rows
    found: Flags
    lost: Flags


def recounted(table: RowTable, ids: Ids, sign: np.ndarray) -> Recounted:
    """Count partners that come (1) and go (-1), all at once.

    Args:
        table: of the rows.
        ids: int64[m], a row as often as it has new or lost partners.
        sign: int8[m].
    """
    unique, place = np.unique(ids, return_inverse=True)
    change = np.bincount(place, weights=sign, minlength=len(unique)).astype(np.int64)
    counter = table.counter(PARTNERS)
    before = counter[unique]
    # A partner that idle state has forgotten may go once more.
    after = np.maximum(before + change, 0)
    counter[unique] = after
    moved = before != after
    if moved.any():
        table.mark(unique[moved])
    return Recounted(unique, place, (before == 0) & (after > 0), (before > 0) & (after == 0))


class JoinOperator(KeepingJoin):
    """INNER, LEFT, RIGHT and FULL joins; a side whose rows are given without a partner is outer.

    Args:
        settings: of the session.
        left: of input 0.
        right: of input 1.
        condition: see :class:`KeepingJoin`.
        schema: of the results.
        before: whether updates are to come with what was before.
        final: whether inputs only insert and only the last result counts: rows without a partner
            are given at the end.
        ttl_ms: how long an idle row is kept, 0 for good; or of each side.
    """

    def __init__(
        self,
        settings: SqlSettings,
        left: JoinSide,
        right: JoinSide,
        condition: Expression | None,
        schema: pa.Schema,
        before: bool,
        final: bool,
        ttl_ms: int | tuple[int, int],
    ) -> None:
        super().__init__(settings, left, right, condition, ttl_ms)
        self._schema = schema
        self._before = before
        self._final = final
        outer = left.outer + right.outer
        #: By side: whether one row of it at most meets a row of the other, so that it takes the
        #: place of the row without a partner.
        self._replaces = tuple(side.unique and outer == 1 for side in (left, right))

    def open(self) -> None:
        """Get the restored rows."""
        super().open()
        widths = (self.sides[0].width, self.sides[1].width)
        self._results = ResultRows(self._schema, widths, self.emit)

    def join(self, rows: Arrivals) -> None:
        """Give what the rows of one side bring, and keep them."""
        self.expire()
        index = rows.index
        side, other = self.sides[index], self.tables[1 - index]
        forgetful = self.ttl_ms > 0
        change = delta(side, self.tables[index], rows, forgetful=forgetful)
        if not len(change.rows):
            return
        at, ids = self.pairs(change)
        partners = np.bincount(at, minlength=len(change.rows)) if side.outer else None
        again = None
        if self.sides[1 - index].outer and len(at):
            again = recounted(other, ids, change.signs[at])
        self._give(change, at, ids, partners, again)
        self.store(change, partners)

    # results -------------------------------------------------------------------------------------

    def _give(
        self, change: Delta, at: Rows, ids: Ids, partners: Ids | None, again: Recounted | None
    ) -> None:
        """What goes without a partner, then pairs, then what comes without a partner."""
        results, index = self._results, change.rows.index
        other = self.tables[1 - index]
        if change.rows.kinds is None and again is None and partners is None:
            results.pairs(change.rows.data, at, index, other, ids, None)
            results.flush()
            return
        kinds = change.kinds
        alone = None if partners is None else partners == 0
        if self._final and alone is not None:
            alone &= False if change.keyed is None else ~change.keyed
        replaced = (
            None
            if self._before
            else updates_of(change.rows.data, kinds, self.sides[index].identity)
        )
        if alone is not None:
            self._alone(change, kinds, alone & (change.signs < 0), alone, replaced)
        if again is not None and not self._final:
            kind = UPDATE_BEFORE if self._before and self._replaces[index] else DELETE
            self._others(again.ids[again.found], index, kind)
        self._pairs_given(change, at, ids, kinds, again, replaced)
        if alone is not None:
            self._alone(change, kinds, alone & (change.signs > 0), alone, None)
        if again is not None and not self._final:
            kind = UPDATE_AFTER if self._before and self._replaces[index] else INSERT
            self._others(again.ids[again.lost], index, kind)
        results.flush()

    def _alone(
        self, change: Delta, kinds: RowKinds, chosen: Flags, alone: Flags, replaced: Flags | None
    ) -> None:
        """Rows of the batch without a partner."""
        if replaced is not None:
            # What is before an update is left out where the next row is what it becomes.
            chosen = chosen & ~(replaced & np.append(alone[1:], False))
        rows = np.flatnonzero(chosen)
        if not len(rows):
            return
        given = kinds[rows]
        if replaced is not None:
            given = np.where(given == UPDATE_BEFORE, DELETE, given).astype(np.int8)
        data = change.rows.data if len(rows) == len(alone) else take_batch(change.rows.data, rows)
        self._results.padded(data, change.rows.index, given if given.any() else None)

    def _others(self, ids: Ids, index: int, kind: int) -> None:
        """Rows of the other side, whose first partner has come or last has gone."""
        table = self.tables[1 - index]
        for start in range(0, len(ids), RESULT_ROWS_MAX):
            some = ids[start : start + RESULT_ROWS_MAX]
            self._results.padded(table.take(some), 1 - index, np.full(len(some), kind, np.int8))

    def _pairs_given(
        self,
        change: Delta,
        at: Rows,
        ids: Ids,
        kinds: RowKinds,
        again: Recounted | None,
        replaced: Flags | None,
    ) -> None:
        given = kinds[at]
        index = change.rows.index
        if replaced is not None:
            if (given == UPDATE_BEFORE).any():
                kept = ~_becoming(at, ids, replaced)
                at, ids, given = at[kept], ids[kept], given[kept]
                given = np.where(given == UPDATE_BEFORE, DELETE, given).astype(np.int8)
        elif again is not None and self._replaces[index] and not self._final:
            came = again.found[again.place] & (given == INSERT)
            went = again.lost[again.place] & (given == DELETE)
            given = np.where(came, UPDATE_AFTER, np.where(went, UPDATE_BEFORE, given))
            given = given.astype(np.int8)
        other = self.tables[1 - index]
        kinds_given = given if given.any() else None
        self._results.pairs(change.rows.data, at, index, other, ids, kinds_given)

    # the end -------------------------------------------------------------------------------------

    def finale(self) -> Iterator[None]:
        """When only the last result counts: rows that found no partner. They are gone then."""
        if not self._final:
            return
        for index, (side, table) in enumerate(zip(self.sides, self.tables, strict=True)):
            if not side.outer:
                continue
            every = table.live()
            alone = every[table.counter(PARTNERS)[every] == 0]
            for start in range(0, len(alone), RESULT_ROWS_MAX):
                some = alone[start : start + RESULT_ROWS_MAX]
                self._results.padded(table.take(some), index, None)
                self._results.flush()
                table.remove(some)
                yield


def _becoming(at: Rows, ids: Ids, replaced: Flags) -> Flags:
    """bool[m]: pairs of a row that is replaced, whose partner the next row has too."""
    behind = np.append(False, replaced[:-1])
    bound = int(ids.max()) + 1 if len(ids) else 1
    old, new = replaced[at], behind[at]
    found: Flags = np.zeros(len(at), np.bool_)
    found[old] = np.isin((at[old] + 1) * bound + ids[old], at[new] * bound + ids[new])
    return found
