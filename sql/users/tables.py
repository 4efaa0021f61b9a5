"""Table functions of users: any number of rows for each row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.row import Row
from lesto.sql.errors import InvalidUserResultError
from lesto.sql.types import SqlType
from lesto.sql.users.calling import UserCall, column_of, failed, rows_in
from lesto.sql.users.values import to_python


class TableCall(UserCall):
    """A table function, computed batch by batch. ``result`` is a ROW of the columns it gives.

    ``Correlate.user`` is one of these: call ``rows`` for each batch. Opening and closing is the
    business of the operators' base class.
    """

    def rows(
        self, columns: Sequence[pa.Array], rows: int
    ) -> tuple[npt.NDArray[np.int64], list[pa.Array]]:
        """What the function gives for the rows of a batch.

        Args:
            columns: the arguments, each of ``rows`` values of the call's Arrow types.
            rows: of the batch.

        Returns:
            int64[m], ascending: the row (from 0) that each result is of; and the results' columns.

        Raises:
            UserSqlFunctionError: the function raised.
            InvalidUserResultError: it gave something else than rows of its result types.
        """
        self.open()
        lists = [to_python(c, k) for c, k in zip(columns, self.arguments, strict=True)]
        call = self.method("eval")
        sources: list[int] = []
        values: list[Any] = []
        number = 0
        try:
            for number, row in enumerate(rows_in(lists, rows)):
                before = len(values)
                values.extend(_rows(self.name, call(*row)))
                sources.extend([number] * (len(values) - before))
        except Exception as error:
            raise failed(self.name, error, number) from error
        return np.array(sources, np.int64), row_columns(self.name, values, self.result)


def _rows(name: str, found: Any) -> Iterator[Any]:
    """Rows of one call: what it yields or returns, a single row too; None for none."""
    if found is None:
        return iter(())
    if isinstance(found, (Row, tuple, str, bytes, int, float)):
        return iter((found,))
    try:
        return iter(found)
    except TypeError as error:
        msg = f"{name} returned {found!r:.100}, which is no rows"
        raise InvalidUserResultError(
            msg, remedy="yield rows, or return a list of them (None for no row)"
        ) from error


def as_row(value: Any) -> Any:
    """A row, also of a value that stands for the row of itself."""
    return value if isinstance(value, (Row, tuple, list, dict)) else (value,)


def row_columns(name: str, values: Sequence[Any], kind: SqlType) -> list[pa.Array]:
    """Rows as columns; of a ROW of one field, values may stand for rows.

    Raises:
        InvalidUserResultError: a row has another number of fields, or a value is of another type.
    """
    column = column_of(name, values, kind)
    found: list[pa.Array] = column.flatten()
    return found
