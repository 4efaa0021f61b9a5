"""RocksDB takes changes in beside the mailbox, which does not wait for the disk."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

from lesto.state.errors import StorageError
from lesto.state.generations import GenerationQueue


class BackgroundDrain:
    """Drains a queue on a thread of its own; one generation is under way at most.

    Args:
        queue: of generations.
    """

    def __init__(self, queue: GenerationQueue) -> None:
        self._queue = queue
        self._executor: ThreadPoolExecutor | None = None
        self._last: Future[None] | None = None
        self._up_to = 0

    def start(self, up_to: int) -> None:
        """Begin to drain up to a generation, when what was begun before is done.

        Raises:
            StorageError: the local disk failed at that; the generation stays in the queue.
        """
        self.wait()
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix="state-drain")
        self._up_to = up_to
        self._last = self._executor.submit(self._queue.drain, up_to)

    def wait(self) -> None:
        """Wait for what was begun.

        Raises:
            StorageError: see :meth:`start`.
        """
        last, self._last = self._last, None
        if last is None:
            return
        try:
            last.result()
        except StorageError:
            if self._queue.ingested < self._up_to:  # else a snapshot's attempt went well
                raise

    def close(self) -> None:
        """Wait for the work under way; its result is of no interest any more."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)
            self._executor = None
        self._last = None
