"""Memory of row tables: arrays and segments that move into files when a process has too much.

What lies in files is mapped: it is read and written as memory, and its pages are given back when
too many are resident. The files are unlinked as soon as they are open, and their blocks are
reserved before they are mapped: a full disk is an error, not a crash.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from lesto.kernels.jit import native
from lesto.kernels.rowcodec import SPARE
from lesto.state.errors import StorageError

#: Of all row tables of a process, unless an option says otherwise.
DEFAULT_BYTES: Final = 512 << 20
SEGMENT_BITS: Final = 20
SEGMENT_BYTES: Final = 1 << SEGMENT_BITS
_MASK: Final = SEGMENT_BYTES - 1
#: What rows may fill of a segment.
_ROOM: Final = SEGMENT_BYTES - SPARE
#: Segments of a file that are mapped at once.
_REGION_SEGMENTS: Final = 32
#: Free segments that are kept for the next rows.
_KEPT_FREE: Final = 4
#: Arrays of fewer bytes stay in memory.
_SMALL_BYTES: Final = 1 << 16
_PAGE: Final = mmap.PAGESIZE
_GROWN_IN_FILE: Final = 1.5

Int64s = npt.NDArray[np.int64]


class Spilling(Protocol):
    """A table as its memory sees it."""

    def spill(self, target: int) -> None:
        """Move into files until no more than ``target`` bytes are left in memory."""
        ...


class Budget:
    """What row tables may hold in memory together.

    Args:
        total_bytes: of all tables that share it.
    """

    def __init__(self, total_bytes: int) -> None:
        self.total_bytes = total_bytes
        self._held: weakref.WeakKeyDictionary[Spilling, int] = weakref.WeakKeyDictionary()
        self._maps: weakref.WeakSet[Mapped] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._resident_before = 0

    @property
    def held_bytes(self) -> int:
        """What tables held in memory when they last said; on any thread."""
        with self._lock:
            return sum(self._held.values())

    @property
    def in_files(self) -> bool:
        """Whether anything lies in files."""
        return len(self._maps) > 0

    def settle(self, table: Spilling, held: int) -> None:
        """A table holds so many bytes in memory: it spills some when all have too much.

        Raises:
            StorageError: the local disk is full or fails.
        """
        with self._lock:
            self._held[table] = held
            total = sum(self._held.values())
        limit = self.total_bytes * 3 // 4 if self.in_files else self.total_bytes
        if total > limit:
            table.spill(held * (self.total_bytes // 2) // total)
        self.breathe()

    def breathe(self) -> None:
        """Give pages of files back when too many are resident."""
        if not self.in_files:
            return
        if _resident_file_bytes() - self._resident_before > self.total_bytes // 2:
            with self._lock:
                maps = list(self._maps)
            for mapped in maps:
                mapped.drop()
            self._resident_before = _resident_file_bytes()

    def mapped(self, mapped: Mapped) -> None:
        """A stretch of a file counts from now on."""
        with self._lock:
            if not self._maps:
                self._resident_before = _resident_file_bytes()
            self._maps.add(mapped)


#: The row tables of a process share this one; its size is set by what makes backends.
PROCESS: Final = Budget(DEFAULT_BYTES)


@dataclass(frozen=True, slots=True)
class TableMemory:
    """Where a backend's row tables lie.

    Attributes:
        budget: shared with other backends.
        directory: where files are made; None takes the system's for temporary files.
    """

    budget: Budget = PROCESS
    directory: Path | None = None

    def file(self) -> LocalFile:
        """A new file without a name.

        Raises:
            StorageError: the local disk fails.
        """
        return LocalFile(self.directory, self.budget)


class Mapped:
    """A stretch of a file as memory."""

    def __init__(self, descriptor: int, length: int, offset: int) -> None:
        self._map = mmap.mmap(descriptor, length, offset=offset)
        self._map.madvise(mmap.MADV_RANDOM)
        self.bytes: npt.NDArray[np.uint8] = np.frombuffer(self._map, np.uint8)

    def drop(self) -> None:
        """Give its pages back; the file keeps their content."""
        self._map.madvise(mmap.MADV_DONTNEED)


class LocalFile:
    """A file of a row table; gone with the last stretch mapped from it."""

    def __init__(self, directory: Path | None, budget: Budget) -> None:
        self._budget = budget
        self._size = 0
        try:
            if directory is not None:
                directory.mkdir(parents=True, exist_ok=True)
            descriptor, path = tempfile.mkstemp(prefix="rows-", dir=directory)
            os.unlink(path)
        except OSError as error:
            raise _failed(error) from error
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    def map(self, length: int, offset: int = 0) -> Mapped:
        """Map a stretch, after reserving its blocks.

        Raises:
            StorageError: the disk is full or fails.
        """
        try:
            if offset + length > self._size:
                os.posix_fallocate(self._descriptor, self._size, offset + length - self._size)
                self._size = offset + length
            mapped = Mapped(self._descriptor, length, offset)
        except OSError as error:
            raise _failed(error) from error
        self._budget.mapped(mapped)
        return mapped

    def append(self, length: int) -> Mapped:
        """Map a stretch behind all others; a multiple of pages."""
        return self.map(_pages(length), self._size)


class GrowingArray:
    """An array that grows, in memory or in a file.

    Attributes:
        array: the items, zeros at first. Replaced when it grows or moves.
        address: where it lies.
    """

    __slots__ = ("_file", "_mapped", "_memory", "address", "array")

    def __init__(self, memory: TableMemory, dtype: npt.DTypeLike, size: int = 0) -> None:
        self._memory = memory
        self._file: LocalFile | None = None
        self._mapped: Mapped | None = None
        self._set(np.zeros(size, dtype))

    def _set(self, array: npt.NDArray[Any]) -> None:
        self.array = array
        self.address = int(array.__array_interface__["data"][0])

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return 0 if self._file is not None else int(self.array.nbytes)

    def reserve(self, size: int) -> None:
        """Have room for ``size`` items."""
        if size <= len(self.array):
            return
        if self._file is not None:
            self._map(max(size, int(_GROWN_IN_FILE * len(self.array))))
            return
        longer = np.zeros(max(size, 2 * len(self.array), 256), self.array.dtype)
        longer[: len(self.array)] = self.array
        self._set(longer)

    def to_file(self) -> None:
        """Move into a file."""
        old = self.array
        if self._file is None and old.nbytes >= _SMALL_BYTES:
            self._file = self._memory.file()
            try:
                self._map(len(old))
            except StorageError:
                self._file = None
                raise
            self._set(self.array[: len(old)])  # a table's size has a meaning
            self.array[:] = old

    def _map(self, size: int) -> None:
        assert self._file is not None
        self._mapped = self._file.map(_pages(size * self.array.itemsize))
        self._set(self._mapped.bytes.view(self.array.dtype))

    def successor(self, size: int) -> GrowingArray:
        """A new array of zeros of which there will be ``size``, in a file if this one is."""
        new = GrowingArray(self._memory, self.array.dtype)
        if self._file is None:
            new._set(np.zeros(size, self.array.dtype))
        else:
            new._set(np.zeros(0, self.array.dtype))
            new._file = self._memory.file()
            new._map(size)
            new._set(new.array[:size])
        return new


class Segments:
    """Memory for rows in pieces of a megabyte, addressed by offsets: segment << 20 | place.

    A row of more bytes has a segment of its own size. A segment is free when its last row goes.

    Attributes:
        bases: int64[m], the address of each segment.
        held: int64[m], bytes of living rows of each.
        filled: int64[m], bytes that rows, living or not, fill.
    """

    def __init__(self, memory: TableMemory) -> None:
        self._memory = memory
        self.bases: Int64s = np.zeros(16, np.int64)
        self.held: Int64s = np.zeros(16, np.int64)
        self.filled: Int64s = np.zeros(16, np.int64)
        self._owners: list[Any] = []
        self._bytes: list[int] = []  # size of each segment's memory, 0 without
        self._unused: list[int] = []  # numbers without memory
        self._free: list[int] = []  # numbers with memory and without rows
        self._order: dict[int, None] = {}  # those in memory, oldest first
        self._slots: list[npt.NDArray[np.uint8]] = []  # free stretches of the file
        self._file: LocalFile | None = None
        self._room = _ROOM
        self._size = _ROOM + SPARE
        self._current = -1
        self._at = _ROOM
        self.bytes_held = 0

    @property
    def total(self) -> int:
        """Bytes that rows, living or not, fill."""
        return int(self.filled.sum())

    @property
    def living(self) -> int:
        """Bytes of living rows."""
        return int(self.held.sum())

    def place(self, sizes: Int64s) -> Int64s:
        """Offsets for rows of these sizes (their heads of 8 bytes come on top)."""
        place_rows = native("rowindex").place_rows
        offsets = np.empty(len(sizes), np.int64)
        row = 0
        while True:
            start = row
            if self._current >= 0:
                base = self._current << SEGMENT_BITS
                row = place_rows(sizes, start, base + self._at, self._room - self._at, offsets)
                if row > start:
                    self._at = int(offsets[row - 1] - base + sizes[row - 1]) + 8
                    self.held[self._current] += self._at - self.filled[self._current]
                    self.filled[self._current] = self._at
            if row == len(sizes):
                return offsets
            need = int(sizes[row]) + 8
            if need > self._room:
                own = self._new(need)
                self.filled[own] = self.held[own] = need
                offsets[row] = own << SEGMENT_BITS
                row += 1
                if row == len(sizes):
                    return offsets
            else:
                self._current = self._free.pop() if self._free else self._new(self._room)
                self._at = 0

    def addresses(self, offsets: Int64s) -> Int64s:
        """Where the rows' bytes are, behind their heads."""
        found: Int64s = self.bases[offsets >> SEGMENT_BITS] + ((offsets & _MASK) + 8)
        return found

    def _new(self, size: int) -> int:
        memory = np.empty(size + SPARE, np.uint8)
        if self._unused:
            number = self._unused.pop()
            self._owners[number] = memory
        else:
            number = len(self._owners)
            self._owners.append(memory)
            self._bytes.append(0)
            if number >= len(self.bases):
                for name in ("bases", "held", "filled"):
                    old = getattr(self, name)
                    setattr(self, name, np.concatenate([old, np.zeros(len(old), np.int64)]))
        self._bytes[number] = memory.nbytes
        self.bases[number] = memory.__array_interface__["data"][0]
        self.bytes_held += memory.nbytes
        self._order[number] = None
        return number

    def release(self) -> None:
        """Free the segments without living rows."""
        count = len(self._owners)
        for number in np.flatnonzero((self.held[:count] == 0) & (self.filled[:count] > 0)).tolist():
            if number == self._current:
                self._at = 0
                self.filled[number] = 0
                continue
            self.filled[number] = 0
            in_memory = number in self._order
            if in_memory and self._bytes[number] == self._size and len(self._free) < _KEPT_FREE:
                self._free.append(number)
                continue
            if in_memory:
                self.bytes_held -= self._bytes[number]
                del self._order[number]
            elif self._bytes[number] == self._size:
                self._slots.append(self._owners[number])
            self._owners[number] = None
            self._bytes[number] = 0
            self.bases[number] = 0
            self._unused.append(number)

    def sparse(self, most: int) -> list[int]:
        """Up to ``most`` segments that are less than half alive, the emptiest first."""
        count = len(self._owners)
        filled, held = self.filled[:count], self.held[:count]
        found = np.flatnonzero((held > 0) & (held * 2 < filled))
        found = found[found != self._current]
        chosen: list[int] = found[np.argsort(held[found], kind="stable")[:most]].tolist()
        return chosen

    def spill(self, target: int) -> None:
        """Move the oldest full segments into the file until ``target`` bytes are in memory.

        Raises:
            StorageError: the disk is full or fails.
        """
        while self._free and self.bytes_held > target:
            number = self._free.pop()
            del self._order[number]
            self.bytes_held -= self._bytes[number]
            self._owners[number], self._bytes[number], self.bases[number] = None, 0, 0
            self._unused.append(number)
        for number in list(self._order):
            if self.bytes_held <= target:
                return
            if number == self._current or number in self._free:
                continue
            memory = self._owners[number]
            stretch = self._stretch(len(memory))
            stretch[: len(memory)] = memory
            self._owners[number] = stretch
            self.bases[number] = stretch.__array_interface__["data"][0]
            self.bytes_held -= len(memory)
            del self._order[number]

    def _stretch(self, size: int) -> npt.NDArray[np.uint8]:
        if self._file is None:
            self._file = self._memory.file()
        if size != self._size:
            return _Kept.of(self._file.append(size))
        if not self._slots:
            region = _Kept.of(self._file.append(_REGION_SEGMENTS * self._size))
            self._slots = [
                region[at : at + self._size]
                for at in range(0, _REGION_SEGMENTS * self._size, self._size)
            ][::-1]
        return self._slots.pop()


class _Kept(np.ndarray[Any, np.dtype[np.uint8]]):
    """An array that keeps the mapping of its memory alive."""

    mapped: Any

    @staticmethod
    def of(mapped: Mapped) -> npt.NDArray[np.uint8]:
        array = mapped.bytes.view(_Kept)
        array.mapped = mapped
        return array

    def __array_finalize__(self, other: Any) -> None:
        self.mapped = getattr(other, "mapped", None)


def _pages(size: int) -> int:
    return max(_PAGE, -(-size // _PAGE) * _PAGE)


def _resident_file_bytes() -> int:
    """Bytes of mapped files that are resident in this process."""
    with Path("/proc/self/statm").open("rb") as file:
        return int(file.read().split()[2]) * _PAGE


def _failed(error: OSError) -> StorageError:
    msg = f"row tables cannot be moved to the local disk: {error}"
    return StorageError(
        msg,
        remedy="free space below state.backend.local-dir, or raise state.backend.lesto.table-cache",
    )
