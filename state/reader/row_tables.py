"""Row tables of SQL operators as Arrow: their columns, counters, and when a row was touched."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from lesto.kernels import jit
from lesto.state.keyed_base import table_entries
from lesto.state.row_layout import RowLayout, RowTableDescriptor, stored_descriptor, stored_rows
from lesto.state.table_api import TableEntries

#: Column with the time that a row was added or changed last, of rows that expire.
TOUCHED: Final = "last_access"
#: Kind of such state, as the reader tells it.
ROW_TABLE: Final = "row_table"


@dataclass(frozen=True, slots=True)
class RowTableColumns:
    """What a reader gives of a row table.

    Attributes:
        descriptor: of the table.
        names: of the columns: the rows', the counters', and TOUCHED if rows expire.
    """

    descriptor: RowTableDescriptor
    names: tuple[str, ...]

    @staticmethod
    def of(name: str, meta: Mapping[str, Any]) -> RowTableColumns:
        """Those of the table that a snapshot's description tells of."""
        descriptor = stored_descriptor(name, meta)
        names = list(descriptor.schema.names)
        for more in [*descriptor.counters, *([TOUCHED] if descriptor.ttl_ms else [])]:
            while more in names:
                more += "_"  # noqa: PLW2901
            names.append(more)
        return RowTableColumns(descriptor, tuple(names))

    def schema(self) -> pa.Schema:
        """Names and types."""
        types = [*self.descriptor.schema.types, *(pa.int64() for _ in self.descriptor.counters)]
        if self.descriptor.ttl_ms:
            types.append(pa.timestamp("ms"))
        return pa.schema(list(zip(self.names, types, strict=True)))

    def about(self) -> dict[str, Any]:
        """What the schema is to say of the table."""
        d = self.descriptor
        keys = [d.schema.names[i] for i in d.key_columns]
        return {
            "keys": keys,
            "key_columns": keys,
            "key_positions": list(d.key_columns),
            "counters": list(d.counters),
            "expiring": bool(d.ttl_ms),
            "namespace": "none",
        }

    def batches(self, runs: Iterator[tuple[pa.Array, pa.Array]]) -> Iterator[pa.RecordBatch]:
        """The rows of stored entries (whole entry keys, values).

        Raises:
            CorruptFileError: a value is no row of these columns.
        """
        jit.warm(("rowbytes",))
        layout = RowLayout(self.descriptor)
        for codec in (layout.key, layout.rest):
            codec.may_have_nulls()
        schema = self.schema()
        for keys, values in runs:
            if len(keys):
                yield self._batch(layout, table_entries(keys, values), schema)

    def _batch(self, layout: RowLayout, entries: TableEntries, schema: pa.Schema) -> pa.RecordBatch:
        rows = stored_rows(entries, self.descriptor, layout)
        columns = layout.read(rows.places, None).columns
        columns += [pa.array(rows.heads[:, i]) for i in range(rows.heads.shape[1])]
        if self.descriptor.ttl_ms:
            columns[-1] = columns[-1].cast(pa.timestamp("ms"))
        return pa.RecordBatch.from_arrays(columns, schema=schema)
