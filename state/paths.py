"""Every object name of checkpoint storage is made here.

::

    <checkpoint dir>/<job id>/            the job's root: relative FileHandle paths start here
        shared/<name>                     files that several checkpoints may reference
        savepoints-begun/<epoch>-<name>   where a savepoint under way is written to
        chk-<n>/_metadata                 its presence makes checkpoint n complete
        chk-<n>/<name>                    files of checkpoint n alone
    <target>/savepoint-<job6>-<random>/   a savepoint's root, self-contained
        _metadata
        files/<name>

A file's name says who wrote it (checkpoint, epoch, attempt) and ends in a random part: no two
writers, stale ones included, ever write the same object.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

METADATA_NAME = "_metadata"
#: Directory of notes about savepoints under way: whose they are, should the JobManager die.
BEGUN = "savepoints-begun"
SHARED = "shared"
_CHECKPOINT_DIR = re.compile(r"chk-(\d+)")
_EPOCH_MARKER = re.compile(r"epoch-(\d+)")
_FILE_NAME = re.compile(r"c(\d+)-e(\d+)-a[^/]*-[0-9a-f]{16}(?:\.[a-z]+)?")
_BEGUN_NOTE = re.compile(BEGUN + r"/(\d+)-savepoint-[^/]+")
#: What a local writer that was killed leaves: the name under which it was writing.
_TEMPORARY = re.compile(r"\.[0-9a-f]{12}\.tmp$")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.]")


def join(root: str, *parts: str) -> str:
    """Join URI or path segments with single slashes.

    >>> join("s3://bucket/ck/", "job", "chk-1")
    's3://bucket/ck/job/chk-1'
    """
    return "/".join([root.rstrip("/"), *parts])


def is_absolute(path: str) -> bool:
    """Whether a FileHandle path stands alone (a URI or an absolute path)."""
    return path.startswith("/") or "://" in path


def parent(path: str) -> str:
    """The path without its last segment."""
    return path.rstrip("/").rpartition("/")[0]


def checkpoint_number(path: str) -> int | None:
    """The n of a path that ends in ``chk-<n>``.

    >>> checkpoint_number("/ck/job/chk-12")
    12
    """
    found = _CHECKPOINT_DIR.fullmatch(path.rstrip("/").rpartition("/")[2])
    return int(found[1]) if found else None


def file_checkpoint(name: str) -> int | None:
    """The checkpoint that wrote a file, from its name; None for names not ours."""
    written = written_by(name)
    return written.checkpoint_id if written else None


@dataclass(frozen=True, slots=True)
class Written:
    """Who wrote a file, as its name says."""

    checkpoint_id: int
    epoch: int


def written_by(name: str) -> Written | None:
    """Who wrote a file, or was writing it when it died; None for names not ours.

    >>> written_by("shared/c7-e2-a1-00112233aabbccdd.sst")
    Written(checkpoint_id=7, epoch=2)
    """
    found = _FILE_NAME.fullmatch(_TEMPORARY.sub("", name.rpartition("/")[2]))
    return Written(int(found[1]), int(found[2])) if found else None


def is_temporary(name: str) -> bool:
    """Whether a local writer that was killed has left it."""
    return _TEMPORARY.search(name) is not None


def epoch_number(name: str) -> int | None:
    """The number of an epoch's marker."""
    found = _EPOCH_MARKER.fullmatch(name)
    return int(found[1]) if found else None


def top(path: str) -> str:
    """First segment of a relative path.

    >>> top("chk-3/_metadata")
    'chk-3'
    """
    return path.partition("/")[0]


def file_name(checkpoint_id: int, epoch: int, attempt: str, suffix: str = "") -> str:
    """A new unique name for a file."""
    who = _UNSAFE.sub("_", attempt)
    return f"c{checkpoint_id}-e{epoch}-a{who}-{secrets.token_hex(8)}{suffix}"


@dataclass(frozen=True, slots=True)
class CheckpointPaths:
    """Names below one job's checkpoint root.

    Attributes:
        checkpoint_dir: URI or local path of ``execution.checkpointing.dir``.
        job_id: the job.
    """

    checkpoint_dir: str
    job_id: str

    @property
    def root(self) -> str:
        """The job's root; what ``TaskDeployment.checkpoint_root`` carries."""
        return join(self.checkpoint_dir, self.job_id)

    @property
    def shared(self) -> str:
        """Directory of shared files."""
        return join(self.root, SHARED)

    def checkpoint(self, checkpoint_id: int) -> str:
        """Directory of one checkpoint."""
        return join(self.root, f"chk-{checkpoint_id}")

    def metadata(self, checkpoint_id: int) -> str:
        """The object that completes a checkpoint."""
        return join(self.checkpoint(checkpoint_id), METADATA_NAME)

    def new_savepoint(self, target: str) -> str:
        """A new savepoint directory below ``target``; its ``_metadata`` lies directly in it."""
        return join(target, f"savepoint-{self.job_id[:6]}-{secrets.token_hex(6)}")


def begun_note(epoch: int, savepoint: str) -> str:
    """Relative name of the note about a savepoint, from its root."""
    return f"{BEGUN}/{epoch}-{savepoint.rstrip('/').rpartition('/')[2]}"


def begun_epoch(note: str) -> int | None:
    """The epoch of a note."""
    found = _BEGUN_NOTE.fullmatch(note)
    return int(found[1]) if found else None


def is_savepoint_root(root: str) -> bool:
    """Whether a root was made by :meth:`CheckpointPaths.new_savepoint`."""
    return urlsplit(root).path.rstrip("/").rpartition("/")[2].startswith("savepoint-")
