"""What statements give: rows with their kinds, as they come, or as a table at the end."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TextIO

import numpy as np
import pyarrow as pa

from lesto.client.datastream.location import user_location
from lesto.client.errors import JobManagerCallError
from lesto.client.table.errors import TableProgramError
from lesto.client.table.kinds import ResultKind
from lesto.client.table.plan.physical.streams import physical_schema
from lesto.client.table.plan.schema import Column, Schema
from lesto.client.table.table_schema import ResolvedSchema, TableSchema
from lesto.client.table.waiting import CompileNotice
from lesto.common.elements import RowKind, RowKinds
from lesto.common.row import Row, row_class
from lesto.connectors.errors import MissingExtraError
from lesto.sql.users.values import to_python

if TYPE_CHECKING:
    from lesto.client.job_client import JobClient
    from lesto.client.table.jobs import CollectingJob

_INSERT = int(RowKind.INSERT)
_BACK = (int(RowKind.UPDATE_BEFORE), int(RowKind.DELETE))
#: Characters of a column of what is not a query's result: all.
_WIDE: Final = 1 << 30


class Batches:
    """Rows at hand: kinds (int8[n], None: all insert) and columns."""

    def __init__(self, batches: Sequence[tuple[RowKinds | None, pa.RecordBatch]]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[tuple[RowKinds | None, pa.RecordBatch]]:
        return iter(self._batches)

    def close(self) -> None:
        """Nothing is held."""


class JobBatches:
    """Rows of a running query, each batch when its checkpoint is complete.

    Iterating raises JobExecutionError when the job has failed. May be iterated once. It ends, and
    the job with it, behind as many rows as there can be (LIMIT), though the input goes on.
    """

    def __init__(self, job: CollectingJob) -> None:
        self._job = job.client
        self._messages = self._job.client.results(self._job.job_id, job.sink_uid)
        self._most = job.most_rows
        self._ended = False
        self._closing = threading.Lock()

    def __iter__(self) -> Iterator[tuple[RowKinds | None, pa.RecordBatch]]:
        count = 0
        try:
            if self._most == 0:
                return
            for batch in self._arrived():
                yield _split(batch)
                count += batch.num_rows
                if count == self._most:
                    return
            self._ended = True
            self._job.wait()
        finally:
            self.close()

    def _arrived(self) -> Iterator[pa.RecordBatch]:
        with CompileNotice() as notice:
            for message in self._messages:
                notice.end()
                if message.format != "arrow":
                    msg = f"the JobManager sent results in the unknown format '{message.format}'"
                    raise JobManagerCallError(
                        msg, remedy="use the same version of Lesto on both sides"
                    )
                with pa.ipc.open_stream(message.payload) as reader:
                    yield from reader

    def close(self) -> None:
        """Cancel the job if it has not ended, and release everything.

        Thread-safe: a second call waits for the first, which may still ask the JobManager.
        """
        with self._closing:
            try:
                if not self._ended:
                    self._ended = True
                    if not self._job.status().is_globally_terminal_state():
                        self._job.cancel_and_wait()
            finally:
                self._job.close()


def _split(batch: pa.RecordBatch) -> tuple[RowKinds, pa.RecordBatch]:
    kinds = np.asarray(batch.column(0))
    return kinds, pa.RecordBatch.from_arrays(batch.columns[1:], schema=batch.schema.remove(0))


class CloseableIterator:
    """Rows with their kinds. Use it with ``with``, or close it: that cancels a running query."""

    def __init__(self, schema: Schema, batches: Batches | JobBatches) -> None:
        self._batches = batches
        self._rows = _rows(schema, batches)

    def __iter__(self) -> CloseableIterator:
        return self

    def __next__(self) -> Row:
        return next(self._rows)

    def next(self) -> Row:
        """The next row; raises StopIteration at the end."""
        return next(self)

    def close(self) -> None:
        """End the query, if one runs."""
        self._rows.close()  # type: ignore[attr-defined]
        self._batches.close()

    def __enter__(self) -> CloseableIterator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _rows(schema: Schema, batches: Batches | JobBatches) -> Iterator[Row]:
    made = row_class(schema.names)
    for kinds, batch in batches:
        columns = python_columns(schema, batch)
        rows = map(made, zip(*columns, strict=True)) if columns else iter(
            [made(()) for _ in range(batch.num_rows)]
        )  # fmt: skip
        if kinds is None or not kinds.any():
            yield from rows
            continue
        for row, kind in zip(rows, kinds.tolist(), strict=True):
            row.set_row_kind(RowKind(kind))
            yield row


def python_columns(schema: Schema, batch: pa.RecordBatch) -> list[list[Any]]:
    """Values a column, as users see them."""
    return [to_python(batch.column(i), c.type) for i, c in enumerate(schema)]


class TableResult:
    """The result of a statement.

    Args:
        schema: of the rows.
        batches: the rows.
        kind: whether there is more to see than OK.
        job: that runs, if one does.
        streaming: whether rows are changes, so that kinds are shown.
        width: characters of a column when printed.
        zone: time zone in which instants are printed.
        raw: whether the one column is a text that is printed as it is.
    """

    def __init__(
        self,
        schema: Schema,
        batches: Batches | JobBatches,
        kind: int = ResultKind.SUCCESS_WITH_CONTENT,
        job: JobClient | None = None,
        *,
        streaming: bool = False,
        width: int = 30,
        zone: str = "UTC",
        raw: bool = False,
    ) -> None:
        self._schema = schema
        self._batches = batches
        self._kind = kind
        self._job = job
        self._streaming = streaming
        self._width = width
        self._zone = zone
        self._raw = raw
        self._read = False

    # ------------------------------------------------------------------ about it

    def get_job_client(self) -> JobClient | None:
        """The job of a query or INSERT; None of other statements."""
        return self._job

    def get_result_kind(self) -> int:
        """ResultKind.SUCCESS for statements that only say OK."""
        return self._kind

    def get_table_schema(self) -> TableSchema:
        """Names and types."""
        return TableSchema.of(self._schema)

    def get_resolved_schema(self) -> ResolvedSchema:
        """Names and types."""
        return ResolvedSchema(self._schema)

    def wait(self, timeout_ms: int | None = None) -> None:
        """Wait for the end of an INSERT's job; of a query for its first row, or its end.

        Raises:
            JobExecutionError: the job failed.
            TimeoutError: it goes on.
        """
        if self._job is None:
            return
        if isinstance(self._batches, JobBatches):
            _within(timeout_ms, self._first)
        else:
            with CompileNotice():
                _within(timeout_ms, self._job.wait)

    def _first(self) -> None:
        if isinstance(self._batches, JobBatches):
            self._batches = _Peeked(self._batches)

    # ------------------------------------------------------------------ the rows

    def _once(self) -> Batches | JobBatches:
        if self._read and isinstance(self._batches, JobBatches):
            msg = "the rows of this result were read already"
            raise TableProgramError(
                msg, remedy="keep them in a list, or run the query again", location=user_location()
            )
        self._read = True
        return self._batches

    def collect(self) -> CloseableIterator:
        """The rows as they come, each with its kind; of a query without end, for ever.

        Closing the iterator cancels the query.
        """
        return CloseableIterator(self._schema, self._once())

    def batches(self) -> Iterator[tuple[RowKinds | None, pa.RecordBatch]]:
        """The rows as they come, as columns with int8 kinds (None: all insert)."""
        return iter(self._once())

    def to_arrow(self) -> pa.Table:
        """The rows at the end, with all changes applied, as an Arrow table."""
        return final_table(self._schema, self._once())

    def to_pandas(self) -> Any:
        """The rows at the end as a data frame of pandas, which must be installed."""
        _installed("pandas")
        return self.to_arrow().to_pandas()

    def to_polars(self) -> Any:
        """The rows at the end as a data frame of polars, which must be installed."""
        return _installed("polars").from_arrow(self.to_arrow())

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The rows at the end, for whoever takes Arrow streams."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def print(self) -> None:
        """Print the rows as they come; the first column says what each changes."""
        self.print_to(sys.stdout)

    def print_to(self, out: TextIO) -> None:
        """As :meth:`print`, to a file."""
        from lesto.client.table.printing import print_result

        if self._kind == ResultKind.SUCCESS or self._raw:
            for _, batch in self._once():
                for text in batch.column(0).to_pylist():
                    out.write(f"{text}\n")
            return
        print_result(self._schema, self._once(), self._streaming, self._width, self._zone, out)


def _installed(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        msg = f"{name} is not installed"
        raise MissingExtraError(
            msg, remedy=f"pip install {name}, or use to_arrow()", location=user_location()
        ) from error


class _Peeked(JobBatches):
    """A running query of which the first batch was waited for."""

    def __init__(self, inner: JobBatches) -> None:
        self._inner = inner
        self._iterator = iter(inner)
        self._head = [batch for batch, _ in zip(self._iterator, range(1), strict=False)]

    def __iter__(self) -> Iterator[tuple[RowKinds | None, pa.RecordBatch]]:
        yield from self._head
        yield from self._iterator

    def close(self) -> None:
        self._inner.close()


def _within(timeout_ms: int | None, work: Any) -> None:
    if timeout_ms is None:
        work()
        return
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            failed.append(error)

    thread = threading.Thread(target=run, name="table-result-wait", daemon=True)
    thread.start()
    thread.join(timeout_ms / 1000)
    if thread.is_alive():
        msg = f"the job has not ended within {timeout_ms} ms"
        raise TimeoutError(msg)
    if failed:
        raise failed[0]


def final_table(schema: Schema, batches: Batches | JobBatches) -> pa.Table:
    """The rows that are left when all changes are applied, in order of arrival."""
    physical = physical_schema(schema)
    data: list[pa.RecordBatch] = []
    kinds: list[RowKinds] = []
    for change, batch in batches:
        data.append(batch)
        kinds.append(np.zeros(batch.num_rows, np.int8) if change is None else change)
    table = pa.Table.from_batches([b.rename_columns(physical.names) for b in data], physical)
    every = np.concatenate(kinds) if kinds else np.zeros(0, np.int8)
    if np.isin(every, _BACK).any():
        table = table.take(pa.array(_remaining(schema, table, every)))
    if not schema.columns:
        return table.select([])
    return table.rename_columns(list(schema.names))


def _remaining(schema: Schema, table: pa.Table, kinds: RowKinds) -> list[int]:
    """Numbers of the rows that no later change took back."""
    if not table.num_rows:
        return []
    keys = row_keys(table.combine_chunks())
    places: dict[Any, list[int]] = {}
    alive = np.zeros(len(kinds), bool)
    for number, (key, kind) in enumerate(zip(keys, kinds.tolist(), strict=True)):
        if kind in _BACK:
            known = places.get(key)
            if known:
                alive[known.pop()] = False
        else:
            alive[number] = True
            places.setdefault(key, []).append(number)
    found: list[int] = np.flatnonzero(alive).tolist()
    return found


def row_keys(table: pa.Table) -> list[Any]:
    """A hashable value for each row; equal rows have equal ones."""
    columns = [column.to_pylist() for column in table.columns]
    return [_frozen(row) for row in zip(*columns, strict=True)]


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((k, _frozen(v)) for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(v) for v in value)
    return ("nan",) if value != value else value  # noqa: PLR0124 - NaN


def local_result(
    columns: Sequence[Column],
    rows: Sequence[Sequence[Any]],
    kind: int = ResultKind.SUCCESS_WITH_CONTENT,
    job: JobClient | None = None,
    *,
    raw: bool = False,
) -> TableResult:
    """A result that is at hand.

    Args:
        columns: of the rows.
        rows: Python values.
        kind: of the result.
        job: that was submitted.
        raw: whether the one column is printed as it is.
    """
    schema = Schema(tuple(columns))
    arrays = [pa.array([row[i] for row in rows], c.type.to_arrow()) for i, c in enumerate(columns)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=physical_schema(schema))
    return TableResult(schema, Batches([(None, batch)]), kind, job, width=_WIDE, raw=raw)
