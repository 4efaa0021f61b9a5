"""ROW_NUMBER, RANK, LAG and their like over sorted rows of partitions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import frames
from lesto.sql.values import as_type, ints
from lesto.taskmanager.operators.sql.over_folds import Carried, taken

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Ranked:
    """Where n sorted rows stand.

    Attributes:
        base: the first row of each row's partition.
        end: behind its last row.
        heads: bool[n], where a row differs in order from the one before it.
        peers: the first row that is equal in order.
        peers_end: behind the last one.
        fresh: int64[m], the rows whose results are wanted.
        last: int64[k], of each partition that has fresh rows, the last one's place in ``fresh``.
    """

    base: Places
    end: Places
    heads: Flags
    peers: Places
    peers_end: Places
    fresh: Places
    last: Places


def ranking(
    function: str,
    args: Sequence[pa.Array],
    fresh: Flags,
    places: Ranked,
    carried: Carried | None,
) -> pa.Array:
    """The function's value of each fresh row.

    Args:
        function: of :mod:`lesto.sql.aggregates.ranking`.
        args: evaluated over all rows.
        fresh: bool[n].
        places: of the rows.
        carried: rows, or different ones, before those that are here.
    """
    rows = places.fresh
    if function in {"LAG", "LEAD"}:
        return _shifted(function, args, places)
    base, number = places.base[rows], rows + 1
    weights = fresh.astype(np.int64)
    match function:
        case "ROW_NUMBER":
            found = frames.counts(weights, base, number)
        case "RANK":
            found = frames.counts(weights, base, places.peers[rows]) + 1
        case "DENSE_RANK":
            found = frames.counts((fresh & places.heads).astype(np.int64), base, number)
        case _:
            return _sized(function, args, places)
    if carried is not None and len(carried.values):
        there, place = carried.given()
        found = found + np.where(there, ints(carried.values)[place], 0)
    return pa.array(found)


def _sized(function: str, args: Sequence[pa.Array], places: Ranked) -> pa.Array:
    """Of whole partitions."""
    rows = places.fresh
    base = places.base[rows]
    size = places.end[rows] - base
    match function:
        case "PERCENT_RANK":
            rank = places.peers[rows] - base
            return pa.array(np.where(size > 1, rank / np.maximum(size - 1, 1), 0.0))
        case "CUME_DIST":
            return pa.array((places.peers_end[rows] - base) / size)
        case _:
            return _buckets(args[0], rows, rows - base, size)


def _buckets(count: pa.Array, rows: Places, number: Places, size: Places) -> pa.Array:
    """NTILE: buckets as equal as can be, the larger ones first."""
    buckets = np.maximum(ints(count)[rows], 1)
    small, larger = size // buckets, size % buckets
    border = larger * (small + 1)
    found = np.where(
        number < border,
        number // np.maximum(small + 1, 1),
        larger + (number - border) // np.maximum(small, 1),
    )
    return pa.array(found + 1)


def _shifted(function: str, args: Sequence[pa.Array], places: Ranked) -> pa.Array:
    rows, value = places.fresh, args[0]
    by = ints(args[1])[rows] if len(args) > 1 else np.ones(len(rows), np.int64)
    at = rows - by if function == "LAG" else rows + by
    inside = (at >= places.base[rows]) & (at < places.end[rows])
    if len(args) > 1 and args[1].null_count:
        inside &= np.asarray(args[1].is_valid())[rows]
    if len(args) < 3:
        return taken(value, np.where(inside, at, -1))
    default = args[2]
    whole = pa.concat_arrays([as_type(value, default.type), default])
    return whole.take(pa.array(np.where(inside, at, len(value) + rows)))
