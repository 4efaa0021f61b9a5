"""What type hints of users' functions say: the form of a batch, and SQL types."""

from __future__ import annotations

import datetime as dt
import decimal
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from lesto.sql import types as t
from lesto.sql.types import SqlType

#: Names of classes whose hint makes a function one of whole batches.
_FORMS: Final = {
    "Series": "pandas",
    "DataFrame": "pandas",
    "ndarray": "numpy",
    "NDArray": "numpy",
    "ChunkedArray": "arrow",
    "RecordBatch": "arrow",
}
_SIMPLE: Final[dict[Any, SqlType]] = {
    bool: t.BOOLEAN(),
    int: t.BIGINT(),
    float: t.DOUBLE(),
    str: t.STRING(),
    bytes: t.BYTES(),
    decimal.Decimal: t.DECIMAL(38, 18),
    dt.datetime: t.TIMESTAMP(6),
    dt.date: t.DATE(),
    dt.time: t.TIME(3),
    dt.timedelta: t.INTERVAL_DAY_TIME(),
}


def hints_of(function: Callable[..., Any]) -> tuple[list[Any], Any]:
    """Hints of the parameters, and of the result; None where there is none."""
    try:
        known = typing.get_type_hints(function)
    except Exception:  # noqa: BLE001 - names that are not there any more: the texts must do
        known = dict(getattr(function, "__annotations__", {}))
    try:
        parameters = [
            p.name
            for p in inspect.signature(function).parameters.values()
            if p.kind in {p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD}
        ]
    except (TypeError, ValueError):  # a builtin without a signature
        parameters = []
    return [known.get(p) for p in parameters], known.get("return")


def form_of(hints: Sequence[Any], result: Any) -> str:
    """The form of what a function takes: ``general`` unless a hint is a column's class."""
    for hint in (*hints, result):
        found = _form(hint)
        if found:
            return found
    return "general"


def _form(hint: Any) -> str:
    if isinstance(hint, str):
        text = hint.partition("[")[0]
        name = text.rpartition(".")[2]
        if name == "Array" or (name.endswith("Array") and text.startswith(("pa.", "pyarrow."))):
            return "arrow"
        return _FORMS.get(name, "")
    kind = typing.get_origin(hint) or hint
    name = getattr(kind, "__name__", "")
    home = str(getattr(kind, "__module__", "")).partition(".")[0]
    if home == "pyarrow":
        return "arrow" if name.endswith("Array") or name in _FORMS else ""
    return _FORMS.get(name, "") if home in {"pandas", "numpy"} else ""


def sql_of(hint: Any) -> SqlType | None:
    """The SQL type that a hint of one value means; None where it says too little.

    >>> print(sql_of(int), sql_of(list[str]), sql_of(dict[str, float] | None))
    BIGINT ARRAY<STRING> MAP<STRING, DOUBLE>
    """
    if hint in _SIMPLE if isinstance(hint, type) else False:
        return _SIMPLE[hint]
    if isinstance(hint, str):
        named = {k.__name__: v for k, v in _SIMPLE.items()}
        return named.get(hint.removesuffix(" | None").rpartition(".")[2])
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in {typing.Union, types.UnionType}:
        rest = [a for a in args if a is not type(None)]
        return sql_of(rest[0]) if len(rest) == 1 else None
    inner = [sql_of(a) for a in args]
    if not inner or any(i is None for i in inner):
        return None
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return t.MAP(inner[0], inner[1])  # type: ignore[arg-type]
    if origin is tuple:
        return t.ROW((f"f{i}", k) for i, k in enumerate(inner) if k is not None)
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return t.ARRAY(inner[0])  # type: ignore[arg-type]
    return None


def item_of(hint: Any) -> Any:
    """The hint of what an iterator's hint gives: ``Iterator[tuple[str, int]]``."""
    args = typing.get_args(hint)
    return args[0] if args else None
