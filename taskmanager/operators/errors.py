"""Errors of row operators: what a user's function did, or what it asked for that it cannot have."""

from __future__ import annotations

from typing import Any

from lesto.common.errors import Domain, LestoError


class UserFunctionError(LestoError):
    """A user's function raised. The exception is the ``__cause__`` and keeps its traceback.

    Attributes:
        operator: name of the operator.
        function: name of the function.
        record_index: index of the record in its batch, or None when no record was being processed
            (a timer, ``open``, a snapshot).
        record_digest: tells the record from others; empty: it is not the record's fault, or not
            known to be.
    """

    code = "LESTO-6001"
    domain = Domain.USER

    def __init__(
        self,
        operator: str,
        function: str,
        cause: BaseException,
        record_index: int | None = None,
        *,
        record: str = "",
    ) -> None:
        at = "" if record_index is None else f", record {record_index} of its batch"
        at = f" for {record}" if record else at
        super().__init__(
            f"{function} of operator {operator!r} failed{at}: {type(cause).__name__}: {cause}",
            remedy="correct the function, or catch it and put the record on a side output",
        )
        self.operator = operator
        self.function = function
        self.record_index = record_index
        self.record_digest = ""
        self.__cause__ = cause

    def __reduce__(self) -> tuple[Any, ...]:
        return (
            _rebuild_user_error,
            (
                self.operator,
                self.function,
                self.record_index,
                self.message,
                self.remedy,
                self.location,
            ),
        )


def _rebuild_user_error(
    operator: str, function: str, record_index: int | None, message: str, remedy: str, location: str
) -> UserFunctionError:
    error = UserFunctionError.__new__(UserFunctionError)
    LestoError.__init__(error, message, remedy=remedy, location=location)
    error.operator = operator
    error.function = function
    error.record_index = record_index
    error.record_digest = ""
    return error


class KeyedStateUnavailableError(LestoError):
    """State or timers were asked for in a function that is not on a keyed stream."""

    code = "LESTO-6002"
    domain = Domain.USER
    retryable = False


class MissingTimestampError(LestoError):
    """An event-time operator got a record without event time."""

    code = "LESTO-6003"
    domain = Domain.USER
    retryable = False


class InvalidFunctionError(LestoError):
    """An object given as a function has neither the method needed nor can be called."""

    code = "LESTO-6004"
    domain = Domain.USER
    retryable = False


class InvalidResultError(LestoError):
    """A user's function returned something the operator cannot use."""

    code = "LESTO-6005"
    domain = Domain.USER
    retryable = False


class CommitFailedError(LestoError):
    """A sink's committer failed at every attempt."""

    code = "LESTO-3901"
    domain = Domain.EXTERNAL


class UnsupportedMergeError(LestoError):
    """Merging windows were combined with a trigger or function that cannot merge."""

    code = "LESTO-6006"
    domain = Domain.USER
    retryable = False


class AsyncLoopBlockedError(LestoError):
    """A coroutine of a user's function did not end in time."""

    code = "LESTO-6010"
    domain = Domain.USER
    retryable = False


class InvalidPartitionError(LestoError):
    """A partitioner named a subtask that does not exist."""

    code = "LESTO-6013"
    domain = Domain.USER
    retryable = False


class UnusableKeyError(LestoError):
    """A key selector gave a value that cannot be a key."""

    code = "LESTO-6015"
    domain = Domain.USER
    retryable = False
