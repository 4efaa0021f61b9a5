"""A job's durable names: epochs, checkpoints, savepoints, results. Blocking: for I/O threads."""

from __future__ import annotations

import contextlib
import secrets

from lesto.jobmanager.core.events import CheckpointLoaded
from lesto.jobmanager.core.instructions import Discard, DiscardAll
from lesto.jobmanager.server import metadata_file
from lesto.jobmanager.server.checkpoint_cleaner import CheckpointCleaner
from lesto.jobmanager.server.ha.job_log import JobLog
from lesto.proto import checkpoint_pb2
from lesto.state import paths
from lesto.state.errors import CheckpointExistsError, CorruptFileError, StorageError
from lesto.state.files import Files
from lesto.state.paths import METADATA_NAME, CheckpointPaths

#: Tries to claim an epoch while others claim at the same time.
EPOCH_TRIES_MAX = 100


class CheckpointStore:
    """Everything below ``<checkpoint dir>/<job id>``.

    Args:
        checkpoint_dir: URI or local path.
        job_id: the job.
        log: makes the order among leaders; None: without high availability there is one leader.
    """

    def __init__(self, checkpoint_dir: str, job_id: str, log: JobLog | None = None) -> None:
        self.paths = CheckpointPaths(checkpoint_dir, job_id)
        self.log = log
        #: Size of the newest metadata.
        self.metadata_bytes: int | None = None
        self._files = Files(self.paths.root)
        self._cleaner = CheckpointCleaner(self.paths.root)

    @property
    def root(self) -> str:
        """URI of the job's root."""
        return self.paths.root

    def next_epoch(self, owner: str) -> int:
        """Claim the next epoch by creating its marker; nobody else gets the same number.

        Args:
            owner: who claims it, written into the marker for people.

        Raises:
            StorageError: the storage refused.
        """
        taken = 0
        marker = f"{owner} {secrets.token_hex(8)}\n".encode()  # nobody else's has this content
        for _ in range(EPOCH_TRIES_MAX):
            numbers = map(paths.epoch_number, self._files.list(""))
            # A listing that is out of date must not offer the same number again.
            taken = max([taken, *(number for number in numbers if number is not None)])
            try:
                self._files.create(f"epoch-{taken + 1}", marker)
            except CheckpointExistsError:
                taken += 1
                continue
            return taken + 1
        msg = f"{EPOCH_TRIES_MAX} epochs of {self.root} were claimed by others meanwhile"
        raise CheckpointExistsError(msg, remedy="run one JobManager on this directory")

    def begin_savepoint(self, target: str, epoch: int) -> None:
        """Note where a savepoint is about to be written: should the JobManager die, the next one
        deletes what there is.

        Raises:
            StorageError: the storage refused.
        """
        self._files.write(paths.begun_note(epoch, target), lambda: iter([target.encode()]))

    def forget_savepoint(self, target: str, epoch: int) -> None:
        """A savepoint was refused: drop the note, unless something has been written already.

        Raises:
            StorageError: the storage refused.
        """
        if not Files(target).exists(""):
            self._files.delete(paths.begun_note(epoch, target))

    def write(
        self, metadata: checkpoint_pb2.CheckpointMetadata, target: str, *, restarts: int = 0
    ) -> str:
        """Complete a checkpoint by one atomic create; its path.

        With a log, the moment of truth is the entry behind the metadata: no later leader has
        claimed the job until then.

        Args:
            metadata: its content.
            target: root of a savepoint; empty: the job's own directory.
            restarts: of the job so far, for the next leader.

        Raises:
            CheckpointExistsError: somebody else has completed it, or an ex-leader has left its
                metadata.
            LeaderFencedError: another leader has claimed the job.
            StorageError: the storage refused.
        """
        if self.log is not None:
            self.log.check_leading()
        directory = target or self.paths.checkpoint(metadata.checkpoint_id)
        content = metadata_file.encode(metadata)
        self.metadata_bytes = len(content)
        try:
            Files(directory).create(METADATA_NAME, content)
        except CheckpointExistsError:
            if Files(directory).open_input(METADATA_NAME).read() != content:
                raise  # else it is ours: the answer to an earlier try was lost
        if self.log is not None:
            self.log.checkpoint(
                metadata.checkpoint_id, directory, savepoint=bool(target), restarts=restarts
            )
        if target:
            # It is complete: a note that stays tells the next epoch nothing else.
            with contextlib.suppress(StorageError):
                self._files.delete(paths.begun_note(metadata.epoch, target))
        return directory

    def discard(self, instruction: Discard) -> None:
        """Delete what an instruction of the coordinator names.

        Raises:
            StateError: the storage refused, or a snapshot's neighbours cannot be read; calling it
                again goes on.
        """
        self._cleaner.discard(instruction)

    def discard_all(self) -> None:
        """Delete every checkpoint of the job; results that nobody has fetched yet stay.

        Raises:
            StorageError: the storage refused; calling it again goes on.
        """
        self.discard(DiscardAll())

    def numbers(self) -> list[int]:
        """Numbers of checkpoints that have left anything, complete or not.

        Raises:
            StorageError: the storage refused.
        """
        found = (paths.checkpoint_number(name) for name in self._files.list(""))
        return [number for number in found if number is not None]

    def results(self, operator_uid: str) -> list[str]:
        """Committed result files of a collect sink, in order."""
        names = self._files.list(f"collect/{operator_uid}")
        return [name for name in names if name.rpartition("/")[2].startswith("part-")]

    def read(self, relative: str) -> bytes:
        """A whole file."""
        with self._files.open_input(relative) as source:
            return bytes(source.read())

    def delete_results(self, operator_uid: str) -> None:
        """Delete the results of a collect sink; the job has ended and they are read."""
        self._files.delete_directory(f"collect/{operator_uid}")
        self._cleaner.delete_empty_root()


def load_checkpoint(path: str) -> CheckpointLoaded:
    """Read the checkpoint or savepoint at ``path``: its directory, or its ``_metadata``.

    Raises:
        CheckpointNotFoundError: there is none.
        CorruptFileError: its metadata is damaged.
        StorageError: the storage refused.
    """
    directory = path.rstrip("/")
    if directory.endswith(f"/{METADATA_NAME}"):
        directory = paths.parent(directory)
    metadata = metadata_file.load(directory)
    number = paths.checkpoint_number(directory)
    own = number is not None
    if own and number != metadata.checkpoint_id:
        msg = f"{directory} holds the metadata of checkpoint {metadata.checkpoint_id}"
        raise CorruptFileError(msg, remedy="restore from another checkpoint; files were mixed up")
    return CheckpointLoaded(metadata, directory, paths.parent(directory) if own else directory)
