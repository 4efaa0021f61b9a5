"""Files in directories ``day=2026-01-01/hour=3``: a writer a partition, published as others are."""

from __future__ import annotations

import itertools
import posixpath
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import fs

from lesto.common.elements import MAX_TIMESTAMP, Batch, ColumnarBatch, Form
from lesto.common.sink import Committer, EndedWriter, Sink, SinkWriter, WriterContext
from lesto.connectors.files.encoders import EncoderFactory
from lesto.connectors.files.listing import resolve
from lesto.connectors.files.partition_commit import PartitionCommit
from lesto.connectors.files.sink import FileSink, FileWriter, RenameCommitter
from lesto.connectors.files.sink_options import PART_BYTES_MAX
from lesto.sql.casts.text import to_text
from lesto.sql.types import SqlType
from lesto.sql.values import EvaluationContext

#: Files of one subtask that are open at a time; those longest not written to are closed.
OPEN_FILES_MAX: Final = 128
#: Characters that stand as %XX in names of directories, as in Hive.
_ESCAPED: Final = frozenset({*map(chr, range(1, 32)), *"\"#%'*/:=?\\\x7f{[]^"})


def escaped(text: str) -> str:
    """A value as part of a directory's name.

    >>> escaped("a/b=c")
    'a%2Fb%3Dc'
    """
    return "".join(f"%{ord(c):02X}" if c in _ESCAPED else c for c in text)


class TableFileSink(Sink):
    """Writes the rows of a table to files, exactly once.

    Args:
        path: directory or URI.
        encoders: of the format.
        schema: of the rows, with the table's names.
        partitions: position, name and type of the partition columns, which are not in the files.
        default_name: of partitions of NULL and of the empty text.
        prefix: of the file names.
        part_bytes: a file is closed at this size.
        success_file: name of a file made in each partition that has been written; empty: none.
        overwrite: files of other jobs are removed where this one writes.
        complete: when the success file is made; None: with the first files.
    """

    input_form = Form.COLUMNAR

    def __init__(
        self,
        path: str,
        encoders: EncoderFactory,
        schema: pa.Schema,
        partitions: Sequence[tuple[int, str, SqlType]] = (),
        *,
        default_name: str = "__HIVE_DEFAULT_PARTITION__",
        prefix: str = "part",
        part_bytes: int = PART_BYTES_MAX,
        success_file: str = "",
        overwrite: bool = False,
        complete: PartitionCommit | None = None,
    ) -> None:
        self.files = FileSink(path, encoders, prefix=prefix, part_bytes=part_bytes)
        self.schema = schema
        self.partitions = tuple(partitions)
        self.default_name = default_name
        self.success_file = success_file
        self.overwrite = overwrite
        self.complete = complete if success_file and self.partitions else None

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """A writer of one or more directories."""
        return _TableWriter(self, context)

    def create_committer(self) -> Committer:
        """Publishes by renaming."""
        return _TableCommitter(self)


class _TableWriter(SinkWriter):
    def __init__(self, sink: TableFileSink, context: WriterContext) -> None:
        self._sink = sink
        self._context = context
        self._numbers = itertools.count()
        self._writers: OrderedDict[str, FileWriter] = OrderedDict()
        self._places = [at for at, _, _ in sink.partitions]
        self._kept = [i for i in range(len(sink.schema)) if i not in self._places]
        self._schema = pa.schema([sink.schema.field(i) for i in self._kept])
        self._open: OrderedDict[str, None] = OrderedDict()
        self._utc = EvaluationContext("UTC", 0)
        self._waiting: dict[str, int] = {}  # partitions that are not complete: directory -> time
        self._watermark: int | None = None
        self._writer("")  # a place that cannot be written is told at the start

    def write(self, batch: Batch) -> None:
        """Append to the files of the rows' partitions."""
        assert isinstance(batch, ColumnarBatch)
        if not len(batch):
            return
        data = pa.RecordBatch.from_arrays(
            [batch.data.column(i) for i in self._kept], schema=self._schema
        )
        if not self._places:
            self._append("", ColumnarBatch(data, None, batch.kinds))
            return
        for directory, rows in self._directories(batch.data):
            kinds = None if batch.kinds is None else batch.kinds[rows]
            self._append(directory, ColumnarBatch(data.take(pa.array(rows)), None, kinds))

    def _directories(self, data: pa.RecordBatch) -> list[tuple[str, np.ndarray]]:
        default = self._sink.default_name
        texts = []
        for at, name, kind in self._sink.partitions:
            column = to_text(data.column(at), kind, self._utc).dictionary_encode()
            values = [
                f"{name}={escaped(v or '') or default}" for v in column.dictionary.to_pylist()
            ]
            named = pa.array([*values, f"{name}={default}"])
            numbers = pc.fill_null(column.indices.cast(pa.int64()), len(values))
            texts.append(named.take(numbers))
        joined = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "/")
        encoded = joined.dictionary_encode()
        numbers = np.asarray(encoded.indices)
        order = np.argsort(numbers, kind="stable")
        names = encoded.dictionary.to_pylist()
        bounds = np.searchsorted(numbers[order], np.arange(len(names) + 1))
        return [(f"{n}/", order[bounds[i] : bounds[i + 1]]) for i, n in enumerate(names)]

    def _writer(self, directory: str) -> FileWriter:
        found = self._writers.get(directory)
        if found is None:
            found = FileWriter(self._sink.files, self._context, directory, self._numbers)
            self._writers[directory] = found
        return found

    def process_watermark(self, timestamp: int) -> None:
        """How far event time is."""
        self._watermark = timestamp

    def _wait(self, directory: str) -> None:
        complete = self._sink.complete
        if complete is None or directory in self._waiting:
            return
        begun = (
            complete.time_of(directory) if complete.by_watermark else self._context.clock.now_ms()
        )
        self._waiting[directory] = begun + complete.delay_ms

    def _completed(self) -> list[bytes]:
        complete = self._sink.complete
        if complete is None or not self._waiting:
            return []
        now = self._watermark if complete.by_watermark else self._context.clock.now_ms()
        over = self._watermark == MAX_TIMESTAMP
        done = [d for d, due in self._waiting.items() if over or (now is not None and now > due)]
        for directory in done:
            del self._waiting[directory]
        return [msgspec.msgpack.encode((d, self._sink.files.path)) for d in done]

    def _append(self, directory: str, batch: ColumnarBatch) -> None:
        self._wait(directory)
        self._writer(directory).write(batch)
        self._open[directory] = None
        self._open.move_to_end(directory)
        while len(self._open) > OPEN_FILES_MAX:
            oldest, _ = self._open.popitem(last=False)
            self._writers[oldest].finish_part()

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """Close all files; they are published when the checkpoint is complete."""
        found = [c for w in self._writers.values() for c in w.prepare_commit(checkpoint_id)]
        self._writers.clear()
        self._open.clear()
        return [*found, *self._completed()]

    def snapshot_state(self, checkpoint_id: int) -> Sequence[bytes]:
        """The partitions that are not complete."""
        return [msgspec.msgpack.encode(item) for item in self._waiting.items()]

    def restore_state(self, items: Sequence[bytes]) -> None:
        """Wait for the same partitions."""
        self._waiting.update(msgspec.msgpack.decode(i, type=tuple[str, int]) for i in items)

    def close(self) -> None:
        """Close without publishing."""
        for writer in self._writers.values():
            writer.close()


class _TableCommitter(RenameCommitter):
    def __init__(self, sink: TableFileSink) -> None:
        super().__init__(sink.files.path)
        self._sink = sink
        self._cleared: set[str] = set()

    def commit(self, committables: Sequence[bytes]) -> None:
        """Rename each file; remove those of others and say that a partition is there, if asked."""
        decoded = [msgspec.msgpack.decode(c, type=tuple[str, ...]) for c in committables]
        super().commit(
            [c for c, parts in zip(committables, decoded, strict=True) if len(parts) > 2]
        )
        for parts in decoded:
            if len(parts) == 2:
                directory, path = parts
                system, root = resolve(path)
                self._succeed(system, posixpath.join(root, directory.rstrip("/")))
                continue
            _, final, path = parts
            system, root = resolve(path)
            target = posixpath.join(root, final)
            directory = posixpath.dirname(target)
            if self._sink.overwrite:
                self._clear(system, directory, _job_of(target, self._sink.files.prefix))
            if self._sink.success_file and self._sink.partitions and self._sink.complete is None:
                self._succeed(system, directory)

    def _succeed(self, system: fs.FileSystem, directory: str) -> None:
        with system.open_output_stream(posixpath.join(directory, self._sink.success_file)) as out:
            out.write(b"")

    def _clear(self, system: fs.FileSystem, directory: str, job: str) -> None:
        """Remove the files that other jobs have written to a directory."""
        if directory in self._cleared:
            return
        self._cleared.add(directory)
        mine = f"{self._sink.files.prefix}-{job}-"
        for info in system.get_file_info(fs.FileSelector(directory, allow_not_found=True)):
            if info.type == fs.FileType.File and not info.base_name.startswith(mine):
                system.delete_file(info.path)

    def finish(self, ended: EndedWriter) -> None:
        """Remove what is left of earlier attempts; an overwritten table may have become empty."""
        super().finish(ended)
        if self._sink.overwrite and not self._sink.partitions:
            self._clear(self._fs, self._root, ended.job_id[:8])


def _job_of(target: str, prefix: str) -> str:
    return posixpath.basename(target)[len(prefix) + 1 :].split("-", 1)[0]
