"""Turns plans into transformations: one rule a kind of node, in the modules beside this one.

A node that occurs several times, in one query or in several of a statement set, is carried out
once.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import pyarrow as pa

from lesto.client.datastream.location import user_location
from lesto.client.datastream.transformations import Kind, Partition, Partitioning, Transformation
from lesto.client.table.errors import UnsupportedSqlError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.changelog import Changes, Kinds
from lesto.client.table.plan.physical.async_calls import set_async_options
from lesto.client.table.plan.physical.streams import (
    BROADCAST,
    FORWARD,
    SINGLE,
    Distribution,
    PhysicalStream,
    Spread,
    hashed,
    physical_schema,
)
from lesto.client.table.plan.rules.nested import Fields, both_fields, nested_fields
from lesto.sql.settings import SqlSettings

if TYPE_CHECKING:
    from lesto.client.datastream.environment import StreamExecutionEnvironment
    from lesto.client.table.sql.planner import Plan

__all__ = [
    "BROADCAST",
    "FORWARD",
    "SINGLE",
    "Distribution",
    "PhysicalStream",
    "Translator",
    "follows_one",
    "hashed",
    "physical_schema",
    "translates",
]

NodeT = TypeVar("NodeT", bound=p.Node)
Rule = Callable[["Translator", Any], PhysicalStream]

_RULES: Final[dict[type[p.Node], Rule]] = {}
#: Modules with rules.
_MODULES: Final = ("basic", "groups", "windows", "joins", "ranks")
_OPERATORS: Final = "lesto.taskmanager.operators.sql"


def translates(
    kind: type[NodeT],
) -> Callable[
    [Callable[[Translator, NodeT], PhysicalStream]], Callable[[Translator, NodeT], PhysicalStream]
]:
    """Marks the rule of a kind of node."""

    def register(
        rule: Callable[[Translator, NodeT], PhysicalStream],
    ) -> Callable[[Translator, NodeT], PhysicalStream]:
        if kind in _RULES:
            msg = f"{kind.__name__} has two rules"
            raise ValueError(msg)
        _RULES[kind] = rule
        return rule

    return register


def _load() -> None:
    for name in _MODULES:
        importlib.import_module(f"lesto.client.table.plan.physical.{name}")


class Translator:
    """Adds plans to an environment's job.

    Args:
        env: gets the transformations.
        settings: what operators are told of the session.
        ttl_ms: how long idle state is kept, 0 for good.
        options: ``table.*`` options that are set.
    """

    def __init__(
        self,
        env: StreamExecutionEnvironment,
        settings: SqlSettings | None = None,
        *,
        ttl_ms: int = 0,
        options: Mapping[str, str] | None = None,
    ) -> None:
        _load()
        self.env = env
        self.sql_context = settings or SqlSettings()
        self.ttl_ms = ttl_ms
        self.settings: Mapping[str, str] = dict(options or {})
        self._changes: list[tuple[Plan, Changes]] = []
        self._done: dict[tuple[p.Node, Kinds], PhysicalStream] = {}
        self._nested: dict[p.Scan, tuple[Fields, ...]] = {}

    @property
    def batch(self) -> bool:
        """Whether input is bounded and only the final result counts."""
        return self.sql_context.batch

    def add_plan(self, plan: Plan) -> PhysicalStream:
        """Carry a plan out: a query's rows, or what the sink of an INSERT reads."""
        return self.add_plans([plan])[0]

    def add_plans(self, plans: Sequence[Plan]) -> list[PhysicalStream]:
        """Carry out the plans of a statement set; what they have in common is done once.

        Raises:
            UnsupportedSqlError: a node cannot be carried out.
        """
        for plan in plans:
            self._changes.append((plan, plan.changes))
            for scan, fields in nested_fields(plan.root).items():
                known = self._nested.get(scan)
                self._nested[scan] = (
                    fields if known is None else tuple(map(both_fields, known, fields))
                )
        return [self.input(plan.root) for plan in plans]

    # ------------------------------------------------------------------ for rules

    def input(self, node: p.Node) -> PhysicalStream:
        """A node's rows."""
        key = (node, self.kinds(node))
        found = self._done.get(key)
        if found is None:
            rule = _RULES.get(type(node))
            if rule is None:
                msg = f"{type(node).__name__}({node.detail}) cannot be carried out"
                raise UnsupportedSqlError(msg)
            set_async_options(node, self.settings)
            found = self._done[key] = rule(self, node)
        return found

    def kinds(self, node: p.Node) -> Kinds:
        """Kinds of rows that a node gives: of I, UB, UA, D."""
        for _, changes in self._changes:
            if id(node) in changes.modes:
                return changes.modes[id(node)]
        msg = f"{type(node).__name__} belongs to no plan that was added"
        raise KeyError(msg)

    def nested(self, scan: p.Scan) -> tuple[Fields, ...]:
        """For each column that a scan reads, the fields of it that are needed; None: all."""
        return self._nested[scan]

    def is_normalized(self, node: p.Node) -> bool:
        """Whether a scan's upserts are to be completed."""
        return any(id(node) in changes.normalized for _, changes in self._changes)

    def is_materialized(self, node: p.Node) -> bool:
        """Whether a sink's input is to be ordered by the sink's key."""
        return any(id(node) in changes.materialized for _, changes in self._changes)

    def add(
        self,
        node: p.Node,
        label: str,
        operator: str,
        args: Sequence[Any] = (),
        inputs: Sequence[tuple[PhysicalStream, Distribution]] = (),
        schema: pa.Schema | None = None,
        *,
        parallelism: int | None = None,
        keyed: bool | None = None,
        user_functions: Sequence[Any] = (),
        kind: Kind = Kind.TRANSFORM,
    ) -> PhysicalStream:
        """An operator.

        Args:
            node: which it carries out, for its description.
            label: what it is called; part of its identity.
            operator: ``module:Class`` below ``lesto.taskmanager.operators.sql``.
            args: of the class, behind the settings; picklable.
            inputs: what it reads and how rows reach it.
            schema: of its rows; by default the node's.
            parallelism: fixed; by default the job's, or its input's when that is FORWARD.
            keyed: whether it has keyed state; by default if an input is hashed or SINGLE.
            user_functions: among the arguments, for messages about what cannot be pickled.
            kind: a sink's is SINK.
        """
        spreads = {how.spread for _, how in inputs}
        if Spread.SINGLE in spreads:
            parallelism = 1
        elif parallelism is None and len(inputs) == 1 and inputs[0][1] == FORWARD:
            parallelism = inputs[0][0].parallelism
        if keyed is None:
            keyed = bool(spreads & {Spread.HASH, Spread.SINGLE})
        upstreams = tuple(
            up for i, (stream, how) in enumerate(inputs) for up in stream.spread(how, i)
        )
        transformation = self.env._add_node(
            kind=kind,
            label=label,
            factory=_factory(operator, (self.sql_context, *args)),
            inputs=upstreams,
            output_schema=schema or physical_schema(node.schema),
            keyed=keyed,
            location=user_location(),
            user_functions=tuple(user_functions),
            description=f"{label}({node.detail})",
            parallelism=parallelism,
            parallelism_fixed=parallelism is not None,
            # All rows come to one subtask, so a rescaled job must not have another: it would have
            # some of the state, and no rows.
            max_parallelism=1 if Spread.SINGLE in spreads or follows_one(inputs) else None,
        )
        return self.stream_of(transformation)

    def stream_of(self, transformation: Transformation) -> PhysicalStream:
        """The rows of a transformation."""
        from lesto.client.datastream.transformations import Upstream

        schema = transformation.output_schema
        assert schema is not None
        upstream = Upstream(
            transformation, partitioning=Partitioning(Partition.AUTO), schema=schema
        )
        return PhysicalStream((upstream,), schema, transformation.parallelism)


def follows_one(inputs: Sequence[tuple[PhysicalStream, Distribution]]) -> bool:
    """Whether it takes the rows of what is one subtask for good, in their order."""
    return bool(inputs) and all(
        how == FORWARD and all(up.node.max_parallelism == 1 for up in stream.upstreams)
        for stream, how in inputs
    )


def _factory(operator: str, args: tuple[Any, ...]) -> Callable[[], Any]:
    module, name = operator.split(":")

    def make() -> Any:
        from lesto.taskmanager.operators.base import SimpleFactory

        full = module if module.startswith("lesto.") else f"{_OPERATORS}.{module}"
        return SimpleFactory(getattr(importlib.import_module(full), name), args)

    return make
