"""Lookups in a table that is read once into memory: small tables of files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.clock import SystemClock
from lesto.common.elements import ColumnarBatch
from lesto.connectors.errors import UnsupportedTableUseError
from lesto.connectors.files.listing import list_files
from lesto.connectors.files.table_source import TableFileSource
from lesto.connectors.tables.requests import LookupFunction, RowNumbers
from lesto.kernels.hashing import hash_columns

#: A table that is looked up in memory may have as many bytes.
TABLE_BYTES_MAX: Final = 1 << 30
_BATCH_ROWS: Final = 1 << 16


class FileLookup(LookupFunction):
    """Reads all rows when it is opened, and finds them by the hashes of their keys.

    Args:
        source: of the rows.
        keys: positions of the key columns in them.
        projection: positions of the columns that are given.
    """

    local = True

    def __init__(
        self, source: TableFileSource, keys: Sequence[int], projection: Sequence[int]
    ) -> None:
        self._source = source
        self._keys = tuple(keys)
        self._projection = tuple(projection)
        self._rows: pa.RecordBatch | None = None

    def open(self) -> None:
        """Read the table.

        Raises:
            UnsupportedTableUseError: it is too large.
        """
        assert self._source.schema is not None
        rows = _one(self._read(), self._source.schema)
        there = np.ones(rows.num_rows, bool)
        for k in self._keys:
            there &= np.asarray(rows.column(k).is_valid())
        rows = rows.filter(pa.array(there))
        hashes = hash_columns([rows.column(k) for k in self._keys])
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._rows = rows.take(pa.array(order))
        self._unique = len(np.unique(hashes)) == len(hashes)

    def _read(self) -> list[pa.RecordBatch]:
        context: Any = _Context()
        found: list[pa.RecordBatch] = []
        size = 0
        for uri, info in list_files(self._source.paths):
            for split in self._source.splits_of(uri, info):
                reader = self._source.open_split(split, context)
                try:
                    while (batch := reader.next()) is not None:
                        assert isinstance(batch, ColumnarBatch)
                        found.append(batch.data)
                        size += batch.nbytes
                        if size > TABLE_BYTES_MAX:
                            msg = (
                                f"'{self._source.paths[0]}' has more than {TABLE_BYTES_MAX:,} bytes"
                            )
                            raise UnsupportedTableUseError(
                                msg, remedy="join with the table itself, not FOR SYSTEM_TIME AS OF"
                            )
                finally:
                    reader.close()
        return found

    def lookup(self, keys: pa.RecordBatch) -> tuple[RowNumbers, pa.RecordBatch]:
        """The rows with these keys."""
        assert self._rows is not None, "a lookup is opened before it is used"
        hashes = hash_columns(keys.columns)
        first = np.searchsorted(self._hashes, hashes, "left")
        if self._unique:
            place = np.minimum(first, max(0, len(self._hashes) - 1))
            numbers = (
                np.flatnonzero(self._hashes[place] == hashes)
                if len(self._hashes)
                else np.zeros(0, np.int64)
            )
            found = first[numbers]
        else:
            counts = np.searchsorted(self._hashes, hashes, "right") - first
            numbers = np.repeat(np.arange(len(hashes)), counts)
            starts = np.cumsum(counts) - counts
            found = np.arange(len(numbers)) - np.repeat(starts, counts) + first[numbers]
        rows = self._rows.take(pa.array(found))
        equal = np.ones(len(numbers), bool)
        for k, wanted in zip(self._keys, keys.columns, strict=True):
            same = pc.equal(rows.column(k), wanted.take(pa.array(numbers)))
            equal &= np.asarray(same, bool)
        if not equal.all():
            numbers, rows = numbers[equal], rows.filter(pa.array(equal))
        return numbers.astype(np.int64), rows.select(list(self._projection))


def _one(batches: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches, schema).combine_chunks()
    found = table.to_batches()
    if found:
        return found[0]
    return pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)


class _Context:
    """What a reader of a split asks for."""

    batch_rows = _BATCH_ROWS
    clock = SystemClock()

    def count_error(self, records: int = 1) -> None:
        """Lines that are left out are not counted here."""
