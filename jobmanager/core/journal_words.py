"""How a job's journal says things. Pure functions of text and numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

#: Characters of a subject or cause.
LINE_CHARACTERS_MAX: Final = 500
#: Names of tasks or slots that one line lists.
NAMES_MAX: Final = 4


def clipped_line(text: str) -> str:
    """Return the first line, within its bound.

    >>> clipped_line("boom" + chr(10) + "at line 3")
    'boom'
    """
    first = text.strip().splitlines()[0] if text.strip() else ""
    if len(first) <= LINE_CHARACTERS_MAX:
        return first
    return first[: LINE_CHARACTERS_MAX - 1] + "…"


def seconds(ms: int) -> str:
    """Return a duration in ms for people.

    >>> seconds(80), seconds(4_100), seconds(600_000)
    ('0.08 s', '4.1 s', '600 s')
    """
    amount = max(ms, 0) / 1000
    if amount < 1:
        return f"{amount:.2f} s"
    return f"{amount:.1f} s" if amount < 100 else f"{amount:,.0f} s"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "task"), counted(3, "task")
    ('1 task', '3 tasks')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def names(found: Sequence[str]) -> str:
    """Return a few names of many.

    >>> names(["a", "b"]), names(["a", "b", "c", "d", "e", "f"])
    ('a, b', 'a, b, c, d and 2 more')
    """
    shown = ", ".join(found[:NAMES_MAX])
    more = len(found) - NAMES_MAX
    return f"{shown} and {more:,} more" if more > 0 else shown


def size(count: int) -> str:
    """Return a number of bytes for people.

    >>> size(999), size(1_500_000)
    ('999 B', '1.5 MB')
    """
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
