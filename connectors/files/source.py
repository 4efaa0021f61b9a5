"""The file source: CSV, JSON Lines, Parquet, text; split by file and range; bounded or watched."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from lesto.common.locations import absolute
from lesto.common.source import (
    Boundedness,
    EndOfSplits,
    EnumeratorContext,
    NoData,
    PollResult,
    ReaderContext,
    Source,
    SourceBatch,
    SourceReader,
    SourceSplit,
    SplitEnumerator,
    SplitFinished,
)
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.files.damaged import readable
from lesto.connectors.files.formats import CsvFormat, JsonLinesFormat, LineFormat, TextFormat
from lesto.connectors.files.listing import FileInfo, list_files, resolve
from lesto.connectors.files.malformed import MalformedPolicy
from lesto.connectors.files.readers import LineSplitReader, ParquetSplitReader, SplitReader
from lesto.connectors.files.splits import FileSplit, decode_split, encode_split

#: Text files are cut into ranges of about this size, so that all readers have work.
SPLIT_BYTES: Final = 4 << 20
#: Shortest interval at which a directory is looked at again.
DISCOVERY_MS_MIN: Final = 10
#: Most files one source remembers as seen.
FILES_MAX: Final = 1_000_000


class ParquetFormat:
    """Parquet files; splits are row groups.

    Args:
        columns: read only these; None: all.
        schema: expected columns; None: those of the first file.
    """

    def __init__(
        self, columns: Sequence[str] | None = None, schema: pa.Schema | None = None
    ) -> None:
        self.columns = None if columns is None else tuple(columns)
        self.schema = schema

    def bind(self, uris: Sequence[str]) -> ParquetFormat:
        """The format with its schema known."""
        schema = self.schema
        if schema is None:
            uri, info = list_files(uris)[0]
            system, _ = resolve(uri)
            with system.open_input_file(info.path) as file, readable(info.path, "Parquet"):
                schema = pq.read_schema(file).remove_metadata()
        if self.columns is not None:
            from lesto.common.evaluator import resolve_column

            schema = pa.schema([schema.field(resolve_column(c, schema)) for c in self.columns])
        return ParquetFormat(self.columns, schema)


FileFormat = LineFormat | ParquetFormat


class BulkFormat:
    """Flink's formats that read a file in blocks.

    Args:
        format: what reads.
    """

    def __init__(self, format: FileFormat) -> None:
        self.format = format


class FileEnumeratorProvider:
    """Flink's choices of how files are found and cut; there is one way: line formats at about
    4 MB, Parquet by row groups.
    """

    @staticmethod
    def default_splittable_file_enumerator() -> FileEnumeratorProvider:
        """The one way."""
        return FileEnumeratorProvider()

    @staticmethod
    def default_non_splittable_file_enumerator() -> FileEnumeratorProvider:
        """The one way; files are cut all the same."""
        return FileEnumeratorProvider()


class FileSplitAssignerProvider:
    """Flink's choices of who reads what; there is one way: a reader that is free gets the next."""

    @staticmethod
    def locality_aware_split_assigner() -> FileSplitAssignerProvider:
        """The one way."""
        return FileSplitAssignerProvider()


_BY_NAME: Final[dict[str, Any]] = {
    "csv": CsvFormat,
    "jsonl": JsonLinesFormat,
    "json": JsonLinesFormat,
    "parquet": ParquetFormat,
    "text": TextFormat,
}


class FileSource(Source):
    """Reads files.

    Args:
        paths: files, directories (recursive; hidden files are left out), globs, or URIs of any file
            system that pyarrow knows.
        format: ``CsvFormat``, ``JsonLinesFormat``, ``ParquetFormat``, ``TextFormat``, or its name;
        None:
            by the file name's ending.
        watch_interval: look for new files this often and never end (seconds, or a timedelta);
        None: read
            what is there and end.
        on_error: ``fail`` (default, names file and line), ``skip`` (counted), or ``dead-letter``.
        dead_letter_path: directory for malformed records with ``dead-letter``.

    Raises:
        InputNotFoundError: nothing to read.
        ConnectorConfigError: options that do not go together.
    """

    def __init__(
        self,
        *paths: str,
        format: FileFormat | str | None = None,
        watch_interval: Any = None,
        on_error: str = "fail",
        dead_letter_path: str | None = None,
    ) -> None:
        if not paths:
            msg = "a file source needs at least one path"
            raise ConnectorConfigError(msg)
        for path in paths:
            _refuse_format(path)
        # The JobManager lists them and slots read them, in directories of their own.
        self.paths = tuple(absolute(str(p)) for p in paths)
        self.policy = MalformedPolicy.of(on_error, dead_letter_path)
        self.format = _format(format, self.paths).bind(self.paths)
        self.schema = self.format.schema
        self.watch_interval_ms = _interval_ms(watch_interval)
        bounded = self.watch_interval_ms is None
        self.boundedness = Boundedness.BOUNDED if bounded else Boundedness.CONTINUOUS_UNBOUNDED

    @staticmethod
    def for_record_stream_format(stream_format: FileFormat, *paths: str) -> FileSourceBuilder:
        """Flink's builder."""
        return FileSourceBuilder(stream_format, paths)

    @staticmethod
    def for_bulk_file_format(bulk_format: BulkFormat, *paths: str) -> FileSourceBuilder:
        """Flink's builder, for Parquet."""
        return FileSourceBuilder(bulk_format.format, paths)

    def create_enumerator(
        self, context: EnumeratorContext, checkpoint: bytes | None
    ) -> SplitEnumerator:
        """Lists the files and hands out their splits in order."""
        return _FileEnumerator(context, self, checkpoint)

    def create_reader(self, context: ReaderContext) -> SourceReader:
        """A reader of file splits."""
        return _FileReader(context, self)

    def serialize_split(self, split: SourceSplit) -> bytes:
        """The split as msgpack."""
        return encode_split(split)

    def deserialize_split(self, data: bytes) -> SourceSplit:
        """Inverse of ``serialize_split``."""
        return decode_split(data)

    def splits_of(self, uri: str, info: FileInfo) -> list[FileSplit]:
        """The splits of one file."""
        if isinstance(self.format, ParquetFormat):
            system, _ = resolve(uri)
            with system.open_input_file(info.path) as file, readable(info.path, "Parquet"):
                groups = pq.ParquetFile(file).num_row_groups
            return [FileSplit(uri, info.path, g, g + 1, g) for g in range(groups)]
        bounds = [*range(0, info.size_bytes, SPLIT_BYTES), info.size_bytes]
        pairs = itertools.pairwise(bounds)
        return [FileSplit(uri, info.path, lo, hi, lo) for lo, hi in pairs if hi > lo]

    def open_split(self, split: FileSplit, context: ReaderContext) -> SplitReader:
        """A reader at the split's position."""
        if isinstance(self.format, ParquetFormat):
            assert self.format.schema is not None
            return ParquetSplitReader(
                split, self.format.schema, self.format.columns, context.batch_rows
            )
        return LineSplitReader(split, self.format, self.policy, context.count_error)


class FileSourceBuilder:
    """Flink's ``FileSource`` builder."""

    def __init__(self, stream_format: FileFormat, paths: Sequence[str]) -> None:
        self._format = stream_format
        self._paths = paths
        self._interval: Any = None

    def monitor_continuously(self, discovery_interval: Any) -> FileSourceBuilder:
        """Look for new files at this interval and never end."""
        self._interval = discovery_interval
        return self

    def process_static_file_set(self) -> FileSourceBuilder:
        """Read what is there and end."""
        self._interval = None
        return self

    def set_file_enumerator(self, file_enumerator: FileEnumeratorProvider) -> FileSourceBuilder:
        """Accepted: there is one way."""
        return self

    def set_split_assigner(self, split_assigner: FileSplitAssignerProvider) -> FileSourceBuilder:
        """Accepted: there is one way."""
        return self

    def build(self) -> FileSource:
        """The source."""
        return FileSource(*self._paths, format=self._format, watch_interval=self._interval)


class StreamFormat:
    """Flink's stream formats."""

    @staticmethod
    def text_line_format(charset_name: str = "UTF-8") -> LineFormat:
        """Each line is a ``str``."""
        return TextFormat(charset_name)


def _format(given: FileFormat | str | None, paths: Sequence[str]) -> FileFormat:
    if given is not None and not isinstance(given, str):
        return given
    name = given
    if name is None:
        _, info = list_files(paths)[0]
        name = info.path.rsplit(".", 1)[-1].lower()
        name = {"txt": "text", "log": "text", "ndjson": "jsonl", "pq": "parquet"}.get(name, name)
    if name not in _BY_NAME:
        msg = f"the format '{name}' of '{paths[0]}' is not known"
        raise ConnectorConfigError(msg, remedy=f"give format= one of {', '.join(sorted(_BY_NAME))}")
    made: FileFormat = _BY_NAME[name]()
    return made


def _refuse_format(path: Any) -> None:
    """A format in the place of a path: the sink takes one there, the source takes more paths."""
    is_name = isinstance(path, str) and path in _BY_NAME and not os.path.exists(path)
    if is_name or not isinstance(path, str | os.PathLike):
        shown = repr(path) if is_name else f"a {type(path).__name__}"
        argument = f"format={path!r}" if is_name else "format=..."
        msg = f"FileSource takes paths, then options by name; {shown} is none"
        raise ConnectorConfigError(
            msg,
            remedy=f"write {argument} if it is the format, FileSource(*paths) if it holds several",
        )


def _interval_ms(interval: Any) -> int | None:
    if interval is None:
        return None
    seconds = getattr(interval, "total_seconds", None)
    if seconds is not None:
        ms = seconds() * 1000
    elif hasattr(interval, "to_millis"):
        ms = interval.to_millis()
    else:
        ms = float(interval) * 1000
    return max(DISCOVERY_MS_MIN, int(ms))


class _FileEnumerator(SplitEnumerator):
    """Files in order of their names, new ones in order of discovery; a file is read once."""

    def __init__(
        self, context: EnumeratorContext, source: FileSource, checkpoint: bytes | None
    ) -> None:
        self._context = context
        self._source = source
        self._pending: deque[FileSplit] = deque()
        self._waiting: deque[int] = deque()
        self._seen: set[str] = set()
        if checkpoint is not None:
            pending, seen = msgspec.msgpack.decode(checkpoint, type=tuple[list[bytes], list[str]])
            self._pending.extend(decode_split(s) for s in pending)
            self._seen.update(seen)
        self._fresh = checkpoint is None

    def start(self) -> None:
        """List the files, unless restored; keep watching if asked to."""
        interval = self._source.watch_interval_ms
        if self._fresh or interval is not None:
            self._list(must_exist=interval is None)
        if interval is not None:
            self._context.discovery_interval_ms(interval)

    def discover(self) -> None:
        """Look for new files and serve the readers that wait."""
        self._list(must_exist=False)
        self._serve_waiting()

    def _serve_waiting(self) -> None:
        while self._pending and self._waiting:
            self._context.assign_split(self._pending.popleft(), self._waiting.popleft())

    def _list(self, *, must_exist: bool) -> None:
        for uri, info in list_files(self._source.paths, must_exist=must_exist):
            if info.path not in self._seen:
                if len(self._seen) >= FILES_MAX:
                    msg = f"more than {FILES_MAX:,} files were read by one source"
                    raise ConnectorConfigError(msg, remedy="move files away once they are read")
                self._seen.add(info.path)
                self._pending.extend(self._source.splits_of(uri, info))

    def handle_split_request(self, subtask: int) -> None:
        """The next split; else wait for new files, or say that there are no more."""
        if self._pending:
            self._context.assign_split(self._pending.popleft(), subtask)
        elif self._source.watch_interval_ms is None:
            self._context.signal_no_more_splits(subtask)
        elif subtask not in self._waiting:
            self._waiting.append(subtask)

    def add_splits_back(self, splits: Sequence[SourceSplit], subtask: int) -> None:
        """They are the next ones, for readers that wait first; this reader asks again."""
        if subtask in self._waiting:
            self._waiting.remove(subtask)
        for split in reversed(splits):
            assert isinstance(split, FileSplit)
            self._pending.appendleft(split)
        self._serve_waiting()

    def snapshot_state(self, checkpoint_id: int) -> bytes:
        """Splits not yet assigned, and the files known (only needed when new ones may come)."""
        seen = sorted(self._seen) if self._source.watch_interval_ms is not None else []
        return msgspec.msgpack.encode(([encode_split(s) for s in self._pending], seen))


class _FileReader(SourceReader):
    """Reads its splits one after the other."""

    def __init__(self, context: ReaderContext, source: FileSource) -> None:
        self._context = context
        self._source = source
        self._splits: deque[FileSplit] = deque()
        self._open: SplitReader | None = None
        self._requested = False
        self._no_more = False

    def start(self) -> None:
        """Ask for work unless some was restored."""
        self._request_if_empty()

    def _request_if_empty(self) -> None:
        if not self._splits and self._open is None and not self._requested and not self._no_more:
            self._requested = True
            self._context.request_split()

    def poll(self) -> PollResult:
        """The next batch of the current split."""
        if self._open is None:
            if not self._splits:
                self._request_if_empty()
                return EndOfSplits.END if self._no_more else NoData()
            self._open = self._source.open_split(self._splits.popleft(), self._context)
        reader = self._open
        batch = reader.next()
        if batch is not None:
            return SourceBatch(batch, reader.split.split_id)
        reader.close()
        self._open = None
        self._request_if_empty()
        return SplitFinished(reader.split.split_id)

    def add_splits(self, splits: Sequence[SourceSplit]) -> None:
        """Read them after those it has."""
        self._requested = False
        for split in splits:
            assert isinstance(split, FileSplit)
            self._splits.append(split)

    def notify_no_more_splits(self) -> None:
        """End when all is read."""
        self._no_more = True

    def snapshot_state(self, checkpoint_id: int) -> Sequence[SourceSplit]:
        """The open split with its progress, and those behind it."""
        return [*([self._open.split] if self._open is not None else []), *self._splits]

    def close(self) -> None:
        """Close the open file."""
        if self._open is not None:
            self._open.close()
            self._open = None
