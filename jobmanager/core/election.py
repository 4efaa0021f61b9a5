"""When to campaign for the lease, and how long an own one counts.

No clock of another machine is ever looked at. A leader counts its lease from before it asked for
it; an observer counts from when it saw the lease change, which is later, and waits longer. So a
leader stops before anyone replaces it, if both clocks run at the same speed. Where they do not,
the job log fences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

#: An observer waits so much longer than a lease lasts.
PATIENCE = 1.25


class Seen(Protocol):
    """What is known of a lease."""

    @property
    def term(self) -> int:
        """Number of the leadership."""
        ...

    @property
    def holder(self) -> str:
        """Who leads."""
        ...

    @property
    def beat(self) -> str:
        """Changes with each renewal."""
        ...

    @property
    def released(self) -> bool:
        """Given up by its holder."""
        ...


@dataclass(slots=True)
class Election:
    """One candidate's view. Times are its own monotonic ms.

    Attributes:
        me: its id.
        duration_ms: how long a renewal counts.
        term: of the own leadership; 0: none.
    """

    me: str
    duration_ms: int
    term: int = 0
    _valid_until_ms: int = 0
    _seen: tuple[int, str, str] | None = None
    _seen_ms: int = 0

    def should_campaign(self, lease: Seen | None, now_ms: int, *, holder_is_gone: bool) -> bool:
        """Whether the lease that was read is free to be taken over.

        Args:
            lease: as read; None: there is none.
            now_ms: from before it was read.
            holder_is_gone: its process is known to have ended.
        """
        if lease is None or lease.released or holder_is_gone or lease.holder == self.me:
            return True
        seen = (lease.term, lease.holder, lease.beat)
        if seen != self._seen:
            self._seen, self._seen_ms = seen, now_ms
            return False
        return now_ms - self._seen_ms >= self.duration_ms * PATIENCE

    def won(self, lease: Seen, asked_ms: int) -> None:
        """The lease is ours since a request that was made at ``asked_ms``."""
        assert lease.term > self.term, "a term is won once"
        self.term, self._valid_until_ms = lease.term, asked_ms + self.duration_ms
        self._seen = None

    def renewed(self, asked_ms: int) -> None:
        """It is ours still."""
        assert self.term, "renewed without a lease"
        self._valid_until_ms = max(self._valid_until_ms, asked_ms + self.duration_ms)

    def lost(self) -> None:
        """It is ours no more."""
        self.term, self._valid_until_ms = 0, 0

    def leads(self, term: int, now_ms: int) -> bool:
        """Whether the leadership of ``term`` counts at ``now_ms``."""
        return term == self.term and now_ms < self._valid_until_ms
