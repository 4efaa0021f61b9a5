"""Which frames of a traceback are the user's own: those are what an error shows first."""

from __future__ import annotations

import sys
import traceback
from types import FrameType, TracebackType
from typing import Final

_ENGINE: Final = frozenset({"lesto", "cloudpickle"})
#: What the engine itself calls. Frames of these count only below a frame of the user's.
_LIBRARIES: Final = sys.stdlib_module_names | {
    "grpc",
    "google",
    "llvmlite",
    "msgspec",
    "numba",
    "numpy",
    "prometheus_client",
    "pyarrow",
    "rocksdict",
    "structlog",
}


def user_frames(found: TracebackType | None) -> tuple[list[traceback.FrameSummary], str]:
    """The frames from the user's first on, without the engine's, and the user's last line.

    Returns:
        (frames, ``file:line``); empty when no code of the user took part.
    """
    kept: list[tuple[FrameType, int]] = []
    location = ""
    for frame, line in traceback.walk_tb(found):
        room = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if room in _ENGINE:
            continue
        if room not in _LIBRARIES:
            location = f"{frame.f_code.co_filename}:{line}"
        if location:
            kept.append((frame, line))
    return list(traceback.StackSummary.extract(iter(kept))), location


def is_user_frame(frame: FrameType) -> bool:
    """Whether a frame runs code of the user's, not of the engine or what the engine calls."""
    room = str(frame.f_globals.get("__name__", "")).partition(".")[0]
    return room not in _ENGINE and room not in _LIBRARIES
