"""Snapshots on disk without a cluster, as a job would leave them."""

from pathlib import Path

from lesto.common.identity import operator_uid
from lesto.kernels.keygroups import key_group_range
from lesto.proto import checkpoint_pb2 as cp
from lesto.state import metadata_file
from lesto.state.factory import create_backend
from lesto.state.files import Files
from lesto.state.storage import SnapshotStore

#: (backend, canonical) of each form of snapshot.
KINDS = [("hashmap", False), ("rocksdb", False), ("rocksdb", True)]
GROUPS = 128


def write_snapshot(
    folder, kind, fill, *, canonical=False, parallelism=1, uid="uid", name="Counter", lists=()
):
    """A savepoint (canonical) or checkpoint of one operator; its path.

    Args:
        folder: where.
        kind: of the backend.
        fill: fills a backend that owns all key groups.
        canonical: a savepoint.
        parallelism: subtasks the state is dealt to.
        uid: of the operator.
        name: of the operator.
        lists: OperatorStateList of subtask 0.
    """
    folder = Path(folder)
    root = folder / "ck" / ("savepoint-1" if canonical else "job")
    store = SnapshotStore(str(root), epoch=1, attempt="1")
    local = folder / "local"
    whole = _backend(kind, 0, GROUPS - 1, local)
    operator = cp.OperatorState(
        uid=operator_uid(uid),
        user_uid=uid,
        name=name,
        parallelism=parallelism,
        max_parallelism=GROUPS,
    )
    try:
        fill(whole)
        first = whole.snapshot(1, canonical=canonical).finish(store)
        handles = [first] if parallelism == 1 else _dealt(kind, first, store, parallelism, local)
    finally:
        whole.close()
    for index, handle in enumerate(handles):
        size = sum(named.file.length_bytes for named in handle.files)
        subtask = operator.subtasks.add(subtask=index, state_bytes=size)
        subtask.keyed.append(handle)
        if index == 0:
            subtask.lists.extend(lists)
    metadata = cp.CheckpointMetadata(
        format_version=1,
        job_id="0" * 32,
        checkpoint_id=1,
        type=cp.CHECKPOINT_TYPE_SAVEPOINT if canonical else cp.CHECKPOINT_TYPE_CHECKPOINT,
        operators=[operator],
    )
    directory = root if canonical else root / "chk-1"
    Files(str(directory)).create("_metadata", metadata_file.encode(metadata))
    return str(directory)


def _dealt(kind, first, store, parallelism, local):
    """The same state as several subtasks would have written it; the first files go."""
    handles = []
    for index in range(parallelism):
        part = _backend(kind, *key_group_range(GROUPS, parallelism, index), local)
        try:
            part.restore([first], store)
            canonical = first.format == "canonical" and kind == "rocksdb"
            handles.append(part.snapshot(1, canonical=canonical).finish(store))
        finally:
            part.close()
    needed = {named.file.path for handle in handles for named in handle.files}
    for named in first.files:
        if named.file.path not in needed:
            store.delete(named.file)
    return handles


def _backend(kind, start, end, local):
    return create_backend(
        kind, key_group_start=start, key_group_end=end, max_parallelism=GROUPS, local_dir=local
    )


def restored(kind, handles, store, local, start=0, end=GROUPS - 1):
    """A backend with what handles hold; the caller closes it."""
    backend = _backend(kind, start, end, local)
    backend.restore(list(handles), store)
    return backend


def merge_snapshots(folder, *paths):
    """One savepoint with the operators of several; its path."""
    merged = cp.CheckpointMetadata(
        format_version=1, job_id="0" * 32, checkpoint_id=1, type=cp.CHECKPOINT_TYPE_SAVEPOINT
    )
    for path in paths:
        found, _, root = metadata_file.locate(path)
        for operator in found.operators:
            for subtask in operator.subtasks:
                for handle in subtask.keyed:
                    for named in handle.files:
                        named.file.path = f"{root}/{named.file.path}"
            merged.operators.append(operator)
    Files(str(folder)).create("_metadata", metadata_file.encode(merged))
    return str(folder)
