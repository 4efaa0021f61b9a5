"""Aggregate functions of users: accumulators are Python values, folded batch by batch.

``AggregateCall.user`` of a plan is one of these. An operator keeps, for each group, the accumulator
that :meth:`AggregateFunctionCall.create` gives (any Python value: :mod:`lesto.state.codec` stores
it), calls :meth:`~AggregateFunctionCall.fold` for each batch, and
:meth:`~AggregateFunctionCall.results` for the groups that it gives. Opening and closing is the
business of the operators' base class.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import RowKind, RowKinds
from lesto.sql import types as t
from lesto.sql.errors import UserFunctionLacksMethodError
from lesto.sql.types import SqlType
from lesto.sql.users.calling import UserCall, applied, column_of, failed, rows_in
from lesto.sql.users.functions import ImperativeAggregateFunction
from lesto.sql.users.scalars import to_numpy, to_series, vector
from lesto.sql.users.tables import as_row, row_columns
from lesto.sql.users.values import from_python, to_python

_TAKES_BACK = (int(RowKind.UPDATE_BEFORE), int(RowKind.DELETE))


class AggregateFunctionCall(UserCall):
    """An aggregate of PyFlink's form: accumulate, retract, merge, get_value."""

    @property
    def value_type(self) -> SqlType:
        """Type of what :meth:`results` gives."""
        return self.result

    @property
    def can_retract(self) -> bool:
        """Whether rows can be taken back."""
        return _has(self.function, "retract")

    @property
    def can_merge(self) -> bool:
        """Whether accumulators can be merged."""
        return _has(self.function, "merge")

    def create(self) -> Any:
        """The accumulator of no rows.

        Raises:
            UserSqlFunctionError: the function raised; so of all methods here.
        """
        self.open()
        try:
            return self.function.create_accumulator()
        except Exception as error:
            raise self.failure(error, "create_accumulator") from error

    def fold(
        self,
        accumulators: Sequence[Any],
        groups: npt.NDArray[np.int64],
        columns: Sequence[pa.Array],
        kinds: RowKinds | None = None,
    ) -> None:
        """Take the rows of a batch into their groups' accumulators, in order.

        Args:
            accumulators: one for each group of the batch; changed in place.
            groups: int64[n]: for each row, the position of its group's accumulator.
            columns: the arguments, n values each.
            kinds: int8[n]; rows of UPDATE_BEFORE and DELETE are retracted. None: all inserted.

        Raises:
            UserFunctionLacksMethodError: rows are to be retracted, and the function cannot.
        """
        self.open()
        rows = len(groups)
        lists = [to_python(c, k) for c, k in zip(columns, self.arguments, strict=True)]
        take, back = self._steps(kinds)
        changes = [0] * rows if kinds is None else kinds.tolist()
        steps = (take, back, take, back)
        done = 0
        try:
            for group, kind, row in zip(
                groups.tolist(), changes, rows_in(lists, rows), strict=True
            ):
                steps[kind](accumulators[group], *row)
                done += 1
        except Exception as error:
            raise failed(self.name, error, done) from error

    def _steps(self, kinds: RowKinds | None) -> tuple[Any, Any]:
        take = self.function.accumulate
        if kinds is None or not np.isin(kinds, _TAKES_BACK).any():
            return take, None
        if not self.can_retract:
            msg = f"{self.name} has no retract, and its input updates or deletes rows"
            raise UserFunctionLacksMethodError(
                msg, remedy="define retract(self, accumulator, *args), the reverse of accumulate"
            )
        return take, self.function.retract

    def merge(self, accumulator: Any, others: Iterable[Any]) -> Any:
        """The accumulator with others taken into it, as of merged sessions.

        Raises:
            UserFunctionLacksMethodError: the function cannot.
        """
        if not self.can_merge:
            msg = f"{self.name} has no merge, and this query merges accumulators"
            raise UserFunctionLacksMethodError(
                msg, remedy="define merge(self, accumulator, accumulators)"
            )
        self.open()
        try:
            self.function.merge(accumulator, others)
        except Exception as error:
            raise self.failure(error, "merge") from error
        return accumulator

    def results(self, accumulators: Sequence[Any]) -> pa.Array:
        """The values of accumulators, of the result's Arrow type."""
        self.open()
        name = f"{self.name}.get_value"
        return self.column(
            applied(name, self.function.get_value, [list(accumulators)], len(accumulators))
        )


class TableAggregateCall(AggregateFunctionCall):
    """A table aggregate: any number of rows for each group. ``result`` is a ROW of the columns.

    As an aggregate its value is an array of them.
    """

    @property
    def value_type(self) -> SqlType:
        """An array of rows."""
        return t.ARRAY(self.result)

    def results(self, accumulators: Sequence[Any]) -> pa.Array:
        """The rows of each accumulator."""
        found: list[Any] = []
        self.open()
        try:
            for accumulator in accumulators:
                found.append([as_row(r) for r in self.function.emit_value(accumulator) or ()])
        except Exception as error:
            raise self.failure(error, "emit_value", len(found)) from error
        return column_of(self.name, found, self.value_type)

    def emit(self, accumulators: Sequence[Any]) -> tuple[npt.NDArray[np.int64], list[pa.Array]]:
        """The rows of accumulators.

        Returns:
            int64[m], ascending: the position of the accumulator each row is of; the rows' columns.
        """
        self.open()
        sources: list[int] = []
        values: list[Any] = []
        number = 0
        try:
            for number, accumulator in enumerate(accumulators):
                before = len(values)
                values.extend(self.function.emit_value(accumulator) or ())
                sources.extend([number] * (len(values) - before))
        except Exception as error:
            raise self.failure(error, "emit_value", number) from error
        return np.array(sources, np.int64), row_columns(self.name, values, self.result)


class VectorAggregateCall(AggregateFunctionCall):
    """A function of the group's columns (pandas, Arrow, numpy): all rows of a group are kept.

    Args:
        name: see :class:`UserCall`.
        function: see there.
        arguments: see there.
        result: type of the value.
        form: ``pandas``, ``arrow`` or ``numpy``.
        deterministic: see there.
    """

    def __init__(
        self,
        name: str,
        function: Any,
        arguments: Sequence[SqlType],
        result: SqlType,
        form: str = "pandas",
        *,
        deterministic: bool = True,
    ) -> None:
        super().__init__(name, function, arguments, result, deterministic=deterministic)
        self.form = form

    can_retract = True
    can_merge = True

    def create(self) -> list[tuple[Any, ...]]:
        """No rows."""
        return []

    def fold(
        self,
        accumulators: Sequence[Any],
        groups: npt.NDArray[np.int64],
        columns: Sequence[pa.Array],
        kinds: RowKinds | None = None,
    ) -> None:
        """Keep the rows; see :meth:`AggregateFunctionCall.fold`."""
        lists = [to_python(c, k) for c, k in zip(columns, self.arguments, strict=True)]
        rows = rows_in(lists, len(groups))
        changes = [0] * len(groups) if kinds is None else kinds.tolist()
        for group, kind, row in zip(groups.tolist(), changes, rows, strict=True):
            if kind in _TAKES_BACK:
                accumulators[group].remove(row)
            else:
                accumulators[group].append(row)

    def merge(self, accumulator: Any, others: Iterable[Any]) -> Any:
        """All rows."""
        for other in others:
            accumulator.extend(other)
        return accumulator

    def results(self, accumulators: Sequence[Any]) -> pa.Array:
        """The function's value of each group's columns."""
        self.open()
        call = self.method("eval", "get_value")
        found: list[Any] = []
        for number, rows in enumerate(accumulators):
            columns = list(zip(*rows, strict=True)) or [()] * len(self.arguments)
            arrays = [from_python(c, k) for c, k in zip(columns, self.arguments, strict=True)]
            given = [_given(self.form, a, k) for a, k in zip(arrays, self.arguments, strict=True)]
            try:
                found.append(call(*given))
            except Exception as error:
                raise failed(self.name, error, number) from error
        return _values(self.name, found, self.result)


def _given(form: str, column: pa.Array, kind: SqlType) -> Any:
    if form == "pandas":
        return to_series(column, kind)
    return to_numpy(column, kind) if form == "numpy" else column


def _values(name: str, found: Sequence[Any], kind: SqlType) -> pa.Array:
    plain = [_plain(v) for v in found]
    return vector(name, plain, kind, len(plain))


def _plain(value: Any) -> Any:
    """A Python value: scalars of pandas, numpy and Arrow are unpacked."""
    if isinstance(value, pa.Scalar):
        return value.as_py()
    if isinstance(value, np.generic):
        return value.item()
    return value


def _has(function: Any, method: str) -> bool:
    """Whether a user's class defines a method that the base only announces."""
    found = getattr(type(function), method, None)
    return callable(found) and found is not getattr(ImperativeAggregateFunction, method)
