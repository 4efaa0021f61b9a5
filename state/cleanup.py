"""Files that no checkpoint needs: left by aborted checkpoints and dead writers."""

from __future__ import annotations

from collections.abc import Iterable

from lesto.proto.checkpoint_pb2 import CheckpointMetadata
from lesto.state import paths
from lesto.state.files import Files


def referenced_paths(metadata: CheckpointMetadata) -> set[str]:
    """Paths of all files a checkpoint needs, as its handles have them."""
    keyed = {
        named.file.path
        for operator in metadata.operators
        for subtask in operator.subtasks
        for handle in subtask.keyed
        for named in handle.files
    }
    return keyed | {handle.file.path for handle in metadata.in_flight}


def collect_orphans(
    root_uri: str, retained: Iterable[CheckpointMetadata], *, before_checkpoint_id: int
) -> list[str]:
    """Delete files below a job's root that no retained checkpoint references.

    A file's name says which checkpoint wrote it. Files of checkpoints from ``before_checkpoint_id``
    on stay: those may be under way. Earlier ones are complete and retained, or will never complete.

    Args:
        root_uri: ``<checkpoint dir>/<job id>``.
        retained: metadata of every checkpoint of the job that is kept.
        before_checkpoint_id: smallest number of a checkpoint that is under way or may start.

    Returns:
        Paths deleted, relative to the root.

    Raises:
        StorageError: the storage refused; calling it again goes on.
    """
    needed = set().union(*map(referenced_paths, retained))
    files = Files(root_uri)
    deleted = []
    for path in files.list("", recursive=True):
        writer = None if path.endswith("/") else paths.file_checkpoint(path)
        if writer is not None and writer < before_checkpoint_id and path not in needed:
            files.delete(path)
            deleted.append(path)
    return deleted
