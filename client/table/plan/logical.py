"""Nodes of logical plans: frozen trees, each with its inputs, schema and unique keys.

Expressions within a node count the columns of its input; of a join, those of the left input and
then those of the right one. :func:`walk` visits a plan, :func:`with_inputs` rebuilds a node.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field, replace

from lesto.client.table.catalog.objects import CatalogTable
from lesto.client.table.plan.groups import (
    Aggregate,
    Deduplicate,
    Frame,
    Over,
    Rank,
    WindowAggregate,
    WindowTvf,
    window_schema,
)
from lesto.client.table.plan.joins import (
    Correlate,
    IntervalJoin,
    Join,
    LookupJoin,
    TemporalJoin,
    WindowJoin,
)
from lesto.client.table.plan.nodes import (
    NO_KEYS,
    AggregateCall,
    JoinKind,
    Keys,
    Node,
    SortKey,
    Window,
    WindowColumns,
    WindowKind,
    equi_keys,
    identity,
    join_schema,
    select_text,
    sides,
    sort_text,
    time_of,
    transform,
    walk,
    with_inputs,
)
from lesto.client.table.plan.schema import Column, Schema, TimeKind
from lesto.sql.expressions import Expression, InputRef

__all__ = [
    "Aggregate",
    "AggregateCall",
    "Column",
    "Correlate",
    "Deduplicate",
    "Filter",
    "Frame",
    "IntervalJoin",
    "Join",
    "JoinKind",
    "Keys",
    "Limit",
    "LookupJoin",
    "Node",
    "Over",
    "Project",
    "Rank",
    "Scan",
    "Schema",
    "SetKind",
    "SetOp",
    "Sink",
    "Sort",
    "SortKey",
    "TemporalJoin",
    "TimeKind",
    "Values",
    "Watermark",
    "Window",
    "WindowAggregate",
    "WindowColumns",
    "WindowJoin",
    "WindowKind",
    "WindowTvf",
    "equi_keys",
    "identity",
    "join_schema",
    "sides",
    "time_of",
    "transform",
    "walk",
    "window_schema",
    "with_inputs",
]


@dataclass(frozen=True, slots=True)
class Scan(Node):
    """Reads a table.

    Attributes:
        path: catalog, database, table.
        table: its definition.
        columns: positions in ``table.read_columns()`` that are read, in order.
        filters: conditions over the columns read, which the source may use to skip; all of them are
            still true of the rows given, for a Filter remains where the source cannot.
        options: of the table, with those of OPTIONS hints.
        time: position (in this schema) and kind of attributes which need no watermark of ours.
    """

    path: tuple[str, ...]
    table: CatalogTable
    columns: tuple[int, ...]
    filters: tuple[Expression, ...] = ()
    options: tuple[tuple[str, str], ...] = ()

    @property
    def schema(self) -> Schema:
        """The columns read."""
        every = self.table.read_columns()
        return Schema(tuple(Column(every[i].name, every[i].type) for i in self.columns))

    @property
    def unique_keys(self) -> Keys:
        """The primary key, if all of it is read."""
        names = self.schema.names
        key = self.table.primary_key
        if key and all(k in names for k in key):
            return frozenset({frozenset(names.index(k) for k in key)})
        return NO_KEYS

    @property
    def detail(self) -> str:
        """Path, columns, pushed filters."""
        text = f"table=[{'.'.join(self.path)}], fields=[{', '.join(self.schema.names)}]"
        if self.filters:
            text += f", filter=[{' AND '.join(map(str, self.filters))}]"
        return text


@dataclass(frozen=True, slots=True)
class Values(Node):
    """Rows of constant expressions."""

    rows: tuple[tuple[Expression, ...], ...]
    columns: Schema

    @property
    def schema(self) -> Schema:
        """As given."""
        return self.columns

    @property
    def detail(self) -> str:
        """Number of rows."""
        return f"rows=[{len(self.rows)}], fields=[{', '.join(self.columns.names)}]"


@dataclass(frozen=True, slots=True)
class Project(Node):
    """Computes columns. A reference to a time attribute stays one."""

    input: Node
    names: tuple[str, ...]
    expressions: tuple[Expression, ...]

    @property
    def schema(self) -> Schema:
        """A column for each expression."""
        below = self.input.schema
        return Schema(
            tuple(
                Column(name, e.type, time_of(e, below))
                for name, e in zip(self.names, self.expressions, strict=True)
            )
        )

    @property
    def unique_keys(self) -> Keys:
        """Those of the input whose columns all remain."""
        places: dict[int, int] = {}
        for i, e in enumerate(self.expressions):
            if isinstance(e, InputRef):
                places.setdefault(e.index, i)
        return frozenset(
            frozenset(places[i] for i in key)
            for key in self.input.unique_keys
            if all(i in places for i in key)
        )

    @property
    def detail(self) -> str:
        """The expressions."""
        return f"select=[{select_text(self.names, self.expressions)}]"


@dataclass(frozen=True, slots=True)
class Filter(Node):
    """Keeps the rows of which the condition is TRUE."""

    input: Node
    condition: Expression

    @property
    def schema(self) -> Schema:
        """As the input's."""
        return self.input.schema

    @property
    def unique_keys(self) -> Keys:
        """As the input's."""
        return self.input.unique_keys

    @property
    def detail(self) -> str:
        """The condition."""
        return f"where=[{self.condition}]"


@dataclass(frozen=True, slots=True)
class Watermark(Node):
    """Makes a column the row's event time, and gives watermarks of the expression."""

    input: Node
    column: int
    expression: Expression

    @property
    def schema(self) -> Schema:
        """The column is a ROWTIME attribute."""
        columns = list(self.input.schema)
        columns[self.column] = replace(columns[self.column], time=TimeKind.ROWTIME)
        return Schema(tuple(columns))

    @property
    def unique_keys(self) -> Keys:
        """As the input's."""
        return self.input.unique_keys

    @property
    def detail(self) -> str:
        """Column and expression."""
        return f"rowtime=[{self.input.schema[self.column].name}], watermark=[{self.expression}]"


class SetKind(enum.Enum):
    """Set operations."""

    UNION = "UNION"
    INTERSECT = "INTERSECT"
    EXCEPT = "EXCEPT"


@dataclass(frozen=True, slots=True)
class SetOp(Node):
    """UNION, INTERSECT, EXCEPT; with ``every`` duplicates stay."""

    sources: tuple[Node, ...]
    kind: SetKind
    every: bool
    columns: Schema

    @property
    def inputs(self) -> tuple[Node, ...]:
        """All sources."""
        return self.sources

    @property
    def schema(self) -> Schema:
        """The first one's names with the common types."""
        return self.columns

    @property
    def unique_keys(self) -> Keys:
        """All columns, of what is distinct."""
        return NO_KEYS if self.every else frozenset({frozenset(range(len(self.columns)))})

    @property
    def detail(self) -> str:
        """Kind."""
        return f"{self.kind.value}{' ALL' if self.every else ''}"


@dataclass(frozen=True, slots=True)
class Sort(Node):
    """ORDER BY."""

    input: Node
    keys: tuple[SortKey, ...]

    @property
    def schema(self) -> Schema:
        """As the input's."""
        return self.input.schema

    @property
    def unique_keys(self) -> Keys:
        """As the input's."""
        return self.input.unique_keys

    @property
    def detail(self) -> str:
        """The keys."""
        return f"orderBy=[{sort_text(self.schema, self.keys)}]"


@dataclass(frozen=True, slots=True)
class Limit(Node):
    """Some rows: those after ``offset``, at most ``fetch`` (None for all)."""

    input: Node
    fetch: int | None
    offset: int = 0

    @property
    def schema(self) -> Schema:
        """As the input's."""
        return self.input.schema

    @property
    def unique_keys(self) -> Keys:
        """As the input's."""
        return self.input.unique_keys

    @property
    def detail(self) -> str:
        """Offset and number."""
        return f"offset=[{self.offset}], fetch=[{'all' if self.fetch is None else self.fetch}]"


@dataclass(frozen=True, slots=True)
class Sink(Node):
    """Writes a table.

    Attributes:
        columns: the table's columns that are written, a target for each column of the input.
    """

    input: Node
    path: tuple[str, ...]
    table: CatalogTable
    options: tuple[tuple[str, str], ...] = ()
    overwrite: bool = False
    partition: tuple[tuple[str, str], ...] = ()
    conflict: str = ""
    metadata: dict[str, str] = field(default_factory=dict, compare=False)

    @property
    def schema(self) -> Schema:
        """As the input's."""
        return self.input.schema

    @property
    def detail(self) -> str:
        """Path and columns."""
        return f"table=[{'.'.join(self.path)}], fields=[{', '.join(self.input.schema.names)}]"
