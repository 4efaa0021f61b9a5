"""Flow control of one channel, counted in bytes. Pure: no locks, no clock.

The receiver grants ``limit`` bytes once; a batch spends its size, and the receiver gives the bytes
back when the task has taken the batch. A sender with any credit left may send one batch of any
size (the overdraft), so that no batch is too large to be sent. Both ends count with the size
written in the message.
"""

from __future__ import annotations

from lesto.common.errors import InternalError


class CreditSender:
    """The sender's account. It starts empty: the receiver's first grant opens the channel."""

    __slots__ = ("_available", "granted_bytes", "sent_bytes")

    def __init__(self) -> None:
        self._available = 0
        self.granted_bytes = 0
        self.sent_bytes = 0

    @property
    def available(self) -> int:
        """Bytes that may be sent; negative after an overdraft."""
        return self._available

    @property
    def can_send(self) -> bool:
        """Whether a batch may be sent now."""
        return self._available > 0

    def spend(self, nbytes: int) -> None:
        """A batch of ``nbytes`` is sent."""
        if nbytes < 0 or self._available <= 0:
            msg = f"sent {nbytes} bytes with {self._available} bytes of credit"
            raise InternalError(msg)
        self._available -= nbytes
        self.sent_bytes += nbytes

    def grant(self, nbytes: int) -> None:
        """The receiver has given ``nbytes`` (back)."""
        if nbytes <= 0:
            msg = f"a grant of {nbytes} bytes"
            raise InternalError(msg)
        self._available += nbytes
        self.granted_bytes += nbytes


class CreditReceiver:
    """The receiver's account.

    Args:
        limit: bytes that may be under way or queued, one batch's overdraft apart.
    """

    __slots__ = ("_limit", "_owed", "_queued", "_return_at", "_unreturned")

    def __init__(self, limit: int) -> None:
        if limit < 1:
            msg = f"a channel needs credit, got {limit} bytes"
            raise InternalError(msg)
        self._limit = limit
        self._queued = 0  # received and not yet taken by the task
        self._owed = 0  # taken, not yet given back
        self._unreturned = 0  # received and not yet given back = queued + owed
        self._return_at = max(1, limit // 4)

    @property
    def limit(self) -> int:
        """The first grant, bytes."""
        return self._limit

    @property
    def queued(self) -> int:
        """Bytes received and not yet taken."""
        return self._queued

    def receive(self, nbytes: int) -> None:
        """A batch has come. A sender that had no credit for it breaks the protocol."""
        if nbytes < 0 or self._unreturned >= self._limit:
            used = self._unreturned
            msg = f"{nbytes} bytes came on a channel whose credit is used up ({used} bytes)"
            raise InternalError(msg)
        self._queued += nbytes
        self._unreturned += nbytes

    def take(self, nbytes: int) -> int:
        """The task has taken a batch; returns the bytes to give back now, 0 for none.

        Small returns are gathered, but never while the queue is empty: the sender may be waiting.
        """
        if nbytes > self._queued:
            msg = f"took {nbytes} of {self._queued} queued bytes"
            raise InternalError(msg)
        self._queued -= nbytes
        self._owed += nbytes
        if self._owed >= self._return_at or (self._queued == 0 and self._owed > 0):
            back, self._owed = self._owed, 0
            self._unreturned -= back
            return back
        return 0
