"""Says why the first queries after an installation take long: their kernels are compiled."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Final, TextIO

from lesto.kernels.jit import cache_dir

#: A query that waits less needs no explanation.
AFTER_SECONDS: Final = 3.0
EVERY_SECONDS: Final = 0.5
#: Times of files may be so much behind the clock.
_FILE_CLOCK_SECONDS: Final = 0.05
NOTICE: Final = (
    "[INFO] Kernels are compiled for the first time on this machine: this takes up to a minute,"
    " once. Later queries start at once."
)


class CompileNotice:
    """While it is entered, says on standard error, once, that kernels are being compiled.

    It knows from new files in the machine's cache of kernels; of other machines it says nothing.

    Args:
        out: where it is said; standard error by default.
        folder: the cache of kernels.
        after: seconds in which nothing is said.
    """

    def __init__(
        self, out: TextIO | None = None, folder: str = "", after: float = AFTER_SECONDS
    ) -> None:
        self._out = out
        self._folder = folder
        self._after = after
        self._ended = threading.Event()
        self._since = time.time() - _FILE_CLOCK_SECONDS
        self._thread = threading.Thread(target=self._watch, name="compile-notice", daemon=True)

    def __enter__(self) -> CompileNotice:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """Say nothing any more."""
        self._ended.set()

    def _watch(self) -> None:
        wait = self._after
        while not self._ended.wait(wait):
            wait = EVERY_SECONDS
            if self._compiling():
                out = self._out or sys.stderr
                out.write(NOTICE + "\n")
                out.flush()
                return

    def _compiling(self) -> bool:
        """Whether machine code was kept since the beginning."""
        found = Path(self._folder or cache_dir()).rglob("*.nbc")
        return any(_modified(path) > self._since for path in found)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # numba replaces files
        return 0.0
