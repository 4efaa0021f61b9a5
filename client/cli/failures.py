"""Prints errors: the user's own traceback first, then code, what, why and what to do."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from lesto.client.cli.exit_codes import ExitCode, exit_code_of
from lesto.client.errors import JobCanceledError, JobExecutionError
from lesto.common.errors import LestoError

_PACKAGE_FOLDER = str(Path(__file__).resolve().parents[2])


def debug_wanted() -> bool:
    """Return whether internal tracebacks are shown."""
    return os.environ.get("LESTO_DEBUG", "") not in {"", "0"}


def report_error(error: BaseException) -> ExitCode:
    """Print an error for people on standard error; return the exit code it means."""
    if debug_wanted():
        traceback.print_exception(error)
    if isinstance(error, LestoError):
        print(format_error(error), file=sys.stderr)
        return exit_code_of(error.code)
    if not debug_wanted():
        place = traceback.extract_tb(error.__traceback__)
        at = f" ({place[-1].filename}:{place[-1].lineno})" if place else ""
        print(f"LESTO-9000: {type(error).__name__}: {error}{at}", file=sys.stderr)
        print(
            "  what to do: this is a defect of Lesto; run again with --debug and report the output",
            file=sys.stderr,
        )
    return ExitCode.INTERNAL


def job_failure_code(error: LestoError) -> ExitCode:
    """Return the exit code for an error that a script's job ended with."""
    if isinstance(error, JobCanceledError):
        return ExitCode.CANCELED
    if isinstance(error, JobExecutionError):
        return ExitCode.JOB_FAILED
    return exit_code_of(error.code)


def format_error(error: LestoError) -> str:
    """Return an error as lines: the user's traceback, code and what, where, why, what to do."""
    if isinstance(error, JobExecutionError):
        text = str(error)  # it leads with the user's traceback
        if debug_wanted() and error.full_traceback:
            text = f"{text}\nIn the task:\n{error.full_traceback.rstrip()}"
        return text
    lines = [f"{error.code}: {error.message}"]
    if error.location:
        lines.append(f"  at: {error.location}")
    lines += [f"  note: {note}" for note in getattr(error, "__notes__", ())]
    cause = error.__cause__
    if isinstance(cause, LestoError):
        if cause.message not in error.message:
            lines.append(f"  why: {cause.code}: {cause.message}")
    elif isinstance(cause, OSError | ValueError):
        lines.append(f"  why: {cause}")
    if error.remedy:
        lines.append(f"  what to do: {error.remedy}")
    return "\n".join(lines)


def format_user_traceback(error: BaseException, *, script: str) -> str:
    """Return a script's traceback from the script's own first frame on, without our frames.

    With ``LESTO_DEBUG=1`` every frame is shown.
    """
    if debug_wanted():
        return "".join(traceback.format_exception(error)).rstrip()
    summary = traceback.TracebackException.from_exception(error)
    pending: list[traceback.TracebackException] = [summary]
    while pending:
        part = pending.pop()
        _keep_user_frames(part, script)
        pending += [other for other in (part.__cause__, part.__context__) if other is not None]
    text = "".join(summary.format()).rstrip()
    return f"{text}\n{_INSIDE}" if _raised_inside(error) else text


def _raised_inside(error: BaseException) -> bool:
    """Whether our code, not the script's or a library's, raised what has no code of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, SyntaxError):  # of the script itself: the last frame is who loads it
        return False
    return bool(frames) and _is_ours(frames[-1].filename)


_INSIDE = (
    "  note: this was raised inside Lesto. If the line above looks right, it may be a defect:"
    " run again with --debug and report the output"
)


def _keep_user_frames(part: traceback.TracebackException, script: str) -> None:
    frames = list(part.stack)
    first = next((i for i, frame in enumerate(frames) if frame.filename == script), 0)
    kept = [frame for frame in frames[first:] if not _is_ours(frame.filename)]
    if not kept and not hasattr(part, "text"):
        kept = frames  # ours alone: better than nothing. A syntax error (it has a text) needs none
    part.stack = traceback.StackSummary.from_list(kept)


def _is_ours(filename: str) -> bool:
    path = os.path.realpath(filename)
    return filename.startswith("<frozen") or any(
        path.startswith(os.path.join(_PACKAGE_FOLDER, room) + os.sep) for room in _ROOMS
    )


_ROOMS = (
    "client",
    "common",
    "connectors",
    "jobmanager",
    "kernels",
    "lesto",
    "proto",
    "state",
    "taskmanager",
)
