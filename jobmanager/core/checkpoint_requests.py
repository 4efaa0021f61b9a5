"""What people have asked for and still wait for: savepoints, stops, checkpoints now."""

from __future__ import annotations

from collections import deque

from lesto.common.errors import LestoError
from lesto.jobmanager.core.instructions import RequestFailed
from lesto.jobmanager.core.pending_checkpoint import Request, SavepointRequest

#: Requests of a job that may be under way or wait for their turn.
WAITING_REQUESTS_MAX = 16


class RequestQueue:
    """Requests that have not been started. Savepoints come first, as in Flink."""

    def __init__(self) -> None:
        self._savepoints: deque[SavepointRequest] = deque()
        self._checkpoints: deque[Request] = deque()

    def __len__(self) -> int:
        return len(self._savepoints) + len(self._checkpoints)

    @property
    def stops(self) -> bool:
        """Whether one of them ends the job."""
        return any(request.stop for request in self._savepoints)

    def add(self, request: Request) -> None:
        """It waits for its turn."""
        if isinstance(request, SavepointRequest):
            self._savepoints.append(request)
        else:
            self._checkpoints.append(request)

    def next(self, *, savepoints: bool, checkpoints: bool) -> Request | None:
        """Take the next one out, of those kinds that may start now."""
        if savepoints and self._savepoints:
            return self._savepoints.popleft()
        # A savepoint that waits is not overtaken for ever.
        free = checkpoints and not self._savepoints
        return self._checkpoints.popleft() if free and self._checkpoints else None

    def refuse(self, error: LestoError) -> list[RequestFailed]:
        """None of them will be done."""
        refused = [RequestFailed(r.request_id, error) for r in self._savepoints]
        refused += [RequestFailed(r.request_id, error) for r in self._checkpoints]
        self._savepoints.clear()
        self._checkpoints.clear()
        return refused
