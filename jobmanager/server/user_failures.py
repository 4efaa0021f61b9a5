"""A user's exception on the JobManager as the failure the client shows: their frames first."""

from __future__ import annotations

import traceback
from types import TracebackType

from lesto.common.errors import LestoError
from lesto.jobmanager.errors import SourceCoordinatorError
from lesto.proto import job_pb2, runtime_pb2

#: Characters of a traceback that are kept.
TRACEBACK_CHARS_MAX = 32_768
_OURS = ("lesto.", "concurrent.futures", "threading", "cloudpickle", "importlib.")


def describe(error: BaseException, node: job_pb2.OperatorNode) -> runtime_pb2.TaskFailure:
    """The failure of a source's enumerator."""
    frames = _user_frames(error.__traceback__)
    location, user = node.location, ""
    if frames:
        lines = ["Traceback (most recent call last):\n", *traceback.format_list(frames)]
        user = "".join([*lines, *traceback.format_exception_only(error)])
        location = f"{frames[-1].filename}:{frames[-1].lineno}"
    if isinstance(error, LestoError):
        code, text, remedy, retryable = error.code, error.message, error.remedy, error.retryable
    else:
        code, remedy = SourceCoordinatorError.code, ""
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


def _user_frames(found: TracebackType | None) -> list[traceback.FrameSummary]:
    frames = []
    while found is not None:
        module = found.tb_frame.f_globals.get("__name__", "")
        if not module.startswith(_OURS):
            frames.append((found.tb_frame, found.tb_lineno))
        found = found.tb_next
    return list(traceback.StackSummary.extract(iter(frames)))
