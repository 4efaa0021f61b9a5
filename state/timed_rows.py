"""Rows of a stream kept by key and time, for operators that look for rows near in time.

In memory the rows lie in *runs* sorted by key hash and time. A batch becomes a run; a run that is
not much larger than the one before it is merged with that one, so that there are few runs and each
row is moved seldom. Rows whose time is over are skipped by who reads, and dropped when a run is
merged, or is mostly of such.

On disk rows lie in *chunks*: the rows of one key group that came between two checkpoints, as one
Arrow message. A chunk goes when its last row's time is over. So nothing is done once a record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import hashing, keygroups
from lesto.kernels.intervals import Hashes, Times, merge_order, sort_order
from lesto.kernels.partition import take_batch
from lesto.state.errors import CorruptFileError, StateMismatchError
from lesto.state.table_api import TableChanges, TableEntries

#: Rows of a chunk at most.
CHUNK_ROWS_MAX: Final = 65_536
#: Runs of more bytes are not merged: Arrow counts the bytes of texts in 31 bits.
RUN_BYTES_MAX: Final = 256 << 20
#: A run is merged with the one before it while that one has less than so many times its rows.
MERGE_RATIO: Final = 3
#: Column that holds the times in chunks.
TIME_COLUMN: Final = "__time"
_FORMAT: Final = 1
_NO_TIME: Final = -(2**63)


@dataclass(frozen=True, slots=True)
class TimedRowsDescriptor:
    """Name and columns.

    Attributes:
        name: unique among the operator's states.
        schema: of the rows; without dictionaries.
        key_columns: names of the key's columns.
    """

    name: str
    schema: pa.Schema
    key_columns: tuple[str, ...]

    def create(self, max_parallelism: int) -> TimedRows:
        """Without any rows."""
        return TimedRows(self, max_parallelism=max_parallelism)


@dataclass(slots=True)
class Run:
    """Rows sorted by key hash and time.

    Attributes:
        data: the rows.
        hashes: uint64[n].
        times: int64[n], ms.
        newest: largest time.
        checked: how far time was when the dead rows were counted last.
    """

    data: pa.RecordBatch
    hashes: Hashes
    times: Times
    newest: int
    checked: int = _NO_TIME

    def __len__(self) -> int:
        return len(self.times)

    def take(self, rows: npt.NDArray[Any]) -> Run:
        """Some rows, in ascending order."""
        times = self.times[rows]
        return Run(take_batch(self.data, rows), self.hashes[rows], times, int(times.max()))


def key_hashes(data: pa.RecordBatch, columns: Sequence[str]) -> Hashes:
    """The stable hashes of the rows' keys, which decide their key groups. uint64[n]."""
    keys = [data.column(name) for name in columns]
    return hashing.hash_column(keys[0]) if len(keys) == 1 else hashing.hash_columns(keys)


def sorted_run(data: pa.RecordBatch, hashes: Hashes, times: Times) -> Run:
    """A run of rows in any order; there is at least one."""
    order = sort_order(hashes, times)
    return Run(take_batch(data, order), hashes[order], times[order], int(times.max()))


class TimedRows:
    """The rows of one stream that an operator's subtask keeps; a table for backends.

    Attributes:
        descriptor: name and columns.
        runs: sorted rows; the earlier a run the more rows it has.
        first_alive: rows of earlier times are gone, whether or not they still lie in a run.
    """

    def __init__(self, descriptor: TimedRowsDescriptor, *, max_parallelism: int) -> None:
        self.descriptor = descriptor
        self.runs: list[Run] = []
        self.first_alive = _NO_TIME
        self._max_parallelism = max_parallelism
        self._stored_schema = descriptor.schema.append(pa.field(TIME_COLUMN, pa.int64()))
        #: Runs that no take_changes has given yet.
        self._fresh: list[Run] = []
        self._chunks: list[tuple[int, int, int]] = []  # heap of newest time, key group, number
        self._gone: list[tuple[int, int]] = []
        self._next_chunk = 0

    def __len__(self) -> int:
        return sum(int((run.times >= self.first_alive).sum()) for run in self.runs)

    @property
    def nbytes(self) -> int:
        """Bytes of memory held by rows."""
        return sum(run.data.nbytes + 16 * len(run) for run in self.runs)

    def add(self, run: Run) -> None:
        """Keep more rows."""
        self._fresh.append(run)
        self._push(run)

    def _push(self, run: Run) -> None:
        runs = self.runs
        while runs and len(runs[-1]) < MERGE_RATIO * len(run):
            if runs[-1].data.nbytes + run.data.nbytes > RUN_BYTES_MAX:
                break
            merged = self._merged(runs.pop(), run)
            if merged is None:
                return
            run = merged
        runs.append(run)

    def _merged(self, older: Run, newer: Run) -> Run | None:
        parts = [part for part in map(self._living, (older, newer)) if part is not None]
        if len(parts) < 2:
            return parts[0] if parts else None
        a, b = parts
        order = merge_order(a.hashes, a.times, b.hashes, b.times)
        return Run(
            take_batch(pa.concat_batches([a.data, b.data]), order),
            np.concatenate([a.hashes, b.hashes])[order],
            np.concatenate([a.times, b.times])[order],
            max(a.newest, b.newest),
        )

    def _living(self, run: Run) -> Run | None:
        alive = run.times >= self.first_alive
        count = int(np.count_nonzero(alive))
        if count == len(run):
            return run
        return run.take(np.flatnonzero(alive)) if count else None

    def expire(self, first_alive: int) -> None:
        """Rows of earlier times are gone. Time never goes back."""
        if first_alive <= self.first_alive:
            return
        self.first_alive = first_alive
        kept = (self._swept(run) for run in self.runs)
        self.runs = [run for run in kept if run is not None]
        self._fresh = [run for run in self._fresh if run.newest >= first_alive]
        chunks = self._chunks
        while chunks and chunks[0][0] < first_alive:
            _, group, number = heappop(chunks)
            self._gone.append((group, number))

    def retain(self, alive: Callable[[Run], npt.NDArray[np.bool_]]) -> None:
        """Drop rows that a restore brought back: chunks keep rows until their last one is over.

        Args:
            alive: bool[n] for a run, False for rows that are gone.
        """
        kept = []
        for run in self.runs:
            rows = np.flatnonzero(alive(run))
            if len(rows):
                kept.append(run if len(rows) == len(run) else run.take(rows))
        self.runs = kept

    def _swept(self, run: Run) -> Run | None:
        """The run, without its dead rows when they are the most; counted now and then."""
        first_alive = self.first_alive
        if run.newest < first_alive:
            return None
        if run.checked == _NO_TIME:
            run.checked = int(run.times.min())
        # Half way from where it was looked at to its end.
        if first_alive - run.checked < (run.newest - run.checked) // 2:
            return run
        run.checked = first_alive
        dead = int(np.count_nonzero(run.times < first_alive))
        return self._living(run) if dead > len(run) // 2 else run

    # what a backend asks for ---------------------------------------------------------------------

    def take_changes(self) -> TableChanges:
        """Rows that came, and chunks that went, since the last call."""
        fresh, self._fresh = self._fresh, []
        start = self._next_chunk
        groups, numbers, keys, values = [], [], [], []
        for group, part in self._by_group(fresh):
            for at in range(0, len(part), CHUNK_ROWS_MAX):
                piece = _slice(part, at, CHUNK_ROWS_MAX)
                number = start
                start += 1
                heappush(self._chunks, (int(piece.times.max()), group, number))
                groups.append(group)
                numbers.append(number)
                keys.append(_chunk_key(number))
                values.append(self._encoded(piece))
        self._next_chunk = start
        gone, self._gone = self._gone, []
        return TableChanges(
            _entries(groups, keys, values),
            np.array([group for group, _ in gone], np.uint16),
            pa.array([_chunk_key(number) for _, number in gone], pa.large_binary()),
        )

    def all_entries(self) -> TableEntries:
        """Every row."""
        groups, keys, values = [], [], []
        for group, part in self._by_group(self.runs):
            for number, at in enumerate(range(0, len(part), CHUNK_ROWS_MAX)):
                groups.append(group)
                keys.append(_chunk_key(number))
                values.append(self._encoded(_slice(part, at, CHUNK_ROWS_MAX)))
        return _entries(groups, keys, values)

    def load_entries(self, entries: TableEntries) -> None:
        """Add restored rows; they count as stored.

        Raises:
            CorruptFileError: a value holds no rows of these columns.
        """
        batches = []
        pairs = zip(entries.keys.to_pylist(), entries.values.to_pylist(), strict=True)
        for group, (key, value) in zip(entries.key_groups.tolist(), pairs, strict=True):
            batch = decode_chunk(value, self._stored_schema, self.descriptor.name)
            if batch.num_rows == 0:
                continue
            newest = int(_times(batch).max())
            number = int.from_bytes(key, "big")
            heappush(self._chunks, (newest, group, number))
            self._next_chunk = max(self._next_chunk, number + 1)
            batches.append(batch)
        if not batches:
            return
        whole = pa.concat_batches(batches)
        data = whole.select(self.descriptor.schema.names)
        hashes = key_hashes(data, self.descriptor.key_columns)
        self._push(sorted_run(data, hashes, _times(whole)))

    def meta(self) -> Mapping[str, Any]:
        """What snapshots say of the rows."""
        schema = self._stored_schema.remove_metadata()
        return {
            "format": _FORMAT,
            "rows_schema": schema.serialize().to_pybytes(),
            "key_columns": list(self.descriptor.key_columns),
        }

    def check_meta(self, stored: Mapping[str, Any]) -> None:
        """Whether rows stored under another description fit.

        Raises:
            StateMismatchError: they do not.
        """
        own, name = self.meta(), self.descriptor.name
        then = pa.ipc.read_schema(pa.py_buffer(stored["rows_schema"]))
        for what, before, now in (
            ("format", stored["format"], own["format"]),
            ("columns", _described(then), _described(self._stored_schema)),
            ("key columns", list(stored["key_columns"]), own["key_columns"]),
        ):
            if before != now:
                msg = f"the {what} of state '{name}' were {before} and are now {now}"
                raise StateMismatchError(
                    msg, remedy="restore with the job that wrote it, or change the operator's uid"
                )

    # internals -----------------------------------------------------------------------------------

    def _by_group(self, runs: Sequence[Run]) -> Iterator[tuple[int, Run]]:
        """The living rows of each key group."""
        living = [part for part in map(self._living, runs) if part is not None]
        if not living:
            return
        hashes = np.concatenate([run.hashes for run in living])
        times = np.concatenate([run.times for run in living])
        groups = keygroups.key_groups(hashes, self._max_parallelism)
        order = np.argsort(groups, kind="stable")
        data = take_batch(pa.concat_batches([run.data for run in living]), order)
        hashes, times, groups = hashes[order], times[order], groups[order]
        bounds = [0, *(np.flatnonzero(groups[1:] != groups[:-1]) + 1).tolist(), len(groups)]
        for start, end in pairwise(bounds):
            part = times[start:end]
            piece = Run(data.slice(start, end - start), hashes[start:end], part, int(part.max()))
            yield int(groups[start]), piece

    def _encoded(self, run: Run) -> bytes:
        columns = [*run.data.columns, pa.array(run.times)]
        batch = pa.RecordBatch.from_arrays(columns, schema=self._stored_schema)
        data: bytes = batch.serialize().to_pybytes()
        return data


def decode_chunk(value: bytes, schema: pa.Schema, state: str) -> pa.RecordBatch:
    """The rows of a chunk, with their times in the last column.

    Raises:
        CorruptFileError: it holds no rows of these columns.
    """
    try:
        batch = pa.ipc.read_record_batch(pa.py_buffer(value), schema)
        batch.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        msg = f"rows of state '{state}' are damaged: {error}"
        raise CorruptFileError(msg, remedy="restore from another checkpoint") from error
    return batch


def stored_schema(meta: Mapping[str, Any]) -> pa.Schema:
    """Columns of the chunks that a snapshot's description tells of."""
    return pa.ipc.read_schema(pa.py_buffer(meta["rows_schema"]))


def _chunk_key(number: int) -> bytes:
    return number.to_bytes(8, "big")


def _slice(run: Run, at: int, rows: int) -> Run:
    times = run.times[at : at + rows]
    return Run(run.data.slice(at, len(times)), run.hashes[at : at + rows], times, run.newest)


def _times(batch: pa.RecordBatch) -> Times:
    times: Times = batch.column(batch.num_columns - 1).to_numpy()
    return times


def _entries(groups: list[int], keys: list[bytes], values: list[bytes]) -> TableEntries:
    return TableEntries(
        np.array(groups, np.uint16),
        pa.array(keys, pa.large_binary()),
        pa.array(values, pa.large_binary()),
    )


def _described(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(field.name, str(field.type)) for field in schema]
