"""Methods of expressions on time, and intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lesto.client.table.expression_calls import call_of
from lesto.client.table.expression_units import TimeIntervalUnit
from lesto.client.table.sql.trees import Words, exp

if TYPE_CHECKING:
    from lesto.client.table.expression import Expression


def _interval(value: Any, unit: str, times: int = 1) -> Expression:
    """An interval of so many units: ``lit(5).minutes``."""
    from lesto.client.table.expression import Expression, as_expression

    number = as_expression(value)

    def make(c: Any) -> Any:
        tree = number.tree(c)
        sign, inner = ("-", tree.this) if isinstance(tree, exp.Neg) else ("", tree)
        span = exp.Interval(this=exp.Literal.string(str(times)), unit=exp.Var(this=unit))
        if isinstance(inner, exp.Literal) and not inner.is_string and str(inner.this).isdigit():
            text = f"{sign}{int(str(inner.this)) * times}"
            return exp.Interval(this=exp.Literal.string(text), unit=exp.Var(this=unit))
        return exp.Mul(this=exp.Paren(this=tree), expression=span)

    return Expression(make)


def _millis(value: Any) -> Expression:
    from lesto.client.table.expression import Expression, as_expression, interval_tree

    number = as_expression(value)

    def make(c: Any) -> Any:
        tree = number.tree(c)
        negative = isinstance(tree, exp.Neg)
        inner = tree.this if negative else tree
        if isinstance(inner, exp.Literal) and not inner.is_string and str(inner.this).isdigit():
            count = int(str(inner.this))
            return interval_tree(-count if negative else count)
        return exp.Mul(this=exp.Paren(this=tree), expression=interval_tree(1))

    return Expression(make)


def _property(window: Any, what: str) -> Expression:
    """A window's start, end or time: the window is known by the alias that the column names."""
    from lesto.client.table.expression import Expression, as_expression

    alias = as_expression(window)

    def make(c: Any) -> Any:
        tree = alias.tree(c)
        name = str(tree.this.this) if isinstance(tree, exp.Column) else ""
        found = c.windows.get(name)
        if found is not None:
            return found.property_tree(what, c)
        if what in {"ROWTIME", "PROCTIME"}:
            return tree
        return exp.Dot(this=tree, expression=exp.Identifier(this=what.lower()))

    return Expression(make, star=("time", what))


class TimeMethods:
    """Part of Expression."""

    __slots__ = ()

    @property
    def start(self) -> Expression:
        """Start of a group window."""
        return _property(self, "START")

    @property
    def end(self) -> Expression:
        """End of a group window."""
        return _property(self, "END")

    @property
    def rowtime(self) -> Expression:
        """Event time of a group window."""
        return _property(self, "ROWTIME")

    @property
    def proctime(self) -> Expression:
        """Processing time of a group window."""
        return _property(self, "PROCTIME")

    @property
    def year(self) -> Expression:
        """An interval of so many years."""
        return _interval(self, "YEAR")

    @property
    def years(self) -> Expression:
        """An interval of so many years."""
        return _interval(self, "YEAR")

    @property
    def quarter(self) -> Expression:
        """An interval of so many quarters."""
        return _interval(self, "MONTH", 3)

    @property
    def quarters(self) -> Expression:
        """An interval of so many quarters."""
        return _interval(self, "MONTH", 3)

    @property
    def month(self) -> Expression:
        """An interval of so many months."""
        return _interval(self, "MONTH")

    @property
    def months(self) -> Expression:
        """An interval of so many months."""
        return _interval(self, "MONTH")

    @property
    def week(self) -> Expression:
        """An interval of so many weeks."""
        return _interval(self, "DAY", 7)

    @property
    def weeks(self) -> Expression:
        """An interval of so many weeks."""
        return _interval(self, "DAY", 7)

    @property
    def day(self) -> Expression:
        """An interval of so many days."""
        return _interval(self, "DAY")

    @property
    def days(self) -> Expression:
        """An interval of so many days."""
        return _interval(self, "DAY")

    @property
    def hour(self) -> Expression:
        """An interval of so many hours."""
        return _interval(self, "HOUR")

    @property
    def hours(self) -> Expression:
        """An interval of so many hours."""
        return _interval(self, "HOUR")

    @property
    def minute(self) -> Expression:
        """An interval of so many minutes."""
        return _interval(self, "MINUTE")

    @property
    def minutes(self) -> Expression:
        """An interval of so many minutes."""
        return _interval(self, "MINUTE")

    @property
    def second(self) -> Expression:
        """An interval of so many seconds."""
        return _interval(self, "SECOND")

    @property
    def seconds(self) -> Expression:
        """An interval of so many seconds."""
        return _interval(self, "SECOND")

    @property
    def milli(self) -> Expression:
        """An interval of so many milliseconds."""
        return _millis(self)

    @property
    def millis(self) -> Expression:
        """An interval of so many milliseconds."""
        return _millis(self)

    @property
    def to_date(self) -> Expression:
        """A DATE of text."""
        return _cast(self, "DATE")

    @property
    def to_time(self) -> Expression:
        """A TIME of text."""
        return _cast(self, "TIME")

    @property
    def to_timestamp(self) -> Expression:
        """A TIMESTAMP of text."""
        return _cast(self, "TIMESTAMP(3)")

    def extract(self, time_interval_unit: TimeIntervalUnit) -> Expression:
        """A part of a date or time."""
        from lesto.client.table.expression import Expression, as_expression

        value = as_expression(self)
        unit = time_interval_unit.name
        return Expression(lambda c: exp.Extract(this=exp.Var(this=unit), expression=value.tree(c)))

    def floor(self, time_interval_unit: TimeIntervalUnit | None = None) -> Expression:
        """Rounded down, to a unit of time if one is given."""
        return _rounded("FLOOR", self, time_interval_unit)

    def ceil(self, time_interval_unit: TimeIntervalUnit | None = None) -> Expression:
        """Rounded up, to a unit of time if one is given."""
        return _rounded("CEIL", self, time_interval_unit)


def _rounded(name: str, value: Any, unit: TimeIntervalUnit | None) -> Expression:
    if unit is None:
        return call_of(name, value)
    return call_of(name, value, Words(this=unit.name))


def _cast(value: Any, kind: str) -> Expression:
    from lesto.client.table.expression import Expression, as_expression, cast_tree

    a = as_expression(value)
    return Expression(lambda c: cast_tree(a.tree(c), kind))
