"""The channel to the JobManager that leads, opened anew when another one does.

Blocking; safe to use from several threads.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from typing import Any

import grpc

from lesto.common.config import Configuration
from lesto.common.rpc import Metadata, leader_from_metadata
from lesto.common.tls import TlsFiles
from lesto.proto import client_pb2 as pb
from lesto.proto import client_pb2_grpc
from lesto.proto.channels import open_channel
from lesto.state.leases import LeaderFinder, split_addresses

#: Longest wait for one candidate's answer while the leader is looked for.
PROBE_SECONDS = 2.0
#: Pauses between two candidates.
FIRST_PAUSE_SECONDS = 0.05
PAUSE_SECONDS_MAX = 0.5

_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 256 << 20),
    ("grpc.enable_http_proxy", 0),
    # A paused leader answers nothing, and hangs up never. gRPC's own limit on a ping is a minute.
    ("grpc.keepalive_time_ms", 3_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
)


class LeaderConnection:
    """One channel at a time.

    Args:
        addresses: ``host:port``, or several with commas between.
        metadata: shown with each call.
        failover_timeout: longest search for the next leader of a cluster that has one.
        config: when it reaches the leader's lease, that is looked at too.
        tls: this client's certificate; None: the cluster speaks plainly.

    Attributes:
        address: of the channel.
        highly_available: the cluster has said that it elects its leader.
    """

    def __init__(
        self,
        addresses: str,
        metadata: Metadata,
        failover_timeout: timedelta,
        config: Configuration | None = None,
        tls: TlsFiles | None = None,
    ) -> None:
        given = split_addresses(addresses)
        self.address = given[0]
        self.highly_available = False
        self._several = len(given) > 1
        self._finder = LeaderFinder(given[1:] + given[:1], config)
        self._metadata = metadata
        self._failover_seconds = failover_timeout.total_seconds()
        self._lock = threading.Lock()
        self._generation = 0
        self._closed = False
        self._tls = tls
        self._channel, self._stub = _open(self.address, tls)

    def stub(self) -> Any:
        """The service at the present address."""
        return self._stub

    @property
    def generation(self) -> int:
        """Raised each time that the channel is opened anew."""
        return self._generation

    def learn(self, info: pb.ClusterInfo) -> None:
        """A JobManager has told about its cluster."""
        self.highly_available = info.high_availability not in {"", "NONE"}
        if not info.leading and info.leader_address:
            self._finder.hint(info.leader_address)

    @property
    def may_be_elsewhere(self) -> bool:
        """Whether there is another address to try."""
        return self.highly_available or self._several or self._finder.has_lease

    def is_failover(self, error: Any) -> bool:
        """Whether a call failed because the JobManager does not lead, or is gone while another
        one may.
        """
        leader = leader_from_metadata(error.trailing_metadata() or ())
        if leader is not None:
            self.highly_available = True
            self._finder.hint(leader)
            return True
        lost = error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
        silent = error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and self.highly_available
        return (lost or silent) and not self._closed and self.may_be_elsewhere

    def follow(self, generation: int, deadline: float | None = None) -> bool:
        """Connect to the leader; False: none was found in time.

        Args:
            generation: of the channel that failed; another thread may have replaced it.
            deadline: monotonic seconds; by default that of a failover.
        """
        until = deadline or time.monotonic() + self.budget()
        pause = FIRST_PAUSE_SECONDS
        while not self._closed:
            with self._lock:
                if self._generation != generation:
                    return True
                if self._try(self._finder.next()):
                    return True
            if time.monotonic() > until:
                return False
            time.sleep(pause)
            pause = min(2 * pause, PAUSE_SECONDS_MAX)
        return False

    def budget(self) -> float:
        """Seconds that the search may take; of a cluster that never answered, a look around."""
        return self._failover_seconds if self.highly_available else PROBE_SECONDS

    def _try(self, address: str) -> bool:
        """Ask a candidate whether it leads, and stay with it if it does."""
        channel, stub = _open(address, self._tls)
        try:
            info = stub.GetCluster(
                pb.GetClusterRequest(),
                timeout=PROBE_SECONDS,
                wait_for_ready=False,
                metadata=self._metadata,
            )
        except grpc.RpcError:
            channel.close()
            return False
        self.learn(info)
        if not info.leading:
            channel.close()
            return False
        self._channel.close()
        self._channel, self._stub, self.address = channel, stub, address
        self._generation += 1
        return True

    def close(self) -> None:
        """Close the connection; calls under way end."""
        self._closed = True
        self._finder.close()
        self._channel.close()


def _open(address: str, tls: TlsFiles | None) -> tuple[Any, Any]:
    channel = open_channel(address, _CHANNEL_OPTIONS, tls)
    return channel, client_pb2_grpc.JobManagerServiceStub(channel)
