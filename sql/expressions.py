"""Bound, typed expressions: frozen and picklable trees over the columns of one batch.

Trees are built by :mod:`lesto.sql.builder`, which inserts casts and finds types, and are computed
by :mod:`lesto.sql.evaluator`. Equal trees are equal objects, by which the evaluator shares work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from lesto.sql.types import SqlType, TypeRoot


class UserFunction(Protocol):
    """What a user's scalar function must offer to stand in a :class:`Call`."""

    @property
    def deterministic(self) -> bool:
        """Whether equal arguments give equal results, so that calls may be shared and folded."""

    def evaluate(self, columns: Sequence[pa.Array], rows: int) -> pa.Array:
        """The results for a batch, of the call's Arrow type; ``columns`` have ``rows`` values."""


@dataclass(frozen=True, slots=True)
class InputRef:
    """The input's column at a position."""

    index: int
    type: SqlType
    name: str = field(default="", compare=False)

    def __str__(self) -> str:
        return self.name or f"${self.index}"


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant.

    Attributes:
        value: None, or a Python value of the type: bool, int, float, Decimal, str, bytes; dates as
            days and times as milliseconds of the day; timestamps as ticks of their Arrow unit since
            1970; intervals as months or milliseconds; symbols as the word in capitals. Values of
            floating point are kept by ``repr``, so that NaN equals itself.
        type: its type.
    """

    value: Any
    type: SqlType

    def __str__(self) -> str:
        if self.value is None:
            return "NULL"
        if isinstance(self.value, str) and self.type.root is not TypeRoot.SYMBOL:
            return "'" + self.value.replace("'", "''") + "'"
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Call:
    """A function applied to arguments that already have the types it takes.

    Attributes:
        function: name in the function table, in capitals; of a user's function, its name.
        args: arguments; a word of the syntax is a :class:`Literal` of the symbol type.
        type: of the result.
        user: the user's function, if it is one.
    """

    function: str
    args: tuple[Expression, ...]
    type: SqlType
    user: UserFunction | None = None

    def __str__(self) -> str:
        return f"{self.function}({', '.join(map(str, self.args))})"


@dataclass(frozen=True, slots=True)
class Case:
    """CASE: the value of the first branch whose condition is TRUE."""

    branches: tuple[tuple[Expression, Expression], ...]
    otherwise: Expression
    type: SqlType

    def __str__(self) -> str:
        whens = " ".join(f"WHEN {c} THEN {v}" for c, v in self.branches)
        return f"CASE {whens} ELSE {self.otherwise} END"


@dataclass(frozen=True, slots=True)
class Cast:
    """CAST, or TRY_CAST if ``attempt``: NULL instead of a failure."""

    operand: Expression
    type: SqlType
    attempt: bool = False

    def __str__(self) -> str:
        name = "TRY_CAST" if self.attempt else "CAST"
        return f"{name}({self.operand} AS {self.type.with_nullable(True)})"


Expression = InputRef | Literal | Call | Case | Cast


def children(expression: Expression) -> tuple[Expression, ...]:
    """The expressions directly below, in the order in which they are evaluated."""
    match expression:
        case Call(args=args):
            return args
        case Case(branches=branches, otherwise=otherwise):
            return (*(e for branch in branches for e in branch), otherwise)
        case Cast(operand=operand):
            return (operand,)
        case _:
            return ()


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and all below it."""
    yield expression
    for child in children(expression):
        yield from walk(child)


def with_children(expression: Expression, new: Sequence[Expression]) -> Expression:
    """The same expression over other children, in the order of :func:`children`."""
    match expression:
        case Call(function=function, type=kind, user=user):
            return Call(function, tuple(new), kind, user)
        case Case(type=kind):
            pairs = tuple((new[i], new[i + 1]) for i in range(0, len(new) - 1, 2))
            return Case(pairs, new[-1], kind)
        case Cast(type=kind, attempt=attempt):
            return Cast(new[0], kind, attempt)
        case _:
            return expression
