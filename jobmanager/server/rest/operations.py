"""Operations that take longer than a request: started, then asked about by trigger id."""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lesto.common.errors import LestoError
from lesto.jobmanager.server.rest.api import JobManagerApi
from lesto.jobmanager.server.rest.errors import TooManyOperationsError, UnknownOperationError
from lesto.jobmanager.server.rest.java_throwable import serialized_throwable
from lesto.jobmanager.server.rest.routing import Call, Schema

MAX_REMEMBERED = 300
MAX_IN_PROGRESS = 16

#: A client's own id of an operation, so that a repeated request does not start it again.
TRIGGER_ID: Schema = {"type": ["string", "null"], "pattern": "^[0-9a-f]{32}$"}

#: What Flink's JSON says of an operation that has succeeded.
Outcome = dict[str, Any]


@dataclass(slots=True)
class Operation:
    """One operation and, once it has ended, its outcome."""

    job_id: str
    outcome: Outcome | None = None
    failure: BaseException | None = None
    done: bool = False


class Operations:
    """Runs operations in threads; remembers a bounded number of outcomes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: By job and trigger id: clients choose ids, and those of two jobs may be equal.
        self._operations: OrderedDict[tuple[str, str], Operation] = OrderedDict()

    def knows(self, job_id: str, trigger_id: str) -> bool:
        """Return whether the operation was started; its job may be gone since."""
        with self._lock:
            return (job_id, trigger_id) in self._operations

    def start(self, job_id: str, work: Callable[[], Outcome], trigger_id: str | None = None) -> str:
        """Run ``work`` in the background; return the trigger id.

        The same trigger id again does not start it again.

        Raises:
            TooManyOperationsError: too many are in progress.
        """
        trigger_id = trigger_id or uuid.uuid4().hex
        operation = Operation(job_id)
        with self._lock:
            if (job_id, trigger_id) in self._operations:
                return trigger_id
            if sum(not other.done for other in self._operations.values()) >= MAX_IN_PROGRESS:
                msg = f"{MAX_IN_PROGRESS} operations are in progress"
                raise TooManyOperationsError(msg, remedy="Wait for one to end.")
            self._operations[job_id, trigger_id] = operation
            while len(self._operations) > MAX_REMEMBERED:
                oldest_done = next(key for key, other in self._operations.items() if other.done)
                del self._operations[oldest_done]
        threading.Thread(
            target=self._run, args=(operation, work), name=f"rest-{trigger_id[:8]}", daemon=True
        ).start()
        return trigger_id

    def _run(self, operation: Operation, work: Callable[[], Outcome]) -> None:
        try:
            operation.outcome = work()
        except Exception as error:  # noqa: BLE001 - it is the outcome, told to whoever asks
            operation.failure = error
        operation.done = True

    def status(self, job_id: str, trigger_id: str) -> dict[str, Any]:
        """Return the status in Flink's JSON.

        Raises:
            UnknownOperationError: there is no such operation for the job.
        """
        with self._lock:
            operation = self._operations.get((job_id, trigger_id))
        if operation is None:
            msg = f"no operation {trigger_id}" + (f" of job {job_id}" if job_id else "")
            raise UnknownOperationError(msg, remedy="Use the request-id that its start returned.")
        if not operation.done:
            return {"status": {"id": "IN_PROGRESS"}, "operation": None}
        if operation.failure is None:
            outcome: Outcome = dict(operation.outcome or {})
        else:
            outcome = {"failure-cause": _failure(operation.failure)}
        return {"status": {"id": "COMPLETED"}, "operation": outcome}


def _failure(error: BaseException) -> dict[str, str]:
    name = error.code if isinstance(error, LestoError) else type(error).__name__
    text = str(error)
    return {
        "class": name,
        "stack-trace": text,
        "serialized-throwable": serialized_throwable(type(error).__name__, text, text),
    }


def start(
    operations: Operations, api: JobManagerApi, call: Call, work: Callable[[], Outcome]
) -> dict[str, str]:
    """Start an operation on the job of a request.

    Raises:
        LestoError: there is no such job: that is an error now, not the operation's outcome.
    """
    given = call.body.get("triggerId")
    if given is None or not operations.knows(call.job_id, given):
        api.job(call.job_id)
    return {"request-id": operations.start(call.job_id, work, given)}


def now_ms() -> int:
    """Return the time, ms since 1970."""
    return time.time_ns() // 1_000_000
