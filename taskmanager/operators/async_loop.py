"""The event loop beside a task, on which users' coroutines run.

One loop, on one thread, serves all operators of a task. The mailbox thread hands requests over in
lists and takes answers in lists; neither waits for the other.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from lesto.common.logs import get_logger
from lesto.taskmanager.operators.async_watch import BlockedLoopWatch
from lesto.taskmanager.operators.errors import AsyncLoopBlockedError

if TYPE_CHECKING:
    from lesto.taskmanager.operators.base import OperatorContext

#: How long ``async def open`` may take, seconds.
OPEN_SECONDS_MAX: Final = 60.0
#: How long the coroutines of a task may take to end when it is cancelled, seconds.
CLOSE_SECONDS_MAX: Final = 5.0
#: Of these, what cancelled coroutines get to clean up.
CANCEL_SECONDS_MAX: Final = 3.0

_Key = tuple[str, str, int, str]
_lock = threading.Lock()
_loops: dict[_Key, AsyncLoop] = {}


class AsyncLoop:
    """An asyncio event loop on a thread of its own. Made by ``acquire``, ended by ``release``."""

    def __init__(self, key: _Key) -> None:
        self._key = key
        self._users = 0
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"async {key[1]}", daemon=True)
        self._thread.start()
        self._watch = BlockedLoopWatch(self.loop, self._thread, key[1])

    @staticmethod
    def acquire(context: OperatorContext) -> AsyncLoop:
        """The loop of the operator's task; ``release`` it."""
        key = (context.job_id, context.task_name, context.subtask, context.attempt)
        with _lock:
            found = _loops.get(key)
            if found is None:
                found = _loops[key] = AsyncLoop(key)
            found._users += 1
            return found

    def release(self) -> None:
        """The last operator's call cancels what runs and ends the thread."""
        with _lock:
            self._users -= 1
            if self._users:
                return
            del _loops[self._key]
        self._watch.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CLOSE_SECONDS_MAX)
        if self._thread.is_alive():
            log = get_logger("lesto.async", task=self._key[1])
            log.warning("async.loop_blocked", seconds=CLOSE_SECONDS_MAX)

    def run(self, coroutine: Coroutine[Any, Any, Any], what: str, seconds: float) -> Any:
        """Run a coroutine and wait for it; for ``open`` and ``close`` only.

        Raises:
            AsyncLoopBlockedError: it took longer.
        """
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        try:
            return future.result(seconds)
        except FutureTimeoutError:
            if future.done():  # its own
                raise
            future.cancel()
            msg = f"{what} has not ended within {seconds:g} s"
            raise AsyncLoopBlockedError(
                msg, remedy="await what it waits for with a timeout; never block in a coroutine"
            ) from None

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            if tasks:
                # Bounded by whoever joins: a coroutine may refuse to end.
                with suppress(RuntimeError):
                    self.loop.run_until_complete(asyncio.wait(tasks, timeout=CANCEL_SECONDS_MAX))
            with suppress(RuntimeError):
                self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()
