"""`lesto jobmanager` and `lesto taskmanager`: the processes of a real cluster."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from typing import Any

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.logging_setup import set_up_logging
from lesto.client.cli.stop_signals import STOP_SIGNALS
from lesto.client.cli.target import configuration, jobmanager_address
from lesto.client.jobmanager_client import JobManagerClient, parse_addresses
from lesto.client.local_token import find_token, own_token, published_token
from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.hosts import is_loopback_host
from lesto.common.tls import internal_tls


def jobmanager(arguments: argparse.Namespace) -> int:
    """Run a JobManager and its REST server until a signal."""
    config = configuration(arguments)
    _override(config, options.JOBMANAGER_BIND_HOST, arguments.host, "--host")
    _override(config, options.JOBMANAGER_PORT, arguments.port, "--port")
    _override(config, options.REST_PORT, arguments.rest_port, "--rest-port")
    if arguments.insecure:
        config.set(options.SECURITY_INSECURE, True, origin="--insecure")
    set_up_logging("jobmanager", config)
    return asyncio.run(_run_jobmanager(config))


async def _run_jobmanager(config: Configuration) -> int:
    from lesto.jobmanager.server.rest.process import RestProcess
    from lesto.jobmanager.server.rest.server import RestServer
    from lesto.jobmanager.server.service import JobManager
    from lesto.jobmanager.server.submission.runs import Target

    stopped = _stop_event()
    host = config.get(options.JOBMANAGER_BIND_HOST)
    tls = internal_tls(config)
    # Certificates prove more than a token that any process of this user can read.
    proven = tls is not None or config.get(options.SECURITY_TOKEN)
    makes_token = is_loopback_host(host) and not proven
    if makes_token:
        made = own_token(config.get(options.JOBMANAGER_PORT))
        config.set(options.SECURITY_TOKEN, made, origin="made for this process")
    token = config.get(options.SECURITY_TOKEN)
    async with contextlib.AsyncExitStack() as stack:
        apart = config.get(options.REST_PROCESS)
        rest = RestProcess(config) if apart else RestServer(config)
        stack.push_async_callback(asyncio.to_thread, rest.stop)
        rest.bind()
        server = JobManager(config, host=host, port=config.get(options.JOBMANAGER_PORT))
        await server.start()
        stack.push_async_callback(server.stop)
        reachable = host if is_loopback_host(host) else "127.0.0.1"
        address = f"{reachable}:{server.port}"
        if isinstance(rest, RestProcess):
            rest.start(address)
        else:
            client = stack.enter_context(JobManagerClient(address, token, tls=tls))
            rest.start(client, Target(lambda: client.address, token, client.cancel))
        if makes_token and token:
            stack.enter_context(published_token(token, server.port))
        role = "" if server.leads else " (standby)"
        print(
            f"JobManager{role} on {host}:{server.port}, REST on {rest.scheme}://{rest.address}",
            flush=True,
        )
        await stopped.wait()
    return ExitCode.OK


def taskmanager(arguments: argparse.Namespace) -> int:
    """Run a TaskManager and its slot processes until a signal."""
    config = configuration(arguments)
    _override(config, options.TASK_SLOTS, arguments.slots, "--slots")
    _override(config, options.TASKMANAGER_HOST, arguments.host, "--host")
    address = jobmanager_address(arguments, config)
    parse_addresses(address)
    token = find_token(config, address)
    if token:
        config.set(options.SECURITY_TOKEN, token, origin="the local cluster's")
    set_up_logging("taskmanager", config)
    from lesto.taskmanager.runtime.supervisor import run_taskmanager

    slots = config.get(options.TASK_SLOTS)

    def announce(_taskmanager: object) -> None:
        print(f"TaskManager with {slots} slots, registered at {address}", flush=True)

    run_taskmanager(
        config,
        jobmanager_address=address,
        slots=slots,
        on_ready=announce,
    )
    return ExitCode.OK


def _override(config: Configuration, option: Any, value: object, origin: str) -> None:
    if value is not None:
        config.set(option, value, origin=origin)


def _stop_event() -> asyncio.Event:
    """Return an event that the stop signals set; a second signal changes nothing."""
    event = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(signal.Signals(number), event.set)
    return event
