"""Sources and surroundings of a job beyond the first ones: texts, tables, files, listeners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lesto.client.datastream.checks import check_instance, wrong
from lesto.common import options
from lesto.common.checking import is_a
from lesto.common.locations import absolute
from lesto.common.watermarks import WatermarkStrategy

if TYPE_CHECKING:
    from lesto.client.datastream.data_stream import DataStream
    from lesto.client.job_client import JobClient, JobExecutionResult
    from lesto.common.config import Configuration
    from lesto.common.source import Source
    from lesto.common.types import TypeInformation

PORT_MAX = 65_535
RETRIES_MAX = 60


class JobListener(ABC):
    """Is told when jobs of an environment are submitted and when they have ended."""

    @abstractmethod
    def on_job_submitted(self, job_client: JobClient | None, throwable: Exception | None) -> None:
        """A job was submitted, or (with an error) could not be."""

    @abstractmethod
    def on_job_executed(
        self, job_execution_result: JobExecutionResult | None, throwable: Exception | None
    ) -> None:
        """``execute`` has ended; with the error that it raises."""


class EnvironmentSources:
    """Part of StreamExecutionEnvironment."""

    _config: Configuration
    _listeners: list[JobListener]

    if TYPE_CHECKING:

        def from_source(
            self,
            source: Source,
            watermark_strategy: WatermarkStrategy,
            source_name: str,
            type_info: TypeInformation | None = None,
        ) -> DataStream:
            """A stream from a source."""

        def from_collection(self, collection: Any, type_info: Any = None) -> DataStream:
            """A stream of elements."""

    # ------------------------------------------------------------------------------------- sources

    def from_arrow(self, data: Any) -> DataStream:
        """A bounded stream of columns: a pyarrow Table, a RecordBatch, or whatever exports Arrow
        (polars, duckdb); it travels with the job.
        """
        if not hasattr(data, "__arrow_c_stream__") and not hasattr(data, "__arrow_c_array__"):
            wrong("from_arrow", "a pyarrow Table or RecordBatch", data)
        import pyarrow as pa

        table = pa.table(data) if hasattr(data, "__arrow_c_stream__") else pa.table([data])
        return self.from_collection(table)

    def from_pandas(self, data: Any) -> DataStream:
        """A bounded stream of a pandas DataFrame's columns, without its index."""
        if not (hasattr(data, "columns") and hasattr(data, "index")):
            wrong("from_pandas", "a pandas DataFrame", data)
        import pyarrow as pa

        return self.from_collection(pa.Table.from_pandas(data, preserve_index=False))

    def read_text_file(self, file_path: str, charset_name: str = "UTF-8") -> DataStream:
        """A bounded stream of a file's lines, or of all files of a folder."""
        check_instance("read_text_file", "a path", file_path, str)
        if charset_name.upper().replace("_", "-") not in {"UTF-8", "UTF8"}:
            wrong("read_text_file", "UTF-8 files", charset_name, "convert the file to UTF-8")
        return self.read_file("text", file_path)

    def read_file(self, file_format: Any, file_path: str) -> DataStream:
        """A bounded stream of the records of a file or a folder.

        Args:
            file_format: what ``FileSource`` takes: 'csv', 'jsonl', 'parquet', 'text', or a format.
            file_path: a path or URI.
        """
        from lesto.connectors.files import FileSource

        check_instance("read_file", "a path", file_path, str)
        source = FileSource(file_path, format=file_format)
        strategy = WatermarkStrategy.no_watermarks()
        return self.from_source(source, strategy, f"File: {Path(file_path).name}")

    def socket_text_stream(
        self, hostname: str, port: int, delimiter: str = "\n", max_retry: int = 0
    ) -> DataStream:
        """An unbounded stream of texts that a server sends. For trying things out: what was
        received before a failure is not received again.

        Args:
            hostname: of the server.
            port: of the server.
            delimiter: between two texts.
            max_retry: further attempts to connect, a second apart.
        """
        from lesto.connectors.sockets import SocketTextSource

        check_instance("socket_text_stream", "a host name", hostname, str)
        if not is_a(port, int) or not 0 < port <= PORT_MAX:
            wrong("socket_text_stream", f"a port from 1 to {PORT_MAX}", port)
        if not is_a(max_retry, int) or not 0 <= max_retry <= RETRIES_MAX:
            wrong("socket_text_stream", f"a max_retry from 0 to {RETRIES_MAX}", max_retry)
        if not is_a(delimiter, str) or not delimiter:
            wrong("socket_text_stream", "a non-empty delimiter", delimiter)
        source = SocketTextSource(hostname, port, delimiter, max_retry)
        strategy = WatermarkStrategy.no_watermarks()
        stream = self.from_source(source, strategy, f"Socket: {hostname}:{port}")
        return stream.force_non_parallel()

    # -------------------------------------------------------------------------------- cached files

    def register_cached_file(self, file_path: str, name: str, executable: bool = False) -> None:
        """A file that functions find by name: ``get_distributed_cache().get_file(name)``.

        Args:
            file_path: a path that all machines see, or a URI such as ``s3://bucket/file``; of
                other storage than the local one each slot makes a copy.
            name: the name.
            executable: the copy may be executed.
        """
        from lesto.common.cached_files import entry

        check_instance("register_cached_file", "a path", file_path, str)
        if not is_a(name, str) or not name:
            wrong("register_cached_file", "a name", name)
        if not urlsplit(file_path).scheme:
            file_path = absolute(file_path)
        files = dict(self.get_cached_files())
        if name in files:
            wrong("register_cached_file", "a name that is not taken", name)
        files[name] = entry(file_path, executable=bool(executable))
        self._config.set(options.CACHED_FILES, files)

    def get_cached_files(self) -> list[tuple[str, str]]:
        """Names and places of the registered files."""
        files = self._config.get(options.CACHED_FILES)
        return [] if files is None else sorted(files.items())

    # ------------------------------------------------------------------------------------ listeners

    def register_job_listener(self, job_listener: JobListener) -> None:
        """Tell an object of submitted and ended jobs."""
        check_instance("register_job_listener", "a JobListener", job_listener, JobListener)
        self._listeners.append(job_listener)

    def get_job_listeners(self) -> list[JobListener]:
        """Those registered."""
        return list(self._listeners)

    def clear_job_listeners(self) -> None:
        """Tell nobody any more."""
        self._listeners.clear()

    def _tell_submitted(self, job: JobClient | None, error: Exception | None) -> None:
        for listener in self._listeners:
            listener.on_job_submitted(job, error)

    def _tell_executed(self, result: JobExecutionResult | None, error: Exception | None) -> None:
        for listener in self._listeners:
            listener.on_job_executed(result, error)
