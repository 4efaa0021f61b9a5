"""Colours on a terminal, and none elsewhere."""

from __future__ import annotations

import os
import sys
from typing import Final, TextIO

_CODES: Final = {"good": "32", "bad": "31", "weak": "2", "warning": "33"}


def wanted(stream: TextIO | None = None) -> bool:
    """Whether colours are shown: on a terminal, unless NO_COLOR is set or TERM is dumb."""
    stream = sys.stdout if stream is None else stream
    return (
        stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "") != "dumb"
    )


def paint(text: str, look: str, stream: TextIO | None = None) -> str:
    """Return the text in a colour by its meaning: good, bad, warning, weak.

    >>> paint("ok", "good")  # doctests have no terminal
    'ok'
    """
    if not look or not wanted(stream):
        return text
    return f"\x1b[{_CODES[look]}m{text}\x1b[0m"


#: How words of tables look.
LOOKS: Final = {
    "RUNNING": "good",
    "FINISHED": "good",
    "ok": "good",
    "FAILED": "bad",
    "FAILING": "bad",
    "problem": "bad",
    "RESTARTING": "warning",
    "note": "warning",
    "CANCELED": "weak",
    "default": "weak",
}
