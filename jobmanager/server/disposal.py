"""Disposal of savepoints and retained checkpoints at a user's request."""

from __future__ import annotations

from lesto.common.locations import absolute
from lesto.jobmanager.core.job_master import JobMaster
from lesto.jobmanager.errors import JobStateError
from lesto.jobmanager.server.checkpoint_cleaner import discard_snapshot
from lesto.jobmanager.server.checkpoint_store import load_checkpoint


def check_unused(path: str, master: JobMaster) -> None:
    """A snapshot that a job may restart from, or has taken itself and keeps, stays.

    Raises:
        JobStateError: the job uses it.
    """
    wanted = absolute(path).rstrip("/").removesuffix("/_metadata")
    latest = master.coordinator.latest
    used = [checkpoint.path for checkpoint in master.coordinator.retained]
    used += [latest.path] if latest is not None else []
    if wanted in {path.rstrip("/") for path in used}:
        msg = f"job {master.graph.name} ({master.graph.job_id}) uses {wanted}"
        raise JobStateError(msg, remedy="wait for its next checkpoint, or end the job first")


def dispose_snapshot(path: str) -> int:
    """Delete what the metadata at ``path`` names, nothing else; the number of files. Blocking.

    Raises:
        CheckpointNotFoundError: there is no complete savepoint or checkpoint.
        CorruptFileError: its metadata, or that of a neighbour with shared files, is damaged.
        StorageError: the storage refused.
    """
    loaded = load_checkpoint(absolute(path))
    return len(discard_snapshot(loaded.path, loaded.root, loaded.metadata))
