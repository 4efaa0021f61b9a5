import pytest

from lesto.jobmanager.core.instructions import CollectOrphans, DiscardCheckpoint
from lesto.jobmanager.server.checkpoint_store import CheckpointStore, load_checkpoint
from lesto.proto import checkpoint_pb2 as cp
from lesto.state.errors import CheckpointExistsError, CheckpointNotFoundError, CorruptFileError
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
