"""Sorting more rows than memory holds: sorted runs on the local disk, merged as they are read."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from lesto.kernels.partition import take_batch
from lesto.taskmanager.operators.sql.rank_rows import joined
from lesto.taskmanager.operators.sql.sort_order import Order, permutation, sort_words

#: Bytes of rows that are sorted in memory.
MEMORY_BYTES: Final = 256 << 20
#: Rows of a batch of a run.
RUN_ROWS: Final = 16_384
#: Runs that are merged at once.
MERGED_MAX: Final = 16


class ExternalSorter:
    """Takes batches, gives them sorted; equal rows stay in the order in which they came.

    Args:
        schema: of the rows.
        orders: sort keys.
        directory: for runs; a directory of its own is made there.
        memory_bytes: of rows that are kept in memory.
    """

    def __init__(
        self,
        schema: pa.Schema,
        orders: Sequence[Order],
        directory: str,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        self._schema = schema
        self._orders = tuple(orders)
        self._directory = directory
        self._memory_bytes = memory_bytes
        self._held: list[pa.RecordBatch] = []
        self._bytes = 0
        self._made: tempfile.TemporaryDirectory[str] | None = None
        self._runs: list[str] = []
        self._number = 0

    def __len__(self) -> int:
        """Rows held in memory and runs on disk: 0 when there is nothing."""
        return int(sum(b.num_rows for b in self._held)) + len(self._runs)

    @property
    def runs(self) -> int:
        """How many runs lie on disk."""
        return len(self._runs)

    def add(self, data: pa.RecordBatch) -> None:
        """Take rows."""
        self._held.append(data)
        self._bytes += data.nbytes
        if self._bytes > self._memory_bytes:
            self._spill()

    def _sorted(self) -> pa.RecordBatch:
        whole = joined(self._held, self._schema)
        self._held, self._bytes = [], 0
        words = self._words(whole)
        return take_batch(whole, permutation(words, whole.num_rows)) if words else whole

    def _words(self, data: pa.RecordBatch) -> list[np.ndarray]:
        return sort_words([data.column(o.index) for o in self._orders], self._orders)

    def _spill(self) -> None:
        data = self._sorted()
        batches = (data.slice(at, RUN_ROWS) for at in range(0, data.num_rows, RUN_ROWS))
        self._runs.append(self._write(batches))
        if len(self._runs) >= MERGED_MAX:
            merged = self._write(self._merged(self._runs, []))
            for path in self._runs:
                os.unlink(path)
            self._runs = [merged]

    def _write(self, batches: Iterator[pa.RecordBatch]) -> str:
        if self._made is None:
            self._made = tempfile.TemporaryDirectory(prefix="sort-", dir=self._directory)
        path = os.path.join(self._made.name, f"run-{self._number}")
        self._number += 1
        with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, self._schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return path

    def result(self) -> Iterator[pa.RecordBatch]:
        """All rows in order, in batches; then there are none any more."""
        last = self._sorted()
        runs, self._runs = self._runs, []
        if not runs:
            for at in range(0, last.num_rows, RUN_ROWS):
                yield last.slice(at, RUN_ROWS)
        else:
            yield from self._merged(runs, [last])
        self.close()

    def close(self) -> None:
        """Remove the runs."""
        self._held, self._bytes, self._runs = [], 0, []
        if self._made is not None:
            self._made.cleanup()
            self._made = None

    # ------------------------------------------------------------------ merging

    def _merged(
        self, paths: Sequence[str], held: Sequence[pa.RecordBatch]
    ) -> Iterator[pa.RecordBatch]:
        """Rows of runs, in order: what is not behind the last row read of any run is settled."""
        runs = [_Run.of(path) for path in paths] + [_Run.held(data) for data in held]
        try:
            while True:
                for run in runs:
                    run.fill()
                for run in runs:
                    if run.head is None:
                        run.close()
                runs = [run for run in runs if run.head is not None]
                if not runs:
                    return
                yield from self._settled(runs)
        finally:
            for run in runs:
                run.close()

    def _settled(self, runs: list[_Run]) -> Iterator[pa.RecordBatch]:
        heads = [run.head for run in runs if run.head is not None]
        whole = joined(heads, self._schema)
        order = permutation(self._words(whole), whole.num_rows)
        ends = np.cumsum([head.num_rows for head in heads])
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        unfinished = [place[e - 1] for e, run in zip(ends, runs, strict=True) if run.more]
        settled = len(order) if not unfinished else int(min(unfinished)) + 1
        given = take_batch(whole, order[:settled])
        taken = np.searchsorted(ends, order[:settled], side="right")
        counts = np.bincount(taken, minlength=len(runs))
        for run, count in zip(runs, counts.tolist(), strict=True):
            run.drop(count)
        for at in range(0, given.num_rows, RUN_ROWS):
            yield given.slice(at, RUN_ROWS)


class _Run:
    """A sorted run that is read batch by batch.

    Attributes:
        head: rows that have been read and not been given; None when there are none.
        more: whether there are rows behind them.
    """

    def __init__(self, reader: Any, file: Any, batches: list[pa.RecordBatch]) -> None:
        self._reader = reader
        self._file = file
        self._batches = batches
        self._next = 0
        self._count = len(batches) if reader is None else reader.num_record_batches
        self.head: pa.RecordBatch | None = None

    @staticmethod
    def of(path: str) -> _Run:
        """A run on disk."""
        file = pa.memory_map(path)
        return _Run(pa.ipc.open_file(file), file, [])

    @staticmethod
    def held(data: pa.RecordBatch) -> _Run:
        """A run in memory."""
        parts = [data.slice(at, RUN_ROWS) for at in range(0, data.num_rows, RUN_ROWS)]
        return _Run(None, None, parts)

    @property
    def more(self) -> bool:
        return self._next < self._count

    def fill(self) -> None:
        """Read on if nothing is left of what was read."""
        while self.head is None and self.more:
            at = self._next
            self._next += 1
            found = self._batches[at] if self._reader is None else self._reader.get_batch(at)
            self.head = found if found.num_rows else None

    def drop(self, rows: int) -> None:
        """The first rows have been given."""
        assert self.head is not None
        left = self.head.num_rows - rows
        self.head = self.head.slice(rows, left) if left else None

    def close(self) -> None:
        """Let the file go."""
        if self._file is not None:
            self._file.close()
            self._file = None
