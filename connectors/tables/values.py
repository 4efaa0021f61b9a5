"""``'connector' = 'values'``: rows of the program that builds the job.

The rows are the Python object behind the table, or what :func:`register_values` was given under
the option ``data-id``. They travel with the job.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lesto.common.elements import RowKind
from lesto.common.option_types import ConfigOption
from lesto.common.row import Row
from lesto.connectors.errors import InvalidTableOptionError, SchemaMismatchError
from lesto.connectors.memory.changelog import ChangelogSource
from lesto.connectors.tables.connector import TableConnector
from lesto.connectors.tables.options import SCAN_PARALLELISM, Described, TableOptions
from lesto.connectors.tables.requests import ScanPlan, ScanRequest, TableField

DATA_ID: Final = ConfigOption(
    "data-id", str, "", "Name under which the rows were given to register_values()."
)
BOUNDED: Final = ConfigOption("bounded", bool, True, "Accepted: the rows end.")

_KINDS: Final = {"+I": 0, "-U": 1, "+U": 2, "-D": 3}
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class ValuesData:
    """Rows with their kinds.

    Attributes:
        rows: an Arrow table, or rows: tuples, dicts, Rows (which have a kind).
        kinds: of each row, ``+I``, ``-U``, ``+U``, ``-D`` or numbers; None: all insert.
    """

    rows: Any
    kinds: Sequence[Any] | None = None


_registered: dict[str, ValuesData] = {}


def register_values(rows: Any, kinds: Sequence[Any] | None = None, data_id: str = "") -> str:
    """Keep rows for tables with ``'data-id' = '...'``.

    Args:
        rows: an Arrow table, or an iterable of tuples, dicts or Rows.
        kinds: of each row; None: those of Rows, else all insert.
        data_id: the name; empty: a new one.

    Returns:
        The name.
    """
    data_id = data_id or f"values-{next(_numbers)}"
    _registered[data_id] = ValuesData(rows if isinstance(rows, pa.Table) else list(rows), kinds)
    return data_id


def _scan(request: ScanRequest) -> ScanPlan:
    options = TableOptions(request.options, request.table)
    data = request.source
    if data is None:
        name = options.of(DATA_ID)
        if name not in _registered:
            raise options.refuse(
                DATA_ID,
                "no rows are registered under this name in this process",
                "call register_values(rows, data_id='...') before the query",
            )
        data = _registered[name]
    if not isinstance(data, ValuesData):
        data = ValuesData(data)
    if data.kinds is None and not isinstance(data.rows, pa.Table):
        rows = list(data.rows)
        kinds = [r.get_row_kind().value if isinstance(r, Row) else 0 for r in rows]
        data = ValuesData(rows, kinds if any(kinds) else None)
    table = _as_table(data.rows, request)
    return ScanPlan(
        ChangelogSource(table, _numbers_of(data.kinds, table.num_rows, request.table)),
        parallelism=options.of(SCAN_PARALLELISM),
    )


def _as_table(rows: Any, request: ScanRequest) -> pa.Table:
    schema = request.schema
    columns = request.columns
    if isinstance(rows, pa.Table):
        if rows.num_columns != len(columns):
            raise _misfit(request, f"the data has {rows.num_columns} columns")
        picked = [rows.column(i) for i in request.projection]
        return pa.Table.from_arrays(
            [c.cast(f.type) for c, f in zip(picked, schema, strict=True)], schema=schema
        )
    tuples = [_as_tuple(row, columns, request) for row in rows]
    arrays = []
    for position, field in zip(request.projection, schema, strict=True):
        try:
            arrays.append(pa.array([t[position] for t in tuples], field.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise _misfit(request, f"column '{field.name}': {error}") from error
    return pa.Table.from_arrays(arrays, schema=schema)


def _as_tuple(row: Any, columns: Sequence[TableField], request: ScanRequest) -> Sequence[Any]:
    if isinstance(row, Mapping):
        return [row.get(c.name) for c in columns]
    found = list(row) if isinstance(row, Iterable) and not isinstance(row, str) else [row]
    if len(found) != len(columns):
        raise _misfit(request, f"a row has {len(found)} values: {row!r:.100}")
    return found


def _misfit(request: ScanRequest, why: str) -> SchemaMismatchError:
    shown = ", ".join(f"{c.name} {c.type.summary()}" for c in request.columns)
    msg = f"the rows of table {request.table or '?'} do not fit its columns: {why}"
    return SchemaMismatchError(msg, remedy=f"the columns are {shown}")


def _numbers_of(kinds: Sequence[Any] | None, rows: int, table: str) -> Any:
    if kinds is None:
        return None
    try:
        found = [_KINDS[k] if isinstance(k, str) else int(RowKind(int(k))) for k in kinds]
    except (KeyError, ValueError):
        found = []
    if len(found) != rows:
        msg = f"table {table or '?'}: {rows} rows need as many kinds of +I, -U, +U, -D: {kinds!r}"
        raise InvalidTableOptionError(msg, remedy="give one for each row, or none at all")
    return np.array(found, np.int8)


CONNECTOR: Final = TableConnector(
    Described(
        "values",
        "Rows given by the program, with their kinds.",
        optional=(DATA_ID, BOUNDED, SCAN_PARALLELISM),
    ),
    scan=_scan,
)
