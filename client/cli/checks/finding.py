"""What a check of `lesto doctor` says."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass


class Status(enum.Enum):
    """How a check ended."""

    OK = "ok"
    NOTE = "note"  # works, and is worth knowing
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer.

    Attributes:
        check: what was looked at.
        status: how it is.
        finding: what was found; of a problem, what to do too.
    """

    check: str
    status: Status
    finding: str


Check = Callable[[], Iterable[Finding]]


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, Status.OK, text)


def note(check: str, text: str) -> Finding:
    """Worth knowing."""
    return Finding(check, Status.NOTE, text)


def problem(check: str, text: str) -> Finding:
    """Something will not work."""
    return Finding(check, Status.PROBLEM, text)
