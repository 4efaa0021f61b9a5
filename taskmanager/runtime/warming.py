"""Loads the compiled kernels in the background of a slot process that is ready for work."""

from __future__ import annotations

import threading


class KernelWarmer:
    """Imports numba and loads every kernel on a thread of its own."""

    def __init__(self) -> None:
        self._thread = threading.Thread(target=self._warm, name="warm-kernels", daemon=True)
        self._error: BaseException | None = None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def wait(self) -> None:
        """Return when the kernels are loaded.

        Raises:
            Exception: what loading raised: the slot cannot run tasks.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _warm(self) -> None:
        from lesto.kernels import warm

        try:
            warm()
        except BaseException as error:  # noqa: BLE001 - raised by ``wait``
            self._error = error
