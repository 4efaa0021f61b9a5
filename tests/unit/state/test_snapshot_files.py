"""What snapshots upload and share, and what they refuse: damaged, missing, failed files."""

import pytest
from backend_contents import KINDS, VALUE, content, fill, paths_of

from lesto.state.errors import (
    CorruptFileError,
    MissingFileError,
    StateError,
    StorageError,
)
from lesto.state.storage import SnapshotStore


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
