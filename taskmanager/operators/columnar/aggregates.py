"""Aggregate expressions taken apart: what to fold, and what to compute from the accumulators.

``(col("v").sum() / count()).alias("m")`` becomes two accumulators and the expression ``$0 / $1``
over their results. Equal aggregates share an accumulator, and a mean shares the sum and the count
of its expression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

from lesto.common.evaluator import CompiledExpr, Projection, compile_expr, resolve_column
from lesto.common.expressions import (
    Aggregate,
    Alias,
    Call,
    Column,
    Expr,
    WindowBound,
    output_name,
    structure,
)
from lesto.kernels import aggregate as kernel
from lesto.kernels.arrow import validity_bytes
from lesto.state.table import AccumulatorKind, AccumulatorSpec, StateTable
from lesto.taskmanager.operators.columnar.errors import UnsupportedAggregateError
from lesto.taskmanager.operators.columnar.numbers import (
    Flags,
    Numbers,
    from_numbers,
    stored_dtype,
    to_numbers,
)

Slots = npt.NDArray[np.int64]

#: Type of the columns ``window_start()`` and ``window_end()``.
WINDOW_BOUND_TYPE: Final = pa.timestamp("ms", "UTC")

_NONE: Final[Numbers] = np.empty(0, np.int64)

#: Values of an accumulator (or input) by row, and uint8 validity; None where nothing can be null.
Folded = tuple[Numbers, Flags | None]


@dataclass(frozen=True, slots=True)
class Fold:
    """An accumulator and where its values come from.

    Attributes:
        spec: the accumulator.
        value: number of the input in :attr:`AggregatePlan.inputs`, or None to count rows.
        type: Arrow type of the accumulator's result.
    """

    spec: AccumulatorSpec
    value: int | None
    type: pa.DataType


@dataclass(frozen=True, slots=True)
class _Result:
    """A column computed from accumulators: one as it is, or a mean of two."""

    name: str
    type: pa.DataType
    fold: int
    count: int | None = None


class AggregatePlan:
    """The aggregates of one operator, compiled against its input's schema.

    Attributes:
        folds: the accumulators.
        inputs: the distinct expressions they fold.
        key_indices: positions of the key columns in the input.
        key_schema: the key columns.
        output_schema: key columns, then one column an expression.

    Raises:
        ExpressionError: unknown column, two columns of one name.
        UnsupportedAggregateError: an aggregate does not take the type, or stands where none may.
    """

    def __init__(
        self,
        schema: pa.Schema,
        key_columns: Sequence[str],
        aggregates: Sequence[Expr],
        *,
        windowed: bool = False,
    ) -> None:
        self.folds: list[Fold] = []
        self.inputs: list[CompiledExpr] = []
        self._numeric: list[bool] = []  # by input; of the others only nulls matter
        self._schema = schema
        self._windowed = windowed
        self._known: dict[Any, int] = {}
        self._results: list[_Result] = []
        self._result_names: dict[Any, str] = {}
        self.key_indices = [resolve_column(name, schema) for name in key_columns]
        self.key_schema = pa.schema([schema.field(i) for i in self.key_indices])
        if not aggregates:
            msg = "agg needs at least one aggregate"
            raise UnsupportedAggregateError(msg, remedy="for example count() or col('x').sum()")
        exprs: list[Expr] = [Column(f.name) for f in self.key_schema]
        for i, expr in enumerate(aggregates):
            exprs.append(Alias(self._rewrite(expr, expr), output_name(expr, i)))
        internal = [pa.field(r.name, r.type) for r in self._results]
        if windowed:
            internal += [pa.field(f"${b}", WINDOW_BOUND_TYPE) for b in ("start", "end")]
        self._internal = pa.schema([*self.key_schema, *internal])
        self._projection = Projection(exprs, self._internal)
        self.output_schema = self._projection.schema

    def accumulators(self) -> tuple[AccumulatorSpec, ...]:
        """For the table's descriptor."""
        return tuple(f.spec for f in self.folds)

    def key_arrays(self, batch: pa.RecordBatch) -> list[pa.Array]:
        """The key columns of a batch."""
        return [batch.column(i) for i in self.key_indices]

    def values(self, batch: pa.RecordBatch) -> list[Folded]:
        """Numbers and validity of each input expression."""
        found: list[Folded] = []
        for compiled, numeric in zip(self.inputs, self._numeric, strict=True):
            column = compiled.evaluate(batch)
            found.append(to_numbers(column) if numeric else (_NONE, validity_bytes(column)))
        return found

    def fold(self, table: StateTable, slots: Slots, values: Sequence[Folded]) -> None:
        """Fold a batch into the table."""
        for f in self.folds:
            acc = table.accumulator(f.spec.name)
            numbers, valid = (_NONE, None) if f.value is None else values[f.value]
            if f.spec.kind == "count":
                kernel.accumulate_count(slots, valid, acc.values, table.dirty)
            else:
                kernel.accumulate(
                    f.spec.kind, slots, numbers, valid, acc.values, acc.seen, table.dirty
                )

    def fold_running(
        self, table: StateTable, slots: Slots, values: Sequence[Folded]
    ) -> list[Folded]:
        """Fold a batch, and give each accumulator as it stood after each row."""
        out: list[Folded] = []
        for f in self.folds:
            acc = table.accumulator(f.spec.name)
            numbers, valid = (_NONE, None) if f.value is None else values[f.value]
            if f.spec.kind == "count":
                out.append((kernel.running_count(slots, valid, acc.values, table.dirty), None))
            else:
                out.append(
                    kernel.running(
                        f.spec.kind, slots, numbers, valid, acc.values, acc.seen, table.dirty
                    )
                )
        return out

    def merge(self, table: StateTable, targets: Slots, sources: Slots) -> None:
        """Fold rows of the table into others, as if their records had come after the others'."""
        for f in self.folds:
            acc = table.accumulator(f.spec.name)
            if f.spec.kind == "count":
                np.add.at(acc.values, targets, acc.values[sources])
            else:
                values, seen = acc.values[sources], acc.seen[sources]
                kernel.accumulate(
                    f.spec.kind, targets, values, seen, acc.values, acc.seen, table.dirty
                )
        table.dirty[targets] = 1

    def read(self, table: StateTable, slots: Slots) -> list[Folded]:
        """The accumulators of some slots."""
        found: list[Folded] = []
        for f in self.folds:
            acc = table.accumulator(f.spec.name)
            seen = None if f.spec.kind == "count" else acc.seen[slots]
            found.append((acc.values[slots], seen))
        return found

    def output(
        self, keys: Sequence[pa.Array], folded: Sequence[Folded], bounds: Sequence[pa.Array] = ()
    ) -> pa.RecordBatch:
        """The output rows.

        Args:
            keys: the key columns.
            folded: accumulators, from :meth:`fold_running` or :meth:`read`.
            bounds: window start and end columns, if the plan is windowed.
        """
        columns = [*keys, *(self._finish(r, folded) for r in self._results), *bounds]
        internal = pa.RecordBatch.from_arrays(columns, schema=self._internal)
        return self._projection.evaluate(internal)

    def _finish(self, result: _Result, folded: Sequence[Folded]) -> pa.Array:
        values, valid = folded[result.fold]
        if result.count is None:
            return from_numbers(values, valid, result.type)
        counts = folded[result.count][0]
        means = values / np.maximum(counts, 1)
        return from_numbers(means, (counts > 0).view(np.uint8), result.type)

    # taking expressions apart --------------------------------------------------------------------

    def _rewrite(self, expr: Expr, whole: Expr) -> Expr:
        """The expression over result columns."""
        match expr:
            case Aggregate():
                return Column(self._result(expr))
            case WindowBound(which=which):
                if not self._windowed:
                    msg = f"{expr} is known only in a window"
                    raise UnsupportedAggregateError(msg, remedy="put .window(...) before .agg(...)")
                return Column(f"${which}")
            case Column(name=name) if name in self.key_schema.names:
                return expr
            case Column(name=name):
                resolve_column(name, self._schema)
                msg = f"column '{name}' of {whole} is neither a key nor aggregated"
                raise UnsupportedAggregateError(
                    msg, remedy=f"aggregate it, as in col('{name}').last(), or add it to the key"
                )
            case Call(args=args):
                return replace(expr, args=tuple(self._rewrite(a, whole) for a in args))
            case Alias(child=child):
                return self._rewrite(child, whole)
            case _:
                return expr

    def _result(self, expr: Aggregate) -> str:
        """Name of the internal column with the aggregate's result."""
        key = structure(expr)
        if key not in self._result_names:
            name = f"${len(self._results)}"
            self._result_names[key] = name
            self._results.append(replace(self._plan(expr), name=name))
        return self._result_names[key]

    def _plan(self, expr: Aggregate) -> _Result:
        rows = isinstance(expr.child, Column) and expr.child.name == "*"
        if rows and expr.kind != "count":
            msg = f"{expr}: only rows can be counted, not {expr.kind} of them"
            raise UnsupportedAggregateError(msg, remedy=f"name a column: col('x').{expr.kind}()")
        if rows:
            return _Result("", pa.int64(), self._fold("count", None, pa.int64()))
        value = self._input(expr)
        kind = self.inputs[value].type
        if expr.kind == "count":
            return _Result("", pa.int64(), self._fold("count", value, pa.int64()))
        if expr.kind == "mean":
            total = self._fold("sum", value, _sum_type(expr, kind))
            return _Result("", pa.float64(), total, self._fold("count", value, pa.int64()))
        result = _sum_type(expr, kind) if expr.kind == "sum" else kind
        return _Result("", result, self._fold(expr.kind, value, result))

    def _input(self, expr: Aggregate) -> int:
        key = structure(expr.child)
        if key not in self._known:
            self._known[key] = len(self.inputs)
            self.inputs.append(compile_expr(expr.child, self._schema))
            self._numeric.append(False)
        value = self._known[key]
        if expr.kind != "count":
            if stored_dtype(self.inputs[value].type) is None:
                raise _unsupported(expr, self.inputs[value].type)
            self._numeric[value] = True
        return value

    def _fold(self, kind: AccumulatorKind, value: int | None, type_: pa.DataType) -> int:
        key = (kind, value)
        for i, known in enumerate(self.folds):
            if (known.spec.kind, known.value) == key:
                return i
        dtype = "int64" if kind == "count" else stored_dtype(type_)
        assert dtype is not None
        # Named by position: the snapshot must not depend on how an expression is printed.
        spec = AccumulatorSpec(f"{kind}_{len(self.folds)}", kind, dtype)
        self.folds.append(Fold(spec, value, type_))
        return len(self.folds) - 1


def _sum_type(expr: Aggregate, kind: pa.DataType) -> pa.DataType:
    """int64 for whole numbers and booleans, float64 for fractions, durations as they are."""
    if pat.is_floating(kind):
        return pa.float64()
    if pat.is_integer(kind) or pat.is_boolean(kind):
        return pa.int64()
    if pat.is_duration(kind) and expr.kind == "sum":
        return kind
    raise _unsupported(expr, kind)


def _unsupported(expr: Aggregate, kind: pa.DataType) -> UnsupportedAggregateError:
    msg = f"{expr}: columnar aggregates do not take {expr.kind} of {kind}"
    return UnsupportedAggregateError(
        msg, remedy="cast it to a number, or use .reduce(...) or .aggregate(...) on rows"
    )
