"""Row tables of SQL operators from Arrow tables that the reader gave, perhaps changed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from lesto.kernels import jit
from lesto.state.entries import CapturedTable, Entries
from lesto.state.errors import SavepointWriteError
from lesto.state.keyed_base import TABLE
from lesto.state.reader.row_tables import ROW_TABLE
from lesto.state.reader.streams import about
from lesto.state.registry import StateMeta
from lesto.state.row_table import RowTable, RowTableDescriptor
from lesto.state.writer.encoding import Part
from lesto.state.writer.tabular import batches


def row_table_part(name: str, reader: pa.RecordBatchReader) -> Part:
    """A row table with the rows of a stream, which arrive in this order.

    Args:
        name: of the table.
        reader: the columns, counters and times that the savepoint reader gives for such a table,
            with its metadata.

    Raises:
        SavepointWriteError: the columns are not from the reader.
    """
    what = about(reader.schema)
    if what.get("kind") != ROW_TABLE:
        msg = f"row table '{name}': the data does not say what its key and counters are"
        raise SavepointWriteError(
            msg, remedy="start from what the reader gives for the table, and keep its metadata"
        )
    counters, expiring = tuple(what["counters"]), bool(what["expiring"])
    width = len(reader.schema) - len(counters) - expiring
    schema = pa.schema([field.remove_metadata() for field in list(reader.schema)[:width]])
    descriptor = RowTableDescriptor(
        name, schema, tuple(what["key_positions"]), counters, int(expiring)
    )

    def entries(state_id: int, groups: int) -> Iterator[Entries]:
        jit.warm(("hashing", "rowbytes", "rowindex"))
        start = 0
        for batch in batches(reader):
            table = RowTable(descriptor, max_parallelism=groups)
            rows = pa.RecordBatch.from_arrays(batch.columns[:width], schema=schema)
            ids = table.add_stored(rows, start, _heads(batch, width))
            start += len(ids)
            none = pa.array([], pa.large_binary())
            yield CapturedTable(state_id, table.all_entries(), [], none, groups).encode()

    meta = RowTable(descriptor, max_parallelism=1).meta()
    return Part(StateMeta(name, TABLE, extra=dict(meta)), entries)


def _heads(batch: pa.RecordBatch, width: int) -> np.ndarray:
    """Counters and times, int64[n, k]."""
    columns = [column.cast(pa.int64()).fill_null(0).to_numpy() for column in batch.columns[width:]]
    found = np.empty((batch.num_rows, len(columns)), np.int64)
    for i, column in enumerate(columns):
        found[:, i] = column
    return found
