"""The file sink: a file becomes visible only when the checkpoint it belongs to is complete.

A writer fills ``<path>/.pending/<job>-<attempt>-<operator>-<subtask>-<n><suffix>``. At a barrier
the file is closed
and made durable, and a committable names it and its final name. The commit is a rename: done again
after
a failure it finds the final file and is content. Files of failed attempts stay in ``.pending``,
unseen by
readers (and by Lesto's file source), and are removed when the job finishes.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final

import msgspec
from pyarrow import fs

from lesto.common.elements import Batch
from lesto.common.locations import absolute
from lesto.common.sink import Committer, EndedWriter, Sink, SinkWriter, WriterContext
from lesto.connectors.errors import ConnectorConfigError, OutputError, PublishError
from lesto.connectors.files.encoders import (
    EncoderFactory,
    FileEncoder,
    LineEncoderFactory,
    encoder_factory,
)
from lesto.connectors.files.listing import resolve
from lesto.connectors.files.sink_options import (
    PART_BYTES_MAX,
    BucketAssigner,
    OutputFileConfig,
    RollingPolicy,
)

#: Unpublished files live here, below the sink's directory.
PENDING_DIRECTORY: Final = ".pending"
#: What making a directory fails with where trying again will not help.
_UNWRITABLE: Final = frozenset(
    {
        errno.EACCES,
        errno.EPERM,
        errno.EROFS,
        errno.EEXIST,
        errno.ENOENT,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)
_PENDING_NAME: Final = re.compile(
    r"(?P<job>[^-]+)-(?P<attempt>\d+-\d+)-(?P<operator>[0-9a-f]{6})-(?P<subtask>\d+)-\d+"
)


class FileSink(Sink):
    """Writes files exactly once.

    Args:
        path: directory or URI of the output.
        format: ``parquet``, ``jsonl``, ``csv``, ``text``, or an encoder factory.
        prefix: first part of the file names.
        part_bytes: a file is closed when it has this many bytes, even between checkpoints.

    Raises:
        ConnectorConfigError: options that make no sense.
    """

    # Flink's names of the builder.
    BaseBuilder: ClassVar[type[FileSinkBuilder]]
    RowFormatBuilder: ClassVar[type[FileSinkBuilder]]
    BulkFormatBuilder: ClassVar[type[FileSinkBuilder]]

    def __init__(
        self,
        path: str,
        format: EncoderFactory | str = "parquet",
        *,
        prefix: str = "part",
        part_bytes: int = PART_BYTES_MAX,
    ) -> None:
        if part_bytes < 1:
            msg = f"part_bytes must be positive, got {part_bytes}"
            raise ConnectorConfigError(msg)
        # A relative path means the directory in which the job is submitted, not the slot's.
        self.path = absolute(path)
        self.encoders = encoder_factory(format)
        self.input_form = self.encoders.input_form
        self.prefix = prefix
        self.part_bytes = part_bytes

    @staticmethod
    def for_row_format(base_path: str, encoder: LineEncoderFactory) -> FileSinkBuilder:
        """Flink's builder for formats that write record by record."""
        return FileSinkBuilder(base_path, encoder)

    @staticmethod
    def for_bulk_format(base_path: str, writer_factory: EncoderFactory | str) -> FileSinkBuilder:
        """Flink's builder for formats such as Parquet."""
        return FileSinkBuilder(base_path, writer_factory)

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """A writer of part files."""
        return FileWriter(self, context)

    def create_committer(self) -> Committer:
        """Publishes by renaming."""
        return RenameCommitter(self.path)


class FileSinkBuilder:
    """Flink's ``FileSink`` builder. Files roll at each checkpoint, to be visible exactly once."""

    def __init__(self, base_path: str, encoder: EncoderFactory | str) -> None:
        self._path = base_path
        self._encoder = encoder_factory(encoder)
        self._prefix = "part"
        self._part_bytes = PART_BYTES_MAX

    def with_output_file_config(self, output_file_config: OutputFileConfig) -> FileSinkBuilder:
        """Names of the part files."""
        self._prefix = output_file_config.part_prefix
        if output_file_config.part_suffix:
            self._encoder.suffix = output_file_config.part_suffix
        return self

    def with_rolling_policy(self, rolling_policy: RollingPolicy) -> FileSinkBuilder:
        """When part files are closed between checkpoints."""
        self._part_bytes = rolling_policy.part_bytes
        return self

    def with_bucket_assigner(self, bucket_assigner: BucketAssigner) -> FileSinkBuilder:
        """All files go to the sink's directory."""
        return self

    def with_bucket_check_interval(self, interval: int) -> FileSinkBuilder:
        """For compatibility: files are closed at checkpoints, nothing is looked at in between."""
        return self

    def enable_compact(self, strategy: Any, compactor: Any) -> FileSinkBuilder:
        """Flink's joining of small files.

        Raises:
            ConnectorConfigError: it is not there.
        """
        msg = "a file sink does not join small files"
        raise ConnectorConfigError(
            msg, remedy="write fewer files: lengthen the checkpoint interval"
        )

    def disable_compact(self) -> FileSinkBuilder:
        """Accepted: files are not joined."""
        return self

    def build(self) -> FileSink:
        """The sink."""
        return FileSink(self._path, self._encoder, prefix=self._prefix, part_bytes=self._part_bytes)


FileSink.BaseBuilder = FileSinkBuilder
FileSink.RowFormatBuilder = FileSinkBuilder
FileSink.BulkFormatBuilder = FileSinkBuilder


class FileWriter(SinkWriter):
    """Writes part files of one directory.

    Args:
        sink: what is written.
        context: of the writer.
        directory: below the sink's, where the files are published: empty, or ending with a slash.
        numbers: counts this subtask's files; shared by the writers of a subtask.
    """

    def __init__(
        self,
        sink: FileSink,
        context: WriterContext,
        directory: str = "",
        numbers: Iterator[int] | None = None,
    ) -> None:
        self._sink = sink
        self._directory = directory
        self._context = context
        self._fs, self._root = resolve(sink.path)
        self._pending_dir = posixpath.join(self._root, PENDING_DIRECTORY)
        try:
            self._fs.create_dir(self._pending_dir, recursive=True)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            msg = f"the output directory '{sink.path}' cannot be made or written: {error}"
            raise OutputError(
                msg, remedy="check the path and its permissions, on the machines of the workers"
            ) from error
        # Two sinks of a job may share a directory: the operator is part of every name.
        self._operator = f"{_operator_digest(context.operator_uid)}-{context.subtask}"
        self._numbers = itertools.count() if numbers is None else numbers
        self._stream: Any = None
        self._encoder: FileEncoder | None = None
        self._name = ""
        self._closed: list[str] = []

    def write(self, batch: Batch) -> None:
        """Append to the current part file."""
        if self._encoder is None:
            self._open()
            assert self._encoder is not None
        self._encoder.write(batch)
        if self._stream.tell() >= self._sink.part_bytes:
            self.finish_part()

    def _open(self) -> None:
        job, attempt = self._context.job_id, self._context.attempt
        number = next(self._numbers)
        self._name = f"{job}-{attempt}-{self._operator}-{number}{self._sink.encoders.suffix}"
        path = posixpath.join(self._pending_dir, self._name)
        try:
            self._stream = self._fs.open_output_stream(path)
        except FileNotFoundError:  # a subtask that has finished found the directory empty
            self._fs.create_dir(self._pending_dir, recursive=True)
            self._stream = self._fs.open_output_stream(path)
        self._encoder = self._sink.encoders.create(self._stream, self._context.input_schema)

    def finish_part(self) -> None:
        """Close the file; it is published with those of the next checkpoint."""
        if self._encoder is None:
            return
        self._encoder.finish()
        if not self._stream.closed:
            self._stream.close()
        _make_durable(self._fs, posixpath.join(self._pending_dir, self._name))
        self._closed.append(self._name)
        self._encoder = self._stream = None

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """Close the part file; it is published when the checkpoint is complete."""
        self.finish_part()
        job = self._context.job_id[:8]
        committables = []
        for number, pending in enumerate(self._closed):
            final = (
                f"{self._directory}{self._sink.prefix}-{job}-{self._operator}-{checkpoint_id:08d}"
                f"-{number}{self._sink.encoders.suffix}"
            )
            # With the directory: a job restored with another one still publishes this file there.
            committables.append(msgspec.msgpack.encode([pending, final, self._sink.path]))
        self._closed.clear()
        return committables

    def close(self) -> None:
        """Close without publishing; files that no checkpoint knows are removed."""
        unknown = list(self._closed)
        if self._stream is not None:
            unknown.append(self._name)
            if not self._stream.closed:
                self._stream.close()
        self._encoder = self._stream = None
        self._closed.clear()
        for name in unknown:
            _delete_if_there(self._fs, posixpath.join(self._pending_dir, name))


class RenameCommitter(Committer):
    """Publishes by renaming.

    Args:
        path: the sink's directory.
    """

    def __init__(self, path: str) -> None:
        self._fs, self._root = resolve(path)

    def commit(self, committables: Sequence[bytes]) -> None:
        """Rename each pending file; one that is published already is left alone."""
        synced: dict[str, fs.FileSystem] = {}
        for committable in committables:
            pending, final, path = msgspec.msgpack.decode(committable, type=tuple[str, str, str])
            system, root = resolve(path)
            _publish(system, root, pending, final)
            synced[posixpath.dirname(posixpath.join(root, final))] = system
            synced[root] = system
        for root, system in synced.items():
            _sync_directory(system, root)

    def finish(self, ended: EndedWriter) -> None:
        """Remove what earlier attempts of this writer left unpublished.

        Files of other writers stay, whatever their attempt: they may be about to publish them.
        """
        directory = posixpath.join(self._root, PENDING_DIRECTORY)
        operator = _operator_digest(ended.operator_uid)
        for info in self._fs.get_file_info(fs.FileSelector(directory, allow_not_found=True)):
            found = _PENDING_NAME.match(info.base_name)
            if found is None or (found["job"], found["operator"]) != (ended.job_id, operator):
                continue
            if found["attempt"] != ended.attempt and ended.inherits(int(found["subtask"])):
                _delete_if_there(self._fs, info.path)
        _delete_directory_if_empty(self._fs, directory)


def _operator_digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:6]


def _publish(system: fs.FileSystem, root: str, pending: str, final: str) -> None:
    source = posixpath.join(root, PENDING_DIRECTORY, pending)
    target = posixpath.join(root, final)
    there = {i.path: i.type != fs.FileType.NotFound for i in system.get_file_info([source, target])}
    have_source, have_target = list(there.values())
    if have_source and not have_target:
        if "/" in final:
            system.create_dir(posixpath.dirname(target), recursive=True)
        system.move(source, target)
    elif have_source and have_target:
        # A rename on an object store is copy and delete; the copy is whole, finish the delete.
        system.delete_file(source)
    elif not have_target:
        msg = f"'{pending}' is neither pending nor published as '{final}' in '{root}'"
        raise PublishError(
            msg,
            remedy="somebody removed or moved files of this job: put them back, or restore from"
            " another checkpoint",
        )


def _make_durable(system: fs.FileSystem, path: str) -> None:
    if isinstance(system, fs.LocalFileSystem):
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _sync_directory(system: fs.FileSystem, path: str) -> None:
    if isinstance(system, fs.LocalFileSystem):
        _make_durable(system, path)


def _delete_if_there(system: fs.FileSystem, path: str) -> None:
    try:
        system.delete_file(path)
    except FileNotFoundError:
        return  # another subtask was faster


def _delete_directory_if_empty(system: fs.FileSystem, path: str) -> None:
    if isinstance(system, fs.LocalFileSystem):
        try:
            os.rmdir(path)
        except OSError:
            return
