"""Whose process a loopback connection comes from.

On loopback everyone on the machine reaches the port. Who runs code through it has to be the user
whose code the cluster runs anyway, and Linux tells whose socket is at the other end.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import Final

#: State of a connection whose process still has it; that of others may show no user, hence root.
_ESTABLISHED: Final = "01"
#: Columns of /proc/net/tcp.
_LOCAL, _REMOTE, _STATE, _UID = 1, 2, 3, 7
_ROOT: Final = 0


def is_same_user(client: tuple[str, int], server: tuple[str, int]) -> bool:
    """Return whether the client's end of a loopback connection is of our user, or of root.

    False also where the system does not tell.

    Args:
        client: address and port of the client.
        server: address and port that it is connected to.
    """
    uid = peer_uid(client, server)
    return uid is not None and uid in {os.getuid(), _ROOT}


def peer_uid(
    client: tuple[str, int], server: tuple[str, int], proc: Path = Path("/proc")
) -> int | None:
    """Return the user whose process has the client's end; None: not known."""
    try:
        wanted = {(_hex(*client, mapped), _hex(*server, mapped)) for mapped in (False, True)}
    except (ValueError, OSError):
        return None
    for table in ("tcp", "tcp6"):
        try:
            with (proc / "net" / table).open(encoding="ascii") as lines:
                for line in lines:
                    fields = line.split()
                    if (
                        len(fields) > _UID
                        and fields[_STATE] == _ESTABLISHED
                        and (fields[_LOCAL], fields[_REMOTE]) in wanted
                    ):
                        return int(fields[_UID])
        except (OSError, ValueError):
            continue
    return None


def _hex(host: str, port: int, mapped: bool) -> str:
    """An address as the kernel prints it: words of 32 bits in the machine's order.

    >>> _hex("127.0.0.1", 8081, False) in {"0100007F:1F91", "7F000001:1F91"}
    True
    """
    address = ipaddress.ip_address(host.partition("%")[0])
    packed = address.packed
    if mapped and address.version == 4:
        packed = socket.inet_pton(socket.AF_INET6, f"::ffff:{address}")
    words = (packed[at : at + 4] for at in range(0, len(packed), 4))
    shown = "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words)
    return f"{shown}:{port:04X}"
