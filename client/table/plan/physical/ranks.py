"""Rules of ranks, OVER, sorting, limits and table functions, and of changelogs by key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from lesto.client.table.errors import ChangelogError, InvalidQueryError, UnsupportedSqlError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.changelog import INSERT
from lesto.client.table.plan.physical.streams import (
    FORWARD,
    SINGLE,
    Distribution,
    PhysicalStream,
    hashed,
    physical_schema,
)
from lesto.client.table.plan.physical.translator import Translator, translates
from lesto.sql.aggregates.ranking import RANKING
from lesto.sql.types import SqlType, TypeRoot

#: Last rank of a Top-N that has none.
_EVERY: Final = (1 << 62) - 1
_NOT_ORDERED: Final = {
    TypeRoot.ARRAY,
    TypeRoot.MAP,
    TypeRoot.MULTISET,
    TypeRoot.ROW,
}


def orders(node: p.Node, keys: Sequence[p.SortKey]) -> tuple[Any, ...]:
    """Sort keys of a node's rows, as operators take them.

    Raises:
        UnsupportedSqlError: a column is of a type that has no order.
    """
    from lesto.taskmanager.operators.sql.sort_order import Order

    for key in keys:
        column = node.schema[key.index]
        if column.type.root in _NOT_ORDERED:
            msg = f"{column.name} is {column.type}, which has no order to sort by"
            raise UnsupportedSqlError(msg, remedy="sort by a field or element of it")
    return tuple(Order(k.index, k.descending, k.nulls_come_first) for k in keys)


def by_keys(node: p.Node, positions: Sequence[int]) -> Distribution:
    """Rows of a node spread by columns.

    Raises:
        UnsupportedSqlError: a column is of a type that cannot be a key.
    """
    for i in positions:
        _check_key(node.schema[i].name, node.schema[i].type)
    return hashed(positions)


def _check_key(name: str, kind: SqlType) -> None:
    if kind.root in _NOT_ORDERED:
        msg = f"{name} is {kind}, which cannot be a key"
        raise UnsupportedSqlError(msg, remedy="take fields or elements of it, or CAST it")


def _row_key(node: p.Node) -> tuple[int, ...] | None:
    """A unique key of a node's rows, the shortest."""
    found = sorted((len(k), sorted(k)) for k in node.unique_keys)
    return tuple(found[0][1]) if found else None


@translates(p.Rank)
def rank(t: Translator, node: p.Rank) -> PhysicalStream:
    """Top-N; of windows when the partition has the window's columns."""
    if node.window is not None:
        from lesto.client.table.plan.physical.windows import window_rank

        return window_rank(t, node)
    return _top_n(t, node, node.input, node)


def _top_n(t: Translator, node: p.Node, source: p.Node, what: p.Rank) -> PhysicalStream:
    from lesto.taskmanager.operators.sql.rank_plan import TopN

    top = TopN(
        partition=what.partition,
        order=orders(source, what.order),
        function=what.function,
        start=what.start,
        end=what.end,
        with_rank=bool(what.rank_name),
        give_before="UB" in t.kinds(node),
        row_key=_row_key(source),
        ttl_ms=t.ttl_ms,
        final=t.batch,
    )
    stream = t.input(source)
    schema = physical_schema(what.schema)
    inserts = t.kinds(source) == INSERT
    operator = "rank:TopNOperator" if inserts else "rank_update:TopNUpdateOperator"
    inputs = [(stream, by_keys(source, what.partition))]
    return t.add(node, "Rank", operator, (top, schema), inputs, schema)


@translates(p.Deduplicate)
def deduplicate(t: Translator, node: p.Deduplicate) -> PhysicalStream:
    """The first or last row a key; of windows when the key has the window's columns."""
    if node.window is not None:
        from lesto.client.table.plan.physical.windows import window_deduplicate

        return window_deduplicate(t, node)
    by_event = node.time_kind is p.TimeKind.ROWTIME
    return t.add(
        node,
        "Deduplicate",
        "deduplicate:DeduplicateOperator",
        (
            node.keys,
            node.time if by_event else None,
            node.last,
            "UB" in t.kinds(node),
            t.ttl_ms,
            t.batch,
        ),
        [(t.input(node.input), by_keys(node.input, node.keys))],
    )


@translates(p.Limit)
def limit(t: Translator, node: p.Limit) -> PhysicalStream:
    """Some rows: the first to come, or a Top-N of one partition."""
    below = node.input
    keys: tuple[p.SortKey, ...] = ()
    if isinstance(below, p.Sort):
        by_time = not t.batch and is_time_order(below) and t.kinds(below.input) == INSERT
        if not by_time and not (t.batch and node.fetch is None):
            keys, below = below.keys, below.input
    if keys or t.kinds(below) != INSERT:
        end = _EVERY if node.fetch is None else node.offset + node.fetch
        what = p.Rank(below, "ROW_NUMBER", (), keys, node.offset + 1, end)
        return _top_n(t, node, below, what)
    return t.add(
        node,
        "Limit",
        "limit:LimitOperator",
        (node.offset, node.fetch),
        [(t.input(below), SINGLE)],
        keyed=False,
    )


def is_time_order(node: p.Sort) -> bool:
    """Whether rows are sorted by an ascending time attribute first."""
    first = node.keys[0]
    return node.schema[first.index].time is not None and not first.descending


@translates(p.Sort)
def sort(t: Translator, node: p.Sort) -> PhysicalStream:
    """Rows in order: of streams by time first, of bounded input by anything."""
    keys, source = orders(node, node.keys), t.input(node.input)
    if t.batch:
        args = (keys,)
        return t.add(node, "Sort", "sort:FinalSortOperator", args, [(source, SINGLE)], keyed=False)
    if not is_time_order(node):
        msg = f"Sort({node.detail}) has no meaning on a stream"
        raise InvalidQueryError(msg, remedy="sort by an ascending time attribute, or add LIMIT")
    if t.kinds(node.input) != INSERT:
        msg = f"Sort({node.detail}) takes inserts alone, and its input has updates or deletes"
        raise ChangelogError(msg, remedy="sort before aggregating, or add LIMIT for a Top-N")
    if node.schema[node.keys[0].index].time is p.TimeKind.ROWTIME:
        return t.add(node, "Temporal Sort", "sort:TimeSortOperator", (keys,), [(source, SINGLE)])
    return t.add(
        node,
        "Temporal Sort",
        "sort:ArrivalSortOperator",
        (keys[1:],),
        [(source, SINGLE)],
        keyed=False,
    )


@translates(p.Over)
def over(t: Translator, node: p.Over) -> PhysicalStream:
    """Aggregates and ranking functions of each row's window."""
    from lesto.taskmanager.operators.sql.over_program import OverCall, OverSpec

    calls = tuple(
        OverCall(c.function, c.args, c.type, c.distinct, c.condition, c.user) for c in node.calls
    )
    for call in node.calls:
        for arg in call.args if call.distinct else ():
            _check_key(f"{arg} of {call.function}(DISTINCT)", arg.type)
    keys = orders(node.input, node.order)
    spec = OverSpec(node.partition, keys, node.frame.rows, node.frame.preceding, calls)
    source, schema = t.input(node.input), physical_schema(node.schema)
    inputs = [(source, by_keys(node.input, node.partition))]
    users = tuple(c.user for c in node.calls if c.user is not None)
    if t.batch:
        name, args = "over_batch:FinalOverOperator", (spec, schema)
        return t.add(node, "Over", name, args, inputs, schema, user_functions=users)
    if t.kinds(node) != INSERT:
        key = _row_key(node.input)
        changed = (spec, schema, "UB" in t.kinds(node), key, t.ttl_ms)
        name = "over_update:OverUpdateOperator"
        return t.add(node, "Over", name, changed, inputs, schema, user_functions=users)
    first = node.order[0]
    _check_over(node, first)
    by_event = node.input.schema[first.index].time is p.TimeKind.ROWTIME
    timed = (spec, first.index if by_event else None, schema, t.ttl_ms)
    return t.add(node, "Over", "over:OverOperator", timed, inputs, schema, user_functions=users)


def _check_over(node: p.Over, first: p.SortKey) -> None:
    """Refuse what needs rows that have yet to come."""
    if first.descending:
        msg = f"Over({node.detail}) is ordered by descending time: on a stream there is no last row"
        raise InvalidQueryError(msg, remedy="order by the time attribute ascending")
    for call in node.calls:
        entry = RANKING.get(call.function)
        if entry is not None and (entry.needs_size or call.function == "LEAD"):
            msg = f"{call.function} needs rows that follow, which a stream does not have yet"
            raise UnsupportedSqlError(msg, remedy="use batch mode, or LAG instead of LEAD")


@translates(p.Correlate)
def correlate(t: Translator, node: p.Correlate) -> PhysicalStream:
    """UNNEST, table functions."""
    schema = physical_schema(node.schema)
    kind: SqlType | None = node.args[0].type if node.args else None
    multiset = node.user is None and kind is not None and kind.root is TypeRoot.MULTISET
    return t.add(
        node,
        "Correlate",
        "correlate:CorrelateOperator",
        (
            node.args,
            schema,
            node.kind is p.JoinKind.LEFT,
            node.user,
            multiset,
            node.ordinality,
        ),
        [(t.input(node.input), FORWARD)],
        schema,
        user_functions=() if node.user is None else (node.user,),
    )


# ---------------------------------------------------------------------- changelogs by key


def normalized(
    t: Translator, stream: PhysicalStream, key_positions: Sequence[int], node: p.Node
) -> PhysicalStream:
    """An upsert stream completed: updates come with UB where the node is to give it.

    Args:
        t: adds the operator.
        stream: I, UA and D by the key.
        key_positions: of the key.
        node: whose kinds are given.
    """
    return t.add(
        node,
        "Changelog Normalize",
        "normalize:NormalizeOperator",
        (tuple(key_positions), "UB" in t.kinds(node), t.ttl_ms),
        [(stream, by_keys(node, key_positions))],
        stream.schema,
    )


def materialized(
    t: Translator, stream: PhysicalStream, key_positions: Sequence[int], node: p.Node
) -> PhysicalStream:
    """Updates by another key in the order of the sink's key: I, UA and D.

    Args:
        t: adds the operator.
        stream: with UB.
        key_positions: of the sink's key.
        node: the sink.
    """
    return t.add(
        node,
        "Sink Materialize",
        "materialize:UpsertMaterializeOperator",
        (tuple(key_positions), t.ttl_ms),
        [(stream, by_keys(node, key_positions))],
        stream.schema,
    )
