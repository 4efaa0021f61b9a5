"""Temporary directories that do not outlive their process, not even when it is killed.

A directory's owner holds a lock on a file in it. Whoever makes the next one removes those whose
owner is gone: the lock of a dead process is free.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX = "lesto-"
LOCK_NAME = ".owner"
ORPHAN_MIN_AGE_SECONDS = 60.0  # a younger one may not have been locked yet


class ScratchDirectory:
    """A temporary directory; ``close`` removes it.

    Args:
        purpose: part of its name.
        parent: where it is made; by default the system's temporary directory.
    """

    def __init__(self, purpose: str, parent: str | None = None) -> None:
        folder = Path(parent or tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        remove_orphans(folder)
        self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{purpose}-", dir=folder))
        self._lock: int | None = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def close(self) -> None:
        """Remove the directory and what is in it. A second call does nothing."""
        if self._lock is None:
            return
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)
        self._lock = None


def remove_orphans(folder: Path) -> list[Path]:
    """Remove this user's scratch directories whose owner is dead; return them."""
    removed = []
    for lock in folder.glob(f"{PREFIX}*/{LOCK_NAME}"):
        with contextlib.suppress(OSError):  # another process is removing it, or owns it
            status = lock.stat()
            young = time.time() - status.st_mtime < ORPHAN_MIN_AGE_SECONDS
            if status.st_uid != os.getuid() or young:
                continue
            descriptor = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
                removed.append(lock.parent)
            finally:
                os.close(descriptor)
    return removed
