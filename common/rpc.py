"""How our gRPC calls say who is calling, and how they carry a named error back.

A call presents ``authorization: Bearer <token>``. A refused or failed call ends with a gRPC status
whose trailing metadata holds the error's code, message, remedy and location, so that the client
shows the same words that the server would have shown. Free of grpc: plain pairs in and out.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from lesto.common.errors import Domain, LestoError

AUTHORIZATION = "authorization"
CODE = "lesto-code"
MESSAGE = "lesto-message-bin"
REMEDY = "lesto-remedy-bin"
LOCATION = "lesto-location-bin"
LEADER = "lesto-leader-bin"
MAX_TEXT_BYTES = 2048  # of one field; gRPC refuses metadata of more than 8 KiB by default

Metadata = tuple[tuple[str, str | bytes], ...]


def call_metadata(token: str | None) -> Metadata:
    """Return the metadata that a caller sends with each call."""
    return ((AUTHORIZATION, f"Bearer {token}"),) if token else ()


def is_authorized(token: str | None, metadata: Iterable[tuple[str, str | bytes]]) -> bool:
    """Return whether a call shows the cluster's token, in the same time for any guess."""
    if not token:
        return True
    wanted = f"Bearer {token}".encode()
    shown = [value for key, value in metadata if key == AUTHORIZATION]
    return any(
        hmac.compare_digest(value.encode() if isinstance(value, str) else value, wanted)
        for value in shown
    )


def error_metadata(error: LestoError) -> Metadata:
    """Return the trailing metadata that carries an error."""
    leader = getattr(error, "leader_address", None)
    return (
        (CODE, error.code),
        (MESSAGE, _clip(error.message)),
        (REMEDY, _clip(error.remedy)),
        (LOCATION, _clip(error.location)),
        *(((LEADER, _clip(leader)),) if leader is not None else ()),
    )


def leader_from_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> str | None:
    """Return who leads, as a JobManager that does not has answered; empty: it does not know.

    None: the answer says nothing about leaders.
    """
    return next((_text(value) for key, value in metadata if key == LEADER), None)


def error_from_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> LestoError | None:
    """Return the error that trailing metadata carries, or None when it carries none.

    Its class is the one that declares the code, when this process has imported it; else
    ``RemoteError`` with that code.
    """
    fields = {key: _text(value) for key, value in metadata}
    code = fields.get(CODE)
    if not code:
        return None
    message, remedy = fields.get(MESSAGE, ""), fields.get(REMEDY, "")
    location = fields.get(LOCATION, "")
    for cls in _subclasses(LestoError):
        if cls.__dict__.get("code") == code:
            error = cls.__new__(cls)
            LestoError.__init__(error, message, remedy=remedy, location=location)
            return error
    remote = RemoteError(message, remedy=remedy, location=location)
    remote.code = code  # type: ignore[misc]
    return remote


class RemoteError(LestoError):
    """An error of another process whose class is not known here; it keeps its own code."""

    code = "LESTO-1011"
    domain = Domain.EXTERNAL


def _clip(text: str) -> bytes:
    return text.encode()[:MAX_TEXT_BYTES]


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _subclasses(cls: type[LestoError]) -> Iterable[type[LestoError]]:
    for child in cls.__subclasses__():
        yield child
        yield from _subclasses(child)
