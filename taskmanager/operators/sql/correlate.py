"""UNNEST and table functions: each row with the rows that are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels import jit
from lesto.kernels.partition import take_batch
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import Expression
from lesto.sql.settings import SqlSettings
from lesto.sql.users.tables import TableCall
from lesto.sql.values import as_type
from lesto.taskmanager.operators.sql.base import SqlOperator

#: Rows of a batch of results at most, as many as the input had at least.
RESULT_ROWS_MAX: Final = 65_536

Numbers = npt.NDArray[np.int64]


class CorrelateOperator(SqlOperator):
    """Gives each row with each row of the function; results have the kind of their row.

    Args:
        settings: of the session.
        args: over the input's columns.
        schema: of the results: the input's columns, then the function's.
        outer: whether a row of which nothing is made stays, with NULLs.
        user: the table function; None for UNNEST.
        multiset: whether what is unnested is a MULTISET.
        ordinality: whether the last column counts the rows made of one, from 1.
    """

    def __init__(
        self,
        settings: SqlSettings,
        args: Sequence[Expression],
        schema: pa.Schema,
        outer: bool,
        user: TableCall | None = None,
        multiset: bool = False,
        ordinality: bool = False,
    ) -> None:
        super().__init__(settings)
        self._args = tuple(args)
        self._schema = schema
        self._outer = outer
        self._user = user
        self._multiset = multiset
        self._ordinality = ordinality

    def open(self) -> None:
        """Compile."""
        super().open()
        jit.warm(("rows",))
        self._compiled = compile_expressions(self._args)

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Make rows of rows."""
        assert isinstance(batch, ColumnarBatch)
        data, n = batch.data, len(batch)
        values = self._compiled.evaluate(data, self.evaluation())
        if self._user is not None:
            sources, columns = self._user.rows(values, n)
        else:
            sources, columns = unnested(values[0], self._multiset)
            if self._ordinality:
                columns = [*columns, pa.array(_ordinals(sources), pa.int32())]
        if self._outer:
            sources, columns = _with_lonely(sources, columns, n)
        if not len(sources):
            return
        width = len(data.schema)
        fields = [self._schema.field(width + i) for i in range(len(columns))]
        made = [as_type(c, f.type) for c, f in zip(columns, fields, strict=True)]
        for at in range(0, len(sources), RESULT_ROWS_MAX):
            some = slice(at, at + RESULT_ROWS_MAX)
            rows = sources[some]
            left = take_batch(data, rows).columns
            right = [c.slice(at, len(rows)) for c in made]
            kinds = None if batch.kinds is None else batch.kinds[rows]
            self.emit(pa.RecordBatch.from_arrays([*left, *right], schema=self._schema), kinds)


def unnested(value: pa.Array, multiset: bool = False) -> tuple[Numbers, list[pa.Array]]:
    """The elements of lists or maps.

    Args:
        value: n lists, or maps.
        multiset: whether a map's values say how often its keys are there.

    Returns:
        int64[m], ascending: the row that each element is of; and the elements' columns: the fields
        of rows, keys and values of maps, else the elements.
    """
    offsets = np.asarray(value.offsets).astype(np.int64)
    starts, lengths = offsets[:-1], np.diff(offsets)
    if value.null_count:
        lengths = np.where(np.asarray(value.is_null()), 0, lengths)
    sources = np.repeat(np.arange(len(value)), lengths)
    places = np.arange(len(sources)) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    if not pat.is_map(value.type):
        return sources, _fields(value.values.take(pa.array(places)))
    keys = value.keys.take(pa.array(places))
    items = value.items.take(pa.array(places))
    if not multiset:
        return sources, [keys, items]
    times = np.asarray(items.fill_null(0)).astype(np.int64)
    repeated = np.repeat(np.arange(len(keys)), times)
    return sources[repeated], _fields(keys.take(pa.array(repeated)))


def _fields(elements: pa.Array) -> list[pa.Array]:
    return elements.flatten() if pat.is_struct(elements.type) else [elements]


def _ordinals(sources: Numbers) -> Numbers:
    """Counts from 1 within equal, adjacent sources."""
    n = len(sources)
    if not n:
        return sources
    first = np.flatnonzero(np.append(True, sources[1:] != sources[:-1]))
    return np.arange(n) - np.repeat(first, np.diff(np.append(first, n))) + 1


def _with_lonely(
    sources: Numbers, columns: Sequence[pa.Array], rows: int
) -> tuple[Numbers, list[pa.Array]]:
    """Rows of which nothing was made too, with NULLs."""
    lonely = np.flatnonzero(np.bincount(sources, minlength=rows) == 0)
    if not len(lonely):
        return sources, list(columns)
    every = np.concatenate([sources, lonely])
    order = np.argsort(every, kind="stable")
    places = np.concatenate([np.arange(len(sources)), np.full(len(lonely), -1)])[order]
    chosen = pa.array(places, mask=places < 0)
    return every[order], [c.take(chosen) for c in columns]
