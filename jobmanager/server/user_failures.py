"""A user's exception on the JobManager as the failure the client shows: their frames first."""

from __future__ import annotations

import traceback

from lesto.common.errors import LestoError
from lesto.common.user_frames import user_frames
from lesto.jobmanager.errors import SourceCoordinatorError
from lesto.proto import job_pb2, runtime_pb2

#: Characters of a traceback that are kept.
TRACEBACK_CHARS_MAX = 32_768


def describe(error: BaseException, node: job_pb2.OperatorNode) -> runtime_pb2.TaskFailure:
    """The failure of a source's enumerator."""
    frames, line = user_frames(error.__traceback__)
    location, user = node.location, ""
    if frames:
        lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)]
        user = "".join([*lines, *traceback.format_exception_only(error)])
        location = line
    if isinstance(error, LestoError):
        code, text, remedy, retryable = error.code, error.message, error.remedy, error.retryable
        location = error.location or location
    else:
        code, remedy = SourceCoordinatorError.code, "correct the source"
        text = "".join(traceback.format_exception_only(error)).strip()
        # What cannot be loaded now cannot be loaded later either.
        retryable = not isinstance(error, ImportError | AttributeError)
    return runtime_pb2.TaskFailure(
        code=code,
        message=text.splitlines()[0] if text else type(error).__name__,
        user_traceback=user[-TRACEBACK_CHARS_MAX:],
        full_traceback="".join(traceback.format_exception(error))[-TRACEBACK_CHARS_MAX:],
        retryable=retryable,
        operator_name=node.name,
        remedy=remedy,
        location=location,
    )
