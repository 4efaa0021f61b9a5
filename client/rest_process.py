"""Main module of the process that serves REST for a JobManager; started by it alone."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from typing import Final

from lesto.client.jobmanager_client import JobManagerClient
from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.tls import internal_tls
from lesto.jobmanager.server.rest.control import Line, LogHandler, Message, RemoteMetrics
from lesto.jobmanager.server.rest.server import RestServer
from lesto.jobmanager.server.submission.runs import Target

#: Where processors are short, the JobManager and what else runs here go before people who look.
NICE: Final = 5
#: Time that the server gets to stop; then the process ends all the same.
STOP_SECONDS: Final = 4.0


def main(listening_fd: int, line_fd: int) -> int:
    """Serve until told to stop, or until the JobManager is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: ours is to wait
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stopped.set())
    os.nice(NICE)
    line = Line(socket.socket(fileno=line_fd))
    messages = line.messages()
    first = next(messages, None)
    if first is None:
        return 0  # the JobManager is gone already
    config = Configuration.from_dict(first["config"])
    _log_to(line, config)
    metrics = RemoteMetrics(line)

    def receive() -> None:
        for message in messages:
            _take(message, metrics, stopped)
        stopped.set()

    threading.Thread(target=receive, name="jobmanager", daemon=True).start()
    token = config.get(options.SECURITY_TOKEN)
    rest = RestServer(config, metrics)
    rest.take_over(socket.socket(fileno=listening_fd))
    with JobManagerClient(first["jobmanager"], token, tls=internal_tls(config)) as client:
        rest.start(client, Target(lambda: client.address, token, client.cancel))
        stopped.wait()
        last = threading.Timer(STOP_SECONDS, os._exit, (1,))
        last.daemon = True
        last.start()
        rest.stop()
    return 0


def _take(message: Message, metrics: RemoteMetrics, stopped: threading.Event) -> None:
    match message:
        case {"metrics": number, "text": text}:
            metrics.answered(number, text)
        case {"stop": _}:
            stopped.set()


def _log_to(line: Line, config: Configuration) -> None:
    root = logging.getLogger()
    root.addHandler(LogHandler(line))
    root.setLevel(config.get(options.LOG_LEVEL))
    logging.captureWarnings(True)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
