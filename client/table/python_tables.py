"""Tables of Python values, frames and Arrow streams."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.client.datastream.location import user_location
from lesto.client.table.catalog.objects import CatalogTable, TableColumn
from lesto.client.table.errors import SqlTypeError, TableProgramError
from lesto.client.table.types import DataType, RowType, sql_type
from lesto.common.row import Row
from lesto.sql import types as t
from lesto.sql.type_rules import find_common_type
from lesto.sql.types import SqlType
from lesto.sql.users.calling import column_of

_PYTHON: Final[dict[type, SqlType]] = {
    bool: t.BOOLEAN(),
    int: t.BIGINT(),
    float: t.DOUBLE(),
    str: t.STRING(),
    bytes: t.BYTES(),
    bytearray: t.BYTES(),
    dt.date: t.DATE(),
    dt.time: t.TIME(3),
    dt.timedelta: t.INTERVAL_DAY_TIME(),
    decimal.Decimal: t.DECIMAL(38, 18),
    type(None): t.NULL(),
}


def infer(value: Any) -> SqlType:
    """The SQL type of a Python value, as Flink's from_elements has it.

    >>> print(infer([1, 2]), infer({"a": 1.5}))
    ARRAY<BIGINT> MAP<STRING, DOUBLE>

    Raises:
        SqlTypeError: there is none.
    """
    found = _PYTHON.get(type(value))
    if found is not None:
        return found
    match value:
        case dt.datetime():
            return t.TIMESTAMP(6) if value.tzinfo is None else t.TIMESTAMP_LTZ(6)
        case Row():
            names = value.get_field_names() or [f"_{i}" for i in range(1, len(value) + 1)]
            return t.ROW(zip(names, map(infer, value), strict=True))
        case Mapping():
            return t.MAP(_common(map(infer, value)), _common(map(infer, value.values())))
        case tuple():
            return t.ROW((f"_{i}", infer(v)) for i, v in enumerate(value, 1))
        case list():
            return t.ARRAY(_common(map(infer, value)))
    for kind, found in _PYTHON.items():
        if isinstance(value, kind):
            return found
    msg = f"no SQL type holds {value!r:.80} ({type(value).__name__})"
    raise SqlTypeError(msg, remedy="give a schema", location=user_location())


def _common(types: Iterable[SqlType]) -> SqlType:
    kinds = list(dict.fromkeys(types))
    found = find_common_type(kinds) if kinds else t.NULL()
    if found is None:
        listed = ", ".join(map(str, kinds))
        msg = f"values of one column have the types {listed}"
        raise SqlTypeError(msg, remedy="give a schema", location=user_location())
    return found


def elements_table(elements: Iterable[Any], schema: Any) -> CatalogTable:
    """A table of values: rows, tuples, dicts, or values of a single column.

    Args:
        elements: of equal form.
        schema: a ROW type, a type of the only column, names of columns, or None to infer.

    Raises:
        SqlTypeError: the elements have no common type, or not that of the schema.
    """
    values = list(elements)
    row = _row_type(values, schema)
    if isinstance(schema, DataType) and not isinstance(schema, RowType):
        values = [(v,) for v in values]
    elif not _composite(values):
        values = [v if v is None else (v,) for v in values]
    column = column_of("from_elements", values, row)
    table = pa.Table.from_arrays(column.flatten(), list(row.names))
    return arrow_table(table, row)


def _composite(values: Sequence[Any]) -> bool:
    return bool(values) and isinstance(values[0], (Row, tuple, list, Mapping))


def _row_type(values: Sequence[Any], schema: Any) -> SqlType:
    if isinstance(schema, RowType):
        return schema.sql
    if isinstance(schema, (DataType, str)):
        found = sql_type(schema)
        return found if isinstance(schema, str) and found.names else t.ROW([("value", found)])
    if schema is not None and all(isinstance(k, (DataType, SqlType)) for k in schema):
        return t.ROW((f"_{i}", sql_type(k)) for i, k in enumerate(schema, 1))
    if not values:
        msg = "from_elements cannot infer the types of no elements"
        raise SqlTypeError(msg, remedy="give a schema", location=user_location())
    row = _inferred(values)
    if schema is None:
        return row
    names = list(schema)
    if len(names) > len(row.children):
        msg = f"{len(names)} names are given for {len(row.children)} columns"
        raise SqlTypeError(msg, remedy="name each column", location=user_location())
    names += row.names[len(names) :]
    return t.ROW(zip(names, row.children, strict=True))


def _inferred(values: Sequence[Any]) -> SqlType:
    first = values[0]
    if isinstance(first, Mapping):
        names = list(dict.fromkeys(key for value in values for key in value))
        columns = [[value.get(n) for value in values] for n in names]
    elif isinstance(first, (Row, tuple, list)):
        names = list(getattr(first, "_fields", None) or [f"_{i + 1}" for i in range(len(first))])
        if any(len(v) != len(first) for v in values):
            msg = "elements have different numbers of fields"
            raise SqlTypeError(msg, remedy="give rows of one length", location=user_location())
        columns = [list(column) for column in zip(*values, strict=True)]
    else:
        names, columns = ["_1"], [list(values)]
    kinds = [_common(infer(v) for v in column) for column in columns]
    for name, kind in zip(names, kinds, strict=True):
        if kind == t.NULL():
            msg = f"column {name} has no value, so its type is not known"
            raise SqlTypeError(msg, remedy="give a schema", location=user_location())
    return t.ROW(zip(names, kinds, strict=True))


def frame_table(data: Any, schema: Any = None) -> CatalogTable:
    """A table of a data frame, an Arrow table, or anything with ``__arrow_c_stream__``.

    Args:
        data: read now.
        schema: a ROW type, names, or types of the columns; None to take those of the data.

    Raises:
        TableProgramError: it is no table.
    """
    table = _as_arrow(data)
    names, kinds = (
        list(table.column_names),
        [t.from_arrow(f.type, f.nullable) for f in table.schema],
    )
    if isinstance(schema, RowType):
        names, kinds = schema.names, [sql_type(k) for k in schema.field_types()]
    elif schema is not None and all(isinstance(k, str) for k in schema):
        names = list(schema)
    elif schema is not None:
        kinds = [sql_type(k) for k in schema]
    if len(names) != table.num_columns or len(kinds) != table.num_columns:
        count = len(names) if len(names) != table.num_columns else len(kinds)
        msg = f"the schema has {count} columns, and the data {table.num_columns}"
        raise TableProgramError(msg, remedy="name each column", location=user_location())
    row = t.ROW(zip(names, kinds, strict=True))
    return arrow_table(table, row)


def _as_arrow(data: Any) -> pa.Table:
    if isinstance(data, pa.Table):
        return data
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    if type(data).__module__.partition(".")[0] == "pandas":
        return pa.Table.from_pandas(data, preserve_index=False)
    if hasattr(data, "__arrow_c_stream__"):
        return pa.table(data)
    msg = f"a data frame or an Arrow table is expected, not {data!r:.60} ({type(data).__name__})"
    raise TableProgramError(
        msg, remedy="give something with __arrow_c_stream__", location=user_location()
    )


def arrow_table(table: pa.Table, row: SqlType) -> CatalogTable:
    """A table of columns that are at hand; they travel with the job."""
    from lesto.connectors.memory.collection import ArrowSource

    columns = []
    for column, kind in zip(table.columns, row.children, strict=True):
        target = kind.to_arrow()
        columns.append(column if column.type == target else pc.cast(column, target))
    fields = [pa.field(n, k.to_arrow()) for n, k in zip(row.names, row.children, strict=True)]
    whole = pa.Table.from_arrays(columns, schema=pa.schema(fields))
    return CatalogTable(
        tuple(TableColumn(n, k) for n, k in zip(row.names, row.children, strict=True)),
        source=ArrowSource(whole),
    )
