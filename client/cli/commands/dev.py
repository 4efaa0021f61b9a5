"""`lesto dev`: a whole cluster on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import time
from datetime import timedelta

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.logging_setup import set_up_logging
from lesto.client.cli.stop_signals import StopRequest, stop_request
from lesto.client.cli.target import configuration
from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.local_token import published_token
from lesto.client.minicluster import MiniCluster
from lesto.common import options
from lesto.common.config import Configuration
from lesto.jobmanager.server.rest.server import RestServer
from lesto.jobmanager.server.submission.runs import Target

MAX_DEFAULT_SLOTS = 4
READY_TIMEOUT = timedelta(seconds=60)


def dev(arguments: argparse.Namespace) -> int:
    """Run JobManager, TaskManager and REST until a signal."""
    started_at = time.monotonic()
    config = configuration(arguments)
    if arguments.rest_port is not None:
        config.set(options.REST_PORT, arguments.rest_port, origin="--rest-port")
    if arguments.port is not None:
        config.set(options.JOBMANAGER_PORT, arguments.port, origin="--port")
    if not config.contains(options.LOG_LEVEL):
        config.set(options.LOG_LEVEL, "WARNING", origin="lesto dev")
    set_up_logging("dev", config)
    with stop_request() as request:
        _serve(config, _slots(arguments, config), request, started_at)
    print("Stopped.", flush=True)
    return ExitCode.OK


def _slots(arguments: argparse.Namespace, config: Configuration) -> int:
    if arguments.slots is not None:
        return options.TASK_SLOTS.parse(arguments.slots)
    if config.contains(options.TASK_SLOTS):
        return config.get(options.TASK_SLOTS)
    return max(2, min(MAX_DEFAULT_SLOTS, len(os.sched_getaffinity(0))))


def _serve(config: Configuration, slots: int, request: StopRequest, started_at: float) -> None:
    with contextlib.ExitStack() as stack:
        cluster = MiniCluster(
            config,
            slots=slots,
            port=config.get(options.JOBMANAGER_PORT),
            metrics_port=config.get(options.METRICS_PORT),
        )
        # REST first: a taken port 8081 is the likeliest mistake, and shows before anything starts.
        rest = RestServer(config)
        stack.callback(rest.stop)
        rest.bind()
        stack.enter_context(cluster)
        client = stack.enter_context(JobManagerClient(cluster.address, cluster.token))
        target = Target(lambda: client.address, cluster.token, client.cancel)
        rest_address = rest.start(client, target)
        port = int(cluster.address.rpartition(":")[2])
        stack.enter_context(published_token(cluster.token, port))
        cluster.wait_ready(READY_TIMEOUT)
        elapsed = time.monotonic() - started_at
        print(f"Lesto is ready after {elapsed:.1f} s, with {slots} slots.")
        print(f"  JobManager  {cluster.address}   lesto run -m {cluster.address} job.py")
        print(f"  REST        http://{rest_address}")
        print("Ctrl-C stops it.", flush=True)
        request.wait()
        print("Stopping...", file=sys.stderr, flush=True)
