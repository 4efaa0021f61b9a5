"""Where in the user's code a call was made."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType

#: Lesto itself, and the import system: a name that is missing is asked for through it.
_OWN_ROOTS = ("lesto", "importlib", "runpy")


#: The command, as pip makes it.
_COMMAND = "lesto"


def _is_own(frame: FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")
    if name == "__main__":
        spec = frame.f_globals.get("__spec__")
        name = _COMMAND if Path(frame.f_code.co_filename).name == _COMMAND else ""
        name = name or (spec.name if spec is not None else "")
    return name.partition(".")[0] in _OWN_ROOTS


def user_frame() -> FrameType | None:
    """The innermost frame that is neither Lesto's nor of the import system."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and _is_own(frame):
        frame = frame.f_back
    return frame


def user_location() -> str:
    """``file:line`` of the user's call that led here; empty when there is none."""
    frame = user_frame()
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


def code_location(function: object) -> str:
    """``file:line`` of a function's or a class's definition; empty when it has none in Python."""
    target = getattr(function, "__wrapped__", function)
    target = getattr(target, "__func__", target)
    code = getattr(target, "__code__", None)
    if isinstance(code, CodeType):
        return f"{code.co_filename}:{code.co_firstlineno}"
    cls = target if isinstance(target, type) else type(target)
    for member in vars(cls).values():
        code = getattr(member, "__code__", None)
        if isinstance(code, CodeType):
            return f"{code.co_filename}:{code.co_firstlineno}"
    return ""
