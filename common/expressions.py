"""Column expressions: what a user writes, as data.

An expression is a small immutable tree. It knows nothing of how it is computed; that is
:mod:`lesto.common.evaluator`'s business. Names follow Polars and Ibis where they agree.

>>> e = (col("dep_delay") > 15) & col("carrier").is_in(["UA", "AA"])
>>> str(e)
"((dep_delay > 15) & carrier.is_in(['UA', 'AA']))"
>>> sorted(columns_of(e))
['carrier', 'dep_delay']
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from lesto.common.errors import Domain, LestoError

AggregateKind = Literal["sum", "count", "min", "max", "mean", "first", "last"]
AGGREGATE_KINDS: Final[tuple[AggregateKind, ...]] = (
    "sum",
    "count",
    "min",
    "max",
    "mean",
    "first",
    "last",
)


class ExpressionError(LestoError):
    """An expression cannot be built or does not fit its input."""

    code = "LESTO-2104"
    domain = Domain.USER
    retryable = False


class Expr:
    """Base of all expressions; operators build trees."""

    __slots__ = ()
    __hash__ = object.__hash__

    # arithmetic ---------------------------------------------------------------------------------
    def __add__(self, other: Any) -> Expr:
        return Call("add", (self, to_expr(other)))

    def __radd__(self, other: Any) -> Expr:
        return Call("add", (to_expr(other), self))

    def __sub__(self, other: Any) -> Expr:
        return Call("subtract", (self, to_expr(other)))

    def __rsub__(self, other: Any) -> Expr:
        return Call("subtract", (to_expr(other), self))

    def __mul__(self, other: Any) -> Expr:
        return Call("multiply", (self, to_expr(other)))

    def __rmul__(self, other: Any) -> Expr:
        return Call("multiply", (to_expr(other), self))

    def __truediv__(self, other: Any) -> Expr:
        return Call("divide", (self, to_expr(other)))

    def __rtruediv__(self, other: Any) -> Expr:
        return Call("divide", (to_expr(other), self))

    def __floordiv__(self, other: Any) -> Expr:
        return Call("floor_divide", (self, to_expr(other)))

    def __mod__(self, other: Any) -> Expr:
        return Call("mod", (self, to_expr(other)))

    def __rfloordiv__(self, other: Any) -> Expr:
        return Call("floor_divide", (to_expr(other), self))

    def __rmod__(self, other: Any) -> Expr:
        return Call("mod", (to_expr(other), self))

    def __neg__(self) -> Expr:
        return Call("negate", (self,))

    # comparison ---------------------------------------------------------------------------------
    def __eq__(self, other: object) -> Expr:  # type: ignore[override]
        return Call("equal", (self, to_expr(other)))

    def __ne__(self, other: object) -> Expr:  # type: ignore[override]
        return Call("not_equal", (self, to_expr(other)))

    def __lt__(self, other: Any) -> Expr:
        return Call("less", (self, to_expr(other)))

    def __le__(self, other: Any) -> Expr:
        return Call("less_equal", (self, to_expr(other)))

    def __gt__(self, other: Any) -> Expr:
        return Call("greater", (self, to_expr(other)))

    def __ge__(self, other: Any) -> Expr:
        return Call("greater_equal", (self, to_expr(other)))

    # logic (three-valued, as in SQL) ------------------------------------------------------------
    def __and__(self, other: Any) -> Expr:
        return Call("and", (self, to_expr(other)))

    def __rand__(self, other: Any) -> Expr:
        return Call("and", (to_expr(other), self))

    def __or__(self, other: Any) -> Expr:
        return Call("or", (self, to_expr(other)))

    def __ror__(self, other: Any) -> Expr:
        return Call("or", (to_expr(other), self))

    def __invert__(self) -> Expr:
        return Call("not", (self,))

    def __bool__(self) -> bool:
        msg = f"the truth of the expression {self} is not known before the job runs"
        raise ExpressionError(
            msg, remedy="combine conditions with & | ~ instead of and, or, not, in"
        )

    # tests and values ---------------------------------------------------------------------------
    def is_null(self) -> Expr:
        """True where the value is null."""
        return Call("is_null", (self,))

    def is_not_null(self) -> Expr:
        """True where the value is not null."""
        return Call("is_not_null", (self,))

    def is_in(self, values: Iterable[Any]) -> Expr:
        """True where the value is one of ``values``."""
        return Call("is_in", (self,), (tuple(values),))

    def between(self, low: Any, high: Any) -> Expr:
        """True where low <= value <= high."""
        return Call("and", (self >= low, self <= high))

    def fill_null(self, value: Any) -> Expr:
        """The value, or ``value`` where it is null."""
        return Call("fill_null", (self, to_expr(value)))

    def cast(self, type_: Any) -> Expr:
        """Convert to an Arrow, Python or Lesto type; an impossible value fails the job."""
        return Call("cast", (self,), (type_,))

    def abs(self) -> Expr:
        """Absolute value."""
        return Call("abs", (self,))

    def round(self, digits: int = 0) -> Expr:
        """Round half to even to ``digits`` decimals."""
        return Call("round", (self,), (digits,))

    # strings ------------------------------------------------------------------------------------
    def upper(self) -> Expr:
        """Upper case."""
        return Call("upper", (self,))

    def lower(self) -> Expr:
        """Lower case."""
        return Call("lower", (self,))

    def strip(self) -> Expr:
        """Without white space at both ends."""
        return Call("strip", (self,))

    def length(self) -> Expr:
        """Number of characters."""
        return Call("length", (self,))

    def contains(self, text: str) -> Expr:
        """True where the string contains ``text``."""
        return Call("contains", (self,), (text,))

    def starts_with(self, text: str) -> Expr:
        """True where the string starts with ``text``."""
        return Call("starts_with", (self,), (text,))

    def ends_with(self, text: str) -> Expr:
        """True where the string ends with ``text``."""
        return Call("ends_with", (self,), (text,))

    def concat(self, *others: Any) -> Expr:
        """Strings joined; null if any is null."""
        return Call("concat", (self, *(to_expr(o) for o in others)))

    # naming and aggregates ----------------------------------------------------------------------
    def alias(self, name: str) -> Expr:
        """The same value under another name."""
        return Alias(self, name)

    def sum(self) -> Aggregate:
        """Sum of the non-null values."""
        return Aggregate("sum", self)

    def count(self) -> Aggregate:
        """Number of non-null values; of rows for ``col("*")``."""
        return Aggregate("count", self)

    def min(self) -> Aggregate:
        """Smallest non-null value."""
        return Aggregate("min", self)

    def max(self) -> Aggregate:
        """Largest non-null value."""
        return Aggregate("max", self)

    def mean(self) -> Aggregate:
        """Mean of the non-null values, as float64."""
        return Aggregate("mean", self)

    avg = mean

    def first(self) -> Aggregate:
        """First non-null value in arrival order."""
        return Aggregate("first", self)

    def last(self) -> Aggregate:
        """Last non-null value in arrival order."""
        return Aggregate("last", self)

    def children(self) -> Sequence[Expr]:
        """Direct operands."""
        return ()


@dataclass(frozen=True, slots=True, eq=False)
class Column(Expr):
    """A column of the input; ``*`` stands for the row and may only be counted."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True, eq=False)
class Literal_(Expr):
    """A constant."""

    value: Any

    def __str__(self) -> str:
        return repr(self.value)


_INFIX: Final = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "floor_divide": "//", "mod": "%",
    "equal": "==", "not_equal": "!=", "less": "<", "less_equal": "<=", "greater": ">",
    "greater_equal": ">=", "and": "&", "or": "|",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Call(Expr):
    """A function of expressions and constant options."""

    function: str
    args: tuple[Expr, ...]
    options: tuple[Any, ...] = ()

    def children(self) -> Sequence[Expr]:
        """The arguments."""
        return self.args

    def __str__(self) -> str:
        if self.function in _INFIX:
            return f"({self.args[0]} {_INFIX[self.function]} {self.args[1]})"
        options = [repr(list(o) if isinstance(o, tuple) else o) for o in self.options]
        rest = [str(a) for a in self.args[1:]]
        return f"{self.args[0]}.{self.function}({', '.join(rest + options)})"


@dataclass(frozen=True, slots=True, eq=False)
class Alias(Expr):
    """A named expression."""

    child: Expr
    name: str

    def children(self) -> Sequence[Expr]:
        """The named expression."""
        return (self.child,)

    def __str__(self) -> str:
        return f"{self.child}.alias({self.name!r})"


@dataclass(frozen=True, slots=True, eq=False)
class Aggregate(Expr):
    """An aggregate of an expression; legal only in ``agg`` of keyed and windowed streams."""

    kind: AggregateKind
    child: Expr

    def children(self) -> Sequence[Expr]:
        """The aggregated expression."""
        return (self.child,)

    def __str__(self) -> str:
        return f"{self.child}.{self.kind}()"


@dataclass(frozen=True, slots=True, eq=False)
class WindowBound(Expr):
    """Start or end of the window, legal beside aggregates of a windowed stream."""

    which: Literal["start", "end"]

    def __str__(self) -> str:
        return f"window_{self.which}()"


def col(name: str) -> Column:
    """A column of the stream."""
    given: object = name
    if not isinstance(given, str) or not given:
        msg = f"a column name is a non-empty string, not {name!r}"
        raise ExpressionError(msg)
    return Column(name)


def lit(value: Any) -> Literal_:
    """A constant."""
    return Literal_(value)


def window_start() -> WindowBound:
    """Start of the window (inclusive) as a timestamp column."""
    return WindowBound("start")


def window_end() -> WindowBound:
    """End of the window (exclusive) as a timestamp column."""
    return WindowBound("end")


def count() -> Aggregate:
    """Number of rows."""
    return Aggregate("count", Column("*"))


_CONSTANTS: Final = (bool, int, float, str, bytes, dt.datetime, dt.date, dt.timedelta, type(None))


def to_expr(value: Any) -> Expr:
    """An expression as it is, a constant as a literal."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, _CONSTANTS) or hasattr(value, "as_py"):
        return Literal_(value)
    msg = f"{value!r} of type {type(value).__name__} cannot be part of an expression"
    raise ExpressionError(msg, remedy="use col('name'), a constant, or lit(value)")


def walk(expr: Expr) -> Iterator[Expr]:
    """The expression and all below it."""
    yield expr
    for child in expr.children():
        yield from walk(child)


def columns_of(expr: Expr) -> set[str]:
    """Names of the columns an expression reads, ``*`` excluded."""
    return {e.name for e in walk(expr) if isinstance(e, Column) and e.name != "*"}


def structure(expr: Expr) -> Hashable:
    """A value that is equal for expressions of the same form, which ``==`` cannot tell.

    >>> structure(col("a") + 1) == structure(col("a") + 1)
    True
    """
    parts = [_frozen(getattr(expr, field.name)) for field in fields(expr)]  # type: ignore[arg-type]
    return (type(expr).__name__, *parts)


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Expr):
        return structure(value)
    if isinstance(value, tuple):
        return tuple(map(_frozen, value))
    try:
        hash(value)
    except TypeError:
        return (type(value), id(value))  # the same object only
    return (type(value), value)


def output_name(expr: Expr, position: int = 0) -> str:
    """The name the value has in the output.

    >>> output_name(col("a").sum()), output_name(col("a").sum().alias("s")), output_name(count())
    ('a_sum', 's', 'count')
    """
    match expr:
        case Alias(name=name):
            return name
        case Column(name=name):
            return name
        case Aggregate(kind="count", child=Column(name="*")):
            return "count"
        case Aggregate(kind=kind, child=Column(name=name)):
            return f"{name}_{kind}"
        case WindowBound(which=which):
            return f"window_{which}"
        case _:
            return f"expr_{position}"
