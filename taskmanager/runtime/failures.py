"""From an exception in a task to the message the user reads: their own frames first."""

from __future__ import annotations

import traceback
from collections.abc import Iterable

from lesto.common.errors import InternalError, LestoError
from lesto.common.logs import get_logger
from lesto.common.user_frames import user_frames
from lesto.proto import runtime_pb2
from lesto.taskmanager.operators.errors import UserFunctionError

#: Longest traceback sent, characters; the middle of a longer one is left out.
TRACEBACK_MAX = 32_768
MESSAGE_MAX = 2_000
#: Longest chain of our own errors that is followed to what caused them.
CAUSES_MAX = 8
USER_REMEDY = "correct the code at that line"
INTERNAL_REMEDY = "no code of yours took part; run with --debug to see where it was raised"
_NOTE = "_lesto_operator"


def mark_operator(error: BaseException, operator_name: str) -> None:
    """Remember which operator raised; the innermost call wins."""
    if not hasattr(error, _NOTE):
        try:
            setattr(error, _NOTE, operator_name)
        except AttributeError:  # an exception class with slots: the task's name must do
            return


def operator_of(error: BaseException) -> str:
    """The operator remembered by ``mark_operator``, or nothing."""
    return str(getattr(error, _NOTE, ""))


def describe(
    error: BaseException, task: runtime_pb2.TaskRef, location: str = ""
) -> runtime_pb2.TaskFailure:
    """The failure as sent to the JobManager.

    Args:
        error: what was raised.
        task: the task.
        location: file:line of the call that made the operator, for errors without frames of the
            user.
    """
    culprit = _users_exception(error)
    frames, line = user_frames(culprit.__traceback__)
    user = ""
    if frames:
        lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)]
        if isinstance(culprit, LestoError):  # its remedy and code follow the traceback
            lines.append(f"{type(culprit).__name__}: {culprit.message}\n")
        else:
            lines += traceback.format_exception_only(culprit)
        user = "".join(lines)
        location = line
    if isinstance(error, LestoError):
        code, message, remedy = error.code, error.message, error.remedy
        retryable = error.retryable
        location = error.location or location
    else:
        message = "".join(traceback.format_exception_only(error)).strip()
        code, remedy = UserFunctionError.code, USER_REMEDY
        if not frames:
            code, remedy = InternalError.code, INTERNAL_REMEDY
        retryable = True
    return runtime_pb2.TaskFailure(
        task=task,
        code=code,
        message=_one_line(message),
        user_traceback=_cut(user),
        full_traceback=_cut("".join(traceback.format_exception(error))),
        retryable=retryable,
        operator_name=operator_of(error),
        remedy=remedy,
        location=location,
        record_digest=getattr(error, "record_digest", ""),
    )


def _users_exception(error: BaseException) -> BaseException:
    """Behind errors of ours, what caused them."""
    seen = error
    for _ in range(CAUSES_MAX):  # `raise error from error` makes an exception its own cause
        if not isinstance(seen, LestoError) or seen.__cause__ is None:
            break
        seen = seen.__cause__
    return seen


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MESSAGE_MAX else line[:MESSAGE_MAX] + "..."


def _cut(text: str) -> str:
    if len(text) <= TRACEBACK_MAX:
        return text
    half = TRACEBACK_MAX // 2
    return f"{text[:half]}\n... {len(text) - TRACEBACK_MAX} characters left out ...\n{text[-half:]}"


def describe_failure(
    error: BaseException, deployment: runtime_pb2.TaskDeployment
) -> runtime_pb2.TaskFailure:
    """The message about a task's failure: which operator, and where the user made it."""
    vertex = deployment.vertex
    name = operator_of(error) or vertex.name
    location = next((node.location for node in vertex.operators if node.name == name), "")
    failure = describe(error, deployment.task, location)
    failure.operator_name = name
    return failure


def log_close_failures(errors: Iterable[BaseException], job_id: str, task: str) -> None:
    """Operators of a task that has failed or was cancelled could not be closed."""
    log = get_logger("lesto.task", job=job_id, task=task)
    for error in errors:
        log.warning("operator.close_failed", error=repr(error), operator=operator_of(error))
