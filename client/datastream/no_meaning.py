"""Calls of PyFlink that mean nothing without a JVM: they warn once, and the program goes on."""

from __future__ import annotations

import sys
import warnings
from typing import Final

from lesto.client.datastream.location import user_frame

_told: Final[set[str]] = set()


class NoMeaningWarning(UserWarning):
    """A call that Lesto accepts and that changes nothing."""


def no_meaning(call: str, why: str) -> None:
    """Warn, the first time in a process, that a call changes nothing.

    Args:
        call: its name.
        why: the reason, and what does it instead if anything does.
    """
    if call in _told:
        return
    _told.add(call)
    frame = user_frame()
    text = f"{call} changes nothing in Lesto: {why}"
    if frame is None:
        warnings.warn(text, NoMeaningWarning, stacklevel=3)
        return
    name = frame.f_globals.get("__name__", "__main__")
    registry = getattr(sys.modules.get(name), "__warningregistry__", None)
    warnings.warn_explicit(
        text, NoMeaningWarning, frame.f_code.co_filename, frame.f_lineno, name, registry
    )
