"""Errors of SQL and the Table API at building. Codes ``LESTO-213x`` to ``LESTO-215x``.

Each shows the place in the text: line, column, the line itself and a caret.
"""

from __future__ import annotations

from typing import Any

from lesto.common.errors import Domain, LestoError


class SqlError(LestoError):
    """A SQL statement cannot be carried out as written.

    Attributes:
        line: of the text, from 1; 0 if unknown.
        column: of the line, from 1; 0 if unknown.
    """

    code = "LESTO-2130"
    domain = Domain.USER
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        location: str = "",
        text: str = "",
        offset: int = -1,
    ) -> None:
        self.line = self.column = 0
        self.plain = message
        if offset >= 0:
            offset = min(offset, len(text))
            start = text.rfind("\n", 0, offset) + 1
            end = text.find("\n", offset)
            shown = text[start : end if end >= 0 else len(text)].replace("\t", " ")
            shown = shown.encode(errors="replace").decode()  # what cannot be printed
            self.line = text.count("\n", 0, offset) + 1
            self.column = offset - start + 1
            message = (
                f"{message}, at line {self.line}, column {self.column}\n"
                f"    {shown}\n    {' ' * (offset - start)}^"
            )
        super().__init__(message, remedy=remedy, location=location)

    def __reduce__(self) -> tuple[Any, ...]:
        rebuild, arguments = super().__reduce__()
        return (rebuild, arguments, {"line": self.line, "column": self.column, "plain": self.plain})


class SqlSyntaxError(SqlError):
    """The text is not SQL as Flink writes it."""

    code = "LESTO-2131"


class UnknownColumnError(SqlError):
    """No column or field in scope has this name."""

    code = "LESTO-2132"


class UnknownTableError(SqlError):
    """No table, view, catalog or database has this name."""

    code = "LESTO-2133"


class AmbiguousColumnError(SqlError):
    """Several tables in scope have a column of this name."""

    code = "LESTO-2134"


class SqlTypeError(SqlError):
    """Types do not go together: of a comparison, a set operation, a sink's columns."""

    code = "LESTO-2135"


class UnknownSqlFunctionError(SqlError):
    """No function has this name."""

    code = "LESTO-2136"


class MissingTimeAttributeError(SqlError):
    """A column must be a time attribute here, and is none."""

    code = "LESTO-2137"


class AggregateMisuseError(SqlError):
    """An aggregate or window function stands where none can, or a column is not grouped by."""

    code = "LESTO-2138"


class UnknownTableOptionError(SqlError):
    """A table's connector or format has no such option."""

    code = "LESTO-2139"


class AlreadyExistsError(SqlError):
    """A catalog, database, table, view or function of this name exists."""

    code = "LESTO-2140"


class CatalogError(SqlError):
    """A catalog cannot do what is asked: a database is not empty, say."""

    code = "LESTO-2141"


class InvalidTableError(SqlError):
    """The definition of a table contradicts itself: two columns of one name, a NULL key."""

    code = "LESTO-2142"


class UnsupportedSqlError(SqlError):
    """Flink has this statement or clause; Lesto does not."""

    code = "LESTO-2143"


class InvalidQueryError(SqlError):
    """A query has no meaning on streams or at all, for a reason that the message tells."""

    code = "LESTO-2144"


class ChangelogError(SqlError):
    """An operator cannot take the changes that its input gives."""

    code = "LESTO-2145"


class CatalogFileError(SqlError):
    """The files of a catalog cannot be read or written."""

    code = "LESTO-2146"


class InvalidUserFunctionError(SqlError):
    """What is given as a user's function is none, or its types are missing or contradict it."""

    code = "LESTO-2147"


class TableProgramError(SqlError):
    """A call of the Table API has no meaning: a wrong argument, or a step out of order."""

    code = "LESTO-2148"
