"""The sink of a table: rows are inserted, or by key updated and deleted; at least once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lesto.common.elements import Batch, ColumnarBatch, Form, RowKind
from lesto.common.sink import Sink, SinkWriter, WriterContext
from lesto.connectors.jdbc.drivers import Driver
from lesto.connectors.jdbc.options import JdbcExecutionOptions
from lesto.connectors.jdbc.rows import delete, tuples_of, upsert
from lesto.connectors.jdbc.session import Session
from lesto.sql.types import SqlType


class TableJdbcSink(Sink):
    """Writes rows to a table of a database.

    With keys the table is as it should be although rows may be written again after a failure.

    Args:
        driver: of the database.
        table: its name.
        names: of the columns.
        types: of the columns.
        keys: positions of the key's columns; none: rows are inserted.
        execution: how much is written at a time.
    """

    input_form = Form.COLUMNAR

    def __init__(
        self,
        driver: Driver,
        table: str,
        names: Sequence[str],
        types: Sequence[SqlType],
        keys: Sequence[int],
        execution: JdbcExecutionOptions,
    ) -> None:
        driver.library()
        self.driver = driver
        self.types = tuple(types)
        self.keys = tuple(keys)
        self.execution = execution
        key_names = [names[k] for k in keys]
        self.upsert = upsert(table, names, key_names)
        self.delete = delete(table, key_names) if keys else ""

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """A writer with a connection of its own."""
        return _TableWriter(self, context)


class _TableWriter(SinkWriter):
    def __init__(self, sink: TableJdbcSink, context: WriterContext) -> None:
        self._sink = sink
        self._clock = context.clock
        self._session = Session(sink.driver, sink.execution.max_retries)
        #: Without keys rows in order; with keys the last change of each key.
        self._rows: list[tuple[Any, ...]] = []
        self._changes: dict[tuple[Any, ...], tuple[Any, ...] | None] = {}
        self._since_ms = 0

    def write(self, batch: Batch) -> None:
        """Keep the rows until there are enough, or until they are old enough."""
        assert isinstance(batch, ColumnarBatch)
        if not self._rows and not self._changes:
            self._since_ms = self._clock.now_ms()
        rows = tuples_of(batch.data, self._sink.types, texts=self._sink.driver.kind == "sqlite")
        if self._sink.keys:
            self._fold(rows, batch)
        else:
            self._rows += rows
        execution = self._sink.execution
        age = self._clock.now_ms() - self._since_ms
        full = len(self._rows) + len(self._changes) >= execution.batch_size
        if full or (execution.batch_interval_ms and age >= execution.batch_interval_ms):
            self.flush()

    def _fold(self, rows: list[tuple[Any, ...]], batch: ColumnarBatch) -> None:
        keys, changes = self._sink.keys, self._changes
        kinds = [RowKind.INSERT] * len(rows) if batch.kinds is None else batch.kinds.tolist()
        for row, kind in zip(rows, kinds, strict=True):
            if kind == RowKind.UPDATE_BEFORE:
                continue
            key = tuple(row[k] for k in keys)
            changes[key] = None if kind == RowKind.DELETE else row

    def flush(self) -> None:
        """Write what is kept."""
        driver, size = self._sink.driver, self._sink.execution.batch_size
        removed = [key for key, row in self._changes.items() if row is None]
        written = self._rows + [row for row in self._changes.values() if row is not None]
        for sql, rows in ((self._sink.delete, removed), (self._sink.upsert, written)):
            statement = driver.statement(sql)
            for start in range(0, len(rows), size):
                part = rows[start : start + size]
                self._session.run(lambda c, s=statement, p=part: c.executemany(s, p), sql)  # type: ignore[misc]
        self._rows.clear()
        self._changes.clear()

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """Write what is kept: the checkpoint then does not hold it."""
        self.flush()
        return ()

    def close(self) -> None:
        """Close the connection; what is kept is written again after a restore."""
        self._session.close()
