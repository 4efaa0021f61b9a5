"""What SQL's joins know of their inputs, and an input's batch made ready to be joined."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.elements import RowKinds
from lesto.kernels import hashing
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_batch
from lesto.state.row_table import RowTable
from lesto.taskmanager.operators.sql.base import (
    DELETE,
    INSERT,
    UPDATE_AFTER,
    UPDATE_BEFORE,
    Signs,
    signs,
)

Hashes = npt.NDArray[np.uint64]
Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class JoinSide:
    """An input of a join.

    Attributes:
        keys: positions of the columns that must equal the other side's.
        width: number of columns that become the result's; what is behind only helps to join.
        unique: whether the keys are a unique key of the input.
        upsert: whether its updates come without what was before: then the keys are unique, and a
            row takes the place of that with the same keys.
        outer: whether rows without a partner are given.
        identity: columns by which a row stays the same row when it is updated; () if unknown.
        nulls: whether a NULL key is a key as any other, not one that meets nothing.
    """

    keys: tuple[int, ...]
    width: int
    unique: bool = False
    upsert: bool = False
    outer: bool = False
    identity: tuple[int, ...] = ()
    nulls: bool = False


@dataclass(slots=True)
class Arrivals:
    """Rows of one input.

    Attributes:
        data: the rows.
        kinds: int8[n]; None: all insert.
        index: of the input.
        hashes: uint64[n] of the key; None without a key.
    """

    data: pa.RecordBatch
    kinds: RowKinds | None
    index: int
    hashes: Hashes | None

    def __len__(self) -> int:
        return int(self.data.num_rows)

    def part(self, start: int, end: int) -> Arrivals:
        """Rows ``[start, end)``."""
        return Arrivals(
            self.data.slice(start, end - start),
            None if self.kinds is None else self.kinds[start:end],
            self.index,
            None if self.hashes is None else self.hashes[start:end],
        )

    def take(self, rows: npt.NDArray[np.intp]) -> Arrivals:
        """Some rows."""
        return Arrivals(
            take_batch(self.data, rows),
            None if self.kinds is None else self.kinds[rows],
            self.index,
            None if self.hashes is None else self.hashes[rows],
        )


@dataclass(slots=True)
class Delta:
    """What a batch changes in the rows of an input: some come, some go.

    Attributes:
        rows: the arrivals, netted; of upserts also the rows that go.
        signs: int8[n], 1 comes, -1 goes.
        ids: int64[n], where rows that go lie in the side's table; -1 for others.
        keyed: bool[n], False where a key is NULL, which meets nothing; None: True everywhere.
    """

    rows: Arrivals
    signs: Signs
    ids: Ids
    keyed: Flags | None

    @property
    def kinds(self) -> RowKinds:
        """int8[n]."""
        kinds = self.rows.kinds
        return np.zeros(len(self.rows), np.int8) if kinds is None else kinds

    def take(self, rows: npt.NDArray[np.intp]) -> Delta:
        """Some rows."""
        return Delta(
            self.rows.take(rows),
            self.signs[rows],
            self.ids[rows],
            None if self.keyed is None else self.keyed[rows],
        )


def arrivals(
    data: pa.RecordBatch, kinds: RowKinds | None, index: int, keys: Sequence[int]
) -> Arrivals:
    """A batch with the hashes of its keys."""
    return Arrivals(data, kinds, index, hashes_of(data, keys))


def hashes_of(data: pa.RecordBatch, keys: Sequence[int]) -> Hashes | None:
    """The stable hashes of the keys, which decide the key groups; None without a key."""
    if not keys:
        return None
    columns = [data.column(i) for i in keys]
    return hashing.hash_column(columns[0]) if len(keys) == 1 else hashing.hash_columns(columns)


def columns_of(data: pa.RecordBatch, keys: Sequence[int]) -> list[pa.Array]:
    """Some columns."""
    return [data.column(i) for i in keys]


def not_null(data: pa.RecordBatch, keys: Sequence[int]) -> Flags | None:
    """bool[n], False where a key is NULL; None where no key is."""
    found: Flags | None = None
    for i in keys:
        column = data.column(i)
        if column.null_count:
            valid = column.is_valid().to_numpy(zero_copy_only=False)
            found = valid if found is None else found & valid
    return found


def delta(side: JoinSide, table: RowTable, rows: Arrivals, *, forgetful: bool) -> Delta:
    """What rows change in the table of their side, which is not changed yet.

    A row that comes and goes within the batch is left out, so is an update that changes nothing,
    and a row that goes and is not there.

    Args:
        side: of the input.
        table: its rows.
        rows: what has come.
        forgetful: whether the table forgets idle rows: then what is not there is passed on.
    """
    keyed = None if side.nulls else not_null(rows.data, side.keys)
    if keyed is not None and not side.outer:
        rows, keyed = rows.take(np.flatnonzero(keyed)), None
    if side.upsert:
        return _upserted(side, table, rows, forgetful)
    sign = signs(rows.kinds, len(rows))
    ids = np.full(len(rows), -1, np.int64)
    if rows.kinds is None or not (sign < 0).any():
        return Delta(rows, sign, ids, keyed)
    kept = netted(rows.data, sign)
    if kept is not None:
        rows, sign, ids = rows.take(kept), sign[kept], ids[kept]
        keyed = None if keyed is None else keyed[kept]
    going = np.flatnonzero(sign < 0 if keyed is None else (sign < 0) & keyed)
    if len(going):
        part = rows.take(going)
        ids[going] = table.find(part.data, part.hashes)
    found = Delta(rows, sign, ids, keyed)
    if forgetful:
        return found
    absent = (sign < 0) & (ids < 0)
    if keyed is not None:
        absent &= keyed
    return found.take(np.flatnonzero(~absent)) if absent.any() else found


def netted(data: pa.RecordBatch, sign: Signs) -> npt.NDArray[np.intp] | None:
    """Numbers of the rows that remain when equal rows that come and go leave; None: all."""
    coming, going = np.flatnonzero(sign > 0), np.flatnonzero(sign < 0)
    if not len(coming) or not len(going):
        return None
    hashes = row_hashes(data)
    both = np.intersect1d(hashes[coming], hashes[going])
    if not len(both):
        return None
    coming, going = (
        _ordered(hashes, rows[np.isin(hashes[rows], both)]) for rows in (coming, going)
    )
    a, b = _paired(hashes[coming], hashes[going])
    coming, going = coming[a], going[b]
    equal = equal_rows(take_batch(data, coming), take_batch(data, going))
    kept = np.ones(data.num_rows, np.bool_)
    kept[coming[equal]] = False
    kept[going[equal]] = False
    return np.flatnonzero(kept)


def _ordered(hashes: Hashes, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    return rows[np.argsort(hashes[rows], kind="stable")]


def _paired(a: Hashes, b: Hashes) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Of two ascending lists: places of the k-th of each value in both."""

    def ranked(hashes: Hashes) -> npt.NDArray[np.intp]:
        return np.arange(len(hashes)) - np.searchsorted(hashes, hashes)

    rank_a, rank_b = ranked(a), ranked(b)
    in_b = np.searchsorted(b, a) + rank_a
    hit = np.flatnonzero(in_b < len(b))
    hit = hit[b[in_b[hit]] == a[hit]]
    assert (rank_b[in_b[hit]] == rank_a[hit]).all()
    return hit, in_b[hit]


def row_hashes(data: pa.RecordBatch) -> Hashes:
    """uint64[n]: equal rows hash alike. Columns that cannot be hashed (maps) do not count."""
    columns = [c for c in data.columns if not _has_map(c.type)]
    if not columns:
        return np.zeros(data.num_rows, np.uint64)
    return hashing.hash_columns(columns)


def _has_map(kind: pa.DataType) -> bool:
    if pa.types.is_map(kind):
        return True
    return any(_has_map(kind.field(i).type) for i in range(kind.num_fields))


def equal_rows(a: pa.RecordBatch, b: pa.RecordBatch) -> Flags:
    """bool[n]: where rows are equal in all columns, NULL being equal to NULL."""
    found: Flags = np.ones(a.num_rows, np.bool_)
    for x, y in zip(a.columns, b.columns, strict=True):
        if pa.types.is_nested(x.type):
            pairs = zip(x.to_pylist(), y.to_pylist(), strict=True)
            found &= np.fromiter((m == n for m, n in pairs), np.bool_, len(x))
            continue
        same = pc.fill_null(pc.equal(x, y), False)
        if pa.types.is_floating(x.type):
            same = pc.or_(same, pc.and_(_is_nan(x), _is_nan(y)))
        if x.null_count and y.null_count:
            same = pc.or_(same, pc.and_(x.is_null(), y.is_null()))
        found &= same.to_numpy(zero_copy_only=False)
    return found


def _is_nan(values: pa.Array) -> pa.Array:
    return pc.fill_null(pc.is_nan(values), False)


# ---------------------------------------------------------------------- upserts


def last_of_keys(keys: Sequence[pa.Array], hashes: Hashes) -> npt.NDArray[np.intp] | None:
    """Numbers of each key's last row, ascending; None when no key occurs twice."""
    if len(np.unique(hashes)) == len(hashes):
        return None
    slots, _ = HashIndex([key.type for key in keys]).lookup_or_insert(keys, hashes)
    _, backwards = np.unique(slots[::-1], return_index=True)
    return np.sort(len(slots) - 1 - backwards)


def _upserted(side: JoinSide, table: RowTable, rows: Arrivals, forgetful: bool) -> Delta:
    """Rows of a unique key: each takes the place of the one before."""
    hashes = rows.hashes
    assert hashes is not None, "upserts have a key"
    last = last_of_keys(columns_of(rows.data, side.keys), hashes)
    if last is not None:
        rows = rows.take(last)
    sign = signs(rows.kinds, len(rows))
    at, ids = table.matches(columns_of(rows.data, side.keys), rows.hashes)
    old_ids = np.full(len(rows), -1, np.int64)
    old_ids[at] = ids
    if len(at) and not forgetful:
        same = np.flatnonzero((sign > 0) & (old_ids >= 0))
        if len(same):
            equal = equal_rows(table.take(old_ids[same]), take_batch(rows.data, same))
            if equal.any():
                kept = np.ones(len(rows), np.bool_)
                kept[same[equal]] = False
                rows, sign, old_ids = rows.take(np.flatnonzero(kept)), sign[kept], old_ids[kept]
    return _replacing(side, table, rows, sign, old_ids)


def _replacing(side: JoinSide, table: RowTable, rows: Arrivals, sign: Signs, old_ids: Ids) -> Delta:
    """Rows that go, each in front of the one that takes its place."""
    coming, going = np.flatnonzero(sign > 0), np.flatnonzero(old_ids >= 0)
    order = np.argsort(np.concatenate([2 * going, 2 * coming + 1]), kind="stable")
    replaced = old_ids >= 0
    kinds = np.concatenate(
        [
            np.where(sign[going] > 0, UPDATE_BEFORE, DELETE),
            np.where(replaced[coming], UPDATE_AFTER, INSERT),
        ]
    ).astype(np.int8)
    if len(going):
        old = pa.RecordBatch.from_arrays(
            table.take(old_ids[going]).columns, schema=rows.data.schema
        )
        data = take_batch(pa.concat_batches([old, take_batch(rows.data, coming)]), order)
    else:
        data = take_batch(rows.data, coming)
    hashes = rows.hashes
    assert hashes is not None, "upserts have a key"
    both = np.concatenate([hashes[going], hashes[coming]])[order]
    ids = np.concatenate([old_ids[going], np.full(len(coming), -1)])[order]
    found = replace(rows, data=data, kinds=kinds[order], hashes=both)
    keyed = None if side.nulls else not_null(data, side.keys)
    return Delta(found, signs(found.kinds, len(found)), ids, keyed)
