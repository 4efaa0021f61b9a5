"""A real S3 protocol server in this process (moto), with faults in front of it from a seed.

For tests of processes: give them ``options(...)``. Faults are HTTP ones: 503 before the request is
handled, the answer dropped behind it, and delays.
"""

import contextlib
import random
import socket
import threading
import time

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

ACCESS_KEY = "lesto-test"
SECRET_KEY = "not-a-secret"


class _Quiet(WSGIRequestHandler):
    def log(self, *_):
        pass

    def log_request(self, *_):
        pass

    def connection_dropped(self, *_):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class _Dropped(ConnectionError):
    """The client sees a closed connection."""


class S3Server:
    """Serves S3 on a port of its own until ``close``.

    Attributes:
        refused: probability of a 503 without effect.
        lost: probability that the request is carried out and the answer dropped.
        slow: probability of a pause of ``slow_seconds``.
        requests: (method, path) of each, in order.
    """

    def __init__(self, bucket="bucket", seed=0):
        self.refused = self.lost = self.slow = 0.0
        self.slow_seconds = 1.0
        self.requests = []
        self.injected = {"refused": 0, "lost": 0, "slow": 0}
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._inner = DomainDispatcherApplication(create_backend_app)
        self._server = make_server(
            "127.0.0.1", 0, self._serve, threaded=True, request_handler=_Quiet
        )
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        self.bucket = bucket
        self.make_bucket(bucket)

    def options(self):
        """Options of a process that uses it."""
        return {
            "s3.endpoint": self.endpoint,
            "s3.access-key": ACCESS_KEY,
            "s3.secret-key": SECRET_KEY,
            "s3.path.style.access": "true",
            "state.storage.retry.initial-backoff": "10 ms",
        }

    def make_bucket(self, name):
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self._server.server_port)
        headers = {
            "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/us-east-1/s3/"
            "aws4_request, SignedHeaders=host, Signature=0"
        }
        connection.request("PUT", f"/{name}", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        connection.close()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _drawn(self, name):
        with self._lock:
            drawn = self._random.random() < getattr(self, name)
            self.injected[name] += drawn
        return drawn

    def _serve(self, environ, start_response):
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        if self._drawn("slow"):
            time.sleep(self.slow_seconds)
        if self._drawn("refused"):
            _drain(environ)
            start_response("503 Slow Down", [("Content-Type", "application/xml")])
            return [b"<Error><Code>SlowDown</Code></Error>"]
        body = self._inner(environ, start_response)
        if self._drawn("lost"):
            msg = "the answer is lost"
            raise _Dropped(msg)
        return body


def _drain(environ):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    environ["wsgi.input"].read(length)
