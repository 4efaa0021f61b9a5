"""Read one file split: a step gives a batch and the split's progress behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from lesto.common.elements import Batch, ColumnarBatch
from lesto.connectors.errors import MalformedRecordError, SchemaMismatchError
from lesto.connectors.files.damaged import readable
from lesto.connectors.files.formats import LineFormat
from lesto.connectors.files.listing import resolve
from lesto.connectors.files.malformed import LineCounter, MalformedPolicy
from lesto.connectors.files.splits import FileSplit

#: Bytes of text read and parsed in one step: about 5 ms of work.
CHUNK_BYTES: Final = 1 << 20
#: A single record may not be longer than this.
LINE_BYTES_MAX: Final = 64 << 20


class SplitReader(ABC):
    """Reads one split from its position to its end.

    Attributes:
        split: with the progress behind the last batch.
    """

    split: FileSplit

    @abstractmethod
    def next(self) -> Batch | None:
        """The next batch (perhaps empty), or None at the end."""

    @abstractmethod
    def close(self) -> None:
        """Close the file."""


class LineSplitReader(SplitReader):
    """Lines that *start* in ``[start, end)``; the last may end in the next split."""

    def __init__(
        self,
        split: FileSplit,
        format_: LineFormat,
        policy: MalformedPolicy,
        count_error: Callable[[int], None],
    ) -> None:
        system, _ = resolve(split.uri)
        self._format = format_
        self._policy = policy
        self._count_error = count_error
        self._file: Any = system.open_input_file(split.path)
        self._size: int = self._file.size()
        self.split = split
        if split.position == split.start:
            self.split = replace(split, position=self._first_line(split.start))

    def _first_line(self, start: int) -> int:
        if start == 0:
            if not self._format.has_header:
                return 0
            line, behind = self._line_at(0)
            self._format.check_header(line, self.split.path)
            return behind
        # The line that contains byte start - 1 belongs to the split before.
        _, behind = self._line_at(start - 1)
        return behind

    def _line_at(self, offset: int) -> tuple[bytes, int]:
        """The rest of the line from a byte offset, and the offset behind it."""
        self._file.seek(offset)
        data = b""
        while b"\n" not in data:
            block = self._file.read(64 * 1024)
            if not block:
                return data, self._size
            data += block
            self._check_length(len(data), offset)
        line = data[: data.index(b"\n") + 1]
        return line, offset + len(line)

    def _check_length(self, length: int, offset: int) -> None:
        if length > LINE_BYTES_MAX:
            msg = f"a line is longer than {LINE_BYTES_MAX:,} bytes"
            where = LineCounter(self.split.uri, self.split.path).line(offset)
            raise MalformedRecordError(msg, location=f"{self.split.path}:{where}")

    def next(self) -> Batch | None:
        """Parse the next chunk of whole lines."""
        position = self.split.position
        if position >= min(self.split.end, self._size):
            return None
        chunk = self._whole_lines(position)
        batch, bad = self._format.parse(chunk, position)
        if bad:
            counter = LineCounter(self.split.uri, self.split.path)
            self._policy.handle(self.split.path, counter, position, bad)
            self._count_error(len(bad))
        self.split = replace(self.split, position=position + len(chunk))
        return batch

    def _whole_lines(self, position: int) -> bytes:
        self._file.seek(position)
        want = min(CHUNK_BYTES, self.split.end - position)
        data: bytes = self._file.read(want)
        if position + len(data) >= self.split.end:
            # The last line may start in this split and end in the next.
            if not data.endswith(b"\n"):
                data += self._line_at(position + len(data))[0]
            return data
        cut = data.rfind(b"\n") + 1
        if cut:
            return data[:cut]
        return data + self._line_at(position + len(data))[0]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class ParquetSplitReader(SplitReader):
    """Row groups ``[start, end)`` of a Parquet file."""

    def __init__(
        self, split: FileSplit, schema: pa.Schema, columns: Sequence[str] | None, batch_rows: int
    ) -> None:
        system, _ = resolve(split.uri)
        self._source = system.open_input_file(split.path)
        with readable(split.path, "Parquet"):
            self._file = pq.ParquetFile(self._source)
        self._schema = schema
        self._columns = None if columns is None else list(columns)
        self._batch_rows = batch_rows
        self.split = split
        self._batches: Any = None
        self._check_schema()

    def _check_schema(self) -> None:
        have = self._file.schema_arrow
        for field in self._schema:
            index = have.get_field_index(field.name)
            if index < 0 or not have.field(index).type.equals(field.type):
                found = "is missing" if index < 0 else f"is {have.field(index).type}"
                msg = f"column '{field.name}' {found}, the job was built with {field.type}"
                raise SchemaMismatchError(
                    msg, location=self.split.path, remedy="read files of one schema, or set schema="
                )

    def next(self) -> Batch | None:
        """The next batch of the current row group."""
        while self.split.position < self.split.end:
            if self._batches is None:
                self._open_row_group()
            with readable(self.split.path, "Parquet"):
                batch = next(self._batches, None)
            if batch is not None:
                self.split = replace(self.split, skip=self.split.skip + batch.num_rows)
                return ColumnarBatch(self._as_asked(batch))
            self.split = replace(self.split, position=self.split.position + 1, skip=0)
            self._batches = None
        return None

    def _as_asked(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.select(self._schema.names).cast(self._schema)

    def _open_row_group(self) -> None:
        self._batches = _behind(
            self._file.iter_batches(
                batch_size=self._batch_rows,
                row_groups=[self.split.position],
                columns=self._columns,
                use_threads=False,
            ),
            self.split.skip,
        )

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._source.close()


def _behind(batches: Any, skip: int) -> Any:
    """Batches without their first ``skip`` rows."""
    for batch in batches:
        if skip >= batch.num_rows:
            skip -= batch.num_rows
            continue
        yield batch.slice(skip)
        skip = 0
