"""Where the leader may be: for TaskManagers and clients that have lost it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from lesto.common.config import Configuration
from lesto.common.errors import LestoError
from lesto.common.logs import get_logger
from lesto.state.leases.lease import LeaseStore
from lesto.state.leases.opening import ha_type, open_lease_store

logger = get_logger("lesto.leader")

#: Tries elsewhere before an address that fell silent is tried again.
AVOIDED_TRIES = 6


def split_addresses(text: str) -> tuple[str, ...]:
    """The addresses of ``host:port,host:port``.

    >>> split_addresses("a:1, b:2")
    ('a:1', 'b:2')
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())


class LeaderFinder:
    """Addresses to try, one after another.

    First what a JobManager has answered that does not lead itself, then what the lease says (if
    this process is configured to reach it), then the addresses that were given, in turn.

    Args:
        addresses: given ones.
        config: of this process; None: the lease is not looked at.
    """

    def __init__(self, addresses: tuple[str, ...], config: Configuration | None = None) -> None:
        assert addresses, "nowhere to begin"
        self._addresses = addresses
        self._given: Iterator[str] = itertools.cycle(addresses)
        self._silent, self._avoided = "", 0
        self._config = config
        self._store: LeaseStore | None = None
        self._hint = ""
        self._ask_lease = False

    @property
    def has_lease(self) -> bool:
        """Whether this process is configured to look at the lease."""
        return self._config is not None and ha_type(self._config).value != "NONE"

    def hint(self, address: str) -> None:
        """Somebody says that the leader is there."""
        self._hint = address

    def silent(self, address: str) -> None:
        """Nothing is heard from there: it may be paused, and a try there takes long.

        Others may still name it as the leader. It is tried again when they were tried.
        """
        self._silent, self._avoided = address, 0

    def next(self) -> str:
        """The next address to try. Blocking when the lease is looked at."""
        found = self._next()
        for _ in range(2 * len(self._addresses)):
            if found != self._silent:
                break
            found = self._next()
        if self._silent:
            self._avoided += 1
            if self._avoided > AVOIDED_TRIES:
                self._silent = ""
        return found

    def _next(self) -> str:
        hint, self._hint = self._hint, ""
        if hint:
            return hint
        self._ask_lease = not self._ask_lease
        # The given address first and the lease every other time: one of them may lead nowhere.
        found = "" if self._ask_lease else self._from_lease()
        return found or next(self._given)

    def _from_lease(self) -> str:
        if self._config is None:
            return ""
        try:
            if self._store is None:
                self._store = open_lease_store(self._config)
            lease = self._store.read() if self._store is not None else None
        except LestoError as error:
            logger.debug("leader.lease_unreadable", error=str(error))
            return ""
        return lease.address if lease is not None and not lease.released else ""

    def close(self) -> None:
        """Release connections."""
        if self._store is not None:
            self._store.close()
            self._store = None
