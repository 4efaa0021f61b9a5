"""Casts between dates, times and timestamps."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

from lesto.sql import dates, zones
from lesto.sql.types import SqlType, TypeRoot
from lesto.sql.values import EvaluationContext, from_ints, ints

_DAY_MS: Final = dates.DAY_MS


def convert_temporal(
    array: pa.Array, source: SqlType, target: SqlType, context: EvaluationContext
) -> pa.Array:
    """Dates and times of one type as those of another; digits of the second are cut."""
    if source.root is TypeRoot.TIMESTAMP_LTZ and target.root is not TypeRoot.TIMESTAMP_LTZ:
        array = zones.to_local(array, context.time_zone)
    kind = target.to_arrow()
    if target.root is TypeRoot.DATE:
        return array if source.root is TypeRoot.DATE else _to_date(array)
    if target.root is TypeRoot.TIME:
        return array if source.root is TypeRoot.TIME else _to_time(array)
    if source.root in {TypeRoot.DATE, TypeRoot.TIME}:
        per_ms = dates.TICKS[kind.unit] // 1000
        factor = per_ms * (_DAY_MS if source.root is TypeRoot.DATE else 1)
        local = from_ints(ints(array) * factor, array, pa.timestamp(kind.unit))
    else:
        local = _with_precision(array, target)
    zoned = source.root is TypeRoot.TIMESTAMP_LTZ and target.root is TypeRoot.TIMESTAMP_LTZ
    if target.root is TypeRoot.TIMESTAMP_LTZ and not zoned:
        return zones.to_instant(local, context.time_zone)
    return local


def _to_date(array: pa.Array) -> pa.Array:
    days, _ = dates.fields_of(ints(array), array.type.unit)
    return from_ints(days, array, pa.date32())


def _to_time(array: pa.Array) -> pa.Array:
    _, ticks = dates.fields_of(ints(array), array.type.unit)
    millis = ticks // (dates.TICKS[array.type.unit] // 1000)
    return from_ints(millis, array, pa.time32("ms"))


def _with_precision(array: pa.Array, target: SqlType) -> pa.Array:
    """Timestamps in the target's unit, cut to its digits; the zone stays."""
    have, want = dates.TICKS[array.type.unit], dates.TICKS[target.to_arrow().unit]
    numbers = ints(array)
    numbers = numbers * (want // have) if want >= have else np.floor_divide(numbers, have // want)
    kept = max(1, want // 10**target.precision)
    if kept > 1:
        numbers = numbers // kept * kept
    return from_ints(numbers, array, pa.timestamp(target.to_arrow().unit, array.type.tz))
