"""Stands between the JobManager and a process that runs users' code: nothing outlives it.

A program of its own, started by its file and without ``lesto``: ``python -I -S warden.py``. Its
standard input brings one line of JSON, and its end (of the JobManager, too) means: stop. It starts
the command, keeps the beginning and the end of what it prints, and when the command has ended or is
to stop, it kills whatever the command has started, also what left its process group: orphans of its
descendants become its own children (Linux). At last it writes a report.

The line: ``command``, ``input`` (for its standard input), ``cwd``, ``env``, ``fds`` (handed on),
``report`` (path). The report: ``exit`` (negative: signal), ``head``, ``tail``, ``bytes``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time

#: What is kept of the output, at its beginning and at its end.
KEPT_BYTES = 16 * 1024
#: Longest time to kill descendants that keep forking.
KILL_SECONDS = 5.0
#: How often is looked at the process where the system does not tell its end.
POLL_SECONDS = 0.05
#: Time after the end in which what was printed is still read.
DRAIN_SECONDS = 0.2
_PR_SET_CHILD_SUBREAPER = 36


class Output:
    """The beginning and the end of what is printed."""

    def __init__(self) -> None:
        self.head = b""
        self.tail = b""
        self.size = 0

    def add(self, data: bytes) -> None:
        """Take more."""
        self.size += len(data)
        room = KEPT_BYTES - len(self.head)
        self.head += data[:room]
        if len(data) > room:
            self.tail = (self.tail + data[room:])[-KEPT_BYTES:]


def main() -> int:
    """Run the command; return 0."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Of a terminal: the JobManager decides. A handler, as it is not handed on like SIG_IGN.
        signal.signal(number, _nothing)
    setup = json.loads(sys.stdin.buffer.readline())
    _adopt_orphans()
    fds = setup["fds"]
    process = subprocess.Popen(
        setup["command"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=setup["cwd"],
        env=setup["env"],
        pass_fds=fds,
        start_new_session=True,
    )
    for descriptor in fds:  # its end of a pipe is then the only one
        os.close(descriptor)
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.write(setup["input"].encode())
        process.stdin.flush()
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    output = Output()
    _watch(process, output)
    _kill_all(process)
    _write_report(setup["report"], process.wait(), output)
    return 0


def _nothing(_number: int, _frame: object) -> None:
    """Take no notice."""


def _adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends; Linux alone can."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _watch(process: subprocess.Popen[bytes], output: Output) -> None:
    """Read what it prints until it has ended or is to stop."""
    assert process.stdout is not None
    printed = process.stdout.fileno()
    os.set_blocking(printed, False)
    ended = _end_of(process)
    watched = [0, printed] if ended is None else [0, printed, ended]
    deadline = 0.0
    while True:
        ready = select.select(watched, [], [], POLL_SECONDS if ended is None or deadline else None)
        if 0 in ready[0] and not os.read(0, 4096):
            break
        data = b""
        if printed in ready[0]:
            with contextlib.suppress(BlockingIOError):
                data = os.read(printed, 1 << 16)
                output.add(data)
                if not data:
                    watched.remove(printed)
        if process.poll() is not None:
            # A child of its own may go on printing: what it has printed itself is in the pipe.
            deadline = deadline or time.monotonic() + DRAIN_SECONDS
            if not data or time.monotonic() > deadline:
                break
    if ended is not None:
        os.close(ended)


def _end_of(process: subprocess.Popen[bytes]) -> int | None:
    """A descriptor that becomes readable when the process has ended, where there are such."""
    open_process = getattr(os, "pidfd_open", None)
    if open_process is None:
        return None
    try:
        return int(open_process(process.pid))
    except OSError:
        return None


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill the command's process group, and whatever else has this process as its parent."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + KILL_SECONDS
    while time.monotonic() < deadline:
        children = _children()
        if not children:
            return
        for pid in children:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in children:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _children() -> list[int]:
    """Processes whose parent this is: orphans that were adopted."""
    found: list[int] = []
    if not os.path.isdir("/proc/self"):
        return found
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
                if int(fields[1]) == os.getpid():
                    found.append(int(name))
    return found


def _write_report(path: str, code: int, output: Output) -> None:
    report = {
        "exit": code,
        "head": output.head.decode(errors="replace"),
        "tail": output.tail.decode(errors="replace"),
        "bytes": output.size,
    }
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        json.dump(report, file)
    os.replace(f"{path}.part", path)


if __name__ == "__main__":
    sys.exit(main())
