"""uvicorn's HTTP/1.1 connection, with a time by which each of its phases has to be over."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import Enum
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from lesto.jobmanager.server.rest import limits
from lesto.jobmanager.server.rest.errors import BadRequestError
from lesto.jobmanager.server.rest.problems import MEDIA_TYPE, content_of


class Phase(Enum):
    """What a connection is waiting for; in brackets: by whom."""

    HEAD = "head"  # the next request (client)
    BODY = "body"  # the rest of the request (client)
    WORK = "work"  # the answer (us)
    ANSWER = "answer"  # that the answer is taken (client)
    LINGER = "linger"  # the rest of a request that is answered already (client)


def _seconds(phase: Phase) -> float | None:
    match phase:
        case Phase.HEAD:
            return limits.HEAD_SECONDS
        case Phase.BODY:
            return limits.BODY_SECONDS
        case Phase.ANSWER:
            return limits.ANSWER_SECONDS
        case Phase.LINGER:
            return limits.LINGER_SECONDS
        case Phase.WORK:
            return None


class BoundedProtocol(H11Protocol):
    """One connection.

    Attributes:
        since: when its phase began, in the loop's time.
        received: bytes, since its phase began.
        on_lost: called when the connection is over.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.since = self.loop.time()
        self.received = 0
        self.on_lost: Callable[[BoundedProtocol], None] = lambda _protocol: None
        self._seen: tuple[Phase, int] = (Phase.HEAD, 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who counts connections."""
        super().connection_lost(exc)
        self.on_lost(self)

    def data_received(self, data: bytes) -> None:
        """Count, and go on."""
        self.received += len(data)
        super().data_received(data)

    @property
    def phase(self) -> Phase:
        """What it is waiting for."""
        cycle: Any = self.cycle  # None before the first request
        theirs = self.conn.their_state
        if cycle is None or (cycle.response_complete and theirs is h11.IDLE):
            return Phase.HEAD
        if cycle.response_complete:
            # Written, to the buffer at least.
            return Phase.LINGER if theirs is h11.SEND_BODY else Phase.ANSWER
        if cycle.response_started:
            return Phase.ANSWER
        return Phase.BODY if theirs is h11.SEND_BODY else Phase.WORK

    def overdue(self, now: float) -> bool:
        """Note the phase; return whether it should be over."""
        seen = (self.phase, id(self.cycle))
        if seen != self._seen:
            self._seen, self.since, self.received = seen, now, 0
            return False
        seconds = _seconds(seen[0])
        if seconds is None:
            return False
        if seen[0] is Phase.BODY:
            seconds += self.received / limits.BODY_BYTES_PER_SECOND_MIN
        return now - self.since > seconds

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP with a problem, and close."""
        error = BadRequestError("this is no HTTP request, or its headers are too long")
        body = json.dumps(content_of(error, 400, "")).encode()
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            events = (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            for event in events:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
