"""State tables in snapshots."""

import numpy as np
import pyarrow as pa
import pytest
from backend_contents import KINDS

from lesto.kernels import keygroups
from lesto.kernels.hashing import hash_values
from lesto.state.errors import (
    StateMismatchError,
)
from lesto.state.table_api import TableChanges, TableEntries


class CountTable:
    """A minimal state table: counts by string key."""

    def __init__(self, descriptor, *, max_parallelism):
        self.descriptor = descriptor
        self.max_parallelism = max_parallelism
        self.counts, self.changed, self.deleted = {}, set(), set()

    def add(self, key):
        self.counts[key] = self.counts.get(key, 0) + 1
        self.changed.add(key)
        self.deleted.discard(key)

    def remove(self, key):
        del self.counts[key]
        self.changed.discard(key)
        self.deleted.add(key)

    def _groups(self, keys):
        return keygroups.key_groups(hash_values(keys), self.max_parallelism)

    def _entries(self, keys):
        values = [str(self.counts[key]).encode() for key in keys]
        encoded = [key.encode() for key in keys]
        return TableEntries(
            self._groups(keys), pa.array(encoded, pa.binary()), pa.array(values, pa.binary())
        )

    def take_changes(self):
        changed, deleted = sorted(self.changed), sorted(self.deleted)
        self.changed, self.deleted = set(), set()
        gone = pa.array([key.encode() for key in deleted], pa.binary())
        return TableChanges(self._entries(changed), self._groups(deleted), gone)

    def all_entries(self):
        return self._entries(sorted(self.counts))

    def load_entries(self, entries):
        assert np.array_equal(
            entries.key_groups, self._groups([k.as_py().decode() for k in entries.keys])
        )
        for key, value in zip(entries.keys, entries.values, strict=True):
            self.counts[key.as_py().decode()] = int(value.as_py())

    def meta(self):
        return {"schema": b"count"}

    def check_meta(self, stored):
        if stored != self.meta():
            raise StateMismatchError("other columns")


class CountDescriptor:
    parent = None

    def __init__(self, name):
        self.name = name


@pytest.mark.parametrize("wrote", KINDS)
@pytest.mark.parametrize("reads", KINDS)
@pytest.mark.parametrize("canonical", [False, True])
def test_tables_are_stored_and_restored_by_key_group(make, store, wrote, reads, canonical):
    backend = make(wrote, table_factory=CountTable)
    table = backend.table(CountDescriptor("t"))
    assert backend.table(CountDescriptor("t")) is table
    for i in range(300):
        table.add(f"key{i}")
    backend.snapshot(1, canonical=canonical).finish(store)
    for i in range(100):
        table.remove(f"key{i}")
    for i in range(100, 150):
        table.add(f"key{i}")
    handle = backend.snapshot(2, canonical=canonical).finish(store)
    found = {}
    for index in range(3):
        part = make(reads, *keygroups.key_group_range(128, 3, index), table_factory=CountTable)
        part.restore([handle], store)
        mine = part.table(CountDescriptor("t")).counts
        assert not set(mine) & set(found)
        found.update(mine)
    assert found == table.counts
    assert len(found) == 200


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_with_other_columns_is_refused(make, store, kind, monkeypatch):
    backend = make(kind, table_factory=CountTable)
    backend.table(CountDescriptor("t")).add("a")
    handle = backend.snapshot(1, canonical=False).finish(store)
    monkeypatch.setattr(CountTable, "meta", lambda self: {"schema": b"sum"})
    restored = make(kind, table_factory=CountTable)
    restored.restore([handle], store)
    with pytest.raises(StateMismatchError):
        restored.table(CountDescriptor("t"))
