"""A lease, and what a service must offer to keep one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Candidate:
    """Who campaigns.

    Attributes:
        holder: id of the JobManager process.
        address: ``host:port`` at which TaskManagers and clients reach it.
        process: names its process on its machine (see ``process_identity``); empty: unknown.
    """

    holder: str
    address: str
    process: str = ""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who leads, as one look at the service showed it.

    No time is in it: an observer's own monotonic clock says how long it has not changed.

    Attributes:
        term: number of the leadership; raised by each change of leader.
        holder: id of the JobManager that leads.
        address: ``host:port`` of it.
        beat: changes with each renewal; means nothing else.
        released: given up by its holder.
        process: the holder's process on its machine.
        version: the service's own mark of this state, for its conditional writes.
    """

    term: int
    holder: str
    address: str
    beat: str
    released: bool = False
    process: str = ""
    version: str = ""


class LeaseStore(Protocol):
    """One lease in some service. Blocking; used by one thread at a time.

    Every method raises ``LeaseServiceError`` when the service does not do it, or may not have.
    """

    def read(self) -> Lease | None:
        """The newest lease; None: nobody has ever led."""
        ...

    def acquire(self, seen: Lease | None, candidate: Candidate) -> Lease | None:
        """Begin the next term, provided that nothing has changed since ``seen``.

        Returns:
            The own lease; None: something has changed.
        """
        ...

    def renew(self, lease: Lease) -> Lease | None:
        """Show that the holder is alive; the lease as it is now. None: it is lost."""
        ...

    def release(self, lease: Lease) -> None:
        """Give it up, so that another one need not wait. Does nothing when it is lost already."""
        ...

    def close(self) -> None:
        """Release connections."""
        ...
