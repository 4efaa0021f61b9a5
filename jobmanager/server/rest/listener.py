"""Accepts connections, a bounded number, and ends those that take too long."""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable

from lesto.common.hosts import is_loopback_host
from lesto.jobmanager.server.rest import limits
from lesto.jobmanager.server.rest.protocol import BoundedProtocol, Phase

logger = logging.getLogger("lesto.rest")


class Listener:
    """Serves a listening socket.

    It accepts by itself rather than by asyncio's server, so that connections are counted before
    their TLS handshake, and so that there is a limit at all.

    Args:
        listening: the socket.
        make: makes the protocol of a connection.
        tls: for every connection, or None.
    """

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[], BoundedProtocol],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._listening = listening
        self._make = make
        self._tls = tls
        self._made: dict[BoundedProtocol, None] = {}  # oldest first
        self._shaking: dict[asyncio.Task[None], None] = {}  # in their handshake, oldest first
        self._peers: Counter[str] = Counter()
        self._refused = 0

    async def run(self, stopped: asyncio.Event) -> None:
        """Serve until ``stopped``; then end what is under way."""
        self._listening.setblocking(False)
        accepting = asyncio.create_task(self._accept())
        sweeping = asyncio.create_task(self._sweep())
        try:
            await stopped.wait()
        finally:
            for task in (accepting, sweeping, *self._shaking):
                task.cancel()
            await asyncio.gather(accepting, sweeping, *self._shaking, return_exceptions=True)
            await self._end()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listening)
            except OSError as error:
                logger.warning("rest.accept_failed error=%s", error.strerror)
                await asyncio.sleep(limits.ACCEPT_RETRY_SECONDS)
                continue
            peer = str(address[0])
            if not self._has_room(peer):
                self._refused += 1
                connection.close()
                continue
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[peer] += 1
            if self._tls is None:  # nothing to wait for
                await self._serve(connection, peer)
                continue
            task = asyncio.create_task(self._serve(connection, peer))
            self._shaking[task] = None
            task.add_done_callback(
                functools.partial(self._shaken, connection=connection, peer=peer)
            )

    async def _serve(self, connection: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        handshake = limits.HANDSHAKE_SECONDS if self._tls is not None else None
        try:
            _, protocol = await loop.connect_accepted_socket(
                self._make, connection, ssl=self._tls, ssl_handshake_timeout=handshake
            )
        except OSError:  # TLS' errors are
            connection.close()
            self._gone(peer)
            return
        if protocol.transport.is_closing() and protocol not in protocol.connections:
            self._gone(peer)  # already
            return
        self._made[protocol] = None
        protocol.on_lost = lambda lost: self._lost(lost, peer)

    def _shaken(self, task: asyncio.Task[None], connection: socket.socket, peer: str) -> None:
        del self._shaking[task]
        if task.cancelled():
            connection.close()
            self._gone(peer)

    def _lost(self, protocol: BoundedProtocol, peer: str) -> None:
        self._made.pop(protocol, None)
        self._gone(peer)

    def _gone(self, peer: str) -> None:
        self._peers[peer] -= 1
        if not self._peers[peer]:
            del self._peers[peer]

    def _has_room(self, peer: str) -> bool:
        """Whether one more is taken; one that asks for nothing makes room for it."""
        if self._peers[peer] >= limits.CONNECTIONS_PER_PEER_MAX and not is_loopback_host(peer):
            return False
        if len(self._made) + len(self._shaking) < limits.CONNECTIONS_MAX:
            return True
        oldest = next((found for found in self._made if found.phase is Phase.HEAD), None)
        if oldest is not None:
            self._made.pop(oldest)
            oldest.transport.abort()
            return True
        shaking = next((task for task in self._shaking if not task.cancelling()), None)
        if shaking is not None:
            shaking.cancel()
        return shaking is not None

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(limits.SWEEP_SECONDS)
            now = loop.time()
            for protocol in [found for found in self._made if found.overdue(now)]:
                protocol.transport.abort()
            if self._refused:
                logger.warning("rest.connections_refused count=%d", self._refused)
                self._refused = 0

    async def _end(self) -> None:
        """Let requests that are being answered end, for a moment."""
        tasks = [task for protocol in self._made for task in protocol.tasks]
        for protocol in list(self._made):
            protocol.shutdown()
        if tasks:
            await asyncio.wait(tasks, timeout=limits.STOP_GRACE_SECONDS)
        for protocol in list(self._made):
            protocol.transport.abort()
        await asyncio.sleep(0)  # lets them say that they are lost
