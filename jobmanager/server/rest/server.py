"""The REST server, in a thread and event loop of its own."""

from __future__ import annotations

import asyncio
import logging
import socket
import threading

import uvicorn
from uvicorn.server import ServerState

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.hosts import is_loopback_host
from lesto.common.metrics import process_registry
from lesto.jobmanager.server.rest import limits
from lesto.jobmanager.server.rest.api import JobManagerApi
from lesto.jobmanager.server.rest.app import build_app, endpoints, resources
from lesto.jobmanager.server.rest.context import Context, MetricsText
from lesto.jobmanager.server.rest.dispatch import Dispatcher
from lesto.jobmanager.server.rest.errors import InsecureRestError, RestPortError
from lesto.jobmanager.server.rest.fleet import Fleet
from lesto.jobmanager.server.rest.guard import Guard, TargetPolicy
from lesto.jobmanager.server.rest.listener import Listener
from lesto.jobmanager.server.rest.protocol import BoundedProtocol
from lesto.jobmanager.server.rest.shared_api import SharedApi
from lesto.jobmanager.server.rest.tls import rest_tls
from lesto.jobmanager.server.submission.runs import Target
from lesto.jobmanager.server.submission.service import Submission

STOP_TIMEOUT_SECONDS = 5.0
logger = logging.getLogger("lesto.rest")


class RestServer:
    """The REST server of a JobManager.

    Args:
        config: ``rest.bind-address``, ``rest.port``, ``security.token``, ``security.insecure``,
            ``security.ssl.rest``.
        metrics: what ``/metrics`` shows; by default the process's.

    Attributes:
        address: ``host:port``, once bound.
        scheme: ``http`` or ``https``.

    Raises:
        InsecureRestError: it would listen beyond loopback, open to everyone.
        CertificateFileError: a file of ``security.ssl.rest`` cannot be used.
    """

    def __init__(self, config: Configuration, metrics: MetricsText | None = None) -> None:
        self._config = config
        self._host = config.get(options.REST_BIND_ADDRESS)
        self._port = config.get(options.REST_PORT)
        self._tls = rest_tls(config)
        self._guard = _guard(config, self._host)
        self._metrics = metrics or process_registry()
        self._targets = TargetPolicy(
            trusted=not self._guard.loopback and not self._guard.insecure,
            root=config.get(options.SAVEPOINT_DIR) or config.get(options.CHECKPOINT_DIR),
        )
        self._dispatcher: Dispatcher | None = None
        self._fleet: Fleet | None = None
        self._submission: Submission | None = None
        self._thread: threading.Thread | None = None
        self._socket: socket.socket | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopped: asyncio.Event | None = None
        self.address = ""
        self.scheme = "http" if self._tls is None else "https"

    def bind(self) -> str:
        """Take the port, before anything else is started; return the address.

        Raises:
            RestPortError: the port is taken.
        """
        if self._socket is None:
            self._socket = open_port(self._host, self._port)
            host, port = self._socket.getsockname()[:2]
            self.address = f"{host}:{port}"
        return self.address

    def take_over(self, listening: socket.socket) -> None:
        """Use a port that another process has opened."""
        self._socket = listening
        host, port = listening.getsockname()[:2]
        self.address = f"{host}:{port}"

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
        shared = SharedApi(api)
        self._fleet = Fleet(shared)
        context = Context(
            api=shared,
            fleet=self._fleet,
            config=self._config,
            metrics=self._metrics,
            targets=self._targets,
            submission=self._submission,
        )
        self._dispatcher = Dispatcher(self._guard)
        app = build_app(endpoints(resources(context)), self._dispatcher)
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            ws="none",
            # Who is connected decides on what runs code: no header of the client's says it.
            proxy_headers=False,
            log_config=None,
            log_level="error",  # what clients do wrong is told to them
            access_log=False,
            lifespan="off",
            h11_max_incomplete_event_size=limits.HEAD_BYTES_MAX,
            server_header=False,
        )
        config.load()
        started = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(config, started)), name="rest", daemon=True
        )
        self._thread.start()
        started.wait()
        return self.address

    async def _run(self, config: uvicorn.Config, started: threading.Event) -> None:
        assert self._socket is not None
        state = ServerState()
        listener = Listener(
            self._socket, lambda: BoundedProtocol(config, state, app_state={}), self._tls
        )
        self._loop, self._stopped = asyncio.get_running_loop(), asyncio.Event()
        started.set()
        await listener.run(self._stopped)

    def stop(self) -> None:
        """Close the port and end the thread. A second call does nothing."""
        thread, listening, loop = self._thread, self._socket, self._loop
        self._thread = self._socket = self._loop = None
        self.address = ""
        submission, self._submission = self._submission, None
        if submission is not None:
            submission.close()  # first: requests wait for what it runs
        if thread is not None and loop is not None and self._stopped is not None:
            loop.call_soon_threadsafe(self._stopped.set)
            thread.join(STOP_TIMEOUT_SECONDS)
            if thread.is_alive():
                logger.error("rest.stop_timed_out")
        if self._dispatcher is not None:
            self._dispatcher.close()
        if self._fleet is not None:
            self._fleet.close()
        if listening is not None:
            listening.close()


def check_settings(config: Configuration) -> None:
    """Refuse what the server could not be started with.

    Raises:
        InsecureRestError: it would listen beyond loopback, open to everyone.
        CertificateFileError: a file of ``security.ssl.rest`` cannot be used.
    """
    _guard(config, config.get(options.REST_BIND_ADDRESS))
    rest_tls(config)


def open_port(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        RestPortError: the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(limits.BACKLOG)
    except OSError as error:
        made.close()
        msg = f"cannot serve REST on {host}:{port}: {error.strerror}"
        raise RestPortError(
            msg,
            remedy="Stop what uses the port, or set rest.port (--rest-port) to another; 0 "
            "takes a free one.",
        ) from None
    return made


def _guard(config: Configuration, host: str) -> Guard:
    """Return who may call a server on this address.

    Raises:
        InsecureRestError: everyone could.
    """
    guard = Guard(
        token=config.get(options.SECURITY_TOKEN),
        loopback=is_loopback_host(host),
        certificates=config.get(options.SSL_REST_AUTHENTICATION),
        insecure=config.get(options.SECURITY_INSECURE),
        runs_code=config.get(options.WEB_SUBMIT),
    )
    if not (guard.loopback or guard.token or guard.certificates or guard.insecure):
        msg = f"the REST server would listen on {host} without a token or callers' certificates"
        raise InsecureRestError(
            msg,
            remedy="Set security.token, or security.ssl.rest.authentication-enabled, or bind to "
            "127.0.0.1 (rest.bind-address), or accept that anyone who reaches the port controls "
            "the cluster (--insecure).",
        )
    return guard
