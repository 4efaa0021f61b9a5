"""Remote objects with bounded retries: 503, throttling, timeouts, answers that were lost.

Each operation is tried a bounded number of times, with pauses that double and vary, so that many
tasks that were refused together do not come back together.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from lesto.common.logs import get_logger
from lesto.state.objects import Objects, TransientError
from lesto.state.storage_settings import RetryPolicy

logger = get_logger("lesto.state.storage")
T = TypeVar("T")
#: A pause is between this share of the nominal one and all of it.
JITTER_LEAST = 0.5


class RetryingObjects:
    """Repeats what failed for a reason that may pass.

    Args:
        objects: the store itself.
        policy: how often and how long.
        sleep: pauses for seconds.
        draw: uniformly from 0..1.
    """

    def __init__(
        self,
        objects: Objects,
        policy: RetryPolicy,
        *,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._objects = objects
        self._policy = policy
        self._sleep = sleep
        self._draw = draw
        self.retries = 0

    def write(self, path: str, chunks: Callable[[], Iterator[bytes]]) -> None:
        """Write an object; from the front at each try."""
        self._call("write", path, lambda: self._objects.write(path, chunks))

    def create(self, path: str, data: bytes) -> None:
        """Write an object that must not be there yet.

        When the answer to a try was lost, the next one may find the object there: it is ours if it
        has our content. Contents that two writers might share need something of their own in them.
        """
        uncertain = False

        def attempt() -> None:
            nonlocal uncertain
            try:
                self._objects.create(path, data)
            except TransientError:
                uncertain = True
                raise
            except FileExistsError:
                if not uncertain or not self._has_content(path, data):
                    raise

        self._call("create", path, attempt)

    def _has_content(self, path: str, data: bytes) -> bool:
        return (
            self._objects.size(path) == len(data) and self._objects.read(path, 0, len(data)) == data
        )

    def size(self, path: str) -> int:
        """Length of an object in bytes."""
        return self._call("look up", path, lambda: self._objects.size(path))

    def read(self, path: str, start: int, length: int) -> bytes:
        """Part of an object."""
        return self._call("read", path, lambda: self._objects.read(path, start, length))

    def exists(self, path: str) -> bool:
        """Whether an object or directory is there."""
        return self._call("look up", path, lambda: self._objects.exists(path))

    def list(self, path: str, *, recursive: bool) -> list[str]:
        """Paths below a directory."""
        return self._call("list", path, lambda: self._objects.list(path, recursive=recursive))

    def delete(self, path: str) -> bool:
        """Delete an object; False when it was gone already."""
        return self._call("delete", path, lambda: self._objects.delete(path))

    def delete_directory(self, path: str) -> None:
        """Delete everything below a directory, and the directory."""
        self._call("delete", path, lambda: self._objects.delete_directory(path))

    def _call(self, verb: str, path: str, work: Callable[[], T]) -> T:
        pause_ms = self._policy.initial_backoff_ms
        for attempt in range(1, self._policy.attempts + 1):
            try:
                return work()
            except TransientError as error:
                if attempt == self._policy.attempts:
                    msg = f"{error} (after {attempt} tries)"
                    raise TransientError(msg) from error
                self.retries += 1
                logger.warning(
                    "storage.retry", verb=verb, path=path, attempt=attempt, error=str(error)
                )
                share = JITTER_LEAST + (1 - JITTER_LEAST) * self._draw()
                self._sleep(min(pause_ms, self._policy.max_backoff_ms) * share / 1000)
                pause_ms *= 2
        msg = f"no try was allowed to {verb} {path}"
        raise AssertionError(msg)
