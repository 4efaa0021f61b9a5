"""``'connector' = 'filesystem'``: files in directories, read once or watched, written once."""

from __future__ import annotations

import enum
import re
from datetime import timedelta
from typing import Any, Final

import pyarrow as pa

from lesto.common.errors import LestoError
from lesto.common.option_types import ConfigOption, MemorySize
from lesto.connectors.errors import (
    ConnectorConfigError,
    UnknownConnectorError,
    UnsupportedTableUseError,
)
from lesto.connectors.files.encoders import EncoderFactory
from lesto.connectors.files.formats import LineFormat
from lesto.connectors.files.parquet_tables import TableParquetEncoderFactory
from lesto.connectors.files.partition_commit import PartitionCommit
from lesto.connectors.files.partitioned import TableFileSink
from lesto.connectors.files.source import ParquetFormat
from lesto.connectors.files.table_lines import MessageLines, MessageLinesEncoderFactory
from lesto.connectors.files.table_source import FILE_METADATA, FileColumn, TableFileSource
from lesto.connectors.tables.connector import Formats, TableConnector
from lesto.connectors.tables.formats import ChosenFormat, value_format
from lesto.connectors.tables.memory_lookup import FileLookup
from lesto.connectors.tables.options import (
    SCAN_PARALLELISM,
    SINK_PARALLELISM,
    Described,
    TableOptions,
)
from lesto.connectors.tables.requests import (
    LookupPlan,
    LookupRequest,
    ScanPlan,
    ScanRequest,
    SinkPlan,
    SinkRequest,
    TableField,
)
from lesto.sql.patterns import date_pattern
from lesto.sql.zones import resolve as resolve_zone


class CommitTrigger(enum.Enum):
    """When a partition is said to be complete."""

    PROCESS_TIME = "process-time"
    PARTITION_TIME = "partition-time"


PATH: Final = ConfigOption(
    "path", str, "", "Directory, file or URI; relative to where the job is built."
)
MONITOR: Final = ConfigOption(
    "source.monitor-interval",
    timedelta,
    None,
    "Look for new files this often and never end; unset: read what is there.",
    minimum=timedelta(milliseconds=1),
)
PATTERN: Final = ConfigOption(
    "source.path.regex-pattern", str, "", "Read only files whose whole path matches (re's syntax)."
)
STATISTICS: Final = ConfigOption(
    "source.report-statistics", str, "ALL", "Accepted.", choices=("ALL", "NONE")
)
DEFAULT_NAME: Final = ConfigOption(
    "partition.default-name",
    str,
    "__HIVE_DEFAULT_PARTITION__",
    "Directory of rows whose partition column is NULL or empty.",
)
FILE_SIZE: Final = ConfigOption(
    "sink.rolling-policy.file-size",
    MemorySize,
    MemorySize(128 << 20),
    "A file is closed at this size; each checkpoint closes it too.",
    minimum=MemorySize(1),
)
ROLLOVER: Final = ConfigOption(
    "sink.rolling-policy.rollover-interval",
    timedelta,
    timedelta(minutes=30),
    "Accepted: files are closed at each checkpoint, and visible when it is complete.",
)
INACTIVITY: Final = ConfigOption(
    "sink.rolling-policy.inactivity-interval",
    timedelta,
    timedelta(minutes=30),
    "Accepted, as the rollover interval.",
)
CHECK: Final = ConfigOption(
    "sink.rolling-policy.check-interval", timedelta, timedelta(minutes=1), "Accepted."
)
SHUFFLE: Final = ConfigOption(
    "sink.shuffle-by-partition.enable",
    bool,
    False,
    "Each partition is written by one subtask: fewer files, less parallelism.",
)
TRIGGER: Final = ConfigOption(
    "sink.partition-commit.trigger",
    CommitTrigger,
    CommitTrigger.PROCESS_TIME,
    "When the policy is carried out: process-time is when the partition's first files are visible"
    " (or the delay after its first row), partition-time when event time has passed its time.",
)
DELAY: Final = ConfigOption(
    "sink.partition-commit.delay",
    timedelta,
    timedelta(0),
    "How long after its time, or after its first row, a partition is complete.",
    minimum=timedelta(0),
)
COMMIT_ZONE: Final = ConfigOption(
    "sink.partition-commit.watermark-time-zone", str, "UTC", "Time zone of partitions' times."
)
EXTRACTOR: Final = ConfigOption(
    "partition.time-extractor.kind",
    str,
    "default",
    "default: by the pattern.",
    choices=("default",),
)
TIME_PATTERN: Final = ConfigOption(
    "partition.time-extractor.timestamp-pattern",
    str,
    "",
    "A partition's time by its columns, such as $day $hour:00:00; unset: the first column.",
)
TIME_FORMAT: Final = ConfigOption(
    "partition.time-extractor.timestamp-formatter",
    str,
    "",
    "How this is read; unset: yyyy-MM-dd HH:mm:ss, or yyyy-MM-dd.",
)
POLICY: Final = ConfigOption(
    "sink.partition-commit.policy.kind",
    str,
    None,
    "What is done when a partition is complete; unset: nothing.",
    choices=("success-file",),
)
SUCCESS: Final = ConfigOption(
    "sink.partition-commit.success-file.name", str, "_SUCCESS", "Name of the success file."
)
_OPTIONS: Final = (
    *(MONITOR, PATTERN, STATISTICS, DEFAULT_NAME, FILE_SIZE, ROLLOVER, INACTIVITY, CHECK),
    *(SHUFFLE, TRIGGER, DELAY, POLICY, SUCCESS, SCAN_PARALLELISM, SINK_PARALLELISM),
    *(COMMIT_ZONE, EXTRACTOR, TIME_PATTERN, TIME_FORMAT),
)

#: Formats of whole files, beside those of messages.
_BULK: Final = frozenset({"parquet"})


def _chosen(options: TableOptions) -> ChosenFormat:
    return value_format(Formats.FORMAT, options)


def _check(options: TableOptions, columns: tuple[TableField, ...]) -> None:
    chosen = _chosen(options)
    if not chosen.format.bulk and not chosen.format.lines:
        msg = f"table {options.table or '?'}: files cannot have the format '{chosen.name}'"
        raise UnknownConnectorError(msg, remedy="use csv, json, raw, parquet or a changelog format")
    if not options[PATH.key]:
        raise options.refuse(PATH, "it is empty", "give a directory, a file or a URI")
    if options.has(PATTERN):
        try:
            re.compile(options.of(PATTERN))
        except re.error as error:
            raise options.refuse(PATTERN, str(error), "give a regular expression") from None
    for column in columns:
        if column.metadata and column.metadata not in FILE_METADATA:
            msg = f"table {options.table or '?'}: files have no metadata '{column.metadata}'"
            raise ConnectorConfigError(msg, remedy=f"there are: {', '.join(FILE_METADATA)}")


def _contents(columns: tuple[TableField, ...], partitions: Any) -> list[TableField]:
    """The columns that are in the files."""
    return [c for c in columns if not c.metadata and c.name not in partitions]


def _file_format(
    chosen: ChosenFormat, contents: list[TableField], read: set[str], zone: str
) -> tuple[LineFormat | ParquetFormat, list[str], bool]:
    """The format, the columns it gives, and whether bad lines are left out."""
    if chosen.format.bulk:
        needed = [c for c in contents if c.name in read] or contents[:1]
        schema = pa.schema([(c.name, c.type.to_arrow()) for c in needed])
        return ParquetFormat(None, schema), schema.names, False
    fields = contents
    if chosen.name == "json":
        fields = [c for c in contents if c.name in read] or contents[:1]
    reader = chosen.reader(fields, zone)
    return MessageLines(reader), [c.name for c in fields], reader.skips_bad_messages


def _source(request: ScanRequest) -> TableFileSource:
    options = TableOptions(request.options, request.table)
    partitions = request.partition_keys
    contents = _contents(request.columns, partitions)
    read = {c.name for c in request.read}
    made, names, skips = _file_format(_chosen(options), contents, read, request.time_zone)
    columns = [
        FileColumn(
            c.name,
            c.type,
            -1 if c.metadata or c.name in partitions else names.index(c.name),
            c.name if c.name in partitions else "",
            c.metadata,
        )
        for c in request.read
    ]
    interval = options.of(MONITOR)
    return TableFileSource(
        options.needed(PATH),
        made,
        columns,
        default_name=options.of(DEFAULT_NAME),
        pattern=options.of(PATTERN),
        watch_interval_s=None if interval is None else interval.total_seconds(),
        skips=skips,
    )


def _scan(request: ScanRequest) -> ScanPlan:
    options = TableOptions(request.options, request.table)
    if request.bounded and options.of(MONITOR) is not None:
        msg = f"table {request.table or '?'} is watched and never ends; a batch cannot read it"
        raise UnsupportedTableUseError(msg, remedy="leave 'source.monitor-interval' out")
    return ScanPlan(_source(request), parallelism=options.of(SCAN_PARALLELISM))


def _find(request: LookupRequest) -> LookupPlan:
    scan = ScanRequest(
        {k: v for k, v in request.options.items() if k != MONITOR.key},
        request.columns,
        tuple(dict.fromkeys((*request.keys, *request.projection))),
        time_zone=request.time_zone,
        partition_keys=request.partition_keys,
        table=request.table,
    )
    positions = {c: i for i, c in enumerate(scan.projection)}
    return LookupPlan(
        FileLookup(
            _source(scan),
            tuple(positions[k] for k in request.keys),
            tuple(positions[c] for c in request.projection),
        )
    )


def _encoders(chosen: ChosenFormat, contents: list[TableField], zone: str) -> EncoderFactory:
    schema = pa.schema([(c.name, c.type.to_arrow()) for c in contents])
    if chosen.format.bulk:
        return TableParquetEncoderFactory(chosen.options, schema)
    return MessageLinesEncoderFactory(chosen.writer(contents, zone), schema)


def _write(request: SinkRequest) -> SinkPlan:
    options = TableOptions(request.options, request.table)
    if request.overwrite and not request.bounded:
        msg = f"INSERT OVERWRITE of table {request.table or '?'} is there for batches alone"
        raise UnsupportedTableUseError(msg, remedy="set execution.runtime-mode to batch")
    success, complete = "", None
    if options.of(POLICY):
        success = options.of(SUCCESS)
        complete = _complete(options)
    names = {request.columns[i].name for i in request.partition_keys}
    contents = _contents(request.columns, names)
    sink = TableFileSink(
        options.needed(PATH),
        _encoders(_chosen(options), contents, request.time_zone),
        request.schema,
        [(i, request.columns[i].name, request.columns[i].type) for i in request.partition_keys],
        default_name=options.of(DEFAULT_NAME),
        part_bytes=options.of(FILE_SIZE),
        success_file=success,
        overwrite=request.overwrite,
        complete=complete,
    )
    # A subtask knows when event time has passed a partition only if no other one writes it.
    together = options.of(SHUFFLE) or (complete is not None and complete.by_watermark)
    shuffle = request.partition_keys if together else ()
    return SinkPlan(sink, options.of(SINK_PARALLELISM), shuffle)


def _complete(options: TableOptions) -> PartitionCommit | None:
    """When partitions are complete; None: as soon as they have files."""
    by_watermark = options.of(TRIGGER) is CommitTrigger.PARTITION_TIME
    delay_ms = options.of(DELAY) // timedelta(milliseconds=1)
    if not by_watermark and not delay_ms:
        return None
    for option, check in ((TIME_FORMAT, date_pattern), (COMMIT_ZONE, resolve_zone)):
        try:
            check(options.of(option))
        except LestoError as error:
            raise options.refuse(option, error.message, "correct it") from error
    return PartitionCommit(
        by_watermark,
        delay_ms,
        options.of(TIME_PATTERN),
        options.of(TIME_FORMAT),
        options.of(COMMIT_ZONE),
    )


CONNECTOR: Final = TableConnector(
    Described("filesystem", "Files, in partitions if the table has any.", (PATH,), _OPTIONS),
    Formats.FORMAT,
    scan=_scan,
    write=_write,
    find=_find,
    check=_check,
    split_watermarks=True,
)
