"""From what users' functions yield to batches: timestamps, and values for side outputs.

A function yields a plain value for the main output, or ``tag, value`` for the side output of an
OutputTag.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lesto.common.elements import RowBatch, Timestamps, full_timestamps
from lesto.common.functions import OutputTag
from lesto.taskmanager.operators.base import Output

#: Results of one watermark (timers, windows) are handed on in batches of this many rows.
RESULT_ROWS_MAX = 16_384


def emit_results(
    output: Output, results: list[Any], timestamps: Timestamps | None, ends: list[int] | None
) -> None:
    """Emit what a batch of calls yielded.

    Args:
        output: where to.
        results: everything yielded, in order; is handed on, the caller gives it up.
        timestamps: int64[n] event times of the n inputs, or None.
        ends: per input the number of results after it; None when ``timestamps`` is None or
            parallel to the results already.
    """
    if not results:
        return
    if timestamps is not None and ends is not None:
        timestamps = spread(timestamps, ends)
    if any([type(r) is tuple and r and type(r[0]) is OutputTag for r in results]):
        results, timestamps = _emit_tagged(output, results, timestamps)
        if not results:
            return
    output.emit(RowBatch(results, timestamps))


def spread(timestamps: Timestamps, ends: list[int]) -> Timestamps:
    """Event times of results: each input's, as often as it has results.

    Args:
        timestamps: int64[n] of the inputs.
        ends: per input the number of results after it.
    """
    counts = np.array(ends, dtype=np.int64)
    counts[1:] -= counts[:-1].copy()
    return timestamps if (counts == 1).all() else np.repeat(timestamps, counts)


def emit_at(output: Output, results: list[Any], timestamp: int | None) -> None:
    """Emit results that share one event time, in bounded batches."""
    for start in range(0, len(results), RESULT_ROWS_MAX):
        part = (
            results[start : start + RESULT_ROWS_MAX] if len(results) > RESULT_ROWS_MAX else results
        )
        times = None if timestamp is None else full_timestamps(len(part), timestamp)
        emit_results(output, part, times, None)


def _emit_tagged(
    output: Output, results: list[Any], timestamps: Timestamps | None
) -> tuple[list[Any], Timestamps | None]:
    """Emit the tagged values and give back the others."""
    main: list[int] = []
    sides: dict[str, list[int]] = {}
    for i, result in enumerate(results):
        if type(result) is tuple and result and type(result[0]) is OutputTag:
            sides.setdefault(result[0].tag_id, []).append(i)
        else:
            main.append(i)
    for tag, picked in sides.items():
        times = None if timestamps is None else timestamps[picked]
        output.emit_side(tag, RowBatch([results[i][1] for i in picked], times))
    return [results[i] for i in main], None if timestamps is None else timestamps[main]
