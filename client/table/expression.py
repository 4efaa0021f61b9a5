"""Expressions of the Table API: trees of SQL that are bound when a Table takes them.

>>> from lesto.client.table.expressions import col, lit
>>> (col("a") + 1).alias("b")
`a` + 1 AS `b`
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

from lesto.client.datastream.checks import unsupported
from lesto.client.datastream.location import user_location
from lesto.client.table.errors import TableProgramError
from lesto.client.table.expression_collections import CollectionMethods
from lesto.client.table.expression_text import TextMethods
from lesto.client.table.expression_time import TimeMethods
from lesto.client.table.expression_values import AggregateMethods, ValueMethods
from lesto.client.table.sql.trees import TypedLiteral, Words, exp
from lesto.common.row import Row

_INT_MAX: Final = 2**63


@dataclass(slots=True)
class TreeContext:
    """What trees of one query refer to beside columns.

    Attributes:
        windows: group windows by alias.
        over: OVER windows by alias.
        functions: users' functions by the names that the trees call them.
    """

    windows: Mapping[str, Any] = field(default_factory=dict)
    over: Mapping[str, Any] = field(default_factory=dict)
    functions: dict[str, Any] = field(default_factory=dict)

    def called(self, function: Any) -> str:
        """A name for a user's function."""
        base = "".join(c if c.isalnum() or c == "_" else "_" for c in function.name) or "f"
        name, number = base, 0
        while self.functions.setdefault(name, function) is not function:
            number += 1
            name = f"{base}_{number}"
        return name


Make = Callable[[TreeContext], Any]


class Expression(AggregateMethods, ValueMethods, TextMethods, TimeMethods, CollectionMethods):
    """A value computed of a row, or of a group of rows. Build it by ``col``, ``lit`` and ``call``.

    Attributes of an expression that have no other meaning are fields of a row: ``col("r").a``.
    """

    __slots__ = ("_aggregate", "_call", "_make", "_names", "_order", "_star")

    def __init__(
        self,
        make: Make,
        *,
        names: Sequence[str] = (),
        order: str = "",
        aggregate: tuple[str, tuple[Any, ...]] | None = None,
        call: tuple[Any, tuple[Any, ...]] | None = None,
        star: Any = None,
    ) -> None:
        self._make = make
        self._names = tuple(names)
        self._order = order
        self._aggregate = aggregate
        self._call = call
        self._star = star

    # ------------------------------------------------------------------ for tables

    def tree(self, context: TreeContext | None = None) -> Any:
        """The tree of SQL, made anew."""
        return self._make(context or TreeContext())

    def with_(self, **changes: Any) -> Expression:
        """The same with other marks."""
        found = {
            "names": self._names,
            "order": self._order,
            "aggregate": self._aggregate,
            "call": self._call,
            "star": self._star,
        }
        make = changes.pop("make", self._make)
        return Expression(make, **{**found, **changes})

    def __repr__(self) -> str:
        text = str(self.tree().sql("flink", identify=True))
        return text + (f" AS {', '.join(f'`{n}`' for n in self._names)}" if self._names else "")

    __str__ = __repr__
    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        msg = f"an expression has no truth value in Python: {self!r}"
        raise TableProgramError(
            msg, remedy="join conditions by &, | and ~, in parentheses", location=user_location()
        )

    def __iter__(self) -> NoReturn:
        msg = f"an expression has no elements in Python: {self!r}"
        raise TypeError(msg)

    def __getattr__(self, name: str) -> Expression:
        if name.startswith("_"):
            raise AttributeError(name)
        if name.startswith("bitmap_") or name == "object_update":
            unsupported(f"Expression.{name}", "call a user's function: udf")
        return self.get(name)

    def __getitem__(self, index: Any) -> Expression:
        return self.at(index)

    # ------------------------------------------------------------------ operators

    def __abs__(self) -> Expression:
        return fn("ABS", self)

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return binary(exp.EQ, self, other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return binary(exp.NEQ, self, other)

    def __lt__(self, other: Any) -> Expression:
        return binary(exp.LT, self, other)

    def __gt__(self, other: Any) -> Expression:
        return binary(exp.GT, self, other)

    def __le__(self, other: Any) -> Expression:
        return binary(exp.LTE, self, other)

    def __ge__(self, other: Any) -> Expression:
        return binary(exp.GTE, self, other)

    def __and__(self, other: Any) -> Expression:
        return binary(exp.And, self, other)

    def __or__(self, other: Any) -> Expression:
        return binary(exp.Or, self, other)

    def __rand__(self, other: Any) -> Expression:
        return binary(exp.And, other, self)

    def __ror__(self, other: Any) -> Expression:
        return binary(exp.Or, other, self)

    def __invert__(self) -> Expression:
        return unary(exp.Not, self)

    def __add__(self, other: Any) -> Expression:
        return binary(exp.Add, self, other)

    def __sub__(self, other: Any) -> Expression:
        return binary(exp.Sub, self, other)

    def __mul__(self, other: Any) -> Expression:
        return binary(exp.Mul, self, other)

    def __truediv__(self, other: Any) -> Expression:
        return binary(exp.Div, self, other)

    def __mod__(self, other: Any) -> Expression:
        return fn("MOD", self, other)

    def __pow__(self, other: Any) -> Expression:
        return fn("POWER", self, other)

    def __neg__(self) -> Expression:
        return unary(exp.Neg, self)

    def __radd__(self, other: Any) -> Expression:
        return binary(exp.Add, other, self)

    def __rsub__(self, other: Any) -> Expression:
        return binary(exp.Sub, other, self)

    def __rmul__(self, other: Any) -> Expression:
        return binary(exp.Mul, other, self)

    def __rtruediv__(self, other: Any) -> Expression:
        return binary(exp.Div, other, self)

    def __rmod__(self, other: Any) -> Expression:
        return fn("MOD", other, self)

    def __rpow__(self, other: Any) -> Expression:
        return fn("POWER", other, self)


# ---------------------------------------------------------------------- building


def as_expression(value: Any) -> Expression:
    """An expression, or a Python value as a literal."""
    return value if isinstance(value, Expression) else literal(value)


def column(name: str) -> Expression:
    """A column."""
    return Expression(lambda _: exp.Column(this=exp.Identifier(this=name)))


def wrapped_tree(value: Expression, context: TreeContext) -> Any:
    """A tree in parentheses where it is an operation, so that its text means the same."""
    tree = value.tree(context)
    if isinstance(tree, (exp.Binary, exp.Unary, exp.Between, exp.In)) and not isinstance(
        tree, (exp.Dot, exp.Paren)
    ):
        return exp.Paren(this=tree)
    return tree


def binary(kind: Any, left: Any, right: Any) -> Expression:
    """An operation of two values."""
    a, b = as_expression(left), as_expression(right)
    return Expression(lambda c: kind(this=wrapped_tree(a, c), expression=wrapped_tree(b, c)))


def unary(kind: Any, value: Any) -> Expression:
    """An operation of one value."""
    a = as_expression(value)
    return Expression(lambda c: kind(this=wrapped_tree(a, c)))


def fn(name: str, *args: Any) -> Expression:
    """A builtin function; words of the syntax are given as trees."""
    parts = [a if isinstance(a, Words) else as_expression(a) for a in args]

    def make(c: TreeContext) -> Any:
        trees = [a.copy() if isinstance(a, Words) else a.tree(c) for a in parts]
        return exp.Anonymous(this=name, expressions=trees)

    return Expression(make)


def aggregate(name: str, *args: Any) -> Expression:
    """A builtin aggregate."""
    parts = tuple(as_expression(a) for a in args)

    def make(c: TreeContext) -> Any:
        return exp.Anonymous(this=name, expressions=[a.tree(c) for a in parts])

    return Expression(make, aggregate=(name, parts))


def user_call(function: Any, args: Sequence[Any]) -> Expression:
    """A user's function."""
    parts = tuple(as_expression(a) for a in args)

    def make(c: TreeContext) -> Any:
        return exp.Anonymous(this=c.called(function), expressions=[a.tree(c) for a in parts])

    return Expression(make, call=(function, parts), names=function._alias_names)


def distinct(of: Expression) -> Expression:
    """An aggregate over distinct values."""
    if of._aggregate is not None:
        name, parts = of._aggregate

        def builtin(c: TreeContext) -> Any:
            inner = exp.Distinct(expressions=[a.tree(c) for a in parts])
            return exp.Anonymous(this=name, expressions=[inner])

        return of.with_(make=builtin)
    if of._call is not None:
        function, parts = of._call

        def users(c: TreeContext) -> Any:
            inner = exp.Distinct(expressions=[a.tree(c) for a in parts])
            return exp.Anonymous(this=c.called(function), expressions=[inner])

        return of.with_(make=users)
    msg = f"distinct goes with aggregates: col('a').count.distinct, and not with {of!r}"
    raise TableProgramError(msg, location=user_location())


def cast_tree(tree: Any, kind: str, attempt: bool = False) -> Any:
    """CAST or TRY_CAST."""
    node = exp.TryCast if attempt else exp.Cast
    return node(this=tree, to=exp.DataType(this=exp.DataType.Type.USERDEFINED, kind=kind))


def literal(value: Any) -> Expression:
    """A Python value.

    Raises:
        TableProgramError: no SQL literal is made of it.
    """
    check = _literal_tree(value)  # tells errors now
    assert check is not None
    return Expression(lambda _: _literal_tree(value))


def _literal_tree(value: Any) -> Any:
    match value:
        case None:
            return exp.Null()
        case bool():
            return exp.Boolean(this=value)
        case int():
            number = exp.Literal.number(str(abs(value)))
            return number if value >= 0 else exp.Neg(this=number)
        case float():
            return _float_tree(value)
        case decimal.Decimal():
            return _decimal_tree(value)
        case str():
            return exp.Literal.string(value)
        case bytes() | bytearray():
            return exp.HexString(this=bytes(value).hex())
        case dt.datetime() | dt.date() | dt.time() | dt.timedelta():
            return _time_tree(value)
        case Row() | tuple():
            return exp.Anonymous(this="ROW", expressions=[_literal_tree(v) for v in value])
        case list():
            return exp.Anonymous(this="ARRAY", expressions=[_literal_tree(v) for v in value])
        case Mapping():
            pairs = [_literal_tree(x) for item in value.items() for x in item]
            return exp.Anonymous(this="MAP", expressions=pairs)
    item = getattr(value, "item", None)
    if callable(item) and type(value).__module__ == "numpy":
        return _literal_tree(item())
    msg = f"no literal is made of {value!r:.80} ({type(value).__name__})"
    raise TableProgramError(
        msg, remedy="give a number, text, date, time, list or dict", location=user_location()
    )


def _float_tree(value: float) -> Any:
    if not math.isfinite(value):
        word = "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
        return cast_tree(exp.Literal.string(word), "DOUBLE")
    text = repr(abs(value))
    text = text if "e" in text else f"{text}E0"
    number = exp.Literal.number(text)
    return number if math.copysign(1, value) > 0 else exp.Neg(this=number)


def _decimal_tree(value: decimal.Decimal) -> Any:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        msg = f"{value} is no DECIMAL"
        raise TableProgramError(msg, location=user_location())
    scale = max(0, -exponent)
    text = f"{value:f}"
    digits = max(len(text.lstrip("-").replace(".", "")), scale, 1)
    return cast_tree(exp.Literal.string(text), f"DECIMAL({digits}, {scale})")


def _time_tree(value: Any) -> Any:
    match value:
        case dt.datetime() if value.tzinfo is not None:
            millis = (value - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(
                milliseconds=1
            )
            args = [_literal_tree(millis), exp.Literal.number("3")]
            return exp.Anonymous(this="TO_TIMESTAMP_LTZ", expressions=args)
        case dt.datetime():
            text = value.isoformat(sep=" ")
            return TypedLiteral(this="TIMESTAMP", expression=exp.Literal.string(text))
        case dt.date():
            return TypedLiteral(this="DATE", expression=exp.Literal.string(value.isoformat()))
        case dt.time():
            return TypedLiteral(this="TIME", expression=exp.Literal.string(value.isoformat()))
    return interval_tree(value // dt.timedelta(milliseconds=1))


def interval_tree(millis: int) -> Any:
    """A constant interval of days to seconds."""
    seconds, rest = divmod(abs(millis), 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    sign = "-" if millis < 0 else ""
    text = f"{sign}{days} {hour:02}:{minute:02}:{second:02}.{rest:03}"
    unit = exp.IntervalSpan(this=exp.Var(this="DAY"), expression=exp.Var(this="SECOND"))
    return exp.Interval(this=exp.Literal.string(text), unit=unit)
