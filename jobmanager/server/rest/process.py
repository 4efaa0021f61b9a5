"""The REST server in a process of its own (docs/adr/0007).

What clients do to it costs the JobManager's event loop nothing: not its interpreter lock, not its
file descriptors, not its memory. The port is the JobManager's; the process gets it handed over, so
that one that dies is replaced without a connection being refused.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import subprocess
import sys
import threading
import time
from typing import Any, Final

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.metrics import MetricRegistry, process_registry
from lesto.jobmanager.server.rest.control import Line
from lesto.jobmanager.server.rest.server import check_settings, open_port

#: What is started: it has the client of the JobManager, which this layer does not know.
MODULE: Final = "lesto.client.rest_process"
#: Time that the process gets to end by itself.
STOP_SECONDS: Final = 5.0
#: Pause before a process that died is replaced: doubled each time, from the first to the last.
RESTART_SECONDS: Final = 0.5
RESTART_SECONDS_MAX: Final = 30.0
#: A process that has lived so long starts the pauses anew.
STABLE_SECONDS: Final = 60.0
logger = logging.getLogger("lesto.rest")


class RestProcess:
    """The REST server of a JobManager, as the JobManager sees it.

    Args:
        config: as of ``RestServer``, and what its client of the JobManager needs.
        metrics: what ``/metrics`` shows; by default this process's.

    Attributes:
        address: ``host:port``, once bound.
        scheme: ``http`` or ``https``.

    Raises:
        InsecureRestError: it would listen beyond loopback, open to everyone.
        CertificateFileError: a file of ``security.ssl.rest`` cannot be used.
    """

    def __init__(self, config: Configuration, metrics: MetricRegistry | None = None) -> None:
        check_settings(config)
        self._config = config
        self._metrics = metrics or process_registry()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._line: Line | None = None
        self.process: subprocess.Popen[bytes] | None = None
        self.address = ""
        self.scheme = "https" if config.get(options.SSL_REST_ENABLED) else "http"

    def bind(self) -> str:
        """Take the port, before anything else is started; return the address.

        Raises:
            RestPortError: the port is taken.
        """
        if self._socket is None:
            host, port = self._config.get(options.REST_BIND_ADDRESS), options.REST_PORT
            self._socket = open_port(host, self._config.get(port))
            self.address = "{}:{}".format(*self._socket.getsockname()[:2])
        return self.address

    def start(self, jobmanager: str) -> str:
        """Serve; return the address. Connections wait until the process is up.

        Args:
            jobmanager: ``host:port`` of its gRPC server.

        Raises:
            RestPortError: the port is taken.
        """
        self.bind()
        self._thread = threading.Thread(
            target=self._keep, args=(jobmanager,), name="rest-process", daemon=True
        )
        self._thread.start()
        return self.address

    def _keep(self, jobmanager: str) -> None:
        """Run the process, again and again."""
        pause = RESTART_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                code = self._run_once(jobmanager)
            except OSError as error:  # no process, or no descriptor, to be had just now
                logger.error("rest.process_not_started error=%s retry_in_seconds=%g", error, pause)
            else:
                if self._stopping.is_set():
                    return
                if time.monotonic() - began > STABLE_SECONDS:
                    pause = RESTART_SECONDS
                logger.error("rest.process_ended code=%d restart_in_seconds=%g", code, pause)
            self._stopping.wait(pause)
            pause = min(2 * pause, RESTART_SECONDS_MAX)

    def _run_once(self, jobmanager: str) -> int:
        """Start the process and serve its questions until it ends; return its exit code."""
        assert self._socket is not None
        ours, theirs = socket.socketpair()
        with contextlib.closing(Line(ours)) as line:
            process = self._start_process(line, theirs)
            if process is None:
                return 0
            line.send({"config": self._config.to_dict(), "jobmanager": jobmanager})
            for message in line.messages():
                self._take(line, message)
        return self._ended(process)

    def _start_process(self, line: Line, theirs: socket.socket) -> subprocess.Popen[bytes] | None:
        """Start the process with its end of the line; None: we are stopping."""
        assert self._socket is not None
        with theirs:
            descriptors = (self._socket.fileno(), theirs.fileno())
            with self._lock:
                if self._stopping.is_set():
                    return None
                self._line = line
                self.process = process = subprocess.Popen(
                    [sys.executable, "-P", "-m", MODULE, *map(str, descriptors)],
                    pass_fds=descriptors,
                    stdin=subprocess.DEVNULL,
                )
        return process

    def _ended(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a process that has closed its line; kill one that stays."""
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            logger.error("rest.process_killed pid=%d", process.pid)
            process.kill()
            return process.wait()

    def _take(self, line: Line, message: dict[str, Any]) -> None:
        match message:
            case {"metrics": number}:
                try:
                    text = self._metrics.text()
                except Exception:
                    # Whoever asked hears that none came in time; the process is kept going.
                    logger.exception("rest.metrics_failed")
                else:
                    line.send({"metrics": number, "text": text})
            case {"log": text, "logger": name, "level": level}:
                logging.getLogger(name).log(level, "%s", text)

    def stop(self) -> None:
        """Close the port and end the process. A second call does nothing."""
        self._stopping.set()
        with self._lock:
            line, process, self._line = self._line, self.process, None
        if line is not None:
            line.send({"stop": True})
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            if process.poll() is None:
                process.kill()
        if self._thread is not None:
            self._thread.join(2 * STOP_SECONDS)
            self._thread = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.address = ""
