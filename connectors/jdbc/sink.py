"""The sink that writes records to a database with a statement, at least once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

from lesto.common.convert import to_named_rows
from lesto.common.elements import Batch, ColumnarBatch, Form
from lesto.common.sink import Sink, SinkWriter, WriterContext
from lesto.common.types import RowTypeInfo, TypeInformation
from lesto.connectors.errors import (
    ConnectorConfigError,
    DatabaseError,
    DatabaseRefusedError,
)
from lesto.connectors.jdbc.drivers import Driver, driver_of, parameters_of
from lesto.connectors.jdbc.options import JdbcConnectionOptions, JdbcExecutionOptions

#: Before a write is tried again, in seconds; twice as long each time.
RETRY_SECONDS: Final = 0.1
#: Between two tries at the longest.
RETRY_SECONDS_MAX: Final = 2.0


class JdbcSink(Sink):
    """Writes each record by a statement with a ``?`` for each field.

    At least once, as Flink's: after a failure the records since the last checkpoint are written
    again. A statement that may be repeated (``insert ... on conflict (id) do update ...``) makes
    the result exact.

    Raises:
        ConnectorConfigError: an unknown database, or more or fewer fields than parameters.
    """

    input_form = Form.ANY

    def __init__(
        self,
        sql: str,
        type_info: TypeInformation | None,
        options: JdbcConnectionOptions,
        execution: JdbcExecutionOptions,
    ) -> None:
        self.driver = driver_of(options)
        self.driver.library()  # a package that is missing is named where the job is built
        self.sql = sql
        self.parameters = parameters_of(sql)
        self.type_info = type_info
        self.execution = execution
        if isinstance(type_info, RowTypeInfo) and len(type_info.field_types) != self.parameters:
            msg = (
                f"the statement has {self.parameters} parameters, the records have "
                f"{len(type_info.field_types)} fields: {sql}"
            )
            raise ConnectorConfigError(msg, remedy="give one ? for each field, in their order")

    @staticmethod
    def sink(
        sql: str,
        type_info: TypeInformation | None,
        jdbc_connection_options: JdbcConnectionOptions,
        jdbc_execution_options: JdbcExecutionOptions | None = None,
    ) -> JdbcSink:
        """A sink; for ``add_sink`` or ``sink_to``.

        Args:
            sql: a statement with a ``?`` for each field of a record.
            type_info: the records' type; None: as the stream has them.
            jdbc_connection_options: where the database is.
            jdbc_execution_options: how much is written at a time.
        """
        execution = jdbc_execution_options or JdbcExecutionOptions.defaults()
        return JdbcSink(sql, type_info, jdbc_connection_options, execution)

    def create_writer(self, context: WriterContext) -> SinkWriter:
        """A writer with a connection of its own."""
        return _JdbcWriter(self, context)


class _JdbcWriter(SinkWriter):
    def __init__(self, sink: JdbcSink, context: WriterContext) -> None:
        self._sink = sink
        self._clock = context.clock
        self._driver: Driver = sink.driver
        self._statement = sink.driver.statement(sink.sql)
        self._schema = None if sink.type_info is None else sink.type_info.arrow_schema()
        self._connection: Any = None
        self._rows: list[tuple[Any, ...]] = []
        self._since_ms = 0

    def write(self, batch: Batch) -> None:
        """Keep the records until there are enough, or until they are old enough."""
        if not self._rows:
            self._since_ms = self._clock.now_ms()
        self._rows += self._tuples(batch)
        execution = self._sink.execution
        size, interval = execution.batch_size, execution.batch_interval_ms
        while len(self._rows) >= size:
            self._execute(self._rows[:size])
            del self._rows[:size]
        if interval and self._clock.now_ms() - self._since_ms >= interval:
            self.flush()

    def _tuples(self, batch: Batch) -> list[tuple[Any, ...]]:
        if isinstance(batch, ColumnarBatch):
            rows = list(zip(*[column.to_pylist() for column in batch.data.columns], strict=True))
        elif self._schema is not None:
            rows = list(map(tuple, to_named_rows(batch, self._schema).values))
        else:
            rows = [tuple(v) if isinstance(v, list | tuple) else (v,) for v in batch.values]
        width = self._sink.parameters
        odd = next((row for row in rows if len(row) != width), None)
        if odd is not None:
            msg = f"a record has {len(odd)} fields, the statement {width} parameters: {odd!r:.200}"
            raise DatabaseRefusedError(msg, remedy="map the records to one value a parameter")
        return rows

    def _execute(self, rows: list[tuple[Any, ...]]) -> None:
        """Write rows in a transaction; try again while the database is away."""
        failure: Exception | None = None
        for tried in range(self._sink.execution.max_retries + 1):
            if tried:
                time.sleep(min(RETRY_SECONDS * 2 ** (tried - 1), RETRY_SECONDS_MAX))
            try:
                if self._connection is None:
                    self._connection = self._driver.connect()
                cursor = self._connection.cursor()
                cursor.executemany(self._statement, rows)
                self._connection.commit()
            except self._driver.library().Error as error:
                failure = error
                self._disconnect()
                if not self._driver.is_passing(error):
                    break
            else:
                return
        assert failure is not None, "there is at least one try"
        text = str(failure).strip().split("\n", 1)[0]
        if self._driver.is_passing(failure):
            msg = f"the database '{self._driver.place}' could not be written: {text}"
            raise DatabaseError(msg, remedy="see whether it runs and can be reached") from failure
        msg = f"the database refuses records: {text}: {self._sink.sql}"
        raise DatabaseRefusedError(msg, remedy="correct the statement or the records") from failure

    def flush(self) -> None:
        """Write what is kept."""
        if self._rows:
            rows, self._rows = self._rows, []
            self._execute(rows)

    def prepare_commit(self, checkpoint_id: int) -> Sequence[bytes]:
        """Write what is kept: the checkpoint then does not hold it."""
        self.flush()
        return ()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except self._driver.library().Error:
                return  # it was broken: that is why it is given up

    def close(self) -> None:
        """Close the connection; what is kept is written again after a restore."""
        self._rows.clear()
        self._disconnect()
