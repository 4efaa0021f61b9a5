"""Errors of SQL types, expressions and functions: at building (LESTO-212x) and at running."""

from __future__ import annotations

from lesto.common.errors import Domain, LestoError


class SqlExpressionError(LestoError):
    """A SQL expression cannot be built as written."""

    code = "LESTO-2120"
    domain = Domain.USER
    retryable = False


class UnknownFunctionError(SqlExpressionError):
    """No function has this name."""

    code = "LESTO-2121"


class FunctionArgumentsError(SqlExpressionError):
    """A function does not take these arguments; the message lists its signatures."""

    code = "LESTO-2122"


class InvalidTypeError(SqlExpressionError):
    """The text of a data type cannot be read, or Lesto has no such type."""

    code = "LESTO-2123"


class NoCommonTypeError(SqlExpressionError):
    """Values that must share one type have none in common."""

    code = "LESTO-2124"


class UnsupportedCastError(SqlExpressionError):
    """No CAST leads from one type to the other."""

    code = "LESTO-2125"


class InvalidPatternError(SqlExpressionError):
    """A literal regular expression, LIKE pattern, date format or JSON path is malformed.

    Raised too where Lesto does not have a part of Java's syntax.
    """

    code = "LESTO-2126"


class MalformedPatternError(InvalidPatternError):
    """A regular expression is malformed; some functions give NULL for it, as Flink does."""

    code = "LESTO-2127"


class SqlEvaluationError(LestoError):
    """An expression cannot be computed on a row."""

    code = "LESTO-6210"
    domain = Domain.USER
    retryable = False


class DivisionByZeroError(SqlEvaluationError):
    """An exact number is divided by zero."""

    code = "LESTO-6211"


class CastFailedError(SqlEvaluationError):
    """A value cannot be cast to the type; TRY_CAST gives NULL instead."""

    code = "LESTO-6212"


class NotComputableError(SqlEvaluationError):
    """A value is too large, or out of the range of what computes it; the cause says which."""

    code = "LESTO-6215"


class UserSqlFunctionError(SqlEvaluationError):
    """A user's function raised. The exception is the ``__cause__`` and keeps its traceback.

    A remedy that does not name the line is of no use: the traceback is shown before it.
    """

    code = "LESTO-6220"
    retryable = True


class InvalidUserResultError(SqlEvaluationError):
    """A user's function returned what is not of its result type, or not as many values as rows."""

    code = "LESTO-6221"


class UserFunctionLacksMethodError(SqlEvaluationError):
    """A user's aggregate has no ``retract`` or ``merge``, and the query needs it."""

    code = "LESTO-6222"
