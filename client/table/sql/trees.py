"""The nodes of syntax trees: sqlglot's, and those of Flink's own syntax.

All of Lesto takes sqlglot's names from here and from :mod:`lesto.client.table.sql.dialect`.
Nodes carry ``meta["start"]`` and ``meta["end"]``: offsets of characters in the text.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

__all__ = [
    "ColumnReference",
    "FlinkStatement",
    "NamedArgument",
    "RowPattern",
    "TableArgument",
    "Token",
    "TokenType",
    "TypedLiteral",
    "Words",
    "exp",
    "position",
]


class TypedLiteral(exp.Expression):
    """``DATE '2020-01-01'``: ``this`` is the word, ``expression`` the string."""

    arg_types = {"this": True, "expression": True}


class NamedArgument(exp.Expression):
    """``SIZE => INTERVAL '1' HOUR`` among a function's arguments."""

    arg_types = {"this": True, "expression": True}


class Words(exp.Expression):
    """Words of the syntax among a function's arguments, such as ``ABSENT ON NULL``."""

    arg_types = {"this": True}


class RowPattern(exp.Expression):
    """``t MATCH_RECOGNIZE (...)``: ``this`` is the table, ``body`` the text in parentheses."""

    arg_types = {"this": True, "body": True, "alias": False}


class TableArgument(exp.Expression):
    """``TABLE t PARTITION BY a`` among a function's arguments: ``this`` is a table or query."""

    arg_types = {"this": True, "partition_by": False, "order": False}


class ColumnReference(exp.Expression):
    """A column that * stands for, by its position."""

    arg_types = {"index": True}


class FlinkStatement(exp.Command):
    """A statement that is no query; ``statement`` is one of :mod:`.statements`."""

    arg_types = {"this": True, "expression": False, "statement": True}


def position(node: Any) -> int:
    """Offset of the first character of a node, -1 if unknown."""
    if not isinstance(node, exp.Expression):
        return -1
    start = node.meta.get("start")
    if start is not None:
        return int(start)
    found = [p for p in (position(child) for child in node.iter_expressions()) if p >= 0]
    return min(found, default=-1)
