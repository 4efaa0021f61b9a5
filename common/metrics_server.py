"""Serves a process's metrics to Prometheus over HTTP."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from lesto.common.errors import Domain, LestoError
from lesto.common.metrics import MetricRegistry

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
REQUEST_TIMEOUT_SECONDS = 10.0


class MetricsPortError(LestoError):
    """The port of the metrics endpoint cannot be opened."""

    code = "LESTO-1010"
    domain = Domain.USER
    retryable = False


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without the reverse DNS look-up of the base class, which can take seconds."""
        socketserver.TCPServer.server_bind(self)
        host, port = self.server_address[:2]
        self.server_name, self.server_port = str(host), int(port)


def serve_metrics(
    registry: MetricRegistry, host: str = "127.0.0.1", port: int = 0
) -> tuple[str, Callable[[], None]]:
    """Serve ``GET /metrics`` from a daemon thread.

    Args:
        registry: what is served.
        host: address to listen on.
        port: port; 0 takes a free one, a negative one opens none.

    Returns:
        ``host:port`` as bound (empty: none), and a function that stops the server and closes the
        port.

    Raises:
        MetricsPortError: the port is taken or not ours to open.
    """
    if port < 0:
        return "", lambda: None

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_TIMEOUT_SECONDS

        def do_GET(self) -> None:
            """Answer a scrape."""
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            body = registry.text().encode()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Stay silent: a scrape every few seconds is no news."""

    try:
        server = _Server((host, port), Handler)
    except OSError as error:
        msg = f"cannot serve metrics on {host}:{port}: {error.strerror}"
        raise MetricsPortError(
            msg, remedy="Free the port, or set metrics.port to another (0 takes a free one)."
        ) from None
    thread = threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="metrics", daemon=True
    )
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    bound = server.server_address
    return f"{bound[0]!s}:{bound[1]}", stop
