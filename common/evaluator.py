"""Computes expressions on Arrow columns with pyarrow.compute. The only module that does.

``compile_expr`` checks an expression against a schema once, at build time, and gives an object whose
``evaluate`` is called once per batch. The result type is found by evaluating on zero rows, so inference
and execution cannot disagree.
"""

from __future__ import annotations

import datetime as dt
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


def _divide(a: _Value, b: _Value) -> _Value:
    # Python's and SQL users' expectation of "/": 1/2 is 0.5, and x/0 on integers fails the record loudly.
    return pc.divide(_to_float(a), _to_float(b))


def _to_float(v: _Value) -> _Value:
    return pc.cast(v, pa.float64()) if pa.types.is_integer(v.type) else v


def _floor_divide(a: _Value, b: _Value) -> _Value:
    quotient = pc.floor(pc.divide(_to_float(a), _to_float(b)))
    both_int = pa.types.is_integer(a.type) and pa.types.is_integer(b.type)
    return pc.cast(quotient, pa.int64()) if both_int else quotient


def _mod(a: _Value, b: _Value) -> _Value:
    # Arrow has no modulo: a - b * floor(a / b), exact for integers below 2**53 and floats.
    return pc.subtract(a, pc.multiply(b, _floor_divide(a, b)))


_UNARY_BINARY: Final[dict[str, Callable[..., _Value]]] = {
    "add": pc.add_checked,
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


def _concat(*args: _Value) -> _Value:
    return pc.binary_join_element_wise(*args, "", null_handling="emit_null")


def _with_options(call: Call) -> Callable[..., _Value]:
    options = call.options
    match call.function:
        case "is_in":
            values = list(options[0])
            return lambda a: pc.is_in(a, value_set=pa.array(values, a.type))
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
                msg = f"unknown function '{call.function}'{did_you_mean(call.function, _UNARY_BINARY)}"
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
    if type_ in _PYTHON_TYPES:
        return _PYTHON_TYPES[type_]
    if isinstance(type_, str):
        return pa.type_for_alias(type_)
    if hasattr(type_, "to_arrow"):
        return type_.to_arrow()
    msg = f"{type_!r} is not a type"
    raise ExpressionError(msg, remedy="give an Arrow type (pa.int64()), a Python type (int) or Types.LONG()")


@dataclass(frozen=True, slots=True)
class CompiledExpr:
    """An expression bound to a schema.

    Attributes:
        name: name of the result column.
        type: Arrow type of the result.
    """

    name: str
    type: pa.DataType
    _step: _Step

    def evaluate(self, batch: pa.RecordBatch) -> pa.Array:
        """The result column, one value a row of ``batch``."""
        value = self._step(batch)
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
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid, pa.ArrowTypeError) as e:
        msg = f"the expression {expr} does not fit the columns {_describe(expr, schema)}: {e}"
        raise TypeMismatchError(msg, location=location, remedy="cast one side: col('x').cast(float)") from e
    return CompiledExpr(output_name(expr, position), value.type, step)


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
    if len(steps) == 2:  # noqa: PLR2004 - the common case, kept free of a list per call
        left, right = steps
        return lambda batch: function(left(batch), right(batch))
    return lambda batch: function(*[s(batch) for s in steps])


def resolve_column(name: str, schema: pa.Schema, *, stream: str = "", location: str = "") -> int:
    """Index of a column.

    Raises:
        ExpressionError: LESTO-2104 with the nearest valid name.
    """
    index = schema.get_field_index(name)
    if index < 0:
        where = f" in stream '{stream}'" if stream else ""
        msg = f"column '{name}' does not exist{where}{did_you_mean(name, schema.names)}"
        raise ExpressionError(msg, location=location, remedy=f"the columns are: {', '.join(schema.names)}")
    return int(index)


class Projection:
    """Several expressions over one schema: the select list."""

    def __init__(
        self, exprs: Sequence[Expr], schema: pa.Schema, *, stream: str = "", location: str = ""
    ) -> None:
        self._columns = [
            compile_expr(e, schema, stream=stream, location=location, position=i) for i, e in enumerate(exprs)
        ]
        names = [c.name for c in self._columns]
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            msg = f"two columns are named {', '.join(map(repr, twice))}"
            raise ExpressionError(msg, location=location, remedy="give one another name with .alias('name')")
        self.schema = pa.schema([pa.field(c.name, c.type) for c in self._columns])

    def evaluate(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The projected columns, as many rows as ``batch``."""
        return pa.RecordBatch.from_arrays([c.evaluate(batch) for c in self._columns], schema=self.schema)


class Predicate:
    """A boolean expression used to filter; null counts as false."""

    def __init__(self, expr: Expr, schema: pa.Schema, *, stream: str = "", location: str = "") -> None:
        self._compiled = compile_expr(expr, schema, stream=stream, location=location)
        if not pa.types.is_boolean(self._compiled.type):
            msg = f"a filter needs a condition, but {expr} gives {self._compiled.type}"
            raise TypeMismatchError(msg, location=location, remedy="compare it with something: col('x') > 0")

    def mask(self, batch: pa.RecordBatch) -> pa.Array:
        """bool[n] without nulls."""
        mask = self._compiled.evaluate(batch)
        return mask.fill_null(False) if mask.null_count else mask
