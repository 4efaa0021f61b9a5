"""Errors of columnar operators."""

from lesto.common.errors import Domain, LestoError


class ChangelogInputError(LestoError):
    """A stream with updates or deletions reached an operator that takes insertions only."""

    code = "LESTO-2301"
    domain = Domain.USER
    retryable = False


class UnsupportedAggregateError(LestoError):
    """A columnar aggregate does not take the type or the expression it is given."""

    code = "LESTO-2302"
    domain = Domain.USER
    retryable = False


class UnsupportedWindowError(LestoError):
    """Columnar aggregates do not support this kind of window."""

    code = "LESTO-2303"
    domain = Domain.USER
    retryable = False


class ValueOutOfRangeError(LestoError):
    """A value does not fit the accumulator of a columnar aggregate."""

    code = "LESTO-6201"
    domain = Domain.USER
    retryable = False
