"""The cluster: whether it answers, speaks our version, and has our time."""

from __future__ import annotations

import ctypes
import platform
import socket
import struct
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import lesto
from lesto.client.cli.checks.finding import Finding, note, ok, problem
from lesto.common import options
from lesto.common.config import Configuration
from lesto.proto import runtime_pb2

if TYPE_CHECKING:
    from lesto.client.jobmanager_client import JobManagerClient
    from lesto.proto import client_pb2 as pb

#: Clocks of the cluster further apart confuse event-time lags and timestamps of people.
OFFSET_MS_MAX: Final = 1_000.0
#: A TaskManager that was silent for longer is about to be lost.
SILENT_MS_MAX: Final = 20_000
CONNECT_SECONDS: Final = 1.0
_UNSYNCHRONISED: Final = 0x40  # STA_UNSYNC of adjtimex(2)
_TIMEX_BYTES: Final = 256  # struct timex is shorter everywhere
#: modes, offset, frequency, greatest error, estimated error, status: with the C compiler's gaps.
_TIMEX: Final = "@iqqqqi"


def jobmanager(client: JobManagerClient) -> Iterator[Finding]:
    """Versions, slots, TaskManagers, clock.

    Raises:
        LestoError: it does not answer.
    """
    info = client.cluster()
    slots = f"{info.slots_available} of {info.slots_total} slots free"
    yield ok("jobmanager", f"{client.address}: {len(info.taskmanagers)} TaskManagers, {slots}")
    yield versions(info)
    now_ms = time.time_ns() // 1_000_000
    for worker in info.taskmanagers:
        silent_ms = now_ms - worker.last_heartbeat_ms
        if silent_ms > SILENT_MS_MAX:
            text = f"{worker.taskmanager_id} was last heard {silent_ms / 1000:.0f} s ago"
            yield problem("taskmanager", f"{text}: is its machine overloaded?")
    yield clock_of(client)


def versions(info: pb.ClusterInfo) -> Finding:
    """Ours beside the cluster's: pickled functions bind both to one minor version of Python."""
    ours = platform.python_version()
    text = f"cluster: Lesto {info.lesto_version} on Python {info.python_version}"
    mine = f"here: Lesto {lesto.__version__} on Python {ours}"
    if ours.split(".")[:2] != info.python_version.split(".")[:2]:
        return problem("versions", f"{text}; {mine}: jobs need the same minor version of Python")
    if info.lesto_version != lesto.__version__:
        return problem("versions", f"{text}; {mine}: install the cluster's version here")
    return ok("versions", f"{text}, as here")


def clock_of(client: JobManagerClient) -> Finding:
    """How far the JobManager's clock is from ours."""
    question = runtime_pb2.Question(thread_dump=runtime_pb2.ThreadDumpQuestion())
    begin = time.time_ns()
    told_ms = client.inspect(question).thread_dump.timestamp_ms
    end = time.time_ns()
    took_ms = (end - begin) / 1e6
    off_ms = told_ms - (begin + end) / 2e6
    text = f"the JobManager's is {off_ms:+.0f} ms from ours (± {took_ms / 2:.0f} ms)"
    if abs(off_ms) > OFFSET_MS_MAX + took_ms / 2:
        return problem("clock", f"{text}: synchronise both by NTP")
    return ok("clock", text)


def own_clock() -> Iterator[Finding]:
    """Whether the kernel says that something keeps this machine's clock right (Linux)."""
    if sys.platform != "linux":
        return
    try:
        timex = ctypes.create_string_buffer(_TIMEX_BYTES)
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return
    if state < 0:  # a sandbox may forbid to ask
        yield note("time service", "the kernel does not tell whether the clock is synchronised")
        return
    *_, greatest_us, _estimate, status = struct.unpack_from(_TIMEX, timex)
    if status & _UNSYNCHRONISED:
        yield note("time service", "nothing keeps this clock right: run chrony or another NTP")
    else:
        yield ok("time service", f"synchronised, at most {greatest_us / 1e3:.0f} ms off")


def ports(config: Configuration) -> Iterator[Finding]:
    """Whether a cluster could start here."""
    taken = []
    for option in (options.JOBMANAGER_PORT, options.REST_PORT):
        port = config.get(option)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                taken.append(f"{option.key} {port}")
    if taken:
        yield note("ports", f"in use: {', '.join(taken)} (a running cluster?)")
    else:
        yield ok("ports", "free")


def listens(address: str) -> bool:
    """Whether something takes connections at ``host:port``, asked for a moment."""
    host, _, port = address.partition(",")[0].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True
