"""Joins of rows of the same window, when it ends: inner, outer, semi, anti."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.common.elements import Batch, ColumnarBatch
from lesto.kernels import hashing
from lesto.kernels.index import HashIndex
from lesto.kernels.partition import take_batch
from lesto.sql.evaluator import compile_expressions
from lesto.sql.expressions import Expression
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.window_given import GivenWindowsOperator
from lesto.taskmanager.operators.sql.window_rows import SlicedRows
from lesto.taskmanager.operators.sql.window_slices import RESULT_ROWS_MAX

Rows = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
SIDES: Final = (0, 1)
JoinType = Literal["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"]


@dataclass(frozen=True, slots=True)
class WindowSide:
    """An input of a window join.

    Attributes:
        keys: columns that are equated, besides those of the window; in the order of the other's.
        start: position of window_start.
        end: position of window_end.
        width: number of columns that the condition and the results know.
    """

    keys: tuple[int, ...]
    start: int
    end: int
    width: int

    @property
    def placed(self) -> tuple[int, ...]:
        """Columns that decide where rows belong."""
        return self.keys or (self.start,)


class WindowJoinOperator(GivenWindowsOperator):
    """Keeps the rows of both sides and joins them when their window ends.

    NULL keys equal nothing. Within a window, pairs come in the order of the left rows.

    Args:
        settings: of the session.
        kind: of the join.
        sides: left and right.
        condition: over left and right columns, besides the keys; None for none.
        schema: of the results.
        zoned: whether windows are those of instants, in the session's zone.
    """

    def __init__(
        self,
        settings: SqlSettings,
        kind: JoinType,
        sides: tuple[WindowSide, WindowSide],
        condition: Expression | None,
        schema: pa.Schema,
        zoned: bool,
    ) -> None:
        super().__init__(settings, zoned)
        self._kind = kind
        self._sides = sides
        self._condition = condition
        self._schema = schema
        self._joining = False  # a window is, and a part of its results is out

    def open(self) -> None:
        """Compile, find the rows that wait."""
        super().open()
        self._compiled = None if self._condition is None else compile_expressions([self._condition])
        self._waiting: list[SlicedRows] = []
        for i, side in enumerate(self._sides):
            given = self.input_schema(i)
            kinds = [given.field(k).type for k in side.placed]
            rows = SlicedRows(self.backend, f"window_join_{i}", kinds, given.types)
            self._waiting.append(rows)
        given = self.input_schema(0)
        self._key_types = [
            given.field(k).type for k in (*self._sides[0].keys, self._sides[0].start)
        ]

    def process_batch(self, batch: Batch, input_index: int = 0) -> None:
        """Keep the rows until their windows end."""
        assert isinstance(batch, ColumnarBatch)
        side = self._sides[input_index]
        data, ends, hashes = self.in_time(batch, side.end, side.placed)
        if data.num_rows:
            keys = [data.column(k) for k in side.placed]
            self._waiting[input_index].add(ends, keys, data.columns, hashes)

    # -- time

    def fire(self, progress: int) -> Iterator[None]:
        """Join the windows that have ended, a batch of results at a step."""
        ends = {e for rows in self._waiting for e in rows.slices if e - 1 <= progress}
        for end in sorted(ends):
            self._joining = True
            yield from self._join(end)
            for rows in self._waiting:
                rows.drop([end])
            self.fired.advance(end - 1)
            self._joining = False
            yield
        self.fired.advance(progress)

    def prepare_snapshot(self, checkpoint_id: int) -> None:
        """End the window in hand: all of its results belong to one checkpoint, or none."""
        while self._joining:
            self.firing.poll()

    def _join(self, end: int) -> Iterator[None]:
        both = [
            pa.RecordBatch.from_arrays(rows.of([end]).columns, schema=self.input_schema(i))
            for i, rows in enumerate(self._waiting)
        ]
        numbers = self._numbers(both)
        known = [self._known(both[0], self._sides[0]), self._known(both[1], self._sides[1])]
        shown = [d.select(list(range(s.width))) for d, s in zip(both, self._sides, strict=True)]
        met = [np.zeros(d.num_rows, np.bool_) for d in both]
        paired = self._kind not in {"SEMI", "ANTI"}
        if paired or self._compiled is not None:
            for first, second in _pairs(numbers[0], numbers[1], known[0], known[1]):
                a, b, data = self._matched(shown, first, second)
                met[0][a] = True
                met[1][b] = True
                if paired:
                    self.emit(self._row(data.columns))
                yield
        else:
            partners = np.zeros(int(max(n.max(initial=-1) for n in numbers)) + 1, np.bool_)
            partners[numbers[1][known[1]]] = True
            met[0] = known[0] & partners[numbers[0]]
        yield from self._alone(shown, met)

    def _matched(
        self, shown: list[pa.RecordBatch], a: Rows, b: Rows
    ) -> tuple[Rows, Rows, pa.RecordBatch]:
        """The pairs that meet the condition, and their columns."""
        columns = [*take_batch(shown[0], a).columns, *take_batch(shown[1], b).columns]
        data = pa.RecordBatch.from_arrays(columns, [f"c{i}" for i in range(len(columns))])
        if self._compiled is None:
            return a, b, data
        mask = self._compiled.mask(data, self.evaluation())
        rows = np.flatnonzero(mask.to_numpy(zero_copy_only=False))
        if len(rows) == len(a):
            return a, b, data
        return a[rows], b[rows], take_batch(data, rows)

    def _alone(self, shown: list[pa.RecordBatch], met: list[Flags]) -> Iterator[None]:
        """Rows of semi and anti joins, and those of outer joins without a partner."""
        if self._kind in {"SEMI", "ANTI"}:
            wanted = met[0] if self._kind == "SEMI" else ~met[0]
            for rows in _pieces(np.flatnonzero(wanted)):
                self.emit(self._row(take_batch(shown[0], rows).columns))
                yield
            return
        for side in SIDES:
            if self._kind not in {"FULL", ("LEFT", "RIGHT")[side]}:
                continue
            for rows in _pieces(np.flatnonzero(~met[side])):
                own = take_batch(shown[side], rows).columns
                none = [pa.nulls(len(rows), kind) for kind in shown[1 - side].schema.types]
                self.emit(self._row([*own, *none] if side == 0 else [*none, *own]))
                yield

    def _row(self, columns: list[pa.Array]) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays(columns, schema=self._schema)

    def _numbers(self, both: list[pa.RecordBatch]) -> list[Rows]:
        """Numbers of keys and windows, equal for equal ones."""
        index = HashIndex(self._key_types, capacity=max(both[0].num_rows, 8))
        found: list[Rows] = []
        for data, side in zip(both, self._sides, strict=True):
            keys = [data.column(k) for k in (*side.keys, side.start)]
            hashes = hashing.hash_columns(keys)
            found.append(index.lookup_or_insert(keys, hashes)[0])
        return found

    def _known(self, data: pa.RecordBatch, side: WindowSide) -> Flags:
        """Which rows have no NULL among their keys."""
        found = np.ones(data.num_rows, np.bool_)
        for key in side.keys:
            column = data.column(key)
            if column.null_count:
                found &= column.is_valid().to_numpy(zero_copy_only=False)
        return found


def _pairs(first: Rows, second: Rows, known: Flags, others: Flags) -> Iterator[tuple[Rows, Rows]]:
    """Rows of both sides with equal numbers, in bounded pieces."""
    right = np.flatnonzero(others)
    order = right[np.argsort(second[right], kind="stable")]
    bound = int(max(first.max(initial=-1), second.max(initial=-1))) + 1
    counts = np.bincount(second[right], minlength=bound)
    offsets = np.concatenate(([0], np.cumsum(counts)))[:-1]
    matches = np.where(known, counts[first], 0) if bound else np.zeros(0, np.int64)
    totals = np.cumsum(matches)
    at, rows = 0, len(matches)
    while at < rows:
        done = int(totals[at - 1]) if at else 0
        end = max(at + 1, int(np.searchsorted(totals, done + RESULT_ROWS_MAX, "right")))
        some = matches[at:end]
        total = int(some.sum())
        if total:
            a = np.repeat(np.arange(at, end), some)
            within = np.arange(total) - np.repeat(np.cumsum(some) - some, some)
            b = order[offsets[first[a]] + within]
            for piece in range(0, total, RESULT_ROWS_MAX):
                yield a[piece : piece + RESULT_ROWS_MAX], b[piece : piece + RESULT_ROWS_MAX]
        at = end


def _pieces(rows: Rows) -> Iterator[Rows]:
    for at in range(0, len(rows), RESULT_ROWS_MAX):
        yield rows[at : at + RESULT_ROWS_MAX]
