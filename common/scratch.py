"""Temporary directories that do not outlive their process, not even when it is killed.

A directory's owner holds a lock on a file in it. Whoever makes the next one removes those whose
owner is gone: the lock of a dead process is free. A directory gets its final name when it is
locked, so whatever has such a name and a free lock is an orphan.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

PREFIX: Final = "lesto-"
LOCK_NAME: Final = ".owner"


class ScratchDirectory:
    """A locked temporary directory; ``close`` removes it.

    Args:
        purpose: part of its name.
        parent: where it is made; by default the system's temporary directory.
    """

    def __init__(self, purpose: str, parent: str | None = None) -> None:
        folder = Path(parent or tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        remove_orphans(folder)
        fresh = Path(tempfile.mkdtemp(prefix=f".{PREFIX}{purpose}-", dir=folder))
        self._lock: int | None = os.open(fresh / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = fresh.rename(folder / fresh.name.removeprefix("."))

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
        with contextlib.suppress(OSError):  # in use, or just being removed by another
            if lock.stat().st_uid != os.getuid():
                continue
            descriptor = os.open(lock, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
                removed.append(lock.parent)
            finally:
                os.close(descriptor)
    return removed
