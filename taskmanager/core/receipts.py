"""Whether a data channel still carries what is sent: by what its other end says has come.

A connection can be alive and carry nothing: a damaged length of a frame lets the receiver wait for
bytes that will not be sent, while the operating system acknowledges those that are. So the
consumer's machine says regularly how many messages have come, whatever its task does with them.

Pure: counts and times in, a verdict out.
"""

from __future__ import annotations

from typing import Final

#: Time without a word, or without progress while something is under way, that means a lost channel.
SILENCE_MS_MAX: Final = 20_000
#: The same before the first word: a consumer may be deployed half a minute after its producer.
CONNECT_MS_MAX: Final = 60_000
#: Looks further apart than this say that this process has slept: the time does not count.
LOOKS_APART_MS_MAX: Final = 10_000


class Receipts:
    """What one end of a channel knows of the other.

    >>> receipts = Receipts()
    >>> receipts.heard(received=0)
    >>> [receipts.is_lost(sent=1, now_ms=now_ms) for now_ms in range(0, 30_000, 10_000)]
    [False, False, True]
    """

    __slots__ = (
        "_heard",
        "_heard_ms",
        "_known",
        "_looked_ms",
        "_progress_ms",
        "_received",
        "_seen",
    )

    def __init__(self) -> None:
        self._received = self._seen = 0  # now, and at the last look
        self._heard = False  # since the last look
        self._known = False  # the consumer has spoken once
        self._heard_ms = self._progress_ms = 0
        self._looked_ms: int | None = None

    def heard(self, received: int) -> None:
        """The consumer says how many messages have come."""
        self._received = received
        self._heard = True

    def is_lost(self, sent: int, now_ms: int) -> bool:
        """Whether the channel carries nothing any more. Ask every few seconds.

        Args:
            sent: messages written so far.
            now_ms: any monotonic clock.
        """
        slept = self._looked_ms is None or now_ms - self._looked_ms > LOOKS_APART_MS_MAX
        if self._heard or slept:
            self._heard_ms = now_ms
            self._known = self._known or self._heard
        if self._received != self._seen or sent <= self._received or slept or not self._known:
            self._progress_ms = now_ms
        self._looked_ms, self._seen, self._heard = now_ms, self._received, False
        limit_ms = SILENCE_MS_MAX if self._known else CONNECT_MS_MAX
        return now_ms - self._heard_ms >= limit_ms or now_ms - self._progress_ms >= limit_ms
