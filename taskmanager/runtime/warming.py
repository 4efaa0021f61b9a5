"""Loads the compiled kernels in the background of a slot process that is ready for work."""

from __future__ import annotations

import threading
from typing import Final

from lesto.common.logs import get_logger

#: With a cache on disk loading takes about half a second. Compiling everything the first time
#: takes much longer than most jobs need to wait: each kernel is compiled at its first use, if it
#: is used at all.
WAIT_MAX_SECONDS: Final = 3.0


class KernelWarmer:
    """Imports numba and loads every kernel on a thread of its own.

    Two threads that import packages with circular imports at the same time can deadlock; Python
    notices and raises in one of them. So tasks, whose code imports whatever it
    likes, are built behind ``wait``.
    """

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._warm, name="warm-kernels", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self) -> None:
        """Return when the kernels are loaded, or after WAIT_MAX_SECONDS: they are compiled then."""
        self._thread.join(WAIT_MAX_SECONDS)
        if self._thread.is_alive():
            get_logger("lesto.slot").info("kernels.compiling", waited_seconds=WAIT_MAX_SECONDS)

    def _warm(self) -> None:
        from lesto.kernels import warm

        try:
            warm()
        except Exception as error:  # noqa: BLE001 - a kernel that is needed is loaded again and raises
            get_logger("lesto.slot").warning("kernels.not_loaded", error=repr(error))
