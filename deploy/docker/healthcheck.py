"""Whether the Lesto process of this container does what it is there for; exit status 0: it does.

JobManager: its REST server answers GET /healthz, as a leader's and a standby's do.
TaskManager: its own metrics say that the JobManager knows it and that every slot process is up.
Anything else (a job script, a shell) is well as long as it lives.

The first process's command line and environment say which it is and how it is configured.
"""

from __future__ import annotations

import http.client
import ssl
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lesto.common.config import Configuration

TIMEOUT_SECONDS = 4.0
FIRST_PROCESS = Path("/proc/1/cmdline")
REGISTERED = "lesto_taskmanager_registered"
SLOTS_READY = "lesto_taskmanager_slots_ready"


def command(words: list[str]) -> list[str]:
    """Return the words of the Lesto command among those of the first process.

    >>> command(["tini", "--", "/x/docker-entrypoint.sh", "taskmanager", "--slots=2"])
    ['taskmanager', '--slots=2']
    """
    for place, word in enumerate(words):
        if word in {"jobmanager", "taskmanager"}:
            return words[place:]
    return []


def tls(config: Configuration) -> ssl.SSLContext:
    """Return how to talk to our own server, over the loopback: its certificate names another host.

    The server's certificate is shown where callers must show one.
    """
    from lesto.common import options

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    certificate, key = config.get(options.SSL_REST_CERT), config.get(options.SSL_REST_KEY)
    if certificate and key and config.get(options.SSL_REST_AUTHENTICATION):
        context.load_cert_chain(certificate, key)
    return context


def get(
    host: str,
    port: int,
    path: str,
    token: str | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> tuple[int, str]:
    """Return status and body of a page of this container."""
    if tls is None:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    else:
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=tls)
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 22).decode(errors="replace")
    finally:
        connection.close()


def value(text: str, name: str) -> float | None:
    r"""Return a metric's value, the sum over its series, or None when there is none.

    >>> value('a{x="1"} 2\na{x="2"} 3\nab 9', "a")
    5.0
    """
    found = [
        float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith((f"{name}{{", f"{name} "))
    ]
    return sum(found) if found else None


def taskmanager_fault(text: str, slots: int) -> str:
    """Return what a TaskManager's metrics say is wrong; empty: nothing."""
    registered, ready = value(text, REGISTERED), value(text, SLOTS_READY)
    if not registered:
        return "the JobManager does not know this TaskManager"
    if ready is None or ready < slots:
        return f"{ready or 0:.0f} of {slots} slot processes are up"
    return ""


def check(words: list[str]) -> str:
    """Return what is wrong with the process that runs these words; empty: nothing."""
    words = command(words)
    if not words:
        return ""
    from lesto.client.cli.arguments import parse_arguments
    from lesto.common import options
    from lesto.common.config_loading import load_configuration

    arguments = parse_arguments(words)
    config = load_configuration(arguments.config, arguments.properties)
    if words[0] == "jobmanager":
        host = _reachable(config.get(options.REST_BIND_ADDRESS))
        port = arguments.rest_port
        port = config.get(options.REST_PORT) if port is None else port
        status, body = get(
            host,
            port,
            "/healthz",
            config.get(options.SECURITY_TOKEN),
            tls=tls(config) if config.get(options.SSL_REST_ENABLED) else None,
        )
        return "" if status == 200 else f"/healthz answers {status}: {body[:200]}"
    port = config.get(options.METRICS_PORT)
    if port <= 0:
        return ""  # nothing to ask: without a fixed metrics.port the process itself must do
    _, text = get(_reachable(config.get(options.METRICS_BIND_HOST)), port, "/metrics")
    slots = arguments.slots
    return taskmanager_fault(text, int(slots or config.get(options.TASK_SLOTS)))


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)


def main() -> int:
    """Print what is wrong, if anything is."""
    words = [word.decode() for word in FIRST_PROCESS.read_bytes().split(b"\0") if word]
    try:
        fault = check(words)
    except OSError as error:
        fault = f"no answer: {error}"
    if fault:
        print(fault)
    return int(bool(fault))


if __name__ == "__main__":
    sys.exit(main())
