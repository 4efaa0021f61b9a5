"""Rules of groups."""

from __future__ import annotations

from datetime import timedelta

import pyarrow as pa

from lesto.client.table.errors import InvalidQueryError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.streams import (
    FORWARD,
    PhysicalStream,
    hashed,
    physical_schema,
)
from lesto.client.table.plan.physical.translator import Translator, translates
from lesto.common.option_types import parse_duration
from lesto.taskmanager.operators.sql.group_gather import MiniBatch
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
        (
            keys,
            calls,
            physical_schema(node.schema),
            retracting,
            "UB" in t.kinds(node),
            node.sets,
            t.ttl_ms,
            mini_batch(t),
        ),
        [(source, hashed(keys))],
        user_functions=users,
    )


def mini_batch(t: Translator) -> MiniBatch | None:
    """How long rows are gathered, by the session's options; None: not at all.

    Raises:
        InvalidQueryError: it is enabled without a latency.
    """
    if t.settings.get("table.exec.mini-batch.enabled", "false").strip().lower() != "true":
        return None
    latency = parse_duration(t.settings.get("table.exec.mini-batch.allow-latency", "0 ms"))
    if latency <= timedelta(0):
        msg = "'table.exec.mini-batch.enabled' needs 'table.exec.mini-batch.allow-latency'"
        raise InvalidQueryError(msg, remedy="set the longest that rows may wait, such as '1 s'")
    rows = int(t.settings.get("table.exec.mini-batch.size", "-1"))
    return MiniBatch(latency // timedelta(milliseconds=1), rows if rows > 0 else 1 << 62)


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
