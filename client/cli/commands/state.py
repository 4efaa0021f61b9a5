"""`lesto state list` and `lesto state read`: what a checkpoint or savepoint holds."""

from __future__ import annotations

import argparse
import base64
import contextlib
import datetime as dt
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.output import format_bytes, format_time, print_records
from lesto.client.cli.target import configuration
from lesto.client.errors import UsageError
from lesto.state.codec import Opaque
from lesto.state.errors import StateNotFoundError, StorageError
from lesto.state.reader import OperatorInfo, SavepointReader, StateInfo

if TYPE_CHECKING:
    import pyarrow as pa

#: Rows of a table for people when --limit does not say.
TABLE_ROWS: Final = 100
#: Characters of a cell of such a table.
CELL_MAX: Final = 60
_LIST_COLUMNS: Final = {
    "operator": "OPERATOR",
    "uid": "UID",
    "parallelism": "PARALLELISM",
    "state": "STATE",
    "kind": "KIND",
    "types": "TYPES",
    "items": "ITEMS",
    "operator_size": "OPERATOR SIZE",
}


def state(arguments: argparse.Namespace) -> int:
    """List or read state."""
    configuration(arguments)  # credentials of the storage
    reader = SavepointReader.read(arguments.savepoint, allow_pickle=arguments.allow_pickle)
    return _list(reader, arguments) if arguments.action == "list" else _read(reader, arguments)


# -------------------------------------------------------------------------------------------- list


def _list(reader: SavepointReader, arguments: argparse.Namespace) -> int:
    form = arguments.output
    if form == "parquet":
        msg = "parquet is a form of `lesto state read`"
        raise UsageError(msg, remedy="list as table or json")
    operators = reader.operators()
    if arguments.operator:
        wanted = reader.operator(arguments.operator).uid
        operators = [info for info in operators if info.uid_hash == wanted]
    records = [
        _record(info, found)
        for info in operators
        for found in info.states
        if arguments.state in (None, found.name)
    ]
    if form == "table":
        print(_headline(reader))
        without = [info.name for info in operators if not info.states]
        if records:
            print()
            print_records(records, _LIST_COLUMNS, form)
        if without:
            print(f"\nWithout state: {', '.join(without)}.")
        return ExitCode.OK
    print_records(records, _LIST_COLUMNS, form)
    return ExitCode.OK


def _headline(reader: SavepointReader) -> str:
    metadata = reader.metadata
    when = format_time(metadata.timestamp_ms) or "an unknown time"
    in_flight = sum(handle.length_bytes for handle in metadata.in_flight)
    more = f" It holds {format_bytes(in_flight)} of data under way." if in_flight else ""
    kind = reader.kind.capitalize() if reader.kind != "final" else "Final checkpoint"
    return f"{kind} {metadata.checkpoint_id} of job {metadata.job_id}, taken at {when}.{more}"


def _record(info: OperatorInfo, found: StateInfo) -> dict[str, Any]:
    return {
        "operator": info.name,
        "uid": info.uid,
        "uid_hash": info.uid_hash,
        "parallelism": info.parallelism,
        "max_parallelism": info.max_parallelism,
        "state": found.name,
        "kind": found.kind,
        "types": ", ".join(found.types),
        "items": found.items,
        "operator_bytes": info.state_bytes,
        "operator_size": format_bytes(info.state_bytes),
    }


# -------------------------------------------------------------------------------------------- read


def _read(reader: SavepointReader, arguments: argparse.Namespace) -> int:
    operator = arguments.operator or _only_operator(reader)
    limit = arguments.limit
    if limit is not None and limit < 0:
        msg = f"--limit is a number of rows, not {limit}"
        raise UsageError(msg, remedy="give 0 or more")
    form = arguments.output
    if form == "table" and limit is None:
        limit = TABLE_ROWS + 1
    rows = reader.read_state(operator, arguments.state, limit=limit)
    try:
        with _target(arguments.to, form) as out:
            match form:
                case "parquet":
                    _write_parquet(rows, out)
                case "json":
                    _write_json(rows, out)
                case _:
                    _write_table(rows, out, shortened=arguments.limit is None)
    finally:
        rows.close()
    return ExitCode.OK


def _only_operator(reader: SavepointReader) -> str:
    having = [info for info in reader.operators() if info.states]
    if len(having) == 1:
        return having[0].uid_hash
    names = ", ".join(f"{info.name} ({info.uid})" for info in having) or "none"
    msg = f"the snapshot has state of {len(having)} operators: {names}"
    raise StateNotFoundError(msg, remedy="say which with --operator UID_OR_NAME")


@contextlib.contextmanager
def _target(path: str | None, form: str) -> Iterator[BinaryIO]:
    """Where rows are written: a file that appears whole or not at all, or standard output."""
    if path is None:
        if form == "parquet" and sys.stdout.isatty():
            msg = "Parquet is no text for a terminal"
            raise UsageError(msg, remedy="give a file with --to FILE, or redirect the output")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    target = Path(path)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        with part.open("xb") as out:
            yield out
        part.replace(target)
    except OSError as error:
        msg = f"cannot write {target}: {error}"
        raise StorageError(msg, remedy="check the path, its permissions and free space") from error
    finally:
        part.unlink(missing_ok=True)


def _write_parquet(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetWriter(pa.PythonFile(out, "w"), rows.schema) as writer:
        for batch in rows:
            writer.write_batch(batch)


def _write_json(rows: pa.RecordBatchReader, out: BinaryIO) -> None:
    """One array, a row a line."""
    before = b"[\n"
    for record in _records(rows):
        text = json.dumps({k: _jsonable(v) for k, v in record.items()}, ensure_ascii=False)
        out.write(before + text.encode("utf-8", "backslashreplace"))
        before = b",\n"
    out.write(b"[]\n" if before == b"[\n" else b"\n]\n")


def _write_table(rows: pa.RecordBatchReader, out: BinaryIO, *, shortened: bool) -> None:
    names = rows.schema.names
    lines = [[name.upper() for name in names]]
    lines += [[_cell(record[name]) for name in names] for record in _records(rows)]
    more = shortened and len(lines) > TABLE_ROWS + 1
    lines = lines[: TABLE_ROWS + 1] if more else lines
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    for line in lines:
        text = "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        out.write(text.rstrip().encode("utf-8", "backslashreplace") + b"\n")
    if more:
        out.write(f"... the first {TABLE_ROWS} rows; --limit N gives more.\n".encode())


def _records(rows: pa.RecordBatchReader) -> Iterator[Mapping[str, Any]]:
    from lesto.state.reader.columns import to_values

    names = rows.schema.names
    for batch in rows:
        pairs = zip(batch.columns, rows.schema, strict=True)
        columns = [to_values(column, field) for column, field in pairs]
        for values in zip(*columns, strict=True):
            yield dict(zip(names, values, strict=True))


def _jsonable(value: Any) -> Any:
    """A value as JSON: rows are objects, bytes base64, times ISO 8601, pickles their size."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else repr(value)  # noqa: PLR0124
    if isinstance(value, Opaque):
        return _size(value)
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    names = getattr(value, "get_field_names", lambda: None)()
    if names is not None:
        return {name: _jsonable(part) for name, part in zip(names, value, strict=True)}
    if isinstance(value, dict):
        return {_key(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item) for item in value]
    return str(value)


def _key(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(_jsonable(key), ensure_ascii=False)


def _size(value: Opaque) -> str:
    return f"<pickle, {len(value)} bytes>"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bytes | bytearray):
        text = f"<{len(value)} bytes>" if len(value) > CELL_MAX // 4 else value.hex(" ")
    elif isinstance(value, str):
        text = value if value.isprintable() else repr(value)
    elif isinstance(value, Opaque):
        text = _size(value)
    else:
        text = json.dumps(_jsonable(value), ensure_ascii=False).strip('"')
    return text if len(text) <= CELL_MAX else text[: CELL_MAX - 3] + "..."
