"""SQL sessions: a process each, asked over pipes."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from pathlib import Path
from typing import Any, Final

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.errors import Domain, LestoError
from lesto.common.logs import get_logger
from lesto.jobmanager.server.submission.errors import (
    RemoteCodeError,
    SqlSessionLostError,
    SubmissionStoppedError,
    TooManySqlOperationsError,
    TooManySqlSessionsError,
    UnknownSqlSessionError,
)
from lesto.jobmanager.server.submission.frames import read_frame, write_frame
from lesto.jobmanager.server.submission.process import ChildProcess
from lesto.jobmanager.server.submission.requests import checked_config
from lesto.jobmanager.server.submission.runs import Target
from lesto.jobmanager.server.submission.store import writing

logger = get_logger("lesto.submission")
MODULE: Final = "lesto.client.submission.sql_session"
#: Time that a session's process gets to start, and to answer.
START_SECONDS: Final = 60.0
CALL_SECONDS: Final = 30.0
#: Time that closing gets: it cancels the queries' jobs.
CLOSE_SECONDS: Final = 10.0
#: Requests of one session under way at once.
MAX_CALLS: Final = 4
#: How often is looked for idle sessions, at the most.
SWEEP_SECONDS: Final = 30.0
#: Options of processes that Flink's own client sends along: of no meaning for a session.
_OF_PROCESSES: Final = (
    *("$internal.", "blob.", "cluster.", "env.", "high-availability.", "historyserver."),
    *("jobmanager.", "kubernetes.", "metrics.", "rest.", "security.", "sql-gateway."),
    *("taskmanager.", "web.", "yarn.", "zookeeper."),
)


class SqlSession:
    """One session.

    Args:
        folder: of its own; removed with it.
        given: what its process is told.
        cancel: cancels a job of the cluster.

    Attributes:
        handle: names it.
        used: monotonic seconds of the last request.
    """

    def __init__(
        self, folder: Path, given: Mapping[str, Any], cancel: Callable[[str], None]
    ) -> None:
        self.handle = str(uuid.uuid4())
        self.used = time.monotonic()
        self._folder = folder
        self._cancel = cancel
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._number = 0
        self._waiting: dict[int, Future[tuple[dict[str, Any], bytes]]] = {}
        self._jobs: set[str] = set()
        self._lost = ""
        self._ready: Future[None] = Future()
        work = folder / "work"
        with writing("a session's folder"):
            work.mkdir(mode=0o700, parents=True)
        its_end, write_end = os.pipe()
        read_end, other_end = os.pipe()
        self._to = os.fdopen(write_end, "wb")
        self._from = os.fdopen(read_end, "rb")
        pipes = {"from": its_end, "to": other_end}
        self._process = ChildProcess(MODULE, {**given, **pipes}, work, (its_end, other_end))
        self._reader = threading.Thread(target=self._read, name="sql-session", daemon=True)
        self._reader.start()

    def wait_ready(self) -> None:
        """Return when it takes statements.

        Raises:
            LestoError: it does not start.
        """
        try:
            self._ready.result(START_SECONDS)
        except FutureTimeoutError:
            msg = f"the session's process has not started within {START_SECONDS:g} s"
            raise SqlSessionLostError(msg, remedy="Try again.") from None

    def touch(self) -> None:
        """It is used."""
        self.used = time.monotonic()

    # ------------------------------------------------------------------------------------ requests

    def call(
        self, name: str, seconds: float = CALL_SECONDS, **arguments: Any
    ) -> tuple[dict[str, Any], bytes]:
        """Ask the process.

        Raises:
            SqlSessionLostError: it has ended or does not answer.
            LestoError: what it answers with.
        """
        self.touch()
        answer: Future[tuple[dict[str, Any], bytes]] = Future()
        with self._lock:
            if self._lost:
                raise self._loss()
            if len(self._waiting) >= MAX_CALLS:
                msg = f"{MAX_CALLS} requests of the session wait for an answer"
                raise TooManySqlOperationsError(msg, remedy="Ask one after another.")
            self._number += 1
            number = self._number
            self._waiting[number] = answer
        try:
            with self._writing:
                write_frame(self._to, {"id": number, "call": name, "arguments": arguments})
            header, payload = answer.result(seconds)
        except FutureTimeoutError:
            msg = f"the session's process has not answered within {seconds:g} s"
            raise SqlSessionLostError(msg, remedy="Close the session if it stays so.") from None
        except (OSError, ValueError):  # the pipe is closed: the process has just ended
            self._reader.join(CLOSE_SECONDS)
            raise self._loss() from None
        finally:
            with self._lock:
                self._waiting.pop(number, None)
            self.touch()
        if "error" in header:
            raise remote_error(header["error"])
        return header, payload

    def _loss(self) -> SqlSessionLostError:
        msg = f"the SQL session has ended: {self._lost or 'its process is gone'}"
        return SqlSessionLostError(msg, remedy="Open another session.")

    def close(self, *, orderly: bool = True) -> None:
        """End it, and its queries. A second call does nothing."""
        if orderly:
            # One that reads no requests holds up who writes them, and so this one as well.
            late = threading.Timer(CLOSE_SECONDS, self._process.stop)
            late.daemon = True
            late.start()
            with contextlib.suppress(LestoError):  # it is killed then
                self.call("close", CLOSE_SECONDS)
            late.cancel()
        with self._lock:
            self._lost = self._lost or "it was closed"
        ended = self._process.stop()
        self._reader.join(CLOSE_SECONDS)
        with contextlib.suppress(OSError):
            self._to.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if orderly:
            self._cancel_jobs()
        logger.debug("sql_session.closed", session=self.handle, how=ended.text)

    # ------------------------------------------------------------------------------------- answers

    def _read(self) -> None:
        """Hand answers to those who wait, until there are no more."""
        reason = "its process is gone"
        try:
            while (frame := read_frame(self._from)) is not None:
                self._take(*frame)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = f"its process has sent what is no answer: {error}"
        finally:
            self._from.close()
        unexpected = not self._lost
        if reason == "its process is gone" and unexpected:
            ended = self._process.wait(CLOSE_SECONDS)
            if ended is not None:
                last = ended.output.strip().splitlines()[-1:]
                reason = f"its process {ended.text}" + (f": {last[0][:500]}" if last else "")
        with self._lock:
            self._lost = self._lost or reason
            waiting = list(self._waiting.values())
        if not self._ready.done():
            self._ready.set_exception(self._loss())
        for answer in waiting:
            if not answer.done():
                answer.set_exception(self._loss())
        if unexpected:
            self._cancel_jobs()  # at once: nobody may ask for the session again

    def _take(self, header: dict[str, Any], payload: bytes) -> None:
        if "job" in header:
            change = self._jobs.add if header["running"] else self._jobs.discard
            change(str(header["job"]))
        elif "ready" in header:
            self._ready.set_result(None)
        elif "id" in header:
            with self._lock:
                answer = self._waiting.get(header["id"])
            if answer is not None and not answer.done():
                answer.set_result((header, payload))
        elif not self._ready.done():
            self._ready.set_exception(remote_error(header["error"]))

    @property
    def lost(self) -> bool:
        """Whether its process is gone."""
        return bool(self._lost)

    def _cancel_jobs(self) -> None:
        """End queries that its process, killed, could not end."""
        for job_id in list(self._jobs):
            try:
                self._cancel(job_id)
            except LestoError as error:
                logger.warning("sql_session.job_left", job_id=job_id, error=str(error))
            self._jobs.discard(job_id)


def remote_error(told: Mapping[str, Any]) -> LestoError:
    """An error of the process as one of this one; it keeps its code."""
    shown = {k: told[k] for k in ("line", "column", "traceback") if k in told}
    if told.get("location"):
        shown["location"] = told["location"]
    shown["exception"] = told["name"]
    error = RemoteCodeError(
        told["message"], remedy=told["remedy"], location=told["location"], details=shown
    )
    error.code = told["code"]  # type: ignore[misc]
    error.domain = Domain(told["domain"])  # type: ignore[misc]
    return error


class SqlSessions:
    """The sessions of one REST server.

    Args:
        folder: gives the folder below which each has its own.
        config: the cluster's.
        target: where jobs go.
    """

    def __init__(self, folder: Callable[[], Path], config: Configuration, target: Target) -> None:
        self._folder = folder
        self._config = config
        self._target = target
        self._most = config.get(options.SQL_GATEWAY_SESSIONS)
        self._idle = config.get(options.SQL_GATEWAY_IDLE).total_seconds()
        self._lock = threading.Lock()
        self._sessions: dict[str, SqlSession] = {}
        self._opening = 0
        self._stopped = threading.Event()
        self._sweeper: threading.Thread | None = None

    def open(self, properties: Mapping[str, str]) -> str:
        """Open a session; return its handle.

        Raises:
            TooManySqlSessionsError: too many are open.
            LestoError: an option is unknown, or the process does not start.
        """
        wanted = {k: v for k, v in properties.items() if not k.startswith(_OF_PROCESSES)}
        given = {
            "jobmanager": self._target.address(),
            "config": self._cluster_config(),
            "properties": checked_config(wanted, "the session"),
        }
        with self._lock:
            self._check_stopped()
            if len(self._sessions) + self._opening >= self._most:
                msg = f"{self._most} SQL sessions are open"
                raise TooManySqlSessionsError(
                    msg, remedy=f"Close one, or raise {options.SQL_GATEWAY_SESSIONS.key}."
                )
            self._opening += 1
        try:
            session = self._started(given)
        finally:
            with self._lock:
                self._opening -= 1
        with self._lock:
            if not self._stopped.is_set():
                self._sessions[session.handle] = session
                self._watch()
                return session.handle
        session.close(orderly=False)
        self._check_stopped()
        raise AssertionError

    def _started(self, given: Mapping[str, Any]) -> SqlSession:
        folder = self._folder() / f"sql-{uuid.uuid4().hex}"
        session = SqlSession(folder, given, self._target.cancel)
        try:
            session.wait_ready()
        except BaseException:
            session.close(orderly=False)
            raise
        return session

    def _cluster_config(self) -> dict[str, str]:
        config = self._config.to_dict()
        if self._target.token:
            config[options.SECURITY_TOKEN.key] = self._target.token
        return config

    def get(self, handle: str) -> SqlSession:
        """The session of a handle.

        Raises:
            UnknownSqlSessionError: there is none.
            SqlSessionLostError: its process is gone; it is forgotten.
        """
        with self._lock:
            session = self._sessions.get(handle)
        if session is None:
            msg = f"no SQL session {handle}"
            raise UnknownSqlSessionError(msg, remedy="Open one: POST /sql/v3/sessions.")
        if session.lost:
            self._forget(session)
            raise session._loss()
        return session

    def close(self, handle: str) -> None:
        """Close a session.

        Raises:
            UnknownSqlSessionError: there is none.
        """
        with self._lock:
            session = self._sessions.pop(handle, None)
        if session is None:
            msg = f"no SQL session {handle}"
            raise UnknownSqlSessionError(msg)
        session.close()

    def _forget(self, session: SqlSession) -> None:
        with self._lock:
            known = self._sessions.pop(session.handle, None)
        if known is not None:
            known.close()

    def stop(self) -> None:
        """Kill all sessions: the JobManager stops."""
        with self._lock:
            self._stopped.set()
            sessions = list(self._sessions.values())
            self._sessions.clear()
            sweeper = self._sweeper
        for session in sessions:
            session.close(orderly=False)
        if sweeper is not None:
            sweeper.join(CLOSE_SECONDS)

    def _check_stopped(self) -> None:
        if self._stopped.is_set():
            msg = "the JobManager is stopping"
            raise SubmissionStoppedError(msg, remedy="Ask the next one.")

    # --------------------------------------------------------------------------------------- idle

    def _watch(self) -> None:
        if self._sweeper is None:
            self._sweeper = threading.Thread(target=self._sweep, name="sql-sessions", daemon=True)
            self._sweeper.start()

    def _sweep(self) -> None:
        step = min(SWEEP_SECONDS, self._idle / 4 if self._idle else SWEEP_SECONDS)
        while not self._stopped.wait(step):
            self.sweep()

    def idle(self) -> list[SqlSession]:
        """Sessions that nobody has used for long, and those whose process is gone."""
        with self._lock:
            sessions = list(self._sessions.values())
        now = time.monotonic()
        return [s for s in sessions if s.lost or (self._idle and now - s.used > self._idle)]

    def sweep(self) -> None:
        """Close them."""
        for session in self.idle():
            logger.info("sql_session.ended", session=session.handle, idle=not session.lost)
            self._forget(session)
