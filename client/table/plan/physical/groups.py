"""Rules of groups."""

from __future__ import annotations

import pyarrow as pa

from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.streams import FORWARD, PhysicalStream, hashed
from lesto.client.table.plan.physical.translator import Translator, translates
from lesto.taskmanager.operators.sql.window_arguments import CallSpec

#: Column with the number of a grouping set.
_SET = "__set"


@translates(p.Aggregate)
def aggregate(t: Translator, node: p.Aggregate) -> PhysicalStream:
    """Groups of a stream; of a bounded one their final results."""
    source = t.input(node.input)
    keys = node.keys
    retracting = t.kinds(node.input) != frozenset({"I"})
    if node.sets:
        source, keys = _expanded(t, node, source)
    calls = tuple(_spec(call) for call in node.calls)
    users = [call.user for call in calls if call.user is not None]
    return t.add(
        node,
        "GroupAggregate",
        "group_aggregate:GroupAggregateOperator",
        (keys, calls, _schema(node), retracting, "UB" in t.kinds(node), node.sets, t.ttl_ms),
        [(source, hashed(keys))],
        user_functions=users,
    )


def _schema(node: p.Aggregate) -> pa.Schema:
    from lesto.client.table.plan.physical.streams import physical_schema

    return physical_schema(node.schema)


def _spec(call: p.AggregateCall) -> CallSpec:
    return CallSpec(call.function, call.args, call.type, call.distinct, call.condition, call.user)


def _expanded(
    t: Translator, node: p.Aggregate, source: PhysicalStream
) -> tuple[PhysicalStream, tuple[int, ...]]:
    """Each row for each grouping set, and where the sets' keys stand then."""
    names = set(source.schema.names)
    fields = list(source.schema)
    for i, at in enumerate(node.keys):
        fields.append(pa.field(_free(f"__key{i}", names), source.schema.field(at).type))
    fields.append(pa.field(_free(_SET, names), pa.int32()))
    schema = pa.schema(fields)
    width = len(source.schema)
    expanded = t.add(
        node,
        "Expand",
        "group_expand:ExpandOperator",
        (node.keys, node.sets, schema),
        [(source, FORWARD)],
        schema,
    )
    return expanded, tuple(range(width, width + len(node.keys) + 1))


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    taken.add(name)
    return name
