"""Notices coroutines that block their event loop, and says where.

A client that blocks (``requests``, ``time.sleep``) in an ``async def`` lets all requests of the
task wait one for the other, and no timeout fires meanwhile. Nothing fails, it is only slow: so it
must be said.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from types import FrameType
from typing import Final

from lesto.common.logs import get_logger
from lesto.common.user_frames import is_user_frame

#: How often the loop says that it turns, in seconds.
BEAT_SECONDS: Final = 0.25
#: A loop that has not turned for so long is blocked, in seconds. Collections of garbage and busy
#: machines take less.
BLOCKED_SECONDS: Final = 1.0
#: After a warning the next one waits, in seconds.
SILENCE_SECONDS: Final = 60.0


class BlockedLoopWatch:
    """Watches one loop from a thread of its own, until ``stop``.

    Args:
        loop: the loop, which runs on ``thread``.
        thread: its thread.
        task: name of the task, for the warning.
        blocked_seconds: see ``BLOCKED_SECONDS``.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        thread: threading.Thread,
        task: str,
        blocked_seconds: float = BLOCKED_SECONDS,
    ) -> None:
        self._loop = loop
        self._thread = thread
        self._blocked_seconds = blocked_seconds
        self._log = get_logger("lesto.async", task=task)
        self._turned_at = time.monotonic()
        self._stopped = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="async watch", daemon=True)
        loop.call_soon_threadsafe(self._turn)
        self._watcher.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopped.set()
        self._watcher.join()

    def _turn(self) -> None:
        self._turned_at = time.monotonic()
        if not self._stopped.is_set():
            self._loop.call_later(BEAT_SECONDS, self._turn)

    def _watch(self) -> None:
        silent_until = 0.0
        while not self._stopped.wait(BEAT_SECONDS):
            now = time.monotonic()
            seconds = now - self._turned_at
            if seconds > self._blocked_seconds + BEAT_SECONDS and now >= silent_until:
                silent_until = now + SILENCE_SECONDS
                self._log.warning(
                    "async.loop_blocked",
                    seconds=round(seconds, 1),
                    at=self._where(),
                    remedy="await in coroutines; a client that blocks needs asyncio.to_thread",
                )

    def _where(self) -> str:
        """The innermost line of the user's code that the loop's thread is in."""
        frame: FrameType | None = sys._current_frames().get(self._thread.ident or 0)
        while frame is not None:
            if is_user_frame(frame):
                return f"{frame.f_code.co_filename}:{frame.f_lineno}"
            frame = frame.f_back
        return "unknown"
