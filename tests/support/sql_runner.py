"""Runs one query over tables of changes, in an embedded cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from lesto.client.datastream.data_stream import DataStream
from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.results import collect
from lesto.client.table.catalog.manager import CatalogManager
from lesto.client.table.plan.physical.basic import changelog_rows
from lesto.client.table.plan.physical.translator import Translator
from lesto.client.table.sql.dialect import parse_statement
from lesto.client.table.sql.planner import Planner
from lesto.connectors.memory.changelog import ChangelogSource
from lesto.connectors.memory.collect import CollectSink
from lesto.sql.settings import SqlSettings

KINDS = ("+I", "-U", "+U", "-D")


@dataclass(frozen=True)
class ChangelogTable:
    """A table for one query.

    Attributes:
        ddl: columns, WATERMARK and PRIMARY KEY as within CREATE TABLE's parentheses.
        data: the rows of all columns that are not computed.
        kinds: int8[n], None: all insert.
        steps: numbers of rows after which a batch ends.
    """

    ddl: str
    data: pa.Table
    kinds: Any = None
    steps: Sequence[int] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def planner_over(tables: Mapping[str, ChangelogTable], **how: Any) -> Planner:
    """A planner which knows the tables."""
    planner = Planner(CatalogManager(), **how)
    for name, table in tables.items():
        options = {"connector": "values", **table.options}
        given = ", ".join(f"'{k}' = '{v}'" for k, v in options.items())
        parsed = parse_statement(f"CREATE TABLE {name} ({table.ddl}) WITH ({given})")
        made = planner.table(parsed.statement, parsed.text)
        schema = pa.schema([pa.field(c.name, c.type.to_arrow()) for c in made.read_columns()])
        source = ChangelogSource(table.data.cast(schema), table.kinds, table.steps)
        changelog = made.changelog
        if table.kinds is not None and not changelog:
            found = set(pa.array(table.kinds).to_pylist())
            changelog = tuple(k for i, k in enumerate(("I", "UB", "UA", "D")) if i in found)
        planner.catalogs.create(
            parsed.statement.name, replace(made, source=source, changelog=changelog)
        )
    return planner


def run_sql(
    tables: Mapping[str, ChangelogTable],
    query: str,
    *,
    parallelism: int = 1,
    batch: bool = False,
    ttl_ms: int = 0,
    options: Mapping[str, str] | None = None,
    time_zone: str = "UTC",
) -> list[tuple[str, tuple[Any, ...]]]:
    """The changes that a query gives, in the order in which they came."""
    planner = planner_over(tables, batch=batch, ttl_ms=ttl_ms)
    plan = planner.query(query)
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(parallelism)
    t = Translator(env, SqlSettings(time_zone, batch), ttl_ms=ttl_ms, options=options)
    stream = changelog_rows(t, plan.root, t.add_plan(plan))
    sink = DataStream(env, stream.upstreams)._sink(CollectSink(), "Collect", ())
    if stream.parallelism is not None:  # among more subtasks changes would lose their order
        sink.set_parallelism(stream.parallelism)
    with collect(env, sink._node, None) as rows:
        found = [tuple(row) for row in rows]
    return [(KINDS[row[0]], row[1:]) for row in found]


def final(changes: Sequence[tuple[str, tuple[Any, ...]]]) -> Counter[Any]:
    """The rows that remain, as a multiset; fails when a row goes that is not there."""
    rows: Counter[Any] = Counter()
    for kind, row in changes:
        key = repr(row)
        rows[key] += 1 if kind in {"+I", "+U"} else -1
        assert rows[key] >= 0, f"{kind} {row} takes back what is not there"
    return +rows
