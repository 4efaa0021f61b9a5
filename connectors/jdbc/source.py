"""A source of the rows that queries give: a split a query, read on a thread."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec
import pyarrow as pa

from lesto.common.elements import ColumnarBatch
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
from lesto.connectors.errors import ConnectorError
from lesto.connectors.jdbc.drivers import Driver
from lesto.connectors.jdbc.rows import columns_of
from lesto.connectors.jdbc.session import named
from lesto.connectors.splits import PooledEnumerator, decode_pool
from lesto.sql.types import SqlType

#: Batches fetched and not yet taken.
QUEUE_BATCHES_MAX: Final = 4
#: How often a thread that waits for room looks whether it is to stop, in seconds.
_LOOK_S: Final = 0.1
STOP_S_MAX: Final = 15.0


@dataclass(frozen=True, slots=True)
class QuerySplit:
    """A query.

    Attributes:
        number: of the query.
        sql: with question marks.
        values: of its parameters.
        read: rows that have been read.
    """

    number: int
    sql: str
    values: tuple[int, ...] = ()
    read: int = 0

    @property
    def split_id(self) -> str:
        """Unique in the source."""
        return str(self.number)


def encode_split(split: SourceSplit) -> bytes:
    """As msgpack."""
    assert isinstance(split, QuerySplit)
    return msgspec.msgpack.encode((split.number, split.sql, split.values, split.read))


def decode_split(data: bytes) -> QuerySplit:
    """Inverse of ``encode_split``."""
    return QuerySplit(*msgspec.msgpack.decode(data, type=tuple[int, str, tuple[int, ...], int]))


class JdbcSource(Source):
    """Rows of queries, each with an order, so that a restore skips what has been read.

    Args:
        driver: of the database.
        queries: statements and values of their parameters.
        names: of the columns that they give.
        types: of them.
        fetch_rows: asked for at a time; 0: as many as a batch has.
    """

    boundedness = Boundedness.BOUNDED

    def __init__(
        self,
        driver: Driver,
        queries: Sequence[tuple[str, tuple[int, ...]]],
        names: Sequence[str],
        types: Sequence[SqlType],
        fetch_rows: int = 0,
    ) -> None:
        driver.library()
        self.driver = driver
        self.queries = tuple(queries)
        self.names = tuple(names)
        self.types = tuple(types)
        self.fetch_rows = fetch_rows
        arrow = [(n, k.to_arrow()) for n, k in zip(self.names, self.types, strict=True)]
        self.schema = pa.schema(arrow)

    def create_enumerator(
        self, context: EnumeratorContext, checkpoint: bytes | None
    ) -> SplitEnumerator:
        """A split a query."""
        if checkpoint is not None:
            splits = decode_pool(checkpoint, decode_split)
        else:
            splits = [QuerySplit(i, sql, values) for i, (sql, values) in enumerate(self.queries)]
        return PooledEnumerator(context, splits, encode=encode_split)

    def create_reader(self, context: ReaderContext) -> SourceReader:
        """A reader with a thread for its connection."""
        return _JdbcReader(context, self)

    def serialize_split(self, split: SourceSplit) -> bytes:
        """As msgpack."""
        return encode_split(split)

    def deserialize_split(self, data: bytes) -> SourceSplit:
        """Inverse of ``serialize_split``."""
        return decode_split(data)


class _Query:
    """One query on a thread of its own."""

    def __init__(self, source: JdbcSource, split: QuerySplit, context: ReaderContext) -> None:
        self._source = source
        self._split = split
        self._context = context
        self._found: queue.Queue[pa.RecordBatch | ConnectorError | None] = queue.Queue(
            QUEUE_BATCHES_MAX
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jdbc-fetch", daemon=True)
        self._thread.start()

    def take(self) -> pa.RecordBatch | ConnectorError | None:
        """What has come next; None at the end.

        Raises:
            queue.Empty: nothing yet.
        """
        return self._found.get_nowait()

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        self._thread.join(STOP_S_MAX)

    def _run(self) -> None:
        driver = self._source.driver
        try:
            connection = driver.connect()
            try:
                self._fetch(connection)
            finally:
                connection.close()
            self._give(None)
        except driver.library().Error as error:
            self._give(named(driver, error, self._split.sql))
        except ConnectorError as error:
            self._give(error)

    def _fetch(self, connection: Any) -> None:
        source, split = self._source, self._split
        rows_max = source.fetch_rows or self._context.batch_rows
        # A cursor of the server: without a name psycopg would fetch all rows at once.
        on_server = source.driver.kind == "postgresql"
        made = connection.cursor("lesto_scan") if on_server else connection.cursor()
        left = split.read
        with contextlib.closing(made) as cursor:
            cursor.execute(source.driver.statement(split.sql), split.values)
            while not self._stop.is_set() and (rows := cursor.fetchmany(rows_max)):
                skipped = min(left, len(rows))
                left -= skipped
                if skipped < len(rows):
                    self._give(columns_of(rows[skipped:], source.types, source.names))

    def _give(self, item: pa.RecordBatch | ConnectorError | None) -> None:
        while not self._stop.is_set():
            try:
                self._found.put(item, timeout=_LOOK_S)
            except queue.Full:
                continue
            self._context.wakeup()
            return


class _JdbcReader(SourceReader):
    def __init__(self, context: ReaderContext, source: JdbcSource) -> None:
        self._context = context
        self._source = source
        self._splits: list[QuerySplit] = []
        self._query: _Query | None = None
        self._no_more = False
        self._requested = False

    def start(self) -> None:
        """Ask for a query unless some were restored."""
        self._request()

    def _request(self) -> None:
        if not self._splits and not self._no_more and not self._requested:
            self._requested = True
            self._context.request_split()

    def add_splits(self, splits: Sequence[SourceSplit]) -> None:
        """Read them one after the other."""
        self._requested = False
        for split in splits:
            assert isinstance(split, QuerySplit)
            self._splits.append(split)

    def notify_no_more_splits(self) -> None:
        """End when all is read."""
        self._no_more = True

    def poll(self) -> PollResult:
        """The next batch of the query under way."""
        if not self._splits:
            return EndOfSplits.END if self._no_more else NoData()
        split = self._splits[0]
        if self._query is None:
            self._query = _Query(self._source, split, self._context)
        try:
            found = self._query.take()
        except queue.Empty:
            return NoData()
        if isinstance(found, ConnectorError):
            raise found
        if found is None:
            self._query.close()
            self._query = None
            self._splits.pop(0)
            self._request()
            return SplitFinished(split.split_id)
        self._splits[0] = replace(split, read=split.read + found.num_rows)
        return SourceBatch(ColumnarBatch(found.cast(self._source.schema)), split.split_id)

    def snapshot_state(self, checkpoint_id: int) -> Sequence[SourceSplit]:
        """The queries with the rows that have been read."""
        return list(self._splits)

    def close(self) -> None:
        """Stop the query."""
        if self._query is not None:
            self._query.close()
            self._query = None
