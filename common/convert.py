"""Between the two physical forms of a batch: columns to rows and back, once a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from lesto.common.elements import ColumnarBatch, RowBatch, RowKind, RowKinds
from lesto.common.errors import Domain, LestoError
from lesto.common.row import Row, columns_from_rows, row_class, rows_from_columns

#: A value's text in an error message is cut at this many characters.
VALUE_TEXT_MAX = 200


class SchemaMismatchError(LestoError):
    """A record does not fit the schema of its stream."""

    code = "LESTO-2201"
    domain = Domain.USER
    retryable = False


def to_rows(batch: ColumnarBatch) -> RowBatch:
    """Each record as a :class:`Row` with the columns' names; event times and kinds are kept.

    Timestamps, dates, lists, structs and so on become what ``pyarrow.Array.to_pylist`` gives.
    """
    names = batch.data.schema.names
    if names:
        values: list[Any] = rows_from_columns(names, [c.to_pylist() for c in batch.data.columns])
    else:
        values = [Row() for _ in range(len(batch))]
    if batch.kinds is not None and batch.kinds.any():
        kinds = list(RowKind)
        for row, kind in zip(values, batch.kinds.tolist(), strict=True):
            if kind:
                row.set_row_kind(kinds[kind])
    return RowBatch(values, batch.timestamps, batch.kinds)


def to_columnar(batch: RowBatch, schema: pa.Schema) -> ColumnarBatch:
    """Records (Rows, tuples, lists, mappings or, for one column, bare values) as Arrow columns.

    Raises:
        SchemaMismatchError: names the column and the value that do not fit.
    """
    columns = _columns(batch.values, schema)
    arrays = [_array(field, values) for field, values in zip(schema, columns, strict=True)]
    data = pa.RecordBatch.from_arrays(arrays, schema=schema)
    return ColumnarBatch(data, batch.timestamps, _kinds(batch))


def to_named_rows(batch: RowBatch, schema: pa.Schema) -> RowBatch:
    """The batch with each record a :class:`Row` with the columns' names, as after a conversion
    through columns; the batch itself when they are that already.

    Raises:
        SchemaMismatchError: a record has other fields.
    """
    names = tuple(schema.names)
    values = batch.values
    make = row_class(names)
    forms = {*map(type, values)}
    if forms == {make}:
        return batch
    kinds = _kinds(batch)
    rows: list[Any]
    if forms <= {tuple, make} and {*map(len, values)} == {len(names)}:
        rows = [*map(make, values)]  # the same without a look at each field
    else:
        rows = rows_from_columns(names, _columns(values, schema))
    if kinds is not None:
        for row, kind in zip(rows, kinds.tolist(), strict=True):
            row.set_row_kind(RowKind(kind))
    return RowBatch(rows, batch.timestamps, kinds)


def conform(batch: ColumnarBatch, schema: pa.Schema) -> ColumnarBatch:
    """The batch with exactly this schema, casting columns of equal names where types differ safely.

    Raises:
        SchemaMismatchError: a column is missing, too many, or does not fit.
    """
    data = batch.data
    if data.schema.equals(schema):
        return batch
    if data.schema.names != schema.names:
        msg = (
            f"a batch has the columns {data.schema.names}, its stream was declared with "
            f"{schema.names}"
        )
        raise SchemaMismatchError(msg, remedy="correct the operator or the declared schema")
    arrays = []
    for field, column in zip(schema, data.columns, strict=True):
        arrays.append(column)
        if column.type != field.type:
            try:
                arrays[-1] = column.cast(field.type)
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                msg = f"column '{field.name}' is {column.type}, declared {field.type}: {error}"
                raise SchemaMismatchError(
                    msg, remedy="correct the operator or the declared schema"
                ) from error
    fitted = pa.RecordBatch.from_arrays(arrays, schema=schema)
    return ColumnarBatch(fitted, batch.timestamps, batch.kinds)


def _columns(values: Sequence[Any], schema: pa.Schema) -> list[list[Any]]:
    """One list of values a column."""
    width = len(schema.names)
    values = _by_name(values, schema)
    if all(isinstance(v, (list, tuple)) for v in values):
        try:
            return (
                columns_from_rows(values, width)
                if _all_wide(values, width)
                else _raise_width(values, width, schema)
            )
        except ValueError:
            return _raise_width(values, width, schema)
    if all(isinstance(v, Mapping) for v in values):
        return [_from_mappings(values, name) for name in schema.names]
    if width == 1 and not any(isinstance(v, (list, tuple, Mapping)) for v in values):
        return [list(values)]
    odd = next(v for v in values if not isinstance(v, (list, tuple, Mapping)))
    msg = f"a record is {_text(odd)}, a {type(odd).__name__}; the stream has {schema.names}"
    raise SchemaMismatchError(msg, remedy="give Rows, tuples or dicts with these fields")


def _by_name(values: Sequence[Any], schema: pa.Schema) -> Sequence[Any]:
    """The values, with the fields of named Rows in the order of the schema."""
    names = tuple(schema.names)
    other = {
        kind
        for kind in {*map(type, values)}
        if issubclass(kind, Row) and kind._fields not in (None, names)
    }
    if not other:
        return values
    odd = next((k for k in other if {*k._fields} != {*names}), None)  # type: ignore[misc]
    if odd is not None:
        value = next(v for v in values if type(v) is odd)
        fields = list(odd._fields or ())
        msg = f"a Row has the fields {fields}, the stream has {list(names)}: {_text(value)}"
        raise SchemaMismatchError(msg, remedy="give Rows with the declared fields, or unnamed ones")
    pick = itemgetter(*(names if len(names) > 1 else (names[0], names[0])))
    return [pick(v)[: len(names)] if type(v) in other else v for v in values]


def _all_wide(values: Sequence[Any], width: int) -> bool:
    return not values or len(values[0]) == width


def _raise_width(values: Sequence[Any], width: int, schema: pa.Schema) -> list[list[Any]]:
    odd = next(v for v in values if len(v) != width)
    msg = f"a record has {len(odd)} fields, the stream has {width} ({schema.names}): {_text(odd)}"
    raise SchemaMismatchError(msg, remedy="return one value for each declared column")


def _from_mappings(values: Sequence[Mapping[str, Any]], name: str) -> list[Any]:
    try:
        return [v[name] for v in values]
    except KeyError:
        odd = next(v for v in values if name not in v)
        msg = f"column '{name}' is missing in the record {_text(odd)}"
        raise SchemaMismatchError(msg, remedy="return a value for each declared column") from None


def _array(field: pa.Field, values: list[Any]) -> pa.Array:
    try:
        array = pa.array(values, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        index, value = _culprit(field, values)
        msg = (
            f"column '{field.name}' is declared {field.type}; record {index} of the batch has "
            f"{_text(value)}, a {type(value).__name__}"
        )
        raise SchemaMismatchError(msg, remedy="correct the value or the declared type") from error
    if not field.nullable and array.null_count:
        msg = f"column '{field.name}' is declared without nulls; a record has None"
        raise SchemaMismatchError(msg, remedy="give a value or declare the column nullable")
    return array


def _culprit(field: pa.Field, values: list[Any]) -> tuple[int, Any]:
    for index, value in enumerate(values):
        try:
            pa.array([value], field.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            return index, value
    return 0, values[0]


def _kinds(batch: RowBatch) -> RowKinds | None:
    """The kinds of the batch, or those that its Rows carry."""
    if batch.kinds is not None:
        return batch.kinds
    values = batch.values
    if not any(issubclass(kind, Row) for kind in {*map(type, values)}):
        return None
    kinds = np.fromiter(
        (v.get_row_kind() if isinstance(v, Row) else 0 for v in values), np.int8, len(values)
    )
    return kinds if kinds.any() else None


def _text(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= VALUE_TEXT_MAX else text[:VALUE_TEXT_MAX] + "..."
