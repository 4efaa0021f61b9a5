"""Methods of expressions on numbers and conditions, and aggregates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lesto.client.table.expression_calls import call_of
from lesto.client.table.sql.trees import exp
from lesto.client.table.types import sql_type

if TYPE_CHECKING:
    from lesto.client.table.expression import Expression


def _is(value: Any, word: Any, negated: bool = False) -> Expression:
    from lesto.client.table.expression import Expression, as_expression, wrapped_tree

    a = as_expression(value)

    def make(c: Any) -> Any:
        right = exp.Not(this=word()) if negated else word()
        return exp.Is(this=wrapped_tree(a, c), expression=right)

    return Expression(make)


def _true() -> Any:
    return exp.Boolean(this=True)


def _false() -> Any:
    return exp.Boolean(this=False)


def _aggregate(name: str, *args: Any) -> Expression:
    from lesto.client.table.expression import aggregate

    return aggregate(name, *args)


class ValueMethods:
    """Part of Expression."""

    __slots__ = ()

    @property
    def exp(self) -> Expression:
        """Exponential function."""
        return call_of("EXP", self)

    @property
    def log10(self) -> Expression:
        """Logarithm to the base 10."""
        return call_of("LOG10", self)

    @property
    def log2(self) -> Expression:
        """Logarithm to the base 2."""
        return call_of("LOG2", self)

    @property
    def ln(self) -> Expression:
        """Natural logarithm."""
        return call_of("LN", self)

    @property
    def cosh(self) -> Expression:
        """Hyperbolic cosine."""
        return call_of("COSH", self)

    @property
    def sinh(self) -> Expression:
        """Hyperbolic sine."""
        return call_of("SINH", self)

    @property
    def sin(self) -> Expression:
        """Sine."""
        return call_of("SIN", self)

    @property
    def cos(self) -> Expression:
        """Cosine."""
        return call_of("COS", self)

    @property
    def tan(self) -> Expression:
        """Tangent."""
        return call_of("TAN", self)

    @property
    def cot(self) -> Expression:
        """Cotangent."""
        return call_of("COT", self)

    @property
    def asin(self) -> Expression:
        """Arc sine."""
        return call_of("ASIN", self)

    @property
    def acos(self) -> Expression:
        """Arc cosine."""
        return call_of("ACOS", self)

    @property
    def atan(self) -> Expression:
        """Arc tangent."""
        return call_of("ATAN", self)

    @property
    def tanh(self) -> Expression:
        """Hyperbolic tangent."""
        return call_of("TANH", self)

    @property
    def degrees(self) -> Expression:
        """Radians as degrees."""
        return call_of("DEGREES", self)

    @property
    def radians(self) -> Expression:
        """Degrees as radians."""
        return call_of("RADIANS", self)

    @property
    def sqrt(self) -> Expression:
        """Square root."""
        return call_of("SQRT", self)

    @property
    def abs(self) -> Expression:
        """Without sign."""
        return call_of("ABS", self)

    @property
    def sign(self) -> Expression:
        """-1, 0 or 1."""
        return call_of("SIGN", self)

    @property
    def is_null(self) -> Expression:
        """Whether it is NULL."""
        return _is(self, exp.Null)

    @property
    def is_not_null(self) -> Expression:
        """Whether it is not NULL."""
        return _is(self, exp.Null, True)

    @property
    def is_true(self) -> Expression:
        """Whether it is TRUE."""
        return _is(self, _true)

    @property
    def is_false(self) -> Expression:
        """Whether it is FALSE."""
        return _is(self, _false)

    @property
    def is_not_true(self) -> Expression:
        """Whether it is FALSE or NULL."""
        return _is(self, _true, True)

    @property
    def is_not_false(self) -> Expression:
        """Whether it is TRUE or NULL."""
        return _is(self, _false, True)

    def log(self, base: Any = None) -> Expression:
        """Logarithm, natural by default."""
        return call_of("LN", self) if base is None else call_of("LOG", base, self)

    def round(self, places: Any) -> Expression:
        """To so many places behind the point."""
        return call_of("ROUND", self, places)

    def truncate(self, n: Any = 0) -> Expression:
        """Cut to so many places behind the point."""
        return call_of("TRUNCATE", self, n)

    def then(self, if_true: Any, if_false: Any) -> Expression:
        """One value where it is TRUE, else the other."""
        return call_of("IF", self, if_true, if_false)

    def if_null(self, null_replacement: Any) -> Expression:
        """Another value where it is NULL."""
        return call_of("IFNULL", self, null_replacement)

    def between(self, lower_bound: Any, upper_bound: Any) -> Expression:
        """Whether it is within bounds, both included."""
        from lesto.client.table.expression import Expression, as_expression, wrapped_tree

        value, low, high = map(as_expression, (self, lower_bound, upper_bound))
        return Expression(
            lambda c: exp.Between(
                this=wrapped_tree(value, c), low=wrapped_tree(low, c), high=wrapped_tree(high, c)
            )
        )

    def not_between(self, lower_bound: Any, upper_bound: Any) -> Expression:
        """Whether it is outside of bounds."""
        from lesto.client.table.expression import unary

        return unary(exp.Not, self.between(lower_bound, upper_bound))

    def in_(self, first_element_or_table: Any, *remaining_elements: Any) -> Expression:
        """Whether it is one of these values, or in a Table of one column (within ``filter``)."""
        from lesto.client.table.expression import Expression, as_expression, wrapped_tree
        from lesto.client.table.table import Table

        value = as_expression(self)
        if isinstance(first_element_or_table, Table):
            inner = first_element_or_table
            return Expression(
                lambda c: exp.In(this=wrapped_tree(value, c), query=inner._subquery(c))
            )
        items = [as_expression(e) for e in (first_element_or_table, *remaining_elements)]
        return Expression(
            lambda c: exp.In(
                this=wrapped_tree(value, c), expressions=[wrapped_tree(e, c) for e in items]
            )
        )

    def alias(self, name: str, *extra_names: str) -> Expression:
        """A name for the column; several for those of a table function."""
        from lesto.client.table.expression import as_expression

        return as_expression(self).with_(names=(name, *extra_names))

    def as_argument(self, name: str) -> Expression:
        """A named argument, which no function of Lesto has."""
        from lesto.client.datastream.checks import unsupported

        unsupported("as_argument", "give arguments in order")

    def cast(self, data_type: Any) -> Expression:
        """As another type."""
        from lesto.client.table.expression import Expression, as_expression, cast_tree

        value, kind = as_expression(self), sql_type(data_type).with_nullable(True).summary()
        return Expression(lambda c: cast_tree(value.tree(c), kind))

    def try_cast(self, data_type: Any) -> Expression:
        """As another type; NULL where that fails."""
        from lesto.client.table.expression import Expression, as_expression, cast_tree

        value, kind = as_expression(self), sql_type(data_type).with_nullable(True).summary()
        return Expression(lambda c: cast_tree(value.tree(c), kind, True))

    @property
    def asc(self) -> Expression:
        """Ascending, in ``order_by``."""
        from lesto.client.table.expression import as_expression

        return as_expression(self).with_(order="ASC")

    @property
    def desc(self) -> Expression:
        """Descending, in ``order_by``."""
        from lesto.client.table.expression import as_expression

        return as_expression(self).with_(order="DESC")

    def over(self, alias: Any) -> Expression:
        """An aggregate over the window of this alias, of ``over_window``."""
        from lesto.client.datastream.location import user_location
        from lesto.client.table.errors import TableProgramError
        from lesto.client.table.expression import Expression, as_expression

        call, name = as_expression(self), as_expression(alias)

        def make(c: Any) -> Any:
            tree = name.tree(c)
            word = str(tree.this.this) if isinstance(tree, exp.Column) else str(tree.this)
            found = c.over.get(word)
            if found is None:
                known = ", ".join(c.over) or "none"
                msg = f"there is no OVER window {word}; there is {known}"
                raise TableProgramError(
                    msg,
                    remedy="define it: table.over_window(Over.order_by(...).alias('w'))",
                    location=user_location(),
                )
            return found.window_tree(call.tree(c), c)

        return Expression(make)


class AggregateMethods:
    """Part of Expression."""

    __slots__ = ()

    @property
    def sum(self) -> Expression:
        """Sum; NULL of no values."""
        return _aggregate("SUM", self)

    @property
    def sum0(self) -> Expression:
        """Sum; 0 of no values."""
        return _aggregate("SUM0", self)

    @property
    def min(self) -> Expression:
        """The least value."""
        return _aggregate("MIN", self)

    @property
    def max(self) -> Expression:
        """The greatest value."""
        return _aggregate("MAX", self)

    @property
    def count(self) -> Expression:
        """Number of values that are not NULL."""
        return _aggregate("COUNT", self)

    @property
    def avg(self) -> Expression:
        """Mean."""
        return _aggregate("AVG", self)

    @property
    def first_value(self) -> Expression:
        """The first value."""
        return _aggregate("FIRST_VALUE", self)

    @property
    def last_value(self) -> Expression:
        """The last value."""
        return _aggregate("LAST_VALUE", self)

    @property
    def stddev_pop(self) -> Expression:
        """Standard deviation of all."""
        return _aggregate("STDDEV_POP", self)

    @property
    def stddev_samp(self) -> Expression:
        """Standard deviation of a sample."""
        return _aggregate("STDDEV_SAMP", self)

    @property
    def var_pop(self) -> Expression:
        """Variance of all."""
        return _aggregate("VAR_POP", self)

    @property
    def var_samp(self) -> Expression:
        """Variance of a sample."""
        return _aggregate("VAR_SAMP", self)

    @property
    def collect(self) -> Expression:
        """A multiset of the values."""
        return _aggregate("COLLECT", self)

    @property
    def array_agg(self) -> Expression:
        """An array of the values."""
        return _aggregate("ARRAY_AGG", self)

    @property
    def distinct(self) -> Expression:
        """An aggregate over distinct values: ``col("a").count.distinct``."""
        from lesto.client.table.expression import as_expression, distinct

        return distinct(as_expression(self))

    def list_agg(self, separator: Any = None) -> Expression:
        """The texts as one, with a separator between them."""
        args = [self] if separator is None else [self, separator]
        return _aggregate("LISTAGG", *args)

    def percentile(self, percentage: Any, frequency: Any = None) -> Expression:
        """The value below which a share of the values is."""
        args = [self, percentage] if frequency is None else [self, percentage, frequency]
        return _aggregate("PERCENTILE", *args)
