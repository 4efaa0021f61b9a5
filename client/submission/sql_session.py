"""The process of a SQL session: ``python -P -m lesto.client.submission.sql_session``.

It owns one table environment that is connected to the cluster. The REST server asks over a pipe
and is answered over another one (``jobmanager/server/submission/frames.py``); statements are
carried out one after another, their results are read beside that.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any, Final

from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.run_options import RunOptions
from lesto.client.submission.operations import Operation, Status
from lesto.client.submission.statements import Statements
from lesto.client.table.errors import SqlError
from lesto.client.table.session import Session
from lesto.common.config import Configuration
from lesto.common.errors import LestoError
from lesto.common.options import known_options
from lesto.jobmanager.server.submission.errors import (
    TooManySqlOperationsError,
    UnknownSqlOperationError,
)
from lesto.jobmanager.server.submission.frames import read_frame, write_frame

#: Requests that are answered at once.
THREADS: Final = 8
#: Statements that are kept with their results.
MAX_OPERATIONS: Final = 64

Answer = tuple[dict[str, Any], bytes]


class SqlSession:
    """Answers the REST server.

    Args:
        session: of the table environment.
        send: writes a message.
    """

    def __init__(self, session: Session, send: Callable[[dict[str, Any], bytes], None]) -> None:
        self._session = session
        self._send = send
        self._statements = Statements(session)
        self._operations: dict[str, Operation] = {}
        self._lock = threading.Lock()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="statements")
        self._calls: Mapping[str, Callable[..., Answer]] = {
            "execute": self._execute,
            "configure": self._configure,
            "status": self._status,
            "fetch": self._fetch,
            "cancel": self._cancel,
            "close_operation": self._close_operation,
            "config": self._config,
            "complete": self._complete,
        }

    def answer(self, request: Mapping[str, Any]) -> None:
        """Carry a request out and send what comes of it."""
        number = request["id"]
        try:
            header, payload = self._calls[request["call"]](**request["arguments"])
        except LestoError as error:
            header, payload = {"error": told(error)}, b""
        self._send({**header, "id": number}, payload)

    def close(self) -> None:
        """Cancel all queries; jobs of INSERT go on."""
        with self._lock:
            operations = list(self._operations.values())
            self._operations.clear()
        for operation in operations:
            operation.stop(Status.CLOSED)
        self._worker.shutdown(wait=False, cancel_futures=True)

    # --------------------------------------------------------------------------------- statements

    def _start(self, statement: str, timeout_ms: int, config: Mapping[str, str]) -> Operation:
        def work(operation: Operation) -> Any:
            return self._statements.execute(statement, config, lambda: operation.stopped)

        operation = Operation(work, self._tell_job)
        with self._lock:
            self._make_room()
            self._operations[operation.handle] = operation
        self._worker.submit(operation.run)
        if timeout_ms > 0:
            timer = threading.Timer(timeout_ms / 1000, self._time_out, (operation,))
            timer.daemon = True
            timer.start()
        return operation

    def _make_room(self) -> None:
        """Forget the oldest statement that is through, if there are many.

        Raises:
            TooManySqlOperationsError: none is.
        """
        if len(self._operations) < MAX_OPERATIONS:
            return
        over = {Status.ERROR, Status.CANCELED, Status.TIMEOUT, Status.CLOSED}
        for handle, operation in self._operations.items():
            if operation.status in over or operation.read:
                del self._operations[handle]
                return
        msg = f"the session has {MAX_OPERATIONS} statements whose results are not read to their end"
        raise TooManySqlOperationsError(msg, remedy="Close some of them.")

    @staticmethod
    def _time_out(operation: Operation) -> None:
        if not operation.ended.is_set():
            operation.stop(Status.TIMEOUT)

    def _execute(self, statement: str, timeout_ms: int, config: Mapping[str, str]) -> Answer:
        return {"operation": self._start(statement, timeout_ms, config).handle}, b""

    def _configure(self, statement: str, timeout_ms: int) -> Answer:
        self._statements.check_configures(statement)
        operation = self._start(statement, timeout_ms, {})
        operation.ended.wait()
        try:
            operation.fetch(0, "PLAIN_TEXT", lambda _: "")  # raises what it has raised
        finally:
            self._close_operation(operation.handle)
        return {}, b""

    def _operation(self, handle: str) -> Operation:
        with self._lock:
            found = self._operations.get(handle)
        if found is None:
            msg = f"the session has no statement {handle}"
            raise UnknownSqlOperationError(msg, remedy="Start it again.")
        return found

    def _status(self, operation: str) -> Answer:
        return {"status": self._operation(operation).status.value}, b""

    def _fetch(self, operation: str, token: int, row_format: str, uri: str) -> Answer:
        page = self._operation(operation).fetch(
            token, row_format, lambda number: uri.replace("{token}", str(number))
        )
        return {}, page

    def _cancel(self, operation: str) -> Answer:
        found = self._operation(operation)
        found.stop(Status.CANCELED)
        return {"status": found.status.value}, b""

    def _close_operation(self, operation: str) -> Answer:
        found = self._operation(operation)
        with self._lock:
            self._operations.pop(operation, None)
        found.stop(Status.CLOSED)
        return {"status": Status.CLOSED.value}, b""

    def _tell_job(self, job_id: str, running: bool) -> None:
        """Let the REST server know which queries to end should this process be killed."""
        self._send({"job": job_id, "running": running}, b"")

    # --------------------------------------------------------------------------------- the session

    def _config(self) -> Answer:
        secret = {key for key, option in known_options().items() if option.secret}
        config = self._session.config.to_dict()
        return {"properties": {k: v for k, v in config.items() if k not in secret}}, b""

    def _complete(self, statement: str, position: int) -> Answer:
        return {"candidates": self._statements.complete(statement, position)}, b""


def told(error: LestoError) -> dict[str, Any]:
    """An error as JSON."""
    found: dict[str, Any] = {
        "name": type(error).__name__,
        "code": error.code,
        "domain": error.domain.value,
        "message": error.message,
        "remedy": error.remedy,
        "location": error.location,
    }
    if isinstance(error, SqlError) and error.line:
        found |= {"line": error.line, "column": error.column, "plain": error.plain}
    if trace := getattr(error, "user_traceback", ""):
        found["traceback"] = trace
    return found


def main() -> int:
    """Serve one session until the REST server closes its pipe."""
    given = json.loads(sys.stdin.read())
    sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115 - for the process's whole life
    with open(given["from"], "rb") as requests, open(given["to"], "wb") as answers:
        _serve(given, requests, answers)
    return 0


def _serve(given: Mapping[str, Any], requests: IO[bytes], answers: IO[bytes]) -> None:
    lock = threading.Lock()

    def send(header: dict[str, Any], payload: bytes = b"") -> None:
        with lock:
            write_frame(answers, header, payload)

    try:
        session = _session(given)
    except LestoError as error:
        send({"error": told(error)})
        return
    served = SqlSession(session, send)
    send({"ready": True})
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="requests")
    while (frame := read_frame(requests)) is not None:
        request, _ = frame
        if request["call"] == "close":
            served.close()
            send({"id": request["id"]})
            break
        pool.submit(_answer, served, request)
    os._exit(0)  # threads may wait for a user's function


def _answer(served: SqlSession, request: Mapping[str, Any]) -> None:
    try:
        served.answer(request)
    except Exception:  # noqa: BLE001 - told to the warden
        traceback.print_exc()  # the session is useless without an answer
        os._exit(70)


def _session(given: Mapping[str, Any]) -> Session:
    """A table environment on the cluster."""
    config = Configuration.from_dict(given["config"], origin="the cluster")
    config.add_all(Configuration.from_dict(given["properties"], origin="the session"))
    return Session(StreamExecutionEnvironment(config, RunOptions(jobmanager=given["jobmanager"])))


if __name__ == "__main__":
    sys.exit(main())
