"""Flink's own command line, and a proxy that notes what it sends."""

import http.client
import json
import os
import re
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Headers that say nothing of Flink: of each connection, or of this machine.
_OWN = {"host", "content-length", "connection"}
TIMEOUT_SECONDS = 120


def distribution():
    """Return the folder of Flink's distribution; None: benchmarks/peers/setup has not been run."""
    found = sorted(ROOT.glob("build/peers/pyflink/lib/python3.*/site-packages/pyflink/bin/flink"))
    return found[0].parents[1] if found else None


def missing():
    """Return what has to be installed for the command line to run; empty: nothing."""
    if shutil.which("java") is None:
        return "no java: install Debian's default-jre-headless"
    if distribution() is None:
        return "no Flink: run benchmarks/peers/setup pyflink"
    return ""


def flink(folder, *arguments):
    """Run `flink`; its exit code, standard output, standard error.

    Args:
        folder: where it logs.
        arguments: of the command line.
    """
    environment = {
        **os.environ,
        "FLINK_LOG_DIR": str(folder),
        "FLINK_ENV_JAVA_OPTS": "-XX:TieredStopAtLevel=1 -Xshare:auto",  # half the start
    }
    done = subprocess.run(
        [str(distribution() / "bin" / "flink"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


class Recorder:
    """Stands between the command line and the server.

    Attributes:
        exchanges: method, path, headers, body, and of the answer its status and JSON.
    """

    def __init__(self, address):
        self.exchanges = []
        self._target = address
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self):
                length = int(self.headers.get("content-length", 0))
                status, headers, content = recorder.pass_on(
                    self.command, self.path, dict(self.headers.items()), self.rfile.read(length)
                )
                self.send_response(status)
                for name in ("content-type", "content-length"):
                    if name in headers:
                        self.send_header(name, headers[name])
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

            def log_message(self, *_arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    @property
    def address(self):
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def pass_on(self, method, path, headers, body):
        connection = http.client.HTTPConnection(self._target, timeout=60)
        try:
            kept = {k: v for k, v in headers.items() if k.lower() not in _OWN}
            connection.request(method, path, body or None, kept)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        self.exchanges.append(
            {
                "method": method,
                "path": path,
                "headers": {k.lower(): v for k, v in kept.items()},
                "body": json.loads(body) if body else None,
                "status": answer.status,
                "answer": json.loads(content) if content else None,
            }
        )
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content


def named(exchange, names):
    """Return an exchange with placeholders for what differs from run to run.

    Args:
        exchange: as recorded.
        names: what to replace, by its text.
    """
    text = json.dumps({key: exchange[key] for key in ("method", "path", "headers", "body")})
    for value, name in names.items():
        text = text.replace(value, f"<{name}>")
    text = re.sub(r'"triggerId": "[0-9a-f]{32}"', '"triggerId": "<trigger>"', text)
    text = re.sub(
        r"(savepoints|checkpoints|savepoint-disposal)/[0-9a-f]{32}", r"\1/<trigger>", text
    )
    return {
        **json.loads(text),
        "status": exchange["status"],
        "answer": form(exchange["answer"]),
    }


def form(value):
    """Return the form of JSON: names and kinds, one entry of a list."""
    if isinstance(value, dict):
        return {name: form(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [form(value[0])] if value else []
    return (
        "number" if isinstance(value, (int, float)) and value is not True else type(value).__name__
    )
