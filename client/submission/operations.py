"""Statements of a SQL session under way, and their results, page by page.

A page has a number, its token. The next page and the last one given may be asked for: a client that
has lost an answer asks again. Rows that nobody has taken yet are bounded: a query waits for its
reader.
"""

from __future__ import annotations

import enum
import json
import threading
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import pyarrow as pa

from lesto.client.submission.sql_json import Pages
from lesto.client.table.errors import UnsupportedSqlError
from lesto.client.table.kinds import ResultKind
from lesto.client.table.results import Batches, JobBatches, TableResult
from lesto.common.elements import RowKinds
from lesto.common.errors import InternalError, LestoError
from lesto.jobmanager.server.submission.errors import (
    ResultTokenError,
    ResultTooLargeError,
    SqlOperationStateError,
)

Piece = tuple[RowKinds | None, pa.RecordBatch]

#: Rows of a page, and bytes of its columns.
PAGE_ROWS: Final = 1_000
PAGE_BYTES: Final = 2 << 20
#: Bytes of a page as it is sent; a row alone may have so many.
ANSWER_BYTES: Final = 24 << 20
#: Rows that wait for a reader, and bytes of their columns.
BUFFER_ROWS: Final = 10_000
BUFFER_BYTES: Final = 16 << 20
#: How long a question about rows that are not there yet waits.
PATIENCE_SECONDS: Final = 0.4


class Status(enum.Enum):
    """Of a statement; names are Flink's."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    CANCELED = "CANCELED"
    CLOSED = "CLOSED"
    ERROR = "ERROR"
    TIMEOUT = "TIMEOUT"


class Buffer:
    """Rows between a query and its reader."""

    def __init__(self) -> None:
        self._pieces: deque[Piece] = deque()
        self._rows = self._bytes = 0
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._failure: LestoError | None = None

    def put(self, piece: Piece) -> bool:
        """Append rows; waits while there are many. Whether anybody still wants some."""
        size = piece[1].nbytes
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room())
            if self._closed:
                return False
            self._pieces.append(piece)
            self._rows += piece[1].num_rows
            self._bytes += size
            self._changed.notify_all()
            return True

    def _has_room(self) -> bool:
        return self._rows < BUFFER_ROWS and self._bytes < BUFFER_BYTES

    def end(self, failure: LestoError | None = None) -> None:
        """No rows follow."""
        with self._changed:
            self._ended, self._failure = True, failure
            self._changed.notify_all()

    def close(self) -> None:
        """Nobody wants them."""
        with self._changed:
            self._closed = True
            self._pieces.clear()
            self._changed.notify_all()

    def take(self, seconds: float) -> list[Piece] | None:
        """The rows of the next page; waits a while for some; None: there are no more.

        Raises:
            LestoError: the query has failed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._pieces or self._ended or self._closed, seconds)
            taken: list[Piece] = []
            rows = size = 0
            while self._pieces and rows < PAGE_ROWS and size < PAGE_BYTES:
                piece = self._pieces.popleft()
                taken.append(piece)
                rows += piece[1].num_rows
                size += piece[1].nbytes
            self._rows -= rows
            self._bytes -= size
            self._changed.notify_all()
            if not taken and self._failure is not None:
                raise self._failure
            return taken if taken or not (self._ended or self._closed) else None


def pieces(kinds: RowKinds | None, batch: pa.RecordBatch) -> list[Piece]:
    """Rows in pieces of a page at the most."""
    step = PAGE_ROWS
    if batch.nbytes > PAGE_BYTES:
        step = max(1, min(step, batch.num_rows * PAGE_BYTES // batch.nbytes))
    return [
        (None if kinds is None else kinds[i : i + step], batch.slice(i, step))
        for i in range(0, batch.num_rows, step)
    ]


class Operation:
    """One statement.

    Args:
        work: carries it out.
        tell_job: hears of the job of a query that begins (True) and ends.

    Attributes:
        handle: names it.
        ended: set when it is no longer being carried out; rows may still come.
    """

    def __init__(
        self, work: Callable[[Operation], TableResult], tell_job: Callable[[str, bool], None]
    ) -> None:
        self.handle = str(uuid.uuid4())
        self.ended = threading.Event()
        self._work = work
        self._tell_job = tell_job
        self._lock = threading.Lock()
        self._reading = threading.Lock()
        self._status = Status.PENDING
        self._failure: LestoError | None = None
        self._result: TableResult | None = None
        self._pages: Pages | None = None
        self._buffer = Buffer()
        self._reader: threading.Thread | None = None
        self._token = 0
        self._read_to_end = False
        self._last: list[Piece] | None = None

    @property
    def status(self) -> Status:
        """How far it is."""
        return self._status

    @property
    def stopped(self) -> bool:
        """Whether it is not wanted any more."""
        return self._status in {Status.CANCELED, Status.CLOSED, Status.TIMEOUT}

    # ------------------------------------------------------------------------------- carrying out

    def run(self) -> None:
        """Carry it out; called once, in the session's thread."""
        if not self._move({Status.PENDING}, Status.RUNNING):
            return
        try:
            result = self._work(self)
            pages = Pages(result._schema, result._zone)
        except LestoError as error:
            self._failed(error)
        except BaseException as error:  # noqa: BLE001 - a user's function may raise anything
            self._failed(_unexpected(error))
        else:
            self._begin(result, pages)
        finally:
            self.ended.set()

    def _failed(self, error: LestoError) -> None:
        with self._lock:
            if self._status is Status.RUNNING:
                self._status, self._failure = Status.ERROR, error

    def _begin(self, result: TableResult, pages: Pages) -> None:
        """Its rows can be read from now on."""
        batches = result._once()
        with self._lock:
            wanted = self._status is Status.RUNNING
            if wanted:
                self._result, self._pages = result, pages
                self._status = Status.FINISHED
                name = f"rows-{self.handle[:8]}"
                self._reader = threading.Thread(
                    target=self._read, args=(batches,), name=name, daemon=True
                )
        if self._reader is None:
            batches.close()
        else:
            self._reader.start()

    def _read(self, batches: Batches | JobBatches) -> None:
        """Move rows from the query to the buffer, as long as somebody wants them."""
        job = self.job_id if isinstance(batches, JobBatches) else ""
        failure: LestoError | None = None
        if job:
            self._tell_job(job, True)
        try:
            for kinds, batch in batches:
                if not all(self._buffer.put(piece) for piece in pieces(kinds, batch)):
                    break
        except LestoError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - told to whoever reads
            failure = _unexpected(error)
        finally:
            try:
                batches.close()
            except LestoError as error:  # its job could not be cancelled: others are told
                failure = failure or error
            else:
                if job:
                    self._tell_job(job, False)
            self._buffer.end(failure)

    @property
    def read(self) -> bool:
        """Whether its rows have been read to their end."""
        return self._read_to_end

    def stop(self, status: Status) -> None:
        """Cancel it: a query's job ends. Of one that is through, only the rows go."""
        self._move({Status.PENDING, Status.RUNNING, Status.FINISHED}, status)
        if status is Status.CLOSED:
            self._status = status
        self.ended.set()
        self._buffer.close()
        result = self._result
        if result is not None and isinstance(result._batches, JobBatches):
            self._end_query(result._batches)

    def _end_query(self, batches: JobBatches) -> None:
        """Wake the reader, which may wait for rows: its stream is closed."""
        batches.close()
        reader = self._reader
        if reader is not None and reader is not threading.current_thread():
            reader.join(PATIENCE_SECONDS)

    def _move(self, before: set[Status], after: Status) -> bool:
        with self._lock:
            if self._status not in before:
                return False
            self._status = after
            return True

    # ------------------------------------------------------------------------------------ results

    @property
    def job_id(self) -> str:
        """The job; empty: there is none."""
        job = None if self._result is None else self._result.get_job_client()
        return "" if job is None else job.job_id

    def fetch(self, token: int, row_format: str, uri: Callable[[int], str]) -> bytes:
        """A page of the result, in Flink's JSON.

        Args:
            token: number of the page.
            row_format: JSON or PLAIN_TEXT.
            uri: where the page of a number is.

        Raises:
            ResultTokenError: it is neither the next nor the last one.
            LestoError: the statement, or its job, has failed.
        """
        if not self.ended.wait(PATIENCE_SECONDS) and not self.stopped:
            return _json({"resultType": "NOT_READY", "nextResultUri": uri(token)})
        if self._failure is not None:
            raise self._failure
        with self._reading:
            if self.stopped or self._result is None or self._pages is None:
                msg = f"the statement is {self._status.value.lower()}"
                raise SqlOperationStateError(msg, remedy="Start it again.")
            if token == self._token - 1 and self._last is not None:
                return self._page(self._last, row_format, uri(token + 1))
            if token != self._token:
                msg = f"page {token} was asked for, and the next one is {self._token}"
                raise ResultTokenError(msg, remedy="Follow nextResultUri.")
            rows = self._buffer.take(PATIENCE_SECONDS)
            if rows is None:
                self._read_to_end = True
                return self._page([], row_format, "")
            self._last = rows
            self._token += 1
            return self._page(rows, row_format, uri(self._token))

    def _page(self, rows: list[Piece], row_format: str, following: str) -> bytes:
        assert self._result is not None
        assert self._pages is not None
        query = isinstance(self._result._batches, JobBatches)
        success = self._result.get_result_kind() == ResultKind.SUCCESS
        around: dict[str, Any] = {
            "resultType": "PAYLOAD" if following else "EOS",
            "isQueryResult": query,
            "resultKind": "SUCCESS" if success else "SUCCESS_WITH_CONTENT",
        }
        if self.job_id:
            around["jobID"] = self.job_id
        if following:
            around["nextResultUri"] = following
        made = self._pages.page(rows, row_format, around)
        if len(made) > ANSWER_BYTES:
            msg = f"a part of the result has {len(made)} bytes, more than {ANSWER_BYTES}"
            raise ResultTooLargeError(msg, remedy="Select fewer or shorter columns.")
        return made


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value).encode()


def _unexpected(error: BaseException) -> LestoError:
    if isinstance(error, RecursionError):
        return UnsupportedSqlError("the statement is nested too deeply", remedy="Use views.")
    made = InternalError(
        f"{type(error).__name__}: {error}", remedy="This may be a defect of Lesto."
    )
    made.__cause__ = error
    return made
