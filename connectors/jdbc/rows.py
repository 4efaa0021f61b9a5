"""Rows of databases as columns, columns as rows of databases, and the statements for them."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from lesto.connectors.errors import DatabaseRefusedError
from lesto.connectors.formats.sql_values import reader
from lesto.sql.types import (
    BINARY_STRING,
    CHARACTER,
    TIMESTAMPS,
    SqlType,
    TypeRoot,
)

Rows = Sequence[Sequence[Any]]


def quoted(name: str) -> str:
    """An identifier as SQL has it.

    >>> quoted('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def table_name(name: str) -> str:
    """A table's name, perhaps with its schema.

    >>> table_name("public.t")
    '"public"."t"'
    """
    return ".".join(map(quoted, name.split(".")))


def select(table: str, columns: Sequence[str]) -> str:
    """SELECT of columns; of none a constant, so that there are rows."""
    names = ", ".join(map(quoted, columns)) or "1"
    return f"SELECT {names} FROM {table_name(table)}"


def upsert(table: str, columns: Sequence[str], keys: Sequence[str]) -> str:
    """INSERT, which updates the row of the same key if there are keys."""
    names = ", ".join(map(quoted, columns))
    marks = ", ".join("?" * len(columns))
    found = f"INSERT INTO {table_name(table)} ({names}) VALUES ({marks})"
    if not keys:
        return found
    rest = [c for c in columns if c not in keys]
    changes = ", ".join(f"{quoted(c)} = EXCLUDED.{quoted(c)}" for c in rest)
    action = f"UPDATE SET {changes}" if rest else "NOTHING"
    return f"{found} ON CONFLICT ({', '.join(map(quoted, keys))}) DO {action}"


def delete(table: str, keys: Sequence[str]) -> str:
    """DELETE of the row with a key."""
    condition = " AND ".join(f"{quoted(k)} = ?" for k in keys)
    return f"DELETE FROM {table_name(table)} WHERE {condition}"


def takes(kind: SqlType) -> bool:
    """Whether databases have values of a type."""
    if kind.root is TypeRoot.ARRAY:
        return takes(kind.element)
    return not kind.children and kind.root is not TypeRoot.NULL


def columns_of(rows: Rows, types: Sequence[SqlType], names: Sequence[str]) -> pa.RecordBatch:
    """Rows of a database as columns.

    Raises:
        DatabaseRefusedError: a value is none of its column's type.
    """
    arrays = []
    for at, (kind, name) in enumerate(zip(types, names, strict=True)):
        convert = _reader(kind)
        try:
            values = [None if r[at] is None else convert(r[at]) for r in rows]
            arrays.append(pa.array(values, kind.to_arrow()))
        except (ValueError, TypeError, ArithmeticError, pa.ArrowException) as error:
            msg = f"column '{name}' is no {kind.with_nullable(True)}: {error}"
            raise DatabaseRefusedError(msg, remedy="correct the column's type") from error
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * len(rows), pa.struct([])))
    return pa.RecordBatch.from_arrays(arrays, names=list(names))


def _reader(kind: SqlType) -> Callable[[Any], Any]:
    """From what a driver gives to what ``pa.array`` takes."""
    if kind.root is TypeRoot.BOOLEAN:
        return bool
    if kind.root is TypeRoot.ARRAY:
        inner = _reader(kind.element)
        return lambda v: [None if x is None else inner(x) for x in v]
    if kind.is_in(BINARY_STRING):
        return lambda v: v.encode() if isinstance(v, str) else bytes(v)
    if kind.is_in(CHARACTER):
        return lambda v: v if isinstance(v, str) else str(v)
    from_text = reader(kind)
    times = (dt.date, dt.time)  # a datetime is a date
    if kind.is_in(TIMESTAMPS) or kind.root in {TypeRoot.DATE, TypeRoot.TIME}:
        return lambda v: v if isinstance(v, times) else from_text(v)
    return from_text


def tuples_of(
    data: pa.RecordBatch, types: Sequence[SqlType], *, texts: bool
) -> list[tuple[Any, ...]]:
    """Columns as rows for a driver.

    Args:
        data: the columns.
        types: of them.
        texts: dates, times and decimals as texts, for databases without such types.
    """
    columns = []
    for column, kind in zip(data.columns, types, strict=True):
        array = column
        if kind.is_in(TIMESTAMPS) and array.type.unit == "ns":
            array = array.cast(pa.timestamp("us", array.type.tz), safe=False)
        values = array.to_pylist()
        columns.append([_plain(v) for v in values] if texts else values)
    return list(zip(*columns, strict=True))


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return str(value) if isinstance(value, decimal.Decimal) else value
