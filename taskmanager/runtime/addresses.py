"""Where a TaskManager listens, and what the others are told."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from typing import Final

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.hosts import is_loopback_host
from lesto.taskmanager.runtime.errors import InsecureDataBindError, UnknownHostError

LOOPBACK: Final = "127.0.0.1"
_WILDCARDS: Final = ("0.0.0.0", "::", "[::]")


@dataclass(frozen=True, slots=True)
class TaskManagerHosts:
    """Hosts of a TaskManager.

    Attributes:
        listen: address that its slots' data servers listen on.
        advertised: host at which other TaskManagers reach them.
    """

    listen: str
    advertised: str


def taskmanager_hosts(config: Configuration, jobmanager_address: str) -> TaskManagerHosts:
    """Find out where to listen and what to say.

    ``taskmanager.bind-host`` is listened on, by default ``taskmanager.host``, which is told: by
    default what is listened on; behind a wildcard the address from which this machine reaches the
    JobManager, which in a network of containers the other TaskManagers reach as well.

    Args:
        config: the cluster's configuration.
        jobmanager_address: host:port, several with commas between.

    Raises:
        InsecureDataBindError: it would listen beyond loopback, there is neither token nor TLS,
            and nobody insists.
        UnknownHostError: this machine does not know an address of its own.
    """
    advertised = config.get(options.TASKMANAGER_HOST)
    listen = config.get(options.TASKMANAGER_BIND_HOST) or advertised or LOOPBACK
    if not (
        is_loopback_host(listen)
        or config.get(options.SECURITY_TOKEN)
        or config.get(options.SSL_INTERNAL_ENABLED)  # who connects shows a certificate
        or config.get(options.SECURITY_INSECURE)
    ):
        msg = f"listening on {listen} for the data of jobs, in a cluster without a token"
        raise InsecureDataBindError(
            msg,
            remedy="set security.token, leave taskmanager.bind-host and taskmanager.host at "
            "127.0.0.1, or insist with security.insecure: true",
        )
    if advertised is None:
        advertised = own_address(jobmanager_address) if listen in _WILDCARDS else listen
    return TaskManagerHosts(listen, advertised)


def own_address(jobmanager_address: str) -> str:
    """Return the address from which this machine reaches the JobManager, else that of its name.

    Raises:
        UnknownHostError: neither is known, or both are loopback for a JobManager elsewhere.
    """
    for one in jobmanager_address.split(","):
        host, _, port = one.strip().rpartition(":")
        found = _address_towards(host.strip("[]"), int(port))
        if found:
            return found
    with contextlib.suppress(OSError):
        found = socket.gethostbyname(socket.gethostname())
        if not is_loopback_host(found):
            return found
    msg = f"this machine knows no address at which others reach it, nor {jobmanager_address}"
    raise UnknownHostError(
        msg, remedy="set taskmanager.host to the name or address of this machine"
    )


def _address_towards(host: str, port: int) -> str | None:
    """The local end of a datagram socket connected there; nothing is sent."""
    try:
        family, kind, protocol, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[
            0
        ]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(target)
            return str(probe.getsockname()[0])
    except OSError:
        return None


def with_port(host: str, port: int) -> str:
    """Return ``host:port``, IPv6 addresses in brackets.

    >>> with_port("10.0.0.5", 80), with_port("::1", 80)
    ('10.0.0.5:80', '[::1]:80')
    """
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def told(bound: str, host: str) -> str:
    """Return the address that others are told of one that is listened on.

    >>> told("0.0.0.0:9249", "10.0.0.5"), told("127.0.0.1:9249", "10.0.0.5"), told("", "x")
    ('10.0.0.5:9249', '127.0.0.1:9249', '')
    """
    listened, _, port = bound.rpartition(":")
    return with_port(host, int(port)) if listened in _WILDCARDS else bound
