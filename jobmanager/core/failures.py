"""A job's failures as they travel on the wire and are remembered."""

from __future__ import annotations

from lesto.common.errors import LestoError
from lesto.proto import client_pb2, runtime_pb2

#: Failures a job remembers.
FAILURES_MAX = 16
#: Codes of what the user's functions raise: area 6.
USER_FUNCTION_CODES = "LESTO-6"


def failure_of(error: LestoError) -> runtime_pb2.TaskFailure:
    """An error of the engine as a failure."""
    return runtime_pb2.TaskFailure(
        code=error.code,
        message=error.message,
        retryable=error.retryable,
        remedy=error.remedy,
        location=error.location,
    )


def blamed(failure: runtime_pb2.TaskFailure, error: LestoError) -> runtime_pb2.TaskFailure:
    """The same failure with the engine's verdict on it; the user's traceback stays."""
    verdict = runtime_pb2.TaskFailure()
    verdict.CopyFrom(failure)
    verdict.MergeFrom(failure_of(error))
    verdict.retryable = error.retryable
    return verdict


def failure_info(
    failure: runtime_pb2.TaskFailure,
    task_name: str,
    slot: str,
    at_ms: int,
    *,
    taskmanager: str = "",
    concurrent: bool = False,
) -> client_pb2.FailureInfo:
    """The entry of a job's history.

    Args:
        failure: what.
        task_name: of whom.
        slot: where.
        at_ms: wall clock.
        taskmanager: whose slot that is.
        concurrent: it came while the job went down or restarted because of an older one.
    """
    return client_pb2.FailureInfo(
        timestamp_ms=at_ms,
        failure=failure,
        task_name=task_name,
        location=slot,
        taskmanager_id=taskmanager,
        concurrent=concurrent,
    )


def is_user_error(failure: runtime_pb2.TaskFailure) -> bool:
    """Whether the user's code raised, so that the same input will most likely raise again.

    >>> is_user_error(runtime_pb2.TaskFailure(code="LESTO-6001"))
    True
    >>> is_user_error(runtime_pb2.TaskFailure(code="LESTO-4105"))
    False
    """
    return failure.code.startswith(USER_FUNCTION_CODES)


def one_line(failure: runtime_pb2.TaskFailure) -> str:
    """``LESTO-6001: division by zero``."""
    text = failure.message.splitlines()[0] if failure.message else "unknown failure"
    return f"{failure.code}: {text}" if failure.code else text
