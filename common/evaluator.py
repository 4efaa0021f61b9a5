"""Computes expressions on Arrow columns with pyarrow.compute. The only module that does.

``compile_expr`` checks an expression against a schema once, at build time, and gives an object
whose
``evaluate`` is called once per batch. The result type is found by evaluating on zero rows, so
inference
and execution cannot disagree.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from lesto.common.errors import did_you_mean
from lesto.common.expressions import (
    Aggregate,
    Alias,
    Call,
    Column,
    Expr,
    ExpressionError,
    Literal_,
    WindowBound,
    output_name,
)

_Value = Any  # pa.Array | pa.Scalar
_Step = Callable[[pa.RecordBatch], _Value]


class TypeMismatchError(ExpressionError):
    """A function does not take the types it is given."""

    code = "LESTO-2105"


class EvaluationError(ExpressionError):
    """An expression cannot be computed on a record: overflow, division by zero, impossible cast."""

    code = "LESTO-6202"


def _whole(*values: _Value) -> bool:
    return all(pa.types.is_integer(v.type) for v in values)


def _to_float(v: _Value) -> _Value:
    return pc.cast(v, pa.float64(), safe=False) if pa.types.is_integer(v.type) else v


def _concat(*args: _Value) -> _Value:
    return pc.binary_join_element_wise(*args, "", null_handling="emit_null")


def _add(a: _Value, b: _Value) -> _Value:
    text = pa.types.is_string(a.type) or pa.types.is_large_string(a.type)
    return _concat(a, b) if text else pc.add_checked(a, b)


def _divide(a: _Value, b: _Value) -> _Value:
    # "/" is Python's and gives a fraction. Whole numbers have no infinity to hide a zero behind.
    function = pc.divide_checked if _whole(a, b) else pc.divide
    return function(_to_float(a), _to_float(b))


def _quotient(a: _Value, b: _Value) -> tuple[_Value, _Value, _Value]:
    """Whole numbers: quotient towards zero, remainder, and where the floor is one lower."""
    quotient = pc.divide_checked(a, b)
    rest = pc.subtract(a, pc.multiply(quotient, b))
    zero = pa.scalar(0, rest.type)
    signs_differ = pc.xor(pc.less(rest, zero), pc.less(b, pa.scalar(0, b.type)))
    return quotient, rest, pc.and_(pc.not_equal(rest, zero), signs_differ)


def _floor_divide(a: _Value, b: _Value) -> _Value:
    if not _whole(a, b):
        return pc.floor(pc.divide(_to_float(a), _to_float(b)))
    quotient, _, lower = _quotient(a, b)
    return pc.subtract(quotient, pc.cast(lower, quotient.type))


def _mod(a: _Value, b: _Value) -> _Value:
    # Python's modulo, which takes the sign of the divisor; Arrow has none.
    if not _whole(a, b):
        return pc.subtract(a, pc.multiply(b, _floor_divide(a, b)))
    _, rest, lower = _quotient(a, b)
    return pc.add(rest, pc.multiply(pc.cast(lower, rest.type), pc.cast(b, rest.type)))


_UNARY_BINARY: Final[dict[str, Callable[..., _Value]]] = {
    "add": _add,
    "subtract": pc.subtract_checked,
    "multiply": pc.multiply_checked,
    "divide": _divide,
    "floor_divide": _floor_divide,
    "mod": _mod,
    "negate": pc.negate_checked,
    "equal": pc.equal,
    "not_equal": pc.not_equal,
    "less": pc.less,
    "less_equal": pc.less_equal,
    "greater": pc.greater,
    "greater_equal": pc.greater_equal,
    "and": pc.and_kleene,
    "or": pc.or_kleene,
    "not": pc.invert,
    "is_null": pc.is_null,
    "is_not_null": pc.is_valid,
    "fill_null": pc.coalesce,
    "abs": pc.abs_checked,
    "upper": pc.utf8_upper,
    "lower": pc.utf8_lower,
    "strip": pc.utf8_trim_whitespace,
    "length": pc.utf8_length,
}


def _is_in(values: list[Any]) -> Callable[..., _Value]:
    @functools.cache
    def value_set(kind: pa.DataType) -> pa.Array:
        return pa.array(values, kind)

    return lambda a: pc.is_in(a, value_set=value_set(a.type))


def _with_options(call: Call) -> Callable[..., _Value]:
    options = call.options
    match call.function:
        case "is_in":
            return _is_in(list(options[0]))
        case "cast":
            target = arrow_type(options[0])
            return lambda a: pc.cast(a, target)
        case "round":
            return lambda a: pc.round(a, ndigits=options[0])
        case "contains":
            return lambda a: pc.match_substring(a, options[0])
        case "starts_with":
            return lambda a: pc.starts_with(a, options[0])
        case "ends_with":
            return lambda a: pc.ends_with(a, options[0])
        case "concat":
            return _concat
        case _:
            try:
                return _UNARY_BINARY[call.function]
            except KeyError:
                near = did_you_mean(call.function, _UNARY_BINARY)
                msg = f"unknown function '{call.function}'{near}"
                raise ExpressionError(msg) from None


_PYTHON_TYPES: Final = {
    int: pa.int64(),
    float: pa.float64(),
    str: pa.string(),
    bool: pa.bool_(),
    bytes: pa.binary(),
    dt.datetime: pa.timestamp("us", "UTC"),
    dt.date: pa.date32(),
}


def arrow_type(type_: Any) -> pa.DataType:
    """The Arrow type of an Arrow type, a Python type, a type name or a Lesto type information."""
    if isinstance(type_, pa.DataType):
        return type_
    if isinstance(type_, type) and type_ in _PYTHON_TYPES:
        return _PYTHON_TYPES[type_]
    if isinstance(type_, str):
        try:
            return pa.type_for_alias(type_)
        except ValueError as e:
            msg = f"there is no type called {type_!r}"
            raise ExpressionError(msg, remedy="for example int64, double, string, date32") from e
    found = type_.to_arrow() if hasattr(type_, "to_arrow") else None
    if found is not None:
        return found
    msg = f"{type_!r} is not a type"
    raise ExpressionError(
        msg, remedy="give an Arrow type (pa.int64()), a Python type (int) or Types.LONG()"
    )


@dataclass(frozen=True, slots=True)
class CompiledExpr:
    """An expression bound to a schema.

    Attributes:
        name: name of the result column.
        type: Arrow type of the result.
        text: the expression as errors show it.
        location: ``file:line`` of the user's code, when known.
    """

    name: str
    type: pa.DataType
    _step: _Step
    text: str = ""
    location: str = ""

    def evaluate(self, batch: pa.RecordBatch) -> pa.Array:
        """The result column, one value a row of ``batch``."""
        try:
            value = self._step(batch)
        except pa.ArrowException as e:
            msg = f"the expression '{self.text}' cannot be computed: {e}"
            raise EvaluationError(
                msg,
                location=self.location,
                remedy="filter such records out or guard the expression",
            ) from e
        if isinstance(value, pa.Scalar):
            return pa.repeat(value, batch.num_rows)
        if isinstance(value, pa.ChunkedArray):
            return value.combine_chunks()
        return value


def compile_expr(
    expr: Expr, schema: pa.Schema, *, stream: str = "", location: str = "", position: int = 0
) -> CompiledExpr:
    """Check ``expr`` against ``schema`` and make it ready to run.

    Raises:
        ExpressionError: unknown column (with the nearest valid one), aggregate out of place.
        TypeMismatchError: a function does not take the types it is given.
    """
    step = _compile(expr, schema, stream, location)
    empty = pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)
    try:
        value = step(empty)
    except (pa.ArrowException, TypeError, OverflowError, ValueError) as e:
        msg = f"the expression {expr} does not fit the columns {_describe(expr, schema)}: {e}"
        raise TypeMismatchError(
            msg, location=location, remedy="cast one side: col('x').cast(float)"
        ) from e
    return CompiledExpr(output_name(expr, position), value.type, step, str(expr), location)


def _describe(expr: Expr, schema: pa.Schema) -> str:
    from lesto.common.expressions import columns_of

    return ", ".join(f"{n}: {schema.field(n).type}" for n in sorted(columns_of(expr)))


def _compile(expr: Expr, schema: pa.Schema, stream: str, location: str) -> _Step:
    match expr:
        case Column(name=name):
            index = resolve_column(name, schema, stream=stream, location=location)
            return lambda batch: batch.column(index)
        case Literal_(value=value):
            scalar = value if isinstance(value, pa.Scalar) else pa.scalar(value)
            return lambda batch: scalar
        case Alias(child=child):
            return _compile(child, schema, stream, location)
        case Call(function="equal" | "not_equal", args=(left, right)) if any(
            isinstance(a, Literal_) and a.value is None for a in (left, right)
        ):
            msg = f"{expr} is never true: nothing equals null"
            raise ExpressionError(msg, location=location, remedy="use .is_null() or .is_not_null()")
        case Call(args=args):
            function = _with_options(expr)
            steps = [_compile(a, schema, stream, location) for a in args]
            return _call(function, steps)
        case Aggregate() | WindowBound():
            msg = f"{expr} is an aggregate and cannot be computed record by record"
            raise ExpressionError(
                msg, location=location, remedy="use it in .agg(...) of a keyed or windowed stream"
            )
        case _:
            msg = f"{expr!r} is not an expression"
            raise ExpressionError(msg, location=location)


def _call(function: Callable[..., _Value], steps: Sequence[_Step]) -> _Step:
    if len(steps) == 1:
        (only,) = steps
        return lambda batch: function(only(batch))
    if len(steps) == 2:
        left, right = steps
        return lambda batch: function(left(batch), right(batch))
    return lambda batch: function(*[s(batch) for s in steps])


def resolve_column(name: str, schema: pa.Schema, *, stream: str = "", location: str = "") -> int:
    """Index of a column.

    Raises:
        ExpressionError: LESTO-2104 with the nearest valid name.
    """
    index = schema.get_field_index(name)
    if index < 0 and name in schema.names:
        msg = f"there are several columns called '{name}'"
        raise ExpressionError(
            msg, location=location, remedy="give them different names at the source"
        )
    if index < 0:
        where = f" in stream '{stream}'" if stream else ""
        msg = f"column '{name}' does not exist{where}{did_you_mean(name, schema.names)}"
        raise ExpressionError(
            msg, location=location, remedy=f"the columns are: {', '.join(schema.names)}"
        )
    return int(index)


class Projection:
    """Several expressions over one schema: the select list."""

    def __init__(
        self, exprs: Sequence[Expr], schema: pa.Schema, *, stream: str = "", location: str = ""
    ) -> None:
        self._columns = [
            compile_expr(e, schema, stream=stream, location=location, position=i)
            for i, e in enumerate(exprs)
        ]
        names = [c.name for c in self._columns]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            msg = f"two columns are named {', '.join(map(repr, twice))}"
            raise ExpressionError(
                msg, location=location, remedy="give one another name with .alias('name')"
            )
        self.schema = pa.schema([pa.field(c.name, c.type) for c in self._columns])

    def evaluate(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The projected columns, as many rows as ``batch``."""
        return pa.RecordBatch.from_arrays(
            [c.evaluate(batch) for c in self._columns], schema=self.schema
        )


class Predicate:
    """A boolean expression used to filter; null counts as false."""

    def __init__(
        self, expr: Expr, schema: pa.Schema, *, stream: str = "", location: str = ""
    ) -> None:
        self._compiled = compile_expr(expr, schema, stream=stream, location=location)
        if not pa.types.is_boolean(self._compiled.type):
            msg = f"a filter needs a condition, but {expr} gives {self._compiled.type}"
            raise TypeMismatchError(
                msg, location=location, remedy="compare it with something: col('x') > 0"
            )

    def mask(self, batch: pa.RecordBatch) -> pa.Array:
        """bool[n] without nulls."""
        mask = self._compiled.evaluate(batch)
        return mask.fill_null(False) if mask.null_count else mask
