"""Rules of joins, and of set operations that keep rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from lesto.client.table.errors import UnsupportedSqlError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.scans import table_fields
from lesto.client.table.plan.physical.streams import (
    FORWARD,
    PhysicalStream,
    hashed,
    physical_schema,
)
from lesto.client.table.plan.physical.translator import Translator, translates
from lesto.client.table.plan.rules.joins import beside_band
from lesto.connectors.tables.factory import lookup
from lesto.connectors.tables.requests import LookupRequest
from lesto.sql import types as sql_types
from lesto.sql.builder import call, cast
from lesto.sql.expressions import Expression, InputRef
from lesto.sql.rewrite import conjunction, conjuncts, is_true, replace_refs
from lesto.sql.types import SqlType, TypeRoot

if TYPE_CHECKING:
    from lesto.taskmanager.operators.sql.join_sides import JoinSide

_DIGITS_MAX = 38


@translates(p.Join)
def join(t: Translator, node: p.Join) -> PhysicalStream:
    """A regular join; rows of equal keys meet in one subtask."""
    if node.null_aware:
        return _null_aware(t, node)
    width = len(node.left.schema)
    pairs, rest = keys_of(node.condition, width, node)
    left, right, pairs = comparable(t, node, pairs)
    return _joined(t, node, (left, right), pairs, rest)


def _joined(
    t: Translator,
    node: p.Join,
    streams: tuple[PhysicalStream, PhysicalStream],
    pairs: Sequence[tuple[int, int]],
    rest: Sequence[Expression],
) -> PhysicalStream:
    kind = node.kind
    left = side_of(t, node.left, [a for a, _ in pairs], outer=kind in _LEFT_OUTER)
    right = side_of(t, node.right, [b for _, b in pairs], outer=kind in _RIGHT_OUTER)
    condition = _condition(rest)
    kinds = t.kinds(node)
    before = "UB" in kinds or "UA" not in kinds
    inputs = [(streams[0], hashed(left.keys)), (streams[1], hashed(right.keys))]
    schema = physical_schema(node.schema)
    first, second = (t.ttl_ms if ms is None else ms for ms in node.ttls)
    ttls = (first, second)
    if kind in {p.JoinKind.SEMI, p.JoinKind.ANTI}:
        anti = kind is p.JoinKind.ANTI
        return t.add(
            node,
            "Join",
            "semi_join:SemiJoinOperator",
            (left, right, condition, schema, anti, before, t.batch, ttls),
            inputs,
            schema,
        )
    return t.add(
        node,
        "Join",
        "join:JoinOperator",
        (left, right, condition, schema, before, t.batch, ttls),
        inputs,
        schema,
    )


_LEFT_OUTER = frozenset({p.JoinKind.LEFT, p.JoinKind.FULL, p.JoinKind.ANTI})
_RIGHT_OUTER = frozenset({p.JoinKind.RIGHT, p.JoinKind.FULL})


def _condition(rest: Sequence[Expression]) -> Expression | None:
    whole = conjunction(rest)
    return None if is_true(whole) else whole


def side_of(
    t: Translator, node: p.Node, keys: Sequence[int], *, outer: bool = False, nulls: bool = False
) -> JoinSide:
    """What a join's operator must know of an input.

    Args:
        t: the translator.
        node: the input.
        keys: positions of the join's keys in it.
        outer: whether rows without a partner are given.
        nulls: whether NULL keys count.
    """
    from lesto.taskmanager.operators.sql.join_sides import JoinSide

    kinds = t.kinds(node)
    unique = [key for key in node.unique_keys if key]
    return JoinSide(
        keys=tuple(keys),
        width=len(node.schema),
        unique=any(key <= set(keys) for key in unique),
        upsert="UA" in kinds and "UB" not in kinds,
        outer=outer,
        identity=tuple(sorted(set().union(*unique))) if unique else (),
        nulls=nulls,
    )


def keys_of(
    condition: Expression, width: int, node: p.Node
) -> tuple[list[tuple[int, int]], list[Expression]]:
    """Equal columns that rows can be hashed by, and what else a condition says."""
    found, rest = p.equi_keys(condition, width)
    pairs, more = _hashable(node, found)
    return pairs, [*rest, *more]


def _hashable(
    node: p.Node, pairs: Sequence[tuple[int, int]]
) -> tuple[list[tuple[int, int]], list[Expression]]:
    """Pairs of columns that have hashes, and the others as conditions."""
    left = node.inputs[0].schema
    found = [pair for pair in pairs if not _has_map(left[pair[0]].type)]
    return found, _equalities(node, [pair for pair in pairs if pair not in found])


def _has_map(kind: SqlType) -> bool:
    if kind.root in {TypeRoot.MAP, TypeRoot.MULTISET}:
        return True
    return any(_has_map(child) for child in kind.children)


# ---------------------------------------------------------------------- joins in time


@translates(p.IntervalJoin)
def interval_join(t: Translator, node: p.IntervalJoin) -> PhysicalStream:
    """Rows whose times are near."""
    from lesto.taskmanager.operators.sql.interval_join import Band

    found, rest = beside_band(node)
    pairs, more = _hashable(node, found)
    left_stream, right_stream, pairs = comparable(t, node, pairs)
    kind = node.kind
    left = side_of(t, node.left, [a for a, _ in pairs], outer=kind in _LEFT_OUTER)
    right = side_of(t, node.right, [b for _, b in pairs], outer=kind in _RIGHT_OUTER)
    event_time = node.time_kind is p.TimeKind.ROWTIME
    times = (node.left_time, node.right_time) if event_time else None
    schema = physical_schema(node.schema)
    args = (
        left,
        right,
        Band(times, node.lower_ms, node.upper_ms),
        _condition([*rest, *more]),
        schema,
    )
    inputs = [(left_stream, hashed(left.keys)), (right_stream, hashed(right.keys))]
    if kind is p.JoinKind.INNER:
        operator = "interval_join:IntervalJoinOperator"
        return t.add(node, "IntervalJoin", operator, args, inputs, schema)
    alone = {p.JoinKind.SEMI: "semi", p.JoinKind.ANTI: "anti"}.get(kind, "pairs")
    operator = "outer_interval_join:OuterIntervalJoinOperator"
    return t.add(node, "IntervalJoin", operator, (*args, alone), inputs, schema)


@translates(p.TemporalJoin)
def temporal_join(t: Translator, node: p.TemporalJoin) -> PhysicalStream:
    """Rows with the version that was valid at their time."""
    equal, rest = p.equi_keys(node.condition, len(node.left.schema))
    pairs: list[tuple[int, int]] = []
    for key in node.right_keys:
        pairs.append(next(pair for pair in equal if pair[1] == key))
    rest += _equalities(node, [pair for pair in equal if pair not in pairs])
    left_stream, right_stream, pairs = comparable(t, node, pairs)
    left = side_of(t, node.left, [a for a, _ in pairs], outer=node.kind is p.JoinKind.LEFT)
    right = side_of(t, node.right, [b for _, b in pairs])
    schema = physical_schema(node.schema)
    times = (node.left_time, node.right_time)
    before = "UB" in t.kinds(node)
    return t.add(
        node,
        "TemporalJoin",
        "temporal_join:TemporalJoinOperator",
        (left, right, times, _condition(rest), schema, before),
        [(left_stream, hashed(left.keys)), (right_stream, hashed(right.keys))],
        schema,
    )


@translates(p.LookupJoin)
def lookup_join(t: Translator, node: p.LookupJoin) -> PhysicalStream:
    """Rows with what an external table has when they pass."""
    from lesto.taskmanager.operators.sql.lookup_join import LookedUp, hints_of
    from lesto.taskmanager.operators.sql.lookup_join_cache import LookupOptions

    expressions, filters, scan = _looked_up(node.right)
    equal, rest = p.equi_keys(node.condition, len(node.left.schema))
    keys: dict[int, int] = {}  # position in the scan -> left column
    for a, b in equal:
        column = expressions[b]
        fits = column.type.to_arrow() == node.left.schema[a].type.to_arrow()
        if isinstance(column, InputRef) and column.index not in keys and fits:
            keys[column.index] = a
        else:
            rest += _equalities(node, [(a, b)])
    name = ".".join(scan.path)
    if not keys:
        msg = f"the condition of the look-up in {name} equates none of its columns"
        raise UnsupportedSqlError(msg, remedy=f"equate a column of {name} in ON")
    request = LookupRequest(
        options={**dict(scan.table.options), **dict(scan.options)},
        columns=table_fields(scan.table.read_columns()),
        keys=tuple(scan.columns[i] for i in keys),
        projection=scan.columns,
        time_zone=t.sql_context.time_zone,
        table=name,
        partition_keys=scan.table.partition_keys,
    )
    plan = lookup(scan.table.connector, request)
    hints = hints_of(node.hints)
    try:
        options = LookupOptions.of({**request.options, **plan.options}, hints)
    except ValueError as error:
        msg = f"the look-up in {name} cannot be carried out: {error}"
        raise UnsupportedSqlError(msg, remedy="correct the option or the hint") from error
    table = LookedUp(
        plan.function,
        physical_schema(scan.schema),
        tuple(keys.values()),
        expressions,
        filters,
        options,
    )
    kinds = t.kinds(node)
    changes = t.kinds(node.left) != frozenset({"I"})
    schema = physical_schema(node.schema)
    width, outer = len(node.left.schema), node.kind is p.JoinKind.LEFT
    shuffled = hints.get("shuffle", "false").lower() == "true" and not changes
    return t.add(
        node,
        "LookupJoin",
        "lookup_join:LookupJoinOperator",
        (table, width, outer, _condition(rest), schema, "UB" in kinds, changes),
        [(t.input(node.left), hashed(table.keys) if shuffled else FORWARD)],
        schema,
        keyed=False,
    )


def _looked_up(node: p.Node) -> tuple[tuple[Expression, ...], Expression | None, p.Scan]:
    """The columns of what is looked up, over those of its scan, and what filters its rows.

    Raises:
        UnsupportedSqlError: it is more than a table.
    """
    match node:
        case p.Scan():
            return p.identity(node.schema), _condition(node.filters), node
        case p.Watermark():
            return _looked_up(node.input)
        case p.Project():
            below, filters, scan = _looked_up(node.input)
            return tuple(replace_refs(e, below) for e in node.expressions), filters, scan
        case p.Filter():
            below, filters, scan = _looked_up(node.input)
            parts = [] if filters is None else [filters]
            return below, conjunction([*parts, replace_refs(node.condition, below)]), scan
    msg = f"{type(node).__name__}({node.detail}) cannot be looked up by key"
    raise UnsupportedSqlError(msg, remedy="look up a table, with projections and filters alone")


def _equalities(node: p.Node, pairs: Sequence[tuple[int, int]]) -> list[Expression]:
    """Pairs of columns as conditions."""
    left, right = (child.schema for child in node.inputs)
    return [
        call("=", [InputRef(a, left[a].type), InputRef(len(left) + b, right[b].type)])
        for a, b in pairs
    ]


# ---------------------------------------------------------------------- keys of several types


def comparable(
    t: Translator, node: p.Node, pairs: Sequence[tuple[int, int]]
) -> tuple[PhysicalStream, PhysicalStream, list[tuple[int, int]]]:
    """Both inputs, where equal keys have equal types: decimals of two scales get a column each."""
    left, right = node.inputs
    added: tuple[list[Expression], list[Expression]] = ([], [])
    found: list[tuple[int, int]] = []
    for a, b in pairs:
        one, two = left.schema[a].type, right.schema[b].type
        if one.to_arrow() == two.to_arrow():
            found.append((a, b))
            continue
        common = _common(one, two)
        found.append((len(left.schema) + len(added[0]), len(right.schema) + len(added[1])))
        added[0].append(cast(InputRef(a, one), common))
        added[1].append(cast(InputRef(b, two), common))
    streams = [
        _with_columns(t, child, t.input(child), more)
        for child, more in zip((left, right), added, strict=True)
    ]
    return streams[0], streams[1], found


def _common(a: SqlType, b: SqlType) -> SqlType:
    scale = max(a.scale, b.scale)
    whole = max(a.precision - a.scale, b.precision - b.scale)
    return sql_types.DECIMAL(min(_DIGITS_MAX, whole + scale), scale)


def _with_columns(
    t: Translator, node: p.Node, stream: PhysicalStream, more: Sequence[Expression]
) -> PhysicalStream:
    if not more:
        return stream
    from lesto.client.table.plan.physical.basic import calc

    names = [f"$key{i}" for i in range(len(more))]
    fields = [pa.field(n, e.type.to_arrow()) for n, e in zip(names, more, strict=True)]
    schema = pa.schema([*stream.schema, *fields])
    return calc(t, node, stream, (*p.identity(node.schema), *more), schema=schema)


# ---------------------------------------------------------------------- NOT IN


def _null_aware(t: Translator, node: p.Join) -> PhysicalStream:
    """NOT IN where there may be NULLs: the first conditions are those of IN."""
    width = len(node.left.schema)
    parts = conjuncts(node.condition)
    among, others = parts[: node.null_aware], parts[node.null_aware :]
    if len(parts) == 1:
        pairs, rest = keys_of(parts[0], width, node)
        if pairs:
            left, right, pairs = comparable(t, node, pairs)
            return _not_in(t, node, (left, right), pairs[0])
    pairs, rest = keys_of(conjunction(others), width, node)
    left, right, pairs = comparable(t, node, pairs)
    may_equal = [call("IS NOT FALSE", [part]) for part in among]
    return _joined(t, node, (left, right), pairs, [*may_equal, *rest])


def _not_in(
    t: Translator,
    node: p.Join,
    streams: tuple[PhysicalStream, PhysicalStream],
    pair: tuple[int, int],
) -> PhysicalStream:
    kinds = t.kinds(node)
    schema = physical_schema(node.schema)
    left = side_of(t, node.left, [pair[0]], outer=True, nulls=True)
    right = side_of(t, node.right, [pair[1]], nulls=True)
    before = "UB" in kinds or "UA" not in kinds
    return t.add(
        node,
        "Join",
        "semi_join:NotInOperator",
        (left, right, None, schema, True, before, t.batch, t.ttl_ms),
        [(streams[0], hashed(())), (streams[1], hashed(()))],
        schema,
    )


# ---------------------------------------------------------------------- set operations


def distinct_set_operation(t: Translator, node: p.SetOp) -> PhysicalStream:
    """UNION, INTERSECT [ALL] and EXCEPT [ALL]: equal rows of all inputs meet in one subtask."""
    schema = physical_schema(node.schema)
    distribution = hashed(range(len(schema)))
    return t.add(
        node,
        node.kind.value.title(),
        "set_ops:SetOperator",
        (node.kind.value, node.every, len(node.sources), schema, t.batch, t.ttl_ms),
        [(t.input(source), distribution) for source in node.sources],
        schema,
    )
