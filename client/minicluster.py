"""A whole cluster owned by this process: what `python job.py` and `lesto dev` run on.

JobManager and TaskManager supervisors live on an event loop in a thread of this process; slots are
real processes. Stopping it, or the end of this process by any signal but SIGKILL, leaves no
process, port or file; after SIGKILL the slot processes end by themselves and the next cluster
removes the temporary directory.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from datetime import timedelta
from types import FrameType, TracebackType
from typing import Any, Self, TypeVar

from lesto.client.errors import ClusterStartError
from lesto.client.local_token import new_token
from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.logs import is_configured
from lesto.common.scratch import ScratchDirectory

T = TypeVar("T")

START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 30.0
LOOPBACK = "127.0.0.1"
logger = logging.getLogger("lesto.minicluster")
#: Parent of every logger of Lesto.
_ENGINE_LOGGER = logging.getLogger("lesto")


class MiniCluster:
    """A JobManager and TaskManagers with slot processes, on loopback, behind a random token.

    Args:
        config: options; directories that it does not set are temporary and go with the cluster.
        slots: slots of each TaskManager; by default ``taskmanager.numberOfTaskSlots``.
        taskmanagers: number of TaskManagers.
        port: the JobManager's port; 0 takes a free one.
        metrics_port: port of the first TaskManager's metrics; 0 takes a free one, -1 opens none.

    Attributes:
        address: ``host:port`` of the JobManager, once started.
        token: what clients must show.

    >>> with MiniCluster(slots=2) as cluster:  # doctest: +SKIP
    ...     client = JobManagerClient(cluster.address, cluster.token)
    """

    def __init__(
        self,
        config: Configuration | None = None,
        *,
        slots: int | None = None,
        taskmanagers: int = 1,
        port: int = 0,
        metrics_port: int = 0,
    ) -> None:
        self._given = Configuration(config)
        self.config = Configuration(config)
        self.slots = slots or self.config.get(options.TASK_SLOTS)
        self.taskmanager_count = taskmanagers
        self.token = self.config.get(options.SECURITY_TOKEN) or new_token()
        self.address = ""
        self._port = port
        self._metrics_port = metrics_port
        self._scratch: ScratchDirectory | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._jobmanager: Any = None
        self._taskmanagers: list[Any] = []
        self._previous_sigterm: Any = None
        self._is_quiet = False
        self._lifecycle = threading.RLock()

    # --------------------------------------------------------------------------------- lifecycle

    def start(self) -> Self:
        """Start everything; return once the TaskManagers are under way.

        Raises:
            LestoError: a port is taken or a process does not come up; nothing is left running.
        """
        with self._lifecycle:
            if self._thread is not None:
                msg = "the cluster is running"
                raise ClusterStartError(msg, remedy="Stop it before starting it again.")
            _RUNNING.add(self)
            self._install_sigterm()
            try:
                self._prepare_config()
                self._quiet_logs()
                self._start_loop()
                self._run(self._start_servers(), START_TIMEOUT_SECONDS)
            except BaseException:
                self.stop()
                raise
        return self

    def wait_ready(self, timeout: timedelta = timedelta(seconds=60)) -> None:
        """Return once every slot is registered and free.

        Raises:
            ClusterStartError: some are not, in time.
        """
        from lesto.client.jobmanager_client import JobManagerClient

        wanted = self.slots * self.taskmanager_count
        deadline = time.monotonic() + timeout.total_seconds()
        with JobManagerClient(self.address, self.token) as client:
            while (ready := client.cluster().slots_available) < wanted:
                if time.monotonic() > deadline:
                    msg = f"{ready} of {wanted} slots are ready after {timeout}"
                    raise ClusterStartError(msg, remedy="Look at the slots' messages above.")
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop everything and remove what is temporary. A second call does nothing."""
        with self._lifecycle:
            try:
                if self._loop is not None and self._loop.is_running():
                    self._run(self._stop_servers(), STOP_TIMEOUT_SECONDS)
            finally:
                self._stop_loop()
                if self._scratch is not None:
                    self._scratch.close()
                    self._scratch = None
                self.address = ""
                _RUNNING.discard(self)
                self._restore_sigterm()
                if self._is_quiet:
                    _ENGINE_LOGGER.setLevel(logging.NOTSET)
                    self._is_quiet = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # ------------------------------------------------------------------------------------- parts

    def _prepare_config(self) -> None:
        config = self.config = Configuration(self._given)
        config.set(options.SECURITY_TOKEN, self.token, origin="made for this cluster")
        config.set(options.TASK_SLOTS, self.slots, origin="made for this cluster")
        # All of it is in this process and its children, on loopback.
        config.set(options.SSL_INTERNAL_ENABLED, False, origin="made for this cluster")
        # It ends with this process, and its jobs with it.
        config.set(options.HA_TYPE, options.HighAvailabilityType.NONE, origin="made for it")
        if not config.contains(options.LOG_LEVEL):  # slots write to the user's terminal
            config.set(options.LOG_LEVEL, "WARNING", origin="made for this cluster")
        if not config.contains(options.HEARTBEAT_TIMEOUT):
            # Death is seen at once without heartbeats. Silence here is nearly always this machine
            # being busy or suspended, or a program that keeps the interpreter to itself.
            config.set(options.HEARTBEAT_TIMEOUT, "50 s", origin="made for this cluster")
        given = (options.CHECKPOINT_DIR, options.STATE_LOCAL_DIR, options.LOG_DIR)
        if all(config.get(option) for option in given):
            return
        self._scratch = ScratchDirectory("cluster", config.get(options.TMP_DIRS))
        for option, name in (
            (options.CHECKPOINT_DIR, "checkpoints"),
            (options.STATE_LOCAL_DIR, "local"),
            (options.LOG_DIR, "logs"),
        ):
            if not config.get(option):
                folder = self._scratch.path / name
                folder.mkdir()
                config.set(option, str(folder), origin="temporary, goes with the cluster")

    def _quiet_logs(self) -> None:
        """Keep to this cluster's level: the program may log everything of its own on its terminal,
        as Flink's examples do.
        """
        if _ENGINE_LOGGER.level == logging.NOTSET and not is_configured():
            _ENGINE_LOGGER.setLevel(self.config.get(options.LOG_LEVEL))
            self._is_quiet = True

    def _start_loop(self) -> None:
        loop = asyncio.new_event_loop()
        self._loop = loop
        self._thread = threading.Thread(target=loop.run_forever, name="minicluster", daemon=True)
        self._thread.start()

    def _stop_loop(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        if loop.is_running():
            loop.call_soon_threadsafe(loop.stop)
        thread.join(STOP_TIMEOUT_SECONDS)
        if not thread.is_alive():
            with contextlib.suppress(RuntimeError):  # executors are gone at interpreter exit
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def _run(self, work: Coroutine[Any, Any, T], timeout: float) -> T:
        assert self._loop is not None
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(timeout)
        except TimeoutError:
            future.cancel()
            msg = f"the cluster did not start or stop within {timeout:g} s"
            raise ClusterStartError(msg, remedy="Look at the messages above.") from None
        except BaseException:
            future.cancel()
            raise

    async def _start_servers(self) -> None:
        from lesto.jobmanager.server.service import JobManager
        from lesto.taskmanager.runtime.supervisor import TaskManager

        self._jobmanager = JobManager(self.config, host=LOOPBACK, port=self._port)
        await self._jobmanager.start()
        self.address = f"{LOOPBACK}:{self._jobmanager.port}"
        for number in range(self.taskmanager_count):
            # A configured port is a lasting cluster's: embedded ones, of which there may be many,
            # take free ones or none.
            unset = min(0, self.config.get(options.METRICS_PORT))
            taskmanager = TaskManager(
                self.config,
                jobmanager_address=self.address,
                slots=self.slots,
                metrics_port=unset if number else self._metrics_port or unset,
            )
            self._taskmanagers.append(taskmanager)
            await taskmanager.start()

    async def _stop_servers(self) -> None:
        """Cancel the jobs, then stop workers before the JobManager; stop all in any case."""
        taskmanagers, self._taskmanagers = self._taskmanagers, []
        jobmanager, self._jobmanager = self._jobmanager, None
        if jobmanager is not None and self.address:
            await jobmanager.cancel_all()
        results: list[None | BaseException] = []
        for servers in (taskmanagers, [jobmanager] if jobmanager is not None else []):
            stops = (server.stop() for server in servers)
            results += await asyncio.gather(*stops, return_exceptions=True)
        for error in results:
            if isinstance(error, BaseException):
                logger.error("cluster.stop_failed", exc_info=error)

    # ----------------------------------------------------------------------------------- signals

    def _install_sigterm(self) -> None:
        """Make SIGTERM an orderly exit, unless the program handles it."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, _exit_on_sigterm)
            self._previous_sigterm = signal.SIG_DFL

    def _restore_sigterm(self) -> None:
        if self._previous_sigterm is None:
            return
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is _exit_on_sigterm
        ):
            signal.signal(signal.SIGTERM, self._previous_sigterm)
        self._previous_sigterm = None


def _exit_on_sigterm(_signal: int, _frame: FrameType | None) -> None:
    sys.exit(128 + signal.SIGTERM)


#: Clusters that run: the end of the program stops them.
_RUNNING: set[MiniCluster] = set()


def _stop_all() -> None:
    for cluster in list(_RUNNING):
        cluster.stop()


def _at_the_end(work: Callable[[], None]) -> None:
    """Have work done when the program ends, while threads and executors still take some.

    ``atexit`` is too late: ``concurrent.futures`` refuses by then, and servers could not close.
    """
    before_threads_end = getattr(threading, "_register_atexit", atexit.register)
    before_threads_end(work)


_at_the_end(_stop_all)
