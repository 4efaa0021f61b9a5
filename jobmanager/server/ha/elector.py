"""Campaigns for the lease and renews it, on a thread of its own.

Not on the event loop: a job graph that takes a second to take in must not cost the leadership.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from lesto.common.clock import Clock
from lesto.common.errors import InternalError, LestoError
from lesto.common.logs import get_logger
from lesto.jobmanager.core.election import Election
from lesto.jobmanager.server.ha.process_identity import is_gone
from lesto.state.leases import Candidate, Lease, LeaseStore

logger = get_logger("lesto.jobmanager.election")
#: Time that the thread gets to give the lease up when the JobManager stops.
STOP_SECONDS = 5.0


class Elector:
    """One candidate.

    Args:
        store: the lease.
        candidate: who campaigns.
        clock: only its monotonic side counts.
        duration_ms: how long a renewal counts.
        interval_ms: between two renewals, and between two looks at another's lease.
        on_gained: called on the thread with the term.
        on_lost: called on the thread with the term and the reason.

    Attributes:
        decided: set once it is known who leads.
    """

    def __init__(
        self,
        store: LeaseStore,
        candidate: Candidate,
        clock: Clock,
        *,
        duration_ms: int,
        interval_ms: int,
        on_gained: Callable[[int], None],
        on_lost: Callable[[int, str], None],
    ) -> None:
        self.decided = threading.Event()
        self.failure: LestoError | None = None
        self._store = store
        self._candidate = candidate
        self._clock = clock
        self._interval = interval_ms / 1000
        self._election = Election(candidate.holder, duration_ms)
        self._on_gained, self._on_lost = on_gained, on_lost
        self._own: Lease | None = None
        self._observed: Lease | None = None
        self._resign = ""
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="leader-election", daemon=True)

    def start(self) -> None:
        """Begin to campaign."""
        self._thread.start()

    def stop(self) -> None:
        """Give the lease up if it is ours, and end. Blocking. A second call does nothing."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(STOP_SECONDS)

    def leads(self, term: int) -> bool:
        """Whether the leadership of ``term`` counts at this moment. From any thread."""
        return self._election.leads(term, self._clock.monotonic_ms())

    def leader(self) -> Lease | None:
        """The newest lease that was seen; from any thread."""
        return self._own or self._observed

    def resign(self, reason: str) -> None:
        """Somebody has proof that another one leads: stop at once. From any thread."""
        self._resign = reason
        self._wake.set()

    # ------------------------------------------------------------------------------- the thread

    def _run(self) -> None:
        while not self._stopping:
            try:
                if self._own is None:
                    self._look()
                else:
                    self._renew(self._own)
                self.failure = None
            except LestoError as error:
                self._failed(error)
            except Exception as error:  # noqa: BLE001 - told; without this thread nobody leads
                self._failed(InternalError(f"{type(error).__name__}: {error}"))
            self._wake.wait(self._interval)
            self._wake.clear()
        self._give_up()
        self._store.close()

    def _failed(self, error: LestoError) -> None:
        if self.failure is None:
            logger.warning("election.service_failed", error=str(error))
        self.failure = error
        if self._own is not None and not self.leads(self._own.term):
            self._lose(self._own, "its lease could not be renewed in time")

    def _look(self) -> None:
        now_ms = self._clock.monotonic_ms()
        lease = self._store.read()
        gone = lease is not None and is_gone(lease.process)
        if not self._election.should_campaign(lease, now_ms, holder_is_gone=gone):
            if lease is not None and (self._observed is None or lease.term != self._observed.term):
                logger.info("election.standby", leader=lease.address, term=lease.term)
            self._observed = lease
            self.decided.set()
            return
        asked_ms = self._clock.monotonic_ms()
        own = self._store.acquire(lease, self._candidate)
        if own is None:
            return
        self._resign = ""
        self._own = own
        self._election.won(own, asked_ms)
        logger.info("election.won", term=own.term, address=own.address)
        self._on_gained(own.term)
        self.decided.set()

    def _renew(self, own: Lease) -> None:
        asked_ms = self._clock.monotonic_ms()
        if self._resign:
            self._lose(own, self._resign)
            return
        # After a long pause nothing may be written, not even a renewal.
        if not self.leads(own.term):
            self._lose(own, "this process was paused for longer than its lease lasts")
            return
        renewed = self._store.renew(own)
        if renewed is None:
            self._lose(own, "another JobManager holds the lease")
            return
        self._own = renewed
        self._election.renewed(asked_ms)

    def _lose(self, own: Lease, reason: str) -> None:
        self._own = None
        self._election.lost()
        logger.warning("election.lost", term=own.term, reason=reason)
        self._on_lost(own.term, reason)

    def _give_up(self) -> None:
        own, self._own = self._own, None
        self._election.lost()
        if own is None:
            return
        try:
            self._store.release(own)
        except LestoError as error:
            logger.warning("election.release_failed", error=str(error))
