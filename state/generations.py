"""The queue between the mailbox, which captures state, and RocksDB, which takes it in on another
thread.

Generations are ingested in the order of their capture, whoever gets to do it. A snapshot's local
checkpoint is made right after its own generation and before the next: it holds exactly the state of
its barrier, however late its upload starts.
"""

from __future__ import annotations

import shutil
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from lesto.state.entries import Captured, sorted_entries
from lesto.state.errors import StateError
from lesto.state.rocks_files import LocalDb


@dataclass(slots=True, eq=False)
class Generation:
    """What was captured at one time.

    Attributes:
        number: rises by one.
        parts: captured state.
        directory: where the snapshot wants its checkpoint; None when it wants none (any more).
        error: why the checkpoint could not be made.
    """

    number: int
    parts: list[Captured]
    directory: Path | None
    error: BaseException | None = None


class GenerationQueue:
    """Generations captured and not ingested yet.

    Args:
        open_db: opens the database, called once, on the first generation that has entries.
        on_encoded: told (entries, bytes) of each run.
    """

    def __init__(
        self, open_db: Callable[[], LocalDb], on_encoded: Callable[[int, int], None]
    ) -> None:
        self._open_db = open_db
        self._on_encoded = on_encoded
        self._lock = threading.Lock()
        self._queue: deque[Generation] = deque()
        self._numbers = 0
        self._closed = False
        self.db: LocalDb | None = None
        #: Number of the newest generation in RocksDB; read without the lock.
        self.ingested = 0

    @property
    def next_number(self) -> int:
        """The number the next generation will have."""
        return self._numbers + 1

    def add(self, parts: list[Captured], directory: Path | None) -> Generation:
        """Append a generation (mailbox thread)."""
        self._numbers += 1
        generation = Generation(self._numbers, parts, directory)
        self._queue.append(generation)
        return generation

    def drain(self, up_to: int) -> None:
        """Ingest all generations up to a number; returns when they are in RocksDB.

        Raises:
            StorageError: the local disk failed; the generation stays in the queue.
        """
        with self._lock:
            if self._closed:
                msg = "the state backend is closed"
                raise StateError(msg)
            while self._queue and self._queue[0].number <= up_to:
                generation = self._queue[0]
                self._ingest(generation)
                self._queue.popleft()
                self.ingested = generation.number
                self._checkpoint(generation)

    def open(self) -> LocalDb:
        """The database, opened if need be (before any generation: at restore)."""
        with self._lock:
            if self.db is None:
                self.db = self._open_db()
            return self.db

    def put(self, keys: pa.Array, values: pa.Array) -> None:
        """Write entries past the queue; what was captured before has been drained."""
        with self._lock:
            if self.db is None:
                self.db = self._open_db()
            self.db.ingest(keys, values)

    def abandon(self, generation: Generation) -> None:
        """The snapshot is not wanted any more; its changes still go to RocksDB."""
        with self._lock:
            directory, generation.directory = generation.directory, None
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)

    def close(self) -> None:
        """Wait for the work under way, then close the database."""
        with self._lock:
            self._closed = True
            self._queue.clear()
            if self.db is not None:
                self.db.close()
                self.db = None

    def _ingest(self, generation: Generation) -> None:
        keys, values = sorted_entries(generation.parts)
        if len(keys) == 0:
            return
        self._on_encoded(len(keys), int(keys.nbytes + values.nbytes))
        if self.db is None:
            self.db = self._open_db()
        self.db.ingest(keys, values)

    def _checkpoint(self, generation: Generation) -> None:
        generation.parts = []
        if generation.directory is None or self.db is None:
            return
        try:
            self.db.checkpoint(generation.directory)
        except StateError as error:
            generation.error = error
