"""What a JobManager needs of its configuration to campaign."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from lesto.common import options
from lesto.common.clock import Clock
from lesto.common.config import Configuration
from lesto.common.hosts import is_loopback_host
from lesto.jobmanager.errors import ElectionError
from lesto.jobmanager.server.ha.elector import Elector
from lesto.jobmanager.server.ha.process_identity import process_identity
from lesto.jobmanager.server.settings import milliseconds
from lesto.state.leases import Candidate, ha_root, ha_type, open_lease_store

_WILDCARDS = frozenset({"0.0.0.0", "::", "[::]", ""})


@dataclass(frozen=True, slots=True)
class HighAvailability:
    """How this cluster agrees on its leader, and where its jobs are.

    Attributes:
        kind: value of ``high-availability.type``.
        root: URI of the job store.
    """

    kind: str
    root: str

    @classmethod
    def of(cls, config: Configuration) -> HighAvailability | None:
        """As configured; None: off.

        Raises:
            ElectionError: it is on, and there is no durable storage.
        """
        kind = ha_type(config)
        if kind is options.HighAvailabilityType.NONE:
            return None
        root = ha_root(config)
        if not root:
            msg = f"high-availability.type is {kind.value}, and jobs have no durable storage"
            raise ElectionError(
                msg,
                remedy="set high-availability.storageDir or execution.checkpointing.dir to a "
                "directory or URI that all machines reach",
            )
        return cls(kind.value, root)


def reachable_address(config: Configuration, host: str, port: int) -> str:
    """The address that other machines are told: ``jobmanager.rpc.address`` behind a wildcard."""
    if host in _WILDCARDS:
        named = config.get(options.JOBMANAGER_ADDRESS)
        host = socket.gethostname() if is_loopback_host(named) else named
    return f"{host}:{port}"


def make_elector(
    config: Configuration,
    clock: Clock,
    *,
    holder: str,
    address: str,
    on_gained: Callable[[int], None],
    on_lost: Callable[[int, str], None],
) -> Elector:
    """The election of a configuration that has one.

    Raises:
        LestoError: the service cannot be used as configured.
    """
    store = open_lease_store(config)
    assert store is not None, "no election is configured"
    duration_ms = milliseconds(config.get(options.HA_LEASE_DURATION))
    interval_ms = milliseconds(config.get(options.HA_RENEW_INTERVAL))
    if interval_ms * 2 > duration_ms:
        msg = (
            f"a lease of {duration_ms} ms that is renewed every {interval_ms} ms "
            "does not bear one lost renewal"
        )
        raise ElectionError(
            msg,
            remedy="set high-availability.lease-duration to at least twice "
            "high-availability.renew-interval",
        )
    return Elector(
        store,
        Candidate(holder, address, process_identity()),
        clock,
        duration_ms=duration_ms,
        interval_ms=interval_ms,
        on_gained=on_gained,
        on_lost=on_lost,
    )
