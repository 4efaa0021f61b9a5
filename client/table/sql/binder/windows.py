"""Binds window table functions, and the group windows of old."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from lesto.client.table.errors import (
    InvalidQueryError,
    MissingTimeAttributeError,
    SqlTypeError,
    UnknownColumnError,
)
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.schema import Schema
from lesto.client.table.sql.binder.context import Context
from lesto.client.table.sql.binder.scope import Scope, Source
from lesto.client.table.sql.trees import NamedArgument, TableArgument, exp
from lesto.common.errors import did_you_mean
from lesto.sql.expressions import InputRef, Literal
from lesto.sql.types import TypeRoot

if TYPE_CHECKING:
    from lesto.client.table.sql.binder.relations import RelationBinder

#: Arguments of each function after the table and the time column, in order; those in capitals
#: of the second tuple may be left out.
_ARGUMENTS: Final[dict[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "TUMBLE": (("SIZE",), ("OFFSET",)),
    "HOP": (("SLIDE", "SIZE"), ("OFFSET",)),
    "CUMULATE": (("STEP", "SIZE"), ("OFFSET",)),
    "SESSION": (("GAP",), ()),
}


def is_window_function(name: str) -> bool:
    """Whether a table function assigns windows."""
    return name.upper() in _ARGUMENTS


def window_function(binder: RelationBinder, tree: Any) -> p.Node:
    """The plan of ``TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL ...)``."""
    context = binder.context
    name = str(tree.this).upper()
    required, optional = _ARGUMENTS[name]
    order = ("DATA", "TIMECOL", *required, *optional)
    given: dict[str, Any] = {}
    for i, arg in enumerate(tree.expressions):
        if isinstance(arg, NamedArgument):
            word = str(arg.this.this).upper()
            if word not in order:
                meant = did_you_mean(word, order)
                context.fail(UnknownColumnError, f"{name} has no argument {word}{meant}", arg)
            given[word] = arg.expression
        elif i < len(order):
            given[order[i]] = arg
        else:
            context.fail(InvalidQueryError, f"{name} takes {len(order)} arguments at most", arg)
    syntax = f"{name}(TABLE t, DESCRIPTOR(ts), {', '.join(w.lower() for w in required)})"
    for word in order[: 2 + len(required)]:
        if word not in given:
            context.fail(InvalidQueryError, f"{name} lacks {word}", tree, f"write {syntax}")
    table = given["DATA"]
    if not isinstance(table, TableArgument):
        context.fail(InvalidQueryError, f"{name} takes TABLE t first", table, f"write {syntax}")
    node = binder.table_argument(table)
    time = _time_column(context, node.schema, given["TIMECOL"], name)
    keys = tuple(
        _position(context, node.schema, column) for column in table.args.get("partition_by") or ()
    )
    if keys and name != "SESSION":
        context.fail(InvalidQueryError, f"PARTITION BY goes with SESSION, not with {name}", table)
    sizes = {w: interval_ms(context, given[w], w) for w in order[2:] if w in given}
    return p.WindowTvf(node, make_window(context, tree, name, node.schema, time, sizes, keys))


def make_window(
    context: Context,
    tree: Any,
    name: str,
    schema: Schema,
    time: int,
    sizes: dict[str, int],
    keys: tuple[int, ...] = (),
) -> p.Window:
    """A window whose lengths go together."""
    kind = schema[time].time
    assert kind is not None
    size = sizes["GAP"] if name == "SESSION" else sizes["SIZE"]
    slide = sizes.get("SLIDE", sizes.get("STEP", 0))
    for word, value in sizes.items():
        if value <= 0 and word != "OFFSET":
            context.fail(InvalidQueryError, f"{word} of {name} must be above 0", tree)
    if name == "CUMULATE" and size % slide:
        context.fail(
            InvalidQueryError,
            f"SIZE of CUMULATE must be a multiple of STEP, and {size} ms is none of {slide} ms",
            tree,
        )
    return p.Window(p.WindowKind[name], time, kind, size, slide, sizes.get("OFFSET", 0), keys)


def _time_column(context: Context, schema: Schema, tree: Any, name: str) -> int:
    if not (isinstance(tree, exp.Anonymous) and str(tree.this).upper() == "DESCRIPTOR"):
        context.fail(InvalidQueryError, f"{name} takes DESCRIPTOR(time column) second", tree)
    if len(tree.expressions) != 1:
        context.fail(InvalidQueryError, f"{name} takes one time column", tree)
    column = tree.expressions[0]
    found = _position(context, schema, column)
    require_time(context, schema, found, column, name)
    return found


def require_time(context: Context, schema: Schema, index: int, tree: Any, name: str) -> None:
    """Fail unless a column is a time attribute."""
    column = schema[index]
    if column.time is None:
        times = [c.name for c in schema if c.time is not None]
        remedy = (
            f"use {' or '.join(times)}"
            if times
            else f"declare WATERMARK FOR {column.name} AS ... on the table, or a column PROCTIME()"
        )
        context.fail(
            MissingTimeAttributeError,
            f"{name} takes a time attribute, and {column.name} is a plain {column.type}",
            tree,
            remedy,
        )


def _position(context: Context, schema: Schema, tree: Any) -> int:
    from lesto.client.table.sql.binder.expressions import ExpressionBinder

    node = p.Values((), schema)
    scope = Scope(node, [Source((), 0, schema.names)])
    found = ExpressionBinder(context, scope, "DESCRIPTOR").bind(tree)
    if not isinstance(found, InputRef):
        context.fail(SqlTypeError, "a column is expected", tree)
    return found.index


def interval_ms(context: Context, tree: Any, what: str) -> int:
    """The milliseconds of a constant interval."""
    from lesto.client.table.sql.binder.expressions import ExpressionBinder
    from lesto.client.table.sql.binder.relations import empty_row

    found = ExpressionBinder(context, Scope(empty_row()), what).bind(tree)
    if not isinstance(found, Literal) or found.type.root is not TypeRoot.DAY_TIME:
        context.fail(
            SqlTypeError,
            f"{what} must be a constant interval of days to seconds, and this is {found.type}",
            tree,
            "write INTERVAL '10' MINUTE",
        )
    return int(found.value)


def group_window(context: Context, binder: Any, tree: Any) -> p.Window:
    """The window of ``GROUP BY TUMBLE(ts, INTERVAL ...)``."""
    name = str(tree.this).upper()
    words = {"TUMBLE": ("SIZE",), "HOP": ("SLIDE", "SIZE"), "SESSION": ("GAP",)}[name]
    args = tree.expressions
    if len(args) != 1 + len(words):
        syntax = f"{name}(ts, {', '.join(w.lower() for w in words)})"
        context.fail(InvalidQueryError, f"{name} takes {1 + len(words)} arguments", tree, syntax)
    time = binder.bind(args[0])
    schema = binder.scope.node.schema
    if not isinstance(time, InputRef):
        context.fail(
            MissingTimeAttributeError,
            f"{name} takes a time attribute, and {time} is an expression",
            args[0],
            "compute the column in CREATE TABLE, with a WATERMARK on it",
        )
    require_time(context, schema, time.index, args[0], name)
    sizes = {w: interval_ms(context, a, w) for w, a in zip(words, args[1:], strict=True)}
    return make_window(context, tree, name, schema, time.index, sizes)
