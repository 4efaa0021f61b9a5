"""Rules of groups."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.types as pat

from lesto.client.table.errors import InvalidQueryError, UnsupportedSqlError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.streams import (
    FORWARD,
    PhysicalStream,
    hashed,
    physical_schema,
)
from lesto.client.table.plan.physical.translator import Translator, translates
from lesto.common.option_types import parse_duration

if TYPE_CHECKING:
    from lesto.taskmanager.operators.sql.group_gather import MiniBatch
    from lesto.taskmanager.operators.sql.window_arguments import CallSpec

#: Column with the number of a grouping set.
_SET = "__set"


@translates(p.Aggregate)
def aggregate(t: Translator, node: p.Aggregate) -> PhysicalStream:
    """Groups of a stream; of a bounded one their final results."""
    for key in node.keys:
        column = node.input.schema[key]
        if pat.is_nested(column.type.to_arrow()):
            msg = f"rows cannot be grouped by {column.name}, a {column.type.summary()}"
            raise UnsupportedSqlError(
                msg, remedy="group by its fields, or by CAST(... AS STRING) or JSON_STRING(...)"
            )
    source = t.input(node.input)
    keys = node.keys
    retracting = t.kinds(node.input) != frozenset({"I"})
    if node.sets:
        source, keys = _expanded(t, node, source)
    calls = tuple(_spec(call) for call in node.calls)
    users = [call.user for call in calls if call.user is not None]
    first = _split(t, node, source, keys, calls, retracting)
    if first is None:
        first = _first_phase(t, node, source, keys, calls, retracting)
    if first is not None:
        source, keys = first, tuple(range(len(keys)))
    return t.add(
        node,
        "GroupAggregate",
        "group_aggregate:GroupAggregateOperator",
        (
            keys, calls, physical_schema(node.schema), retracting, "UB" in t.kinds(node), node.sets,
            _ttl(t, node), None if first is not None else mini_batch(t), first is not None,
        ),
        [(source, hashed(keys))],
        user_functions=users,
    )  # fmt: skip


def _ttl(t: Translator, node: p.Aggregate) -> int:
    return t.ttl_ms if node.ttl is None else node.ttl


def _first_phase(
    t: Translator,
    node: p.Aggregate,
    source: PhysicalStream,
    keys: tuple[int, ...],
    calls: tuple[CallSpec, ...],
    retracting: bool,
) -> PhysicalStream | None:
    """Rows folded by group before they are sent by key; None where that is not wanted.

    As each batch is folded where it arrives, it pays where batches have few groups: where there is
    but one, or where rows are gathered.
    """
    from lesto.taskmanager.operators.sql.group_local import partial_schema

    wanted = t.settings.get("table.optimizer.agg-phase-strategy", "AUTO").upper()
    gathered = mini_batch(t)
    spread = (source.parallelism or t.env.get_parallelism()) > 1
    if wanted == "ONE_PHASE":
        return None
    if wanted == "AUTO" and not (spread and (not keys or gathered is not None)):
        return None
    kinds = [source.schema.field(i).type for i in keys]
    schema = partial_schema(kinds, calls, retracting=retracting)
    if schema is None:
        return None
    return t.add(
        node,
        "LocalGroupAggregate",
        "group_local:LocalAggregateOperator",
        (keys, calls, schema, retracting, gathered),
        [(source, FORWARD)],
        schema,
    )


def _split(
    t: Translator,
    node: p.Aggregate,
    source: PhysicalStream,
    keys: tuple[int, ...],
    calls: tuple[CallSpec, ...],
    retracting: bool,
) -> PhysicalStream | None:
    """Distinct values spread over buckets, if that is asked for, rows are gathered (as Flink has
    it) and the calls can be split; else None.
    """
    from lesto.taskmanager.operators.sql.group_split import split_schema

    option = "table.optimizer.distinct-agg.split"
    asked = t.settings.get(f"{option}.enabled", "false").strip().lower() == "true"
    gathered = mini_batch(t)
    if not asked or gathered is None or _ttl(t, node):
        return None
    kinds = [source.schema.field(i).type for i in keys]
    schema = split_schema(kinds, calls, retracting=retracting)
    if schema is None:
        return None
    names = set(source.schema.names)
    extra = [pa.field(_free(name, names), pa.int32()) for name in ("__bucket", "__arguments")]
    wide = pa.schema([*source.schema, *extra])
    buckets = int(t.settings.get(f"{option}.bucket-num", "1024"))
    spread = t.add(
        node,
        "Buckets",
        "group_split:BucketOperator",
        (calls, buckets, wide, bool(keys), retracting),
        [(source, FORWARD)],
        wide,
    )
    width = len(source.schema)
    by = (*keys, width, width + 1)
    return t.add(
        node,
        "DistinctBuckets",
        "group_split:SplitDistinctOperator",
        (by, calls, schema, bool(keys), retracting, gathered),
        [(spread, hashed(by))],
        schema,
    )


def mini_batch(t: Translator) -> MiniBatch | None:
    """How long rows are gathered, by the session's options; None: not at all.

    Raises:
        InvalidQueryError: it is enabled without a latency.
    """
    from lesto.taskmanager.operators.sql.group_gather import MiniBatch

    if t.settings.get("table.exec.mini-batch.enabled", "false").strip().lower() != "true":
        return None
    latency = parse_duration(t.settings.get("table.exec.mini-batch.allow-latency", "0 ms"))
    if latency <= timedelta(0):
        msg = "'table.exec.mini-batch.enabled' needs 'table.exec.mini-batch.allow-latency'"
        raise InvalidQueryError(msg, remedy="set the longest that rows may wait, such as '1 s'")
    rows = int(t.settings.get("table.exec.mini-batch.size", "-1"))
    return MiniBatch(latency // timedelta(milliseconds=1), rows if rows > 0 else 1 << 62)


def _spec(call: p.AggregateCall) -> CallSpec:
    from lesto.taskmanager.operators.sql.window_arguments import CallSpec

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
