"""What GROUP BY is to give, in plain Python: the rows of each group, and functions of them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from lesto.sql import types as t
from lesto.sql.aggregates.table import bind_aggregate
from lesto.sql.builder import call, literal
from lesto.sql.expressions import Expression, InputRef
from lesto.sql.settings import SqlSettings
from lesto.sql.types import SqlType
from lesto.taskmanager.operators.sql.group_aggregate import GroupAggregateOperator
from lesto.taskmanager.operators.sql.group_gather import MiniBatch
from lesto.taskmanager.operators.sql.window_arguments import CallSpec

#: Columns of the input.
TYPES: dict[str, SqlType] = {
    "k": t.STRING(),
    "v": t.BIGINT(),
    "d": t.DECIMAL(20, 2),
    "s": t.STRING(),
    "ts": t.TIMESTAMP(3),
    "b": t.BOOLEAN(),
    "f": t.DOUBLE(),
    "a": t.ARRAY(t.INT()),
}
NAMES = list(TYPES)
SCHEMA = pa.schema([pa.field(name, kind.to_arrow()) for name, kind in TYPES.items()])
_EPOCH = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - a TIMESTAMP has no zone
Row = tuple[Any, ...]
Model = Callable[[Sequence[Row]], Any]


def col(name: str) -> InputRef:
    """A column of the input."""
    return InputRef(NAMES.index(name), TYPES[name], name)


def positive() -> Expression:
    """A condition: v > 0."""
    return call(">", [col("v"), literal(0)])


def is_positive(row: Row) -> bool:
    v = row[NAMES.index("v")]
    return v is not None and v > 0


def spec(
    function: str, *args: Expression, distinct: bool = False, condition: Expression | None = None
) -> CallSpec:
    """A call, with the type that the planner would give it."""
    name = "COUNT" if function == "APPROX_COUNT_DISTINCT" else function
    kind = bind_aggregate(name, args, condition=condition, retracting=True).type
    return CallSpec(function, args, kind, distinct, condition)


def _values(name: str) -> Callable[[Sequence[Row]], list[Any]]:
    at = NAMES.index(name)
    return lambda rows: [row[at] for row in rows if row[at] is not None]


def over(name: str, function: Callable[[list[Any]], Any], empty: Any = None) -> Model:
    """A function of the values that are not NULL."""
    values = _values(name)
    return lambda rows: function(found) if (found := values(rows)) else empty


def only(model: Model) -> Model:
    """Over the rows whose v is positive."""
    return lambda rows: model([row for row in rows if is_positive(row)])


def total_of(values: list[int]) -> int:
    """A sum of BIGINTs, which wraps around."""
    return (sum(values) + 2**63) % 2**64 - 2**63


def _avg(values: list[int]) -> int:
    total = total_of(values)
    whole = abs(total) // len(values)
    return whole if total >= 0 else -whole


def once(function: Callable[[list[Any]], Any]) -> Callable[[list[Any]], Any]:
    """Of distinct values."""
    return lambda values: function(list(dict.fromkeys(values)))


CALLS: dict[str, tuple[CallSpec, Model]] = {
    "count": (spec("COUNT"), len),
    "count_v": (spec("COUNT", col("v")), over("v", len, 0)),
    "count_positive": (spec("COUNT", condition=positive()), only(len)),
    "sum_v": (spec("SUM", col("v")), over("v", total_of)),
    "sum0_v": (spec("SUM0", col("v")), over("v", total_of, 0)),
    "sum_d": (spec("SUM", col("d")), over("d", sum)),
    "sum_d_positive": (spec("SUM", col("d"), condition=positive()), only(over("d", sum))),
    "sum_f": (spec("SUM", col("f")), over("f", sum)),
    "avg_v": (spec("AVG", col("v")), over("v", _avg)),
    "min_v": (spec("MIN", col("v")), over("v", min)),
    "max_v_positive": (spec("MAX", col("v"), condition=positive()), only(over("v", max))),
    "max_d": (spec("MAX", col("d")), over("d", max)),
    "min_d": (spec("MIN", col("d")), over("d", min)),
    "min_s": (spec("MIN", col("s")), over("s", lambda x: min(x, key=str.encode))),
    "max_s": (spec("MAX", col("s")), over("s", lambda x: max(x, key=str.encode))),
    "min_ts": (spec("MIN", col("ts")), over("ts", min)),
    "max_b": (spec("MAX", col("b")), over("b", max)),
    "min_f": (spec("MIN", col("f")), over("f", min)),
    "first_s": (spec("FIRST_VALUE", col("s")), over("s", lambda x: x[0])),
    "last_s": (spec("LAST_VALUE", col("s")), over("s", lambda x: x[-1])),
    "last_d": (spec("LAST_VALUE", col("d")), over("d", lambda x: x[-1])),
    "last_a": (spec("LAST_VALUE", col("a")), over("a", lambda x: x[-1])),
    "distinct_v": (spec("COUNT", col("v"), distinct=True), over("v", once(len), 0)),
    "distinct_v_positive": (
        spec("COUNT", col("v"), distinct=True, condition=positive()),
        only(over("v", once(len), 0)),
    ),
    "distinct_s": (spec("COUNT", col("s"), distinct=True), over("s", once(len), 0)),
    "distinct_sum_v": (spec("SUM", col("v"), distinct=True), over("v", once(total_of))),
    "distinct_sum_d": (
        spec("SUM", col("d"), distinct=True, condition=positive()),
        only(over("d", once(sum))),
    ),
    "approximate_s": (spec("APPROX_COUNT_DISTINCT", col("s")), over("s", once(len), 0)),
    "listagg_s": (spec("LISTAGG", col("s")), over("s", ",".join)),
    "collect_v": (spec("COLLECT", col("v")), lambda rows: _bag(_values("v")(rows))),
    "collect_a": (
        spec("COLLECT", col("a")),
        lambda rows: _bag(map(tuple, _values("a")(rows))),
    ),
    "array_s": (
        spec("ARRAY_AGG", col("s")),
        lambda rows: [row[NAMES.index("s")] for row in rows] or None,
    ),
}


def _bag(values: Any) -> Any:
    return sorted(Counter(values).items(), key=repr)


def plain(value: Any) -> Any:
    """A result as the model has it: multisets sorted, lists in them as tuples."""
    if isinstance(value, list) and value and isinstance(value[0], tuple):
        pairs = [(tuple(v) if isinstance(v, list) else v, n) for v, n in value]
        return sorted(pairs, key=repr)
    return value


_ORDERED = {"FIRST_VALUE", "LAST_VALUE", "LISTAGG", "ARRAY_AGG"}


class Groups:
    """The rows of each group, in order of arrival."""

    def __init__(self, calls: Sequence[str], keys: Sequence[str] = ("k",)) -> None:
        self.calls = [CALLS[name] for name in calls]
        self.at = [NAMES.index(name) for name in keys]
        #: Of each group and call the rows; where order matters, as that call knows them.
        self.rows: dict[Any, list[list[Row]]] = {}

    def take(self, kind: str, row: Row) -> None:
        """A change of the input."""
        key = tuple(row[i] for i in self.at)
        if key not in self.rows:
            self.rows[key] = [[] for _ in range(1 + len(self.calls))]
        for rows, (known_call, _) in zip(self.rows[key], [(None, None), *self.calls], strict=True):
            known = row
            if known_call is not None and known_call.function in _ORDERED:
                # Of rows with equal arguments the oldest goes.
                wanted = known_call.args[0].index
                known = tuple(v if i == wanted else None for i, v in enumerate(row))
            if kind in {"+I", "+U"}:
                rows.append(known)
            else:
                rows.remove(known)

    def result(self) -> Counter[str]:
        """The rows that the aggregation stands for."""
        return Counter(
            repr((*key, *(model(r) for r, (_, model) in zip(rows[1:], self.calls, strict=True))))
            for key, rows in self.rows.items()
            if rows[0] or not self.at
        )


def operator(
    calls: Sequence[str],
    keys: Sequence[str] = ("k",),
    *,
    retracting: bool = True,
    before: bool = True,
    batch: bool = False,
    ttl_ms: int = 0,
    mini_batch: MiniBatch | None = None,
    partial: bool = False,
) -> GroupAggregateOperator:
    """An operator of these calls."""
    specs = [CALLS[name][0] for name in calls]
    fields = [(name, SCHEMA.field(name).type) for name in keys]
    fields += [(name, CALLS[name][0].type.to_arrow()) for name in calls]
    return GroupAggregateOperator(
        SqlSettings(batch=batch),
        [at if partial else NAMES.index(name) for at, name in enumerate(keys)],
        specs,
        pa.schema(fields),
        retracting,
        before,
        (),
        ttl_ms,
        mini_batch,
        partial,
    )


def row(
    k: str | None = "a",
    v: int | None = None,
    d: str | None = None,
    s: str | None = None,
    ts: int | None = None,
    b: bool | None = None,
    f: float | None = None,
    a: list[int] | None = None,
) -> Row:
    """A row of the input; NULL where nothing is given."""
    moment = None if ts is None else _EPOCH + dt.timedelta(milliseconds=ts)
    return (k, v, None if d is None else Decimal(d), s, moment, b, f, a)
