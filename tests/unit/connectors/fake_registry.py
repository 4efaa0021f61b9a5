"""A schema registry as Confluent's answers, in a thread: ids, subjects, versions, references.

Faithful to its REST interface in what we use: the same paths, bodies and error codes; a schema gets
the same id under every subject, registering it again gives the same id, and a subject with
compatibility NONE or BACKWARD (a new field needs a default) refuses with 409. It is not the real
one: no storage, no other compatibility rules.
"""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class FakeRegistry:
    """Context manager; ``url`` is where it listens."""

    def __init__(self):
        self.schemas = []  # (type, text, references), the id is the place + 1
        self.subjects = {}  # subject -> ids by version
        self.failures = []  # answers given before any other
        self.requests = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                registry.handle(self, None)

            def do_POST(self):
                length = int(self.headers["Content-Length"])
                registry.handle(self, json.loads(self.rfile.read(length)))

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = False
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def handle(self, request, body):
        self.requests.append((request.command, request.path, request.headers["Authorization"]))
        code, answer = self.failures.pop(0) if self.failures else self._answer(request, body)
        data = json.dumps(answer).encode()
        request.send_response(code)
        request.send_header("Content-Type", "application/vnd.schemaregistry.v1+json")
        request.send_header("Content-Length", str(len(data)))
        request.end_headers()
        request.wfile.write(data)

    def _answer(self, request, body):
        if found := re.fullmatch(r"/schemas/ids/(\d+)", request.path):
            number = int(found[1])
            if not 0 < number <= len(self.schemas):
                return 404, {"error_code": 40403, "message": "Schema not found"}
            return 200, self._described(number)
        if found := re.fullmatch(r"/subjects/([^/]+)/versions/(\d+)", request.path):
            versions = self.subjects.get(found[1], [])
            number = int(found[2])
            if not 0 < number <= len(versions):
                return 404, {"error_code": 40402, "message": "Version not found"}
            return 200, {**self._described(versions[number - 1]), "version": number}
        found = re.fullmatch(r"/subjects/([^/]+)/versions", request.path)
        if found and request.command == "POST":
            return self._register(found[1], body)
        return 404, {"error_code": 404, "message": "HTTP 404 Not Found"}

    def _described(self, number):
        kind, text, references = self.schemas[number - 1]
        answer = {"schema": text}
        if kind != "AVRO":
            answer["schemaType"] = kind
        if references:
            answer["references"] = references
        return answer

    def _register(self, subject, body):
        kind = body.get("schemaType", "AVRO")
        entry = (kind, body["schema"], body.get("references", []))
        versions = self.subjects.setdefault(subject, [])
        if kind == "AVRO" and versions and entry not in self.schemas:
            old = {f["name"] for f in json.loads(self.schemas[versions[-1] - 1][1])["fields"]}
            for field in json.loads(body["schema"])["fields"]:
                if field["name"] not in old and "default" not in field:
                    return 409, {"error_code": 409, "message": f"incompatible: {field['name']}"}
        if entry not in self.schemas:
            self.schemas.append(entry)
        number = self.schemas.index(entry) + 1
        if number not in versions:
            versions.append(number)
        return 200, {"id": number}
