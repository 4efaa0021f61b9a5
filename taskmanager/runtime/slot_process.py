"""One slot process as its supervisor sees it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from lesto.proto import runtime_pb2

#: Commands that wait for a slot to read them; a slot that lets more pile up is killed.
OUTBOUND_MESSAGES_MAX = 100_000
TERMINATE_GRACE_SECONDS = 1.5
#: Python's own exit status for an uncaught exception or a bad command line says little.
_SLOT_MODULE = "lesto.taskmanager.runtime.slot_main"
#: Variables with the cluster's token in them, which user code, and what it starts and logs, has no
#: use for. The slot's configuration comes from the supervisor.
_SECRETS = frozenset({"LESTO_SECURITY__TOKEN", "LESTO_PROPERTIES"})


@dataclass(frozen=True, slots=True)
class SlotSetup:
    """What every slot process of a TaskManager is told.

    Attributes:
        gateway: host:port of the supervisor's SlotGateway.
        token: secret that the slot shows there.
        bind_host: address on which the slot's data server listens.
        host: host at which the other TaskManagers reach it.
        metrics_host: address on which its metrics are served.
        config: the configuration as texts, secrets left out.
        local_dir: parent of the slots' working directories.
        log_level: least severe level logged.
        log_dir: folder of the slots' log files.
    """

    gateway: str
    token: str
    bind_host: str
    host: str
    metrics_host: str
    config: dict[str, str]
    local_dir: str
    log_level: str
    log_dir: str


class SlotProcess:
    """A process: started once, never restarted; its replacement has another id.

    Attributes:
        slot_id: unique.
        index: position in the TaskManager.
        info: what the JobManager is told.
        heard: monotonic seconds of the last message; 0 before the first.
    """

    def __init__(self, index: int, setup: SlotSetup) -> None:
        self.slot_id = f"slot-{uuid.uuid4().hex[:16]}"
        self.index = index
        self.info = runtime_pb2.SlotInfo(
            slot_id=self.slot_id, index=index, status=runtime_pb2.SLOT_STATUS_STARTING
        )
        self.heard = 0.0
        self.started = time.monotonic()
        self.outbound: asyncio.Queue[runtime_pb2.ToSlot] = asyncio.Queue()
        self._setup = setup
        self._kill_reason = ""
        self._process: asyncio.subprocess.Process | None = None
        self.local_dir = Path(setup.local_dir) / self.slot_id

    @property
    def ready(self) -> bool:
        """Whether it has connected."""
        return self.info.status == runtime_pb2.SLOT_STATUS_READY

    async def start(self) -> None:
        """Start the process."""
        self.local_dir.mkdir(parents=True, exist_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # the working directory is no place for imports
            "-m",
            _SLOT_MODULE,
            stdin=asyncio.subprocess.PIPE,
            env=_environment(),
        )
        self.info.pid = self._process.pid
        setup = {
            "slot_id": self.slot_id,
            "parent_pid": os.getpid(),
            "gateway": self._setup.gateway,
            "token": self._setup.token,
            "bind_host": self._setup.bind_host,
            "host": self._setup.host,
            "metrics_host": self._setup.metrics_host,
            "config": self._setup.config,
            "local_dir": str(self.local_dir),
            "log_level": self._setup.log_level,
            "log_file": str(Path(self._setup.log_dir) / f"slot-{self.index}"),
        }
        assert self._process.stdin is not None, "stdin is a pipe"
        with contextlib.suppress(ConnectionError):  # it has died: its exit status will tell
            self._process.stdin.write(json.dumps(setup).encode() + b"\n")
            await self._process.stdin.drain()

    def connected(self, hello: runtime_pb2.SlotHello) -> None:
        """It has said hello."""
        self.info.status = runtime_pb2.SLOT_STATUS_READY
        self.info.flight_uri = hello.flight_uri
        self.info.metrics_address = hello.metrics_address
        self.heard = time.monotonic()

    def send(self, message: runtime_pb2.ToSlot) -> None:
        """Queue a message, in order."""
        if self.outbound.qsize() >= OUTBOUND_MESSAGES_MAX:
            self.kill(f"it does not read: {OUTBOUND_MESSAGES_MAX} messages wait for it")
            return
        self.outbound.put_nowait(message)

    def kill(self, reason: str) -> None:
        """Kill the process."""
        if self._process is not None and self._process.returncode is None:
            self._kill_reason = self._kill_reason or reason
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def wait(self) -> str:
        """Wait for the process's end; returns why it ended."""
        assert self._process is not None, "wait before start"
        code = await self._process.wait()
        if self._process.stdin is not None:
            self._process.stdin.close()
        return self._kill_reason or exit_text(code)

    async def remove_files(self) -> None:
        """Remove the working directory; the state in it may be large."""
        await asyncio.to_thread(shutil.rmtree, self.local_dir, True)

    async def terminate(self) -> None:
        """End the process, gently first."""
        if self._process is None or self._process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), TERMINATE_GRACE_SECONDS)
        except TimeoutError:
            self.kill("it did not end when asked to")
            await self._process.wait()


def exit_text(code: int) -> str:
    """An exit status in words.

    >>> exit_text(-9), exit_text(3)
    ('killed by signal 9 (SIGKILL)', 'exited with 3')
    """
    if code >= 0:
        return f"exited with {code}"
    try:
        return f"killed by signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"killed by signal {-code}"


def _environment() -> dict[str, str]:
    """The slot's environment; it must find the same lesto as this process."""
    import lesto

    environment = {name: text for name, text in os.environ.items() if name not in _SECRETS}
    environment.setdefault("PYTHONFAULTHANDLER", "1")
    home = str(Path(next(iter(lesto.__path__))).parent)
    if Path(home).name not in {"site-packages", "dist-packages"}:
        paths = environment.get("PYTHONPATH", "").split(os.pathsep)
        environment["PYTHONPATH"] = os.pathsep.join(p for p in (home, *paths) if p)
    return environment
