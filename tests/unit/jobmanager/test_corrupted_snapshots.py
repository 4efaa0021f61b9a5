"""T13: every file of a snapshot, damaged in every way, through the real restore path.

Truncated, lengthened, one byte flipped, deleted, swapped with another file of the same snapshot:
each is a named error that says which file; none restores. The older checkpoint, where it does not
share the file, still does.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from backend_contents import content, fill
from jobgraphs import pipeline

from lesto.common.elements import Barrier, Watermark
from lesto.jobmanager.core.pending_checkpoint import PendingCheckpoint
from lesto.jobmanager.core.redistribution import check_restorable, redistribute
from lesto.jobmanager.server.checkpoint_store import CheckpointStore, load_checkpoint
from lesto.kernels import keygroups
from lesto.proto import checkpoint_pb2, runtime_pb2
from lesto.state.cleanup import referenced_paths
from lesto.state.errors import CheckpointNotFoundError, CorruptFileError, MissingFileError
from lesto.state.factory import create_backend
from lesto.state.storage import SnapshotStore
from lesto.taskmanager.runtime.capture import InFlightPart
from lesto.taskmanager.runtime.in_flight_file import InFlightFiles, write_in_flight

DETECTED = (CorruptFileError, MissingFileError, CheckpointNotFoundError)
FLIPS = 7  # places a file


@dataclass
class Snapshots:
    """A job of two keyed subtasks, its checkpoints, and how to restore them."""

    folder: Path
    kind: str
    savepoint: bool = False
    backends: list = field(default_factory=list)
    paths: list = field(default_factory=list)

    def __post_init__(self):
        self.store = CheckpointStore(str(self.folder / "ck"), "job")
        self.graph = pipeline(2)

    def backend(self, index):
        start, end = keygroups.key_group_range(128, 2, index)
        return create_backend(
            self.kind,
            key_group_start=start,
            key_group_end=end,
            max_parallelism=128,
            local_dir=self.folder / "local",
        )

    def take(self):
        """Two checkpoints, or two savepoints; the second one builds on the first."""
        writers = [self.backend(index) for index in range(2)]
        try:
            for number in (1, 2):
                for index, writer in enumerate(writers):
                    fill(writer, 300 * number, f"{number}-{index}")
                self.paths.append(self._one(number, writers))
                for writer in writers:
                    writer.notify_checkpoint_complete(number)
        finally:
            for writer in writers:
                writer.close()
        return self

    def _one(self, number, writers):
        kind = checkpoint_pb2.CHECKPOINT_TYPE_CHECKPOINT
        target = ""
        if self.savepoint:
            kind = checkpoint_pb2.CHECKPOINT_TYPE_SAVEPOINT
            target = self.store.paths.new_savepoint(str(self.folder / "savepoints"))
        tasks = [(v.id, index) for v in self.graph.vertices for index in range(2)]
        pending = PendingCheckpoint(number, kind, 1, 0, 0, frozenset(tasks))
        pending.enumerators = {"numbers": b"splits"}
        files = SnapshotStore(target or self.store.root, epoch=1, attempt="1")
        for vertex_id, index in tasks:
            ack = runtime_pb2.CheckpointAck(checkpoint_id=number)
            state = ack.operators.add(uid=vertex_id.removeprefix("v-")).state
            if vertex_id == "v-total":
                snapshot = writers[index].snapshot(number, canonical=self.savepoint)
                state.keyed.append(snapshot.finish(files))
                if not self.savepoint:
                    entries = [(Watermark(number), 8)]
                    parts = [InFlightPart("numbers->total", 0, index, False, entries)]
                    write_in_flight(parts, {"numbers->total": None}, files, Barrier(number, 0), ack)
            pending.acks[vertex_id, index] = ack
        return self.store.write(pending.metadata(self.graph, 1, "0"), target)

    def restore(self, path):
        """Everything a restart reads; the keyed content by subtask."""
        loaded = load_checkpoint(path)
        check_restorable(loaded.metadata, self.graph, allow_non_restored_state=False)
        restores = redistribute(loaded.metadata, self.graph)
        store = SnapshotStore(loaded.root)
        found = []
        for index in range(2):
            backend = self.backend(index)
            try:
                (operator,) = restores["v-total", index]
                backend.restore(operator.keyed, store)
                found.append(content(backend))
            finally:
                backend.close()
        reader = InFlightFiles(store)
        flights = [reader.read(handle, None, "c") for handle in loaded.metadata.in_flight]
        return found, flights

    def files(self, path):
        """Every file the snapshot consists of."""
        loaded = load_checkpoint(path)
        names = sorted(referenced_paths(loaded.metadata))
        return [Path(path, "_metadata"), *(Path(loaded.root, name) for name in names)]


def damages(path, others):
    """(what, do) for each way to damage a file; its content is put back by the caller."""
    data = path.read_bytes()
    size = len(data)
    for length in sorted({0, 1, size // 2, size - 1} - {size}):
        yield f"truncated to {length}", lambda n=length: path.write_bytes(data[:n])
    yield "a byte too long", lambda: path.write_bytes(data + b"\0")
    for at in sorted({size * i // FLIPS for i in range(FLIPS)} | {size - 1}):
        flipped = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        yield f"bit flipped at {at}", lambda d=flipped: path.write_bytes(d)
    yield "deleted", path.unlink
    for other in others:
        content_of_other = other.read_bytes()
        if content_of_other != data:
            yield f"swapped with {other.name}", lambda d=content_of_other: path.write_bytes(d)


CASES = [("rocksdb", False), ("hashmap", False), ("rocksdb", True)]
NAMES = ["incremental checkpoint", "hashmap checkpoint", "savepoint"]


@pytest.mark.parametrize(("kind", "savepoint"), CASES, ids=NAMES)
def test_no_damage_goes_unnoticed(tmp_path, kind, savepoint):
    snapshots = Snapshots(tmp_path, kind, savepoint).take()
    older, path = snapshots.paths
    whole = snapshots.restore(path)
    assert min(len(part) for part in whole[0]) > 250
    assert bool(whole[1]) != savepoint, "in-flight data is damaged too"
    files = snapshots.files(path)
    if kind == "rocksdb" and not savepoint:
        assert set(files) & set(snapshots.files(older)), "nothing is shared"
    undetected, damaged = [], 0
    for file in files:
        original = file.read_bytes()
        others = [other for other in files if other != file]
        for what, damage in damages(file, others):
            damage()
            damaged += 1
            try:
                snapshots.restore(path)
            except DETECTED as error:
                if file.name not in error.message and str(file.parent) not in error.message:
                    undetected.append(f"{file.name} {what}: named wrongly: {error.message}")
            except Exception as error:
                undetected.append(f"{file.name} {what}: {type(error).__name__}: {error}")
            else:
                undetected.append(f"{file.name} {what}: restored")
            file.write_bytes(original)
    assert not undetected
    assert damaged >= 15 * len(files)
    assert snapshots.restore(path) == whole, "the test puts everything back"


def test_the_older_checkpoint_restores_when_the_newer_one_is_damaged(tmp_path):
    snapshots = Snapshots(tmp_path, "rocksdb").take()
    older, path = snapshots.paths
    expected = snapshots.restore(older)
    own = set(snapshots.files(path)) - set(snapshots.files(older))
    assert len(own) >= 3
    for file in own:
        file.write_bytes(b"gone mad")
    with pytest.raises(CorruptFileError):
        snapshots.restore(path)
    assert snapshots.restore(older) == expected


def test_metadata_of_another_checkpoint_in_its_place_is_noticed(tmp_path):
    snapshots = Snapshots(tmp_path, "hashmap").take()
    first, second = (Path(path, "_metadata") for path in snapshots.paths)
    second.write_bytes(first.read_bytes())
    with pytest.raises(CorruptFileError, match="holds the metadata of checkpoint 1"):
        snapshots.restore(snapshots.paths[1])


def test_the_ways_are_as_many_as_they_should_be(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(bytes(100))
    b.write_bytes(b"b")
    kinds = [what.split(" ")[0] for what, _ in damages(a, [b])]
    counted = {kind: len(list(group)) for kind, group in itertools.groupby(kinds)}
    assert counted == {"truncated": 4, "a": 1, "bit": 8, "deleted": 1, "swapped": 1}
