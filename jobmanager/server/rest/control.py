"""The line between a JobManager and its REST process: a message a line, as JSON.

The JobManager says where it is and when to stop, and gives its metrics; the REST process asks for
them and hands over what it logs. Each sees the other's end by the end of the line.
"""

from __future__ import annotations

import contextlib
import json
import logging
import queue
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any, Final

from lesto.jobmanager.server.rest.errors import JobManagerSilentError

#: Time that the JobManager gets to give its metrics.
METRICS_SECONDS: Final = 5.0
#: Lines that the REST process logs in a second; more are counted, not told.
LOG_LINES_PER_SECOND_MAX: Final = 50
#: Characters of one line.
LOG_CHARACTERS_MAX: Final = 20_000

Message = dict[str, Any]


class Line:
    """One end; any thread may send, one receives."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, message: Message) -> bool:
        """Send; return whether the other end is there."""
        content = json.dumps(message).encode() + b"\n"
        with self._lock:
            try:
                self._connection.sendall(content)
            except OSError:
                return False
        return True

    def messages(self) -> Iterator[Message]:
        """Yield what comes, until the other end is gone."""
        with self._connection.makefile("rb") as lines:
            try:
                for line in lines:
                    yield json.loads(line)
            except (OSError, ValueError):  # gone, in the middle of a message perhaps
                return

    def close(self) -> None:
        """Close this end; who receives is woken."""
        with contextlib.suppress(OSError):  # gone already
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


class RemoteMetrics:
    """The JobManager's metrics, as its REST process sees them."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._lock = threading.Lock()
        self._answers: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
        self._asked = 0

    def text(self) -> str:
        """Return them in Prometheus' text.

        Raises:
            JobManagerSilentError: the JobManager does not give them in time.
        """
        with self._lock:
            self._asked += 1
            self._line.send({"metrics": self._asked})
            until = time.monotonic() + METRICS_SECONDS
            while True:
                try:
                    number, text = self._answers.get(timeout=max(0.0, until - time.monotonic()))
                except queue.Empty:
                    msg = f"the JobManager gave no metrics within {METRICS_SECONDS:g} s"
                    raise JobManagerSilentError(msg, remedy="Ask again in a moment.") from None
                if number == self._asked:  # else that of a question given up before
                    return text

    def answered(self, number: int, text: str) -> None:
        """Take an answer."""
        self._answers.put((number, text))


class LogHandler(logging.Handler):
    """Hands lines to the JobManager, so that there is one log."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line
        self._second = 0
        self._count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send a line; beyond the limit, none."""
        second = int(time.monotonic())
        if second != self._second:
            dropped = self._count - LOG_LINES_PER_SECOND_MAX
            self._second, self._count = second, 0
            if dropped > 0:
                self._send("lesto.rest", logging.WARNING, f"rest.log_lines_dropped count={dropped}")
        self._count += 1
        if self._count <= LOG_LINES_PER_SECOND_MAX:
            self._send(record.name, record.levelno, self.format(record))

    def _send(self, name: str, level: int, text: str) -> None:
        self._line.send({"log": text[:LOG_CHARACTERS_MAX], "logger": name, "level": level})
