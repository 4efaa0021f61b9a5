"""Texts from a socket, for trying things out: a socket cannot be read again from a position."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

from lesto.connectors.errors import SocketSourceError
from lesto.connectors.plain.source import END, PlainSource

CONNECT_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
RECEIVE_BYTES: Final = 64 * 1024
#: Longest text.
TEXT_BYTES_MAX: Final = 16 * 1024 * 1024


class SocketTextSource(PlainSource):
    """Reads texts from a server; ends when the server closes the connection.

    Args:
        hostname: of the server.
        port: of the server.
        delimiter: between two texts.
        max_retry: further attempts to connect, a second apart.
    """

    bounded: ClassVar[bool] = False

    def __init__(self, hostname: str, port: int, delimiter: str = "\n", max_retry: int = 0) -> None:
        self._address = (hostname, port)
        self._delimiter = delimiter.encode()
        self._max_retry = max_retry
        self._socket: socket.socket | None = None
        self._rest = b""

    def parts(self) -> Iterable[str]:
        """The connection."""
        return [f"{self._address[0]}:{self._address[1]}"]

    def open(self) -> None:
        """Connect.

        Raises:
            SocketSourceError: nothing listens there.
        """
        attempt = 0
        while self._socket is None:
            try:
                self._socket = socket.create_connection(self._address, CONNECT_SECONDS)
            except OSError as error:
                if attempt >= self._max_retry:
                    host, port = self._address
                    msg = f"nothing listens at {host}:{port}: {error}"
                    raise SocketSourceError(
                        msg, remedy="start the server first, or give max_retry"
                    ) from error
                attempt += 1
                time.sleep(RETRY_SECONDS)
        self._socket.setblocking(False)

    def read(self, part: str, position: Any, limit: int) -> tuple[Sequence[Any], Any]:
        """The texts that have come.

        Raises:
            SocketSourceError: a text has no end.
        """
        assert self._socket is not None, "read before open"
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return (), position
        if not data:
            rest, self._rest = self._rest, b""
            return ([self._text(rest)] if rest else ()), END
        *texts, self._rest = (self._rest + data).split(self._delimiter)
        if len(self._rest) > TEXT_BYTES_MAX:
            msg = f"{part} has sent {len(self._rest):,} bytes without the delimiter"
            raise SocketSourceError(msg, remedy="give the delimiter that the server writes")
        return [self._text(text) for text in texts], position

    @staticmethod
    def _text(data: bytes) -> str:
        return data.decode("utf-8", "replace")

    def close(self) -> None:
        """Close the connection."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.close()
