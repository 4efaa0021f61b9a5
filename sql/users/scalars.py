"""Scalar functions of users in their forms: a value a row, or a batch as Arrow, pandas, numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lesto.sql.errors import InvalidUserResultError
from lesto.sql.types import SqlType, TypeRoot
from lesto.sql.users.calling import UserCall, applied, failed
from lesto.sql.users.values import from_python, to_python

#: What a function takes and gives: ``general`` is a row at a time.
FORMS = ("general", "arrow", "pandas", "numpy")


class ScalarCall(UserCall):
    """A scalar function, computed batch by batch: a :class:`~lesto.sql.expressions.UserFunction`.

    Args:
        name: see :class:`UserCall`.
        function: see there.
        arguments: see there.
        result: type of the values.
        form: one of ``FORMS``.
        deterministic: see there.
    """

    def __init__(
        self,
        name: str,
        function: Any,
        arguments: Sequence[SqlType],
        result: SqlType,
        form: str = "general",
        *,
        deterministic: bool = True,
    ) -> None:
        super().__init__(name, function, arguments, result, deterministic=deterministic)
        self.form = form

    def evaluate(self, columns: Sequence[pa.Array], rows: int) -> pa.Array:
        """The function's values for a batch.

        Raises:
            UserSqlFunctionError: the function raised.
            InvalidUserResultError: it returned something else than its type says.
        """
        self.open()
        call = self.method("eval")
        if self.form == "general":
            lists = [to_python(c, k) for c, k in zip(columns, self.arguments, strict=True)]
            return self.column(applied(self.name, call, lists, rows))
        given = [_GIVEN[self.form](c, k) for c, k in zip(columns, self.arguments, strict=True)]
        try:
            found = call(*given)
        except Exception as error:
            raise failed(self.name, error) from error
        return vector(self.name, found, self.result, rows)


def to_series(column: pa.Array, kind: SqlType) -> Any:
    """As pandas: a frame for rows, else a series."""
    if kind.root is TypeRoot.ROW:
        return pa.Table.from_arrays(column.flatten(), kind.names).to_pandas()
    return column.to_pandas(date_as_object=True)


def to_numpy(column: pa.Array, _kind: SqlType) -> Any:
    """As numpy; NULL is NaN among numbers and times, None among others."""
    return column.to_numpy(zero_copy_only=False)


_GIVEN: dict[str, Callable[[pa.Array, SqlType], Any]] = {
    "arrow": lambda column, _: column,
    "pandas": to_series,
    "numpy": to_numpy,
}


def vector(name: str, found: Any, kind: SqlType, rows: int) -> pa.Array:
    """What a vectorized function returned as a column of a type.

    Raises:
        InvalidUserResultError: it is no column of so many rows, or of other values.
    """
    target = kind.to_arrow()
    try:
        column = _as_column(found, kind, rows)
        if column.type != target:
            column = pc.cast(column, target)
    except Exception as error:
        msg = f"{name} returned a {type(found).__name__} that is no column of {kind}: {error}"
        raise InvalidUserResultError(
            msg, remedy="return an array, series or scalar of the declared result type"
        ) from error
    if len(column) != rows:
        msg = f"{name} returned {len(column)} values for a batch of {rows} rows"
        raise InvalidUserResultError(msg, remedy="return one value for each row")
    return column


def _as_column(found: Any, kind: SqlType, rows: int) -> pa.Array:
    if isinstance(found, pa.ChunkedArray):
        return found.combine_chunks()
    if isinstance(found, pa.Array):
        return found
    if isinstance(found, pa.Scalar):
        return pa.repeat(found, rows)
    if isinstance(found, np.ndarray) and found.ndim == 1 and found.dtype != object:
        return pa.array(found, from_pandas=True)
    if hasattr(found, "columns") and hasattr(found, "iloc"):  # a frame, for rows
        parts = [
            pa.Array.from_pandas(found.iloc[:, i], type=child.to_arrow())
            for i, child in enumerate(kind.children)
        ]
        return pa.StructArray.from_arrays(parts, fields=list(kind.to_arrow()))
    if hasattr(found, "iloc"):
        return _of_series(found, kind)
    if hasattr(found, "__arrow_array__"):
        return pa.array(found)
    values = found.tolist() if isinstance(found, np.ndarray) else list(found)
    return from_python(values, kind)


def _of_series(series: Any, kind: SqlType) -> pa.Array:
    try:
        return pa.Array.from_pandas(series, type=kind.to_arrow())
    except pa.ArrowException:
        nulls = series.isna()
        values = [None if n else v for v, n in zip(series.tolist(), nulls.tolist(), strict=True)]
        return from_python(values, kind)
