"""The few Kafka requests that librdkafka does not offer, spoken over a socket.

librdkafka can commit a transaction only from the handle that produced it. After a failure the
process is gone, and the transaction of a completed checkpoint must still be committed: that takes
``EndTxn`` with the producer's id and epoch. This module holds the encoding and one connection;
``transactions.py`` says what is asked and what the answers mean.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from dataclasses import dataclass
from typing import Final

from lesto.connectors.kafka.sasl import Mechanism

#: Largest answer that is read, in bytes: a list of all transactions of a big cluster.
RESPONSE_BYTES_MAX: Final = 64 << 20
CLIENT_ID: Final = "lesto"

METADATA: Final = 3
FIND_COORDINATOR: Final = 10
SASL_HANDSHAKE: Final = 17
API_VERSIONS: Final = 18
INIT_PRODUCER_ID: Final = 22
END_TXN: Final = 26
SASL_AUTHENTICATE: Final = 36
DESCRIBE_TRANSACTIONS: Final = 65
LIST_TRANSACTIONS: Final = 66

#: (version we speak, whether it has the flexible encoding).
VERSIONS: Final[dict[int, tuple[int, bool]]] = {
    METADATA: (1, False),
    FIND_COORDINATOR: (1, False),
    SASL_HANDSHAKE: (1, False),
    API_VERSIONS: (0, False),
    INIT_PRODUCER_ID: (1, False),
    END_TXN: (1, False),
    SASL_AUTHENTICATE: (0, False),
    DESCRIBE_TRANSACTIONS: (0, True),
    LIST_TRANSACTIONS: (0, True),
}


class WireError(Exception):
    """The connection broke, or the peer does not speak the protocol: the outcome is unknown."""


class UnsupportedRequestError(WireError):
    """The broker does not know a request in the version we speak."""


class Writer:
    """Builds the body of a request."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def int8(self, value: int) -> Writer:
        """One byte, signed."""
        self._parts.append(struct.pack(">b", value))
        return self

    def int16(self, value: int) -> Writer:
        """Two bytes, signed."""
        self._parts.append(struct.pack(">h", value))
        return self

    def int32(self, value: int) -> Writer:
        """Four bytes, signed."""
        self._parts.append(struct.pack(">i", value))
        return self

    def int64(self, value: int) -> Writer:
        """Eight bytes, signed."""
        self._parts.append(struct.pack(">q", value))
        return self

    def string(self, value: str) -> Writer:
        """A string with a length of two bytes."""
        data = value.encode()
        self.int16(len(data))
        self._parts.append(data)
        return self

    def blob(self, value: bytes) -> Writer:
        """Bytes with a length of four bytes."""
        self.int32(len(value))
        self._parts.append(value)
        return self

    def varint(self, value: int) -> Writer:
        """An unsigned number, seven bits a byte."""
        out = bytearray()
        while value > 0x7F:
            out.append(value & 0x7F | 0x80)
            value >>= 7
        out.append(value)
        self._parts.append(bytes(out))
        return self

    def compact_string(self, value: str) -> Writer:
        """A string with a varint length."""
        data = value.encode()
        self.varint(len(data) + 1)
        self._parts.append(data)
        return self

    def done(self) -> bytes:
        """The body."""
        return b"".join(self._parts)


class Reader:
    """Reads the body of a response.

    Raises:
        WireError: it is shorter than it says.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _take(self, count: int) -> bytes:
        part = self._data[self._at : self._at + count]
        if count < 0 or len(part) != count:
            msg = f"a response ends after {len(self._data)} bytes, in the middle of a field"
            raise WireError(msg)
        self._at += count
        return part

    def int8(self) -> int:
        """One byte, signed."""
        return int(struct.unpack(">b", self._take(1))[0])

    def int16(self) -> int:
        """Two bytes, signed."""
        return int(struct.unpack(">h", self._take(2))[0])

    def int32(self) -> int:
        """Four bytes, signed."""
        return int(struct.unpack(">i", self._take(4))[0])

    def int64(self) -> int:
        """Eight bytes, signed."""
        return int(struct.unpack(">q", self._take(8))[0])

    def string(self) -> str | None:
        """A string with a length of two bytes."""
        length = self.int16()
        return None if length < 0 else self._take(length).decode()

    def blob(self) -> bytes:
        """Bytes with a length of four bytes."""
        return self._take(max(0, self.int32()))

    def varint(self) -> int:
        """An unsigned number, seven bits a byte."""
        value = shift = 0
        while True:
            byte = self._take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def compact_string(self) -> str:
        """A string with a varint length; null is empty."""
        return self._take(max(0, self.varint() - 1)).decode()

    def count(self, *, compact: bool = False) -> int:
        """Length of an array."""
        return max(0, self.varint() - 1 if compact else self.int32())

    def skip_tags(self) -> None:
        """Tagged fields that we do not know."""
        for _ in range(self.varint()):
            self.varint()
            self._take(self.varint())


@dataclass(frozen=True, slots=True)
class Security:
    """How to connect.

    Attributes:
        tls: the context, or None for plain text.
        sasl: the mechanism, or None.
    """

    tls: ssl.SSLContext | None = None
    sasl: Mechanism | None = None


class Connection:
    """One connection to one broker; one request at a time, each with a deadline.

    Raises:
        WireError: connecting failed or the peer did not let us in.
    """

    def __init__(self, host: str, port: int, security: Security, timeout_s: float) -> None:
        self._correlation = 0
        self._peer = f"{host}:{port}"
        self._versions: dict[int, tuple[int, int]] = {}
        sock: socket.socket | None = None
        try:
            sock = socket.create_connection((host, port), timeout_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if security.tls is not None:
                sock = security.tls.wrap_socket(sock, server_hostname=host)
        except OSError as error:
            if sock is not None:
                sock.close()
            msg = f"no connection to Kafka broker {self._peer}: {error}"
            raise WireError(msg) from error
        self._socket = sock
        try:
            self._read_versions()
            if security.sasl is not None:
                self._authenticate(security.sasl)
        except BaseException:
            self.close()
            raise

    def _read_versions(self) -> None:
        answer = self.ask(API_VERSIONS, b"")
        answer.int16()
        for _ in range(answer.count()):
            key, low, high = answer.int16(), answer.int16(), answer.int16()
            self._versions[key] = (low, high)

    def _authenticate(self, mechanism: Mechanism) -> None:
        answer = self.ask(SASL_HANDSHAKE, Writer().string(mechanism.name).done())
        if code := answer.int16():
            msg = f"Kafka broker {self._peer} refuses SASL {mechanism.name} (error {code})"
            raise WireError(msg)
        exchange = mechanism.exchange()
        message = next(exchange)
        while message is not None:
            answer = self.ask(SASL_AUTHENTICATE, Writer().blob(message).done())
            code, why = answer.int16(), answer.string()
            if code:
                msg = f"Kafka broker {self._peer} did not authenticate us: {why}"
                raise WireError(msg)
            try:
                message = exchange.send(answer.blob())
            except ValueError as error:
                msg = f"Kafka broker {self._peer} did not prove itself: {error}"
                raise WireError(msg) from error

    def ask(self, api: int, body: bytes, timeout_s: float | None = None) -> Reader:
        """Send a request and read its answer.

        Raises:
            WireError: the connection broke or the time was up: the outcome is unknown, and this
                connection may not be used again.
            UnsupportedRequestError: the broker does not know the request; it was not sent.
        """
        version, flexible = VERSIONS[api]
        low, high = self._versions.get(api, (0, -1)) if self._versions else (version, version)
        if not low <= version <= high:
            msg = f"Kafka broker {self._peer} does not know request {api} in version {version}"
            raise UnsupportedRequestError(msg)
        self._correlation += 1
        head = Writer().int16(api).int16(version).int32(self._correlation).string(CLIENT_ID)
        if flexible:
            head.varint(0)
        data = head.done() + body
        try:
            if timeout_s is not None:
                self._socket.settimeout(timeout_s)
            self._socket.sendall(struct.pack(">i", len(data)) + data)
            (size,) = struct.unpack(">i", self._read(4))
            if not 4 <= size <= RESPONSE_BYTES_MAX:
                msg = f"Kafka broker {self._peer} announces an answer of {size} bytes"
                raise WireError(msg)
            answer = Reader(self._read(size))
        except OSError as error:
            msg = f"the connection to Kafka broker {self._peer} broke: {error}"
            raise WireError(msg) from error
        if answer.int32() != self._correlation:
            msg = f"Kafka broker {self._peer} answered another request than the one sent"
            raise WireError(msg)
        if flexible:
            answer.skip_tags()
        return answer

    def _read(self, count: int) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            part = self._socket.recv(min(count - len(parts), 1 << 20))
            if not part:
                msg = "closed by the broker"
                raise ConnectionResetError(msg)
            parts += part
        return bytes(parts)

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._socket.close()
