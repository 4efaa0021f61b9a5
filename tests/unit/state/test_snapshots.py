"""What snapshots contain, what they upload, and what they refuse."""

import threading

import numpy as np
import pyarrow as pa
import pytest

from lesto.kernels import keygroups
from lesto.kernels.hashing import hash_values
from lesto.state.descriptors import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from lesto.state.errors import (
    CorruptFileError,
    MissingFileError,
    NoCurrentKeyError,
    StateError,
    StateMismatchError,
    StorageError,
    UnsupportedStateError,
)
from lesto.state.factory import create_backend
from lesto.state.storage import SnapshotStore
from lesto.state.table_api import TableChanges, TableEntries

KINDS = ["hashmap", "rocksdb"]
VALUE = ValueStateDescriptor("v")


@pytest.fixture
def make(tmp_path):
    """Makes backends, and closes them."""
    made = []

    def create(kind, start=0, end=127, **kwargs):
        backend = create_backend(
            kind,
            key_group_start=start,
            key_group_end=end,
            max_parallelism=128,
            local_dir=tmp_path / "local",
            **kwargs,
        )
        made.append(backend)
        return backend

    yield create
    for backend in made:
        backend.close()
    assert not list((tmp_path / "local").glob("*"))


@pytest.fixture
def store(tmp_path):
    return SnapshotStore(str(tmp_path / "ck"), epoch=1, attempt="1-0")


def fill(backend, n, value="x"):
    state = backend.get_state(VALUE)
    for i in range(n):
        backend.current_key = f"key{i}"
        state.update((i, value))


def content(backend):
    state = backend.get_state(VALUE)
    found = {}
    for key in backend.keys("v"):
        backend.current_key = key
        found[key] = state.value()
    return found


def paths_of(handle):
    return {named.name: named.file.path for named in handle.files}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("canonical", [False, True])
def test_changes_after_the_barrier_are_not_in_the_snapshot(make, store, kind, canonical):
    backend = make(kind)
    fill(backend, 100)
    mutable = backend.get_state(ListStateDescriptor("l"))
    table = backend.get_state(MapStateDescriptor("m"))
    mutable.add("before")
    table.put("a", ["before"])
    timers = backend.timers("event")
    timers.register(5, "key1")
    pending = backend.snapshot(1, canonical=canonical)
    fill(backend, 200, "later")
    backend.current_key = "key99"
    mutable.add("after")
    table.get("a").append("after")
    table.put("b", 1)
    list(timers.pop_until(10))
    timers.register(7, "key2")
    later = backend.snapshot(2, canonical=canonical)
    last = later.finish(store)  # the later one gets to its thread first
    first = pending.finish(store)

    restored = make(kind)
    restored.restore([first], store)
    assert content(restored) == {f"key{i}": (i, "x") for i in range(100)}
    restored.current_key = "key99"
    assert list(restored.get_state(ListStateDescriptor("l")).get()) == ["before"]
    assert restored.get_state(MapStateDescriptor("m")).items() == [("a", ["before"])]
    assert restored.timers("event").live() == [(5, "key1", None)]
    second = make(kind)
    second.restore([last], store)
    assert len(content(second)) == 200
    assert second.timers("event").live() == [(7, "key2", None)]


def test_an_incremental_snapshot_uploads_only_what_is_new(make, store, tmp_path):
    backend = make("rocksdb")
    fill(backend, 20_000)
    first = backend.snapshot(1, canonical=False).finish(store)
    backend.notify_checkpoint_complete(1)
    fill(backend, 10, "y")
    second = backend.snapshot(2, canonical=False).finish(store)
    ssts = {name for name in paths_of(first) if name.endswith(".sst")}
    assert ssts
    assert {n: p for n, p in paths_of(second).items() if n in ssts} == {
        n: p for n, p in paths_of(first).items() if n in ssts
    }
    reused = set(paths_of(first).values()) & set(paths_of(second).values())
    new = sum(f.file.length_bytes for f in second.files if f.file.path not in reused)
    assert new < sum(f.file.length_bytes for f in first.files) / 10
    on_disk = {str(p.relative_to(tmp_path / "ck")) for p in (tmp_path / "ck").rglob("c*-e*")}
    assert on_disk == set(paths_of(first).values()) | set(paths_of(second).values())
    restored = make("rocksdb")
    restored.restore([second], store)
    assert content(restored) == content(backend)


def test_files_of_an_aborted_checkpoint_are_not_built_upon(make, store):
    backend = make("rocksdb")
    fill(backend, 1000)
    aborted = backend.snapshot(1, canonical=False).finish(store)
    backend.notify_checkpoint_aborted(1)
    second = backend.snapshot(2, canonical=False).finish(store)
    assert not set(paths_of(aborted).values()) & set(paths_of(second).values())
    for named in aborted.files:
        store.delete(named.file)
    restored = make("rocksdb")
    restored.restore([second], store)
    assert len(content(restored)) == 1000


def test_files_of_an_unconfirmed_checkpoint_are_not_built_upon(make, store):
    backend = make("rocksdb")
    fill(backend, 1000)
    first = backend.snapshot(1, canonical=False).finish(store)
    second = backend.snapshot(2, canonical=False).finish(store)
    assert not set(paths_of(first).values()) & set(paths_of(second).values())
    backend.notify_checkpoint_complete(2)
    backend.notify_checkpoint_complete(1)  # late: 2 stays the base
    third = backend.snapshot(3, canonical=False).finish(store)
    assert set(paths_of(third).values()) & set(paths_of(second).values())
    assert not set(paths_of(third).values()) & set(paths_of(first).values())


def test_a_savepoint_elsewhere_shares_nothing_and_is_no_base(make, store, tmp_path):
    backend = make("rocksdb")
    fill(backend, 1000)
    first = backend.snapshot(1, canonical=False).finish(store)
    backend.notify_checkpoint_complete(1)
    elsewhere = SnapshotStore(str(tmp_path / "other"))
    away = backend.snapshot(2, canonical=False).finish(elsewhere)
    assert not set(paths_of(first).values()) & set(paths_of(away).values())
    savepoint = backend.snapshot(3, canonical=True).finish(elsewhere)
    assert savepoint.format == "canonical"
    backend.notify_checkpoint_complete(3)
    fourth = backend.snapshot(4, canonical=False).finish(store)
    assert set(paths_of(first).values()) & set(paths_of(fourth).values())


def test_a_restored_backend_builds_upon_the_checkpoint_it_came_from(make, store, tmp_path):
    backend = make("rocksdb")
    fill(backend, 1000)
    first = backend.snapshot(1, canonical=False).finish(store)
    again = make("rocksdb")
    again.restore([first], store)
    second = again.snapshot(2, canonical=False).finish(store)
    shared = {f.file.path for f in first.files if f.shared}
    assert shared <= set(paths_of(second).values())
    away = again.snapshot(3, canonical=False).finish(SnapshotStore(str(tmp_path / "new job")))
    assert not shared & set(paths_of(away).values())


@pytest.mark.parametrize("wrote", KINDS)
@pytest.mark.parametrize("reads", KINDS)
@pytest.mark.parametrize("canonical", [False, True])
def test_two_subtasks_become_three_and_one(make, store, wrote, reads, canonical):
    halves = [make(wrote, *keygroups.key_group_range(128, 2, i)) for i in range(2)]
    groups = keygroups.key_groups(hash_values([f"key{i}" for i in range(500)]), 128)
    # The second subtask meets its states in another order: numbers differ between the two.
    halves[1].get_state(MapStateDescriptor("m"))
    halves[1].timers("event")
    for i, group in enumerate(groups):
        backend = halves[int(group) * 2 // 128]
        backend.current_key = f"key{i}"
        backend.get_state(VALUE).update(i)
        backend.get_state(MapStateDescriptor("m")).put("k", i)
        backend.timers("event").register(i, f"key{i}")
    handles = [half.snapshot(1, canonical=canonical).finish(store) for half in halves]

    for parallelism in (3, 1):
        seen, timers = {}, []
        parts = []
        for index in range(parallelism):
            start, end = keygroups.key_group_range(128, parallelism, index)
            part = make(reads, start, end)
            part.restore(handles, store)
            mine = content(part)
            assert not set(mine) & set(seen)
            for key in mine:
                assert start <= int(groups[int(key[3:])]) <= end
                part.current_key = key
                assert part.get_state(MapStateDescriptor("m")).items() == [("k", mine[key])]
            seen.update(mine)
            timers += part.timers("event").live()
            parts.append(part)
        assert seen == {f"key{i}": i for i in range(500)}
        assert sorted(timers) == sorted((i, f"key{i}", None) for i in range(500))
        handles = [part.snapshot(2, canonical=canonical).finish(store) for part in parts]


@pytest.mark.parametrize("kind", KINDS)
def test_state_nobody_asked_for_survives_a_restore(make, store, kind):
    backend = make(kind)
    fill(backend, 50)
    backend.timers("event").register(3, "key1")
    first = backend.snapshot(1, canonical=True).finish(store)
    middle = make(kind)
    middle.restore([first], store)
    middle.current_key = "a"
    middle.get_state(ValueStateDescriptor("other")).update(1)
    second = middle.snapshot(2, canonical=True).finish(store)
    last = make(kind)
    last.restore([second], store)
    assert len(content(last)) == 50
    assert last.timers("event").live() == [(3, "key1", None)]


@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_under_a_stored_name_is_refused(make, store, kind):
    backend = make(kind)
    fill(backend, 3)
    handle = backend.snapshot(1, canonical=False).finish(store)
    restored = make(kind)
    restored.restore([handle], store)
    with pytest.raises(StateMismatchError, match="'v' is of kind value, not list"):
        restored.get_state(ListStateDescriptor("v"))
    with pytest.raises(StateMismatchError, match="not map"):
        backend.get_state(MapStateDescriptor("v"))


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_backend_writes_no_file(make, store, kind, tmp_path):
    backend = make(kind)
    backend.get_state(VALUE)
    handle = backend.snapshot(1, canonical=False).finish(store)
    assert not handle.files
    assert not (tmp_path / "ck").exists()
    restored = make(kind)
    restored.restore([handle], store)
    assert content(restored) == {}


@pytest.mark.parametrize("kind", KINDS)
def test_every_damaged_file_of_a_snapshot_is_detected(make, store, kind, tmp_path):
    backend = make(kind)
    fill(backend, 500)
    handle = backend.snapshot(1, canonical=False).finish(store)
    assert handle.files
    for named in handle.files:
        path = tmp_path / "ck" / named.file.path
        whole = path.read_bytes()
        for damaged in (whole[:-1], whole[: len(whole) // 2], b"", _flipped(whole)):
            path.write_bytes(damaged)
            with pytest.raises(CorruptFileError, match=named.file.path):
                make(kind).restore([handle], store)
        path.unlink()
        with pytest.raises(MissingFileError, match=named.file.path):
            make(kind).restore([handle], store)
        path.write_bytes(whole)


def _flipped(data):
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 4]) + data[middle + 1 :]


def test_a_manifest_that_is_not_there_is_detected(make, store):
    backend = make("rocksdb")
    fill(backend, 10)
    handle = backend.snapshot(1, canonical=False).finish(store)
    del handle.files[[f.name for f in handle.files].index("native.pack")]
    with pytest.raises(CorruptFileError, match="manifest"):
        make("rocksdb").restore([handle], store)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_description_of_states_is_detected(make, store, kind):
    backend = make(kind)
    fill(backend, 10)
    handle = backend.snapshot(1, canonical=False).finish(store)
    handle.states_meta = handle.states_meta[:-3]
    with pytest.raises(CorruptFileError, match="description of keyed state"):
        make(kind).restore([handle], store)


def test_a_failed_upload_leaves_the_backend_usable(make, store, tmp_path):
    backend = make("rocksdb")
    fill(backend, 100)
    (tmp_path / "blocked").write_bytes(b"")
    with pytest.raises(StorageError):
        backend.snapshot(1, canonical=False).finish(SnapshotStore(str(tmp_path / "blocked")))
    fill(backend, 120)
    handle = backend.snapshot(2, canonical=False).finish(store)
    restored = make("rocksdb")
    restored.restore([handle], store)
    assert len(content(restored)) == 120


def test_a_failed_local_write_is_tried_again_with_the_next_snapshot(make, store, monkeypatch):
    from lesto.state import rocks_files

    backend = make("rocksdb")
    fill(backend, 100)
    real = rocks_files.write_run

    def full(path, keys, values):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rocks_files, "write_run", full)
    with pytest.raises(StorageError, match="No space left"):
        backend.snapshot(1, canonical=False).finish(store)
    monkeypatch.setattr(rocks_files, "write_run", real)
    state = backend.get_state(VALUE)
    backend.current_key = "key0"
    state.clear()
    handle = backend.snapshot(2, canonical=False).finish(store)
    restored = make("rocksdb")
    restored.restore([handle], store)
    assert sorted(content(restored)) == sorted(f"key{i}" for i in range(1, 100))


def test_a_discarded_snapshot_cannot_be_finished_but_its_changes_are_kept(make, store):
    backend = make("rocksdb")
    fill(backend, 100)
    pending = backend.snapshot(1, canonical=False)
    pending.discard()
    with pytest.raises(StateError, match="discarded"):
        pending.finish(store)
    handle = backend.snapshot(2, canonical=False).finish(store)
    restored = make("rocksdb")
    restored.restore([handle], store)
    assert len(content(restored)) == 100


def test_snapshots_finish_on_another_thread_while_state_changes(make, store):
    """Reads and writes go on between barrier and upload; each snapshot is its own moment."""
    backend = make("rocksdb", cache_bytes=200_000)
    handles, errors, threads = {}, [], []

    def finish(n, pending):
        try:
            handles[n] = pending.finish(store)
        except BaseException as error:
            errors.append(error)

    state = backend.get_state(VALUE)
    for n in range(1, 9):
        for i in range(3000):
            backend.current_key = f"key{i}"
            before = state.value()
            assert before == (None if n == 1 else (n - 1, i))
            state.update((n, i))
        thread = threading.Thread(target=finish, args=(n, backend.snapshot(n, canonical=n == 4)))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    assert not errors
    for n in (1, 4, 5, 8):
        restored = make("rocksdb")
        restored.restore([handles[n]], store)
        assert content(restored) == {f"key{i}": (n, i) for i in range(3000)}


def test_more_state_than_the_cache_holds(make, store):
    backend = make("rocksdb", cache_bytes=100_000)
    fill(backend, 20_000)
    assert backend._count() < 1000
    assert len(content(backend)) == 20_000
    backend.prefetch([f"key{i}" for i in range(50)])
    state = backend.get_state(VALUE)
    for i in range(0, 20_000, 7):
        backend.current_key = f"key{i}"
        assert state.value() == (i, "x")


def test_a_value_changed_in_place_without_update_may_be_lost_but_nothing_else(make, store):
    backend = make("rocksdb")
    backend.current_key = "a"
    state = backend.get_state(VALUE)
    state.update([1])
    backend.snapshot(1, canonical=False).finish(store)
    state.value().append(2)
    handle = backend.snapshot(2, canonical=False).finish(store)
    restored = make("rocksdb")
    restored.restore([handle], store)
    assert content(restored) == {"a": [1]}


@pytest.mark.parametrize("kind", KINDS)
def test_state_without_a_current_key_is_a_named_error(make, kind):
    backend = make(kind)
    for descriptor in (VALUE, MapStateDescriptor("m"), ListStateDescriptor("l")):
        state = backend.get_state(descriptor)
        read = {"map": "is_empty", "value": "value", "list": "get"}[descriptor.kind]
        with pytest.raises(NoCurrentKeyError, match="no current key"):
            getattr(state, read)()


def test_names_of_errors_for_wrong_descriptors():
    with pytest.raises(UnsupportedStateError, match="time-to-live"):
        VALUE.enable_time_to_live(None)
    with pytest.raises(TypeError, match="ReduceFunction"):
        ReducingStateDescriptor("r", 5)
    with pytest.raises(ValueError, match="non-empty"):
        ValueStateDescriptor("")


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


def test_state_deleted_after_scaling_out_stays_deleted_when_scaled_in(make, store):
    """Entries of key groups that went to another subtask must not come back with the files."""
    whole = make("rocksdb")
    fill(whole, 200)
    handle = whole.snapshot(1, canonical=False).finish(store)
    handles = []
    for index in range(2):
        half = make("rocksdb", *keygroups.key_group_range(128, 2, index))
        half.restore([handle], store)
        state = half.get_state(VALUE)
        for key in list(half.keys("v")):
            half.current_key = key
            state.clear()
        handles.append(half.snapshot(2, canonical=False).finish(store))
    again = make("rocksdb")
    again.restore(handles, store)
    assert content(again) == {}


@pytest.mark.parametrize("kind", ["value", "map"])
def test_a_key_deleted_set_and_deleted_again_between_snapshots(make, store, kind):
    """The first deletion is in RocksDB, the second is not: only the first is forgotten."""
    backend = make("rocksdb")
    backend.current_key = "a"
    value = backend.get_state(VALUE)
    entries = backend.get_state(MapStateDescriptor("m"))

    def write(present):
        if kind == "value":
            value.update(1 if present else None)
        elif present:
            entries.put("x", 1)
        else:
            entries.remove("x")

    write(True)
    backend.snapshot(1, canonical=False).finish(store)
    write(False)
    deleting = backend.snapshot(2, canonical=False)
    write(True)
    write(False)
    deleting.finish(store)
    write(True)
    pending = backend.snapshot(3, canonical=False)
    write(False)
    backend.snapshot(4, canonical=False).discard()
    pending.finish(store)
    handle = backend.snapshot(5, canonical=False).finish(store)
    assert value.value() is None
    assert entries.is_empty()
    restored = make("rocksdb")
    restored.restore([handle], store)
    assert content(restored) == {}
    restored.current_key = "a"
    assert restored.get_state(MapStateDescriptor("m")).is_empty()


@pytest.mark.parametrize("kind", ["value", "map"])
def test_a_deletion_renewed_before_the_first_is_settled_is_captured(make, store, kind):
    backend = make("rocksdb")
    backend.current_key = "a"
    value = backend.get_state(VALUE)
    entries = backend.get_state(MapStateDescriptor("m"))
    write = (lambda: value.update(1)) if kind == "value" else (lambda: entries.put("x", 1))
    clear = value.clear if kind == "value" else entries.clear
    write()
    backend.current_key = "b"  # keeps the namespace from being empty
    write()
    backend.current_key = "a"
    backend.snapshot(1, canonical=False).finish(store)
    clear()
    deleting = backend.snapshot(2, canonical=False)
    write()
    clear()
    deleting.finish(store)
    handle = backend.snapshot(3, canonical=False).finish(store)
    restored = make("rocksdb")
    restored.restore([handle], store)
    assert content(restored) == ({"b": 1} if kind == "value" else {})
    restored.current_key = "a"
    assert restored.get_state(MapStateDescriptor("m")).is_empty()
