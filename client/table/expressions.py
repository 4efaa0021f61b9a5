"""Functions that make expressions: ``col``, ``lit``, ``call`` and the builtin ones."""

from __future__ import annotations

from typing import Any

from lesto.client.datastream.checks import unsupported
from lesto.client.datastream.location import user_location
from lesto.client.table.errors import TableProgramError
from lesto.client.table.expression import (
    Expression,
    TreeContext,
    aggregate,
    as_expression,
    binary,
    cast_tree,
    column,
    fn,
    literal,
    unary,
    user_call,
)
from lesto.client.table.expression_calls import call_with, given
from lesto.client.table.expression_units import JsonOnNull, TimePointUnit
from lesto.client.table.sql.dialect import parse_expression
from lesto.client.table.sql.trees import Words, exp
from lesto.client.table.types import sql_type
from lesto.client.table.udf import UserDefinedFunctionWrapper
from lesto.common.checking import is_a

#: Bounds of OVER windows.
UNBOUNDED_ROW = Expression(
    lambda _: exp.Var(this="UNBOUNDED_ROW"), star=("bound", ("UNBOUNDED", "ROWS"))
)
UNBOUNDED_RANGE = Expression(
    lambda _: exp.Var(this="UNBOUNDED_RANGE"), star=("bound", ("UNBOUNDED", "RANGE"))
)
CURRENT_ROW = Expression(
    lambda _: exp.Var(this="CURRENT_ROW"), star=("bound", ("CURRENT ROW", "ROWS"))
)
CURRENT_RANGE = Expression(
    lambda _: exp.Var(this="CURRENT_RANGE"), star=("bound", ("CURRENT ROW", "RANGE"))
)


def col(name: str) -> Expression:
    """A column; ``*`` for all."""
    if not is_a(name, str):
        msg = f"col takes the name of a column, not {name!r:.80}"
        raise TableProgramError(msg, location=user_location())
    if name == "*":
        return with_all_columns()
    return column(name)


def lit(v: Any, data_type: Any = None) -> Expression:
    """A Python value, of a type if one is given."""
    found = literal(v)
    return found if data_type is None else found.cast(data_type)


def range_(start: str | int, end: str | int) -> Expression:
    """The columns from one to another, both included; positions count from 1."""
    return _star("range", (start, end))


def with_all_columns() -> Expression:
    """All columns."""
    return _star("all", ())


def with_columns(head: Any, *tails: Any) -> Expression:
    """These columns; ranges too."""
    return _star("with", (head, *tails))


def without_columns(head: Any, *tails: Any) -> Expression:
    """All columns but these; ranges too."""
    return _star("without", (head, *tails))


def _star(what: str, of: tuple[Any, ...]) -> Expression:
    return Expression(lambda _: exp.Star(), star=(what, of))


# ---------------------------------------------------------------------- conditions


def and_(predicate0: Any, predicate1: Any, *predicates: Any) -> Expression:
    """Whether all are TRUE."""
    found = binary(exp.And, predicate0, predicate1)
    for other in predicates:
        found = binary(exp.And, found, other)
    return found


def or_(predicate0: Any, predicate1: Any, *predicates: Any) -> Expression:
    """Whether one is TRUE."""
    found = binary(exp.Or, predicate0, predicate1)
    for other in predicates:
        found = binary(exp.Or, found, other)
    return found


def not_(expression: Any) -> Expression:
    """Whether it is FALSE."""
    return unary(exp.Not, expression)


def if_then_else(condition: Any, if_true: Any, if_false: Any) -> Expression:
    """One value where the condition is TRUE, else the other."""
    return fn("IF", condition, if_true, if_false)


def coalesce(*args: Any) -> Expression:
    """The first value that is not NULL."""
    return fn("COALESCE", *args)


def null_of(data_type: Any) -> Expression:
    """NULL of a type."""
    kind = sql_type(data_type).with_nullable(True).summary()
    return Expression(lambda _: cast_tree(exp.Null(), kind))


# ---------------------------------------------------------------------- time


def current_date() -> Expression:
    """Today, in the session's time zone."""
    return fn("CURRENT_DATE")


def current_time() -> Expression:
    """The time of day, in the session's time zone."""
    return fn("CURRENT_TIME")


def current_timestamp() -> Expression:
    """Now, a TIMESTAMP_LTZ."""
    return fn("CURRENT_TIMESTAMP")


def current_watermark(rowtimeAttribute: Any) -> Expression:
    """The event time before which nothing is expected any more."""
    return fn("CURRENT_WATERMARK", rowtimeAttribute)


def current_database() -> Expression:
    """Not supported: ask the environment."""
    unsupported("current_database()", "use t_env.get_current_database()")


def local_time() -> Expression:
    """The time of day, in the session's time zone."""
    return fn("LOCALTIME")


def local_timestamp() -> Expression:
    """Now, a TIMESTAMP in the session's time zone."""
    return fn("LOCALTIMESTAMP")


def to_date(date_str: Any, format: Any = None) -> Expression:
    """A DATE of text."""
    return call_with("TO_DATE", date_str, format)


def to_timestamp(timestamp_str: Any, format: Any = None) -> Expression:
    """A TIMESTAMP of text."""
    return call_with("TO_TIMESTAMP", timestamp_str, format)


def to_timestamp_ltz(*args: Any) -> Expression:
    """A TIMESTAMP_LTZ of a number and its precision, or of text."""
    return fn("TO_TIMESTAMP_LTZ", *args)


def temporal_overlaps(
    left_time_point: Any, left_temporal: Any, right_time_point: Any, right_temporal: Any
) -> Expression:
    """Whether two spans of time overlap."""
    return fn("TEMPORAL_OVERLAPS", left_time_point, left_temporal, right_time_point, right_temporal)


def date_format(timestamp: Any, format: Any) -> Expression:
    """A time as text."""
    return fn("DATE_FORMAT", timestamp, format)


def timestamp_diff(
    time_point_unit: TimePointUnit, time_point1: Any, time_point2: Any
) -> Expression:
    """Units of time from the first to the second."""
    return fn("TIMESTAMPDIFF", Words(this=time_point_unit.name), time_point1, time_point2)


def convert_tz(date_str: Any, tz_from: Any, tz_to: Any) -> Expression:
    """A time of one zone as text in another."""
    return fn("CONVERT_TZ", date_str, tz_from, tz_to)


def from_unixtime(unixtime: Any, format: Any = None) -> Expression:
    """Seconds since 1970 as text."""
    return call_with("FROM_UNIXTIME", unixtime, format)


def unix_timestamp(date_str: Any = None, format: Any = None) -> Expression:
    """Seconds since 1970: now, or of text."""
    return call_with("UNIX_TIMESTAMP", date_str, format)


def source_watermark() -> Expression:
    """The watermarks of the stream itself, in a Schema's watermark."""
    return fn("SOURCE_WATERMARK")


# ---------------------------------------------------------------------- collections


def array(head: Any, *tail: Any) -> Expression:
    """An array of values."""
    return fn("ARRAY", head, *tail)


def row(head: Any, *tail: Any) -> Expression:
    """A row of values."""
    return fn("ROW", head, *tail)


def map_(key: Any, value: Any, *tail: Any) -> Expression:
    """A map of keys and values in turn."""
    return fn("MAP", key, value, *tail)


def map_from_arrays(key: Any, value: Any) -> Expression:
    """A map of an array of keys and one of values."""
    return fn("MAP_FROM_ARRAYS", key, value)


def descriptor(*column_names: str) -> Expression:
    """Names of columns, which no function of the Table API takes here."""
    unsupported("descriptor", "write the window function in SQL")


def object_of(class_name: str, *args: Any) -> Expression:
    """Structured objects of Java classes are not supported."""
    unsupported("object_of", "use row(...)")


def row_interval(rows: int) -> Expression:
    """So many rows, for OVER windows."""
    if not is_a(rows, int) or rows < 0:
        msg = f"row_interval takes a number of rows, not {rows!r}"
        raise TableProgramError(msg, location=user_location())
    return Expression(lambda _: exp.Literal.number(str(rows)), star=("rows", rows))


# ---------------------------------------------------------------------- numbers and text


def pi() -> Expression:
    """3.14159..."""
    return fn("PI")


def e() -> Expression:
    """2.71828..."""
    return fn("E")


def rand(seed: Any = None) -> Expression:
    """A random number from 0 to 1."""
    return call_with("RAND", seed)


def rand_integer(bound: Any, seed: Any = None) -> Expression:
    """A random whole number from 0 to below the bound."""
    return fn("RAND_INTEGER", bound) if seed is None else fn("RAND_INTEGER", seed, bound)


def atan2(y: Any, x: Any) -> Expression:
    """The arc tangent of a point."""
    return fn("ATAN2", y, x)


def negative(v: Any) -> Expression:
    """With the other sign."""
    return unary(exp.Neg, v)


def concat(first: Any, *others: Any) -> Expression:
    """All texts as one."""
    return fn("CONCAT", first, *others)


def concat_ws(separator: Any, first: Any, *others: Any) -> Expression:
    """All texts as one, with a separator between them."""
    return fn("CONCAT_WS", separator, first, *others)


def uuid() -> Expression:
    """A random UUID."""
    return fn("UUID")


def log(v: Any, base: Any = None) -> Expression:
    """Logarithm, natural by default."""
    return fn("LOG", v) if base is None else fn("LOG", base, v)


# ---------------------------------------------------------------------- JSON


def json(value: Any) -> Expression:
    """Text that is JSON, within json_object and json_array."""
    return fn("JSON", value)


def json_string(value: Any) -> Expression:
    """A value as JSON."""
    return fn("JSON_STRING", value)


def json_object(on_null: JsonOnNull = JsonOnNull.NULL, *args: Any) -> Expression:
    """A JSON object of keys and values in turn."""
    return fn("JSON_OBJECT", *args, Words(this=f"{on_null.name} ON NULL"))


def json_array(on_null: JsonOnNull = JsonOnNull.ABSENT, *args: Any) -> Expression:
    """A JSON array of values."""
    return fn("JSON_ARRAY", *args, Words(this=f"{on_null.name} ON NULL"))


def json_object_agg(on_null: JsonOnNull, key_expr: Any, value_expr: Any) -> Expression:
    """A JSON object of a group's keys and values."""
    return _json_aggregate("JSON_OBJECTAGG", on_null, key_expr, value_expr)


def json_array_agg(on_null: JsonOnNull, item_expr: Any) -> Expression:
    """A JSON array of a group's values."""
    return _json_aggregate("JSON_ARRAYAGG", on_null, item_expr)


def _json_aggregate(name: str, on_null: JsonOnNull, *args: Any) -> Expression:
    parts = [as_expression(a) for a in args]

    def make(c: TreeContext) -> Any:
        words = Words(this=f"{on_null.name} ON NULL")
        return exp.Anonymous(this=name, expressions=[*(a.tree(c) for a in parts), words])

    return Expression(make)


# ---------------------------------------------------------------------- calls


def lag(expr: Any, offset: Any = 1, default: Any = None) -> Expression:
    """The value some rows before, over a window."""
    return _with_aggregate("LAG", expr, offset, default)


def lead(expr: Any, offset: Any = 1, default: Any = None) -> Expression:
    """The value some rows behind, over a window."""
    return _with_aggregate("LEAD", expr, offset, default)


def call(f: str | UserDefinedFunctionWrapper, *args: Any) -> Expression:
    """A call of a function by its name, or of a user's function."""
    if isinstance(f, UserDefinedFunctionWrapper):
        return user_call(f, args)
    if not is_a(f, str):
        from lesto.client.table.environment_functions import wrapped

        return user_call(wrapped(f), args)
    return aggregate(f, *args)


def call_sql(sql_expression: str) -> Expression:
    """An expression written in SQL."""
    parse_expression(sql_expression)  # tells errors now
    return Expression(lambda _: parse_expression(sql_expression))


def _with_aggregate(name: str, *args: Any) -> Expression:
    return aggregate(name, *given(args))
