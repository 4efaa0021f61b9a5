"""Hints behind SELECT: STATE_TTL and LOOKUP have effect, those of join strategies none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from lesto.client.table.errors import InvalidQueryError, UnknownTableError, UnsupportedSqlError
from lesto.client.table.sql.binder.context import Context
from lesto.client.table.sql.trees import exp
from lesto.common.errors import LestoError, did_you_mean
from lesto.common.option_types import parse_duration

#: Flink's hints of join strategies: a job has no choice to make.
_STRATEGIES: Final = frozenset(
    {"BROADCAST", "SHUFFLE_HASH", "SHUFFLE_MERGE", "NEST_LOOP", "MULTI_JOIN"}
)
_HINTS: Final = ("STATE_TTL", "LOOKUP", *sorted(_STRATEGIES))
_LOOKUP_KEYS: Final = (
    *("table", "async", "output-mode", "capacity", "timeout", "retry-predicate", "retry-strategy"),
    *("fixed-delay", "max-attempts", "shuffle"),
)
_MILLISECOND: Final = timedelta(milliseconds=1)


def table_names(tree: Any) -> tuple[str, ...]:
    """What hints call a table in FROM: its alias, else its name, also with its path."""
    if isinstance(tree, exp.Table) and not isinstance(tree.this, exp.Anonymous):
        parts = [str(part.this) for part in tree.parts]
        named: tuple[str, ...] = (parts[-1], ".".join(parts))
    else:
        named = ()
    alias = tree.args.get("alias")
    return named if alias is None or alias.this is None else (str(alias.this.this), *named)


def check_hints(context: Context, select: Any) -> None:
    """Refuse hints that there are not, and those that name a table that is not in FROM.

    Raises:
        UnsupportedSqlError: there is no such hint.
        UnknownTableError: FROM has no such table.
        InvalidQueryError: a value is none of the hint's.
    """
    hints = _hints(select)
    if not hints:
        return
    start = select.args.get("from_")
    trees = [] if start is None else [start.this]
    trees += [join.this for join in select.args.get("joins") or ()]
    known = [name for tree in trees for name in table_names(tree)]
    for hint in hints:
        if hint.this not in _HINTS:
            remedy = "write it behind the table" if hint.this == "OPTIONS" else ""
            context.fail(
                UnsupportedSqlError,
                f"there is no hint {hint.this} behind SELECT{did_you_mean(hint.this, _HINTS)}",
                hint,
                remedy or f"there are {', '.join(_HINTS)}",
            )
        pairs = _pairs(hint)
        if hint.this == "LOOKUP":
            _check_lookup(context, hint, pairs)
            named = [value for key, value in pairs if key.lower() == "table"]
        else:
            named = [key for key, _ in pairs]
        for name in named:
            if name not in known:
                context.fail(
                    UnknownTableError,
                    f"the hint {hint.this} names {name}, which is not in FROM"
                    f"{did_you_mean(name, known)}",
                    hint,
                    "name a table of this query, by its alias if it has one",
                )
    state_ttls(context, select)


def _check_lookup(context: Context, hint: Any, pairs: Sequence[tuple[str, str]]) -> None:
    keys = [key.lower() for key, _ in pairs]
    for key in keys:
        if key not in _LOOKUP_KEYS:
            context.fail(
                InvalidQueryError,
                f"LOOKUP has no option '{key}'{did_you_mean(key, _LOOKUP_KEYS)}",
                hint,
                f"it has {', '.join(_LOOKUP_KEYS)}",
            )
    if "table" not in keys:
        context.fail(
            InvalidQueryError, "LOOKUP does not say which table", hint, "add 'table' = '...'"
        )


def state_ttls(context: Context, select: Any) -> dict[str, int]:
    """How long state of each table's rows is kept, in ms, by STATE_TTL.

    Raises:
        InvalidQueryError: a value is no duration.
    """
    found: dict[str, int] = {}
    for hint in _hints(select):
        if hint.this != "STATE_TTL":
            continue
        for name, value in _pairs(hint):
            try:
                found[name] = int(parse_duration(value) // _MILLISECOND)
            except (LestoError, ValueError):
                context.fail(
                    InvalidQueryError,
                    f"STATE_TTL of {name} is '{value}', which is no duration",
                    hint,
                    "write such as '1 d' or '30 min'",
                )
    return found


def ttl_of(ttls: dict[str, int], names: Sequence[str]) -> int | None:
    """The time of a table that has these names; None: the session's."""
    return next((ttls[name] for name in names if name in ttls), None)


def only_ttl(context: Context, select: Any) -> int | None:
    """The time of groups: that of FROM's only table; None: the session's."""
    start = select.args.get("from_")
    if start is None or select.args.get("joins"):
        return None
    return ttl_of(state_ttls(context, select), table_names(start.this))


def lookup_hints(select: Any, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The options that LOOKUP gives a table of these names."""
    for hint in _hints(select):
        pairs = _pairs(hint)
        if hint.this == "LOOKUP" and any(k.lower() == "table" and v in names for k, v in pairs):
            return tuple(pairs)
    return ()


def _hints(select: Any) -> Sequence[Any]:
    hint = select.args.get("hint") if isinstance(select, exp.Select) else None
    return () if hint is None else hint.expressions


def _pairs(hint: Any) -> list[tuple[str, str]]:
    """Keys and values of a hint; a value that is not there is empty."""
    return [
        (str(a.this.this), str(a.expression.this)) if isinstance(a, exp.EQ) else (str(a.this), "")
        for a in hint.expressions
    ]
