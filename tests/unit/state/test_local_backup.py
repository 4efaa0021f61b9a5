"""Copies of checkpoints on local disk: used when whole, else not; bounded; nobody's go."""

import os
import time

import pytest
from backend_contents import KINDS, content, fill, paths_of

from lesto.state.errors import MissingFileError
from lesto.state.local_backup import BackedStore, LocalBackup, remove_unused


class Counts:
    def __init__(self):
        self.local = self.damaged = self.failed = 0

    def hooks(self):
        return {
            "on_local": lambda: self._add("local"),
            "on_fallback": lambda: self._add("damaged"),
            "on_failure": lambda: self._add("failed"),
        }

    def _add(self, name):
        setattr(self, name, getattr(self, name) + 1)


@pytest.fixture
def counts():
    return Counts()


@pytest.fixture
def backup(tmp_path, counts):
    """Makes the copies of an owner."""
    made = []

    def make(owner="op-0", **options):
        found = LocalBackup(tmp_path / "backup", "job", owner, **counts.hooks(), **options)
        made.append(found)
        return found

    yield make
    for found in made:
        found.close()


@pytest.fixture
def backed(tmp_path):
    """A store with copies."""

    def make(copies):
        store = BackedStore(str(tmp_path / "ck"), epoch=1, attempt="1")
        store.backup = copies
        return store

    return make


def checkpoint(backend, store, number, *, complete=True):
    """Take a checkpoint as a task does."""
    handle = backend.snapshot(number, canonical=False).finish(store)
    store.backup.record(number, handle)
    if complete:
        backend.notify_checkpoint_complete(number)
        store.backup.complete(number)
    return handle


def copies(tmp_path, owner="op-0"):
    return {p.name for p in (tmp_path / "backup" / "job" / owner).iterdir() if p.name != ".lock"}


def names(handle):
    return {path.rpartition("/")[2] for path in paths_of(handle).values()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_restore_needs_no_remote_file(make, tmp_path, backup, backed, counts, kind):
    store = backed(backup())
    first = make(kind)
    fill(first, 2_000)
    checkpoint(first, store, 1)
    fill(first, 500, "later")
    handle = checkpoint(first, store, 2)
    wanted = content(first)
    for path in (tmp_path / "ck").rglob("*"):
        if path.is_file():
            path.unlink()
    second = make(kind)
    second.restore([handle], backed(backup()))
    assert content(second) == wanted
    assert counts.local == len(handle.files)
    with pytest.raises(MissingFileError):
        make(kind).restore([handle], backed(None))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["flipped", "short", "gone", "directory"])
def test_damaged_copies_give_way_to_the_remote_files(
    make, tmp_path, backup, backed, counts, kind, how
):
    store = backed(backup())
    first = make(kind)
    fill(first, 1_000)
    handle = checkpoint(first, store, 1)
    for name in copies(tmp_path):
        path = tmp_path / "backup" / "job" / "op-0" / name
        data = bytearray(path.read_bytes())
        path.unlink()  # the running database has the same file
        if how == "flipped":
            data[len(data) // 2] ^= 1
            path.write_bytes(data)
        elif how == "short":
            path.write_bytes(data[:-1])
        elif how == "directory":
            path.mkdir()
    second = make(kind)
    second.restore([handle], backed(backup()))
    assert content(second) == content(first)
    assert counts.local == 0
    assert counts.damaged == (0 if how == "gone" else len(handle.files))


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_newest_complete_checkpoint_and_those_under_way_stay(
    make, tmp_path, backup, backed, kind
):
    store = backed(backup())
    backend = make(kind)
    fill(backend, 300)
    for number in range(1, 6):
        fill(backend, 10 * number, f"v{number}")
        handle = checkpoint(backend, store, number)
        assert copies(tmp_path) == names(handle), number
    fill(backend, 5, "under way")
    pending = checkpoint(backend, store, 6, complete=False)
    assert copies(tmp_path) == names(handle) | names(pending)
    store.backup.abort(6)
    backend.notify_checkpoint_aborted(6)
    assert copies(tmp_path) == names(handle)
    fill(backend, 7, "last")
    last = checkpoint(backend, store, 7)
    assert copies(tmp_path) == names(last)


def test_links_take_no_space(make, tmp_path, backup, backed):
    backend = make("rocksdb")
    fill(backend, 1_000)
    handle = checkpoint(backend, backed(backup()), 1)
    shared = [named.file.path.rpartition("/")[2] for named in handle.files if named.shared]
    assert shared
    for name in shared:
        assert os.stat(tmp_path / "backup" / "job" / "op-0" / name).st_nlink > 1


@pytest.mark.parametrize("kind", KINDS)
def test_another_subtask_on_the_machine_takes_its_part(make, tmp_path, backup, backed, kind):
    """After a rescale, handles go to whoever owns their key groups now."""
    store = backed(backup("op-0"))
    whole = make(kind)
    fill(whole, 500)
    handle = checkpoint(whole, store, 1)
    for path in (tmp_path / "ck").rglob("*"):
        if path.is_file():
            path.unlink()
    halves = {}
    for index, (start, end) in enumerate([(0, 63), (64, 127)]):
        half = make(kind, start, end)
        half.restore([handle], backed(backup(f"op-{index + 1}")))
        halves |= content(half)
    assert halves == content(whole)


def test_restored_files_are_copies_again_where_they_were_fetched(make, tmp_path, backup, backed):
    first = make("rocksdb")
    fill(first, 500)
    plain = backed(backup("elsewhere"))
    handle = checkpoint(first, plain, 1)
    for path in (tmp_path / "backup" / "job" / "elsewhere").iterdir():
        path.unlink()
    store = backed(backup("here"))
    second = make("rocksdb")
    second.restore([handle], store)
    shared = {n.file.path.rpartition("/")[2] for n in handle.files if n.shared}
    assert shared <= copies(tmp_path, "here")
    fill(second, 3, "new")
    again = checkpoint(second, store, 2)
    assert copies(tmp_path, "here") == names(again)


def test_a_copy_that_cannot_be_made_fails_no_checkpoint(make, tmp_path, backup, backed, counts):
    copies_of = backup()
    store = backed(copies_of)
    backend = make("hashmap")
    fill(backend, 10)
    os.rename(tmp_path / "backup" / "job" / "op-0", tmp_path / "moved")
    handle = checkpoint(backend, store, 1)
    assert counts.failed == len(handle.files) == 1
    assert (tmp_path / "ck" / handle.files[0].file.path).exists()
    os.rename(tmp_path / "moved", tmp_path / "backup" / "job" / "op-0")


def test_copies_are_neither_made_nor_used_unless_wanted(make, tmp_path, backup, backed, counts):
    backend = make("hashmap")
    fill(backend, 10)
    checkpoint(backend, backed(backup(keeps=False)), 1)
    assert copies(tmp_path) == set()
    handle = checkpoint(backend, backed(backup(serves=False)), 2)
    second = make("hashmap")
    second.restore([handle], backed(backup(serves=False)))
    assert counts.local == 0
    assert content(second) == content(backend)


def test_copies_of_those_who_are_gone_are_removed_and_of_the_living_not(tmp_path):
    base = tmp_path / "backup"
    alive = LocalBackup(base, "job", "alive-0")
    dead = LocalBackup(base, "job", "dead-0")
    other = LocalBackup(base, "gone", "dead-0")
    young = LocalBackup(base, "young", "dead-0")
    for ended in (dead, other, young):
        ended.close()
    old = time.time() - 1_000
    for path in base.glob("*/*/.lock"):
        if path.parent.parent.name != "young":
            os.utime(path, (old, old))
    removed = {f"{path.parent.name}/{path.name}" for path in remove_unused(base)}
    assert removed == {"job/dead-0", "gone/dead-0"}
    assert sorted(path.name for path in base.iterdir()) == ["job", "young"]
    alive.close()
