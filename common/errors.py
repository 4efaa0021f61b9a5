"""One exception root, stable codes, and what to do about each error.

A code is ``LESTO-`` and four digits; its first digit is the area: 1 command line, configuration and
client, 2 building a job (API, types, schemas), 3 connectors and formats, 4 scheduling and
processes,
5 checkpoints and state, 6 user functions, 9 internal. ``docs/errors.md`` is generated from the
classes.
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable
from typing import Any, ClassVar


class Domain(enum.Enum):
    """Who can mend it."""

    USER = "user"
    EXTERNAL = "external"
    INTERNAL = "internal"


class LestoError(Exception):
    """Root of every error Lesto raises on purpose.

    Attributes:
        code: stable identifier such as ``LESTO-2104``.
        domain: whether the user, an external system or the engine is at fault.
        retryable: whether a restart may help; restart strategies read this, never the text.
        remedy: what to do, one sentence.
        location: ``file:line`` of the user's code, when known.
    """

    code: ClassVar[str] = "LESTO-9000"
    domain: ClassVar[Domain] = Domain.INTERNAL
    retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, remedy: str = "", location: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.location = location

    def __str__(self) -> str:
        at = f" at {self.location}" if self.location else ""
        todo = f"\n  what to do: {self.remedy}" if self.remedy else ""
        return f"{self.code}: {self.message}{at}{todo}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.message, self.remedy, self.location))


def _rebuild(cls: type[LestoError], message: str, remedy: str, location: str) -> LestoError:
    error = cls.__new__(cls)
    LestoError.__init__(error, message, remedy=remedy, location=location)
    return error


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """A suffix naming the nearest valid word, or nothing.

    >>> did_you_mean("dep_dealy", ["dep_delay", "carrier"])
    " (did you mean 'dep_delay'?)"
    >>> did_you_mean("zzz", ["dep_delay"])
    ''
    """
    near = difflib.get_close_matches(word, list(valid), n=1, cutoff=0.6)
    return f" (did you mean '{near[0]}'?)" if near else ""


class InternalError(LestoError):
    """An invariant of the engine does not hold."""

    code = "LESTO-9000"


class IllegalTransitionError(LestoError):
    """A state machine was asked for a transition that is not in its table."""

    code = "LESTO-9001"
