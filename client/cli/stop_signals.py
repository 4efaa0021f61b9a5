"""Waits for the signals that end a server process."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Which signal asked for the end, once one has."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal: signal.Signals | None = None

    def request(self, number: int, _frame: FrameType | None = None) -> None:
        """Note a signal; later ones change nothing, so that stopping is not interrupted."""
        if self.signal is None:
            self.signal = signal.Signals(number)
        self._event.set()

    @property
    def requested(self) -> bool:
        """Whether the process is to end."""
        return self._event.is_set()

    def wait(self, check: Callable[[], None] | None = None, interval: float = 0.5) -> None:
        """Return once a signal has come; call ``check`` now and then, which may raise."""
        while not self._event.wait(interval):
            if check is not None:
                check()


@contextlib.contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Turn Ctrl-C, SIGTERM and SIGHUP into a request while the block runs."""
    request = StopRequest()
    before = {number: signal.signal(number, request.request) for number in STOP_SIGNALS}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Turn SIGTERM into ``SystemExit`` while the block runs, so that clean-up happens."""
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _exit(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
