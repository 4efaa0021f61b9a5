"""Flow control of one channel, counted in bytes. Pure: no locks, no clock.

The receiver grants ``limit`` bytes once; a batch spends its size, and the receiver gives the bytes
back when the task has taken the batch, on a narrowed channel when the task is through with it. A
sender with any credit left may send one batch of any size (the overdraft), so that no batch is too
large to be sent. Both ends count with the size written in the message.
"""

from __future__ import annotations

from typing import Final

from lesto.common.errors import InternalError

#: A narrowed channel takes batches of this part of its window, and gives back as much at once.
WINDOW_PARTS: Final = 4


class CreditSender:
    """The sender's account. It starts empty: the receiver's first grant opens the channel.

    Attributes:
        window: bytes that the receiver lets wait, when that is less than the limit; else 0.
    """

    __slots__ = ("_available", "granted_bytes", "sent_bytes", "window")

    def __init__(self) -> None:
        self._available = 0
        self.granted_bytes = 0
        self.sent_bytes = 0
        self.window = 0

    @property
    def available(self) -> int:
        """Bytes that may be sent; negative after an overdraft."""
        return self._available

    @property
    def can_send(self) -> bool:
        """Whether a batch may be sent now."""
        return self._available > 0

    @property
    def room(self) -> int | None:
        """Bytes that a batch should not exceed; None: it may be of any size.

        A quarter of the window may be overdrawn: else the last bytes of credit would be spent on
        tiny batches.
        """
        return max(self._available, self.window // WINDOW_PARTS, 1) if self.window else None

    def spend(self, nbytes: int) -> None:
        """A batch of ``nbytes`` is sent."""
        if nbytes < 0 or self._available <= 0:
            msg = f"sent {nbytes} bytes with {self._available} bytes of credit"
            raise InternalError(msg)
        self._available -= nbytes
        self.sent_bytes += nbytes

    def grant(self, nbytes: int, window: int = 0) -> None:
        """The receiver has given ``nbytes`` (back); ``window`` as the attribute."""
        if nbytes <= 0:
            msg = f"a grant of {nbytes} bytes"
            raise InternalError(msg)
        self._available += nbytes
        self.granted_bytes += nbytes
        self.window = window


class CreditReceiver:
    """The receiver's account.

    A consumer that is slower than its producer narrows the *window*: of the limit it then keeps
    back so much that only the window's bytes are under way or queued. What is queued is what an
    aligned barrier waits for and what an unaligned one has to keep.

    Args:
        limit: bytes that may be under way or queued, one batch's overdraft apart.
        window: to begin with; the limit by default.
    """

    __slots__ = ("_limit", "_owed", "_queued", "_unreturned", "_window")

    def __init__(self, limit: int, window: int | None = None) -> None:
        if limit < 1 or (window is not None and window < 1):
            msg = f"a channel needs credit, got {limit} bytes and a window of {window}"
            raise InternalError(msg)
        self._limit = limit
        self._window = limit if window is None else min(window, limit)
        self._queued = 0  # received and not yet taken by the task, or not yet worked off
        self._owed = limit - self._window  # taken, or never granted, and not yet given back
        self._unreturned = self._owed  # queued + owed

    @property
    def first_grant(self) -> int:
        """Bytes that open the channel."""
        return self._limit - self._owed

    @property
    def queued(self) -> int:
        """Bytes received and not yet taken."""
        return self._queued

    @property
    def window(self) -> int:
        """Bytes that may be under way or queued."""
        return self._window

    @property
    def narrowed(self) -> int:
        """The window when it is less than the limit, else 0."""
        return self._window if self._window < self._limit else 0

    def narrow(self, window: int) -> int:
        """Use no more than ``window`` bytes of the limit; returns the bytes to give back now."""
        if window < 1:
            msg = f"a channel needs credit, got a window of {window} bytes"
            raise InternalError(msg)
        self._window = min(window, self._limit)
        return self._due()

    def receive(self, nbytes: int) -> None:
        """A batch has come. A sender that had no credit for it breaks the protocol."""
        if nbytes < 0 or self._unreturned >= self._limit:
            used = self._unreturned
            msg = f"{nbytes} bytes came on a channel whose credit is used up ({used} bytes)"
            raise InternalError(msg)
        self._queued += nbytes
        self._unreturned += nbytes

    def take(self, nbytes: int) -> int:
        """The task has taken a batch, or is through with a part of one; returns the bytes to give
        back now, 0 for none.

        Small returns are gathered, but never while the queue is empty: the sender may be waiting.
        """
        if nbytes > self._queued:
            msg = f"took {nbytes} of {self._queued} queued bytes"
            raise InternalError(msg)
        self._queued -= nbytes
        self._owed += nbytes
        return self._due()

    def _due(self) -> int:
        """Bytes to give back, which are given back with that: none of those kept."""
        back = self._owed - (self._limit - self._window)
        if back <= 0 or (back < self._window // WINDOW_PARTS and self._queued > 0):
            return 0
        self._owed -= back
        self._unreturned -= back
        return back
