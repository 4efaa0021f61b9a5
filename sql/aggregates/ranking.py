"""Functions that need OVER: names, arguments and types; the OVER operator computes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from lesto.common.errors import did_you_mean
from lesto.sql import types as t
from lesto.sql.errors import FunctionArgumentsError, UnknownFunctionError
from lesto.sql.expressions import Expression
from lesto.sql.type_rules import common_type
from lesto.sql.types import SqlType


@dataclass(frozen=True, slots=True)
class RankingFunction:
    """A function of a row's place among the ordered rows of its partition.

    Attributes:
        name: in capitals.
        forms: numbers of arguments it takes.
        syntax: how it is written.
        needs_size: whether it needs the size of the whole partition, so that an unbounded one
            cannot give it.
    """

    name: str
    forms: tuple[int, ...]
    syntax: str
    needs_size: bool = False


RANKING: Final = {
    f.name: f
    for f in (
        RankingFunction("ROW_NUMBER", (0,), "ROW_NUMBER() OVER (...)"),
        RankingFunction("RANK", (0,), "RANK() OVER (... ORDER BY ...)"),
        RankingFunction("DENSE_RANK", (0,), "DENSE_RANK() OVER (... ORDER BY ...)"),
        RankingFunction("PERCENT_RANK", (0,), "PERCENT_RANK() OVER (...)", needs_size=True),
        RankingFunction("CUME_DIST", (0,), "CUME_DIST() OVER (...)", needs_size=True),
        RankingFunction("NTILE", (1,), "NTILE(buckets) OVER (...)", needs_size=True),
        RankingFunction("LAG", (1, 2, 3), "LAG(value[, offset[, default]]) OVER (...)"),
        RankingFunction("LEAD", (1, 2, 3), "LEAD(value[, offset[, default]]) OVER (...)"),
    )
}


def ranking_type(name: str, args: Sequence[Expression]) -> SqlType:
    """The type of a ranking function's result.

    Raises:
        UnknownFunctionError: no such function.
        FunctionArgumentsError: it does not take these arguments.
    """
    entry = RANKING.get(name.upper())
    if entry is None:
        msg = f"there is no function {name}{did_you_mean(name.upper(), RANKING)}"
        raise UnknownFunctionError(msg, remedy=f"with OVER go {', '.join(RANKING)}")
    whole = [
        a for a in (args if entry.name == "NTILE" else args[1:2]) if not a.type.is_in(t.INTEGER)
    ]
    if len(args) not in entry.forms or whole:
        given = ", ".join(str(a.type) for a in args)
        msg = f"{entry.name} does not take ({given}); it is {entry.syntax}"
        raise FunctionArgumentsError(msg, remedy="write its arguments as shown")
    match entry.name:
        case "LAG" | "LEAD":
            if len(args) < 3:
                return args[0].type.with_nullable(True)
            kind = common_type([args[0].type, args[2].type])
            return kind.with_nullable(args[0].type.nullable or args[2].type.nullable)
        case "PERCENT_RANK" | "CUME_DIST":
            return t.DOUBLE().not_null()
    return t.BIGINT().not_null()
