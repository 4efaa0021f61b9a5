"""The working directory of a TaskManager, which does not outlive it for long.

Its owner holds a lock on a file in it. A TaskManager that was killed cannot remove its directory;
the next one on the machine finds the lock free and does. A directory gets its final name when it is
locked, so whatever has that name is either in use or an orphan.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

PREFIX: Final = "lesto-tm-"
LOCK_NAME: Final = ".owner"


class WorkingDirectory:
    """A locked directory below ``parent`` (by default the system's temporary directory)."""

    def __init__(self, parent: str | None) -> None:
        folder = Path(parent or tempfile.gettempdir())
        folder.mkdir(parents=True, exist_ok=True)
        remove_orphans(folder)
        fresh = Path(tempfile.mkdtemp(prefix=f".{PREFIX}", dir=folder))
        self._lock: int | None = os.open(fresh / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = fresh.rename(folder / fresh.name.removeprefix("."))

    def close(self) -> None:
        """Remove it. A second call does nothing."""
        if self._lock is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            os.close(self._lock)
            self._lock = None


def remove_orphans(folder: Path) -> list[Path]:
    """Remove this user's working directories whose owner is dead; returns them."""
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
