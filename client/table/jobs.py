"""Carries plans out: each set of statements becomes a job of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from lesto.client.datastream import operators
from lesto.client.datastream.location import user_location
from lesto.client.datastream.transformations import Kind, Transformation
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.basic import changelog_rows
from lesto.client.table.plan.physical.streams import FORWARD, PhysicalStream
from lesto.client.table.plan.physical.translator import Translator, follows_one
from lesto.client.table.settings import is_batch, table_options, time_zone, ttl_ms
from lesto.common import options
from lesto.common.source import Boundedness
from lesto.sql.settings import SqlSettings

if TYPE_CHECKING:
    from lesto.client.datastream.environment import StreamExecutionEnvironment
    from lesto.client.job_client import JobClient
    from lesto.client.table.sql.planner import Plan

#: Time between results of a query that is collected, unless checkpoints are configured: people
#: look at them.
COLLECT_INTERVAL: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class CollectingJob:
    """A running query.

    Attributes:
        client: of its job.
        sink_uid: the operator whose results are read.
        most_rows: rows behind which the result cannot change (LIMIT); None: there may be more.
    """

    client: JobClient
    sink_uid: str
    most_rows: int | None = None


def translator(env: StreamExecutionEnvironment) -> Translator:
    """A translator with the environment's options."""
    config = env.get_configuration()
    settings = SqlSettings(time_zone(config), is_batch(config))
    return Translator(env, settings, ttl_ms=ttl_ms(config), options=table_options(config))


def insert_job(env: StreamExecutionEnvironment, plans: Sequence[Plan], name: str) -> JobClient:
    """Submit INSERTs as one job; what they share is computed once."""
    with _apart(env) as finish, _settings(env):
        translator(env).add_plans(plans)
        finish()
        return env.execute_async(env.get_configuration().get(options.PIPELINE_NAME) or name)


def collect_job(
    env: StreamExecutionEnvironment, plan: Plan, name: str = "collect"
) -> CollectingJob:
    """Submit a query whose results come to the client."""
    from lesto.connectors.memory.collect import CollectSink

    with _apart(env) as finish, _settings(env), _frequent_results(env):
        t = translator(env)
        rows = changelog_rows(t, plan.root, t.add_plan(plan))
        sink = CollectSink()
        node = env._add_node(
            kind=Kind.SINK,
            label="Collect",
            factory=operators.sink(sink),
            inputs=rows.spread(FORWARD),
            user_functions=(sink,),
            location=user_location(),
            parallelism=rows.parallelism,
            parallelism_fixed=rows.parallelism is not None,
            max_parallelism=1 if follows_one([(rows, FORWARD)]) else None,
        )
        finish()
        uid = env._uid_of(node)
        most = most_rows(plan) if _endless(env) else None
        named = env.get_configuration().get(options.PIPELINE_NAME) or name
        return CollectingJob(env.execute_async(named), uid, most)


def _endless(env: StreamExecutionEnvironment) -> bool:
    sources = [node.source for node in env._nodes if node.source is not None]
    return any(source.boundedness is not Boundedness.BOUNDED for source in sources)


def most_rows(plan: Plan) -> int | None:
    """How many rows a query gives at the most and never takes back; None: that is not known."""
    node = plan.root
    while isinstance(node, p.Project):
        node = node.input
    if isinstance(node, p.Limit) and plan.changes.mode(node) == {"I"}:
        return node.fetch
    return None


def attach(env: StreamExecutionEnvironment, plans: Sequence[Plan]) -> list[PhysicalStream]:
    """Make plans part of the environment's own job."""
    with _settings(env):
        return translator(env).add_plans(plans)


@contextmanager
def _apart(env: StreamExecutionEnvironment) -> Iterator[Callable[[], None]]:
    """What is built within is a job of its own; the environment's stays as it was.

    Yields:
        To be called before submitting: leaves the new sinks and what they read alone.
    """
    nodes, collecting = list(env._nodes), list(env._collecting)
    env._collecting.clear()

    def finish() -> None:
        old = {id(node) for node in nodes}
        pending = [n for n in env._nodes if n.kind is Kind.SINK and id(n) not in old]
        kept: dict[int, Transformation] = {}
        while pending:
            node = pending.pop()
            if id(node) not in kept:
                kept[id(node)] = node
                pending.extend(up.node for up in node.inputs)
        env._nodes[:] = sorted(kept.values(), key=lambda node: node.position)

    try:
        yield finish
    finally:
        env._nodes[:] = nodes
        env._collecting[:] = collecting


@contextmanager
def _settings(env: StreamExecutionEnvironment) -> Iterator[None]:
    """``table.exec.resource.default-parallelism`` counts for SQL alone."""
    config = env.get_configuration()
    wanted = config.get(options.TABLE_PARALLELISM)
    if wanted <= 0:
        yield
        return
    was = config.contains(options.PARALLELISM)
    before = config.get(options.PARALLELISM)
    config.set(options.PARALLELISM, wanted)
    try:
        yield
    finally:
        if was:
            config.set(options.PARALLELISM, before)
        else:
            config.remove(options.PARALLELISM)


@contextmanager
def _frequent_results(env: StreamExecutionEnvironment) -> Iterator[None]:
    config = env.get_configuration()
    if config.contains(options.CHECKPOINTING_INTERVAL) or is_batch(config):
        yield
        return
    config.set(options.CHECKPOINTING_INTERVAL, COLLECT_INTERVAL)
    try:
        yield
    finally:
        config.remove(options.CHECKPOINTING_INTERVAL)
