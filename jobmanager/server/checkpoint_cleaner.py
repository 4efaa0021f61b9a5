"""Deletes what no checkpoint needs. Blocking: for I/O threads.

Every step may fail, or the process may die in it: what completes a checkpoint goes first, so that a
half-deleted one is never taken for a complete one, and the next sweep finds the rest by its names.
"""

from __future__ import annotations

from lesto.jobmanager.core.instructions import (
    CollectOrphans,
    Discard,
    DiscardAll,
    DiscardCheckpoint,
    DiscardClaimed,
    DiscardSavepoint,
)
from lesto.proto import checkpoint_pb2
from lesto.state import metadata_file, paths
from lesto.state.cleanup import collect_orphans, referenced_paths
from lesto.state.errors import CheckpointNotFoundError, StateError
from lesto.state.files import Files
from lesto.state.paths import METADATA_NAME


class CheckpointCleaner:
    """Deletes below one job's checkpoint root, and snapshots the job had claimed.

    Args:
        root_uri: ``<checkpoint dir>/<job id>``.
    """

    def __init__(self, root_uri: str) -> None:
        self._root = root_uri
        self._files = Files(root_uri)

    def discard(self, instruction: Discard) -> None:
        """Carry out one instruction; calling it again goes on.

        Raises:
            StorageError: the storage refused.
        """
        match instruction:
            case DiscardCheckpoint():
                self._discard_checkpoint(instruction)
            case DiscardClaimed(metadata, path, root):
                discard_snapshot(path, root, metadata)
            case DiscardSavepoint(path):
                discard_partial_savepoint(path)
                self._forget_begun(path)
            case CollectOrphans():
                self._collect(instruction)
            case DiscardAll():
                self._discard_all()

    def _discard_checkpoint(self, instruction: DiscardCheckpoint) -> None:
        directory = f"chk-{instruction.checkpoint_id}"
        if instruction.metadata is None and self._files.exists(f"{directory}/{METADATA_NAME}"):
            return  # an earlier leader's: the sweep knows whether it is needed
        self._files.delete(f"{directory}/{METADATA_NAME}")
        stay = {path for kept in instruction.retained for path in referenced_paths(kept)}
        if instruction.metadata is not None:
            for path in sorted(referenced_paths(instruction.metadata) - stay):
                if not paths.is_absolute(path) and path.startswith(f"{paths.SHARED}/"):
                    self._files.delete(path)
        if not any(path.startswith(f"{directory}/") for path in stay):
            self._files.delete_directory(directory)

    def _forget_begun(self, savepoint: str) -> None:
        name = savepoint.rstrip("/").rpartition("/")[2]
        for note in self._files.list(paths.BEGUN):
            if note.endswith(f"-{name}"):
                self._files.delete(note)

    def _collect(self, instruction: CollectOrphans) -> None:
        if instruction.first_epoch == 0:
            self._discard_begun_savepoints(instruction.epoch)
        if instruction.claimed_path:
            _discard_claimed_before(instruction.claimed_path)
        collect_orphans(
            self._root,
            instruction.retained,
            first_checkpoint_id=instruction.first_checkpoint_id,
            before_checkpoint_id=instruction.before_checkpoint_id,
            first_epoch=instruction.first_epoch,
        )

    def _discard_begun_savepoints(self, before_epoch: int) -> None:
        """Savepoints that an earlier JobManager had begun: complete ones are the user's."""
        for note in self._files.list(paths.BEGUN):
            epoch = paths.begun_epoch(note)
            if epoch is None or epoch >= before_epoch:
                continue
            target = self._files.open_input(note).read().decode()
            if not Files(target).exists(METADATA_NAME):
                discard_partial_savepoint(target)
            self._files.delete(note)

    def _discard_all(self) -> None:
        """Delete every checkpoint of the job; results that nobody has fetched yet stay."""
        for name in self._files.list(""):
            directory = name.rstrip("/")
            number = paths.checkpoint_number(directory)
            if number is not None:
                self._files.delete(f"{directory}/{METADATA_NAME}")
            if number is not None or directory in {paths.SHARED, paths.BEGUN}:
                self._files.delete_directory(directory)
        self.delete_empty_root()

    def delete_empty_root(self) -> None:
        """Delete the root when nothing is left but the markers of epochs, and the job has ended."""
        left = self._files.list("", recursive=True)
        if not all(name.endswith("/") or paths.epoch_number(name) is not None for name in left):
            return
        # One by one: a listing that is out of date must not cost what it does not show.
        for name in left:
            if not name.endswith("/"):
                self._files.delete(name)
        if self._files.is_local:
            self._files.delete_directory("")


def _discard_claimed_before(path: str) -> None:
    """A claimed snapshot whose job has completed own checkpoints since; gone already is well."""
    directory = path.rstrip("/").removesuffix(f"/{METADATA_NAME}")
    try:
        metadata = metadata_file.load(directory)
    except CheckpointNotFoundError:
        return
    own = paths.checkpoint_number(directory) is not None
    discard_snapshot(directory, paths.parent(directory) if own else directory, metadata)


def discard_snapshot(
    path: str, root: str, metadata: checkpoint_pb2.CheckpointMetadata
) -> list[str]:
    """Delete a checkpoint or savepoint, wherever it is; files that a sibling refers to stay.

    Args:
        path: its directory.
        root: URI that its relative paths refer to.
        metadata: its content.

    Returns:
        Paths of the files deleted, as its handles have them.

    Raises:
        StateError: a sibling cannot be read, so nobody knows what it needs; or the storage refused.
    """
    stay = set().union(*map(referenced_paths, _siblings(path, root)))
    own = Files(path)
    own.delete(METADATA_NAME)
    files = Files(root)
    gone = sorted(p for p in referenced_paths(metadata) - stay if not paths.is_absolute(p))
    for relative in gone:
        files.delete(relative)
    inside = "" if path == root else f"{path.removeprefix(root).strip('/')}/"
    if not any(relative.startswith(inside) for relative in stay):
        own.delete_directory("")
    return gone


def _siblings(path: str, root: str) -> list[checkpoint_pb2.CheckpointMetadata]:
    """Complete checkpoints below the same root; a savepoint has a root of its own."""
    if path == root:
        return []
    found = []
    for name in Files(root).list(""):
        directory = paths.join(root, name.rstrip("/"))
        if paths.checkpoint_number(name) is None or directory == path:
            continue
        try:
            found.append(metadata_file.load(directory))
        except CheckpointNotFoundError:
            continue
    return found


def discard_partial_savepoint(path: str) -> None:
    """Delete what a savepoint that was given up has left; a complete one is the user's.

    Raises:
        StateError: the path is no savepoint's.
        StorageError: the storage refused.
    """
    if not paths.is_savepoint_root(path):
        msg = f"{path} was not made by a savepoint: it is left alone"
        raise StateError(msg, remedy="delete it by hand when nobody needs it")
    Files(path).delete_directory("")
