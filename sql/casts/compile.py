"""From a pair of types to the kernel that casts a column."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql import types as t
from lesto.sql import zones
from lesto.sql.casts.numbers import convert_number
from lesto.sql.casts.parse import from_text
from lesto.sql.casts.temporal import convert_temporal
from lesto.sql.casts.text import entries_type, to_text
from lesto.sql.errors import CastFailedError
from lesto.sql.types import (
    BINARY_STRING,
    CHARACTER,
    DATETIME,
    INTERVAL,
    MAX_LENGTH,
    SqlType,
    TypeRoot,
)
from lesto.sql.values import Evaluation, EvaluationContext, Kernel, Value, is_scalar, scalar_array

Convert = Callable[[pa.Array, EvaluationContext], pa.Array]


def can_fail(source: SqlType, target: SqlType) -> bool:
    """Whether a value of the source may have no counterpart, so that CAST raises."""
    if source.is_in(CHARACTER):
        return not target.is_in(CHARACTER | BINARY_STRING)
    if source.children and source.root is target.root:
        return any(can_fail(a, b) for a, b in zip(source.children, target.children, strict=True))
    return False


def compile_cast(source: SqlType, target: SqlType, attempt: bool) -> Kernel:
    """The kernel of CAST, or of TRY_CAST if ``attempt``."""
    convert = _conversion(source, target, attempt)

    def kernel(ev: Evaluation, value: Value) -> Value:
        if is_scalar(value):
            return convert(scalar_array(value), ev.context)[0]
        return convert(value, ev.context)

    return kernel


def _conversion(source: SqlType, target: SqlType, attempt: bool) -> Convert:
    a, b = source.root, target.root
    arrow = target.to_arrow()
    if a is TypeRoot.NULL:
        return lambda array, _context: pa.nulls(len(array), arrow)
    if b in CHARACTER:
        fit = _fit_text(target)
        return lambda array, context: fit(to_text(array, source, context))
    if source.children:
        return _nested(source, target, attempt)
    if b in BINARY_STRING:
        fit = _fit_bytes(target)
        return lambda array, _context: fit(pc.cast(array, pa.binary()))
    if a in CHARACTER:
        return _from_text(target, attempt)
    if b is TypeRoot.BOOLEAN:
        return lambda array, _context: pc.not_equal(array, pa.scalar(0, array.type))
    if a is TypeRoot.BOOLEAN:
        return lambda array, _context: convert_number(pc.cast(array, pa.int32()), t.INT(), target)
    if a in DATETIME:
        return lambda array, context: convert_temporal(array, source, target, context)
    number_source = _as_number(source)
    number_target = _as_number(target)
    return lambda array, _context: convert_number(array, number_source, number_target)


def _as_number(kind: SqlType) -> SqlType:
    """Intervals are integers underneath."""
    if kind.root is TypeRoot.YEAR_MONTH:
        return t.INT()
    return t.BIGINT() if kind.is_in(INTERVAL) else kind


def _fit_text(target: SqlType) -> Callable[[pa.Array], pa.Array]:
    length = target.length
    if length == MAX_LENGTH:
        return lambda array: array
    if target.root is TypeRoot.VARCHAR:
        return lambda array: pc.utf8_slice_codeunits(array, 0, length)
    return lambda array: pc.utf8_rpad(pc.utf8_slice_codeunits(array, 0, length), length)


def _fit_bytes(target: SqlType) -> Callable[[pa.Array], pa.Array]:
    length = target.length
    if length == MAX_LENGTH:
        return lambda array: array

    def cut(array: pa.Array) -> pa.Array:
        return pc.binary_slice(array, 0, length)

    if target.root is TypeRoot.VARBINARY:
        return cut
    return lambda array: pa.array(
        [None if x is None else x.ljust(length, b"\0") for x in cut(array).to_pylist()],
        pa.binary(),
    )


def _from_text(target: SqlType, attempt: bool) -> Convert:
    def convert(array: pa.Array, context: EvaluationContext) -> pa.Array:
        found, bad = from_text(array, target)
        if bad is not None and not attempt:
            first = array[int(np.argmax(np.asarray(bad)))].as_py()
            raise cast_failed(first, target)
        if target.root is TypeRoot.TIMESTAMP_LTZ:
            return zones.to_instant(found, context.time_zone)
        return found

    return convert


def cast_failed(text: str, target: SqlType) -> CastFailedError:
    """The error of a text that is no value of the type."""
    shown = text if len(text) <= 100 else text[:100] + "..."
    msg = f"{shown!r} cannot be cast to {target.with_nullable(True)}"
    return CastFailedError(msg, remedy="TRY_CAST gives NULL in the place of an error")


def _nested(source: SqlType, target: SqlType, attempt: bool) -> Convert:
    parts = [
        _conversion(a, b, attempt) for a, b in zip(source.children, target.children, strict=True)
    ]
    arrow = target.to_arrow()

    def convert_row(array: pa.Array, context: EvaluationContext) -> pa.Array:
        columns = [p(c, context) for p, c in zip(parts, array.flatten(), strict=True)]
        if not columns:
            return pc.cast(array, arrow)
        return pa.StructArray.from_arrays(columns, fields=list(arrow), mask=pc.is_null(array))

    def convert_list(array: pa.Array, context: EvaluationContext) -> pa.Array:
        return _list_of(array, parts[0](array.flatten(), context), arrow)

    def convert_map(array: pa.Array, context: EvaluationContext) -> pa.Array:
        lists = pc.cast(array, entries_type(array.type))
        entries = lists.flatten()
        keys = parts[0](entries.field(0), context)
        values = entries.field(1)
        if len(parts) > 1:
            values = parts[1](values, context)
        mask = pc.is_null(lists) if lists.null_count else None
        return pa.MapArray.from_arrays(_offsets(lists), keys, values, type=arrow, mask=mask)

    if source.root is TypeRoot.ROW:
        return convert_row
    return convert_list if source.root is TypeRoot.ARRAY else convert_map


def _list_of(like: pa.Array, elements: pa.Array, kind: pa.DataType) -> pa.Array:
    """Lists of the same lengths and NULLs as others, of other elements."""
    mask = pc.is_null(like) if like.null_count else None
    return pa.ListArray.from_arrays(_offsets(like), elements, type=kind, mask=mask)


def _offsets(like: pa.Array) -> pa.Array:
    lengths = np.asarray(pc.fill_null(pc.list_value_length(like), 0), np.int64)
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
