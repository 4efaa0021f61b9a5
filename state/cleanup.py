"""Files that no checkpoint needs: left by aborted checkpoints and dead writers."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator

from lesto.proto.checkpoint_pb2 import CheckpointMetadata
from lesto.state import metadata_file, paths
from lesto.state.errors import CheckpointNotFoundError, CorruptFileError
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
    in_flight = {handle.file.path for handle in metadata.in_flight if handle.elements}
    return keyed | in_flight


def collect_orphans(
    root_uri: str,
    retained: Iterable[CheckpointMetadata],
    *,
    before_checkpoint_id: int,
    first_checkpoint_id: int = 0,
    first_epoch: int = 0,
) -> list[str]:
    """Delete files below a job's root that no retained checkpoint references.

    A file's name says which checkpoint wrote it, under which epoch. Files of checkpoints from
    ``before_checkpoint_id`` on stay: those may be under way. Earlier ones are complete and
    retained, or will never complete. What lies before ``first_checkpoint_id`` or ``first_epoch`` is
    somebody else's. A listing that is out of date costs nothing but time: what it hides is found
    by the next sweep, what it shows too long is gone already.

    Args:
        root_uri: ``<checkpoint dir>/<job id>``.
        retained: metadata of every checkpoint of the job that is kept.
        before_checkpoint_id: smallest number of a checkpoint that is under way or may start.
        first_checkpoint_id: smallest number of a checkpoint of this job's.
        first_epoch: smallest epoch of this job's.

    Returns:
        Paths deleted, relative to the root.

    Raises:
        StorageError: the storage refused; calling it again goes on.
    """
    kept = list(retained)
    needed = set().union(*map(referenced_paths, kept))
    complete = {metadata.checkpoint_id for metadata in kept}
    files = Files(root_uri)
    ours = range(first_checkpoint_id, before_checkpoint_id)
    listed = files.list("", recursive=True)
    finders = (
        _needless_metadata(root_uri, listed, ours, first_epoch, complete),
        _needless_files(listed, ours, first_epoch, needed),
    )
    deleted = []
    # What completes a checkpoint goes before what it consists of.
    for found in finders:
        for path in found:
            files.delete(path)
            deleted.append(path)
    # A folder that seems empty may be a kept checkpoint's: the listing may be out of date.
    stay = {paths.top(path) for path in needed} | {f"chk-{number}" for number in complete}
    for directory in sorted({paths.top(path) for path in listed} - stay):
        number = paths.checkpoint_number(directory)
        if number is not None and number in ours and not files.list(directory):
            files.delete_directory(directory)
    return deleted


def _needless_metadata(
    root_uri: str, listed: Iterable[str], ours: range, first_epoch: int, complete: Container[int]
) -> Iterator[str]:
    """Completed by an earlier leader behind the back of the present one, or given up since."""
    for path in listed:
        directory, _, name = path.rpartition("/")
        number = paths.checkpoint_number(directory)
        if number is None or number not in ours:
            continue
        if name.startswith(paths.METADATA_NAME) and paths.is_temporary(name):
            yield path
        given_up = name == paths.METADATA_NAME and number not in complete
        if given_up and _epoch_of(paths.join(root_uri, directory)) >= first_epoch:
            yield path


def _epoch_of(directory: str) -> int:
    """Epoch of a checkpoint; 0 when it cannot be told."""
    try:
        return metadata_file.load(directory).epoch
    except (CheckpointNotFoundError, CorruptFileError):
        return 0


def _needless_files(
    listed: Iterable[str], ours: range, first_epoch: int, needed: Container[str]
) -> Iterator[str]:
    for path in listed:
        written = None if path.endswith("/") else paths.written_by(path)
        if written is None or path in needed:
            continue
        if written.checkpoint_id in ours and written.epoch >= first_epoch:
            yield path
