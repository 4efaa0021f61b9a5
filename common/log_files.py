"""The log files of a process: written in bounded pieces, listed and read by name.

A process of a cluster logs to standard error and, for who looks from elsewhere, to a file in a
folder of its own: below ``env.log.dir``, where it stays, or in a temporary folder that goes with
the process. What user code prints goes to a file too.
"""

from __future__ import annotations

import contextlib
import io
import logging
import re
import shutil
import stat
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, TextIO

from lesto.common.inspection import LOG_PIECE_BYTES_MAX, InspectionError
from lesto.common.logs import attach_handler, is_configured
from lesto.common.scratch import ScratchDirectory

#: Bytes at which a file is set aside, and how many are kept beside the newest.
FILE_BYTES_MAX: Final = 10 << 20
FILES_KEPT: Final = 4
#: Folders of ended processes below ``env.log.dir`` that are kept, the newest.
FOLDERS_KEPT: Final = 20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file as it is listed."""

    name: str
    size_bytes: int
    modified_ms: int


@dataclass(frozen=True, slots=True)
class LogPiece:
    """Part of a file: its content, where it begins, and how long the file is now."""

    content: bytes
    offset: int
    size_bytes: int


class LogFolder:
    """The folder of one process, or of a TaskManager and its slots.

    Args:
        process: its name, unique on the machine: ``jobmanager-1a2b``, ``tm-3c4d``.
        directory: ``env.log.dir``; None: a temporary folder that ``close`` removes.
        temporary: where temporary folders go; by default the system's.
    """

    def __init__(
        self, process: str, directory: str | None = None, temporary: str | None = None
    ) -> None:
        self._scratch: ScratchDirectory | None = None
        if directory is None:
            self._scratch = ScratchDirectory("logs", temporary)
            self.path = self._scratch.path
        else:
            self.path = Path(directory) / process
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / _ALIVE).touch()
            _forget_old(Path(directory), self.path)

    def file(self, name: str) -> Path:
        """Return where a file of this folder is, to be written by its process."""
        assert _NAME.fullmatch(name), name
        return self.path / name

    def list(self) -> list[LogFile]:
        """Return the files by name."""
        found = []
        for path in sorted(self.path.iterdir()):
            with contextlib.suppress(FileNotFoundError):  # set aside just now
                at = path.lstat()
                if stat.S_ISREG(at.st_mode) and _NAME.fullmatch(path.name):
                    found.append(LogFile(path.name, at.st_size, int(at.st_mtime * 1000)))
        return found

    def read(self, name: str, offset: int, max_bytes: int) -> LogPiece:
        """Return part of a file.

        Args:
            name: as listed.
            offset: first byte; negative: from the end.
            max_bytes: of the part; 0 and what is above the limit mean the limit.

        Raises:
            InspectionError: there is no such file.
        """
        # Looked up among what is there: a name never becomes a path.
        if name not in {file.name for file in self.list()}:
            msg = "there is no log file of that name"
            raise InspectionError(msg, remedy="list the files first")
        with (self.path / name).open("rb") as stream:
            size = stream.seek(0, io.SEEK_END)
            start = max(0, size + offset) if offset < 0 else min(offset, size)
            stream.seek(start)
            wanted = min(max_bytes if max_bytes > 0 else LOG_PIECE_BYTES_MAX, LOG_PIECE_BYTES_MAX)
            return LogPiece(stream.read(wanted), start, size)

    def close(self) -> None:
        """Remove a temporary folder. A second call does nothing."""
        if self._scratch is not None:
            self._scratch.close()


#: Marks a folder of ours, so that only such are ever removed; its time is that of the last start.
_ALIVE: Final = ".lesto-logs"
#: A folder younger than this may be of a process that runs.
_OLD_SECONDS: Final = 7 * 24 * 3600.0


def _forget_old(directory: Path, own: Path) -> None:
    """Remove folders of ended processes: more than are kept, and not written to for a week."""
    aged = []
    for marker in directory.glob(f"*/{_ALIVE}"):
        with contextlib.suppress(OSError):
            newest = max(path.stat().st_mtime for path in marker.parent.iterdir())
            aged.append((newest, marker.parent))
    aged.sort(reverse=True)
    limit = time.time() - _OLD_SECONDS
    for newest, folder in aged[FOLDERS_KEPT:]:
        if newest < limit and folder != own:
            shutil.rmtree(folder, ignore_errors=True)


def rotating_handler(path: Path) -> logging.Handler:
    """Return a handler that appends to a file and sets it aside when it is full."""
    return RotatingFileHandler(path, maxBytes=FILE_BYTES_MAX, backupCount=FILES_KEPT)


def write_log(path: Path) -> Callable[[], None]:
    """Write this process's log to a file too; return what ends that.

    Where the logs are the program's own there is no file.
    """
    return attach_handler(rotating_handler(path)) if is_configured() else lambda: None


class OutputCopy(io.TextIOBase):
    """A standard stream whose lines also go to a bounded file.

    A full disk must not fail the user's function: the copy stops, and says so on standard error.
    """

    def __init__(self, stream: TextIO, path: Path) -> None:
        self._stream = stream
        self._path = path
        self._file: TextIO | None = path.open("a", 1, "utf-8", "replace")
        self._lock = threading.Lock()

    def write(self, text: str) -> int:
        """Write to both."""
        written = self._stream.write(text)
        with self._lock:
            if self._file is not None:
                try:
                    self._file.write(text)
                    if self._file.tell() > FILE_BYTES_MAX:
                        self._set_aside()
                except OSError as error:
                    self._file = None
                    sys.stderr.write(f"lesto: {self._path.name} is no longer written: {error}\n")
        return written

    def _set_aside(self) -> None:
        assert self._file is not None
        self._file.close()
        self._path.replace(self._path.with_name(self._path.name + ".1"))
        self._file = self._path.open("a", 1, "utf-8", "replace")

    def flush(self) -> None:
        """Flush both."""
        self._stream.flush()
        with self._lock:
            if self._file is not None:
                with contextlib.suppress(OSError):  # told at the next write
                    self._file.flush()

    def close(self) -> None:
        """Close the file; the stream stays open."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
        super().close()

    def fileno(self) -> int:
        """Return the stream's."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Return whether people read the stream."""
        return self._stream.isatty()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Return the stream's."""
        return self._stream.encoding

    @property
    def buffer(self) -> Any:
        """Return the stream's bytes: what is written there is not copied."""
        return self._stream.buffer

    def writable(self) -> bool:
        """Return true."""
        return True


def copy_output(path: Path) -> Callable[[], None]:
    """Copy what this process prints to a file; return what ends that."""
    before = sys.stdout
    copy = OutputCopy(before, path)
    sys.stdout = copy

    def end() -> None:
        if sys.stdout is copy:
            sys.stdout = before
        copy.close()

    return end
