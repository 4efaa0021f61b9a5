"""The collect sink: results travel to the client through checkpoint storage, exactly once.

A writer puts results in a pending file; its commit, after the checkpoint is complete, renames it to
``part-...`` below ``<checkpoint root>/collect/<operator>/``. The JobManager streams the ``part-``
files to
the client in order of their names. So a client sees a result once, whatever fails on the way.
"""

from __future__ import annotations

import io
import pickle
import posixpath
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
from pyarrow import fs

from lesto.common.elements import Batch, ColumnarBatch, Form
from lesto.common.sink import Committer, Sink, SinkWriter, WriterContext
from lesto.connectors.errors import ConnectorError, PublishError
from lesto.connectors.files.listing import resolve

#: Bytes collected between two checkpoints before the job fails: collecting is for results people
#: look at.
COLLECT_BYTES_MAX: Final = 1 << 30
#: One result file: also the largest message to the client.
PART_BYTES: Final = 16 << 20


class CollectOverflowError(ConnectorError):
    """More was collected between two checkpoints than a client should take."""

    code = "LESTO-3008"
    retryable = False


def collect_directory(checkpoint_root: str, operator_uid: str) -> str:
    """URI of the directory of a collect sink's results."""
    return posixpath.join(checkpoint_root, "collect", operator_uid)


class CollectSink(Sink):
    """Gives the records to the client of ``execute_and_collect``."""

    input_form = Form.ANY

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """A writer for one subtask."""
        return _CollectWriter(context)

    def create_committer(self) -> Committer:
        """Publishes by renaming."""
        return _CollectCommitter()


class _CollectWriter(SinkWriter):
    def __init__(self, context: WriterContext) -> None:
        self._context = context
        self._directory = collect_directory(context.checkpoint_root, context.operator_uid)
        self._batches: list[pa.RecordBatch] = []
        self._values: list[Any] = []
        self._bytes = 0

    def write(self, batch: Batch) -> None:
        """Keep the batch until the next barrier."""
        if isinstance(batch, ColumnarBatch):
            self._batches.append(batch.data)
        else:
            self._values.extend(batch.values)
        self._bytes += batch.nbytes
        if self._bytes > COLLECT_BYTES_MAX:
            msg = f"more than {COLLECT_BYTES_MAX:,} bytes collected between two checkpoints"
            raise CollectOverflowError(
                msg, remedy="write to files instead: .sink_to(FileSink(...))"
            )

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """Write the results so far to pending files."""
        payloads = [("arrow", p) for p in _arrow_parts(self._batches)]
        payloads += [("pickle", p) for p in _pickle_parts(self._values)]
        self._batches, self._values, self._bytes = [], [], 0
        if not payloads:
            return ()
        system, root = resolve(self._directory)
        system.create_dir(root, recursive=True)
        committables = []
        for number, (suffix, payload) in enumerate(payloads):
            stem = f"{checkpoint_id:012d}-{self._context.subtask:05d}-{number:05d}"
            pending = posixpath.join(root, f".{stem}-{self._context.attempt}")
            final = posixpath.join(root, f"part-{stem}.{suffix}")
            with system.open_output_stream(pending) as out:
                out.write(payload)
            committables.append(msgspec.msgpack.encode([self._directory, pending, final]))
        return committables


def _arrow_parts(batches: list[pa.RecordBatch]) -> list[bytes]:
    parts = []
    group: list[pa.RecordBatch] = []
    size = 0
    for i, batch in enumerate(batches):
        group.append(batch)
        size += batch.nbytes
        if size >= PART_BYTES or i == len(batches) - 1:
            stream = io.BytesIO()
            with pa.ipc.new_stream(stream, group[0].schema) as writer:
                for b in group:
                    writer.write_batch(b)
            parts.append(stream.getvalue())
            group, size = [], 0
    return parts


def _pickle_parts(values: list[Any], rows: int = 100_000) -> list[bytes]:
    return [pickle.dumps(values[i : i + rows], protocol=5) for i in range(0, len(values), rows)]


class _CollectCommitter(Committer):
    def commit(self, committables: Sequence[bytes]) -> None:
        """Rename each pending file; one that is published already is left alone."""
        for committable in committables:
            uri, pending, final = msgspec.msgpack.decode(committable, type=tuple[str, str, str])
            system, _ = resolve(uri)
            source, target = system.get_file_info([pending, final])
            if target.type != fs.FileType.NotFound:
                continue
            if source.type == fs.FileType.NotFound:
                msg = f"the result file '{pending}' is gone"
                raise PublishError(msg, remedy="do not remove files from the checkpoint directory")
            system.move(pending, final)
