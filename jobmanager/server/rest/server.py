"""Runs the REST application in a thread and event loop of its own, off the control plane's."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

import uvicorn

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.hosts import is_loopback_host
from lesto.common.metrics import MetricRegistry, process_registry
from lesto.jobmanager.server.rest.api import JobManagerApi
from lesto.jobmanager.server.rest.app import build_app, endpoints, resources
from lesto.jobmanager.server.rest.context import Context
from lesto.jobmanager.server.rest.dispatch import Dispatcher
from lesto.jobmanager.server.rest.errors import InsecureRestError, RestPortError
from lesto.jobmanager.server.rest.guard import Guard, TargetPolicy
from lesto.jobmanager.server.submission.runs import Target
from lesto.jobmanager.server.submission.service import Submission

START_TIMEOUT_SECONDS = 10.0
STOP_TIMEOUT_SECONDS = 5.0
MAX_CONNECTIONS = 256
BACKLOG = 128
logger = logging.getLogger("lesto.rest")


class RestServer:
    """The REST server of a JobManager.

    Args:
        config: ``rest.bind-address``, ``rest.port``, ``security.token``, ``security.insecure``.
        metrics: what ``/metrics`` shows; by default the process's.

    Attributes:
        address: ``host:port``, once bound.
    """

    def __init__(self, config: Configuration, metrics: MetricRegistry | None = None) -> None:
        self._config = config
        self._dispatcher: Dispatcher | None = None
        self._submission: Submission | None = None
        self._host = config.get(options.REST_BIND_ADDRESS)
        self._port = config.get(options.REST_PORT)
        token = config.get(options.SECURITY_TOKEN)
        loopback = is_loopback_host(self._host)
        if not loopback and not token and not config.get(options.SECURITY_INSECURE):
            msg = f"the REST server would listen on {self._host} without a token"
            raise InsecureRestError(
                msg,
                remedy="Set security.token, or bind to 127.0.0.1 (rest.bind-address), or accept "
                "that anyone who reaches the port controls the cluster (--insecure).",
            )
        # On loopback people and dashboards need no token; what the port offers cannot run code.
        self._guard = Guard(token=None if loopback else token, any_host=not loopback)
        self._metrics = metrics or process_registry()
        self._targets = TargetPolicy(
            trusted=self._guard.token is not None,
            root=config.get(options.SAVEPOINT_DIR) or config.get(options.CHECKPOINT_DIR),
        )
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None
        self.address = ""

    def bind(self) -> str:
        """Take the port, before anything else is started; return the address.

        Raises:
            RestPortError: the port is taken.
        """
        if self._socket is None:
            self._socket = self._open()
            host, port = self._socket.getsockname()[:2]
            self.address = f"{host}:{port}"
        return self.address

    def start(self, api: JobManagerApi, target: Target | None = None) -> str:
        """Serve; return the address.

        Args:
            api: the JobManager.
            target: where programs that are uploaded submit their jobs; None: none can be.

        Raises:
            RestPortError: the port is taken.
        """
        self.bind()
        if target is not None:
            self._submission = Submission(self._config, target)
        context = Context(
            api, self._config, self._metrics, self._targets, submission=self._submission
        )
        self._dispatcher = Dispatcher(self._guard)
        app = build_app(endpoints(resources(context)), self._dispatcher)
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                log_level="warning",  # its start and end are no news: ours are told
                access_log=False,
                lifespan="off",
                limit_concurrency=MAX_CONNECTIONS,
                timeout_graceful_shutdown=1,
                server_header=False,
            )
        )
        self._thread = threading.Thread(target=self._serve, name="rest", daemon=True)
        self._thread.start()
        return self.address

    def _open(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        made = socket.socket(family, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((self._host, self._port))
            made.listen(BACKLOG)
        except OSError as error:
            made.close()
            msg = f"cannot serve REST on {self._host}:{self._port}: {error.strerror}"
            raise RestPortError(
                msg,
                remedy="Stop what uses the port, or set rest.port (--rest-port) to another; 0 "
                "takes a free one.",
            ) from None
        return made

    def _serve(self) -> None:
        assert self._server is not None
        assert self._socket is not None
        asyncio.run(self._server.serve([self._socket]))  # takes signals in the main thread only

    def stop(self) -> None:
        """Close the port and end the thread. A second call does nothing."""
        server, thread, listening = self._server, self._thread, self._socket
        self._server = self._thread = self._socket = None
        self.address = ""
        submission, self._submission = self._submission, None
        if submission is not None:
            submission.close()  # first: requests wait for what it runs
        if server is not None and thread is not None:
            server.should_exit = True
            thread.join(STOP_TIMEOUT_SECONDS)
            if thread.is_alive():
                logger.error("rest.stop_timed_out")
        if self._dispatcher is not None:
            self._dispatcher.close()
        if listening is not None:
            listening.close()
