"""Aggregates that need each frame's rows themselves: distinct values in moving frames, collections,
functions of users.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels.index import HashIndex
from lesto.sql.aggregates.table import Collected, Folded
from lesto.sql.functions.collections import frozen
from lesto.sql.users.aggregates import AggregateFunctionCall
from lesto.sql.values import from_physical, physical, pylist
from lesto.taskmanager.operators.sql.over_folds import Frames, fold
from lesto.taskmanager.operators.sql.rank_rows import key_hashes

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Rows of frames that are laid out at once.
PAIRS_MAX: Final = 1 << 21


def first_times(groups: Places, args: Sequence[pa.Array], chosen: Flags) -> Places:
    """int64[n]: the chosen row before each chosen row that has its partition and values; -1: none.

    Args:
        groups: partitions.
        args: values.
        chosen: rows that count.
    """
    found = np.full(len(groups), -1, np.int64)
    rows = np.flatnonzero(chosen)
    if not len(rows):
        return found
    keys = [pa.array(groups[rows]), *(a.take(pa.array(rows)) for a in args)]
    index = HashIndex([k.type for k in keys])
    numbers, _ = index.lookup_or_insert(keys, key_hashes(keys))
    order = np.argsort(numbers, kind="stable")
    same = np.flatnonzero(numbers[order][1:] == numbers[order][:-1])
    found[rows[order[same + 1]]] = rows[order[same]]
    return found


def pairs(chosen: Flags, frame: Frames) -> Iterator[tuple[int, int, Places, Places]]:
    """The chosen rows of frames, in bounded parts.

    Yields:
        First result, behind the last one, the result (from 0) of each pair, the row of each pair.
    """
    rows = np.flatnonzero(chosen)
    first, end = np.searchsorted(rows, frame.lo), np.searchsorted(rows, frame.hi)
    sizes = np.maximum(end - first, 0)
    totals = np.cumsum(sizes)
    at, n = 0, len(sizes)
    while at < n:
        done = int(totals[at - 1]) if at else 0
        upto = max(at + 1, int(np.searchsorted(totals, done + PAIRS_MAX, "right")))
        some = sizes[at:upto]
        results = np.repeat(np.arange(len(some)), some)
        within = np.arange(len(results)) - np.repeat(np.cumsum(some) - some, some)
        yield at, upto, results, rows[np.repeat(first[at:upto], some) + within]
        at = upto


def distinct_folds(
    form: Folded,
    inputs: Sequence[pa.Array | None],
    chosen: Flags,
    before: Places,
    frame: Frames,
) -> list[pa.Array]:
    """Accumulators over the different values of each frame.

    Args:
        form: of the aggregate.
        inputs: of the accumulators.
        chosen: rows that count.
        before: from :func:`first_times`.
        frame: of the results.
    """
    parts: list[list[pa.Array]] = [[] for _ in form.accumulators]
    for at, upto, results, rows in pairs(chosen, frame):
        # A value counts at the first of its rows within the frame.
        counts = before[rows] < frame.lo[at:upto][results]
        kept, of = rows[counts], results[counts]
        ends = np.cumsum(np.bincount(of, minlength=upto - at))
        within = Frames(np.append(0, ends[:-1]), ends)
        for i, (accumulator, column) in enumerate(zip(form.accumulators, inputs, strict=True)):
            valid = np.ones(len(kept), np.bool_)
            values = None if column is None else column.take(pa.array(kept))
            if values is not None and values.null_count:
                valid = np.asarray(values.is_valid())
            kind = accumulator.type.to_arrow()
            parts[i].append(fold(accumulator.kind, values, valid, within, None, kind))
    kinds = [a.type.to_arrow() for a in form.accumulators]
    return [pa.concat_arrays(p) if p else pa.nulls(0, k) for p, k in zip(parts, kinds, strict=True)]


def collected(
    form: Collected,
    inputs: Sequence[pa.Array],
    chosen: Flags,
    frame: Frames,
    kind: pa.DataType,
    *,
    distinct: bool,
) -> pa.Array:
    """Results of functions over each frame's values, called in Python a frame."""
    for i in form.required:
        if inputs[i].null_count:
            chosen = chosen & np.asarray(inputs[i].is_valid())
    n = len(chosen)
    rows = list(zip(*(pylist(c, n) for c in inputs), strict=True)) if inputs else [()] * n
    found: list[Any] = []
    for at, upto, results, places in pairs(chosen, frame):
        ends = np.cumsum(np.bincount(results, minlength=upto - at)).tolist()
        taken = [rows[i] for i in places.tolist()]
        first = 0
        for end in ends:
            found.append(form.finish(_values(taken[first:end], form.layout, distinct)))
            first = end
    return from_physical(pa.array(found, physical(kind)), kind)


def _values(rows: list[Any], layout: str, distinct: bool) -> Sequence[Any]:
    if layout == "list" and not distinct:
        return rows
    counted: dict[Any, list[Any]] = {}
    for row in rows:
        entry = counted.setdefault(tuple(frozen(v) for v in row), [row, 0])
        entry[1] += 1
    if layout == "list":
        return [row for row, _ in counted.values()]
    return [(row, 1 if distinct else count) for row, count in counted.values()]


def user(
    function: AggregateFunctionCall, args: Sequence[pa.Array], chosen: Flags, frame: Frames
) -> pa.Array:
    """Results of a user's aggregate function, from nothing for each frame."""
    parts = []
    for at, upto, results, rows in pairs(chosen, frame):
        accumulators = [function.create() for _ in range(upto - at)]
        places = pa.array(rows)
        function.fold(accumulators, results, [a.take(places) for a in args])
        parts.append(function.results(accumulators))
    return pa.concat_arrays(parts) if parts else function.results([])
