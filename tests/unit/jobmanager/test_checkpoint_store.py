import os

import pytest

from lesto.jobmanager.core.instructions import (
    CollectOrphans,
    DiscardCheckpoint,
    DiscardClaimed,
    DiscardSavepoint,
)
from lesto.jobmanager.server.checkpoint_store import CheckpointStore, load_checkpoint
from lesto.proto import checkpoint_pb2 as cp
from lesto.state import metadata_file
from lesto.state.errors import (
    CheckpointExistsError,
    CheckpointNotFoundError,
    CorruptFileError,
    StateError,
)
from lesto.state.files import Files
from lesto.state.paths import file_name
from lesto.state.storage import SnapshotStore


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(str(tmp_path), "job")


def upload(store, tmp_path, checkpoint_id, content=b"state"):
    local = tmp_path / "local.sst"
    local.write_bytes(content)
    files = SnapshotStore(store.root, epoch=1, attempt="1")
    return cp.NamedFile(
        name="x", file=files.write_shared(local, checkpoint_id=checkpoint_id), shared=True
    )


def checkpoint(checkpoint_id, *files):
    metadata = cp.CheckpointMetadata(format_version=1, job_id="job", checkpoint_id=checkpoint_id)
    metadata.operators.add(uid="a").subtasks.add().keyed.add(files=files)
    return metadata


def test_each_claim_of_an_epoch_is_higher_than_the_one_before(tmp_path):
    assert [CheckpointStore(str(tmp_path), "job").next_epoch("jm") for _ in range(3)] == [1, 2, 3]


def test_a_checkpoint_is_read_back_from_its_directory_or_its_metadata(store):
    path = store.write(checkpoint(7), "")
    for given in (path, f"{path}/", f"{path}/_metadata"):
        loaded = load_checkpoint(given)
        assert loaded.metadata == checkpoint(7)
        assert (loaded.path, loaded.root) == (path, store.root)


def test_a_savepoint_is_its_own_root(store, tmp_path):
    target = store.paths.new_savepoint(str(tmp_path / "savepoints"))
    assert store.write(checkpoint(3), target) == target
    assert load_checkpoint(target).root == target


def test_a_checkpoint_is_completed_once(store):
    assert store.write(checkpoint(1), "") == store.write(checkpoint(1), "")  # said twice
    of_another_epoch = checkpoint(1)
    of_another_epoch.epoch = 2
    with pytest.raises(CheckpointExistsError):
        store.write(of_another_epoch, "")


def test_every_damage_to_the_metadata_is_detected(store):
    path = store.write(checkpoint(1), "")
    with open(f"{path}/_metadata", "rb") as file:
        content = file.read()
    damaged = [content[:n] for n in range(len(content))]
    damaged += [content + b"x"]
    damaged += [
        content[:n] + bytes([content[n] ^ 0x10]) + content[n + 1 :] for n in range(len(content))
    ]
    for bad in damaged:
        with open(f"{path}/_metadata", "wb") as file:
            file.write(bad)
        with pytest.raises(CorruptFileError):
            load_checkpoint(path)


def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path):
    with pytest.raises(CheckpointNotFoundError, match="_metadata"):
        load_checkpoint(str(tmp_path / "nothing"))


def test_a_discarded_checkpoint_leaves_the_files_others_reference(store, tmp_path):
    old, both = upload(store, tmp_path, 1), upload(store, tmp_path, 1)
    first, second = checkpoint(1, old, both), checkpoint(2, both)
    for metadata in (first, second):
        store.write(metadata, "")
    store.discard(DiscardCheckpoint(1, first, (second,)))
    left = {p.name for p in (tmp_path / "job" / "shared").iterdir()}
    assert left == {both.file.path.rpartition("/")[2]}
    assert not (tmp_path / "job" / "chk-1").exists()
    assert (tmp_path / "job" / "chk-2" / "_metadata").exists()


def test_what_an_aborted_checkpoint_had_uploaded_goes_but_not_what_is_under_way(store, tmp_path):
    orphan, kept = upload(store, tmp_path, 1), upload(store, tmp_path, 2)
    coming = upload(store, tmp_path, 3)
    second = checkpoint(2, kept)
    store.write(second, "")
    store.discard(DiscardCheckpoint(1, None, (second,)))
    store.discard(CollectOrphans(1, 3, 0, (second,)))
    left = {f"shared/{p.name}" for p in (tmp_path / "job" / "shared").iterdir()}
    assert orphan.file.path not in left
    assert left == {kept.file.path, coming.file.path}


def test_a_finished_job_leaves_only_results_that_nobody_fetched(store, tmp_path):
    root = tmp_path / "job"
    store.next_epoch("jm")
    store.write(checkpoint(1, upload(store, tmp_path, 1)), "")
    (root / "collect" / "sink").mkdir(parents=True)
    (root / "collect" / "sink" / "part-1.arrow").write_bytes(b"1")
    store.discard_all()
    assert sorted(p.name for p in root.iterdir()) == ["collect", "epoch-1"]
    store.delete_results("sink")
    assert not root.exists()


# ------------------------------------------------------------------------- whose files are whose


def test_a_claimed_checkpoint_leaves_what_its_siblings_need(store, tmp_path):
    both, own = upload(store, tmp_path, 1), upload(store, tmp_path, 2)
    first, second = checkpoint(1, both), checkpoint(2, both, own)
    for metadata in (first, second):
        store.write(metadata, "")
    path = store.paths.checkpoint(2)
    other = CheckpointStore(str(tmp_path), "another job")
    other.discard(DiscardClaimed(second, path, store.root))
    assert not (tmp_path / "job" / "chk-2").exists()
    left = {f"shared/{p.name}" for p in (tmp_path / "job" / "shared").iterdir()}
    assert left == {both.file.path}
    other.discard(DiscardClaimed(second, path, store.root))  # again: nothing is left to do


def test_a_claimed_checkpoint_whose_sibling_cannot_be_read_is_left_alone(store, tmp_path):
    both = upload(store, tmp_path, 1)
    first, second = checkpoint(1, both), checkpoint(2, both)
    for metadata in (first, second):
        store.write(metadata, "")
    (tmp_path / "job" / "chk-1" / "_metadata").write_bytes(b"torn")
    with pytest.raises(CorruptFileError):
        store.discard(DiscardClaimed(second, store.paths.checkpoint(2), store.root))
    assert (tmp_path / "job" / both.file.path).exists()
    assert (tmp_path / "job" / "chk-2" / "_metadata").exists()


def test_a_claimed_savepoint_goes_as_a_whole(store, tmp_path):
    target = store.paths.new_savepoint(str(tmp_path / "sp"))
    files = SnapshotStore(target)
    own = cp.NamedFile(name="x", file=files.write_exclusive(3, b"1"))
    store.write(checkpoint(3, own), target)
    store.discard(DiscardClaimed(checkpoint(3, own), target, target))
    assert list((tmp_path / "sp").iterdir()) == []


def test_only_a_savepoints_own_directory_is_deleted_when_it_failed(store, tmp_path):
    target = store.paths.new_savepoint(str(tmp_path / "sp"))
    SnapshotStore(target).write_exclusive(3, b"1")
    store.discard(DiscardSavepoint(target))
    assert list((tmp_path / "sp").iterdir()) == []
    with pytest.raises(StateError, match="was not made by a savepoint"):
        store.discard(DiscardSavepoint(str(tmp_path)))
    assert (tmp_path / "sp").exists()


def test_a_job_that_is_not_recovered_leaves_what_earlier_ones_of_its_name_have_kept(
    store, tmp_path
):
    """Same id, no recovery: ids begin at 1 again and meet complete checkpoints of another epoch."""
    earlier = upload(store, tmp_path, 1)
    first = checkpoint(1, earlier)
    first.epoch = 1
    store.write(first, "")
    mine = checkpoint(1)
    mine.epoch = 2
    with pytest.raises(CheckpointExistsError):
        store.write(mine, "")
    second = checkpoint(2)
    second.epoch = 2
    store.write(second, "")
    store.discard(DiscardCheckpoint(1, None, (second,)))
    store.discard(CollectOrphans(1, 3, 2, (second,)))
    assert load_checkpoint(store.paths.checkpoint(1)).metadata == first
    assert (tmp_path / "job" / earlier.file.path).exists()
    store.discard(CollectOrphans(0, 3, 0, (second,)))  # recovered: now it is ours
    assert not (tmp_path / "job" / "chk-1").exists()
    assert not (tmp_path / "job" / earlier.file.path).exists()


def test_savepoints_that_a_dead_jobmanager_had_begun_go_with_its_recovery(store, tmp_path):
    done, half, mine = (store.paths.new_savepoint(str(tmp_path / "sp")) for _ in range(3))
    for target, epoch in ((done, 1), (half, 1), (mine, 2)):
        store.begin_savepoint(target, epoch)
        SnapshotStore(target).write_exclusive(3, b"1")
    complete = checkpoint(3)
    complete.epoch = 1
    Files(done).create("_metadata", metadata_file.encode(complete))  # and then it died
    store.discard(CollectOrphans(1, 9, 2, (), epoch=2))
    assert len(list((tmp_path / "sp").iterdir())) == 3, "not recovered: they are not ours"
    store.discard(CollectOrphans(0, 9, 0, (), epoch=2))
    left = {str(path) for path in (tmp_path / "sp").iterdir()}
    assert left == {done, mine}
    own = checkpoint(4)
    own.epoch = 2
    store.write(own, mine)
    assert list((tmp_path / "job" / "savepoints-begun").iterdir()) == []


def test_a_savepoint_that_was_refused_leaves_no_note(store, tmp_path):
    target = store.paths.new_savepoint(str(tmp_path / "sp"))
    store.begin_savepoint(target, 1)
    store.forget_savepoint(target, 1)
    assert list((tmp_path / "job" / "savepoints-begun").iterdir()) == []


def test_a_snapshot_claimed_under_an_earlier_epoch_goes_once_the_job_has_its_own(store, tmp_path):
    other = CheckpointStore(str(tmp_path), "other")
    path = other.write(checkpoint(7), "")
    collect = CollectOrphans(0, 9, 0, (), epoch=2, claimed_path=path)
    store.discard(collect)
    assert not (tmp_path / "other" / "chk-7").exists()
    store.discard(collect)


def test_what_killed_writers_were_writing_goes_too(store, tmp_path):
    name = file_name(1, 1, "1", ".sst")
    root = tmp_path / "job"
    for path in (f"shared/{name}.00112233aabb.tmp", "chk-1/_metadata.00112233aabb.tmp"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"half")
    kept = checkpoint(2)
    store.write(kept, "")
    store.discard(CollectOrphans(1, 3, 0, (kept,)))
    assert [str(p.relative_to(root)) for p in sorted(root.rglob("*")) if p.is_file()] == [
        "chk-2/_metadata"
    ]
    assert not (root / "chk-1").exists()


@pytest.mark.parametrize("late", [1, 3])
def test_a_directory_is_deleted_although_a_task_still_uploads_into_it(
    store, tmp_path, monkeypatch, late
):
    """The known bug: "Directory not empty" from a deletion that raced with a late upload."""
    files = SnapshotStore(store.root, epoch=1, attempt="1")
    files.write_exclusive(1, b"early")
    real, left = os.rmdir, [None] * late

    def rmdir(*args, **kwargs):
        if left:
            left.pop()
            files.write_exclusive(1, b"late")
        real(*args, **kwargs)

    monkeypatch.setattr(os, "rmdir", rmdir)
    store.discard(DiscardCheckpoint(1, None, ()))
    assert not left
    assert not (tmp_path / "job" / "chk-1").exists()


def test_a_file_is_written_although_its_directory_is_deleted_meanwhile(store, monkeypatch):
    files = SnapshotStore(store.root, epoch=1, attempt="1")
    real, left = os.rename, [None]

    def rename(*args, **kwargs):
        if left:
            left.pop()
            store.discard(DiscardCheckpoint(1, None, ()))
        real(*args, **kwargs)

    monkeypatch.setattr(os, "rename", rename)
    handle = files.write_exclusive(1, b"content")
    assert files.read(handle) == b"content"


def test_an_out_of_date_listing_does_not_offer_an_epoch_twice(store):
    store.next_epoch("jm")
    store.next_epoch("jm")
    store._files.list = lambda *_args, **_kwargs: []
    assert store.next_epoch("jm") == 3
