"""Columns that a filter below leaves with one value: expressions above know it."""

from __future__ import annotations

from typing import Final

from lesto.client.table.plan import logical as p
from lesto.sql.expressions import Call, Expression, InputRef, Literal
from lesto.sql.rewrite import conjuncts, fold, map_refs
from lesto.sql.types import BIGINT, INT, SMALLINT, TINYINT, SqlType

#: Types of which equal values are the same value: no padding, no two zeros, no scales.
_EXACT: Final = frozenset(t().root for t in (TINYINT, SMALLINT, INT, BIGINT))


def known_columns(node: p.Node) -> p.Node:
    """A projection of rows whose columns are known is computed from the constants."""
    if not isinstance(node, p.Project) or not isinstance(node.input, p.Filter):
        return node
    known = _constants(node.input.condition)
    if not known:
        return node
    return p.Project(
        node.input, node.names, tuple(_with_constants(e, known) for e in node.expressions)
    )


def _constants(condition: Expression) -> dict[int, Literal]:
    """Positions of columns that are equal to a constant in all rows that meet the condition."""
    found: dict[int, Literal] = {}
    for e in conjuncts(condition):
        if not (isinstance(e, Call) and e.function == "=" and e.user is None):
            continue
        left, right = e.args
        if isinstance(left, Literal):
            left, right = right, left
        if isinstance(left, InputRef) and isinstance(right, Literal) and _same(left, right):
            found.setdefault(left.index, right)
    return found


def _same(column: InputRef, value: Literal) -> bool:
    return (
        value.value is not None
        and column.type.root in _EXACT
        and value.type.root is column.type.root
    )


def _with_constants(e: Expression, known: dict[int, Literal]) -> Expression:
    """The expression with the constants; a plain reference stays one, for it costs nothing."""
    if isinstance(e, InputRef):
        return e

    def change(ref: InputRef) -> Expression:
        value = known.get(ref.index)
        return ref if value is None else Literal(value.value, ref.type)

    found = fold(map_refs(e, change))
    return found if _alike(found.type, e.type) else e


def _alike(a: SqlType, b: SqlType) -> bool:
    return a.with_nullable(True) == b.with_nullable(True)
