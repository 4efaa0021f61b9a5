"""Files as the rows of a table: columns of the files, of the directories' names, of the file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.elements import Batch, ColumnarBatch
from lesto.common.source import ReaderContext
from lesto.connectors.errors import SchemaMismatchError
from lesto.connectors.files.formats import LineFormat
from lesto.connectors.files.listing import FileInfo, resolve
from lesto.connectors.files.readers import ParquetSplitReader, SplitReader
from lesto.connectors.files.source import FileSource, ParquetFormat
from lesto.connectors.files.splits import FileSplit
from lesto.sql.casts.parse import from_text
from lesto.sql.types import CHARACTER, SqlType

#: Metadata of a file, by their keys.
FILE_METADATA: Final = ("file.path", "file.name", "file.size", "file.modification-time")


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A column that is given.

    Attributes:
        name: of it.
        type: of it.
        data: its position in what the format reads, or -1.
        partition: name of the partition column it is; or empty.
        metadata: key of the metadata it is; or empty.
    """

    name: str
    type: SqlType
    data: int = -1
    partition: str = ""
    metadata: str = ""


class TableFileSource(FileSource):
    """Reads the files of a table.

    Args:
        path: file, directory, glob or URI.
        format: reads what is in the files.
        columns: that are given.
        default_name: of the partition of NULL.
        pattern: only files whose whole path matches.
        watch_interval_s: look for new files this often and never end; None: read what is there.
        skips: lines that cannot be read are left out.
    """

    def __init__(
        self,
        path: str,
        format: LineFormat | ParquetFormat,
        columns: Sequence[FileColumn],
        *,
        default_name: str = "__HIVE_DEFAULT_PARTITION__",
        pattern: str = "",
        watch_interval_s: float | None = None,
        skips: bool = False,
    ) -> None:
        super().__init__(
            path,
            format=format,
            watch_interval=watch_interval_s,
            on_error="skip" if skips else "fail",
        )
        self.columns = tuple(columns)
        self.default_name = default_name
        self.pattern = re.compile(pattern) if pattern else None
        self.schema = pa.schema([(c.name, c.type.to_arrow()) for c in columns])

    def splits_of(self, uri: str, info: FileInfo) -> list[FileSplit]:
        """The splits of a file, none if its path does not match."""
        if self.pattern is not None and self.pattern.fullmatch(info.path) is None:
            return []
        return super().splits_of(uri, info)

    def open_split(self, split: FileSplit, context: ReaderContext) -> SplitReader:
        """A reader at the split's position."""
        if isinstance(self.format, ParquetFormat):
            assert self.format.schema is not None
            inner: SplitReader = _TableParquetReader(split, self.format.schema, context.batch_rows)
        else:
            inner = super().open_split(split, context)
        return _LaidOut(inner, self)


class _LaidOut(SplitReader):
    """Adds what is not in the file, and leaves out what is not asked for."""

    def __init__(self, inner: SplitReader, source: TableFileSource) -> None:
        self._inner = inner
        self._schema = source.schema
        self._columns = source.columns
        self._constants = {
            i: self._constant(c, source) for i, c in enumerate(source.columns) if c.data < 0
        }

    @property
    def split(self) -> FileSplit:  # type: ignore[override]
        """With the progress behind the last batch."""
        return self._inner.split

    def _constant(self, column: FileColumn, source: TableFileSource) -> pa.Scalar:
        split = self._inner.split
        if column.partition:
            return _partition_value(column, split.path, source.default_name)
        arrow = column.type.to_arrow()
        match column.metadata:
            case "file.path":
                return pa.scalar(split.path, pa.string())
            case "file.name":
                return pa.scalar(posixpath.basename(split.path), pa.string())
        system, _ = resolve(split.uri)
        info = system.get_file_info(split.path)
        if column.metadata == "file.size":
            return pa.scalar(info.size, pa.int64()).cast(arrow)
        return pa.scalar(info.mtime, pa.timestamp("ns", "UTC")).cast(arrow, safe=False)

    def next(self) -> Batch | None:
        """The next batch with the columns that are asked for."""
        batch = self._inner.next()
        if batch is None:
            return None
        assert isinstance(batch, ColumnarBatch)
        rows = len(batch)
        columns = [
            batch.data.column(c.data) if c.data >= 0 else pa.repeat(self._constants[i], rows)
            for i, c in enumerate(self._columns)
        ]
        data = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        return ColumnarBatch(data, None, batch.kinds)

    def close(self) -> None:
        """Close the file."""
        self._inner.close()


def _partition_value(column: FileColumn, path: str, default_name: str) -> pa.Scalar:
    """The value in the directories' names.

    Raises:
        SchemaMismatchError: there is none, or it is no value of the column's type.
    """
    start = f"{column.partition}="
    found = [p for p in path.split("/")[:-1] if p.startswith(start)]
    if not found:
        msg = f"'{path}' lies in no directory {start}..., and the table is partitioned by it"
        raise SchemaMismatchError(msg, remedy="put the file into the directory of its partition")
    text = unquote(found[-1][len(start) :])
    arrow = column.type.to_arrow()
    if text == default_name:
        return pa.scalar(None, arrow)
    if column.type.is_in(CHARACTER):
        return pa.scalar(text, arrow)
    made, bad = from_text(pa.array([text]), column.type)
    if bad is not None:
        msg = f"'{found[-1]}' of '{path}' is no {column.type.with_nullable(True)}"
        raise SchemaMismatchError(msg, remedy="correct the directory's name or the column's type")
    return made.cast(arrow)[0]


class _TableParquetReader(ParquetSplitReader):
    """Columns by name; missing ones are NULL, others are cast without loss."""

    def __init__(self, split: FileSplit, schema: pa.Schema, batch_rows: int) -> None:
        super().__init__(split, schema, None, batch_rows)
        have = self._file.schema_arrow.names
        self._columns = [n for n in schema.names if n in have]

    def _check_schema(self) -> None:
        """Checked column by column as they are cast."""

    def _as_asked(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        columns = []
        for field in self._schema:
            at = batch.schema.get_field_index(field.name)
            if at < 0:
                columns.append(pa.nulls(batch.num_rows, field.type))
                continue
            try:
                columns.append(pc.cast(batch.column(at), field.type))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                have = batch.schema.field(at).type
                msg = f"column '{field.name}' is {have}, the table has {field.type}: {error}"
                raise SchemaMismatchError(
                    msg, location=self.split.path, remedy="correct the column's type"
                ) from error
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)
