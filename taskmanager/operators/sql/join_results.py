"""Pairs of rows, the conditions they must meet, and the columns that come of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import RowKinds
from lesto.kernels.partition import take_array, take_batch
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import Expression
from lesto.sql.rewrite import input_refs, remap_refs
from lesto.sql.values import EvaluationContext
from lesto.state.row_table import RowTable
from lesto.taskmanager.operators.sql.join_steps import RESULT_ROWS_MAX

Rows = npt.NDArray[np.int64]
Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

#: Pairs whose condition is computed at once.
CONDITION_PAIRS_MAX: Final = 65_536


class PairCondition:
    """What pairs must meet besides equal keys.

    Args:
        condition: over left and right columns.
        width: number of left columns.
        evaluation: what expressions may know now.

    Attributes:
        sides: positions of the left and of the right columns that it reads.
    """

    def __init__(
        self, condition: Expression, width: int, evaluation: Callable[[], EvaluationContext]
    ) -> None:
        refs = sorted(input_refs(condition))
        self.sides = ([i for i in refs if i < width], [i - width for i in refs if i >= width])
        places = {ref: place for place, ref in enumerate(refs)}
        self._compiled = compile_expressions([remap_refs(condition, places)])
        self._evaluation = evaluation

    def mask(self, rows: pa.RecordBatch, at: Rows, index: int, table: RowTable, ids: Ids) -> Flags:
        """bool[m]: the pairs of which the condition is TRUE.

        Args:
            rows: of input ``index``.
            at: int64[m], numbers of rows.
            index: 0 when the rows are the left ones.
            table: rows of the other input.
            ids: int64[m], of rows in the table.
        """
        found = np.empty(len(at), np.bool_)
        for start in range(0, len(at), CONDITION_PAIRS_MAX):
            part = slice(start, start + CONDITION_PAIRS_MAX)
            found[part] = self._mask(rows, at[part], index, table, ids[part])
        return found

    def _mask(self, rows: pa.RecordBatch, at: Rows, index: int, table: RowTable, ids: Ids) -> Flags:
        own = [take_array(rows.column(i), at) for i in self.sides[index]]
        wanted = self.sides[1 - index]
        other = table.take(ids, wanted).columns if wanted else []
        return self.of_columns([*other, *own] if index else [*own, *other], len(at))

    def mask_of(self, left: pa.RecordBatch, right: pa.RecordBatch) -> Flags:
        """bool[m] of pairs side by side."""
        columns = [left.column(i) for i in self.sides[0]]
        columns += [right.column(i) for i in self.sides[1]]
        return self.of_columns(columns, left.num_rows)

    def of_columns(self, columns: Sequence[pa.Array], rows: int) -> Flags:
        """bool[m], of the columns that the condition reads."""
        if not columns:  # a constant: rows must still be counted
            columns = [pa.nulls(rows, pa.int8())]
        batch = pa.RecordBatch.from_arrays(list(columns), [str(i) for i in range(len(columns))])
        mask = self._compiled.mask(batch, self._evaluation())
        found: Flags = mask.to_numpy(zero_copy_only=False)
        return found


class ResultRows:
    """Collects what one batch brings, and gives it in batches of bounded size.

    Args:
        schema: of the results.
        widths: number of left and of right columns in it.
        emit: takes rows and kinds.
    """

    def __init__(
        self,
        schema: pa.Schema,
        widths: tuple[int, int],
        emit: Callable[[pa.RecordBatch, RowKinds | None], None],
    ) -> None:
        self._schema = schema
        self._widths = widths
        self._emit = emit
        self._parts: list[tuple[pa.RecordBatch, RowKinds | None]] = []
        self._rows = 0

    def pairs(
        self,
        rows: pa.RecordBatch,
        at: Rows,
        index: int,
        table: RowTable,
        ids: Ids,
        kinds: RowKinds | None,
    ) -> None:
        """Pairs of rows of input ``index`` and of rows in the other input's table."""
        others = range(self._widths[1 - index])
        for start in range(0, len(at), RESULT_ROWS_MAX):
            part = slice(start, start + RESULT_ROWS_MAX)
            own = [take_array(rows.column(i), at[part]) for i in range(self._widths[index])]
            other = table.take(ids[part], others).columns if others else []
            columns = [*other, *own] if index else [*own, *other]
            self._add(columns, len(at[part]), None if kinds is None else kinds[part])

    def padded(self, rows: pa.RecordBatch, index: int, kinds: RowKinds | None) -> None:
        """Rows of input ``index`` without a partner."""
        for start in range(0, rows.num_rows, RESULT_ROWS_MAX):
            piece = rows.slice(start, RESULT_ROWS_MAX)
            n = piece.num_rows
            own = piece.columns[: self._widths[index]]
            shift = 0 if index else self._widths[0]
            fields = (self._schema.field(i + shift) for i in range(self._widths[1 - index]))
            other = [pa.nulls(n, field.type) for field in fields]
            columns = [*other, *own] if index else [*own, *other]
            self._add(columns, n, None if kinds is None else kinds[start : start + n])

    def alone(self, rows: pa.RecordBatch, kinds: RowKinds | None) -> None:
        """Left rows as they are."""
        for start in range(0, rows.num_rows, RESULT_ROWS_MAX):
            piece = rows.slice(start, RESULT_ROWS_MAX)
            n = piece.num_rows
            own = piece.columns[: self._widths[0]]
            self._add(own, n, None if kinds is None else kinds[start : start + n])

    def _add(self, columns: Sequence[pa.Array], rows: int, kinds: RowKinds | None) -> None:
        if not columns:  # a stream without columns has one to count rows by
            columns = [pa.repeat(pa.scalar(0, pa.int8()), rows)]
        data = pa.RecordBatch.from_arrays(list(columns), schema=self._schema)
        if self._rows + data.num_rows > RESULT_ROWS_MAX:
            self.flush()
        self._parts.append((data, kinds))
        self._rows += data.num_rows

    def flush(self) -> None:
        """Give what was collected."""
        parts, self._parts, self._rows = self._parts, [], 0
        if len(parts) == 1:
            self._emit(*parts[0])
        elif parts:
            kinds = None
            if any(k is not None for _, k in parts):
                kinds = np.concatenate(
                    [np.zeros(d.num_rows, np.int8) if k is None else k for d, k in parts]
                )
            self._emit(pa.concat_batches([data for data, _ in parts]), kinds)


def updates_of(
    rows: pa.RecordBatch, kinds: RowKinds, identity: Sequence[int]
) -> npt.NDArray[np.bool_]:
    """bool[n]: rows that an update replaces by the next row, both being the same by identity."""
    found: Flags = np.zeros(len(kinds), np.bool_)
    if not identity or len(kinds) < 2:
        return found
    at = np.flatnonzero((kinds[:-1] == 1) & (kinds[1:] == 2))
    if not len(at):
        return found
    from lesto.taskmanager.operators.sql.join_sides import equal_rows

    part = pa.RecordBatch.from_arrays(
        [rows.column(i) for i in identity], [str(i) for i in identity]
    )
    found[at[equal_rows(take_batch(part, at), take_batch(part, at + 1))]] = True
    return found
