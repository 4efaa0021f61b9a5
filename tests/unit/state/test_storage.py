"""Files of checkpoints: written whole, verified when read, damage named."""

import os

import pytest

from lesto.proto.checkpoint_pb2 import FileHandle
from lesto.state import paths
from lesto.state.errors import (
    CheckpointExistsError,
    CorruptFileError,
    MissingFileError,
    StorageError,
)
from lesto.state.files import Files
from lesto.state.paths import CheckpointPaths
from lesto.state.storage import SnapshotStore

CONTENT = bytes(range(256)) * 5000


@pytest.fixture
def store(tmp_path):
    return SnapshotStore(str(tmp_path / "job"), epoch=3, attempt="3-1")


def test_a_file_comes_back_with_its_length_and_checksum(store, tmp_path):
    handle = store.write_exclusive(7, CONTENT, suffix=".arrow")
    assert handle.length_bytes == len(CONTENT)
    assert handle.path.startswith("chk-7/c7-e3-a3_1-")
    assert store.read(handle) == CONTENT
    store.download(handle, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == CONTENT


def test_names_are_never_used_twice(store):
    assert len({store.write_exclusive(1, b"x").path for _ in range(50)}) == 50


def test_a_shared_file_is_uploaded_from_disk(store, tmp_path):
    (tmp_path / "a.sst").write_bytes(CONTENT)
    handle = store.write_shared(tmp_path / "a.sst", checkpoint_id=4)
    assert handle.path.startswith("shared/c4-")
    assert handle.path.endswith(".sst")
    assert paths.file_checkpoint(handle.path) == 4
    assert store.read(handle) == CONTENT


def test_a_savepoint_keeps_all_files_inside_itself(tmp_path):
    root = CheckpointPaths(str(tmp_path), "abcdef0123").new_savepoint(str(tmp_path / "sp"))
    store = SnapshotStore(root)
    (tmp_path / "a.sst").write_bytes(b"1")
    handles = [store.write_shared(tmp_path / "a.sst"), store.write_exclusive(3, b"2")]
    assert all(handle.path.startswith("files/") for handle in handles)
    os.rename(root, tmp_path / "moved")
    assert [SnapshotStore(str(tmp_path / "moved")).read(h) for h in handles] == [b"1", b"2"]


def test_a_file_uri_and_an_absolute_handle_work(tmp_path):
    store = SnapshotStore(f"file://{tmp_path}/job")
    handle = store.write_exclusive(1, b"abc")
    absolute = FileHandle(
        path=f"{store.root_uri}/{handle.path}", length_bytes=3, checksum=handle.checksum
    )
    assert SnapshotStore(str(tmp_path / "elsewhere")).read(absolute) == b"abc"


def _damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "truncated":
        data = data[: len(data) // 2]
    elif how == "longer":
        data += b"x"
    elif how == "empty":
        data = bytearray()
    else:
        data[len(data) // 3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "longer", "empty", "flipped"])
@pytest.mark.parametrize("reader", ["read", "download"])
def test_a_damaged_file_is_a_named_error_that_names_the_file(store, tmp_path, how, reader):
    handle = store.write_exclusive(7, CONTENT)
    _damage(tmp_path / "job" / handle.path, how)
    with pytest.raises(CorruptFileError, match=handle.path) as caught:
        store.read(handle) if reader == "read" else store.download(handle, tmp_path / "copy")
    assert caught.value.remedy
    assert not (tmp_path / "copy").exists()


def test_a_missing_file_is_a_named_error(store, tmp_path):
    handle = store.write_exclusive(7, CONTENT)
    (tmp_path / "job" / handle.path).unlink()
    with pytest.raises(MissingFileError, match=handle.path):
        store.read(handle)


def test_a_handle_cannot_lead_out_of_the_root(store):
    with pytest.raises(CorruptFileError, match="out of"):
        store.read(FileHandle(path="../../etc/passwd", length_bytes=1))


def test_a_failed_write_leaves_nothing_behind(store, tmp_path):
    store.write_exclusive(1, b"x")
    before = sorted(path for path in tmp_path.rglob("*"))
    with pytest.raises(StorageError, match="not there"):
        store.write_exclusive(1, tmp_path / "not there")
    assert sorted(tmp_path.rglob("*")) == before


def test_an_unwritable_root_is_a_named_error(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="refused to write"):
        SnapshotStore(str(tmp_path / "file")).write_exclusive(1, b"x")


def test_an_unknown_scheme_is_a_named_error():
    with pytest.raises(StorageError, match="nosuch"):
        SnapshotStore("nosuch://bucket/x")


def test_create_refuses_what_exists_and_keeps_it(tmp_path):
    files = Files(str(tmp_path))
    files.create("chk-1/_metadata", b"first")
    with pytest.raises(CheckpointExistsError):
        files.create("chk-1/_metadata", b"second")
    assert (tmp_path / "chk-1/_metadata").read_bytes() == b"first"
    assert [p.name for p in (tmp_path / "chk-1").iterdir()] == ["_metadata"]


def test_listing_and_deleting(tmp_path):
    files = Files(str(tmp_path))
    assert files.list("chk-1") == []
    files.write("chk-1/a", lambda: iter([b"1"]))
    files.write("chk-2/b", lambda: iter([b"2"]))
    assert files.list("") == ["chk-1/", "chk-2/"]
    assert files.list("", recursive=True) == ["chk-1/", "chk-1/a", "chk-2/", "chk-2/b"]
    assert files.delete("chk-1/a")
    assert not files.delete("chk-1/a")
    files.delete_directory("chk-2")
    files.delete_directory("chk-2")
    assert files.list("") == ["chk-1/"]
    files.write("chk-2/b", lambda: iter([b"3"]))  # a deleted directory is made again
    assert files.exists("chk-2/b")


def test_names():
    job = CheckpointPaths("s3://bucket/ck/", "job1")
    assert job.metadata(5) == "s3://bucket/ck/job1/chk-5/_metadata"
    assert paths.checkpoint_number(job.checkpoint(5)) == 5
    assert paths.checkpoint_number(job.root) is None
    assert paths.file_checkpoint("shared/other.sst") is None
