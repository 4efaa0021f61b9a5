"""Binds what the Table API says: the same trees and binder as SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lesto.client.datastream.location import user_location
from lesto.client.table.errors import TableProgramError, UnknownColumnError
from lesto.client.table.expression import (
    Expression,
    TreeContext,
    as_expression,
    column,
)
from lesto.client.table.locations import located
from lesto.client.table.plan import logical as p
from lesto.client.table.sql.binder.queries import QueryBinder, unique_names
from lesto.client.table.sql.trees import exp
from lesto.common.errors import did_you_mean

if TYPE_CHECKING:
    from lesto.client.table.session import Session

#: Names of the tables of a query, as the trees call them.
LEFT, RIGHT = "$left", "$right"


def table_tree(name: str) -> Any:
    """A table by name."""
    return exp.Table(this=exp.Identifier(this=name))


def bound(
    session: Session,
    tree: Any,
    tables: dict[str, p.Node],
    context: TreeContext,
) -> p.Node:
    """The plan of a tree over these tables; errors show the user's line."""
    shared = session.planner.context()
    shared.ctes.update(tables)
    shared.functions.update(context.functions)
    with located():
        return QueryBinder(shared).query(tree)


def select_tree(items: Sequence[Any], source: str = LEFT, **parts: Any) -> Any:
    """A SELECT."""
    tree = exp.Select(expressions=list(items), from_=exp.From(this=table_tree(source)))
    for key, value in parts.items():
        if value is not None:
            tree.set(key, value)
    return tree


def select(
    session: Session,
    node: p.Node,
    fields: Iterable[Any],
    *,
    group: Sequence[Any] | None = None,
    context: TreeContext | None = None,
) -> p.Node:
    """SELECT fields, of groups if there are any (an empty list is one group of all)."""
    context = context or TreeContext()
    items = [aliased(e, i, context) for i, e in enumerate(expanded(node, fields))]
    parts: dict[str, Any] = {}
    if group:
        parts["group"] = exp.Group(expressions=list(group))
    return bound(session, select_tree(items, **parts), {LEFT: node}, context)


def aliased(e: Expression, position: int, context: TreeContext) -> Any:
    """A tree with its name: that given, or the column's, or one by position."""
    tree = e.tree(context)
    if len(e._names) > 1:
        msg = f"one column gets the names {', '.join(e._names)}"
        raise TableProgramError(msg, location=user_location())
    if e._names:
        return exp.Alias(this=tree, alias=exp.Identifier(this=e._names[0]))
    if isinstance(tree, (exp.Column, exp.Dot)):
        return tree
    return exp.Alias(this=tree, alias=exp.Identifier(this=f"_c{position}"))


# ---------------------------------------------------------------------- stars


def expanded(node: p.Node, fields: Iterable[Any]) -> list[Expression]:
    """Fields with columns in the place of ``*``, ranges and rows that are flattened."""
    found: list[Expression] = []
    of: Any
    for given in fields:
        e = as_field(given)
        what, of = e._star or ("", ())
        if what == "flatten":
            found += _flattened(node, of)
        elif what in {"all", "range", "with", "without"}:
            found += [column(n) for n in _columns(node, e)]
        else:
            found.append(e)
    return found


def as_field(given: Any) -> Expression:
    """A field; a text is none, for it may mean a literal."""
    if isinstance(given, str):
        msg = f"an expression is expected, and not the text {given!r}"
        raise TableProgramError(
            msg, remedy=f"write col({given!r}) or lit({given!r})", location=user_location()
        )
    return as_expression(given)


def _columns(node: p.Node, e: Expression) -> list[str]:
    names = list(node.schema.names)
    assert e._star is not None
    what, of = e._star
    if what == "all":
        return names
    if what == "range":
        first, last = (_position(names, bound_) for bound_ in of)
        return names[first : last + 1]
    chosen = [n for part in of for n in _named(node, part)]
    if what == "with":
        return chosen
    return [n for n in names if n not in set(chosen)]


def _named(node: p.Node, part: Any) -> list[str]:
    if isinstance(part, str):
        return [part]
    if isinstance(part, int):
        return [node.schema.names[part - 1]]
    e = as_expression(part)
    if e._star is not None and e._star[0] in {"all", "range", "with", "without"}:
        return _columns(node, e)
    return [column_name(e)]


def column_name(e: Expression) -> str:
    """The name of an expression that is a column."""
    tree = e.tree()
    if isinstance(tree, exp.Column) and len(tree.parts) == 1:
        return str(tree.this.this)
    msg = f"a column is expected, and {e!r} is none"
    raise TableProgramError(msg, location=user_location())


def _position(names: list[str], where: Any) -> int:
    if isinstance(where, int):
        return where - 1
    name = where if isinstance(where, str) else column_name(where)
    if name not in names:
        msg = f"there is no column {name}{did_you_mean(name, names)}"
        raise UnknownColumnError(
            msg, remedy=f"columns are {', '.join(names)}", location=user_location()
        )
    return names.index(name)


def _flattened(node: p.Node, row: Expression) -> list[Expression]:
    name = column_name(row)
    kind = node.schema[_position(list(node.schema.names), name)].type
    if not kind.names:
        msg = f"column {name} is {kind}, which has no fields"
        raise TableProgramError(msg, location=user_location())
    return [row.get(n).alias(f"{name}${n}") for n in kind.names]


def renamed(node: p.Node, names: Sequence[str]) -> p.Node:
    """The node with other names for its columns."""
    return p.Project(node, tuple(unique_names(list(names))), p.identity(node.schema))
