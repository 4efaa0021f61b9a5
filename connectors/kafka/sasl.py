"""SASL mechanisms of the small protocol client: PLAIN and SCRAM (RFC 4616, RFC 5802)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Generator
from typing import Final, Protocol

#: What the generators give: messages to send, then None; they are sent the broker's answers.
Exchange = Generator[bytes | None, bytes, None]
#: A broker that asks for fewer rounds of hashing is not trusted (RFC 7677 says 4096).
ITERATIONS_MIN: Final = 4096
ITERATIONS_MAX: Final = 1_000_000


class Mechanism(Protocol):
    """A way to authenticate."""

    @property
    def name(self) -> str:
        """The name in the handshake."""
        ...

    def exchange(self) -> Exchange:
        """The messages; raises ValueError when the broker's answers are wrong."""
        ...


class Plain:
    """User and password in the clear; use it over TLS."""

    name = "PLAIN"

    def __init__(self, user: str, password: str) -> None:
        self._message = f"\0{user}\0{password}".encode()

    def exchange(self) -> Exchange:
        """One message."""
        yield self._message
        yield None


class Scram:
    """Salted challenge and response; the broker proves that it knows the password too."""

    def __init__(self, hash_name: str, user: str, password: str) -> None:
        self.name = f"SCRAM-{'SHA-256' if hash_name == 'sha256' else 'SHA-512'}"
        self._hash = hash_name
        self._user = user.replace("=", "=3D").replace(",", "=2C")
        self._password = password.encode()

    def _hmac(self, key: bytes, text: str) -> bytes:
        return hmac.new(key, text.encode(), self._hash).digest()

    def exchange(self) -> Exchange:
        """Two messages; the second answer holds the broker's proof."""
        nonce = secrets.token_urlsafe(24)
        first = f"n={self._user},r={nonce}"
        challenge = (yield f"n,,{first}".encode()).decode()
        given = dict(part.split("=", 1) for part in challenge.split(","))
        iterations = int(given["i"])
        if not given["r"].startswith(nonce) or len(given["r"]) == len(nonce):
            msg = "its nonce does not continue ours"
            raise ValueError(msg)
        if not ITERATIONS_MIN <= iterations <= ITERATIONS_MAX:
            msg = f"it asks for {iterations} iterations"
            raise ValueError(msg)
        salt = base64.b64decode(given["s"])
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, salt, iterations)
        client_key = self._hmac(salted, "Client Key")
        stored = hashlib.new(self._hash, client_key).digest()
        without_proof = f"c=biws,r={given['r']}"
        signed = f"{first},{challenge},{without_proof}"
        proof = bytes(a ^ b for a, b in zip(client_key, self._hmac(stored, signed), strict=True))
        text = f"{without_proof},p={base64.b64encode(proof).decode()}"
        final = (yield text.encode()).decode()
        expected = self._hmac(self._hmac(salted, "Server Key"), signed)
        if not hmac.compare_digest(final, f"v={base64.b64encode(expected).decode()}"):
            msg = "its signature is wrong"
            raise ValueError(msg)
        yield None
