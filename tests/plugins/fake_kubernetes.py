"""The Lease API of a Kubernetes API server, as far as optimistic concurrency goes.

From the API's documentation: every write gives the object a new ``resourceVersion``; a PUT or a
merge patch that names another than the present one is answered 409 Conflict; a POST of a name that
exists 409 AlreadyExists; an unknown name 404; an invalid object 422.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PATH = re.compile(r"/apis/coordination\.k8s\.io/v1/namespaces/([a-z0-9-]+)/leases(?:/([^/?]+))?$")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_MICRO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def merged(target, patch):
    """RFC 7396: what a merge patch makes of an object."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


class FakeKubernetes:
    """Context manager.

    Attributes:
        url: of the API.
        leases: objects by namespace and name.
        calls: (method, status) of all requests.
        lose_next_answer: do the next write and close the connection without a word.
    """

    def __init__(self):
        self.leases, self.calls, self.lose_next_answer = {}, [], False
        self._version, self._lock = 100, threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @staticmethod
    def path(namespace, name=""):
        """Of the leases of a namespace, or of one."""
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        return f"{leases}/{name}" if name else leases

    def answer(self, method, path, body):
        """(status, object) of a request."""
        found = _PATH.fullmatch(path)
        if not found:
            return 404, self.status(404, "NotFound", f"no such path {path}")
        namespace, name = found.groups()
        with self._lock:
            present = self.leases.get((namespace, name))
            if method == "GET":
                return (200, present) if present else (404, self.status(404, "NotFound", name))
            given = body.get("metadata", {}).get("resourceVersion")
            if method == "PATCH" and present:
                body = merged(present, body)
            wrong = self._invalid(body)
            if wrong:
                return 422, self.status(422, "Invalid", wrong)
            if method == "POST":
                name = body["metadata"]["name"]
                if (namespace, name) in self.leases:
                    return 409, self.status(409, "AlreadyExists", name)
                return 201, self._store(namespace, name, body)
            if present is None:
                return 404, self.status(404, "NotFound", name)
            if given and given != present["metadata"]["resourceVersion"]:
                return 409, self.status(409, "Conflict", "the object has been modified")
            return 200, self._store(namespace, name, body)

    def _store(self, namespace, name, body):
        self._version += 1
        kept = json.loads(json.dumps(body))
        kept["metadata"].update(namespace=namespace, resourceVersion=str(self._version))
        self.leases[namespace, name] = kept
        return kept

    def _invalid(self, body):
        spec, metadata = body.get("spec", {}), body.get("metadata", {})
        if (body.get("apiVersion"), body.get("kind")) != ("coordination.k8s.io/v1", "Lease"):
            return "apiVersion or kind"
        if not _NAME.fullmatch(metadata.get("name", "")):
            return "metadata.name"
        if spec.get("leaseDurationSeconds", 1) <= 0 or spec.get("leaseTransitions", 0) < 0:
            return "spec.leaseDurationSeconds or spec.leaseTransitions"
        times = [spec[key] for key in ("acquireTime", "renewTime") if key in spec]
        if not all(_MICRO_TIME.fullmatch(text) for text in times):
            return "spec.renewTime"
        return ""

    @staticmethod
    def status(code, reason, message):
        """A Status object."""
        return {"kind": "Status", "status": "Failure", "code": code, "reason": reason,
                "message": message}  # fmt: skip

    def _handler(self):
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def handle_one(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                status, answer = fake.answer(self.command, self.path, body)
                fake.calls.append((self.command, status))
                if fake.lose_next_answer and self.command != "GET":
                    fake.lose_next_answer = False
                    return
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = handle_one

            def log_message(self, *_):
                pass

        return Handler
