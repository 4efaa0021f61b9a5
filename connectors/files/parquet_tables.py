"""Parquet files of a table, with Flink's options of the format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from lesto.common.elements import Batch, ColumnarBatch, Form
from lesto.connectors.files.encoders import ROW_GROUP_ROWS, EncoderFactory, FileEncoder

#: Flink's names of compressions, and Arrow's.
COMPRESSIONS: Final = {
    "uncompressed": "none",
    "snappy": "snappy",
    "gzip": "gzip",
    "zstd": "zstd",
    "lz4_raw": "lz4",
    "brotli": "brotli",
}


class TableParquetEncoderFactory(EncoderFactory):
    """Parquet.

    Args:
        options: ``compression`` of Flink's names; snappy unless it is there.
        schema: of the files.
    """

    input_form = Form.COLUMNAR
    suffix = ".parquet"

    def __init__(self, options: Mapping[str, str], schema: pa.Schema) -> None:
        self.compression = COMPRESSIONS[options.get("compression", "snappy").lower()]
        self.schema = schema

    def create(self, stream: Any, schema: pa.Schema | None) -> FileEncoder:
        """An encoder that collects row groups of a fair size."""
        return _Encoder(stream, self.schema, self.compression)


class _Encoder(FileEncoder):
    def __init__(self, stream: Any, schema: pa.Schema, compression: str) -> None:
        self._schema = schema
        self._writer = pq.ParquetWriter(stream, schema, compression=compression)
        self._pending: list[pa.RecordBatch] = []
        self._rows = 0

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, ColumnarBatch)
        self._pending.append(batch.data)
        self._rows += len(batch)
        if self._rows >= ROW_GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        if self._pending:
            table = pa.Table.from_batches(self._pending, schema=self._schema)
            self._writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            self._pending.clear()
            self._rows = 0

    def finish(self) -> None:
        self._flush()
        self._writer.close()
