"""Orphans go; whatever a retained or running checkpoint needs stays."""

from lesto.proto.checkpoint_pb2 import CheckpointMetadata, KeyedStateHandle, NamedFile
from lesto.state.cleanup import collect_orphans
from lesto.state.files import Files
from lesto.state.storage import SnapshotStore


def metadata(checkpoint_id, handles):
    files = [NamedFile(name=str(i), file=handle) for i, handle in enumerate(handles)]
    made = CheckpointMetadata(checkpoint_id=checkpoint_id)
    made.operators.add(uid="a").subtasks.add().keyed.append(KeyedStateHandle(files=files))
    return made


def test_only_unreferenced_files_of_past_checkpoints_are_deleted(tmp_path):
    root = tmp_path / "job"
    store = SnapshotStore(str(root))
    (tmp_path / "x.sst").write_bytes(b"x")

    def share(n):
        return store.write_shared(tmp_path / "x.sst", checkpoint_id=n)

    old, aborted, new, running = share(1), share(2), share(3), share(4)
    lost = store.write_exclusive(2, b"aborted")
    kept = store.write_exclusive(3, b"kept")
    (root / "chk-3" / "_metadata").write_bytes(b"m")
    (root / "epoch-1").write_bytes(b"me")

    retained = [metadata(3, [old, new, kept])]
    deleted = collect_orphans(str(root), retained, before_checkpoint_id=4)
    assert sorted(deleted) == sorted([aborted.path, lost.path])
    for handle in (old, new, kept, running):
        store.read(handle)
    assert (root / "chk-3" / "_metadata").exists()
    assert (root / "epoch-1").exists()
    assert collect_orphans(str(root), retained, before_checkpoint_id=4) == []


def test_a_root_that_is_not_there_has_no_orphans(tmp_path):
    assert collect_orphans(str(tmp_path / "none"), [], before_checkpoint_id=9) == []


def test_a_listing_out_of_date_never_costs_a_complete_checkpoint(tmp_path, monkeypatch):
    """Seed 18 of the simulation: a retained checkpoint was listed as empty, and deleted."""
    root = tmp_path / "job"
    store = SnapshotStore(str(root))
    older, kept = store.write_exclusive(2, b"older"), store.write_exclusive(3, b"kept")
    listed = Files.list

    def late(self, relative, *, recursive=False):
        return listed(self, relative, recursive=recursive) if recursive else []

    monkeypatch.setattr(Files, "list", late)
    collect_orphans(str(root), [metadata(3, [older, kept])], before_checkpoint_id=4)
    assert store.read(kept) == b"kept"
    assert store.read(older) == b"older"
