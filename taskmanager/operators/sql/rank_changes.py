"""What differs between two rankings, as the fewest changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from lesto.common.elements import RowKinds
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_batch
from lesto.taskmanager.operators.sql.rank_order import Ranks, Sorted
from lesto.taskmanager.operators.sql.rank_rows import (
    UA,
    UB,
    D,
    I,
    Ids,
    equal_rows,
    joined,
    key_hashes,
)

Take = Callable[[Ids], pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows by number: those that were kept come first, then those of the batch.

    Attributes:
        kept: how many were kept.
        take: gives kept rows.
        added: rows of the batch.
        place: int64[n], where a row lies in ``added``; -1 where it does not.
    """

    kept: int
    take: Take
    added: pa.RecordBatch
    place: Ids

    def gather(self, numbers: Ids) -> tuple[pa.RecordBatch, Ids]:
        """Some rows, and where each number lies among them."""
        old = np.unique(numbers[(numbers >= 0) & (numbers < self.kept)])
        parts = [self.take(old)] if len(old) else []
        whole = joined([*parts, self.added], self.added.schema)
        at = np.searchsorted(old, numbers)
        later = numbers >= self.kept
        at[later] = len(old) + self.place[numbers[later]]
        at[numbers < 0] = -1
        return whole, at


@dataclass(slots=True)
class _Pairs:
    """Rows before and after, by number, -1 for none, with their ranks.

    Attributes:
        out: where the row before is ranked no more.
    """

    before: Ids
    after: Ids
    old_ranks: Ranks
    new_ranks: Ranks
    out: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> _Pairs:
        return _Pairs(
            self.before[chosen],
            self.after[chosen],
            self.old_ranks[chosen],
            self.new_ranks[chosen],
            self.out[chosen],
        )

    def __len__(self) -> int:
        return len(self.before)


@dataclass(frozen=True, slots=True)
class RankChanges:
    """How a ranking is given.

    Attributes:
        start: first rank given.
        end: last rank given.
        function: of the ranks.
        with_rank: whether the rank is a column.
        give_before: whether updates are wanted with UB.
        row_key: a unique key of the rows, None for none.
        inserts: whether rows only come.
    """

    start: int
    end: int
    function: str
    with_rank: bool
    give_before: bool
    row_key: tuple[int, ...] | None
    inserts: bool

    def between(
        self, ranked: Sorted, old: Ranks, new: Ranks, rows: Rows
    ) -> tuple[list[pa.Array], RowKinds | None] | None:
        """Columns and kinds of what differs; None where nothing does.

        Args:
            ranked: the rows sorted by partition and order.
            old: ranks before, by row; 0 for a row that was not ranked.
            new: ranks after.
            rows: by number.
        """
        was = (old >= self.start) & (old <= self.end)
        now = (new >= self.start) & (new <= self.end)
        single = self.start == self.end
        if self.function == "ROW_NUMBER" and (self.with_rank or single):
            pairs = self._by_rank(ranked, old, new, was, now)
        else:
            differs = (was != now) | (was & (old != new)) if self.with_rank else was != now
            at = np.flatnonzero(differs)
            before, after = np.where(was[at], at, -1), np.where(now[at], at, -1)
            pairs = _Pairs(before, after, old[at], new[at], ~now[at])
        if not len(pairs.before):
            return None
        return self._given(pairs, rows)

    def _by_rank(
        self, ranked: Sorted, old: Ranks, new: Ranks, was: np.ndarray, now: np.ndarray
    ) -> _Pairs:
        """The rows that a rank had and has."""
        order, groups = ranked.rows, ranked.groups
        base = int(max(old.max(initial=0), new.max(initial=0))) + 1
        had, has = was[order], now[order]
        before, after = order[had], order[has]
        code_before = groups[had] * base + old[before]
        code_after = groups[has] * base + new[after]
        codes = _union(code_before, code_after)
        pairs = _Pairs(
            np.full(len(codes), -1, np.int64),
            np.full(len(codes), -1, np.int64),
            codes % base,
            codes % base,
            np.zeros(len(codes), np.bool_),
        )
        pairs.before[np.searchsorted(codes, code_before)] = before
        pairs.after[np.searchsorted(codes, code_after)] = after
        pairs.out = (pairs.before >= 0) & ~now[np.where(pairs.before >= 0, pairs.before, 0)]
        return pairs[pairs.before != pairs.after]

    def _given(self, pairs: _Pairs, rows: Rows) -> tuple[list[pa.Array], RowKinds | None] | None:
        whole, at = rows.gather(np.concatenate([pairs.before, pairs.after]))
        n = len(pairs.before)
        pairs = _Pairs(at[:n], at[n:], pairs.old_ranks, pairs.new_ranks, pairs.out)
        if not self.inserts:
            pairs = _paired(pairs, whole, self.row_key)
        pairs = _without_equal(pairs, whole, ranked=self.with_rank)
        if self.row_key is not None and not self.give_before:
            pairs = _with_lost(pairs, whole, self.row_key)
        source, kinds, ranks = _laid_out(pairs, give_before=self.give_before)
        if not len(source):
            return None
        columns = take_batch(whole, source).columns
        if self.with_rank:
            columns = [*columns, pa.array(ranks)]
        return columns, kinds if kinds.any() else None


def _union(a: Ids, b: Ids) -> Ids:
    """Values of either, ascending; both ascend and have none twice."""
    both = np.concatenate([a, b])
    both.sort(kind="stable")  # merges what is sorted
    return both[np.append(True, both[1:] != both[:-1])] if len(both) else both


def given_pairs(
    whole: pa.RecordBatch,
    before: Ids,
    after: Ids,
    *,
    give_before: bool,
    row_key: tuple[int, ...] | None,
) -> tuple[pa.RecordBatch, RowKinds | None] | None:
    """Changes of rows that were and rows that are; None where nothing differs.

    Args:
        whole: rows.
        before: int64[k], rows that were, -1 for none.
        after: int64[k], what they are now, -1 for none.
        give_before: whether updates are wanted with UB.
        row_key: a row that goes and one that comes with the same values here are an update; None:
            there is no such key.
    """
    same = np.zeros(len(before), np.int64)
    pairs = _Pairs(before, after, same, same.copy(), after < 0)
    pairs = _paired(pairs, whole, row_key)
    source, kinds, _ = _laid_out(
        _without_equal(pairs, whole, ranked=False), give_before=give_before
    )
    if not len(source):
        return None
    return take_batch(whole, source), kinds if kinds.any() else None


def _laid_out(pairs: _Pairs, *, give_before: bool) -> tuple[Ids, RowKinds, Ranks]:
    """Rows, kinds and ranks of changes."""
    had, has = pairs.before >= 0, pairs.after >= 0
    both, gone = had & has, had & ~has
    # What goes stands in front of what comes: they may have the same key.
    order = np.concatenate([np.flatnonzero(gone), np.flatnonzero(~gone)])
    pairs, both, gone, has = pairs[order], both[order], gone[order], has[order]
    first = (gone | both) if give_before else gone
    chosen = np.stack([first, has], 1)
    source = np.stack([pairs.before, pairs.after], 1)[chosen]
    kinds = np.stack([np.where(gone, D, UB), np.where(both, UA, I)], 1)[chosen]
    ranks = np.stack([pairs.old_ranks, pairs.new_ranks], 1)[chosen]
    return source, kinds.astype(np.int8), ranks


def _without_equal(pairs: _Pairs, whole: pa.RecordBatch, *, ranked: bool) -> _Pairs:
    both = (pairs.before >= 0) & (pairs.after >= 0)
    if ranked:
        both &= pairs.old_ranks == pairs.new_ranks
    at = np.flatnonzero(both)
    if not len(at):
        return pairs
    same = equal_rows(take_batch(whole, pairs.before[at]), take_batch(whole, pairs.after[at]))
    if not same.any():
        return pairs
    stays = np.ones(len(both), np.bool_)
    stays[at[same]] = False
    return pairs[stays]


def _with_lost(pairs: _Pairs, whole: pa.RecordBatch, key: tuple[int, ...]) -> _Pairs:
    """Deletes of rows whose rank another row has now.

    Who tells rows by a key of their own, and gets no UB, must hear that they are ranked no more.
    """
    at = np.flatnonzero(pairs.out & (pairs.before >= 0) & (pairs.after >= 0))
    if not len(at):
        return pairs
    some = whole.select(list(key))
    same = equal_rows(take_batch(some, pairs.before[at]), take_batch(some, pairs.after[at]))
    at = at[~same]
    both = pairs[np.concatenate([at, np.arange(len(pairs))])]
    both.after[: len(at)] = -1
    return both


def _paired(pairs: _Pairs, whole: pa.RecordBatch, key: tuple[int, ...] | None) -> _Pairs:
    """A row that goes and one of the same key that comes are an update; without key, equal rows."""
    goes = np.flatnonzero((pairs.before >= 0) & (pairs.after < 0))
    comes = np.flatnonzero((pairs.before < 0) & (pairs.after >= 0))
    if not len(goes) or not len(comes):
        return pairs
    if key is None:
        if any(pat.is_nested(kind) for kind in whole.schema.types):
            return pairs
        key = tuple(range(whole.num_columns))
    some = whole.select(list(key))
    columns = take_batch(some, np.concatenate([pairs.before[goes], pairs.after[comes]])).columns
    index = HashIndex([c.type for c in columns])
    numbers, _ = index.lookup_or_insert(columns, key_hashes(columns))
    # The n-th row of a key that goes meets the n-th one that comes.
    keys = index.slot_bound
    going, coming = _counted(numbers[: len(goes)], keys), _counted(numbers[len(goes) :], keys)
    order = np.argsort(going)
    at = np.searchsorted(going[order], coming)
    at = order[np.minimum(at, len(order) - 1)]
    met = going[at] == coming
    partner = goes[at[met]]
    pairs.after[partner] = pairs.after[comes[met]]
    pairs.new_ranks[partner] = pairs.new_ranks[comes[met]]
    stays = np.ones(len(pairs.before), np.bool_)
    stays[comes[met]] = False
    return pairs[stays]


def _counted(numbers: Ids, keys: int) -> Ids:
    """Numbers, made distinct by how often each has occurred before."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    found = np.empty(len(numbers), np.int64)
    since = np.repeat(first, np.diff(np.append(first, len(numbers))))
    found[order] = np.arange(len(numbers)) - since
    return found * keys + numbers
