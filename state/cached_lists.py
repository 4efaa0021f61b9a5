"""Lists in the write-back cache: a snapshot encodes what was added, not the list."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

from lesto.state import codec
from lesto.state.cached import MISSING, CachedCells
from lesto.state.chunked_lists import CHUNK, chunk_key
from lesto.state.descriptors import ListState
from lesto.state.entries import Captured, CapturedBytes, canonical_key, cell_keys
from lesto.state.entry_keys import PREFIX_BYTES, prefix, take_sized
from lesto.state.rocks_files import LocalDb


class ListCell:
    """One list.

    Attributes:
        items: its elements; empty when it is deleted.
        sealed: elements that lie in chunks which were captured and have not changed since.
        chunks: chunks that exist as entries, in RocksDB or on the way there.
    """

    __slots__ = ("chunks", "items", "sealed")

    def __init__(self, items: list[Any], chunks: int = 0) -> None:
        self.items = items
        self.chunks = chunks
        self.sealed = chunks * CHUNK


class CachedListCells(CachedCells):
    """Lists of one state; in memory each is a :class:`ListCell`, or None: there is none."""

    def load(self, namespace: Hashable, key: Any) -> Any:
        """A list that is not in memory; None when there is none."""
        db = None if self.complete else self.backend.local_db()
        if db is None:
            return None
        head = self.entry_key(namespace, key)
        data = db.get(head)
        cell = None if data is None else self._cell_of(db, head, codec.decode(data))
        self.space(namespace)[key] = cell
        self.backend.admit()
        return cell

    def _cell_of(self, db: LocalDb, head: bytes, found: Any) -> ListCell:
        if not isinstance(found, tuple):
            return ListCell(found)
        chunks, rest = found
        items: list[Any] = []
        for data in db.get_many([chunk_key(head, number) for number in range(chunks)]):
            assert data is not None, "a chunk of a list is missing"
            items += codec.decode(data)
        return ListCell(items + rest, chunks)

    def load_many(self, keys: list[Any]) -> None:
        """Bring lists of keys (namespace None) into memory, with one multi-get for short ones."""
        db = None if self.complete else self.backend.local_db()
        space = self.space(None)
        wanted = [key for key in dict.fromkeys(keys) if key not in space]
        if db is None or not wanted:
            return
        where = cell_keys(self.state_id, None, wanted, self.backend.max_parallelism).to_pylist()
        weight = 0
        for key, head, data in zip(wanted, where, db.get_many(where), strict=True):
            cell = None if data is None else self._cell_of(db, head, codec.decode(data))
            space[key] = cell
            weight += self._weight(cell)
        self.backend.admit(weight)

    def _stored_keys(self, db: LocalDb, namespace: Hashable) -> Iterator[tuple[Any, Any]]:
        wanted = codec.encode_key(canonical_key(namespace))
        for key_group in range(self.backend.key_group_start, self.backend.key_group_end + 1):
            for data, _ in db.scan(prefix(key_group, self.state_id)):
                key, at = take_sized(data, PREFIX_BYTES)
                found, at = take_sized(data, at)
                if found == wanted and at == len(data):
                    yield codec.decode(key), None

    def _take_in(self, namespace: Hashable) -> None:
        """Changed lists are in the space; dirt holds the same objects."""

    def _capture_space(
        self, namespace: Hashable, dirty: Any, deleted: list[tuple[Hashable, Any, Any]]
    ) -> tuple[Captured, Any]:
        keys: list[bytes] = []
        values: list[bytes | None] = []
        for key, cell in dirty.items():
            head = self.entry_key(namespace, key)
            keys.append(head)
            if not cell.items:
                values.append(None)
                deleted.append((namespace, key, None))
                self._drop_chunks(cell, 0, head, keys, values)
                continue
            full = (len(cell.items) - 1) // CHUNK  # the newest elements stay outside of chunks
            rest = cell.items[full * CHUNK :]
            values.append(codec.encode((full, rest) if full else rest))
            for number in range(cell.sealed // CHUNK, full):
                keys.append(chunk_key(head, number))
                values.append(codec.encode(cell.items[number * CHUNK : (number + 1) * CHUNK]))
            self._drop_chunks(cell, full, head, keys, values)
            cell.sealed = full * CHUNK
        return CapturedBytes(keys, values), dirty

    @staticmethod
    def _drop_chunks(
        cell: ListCell, left: int, head: bytes, keys: list[bytes], values: list[bytes | None]
    ) -> None:
        for number in range(left, cell.chunks):
            keys.append(chunk_key(head, number))
            values.append(None)
        cell.chunks = left

    def _forget_deletion(self, namespace: Hashable, key: Any, map_key: Any) -> None:
        space = self.spaces.get(namespace)
        if space is None or self.held(namespace, key):
            return
        cell = space.get(key, MISSING)
        if cell is None or (cell is not MISSING and not cell.items):
            del space[key]

    def _is_live(self, cell: Any) -> bool:
        return cell is not None and bool(cell.items)

    def _weight(self, cell: Any) -> int:
        return 1 if cell is None else 1 + len(cell.items) // CHUNK

    def count(self) -> int:
        """Chunks in memory: what RocksDB has as entries."""
        return sum(self._weight(cell) for space in self.spaces.values() for cell in space.values())


class CachedListState(ListState[Any]):
    """A list a key."""

    __slots__ = (
        "__weakref__",
        "_admit",
        "_cells",
        "_dirty",
        "_get",
        "_namespace",
        "_owner",
        "_space",
    )

    def __init__(self, cells: CachedListCells, namespace: Hashable) -> None:
        self._cells = cells
        self._owner = cells.backend
        self._admit = cells.backend.admit
        self._namespace = namespace
        cells.attach(self)
        self.rebind()

    def rebind(self) -> None:
        """Fetch the references again: the cells have replaced them."""
        self._space = self._cells.space(self._namespace)
        self._get = self._space.get
        self._dirty = self._cells.dirty_in(self._namespace)

    def set_namespace(self, namespace: Hashable) -> None:
        """Move to another namespace."""
        self._namespace = namespace
        self.rebind()

    def _find(self) -> ListCell | None:
        key = self._owner.current_key
        cell: Any = self._get(key, MISSING)
        if cell is MISSING:
            cell = self._cells.load(self._namespace, key)
        found: ListCell | None = cell
        return found

    def get(self) -> Iterable[Any]:
        """The elements, as a snapshot."""
        cell = self._find()
        return [] if cell is None else list(cell.items)

    def is_empty(self) -> bool:
        """Whether there is no value; copies nothing."""
        cell = self._find()
        return cell is None or not cell.items

    def add(self, value: Any) -> None:
        """Add a value."""
        cell = self._find()
        if cell is None:
            self._set([value])
        else:
            cell.items.append(value)
            key = self._owner.current_key
            self._dirty[key] = cell
            if len(cell.items) % CHUNK == 1 or key not in self._space:
                self._changed(cell, 1)

    def add_all(self, values: Iterable[Any]) -> None:
        """Add several values."""
        new = list(values)
        if not new:
            return
        cell = self._find()
        if cell is None:
            self._set(new)
        else:
            cell.items.extend(new)
            self._changed(cell, len(new))

    def _changed(self, cell: ListCell, added: int) -> None:
        key = self._owner.current_key
        self._dirty[key] = cell
        # Loading may have made room, and thrown the cell out again.
        self._space[key] = cell
        self._admit(1 + added // CHUNK)

    def _set(self, items: list[Any], chunks: int = 0) -> None:
        cell = ListCell(items)
        cell.chunks = chunks
        self._changed(cell, 1 + len(items))

    def update(self, values: Iterable[Any]) -> None:
        """Replace all values; none clears."""
        cell = self._find()
        given: Any = values
        new = [] if given is None else list(given)
        if cell is not None:
            self._set(new, cell.chunks)
        elif new:
            self._set(new)

    def clear(self) -> None:
        """Remove the state of the current key."""
        self.update(())

    def merge_namespaces(self, target: Hashable, sources: Sequence[Hashable]) -> None:
        """Move the current key's content of ``sources`` into ``target``, behind what is there."""
        here = self._namespace
        merged: list[Any] = []
        try:
            for namespace in sources:
                if namespace != target:
                    self.set_namespace(namespace)
                    merged += self.get()
                    self.clear()
            if merged:
                self.set_namespace(target)
                self.add_all(merged)
        finally:
            self.set_namespace(here)
