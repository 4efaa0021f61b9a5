"""Nodes of logical plans: frozen trees, each with its inputs, schema and unique keys.

Expressions within a node count the columns of its input; of a join, those of the left input and
then those of the right one. :func:`walk` visits a plan, :func:`with_inputs` rebuilds a node.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lesto.client.table.catalog.objects import CatalogTable
from lesto.client.table.plan.schema import Column, Schema, TimeKind
from lesto.sql import types as t
from lesto.sql.expressions import Expression, InputRef
from lesto.sql.rewrite import conjuncts, input_refs, shift_refs
from lesto.sql.types import SqlType

Keys = frozenset[frozenset[int]]
_NO_KEYS: Keys = frozenset()


class JoinKind(enum.Enum):
    """Which rows without a partner a join gives."""

    INNER = "INNER"
    LEFT = "LEFT"
    RIGHT = "RIGHT"
    FULL = "FULL"
    SEMI = "SEMI"
    ANTI = "ANTI"


@dataclass(frozen=True, slots=True)
class SortKey:
    """A column to sort by. NULLs are smallest, as Flink has it, unless ``nulls_first`` says."""

    index: int
    descending: bool = False
    nulls_first: bool | None = None

    @property
    def nulls_come_first(self) -> bool:
        """Where NULLs go: by default first when ascending, last when descending."""
        return not self.descending if self.nulls_first is None else self.nulls_first

    def text(self, schema: Schema) -> str:
        """As EXPLAIN shows it."""
        return f"{schema[self.index].name} {'DESC' if self.descending else 'ASC'}"


@dataclass(frozen=True, slots=True)
class AggregateCall:
    """An aggregate over the node's input.

    Attributes:
        function: name in the table of aggregates, to be bound by ``bind_aggregate`` where it runs;
            ``GROUPING`` and ``GROUPING_ID`` have positions of keys as arguments.
        user: a user's aggregate function.
    """

    name: str
    function: str
    args: tuple[Expression, ...]
    type: SqlType
    distinct: bool = False
    condition: Expression | None = None
    user: Any = None

    def __str__(self) -> str:
        inside = ", ".join(map(str, self.args)) or ("*" if self.function == "COUNT" else "")
        text = f"{self.function}({'DISTINCT ' if self.distinct else ''}{inside})"
        return text + (f" FILTER (WHERE {self.condition})" if self.condition else "")


class WindowKind(enum.Enum):
    """How windows follow each other."""

    TUMBLE = "TUMBLE"
    HOP = "HOP"
    CUMULATE = "CUMULATE"
    SESSION = "SESSION"


@dataclass(frozen=True, slots=True)
class Window:
    """A windowing of rows by a time column.

    Attributes:
        kind: how windows follow each other.
        time: position of the time attribute in the input.
        time_kind: whether it is event or processing time.
        size_ms: length; of CUMULATE the greatest one, of SESSION the gap.
        slide_ms: distance of HOP's windows, step of CUMULATE's; else 0.
        offset_ms: shift of windows' starts.
        keys: columns that a session is partitioned by.
    """

    kind: WindowKind
    time: int
    time_kind: TimeKind
    size_ms: int
    slide_ms: int = 0
    offset_ms: int = 0
    keys: tuple[int, ...] = ()

    def text(self, schema: Schema) -> str:
        """As EXPLAIN shows it."""
        parts = [f"time_col=[{schema[self.time].name}]", f"size=[{self.size_ms} ms]"]
        if self.slide_ms:
            parts.append(f"slide=[{self.slide_ms} ms]")
        if self.offset_ms:
            parts.append(f"offset=[{self.offset_ms} ms]")
        if self.keys:
            parts.append(f"partition keys=[{_names(schema, self.keys)}]")
        return f"{self.kind.value}({', '.join(parts)})"


@dataclass(frozen=True, slots=True)
class WindowColumns:
    """Where a relation that comes from a window function has its window columns; -1: dropped."""

    window: Window
    start: int
    end: int
    time: int = -1


class Node:
    """A node of a plan."""

    __slots__ = ()

    @property
    def inputs(self) -> tuple[Node, ...]:
        """The nodes below."""
        source = getattr(self, "input", None)
        return () if source is None else (source,)

    @property
    def schema(self) -> Schema:
        """What it gives."""
        raise NotImplementedError

    @property
    def unique_keys(self) -> Keys:
        """Sets of columns of which no two rows of the result have equal values."""
        return _NO_KEYS

    @property
    def detail(self) -> str:
        """What EXPLAIN shows in parentheses."""
        return ""


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
        return _NO_KEYS

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
        return f"select=[{_selected(self.names, self.expressions)}]"


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


@dataclass(frozen=True, slots=True)
class Aggregate(Node):
    """GROUP BY: the keys, then the aggregates.

    Attributes:
        keys: columns of the input.
        sets: of GROUPING SETS, positions in ``keys`` that each set groups by; a key that is not
            in a row's set is NULL. Empty for a plain GROUP BY.
    """

    input: Node
    keys: tuple[int, ...]
    calls: tuple[AggregateCall, ...]
    sets: tuple[tuple[int, ...], ...] = ()

    @property
    def schema(self) -> Schema:
        """Keys and results."""
        below = self.input.schema
        columns = _keys_of(below, self.keys, self.sets)
        return Schema((*columns, *(Column(c.name, c.type) for c in self.calls)))

    @property
    def unique_keys(self) -> Keys:
        """The keys."""
        return _NO_KEYS if self.sets else frozenset({frozenset(range(len(self.keys)))})

    @property
    def detail(self) -> str:
        """Keys and aggregates."""
        text = f"groupBy=[{_names(self.input.schema, self.keys)}]"
        if self.sets:
            text += f", sets=[{', '.join(str(list(x)) for x in self.sets)}]"
        return f"{text}, select=[{_calls(self.calls)}]"


def _keys_of(
    below: Schema, keys: tuple[int, ...], sets: tuple[tuple[int, ...], ...]
) -> list[Column]:
    columns = [below[k].plain() for k in keys]
    return [
        c if all(i in s for s in sets) else replace(c, type=c.type.with_nullable(True))
        for i, c in enumerate(columns)
    ]


@dataclass(frozen=True, slots=True)
class WindowTvf(Node):
    """Assigns rows to windows: the input's columns, window_start, window_end, window_time."""

    input: Node
    window: Window

    @property
    def schema(self) -> Schema:
        """The input's columns and three more."""
        return self.input.schema + window_schema(self.input.schema, self.window)

    @property
    def detail(self) -> str:
        """The window."""
        return f"window=[{self.window.text(self.input.schema)}]"


@dataclass(frozen=True, slots=True)
class WindowAggregate(Node):
    """GROUP BY of a window: the keys, the aggregates, then the properties of the window.

    Attributes:
        window: over the input's time column; None if the input has window columns (``columns``).
        keys: columns of the input, without those of the window.
        properties: of ``start``, ``end``, ``rowtime`` and ``proctime``, with their names.
        columns: where an input that is already windowed has its window columns.
        legacy: whether it was written as GROUP BY TUMBLE(...).
    """

    input: Node
    window: Window
    keys: tuple[int, ...]
    calls: tuple[AggregateCall, ...]
    properties: tuple[tuple[str, str], ...]
    columns: WindowColumns | None = None
    legacy: bool = False
    sets: tuple[tuple[int, ...], ...] = ()

    @property
    def schema(self) -> Schema:
        """Keys, results, properties."""
        below = self.input.schema
        kind = below[self.window.time].type if self.columns is None else t.TIMESTAMP(3)
        found = _keys_of(below, self.keys, self.sets)
        found += [Column(c.name, c.type) for c in self.calls]
        found += [_property(name, what, kind) for name, what in self.properties]
        return Schema(tuple(found))

    @property
    def unique_keys(self) -> Keys:
        """The keys with the window's start or end."""
        if self.sets:
            return _NO_KEYS
        first = len(self.keys) + len(self.calls)
        keys = frozenset(range(len(self.keys)))
        return frozenset(
            keys | {first + i}
            for i, (_, what) in enumerate(self.properties)
            if what in {"start", "end", "rowtime"}
        )

    @property
    def detail(self) -> str:
        """Keys, window, aggregates."""
        below = self.input.schema
        text = f"groupBy=[{_names(below, self.keys)}], " if self.keys else ""
        window = self.window.text(below) if self.columns is None else "the input's"
        named = ", ".join(f"{what} AS {name}" for name, what in self.properties)
        select = ", ".join(x for x in (_calls(self.calls), named) if x)
        return f"{text}window=[{window}], select=[{select}]"


def _property(name: str, what: str, kind: SqlType) -> Column:
    match what:
        case "start" | "end":
            return Column(name, t.TIMESTAMP(3).not_null())
        case "rowtime":
            return Column(name, kind.with_nullable(False), TimeKind.ROWTIME)
        case _:
            return Column(name, t.TIMESTAMP_LTZ(3).not_null(), TimeKind.PROCTIME)


def window_schema(below: Schema, window: Window) -> Schema:
    """The columns that a window function adds."""
    what = "rowtime" if window.time_kind is TimeKind.ROWTIME else "proctime"
    kind = below[window.time].type
    return Schema(
        (
            _property("window_start", "start", kind),
            _property("window_end", "end", kind),
            _property("window_time", what, kind),
        )
    )


@dataclass(frozen=True, slots=True)
class Join(Node):
    """A regular join: both sides are kept for good.

    Attributes:
        condition: over left and right columns.
        null_aware: of ANTI, whether a NULL on either side of the key means no result, as NOT IN.
    """

    left: Node
    right: Node
    kind: JoinKind
    condition: Expression
    null_aware: bool = False

    @property
    def inputs(self) -> tuple[Node, ...]:
        """Left and right."""
        return (self.left, self.right)

    @property
    def schema(self) -> Schema:
        """Left columns, and right ones unless the kind is SEMI or ANTI; no time attributes."""
        found = join_schema(self.left.schema, self.right.schema, self.kind)
        if self.kind in {JoinKind.SEMI, JoinKind.ANTI}:
            return found
        return Schema(tuple(c.plain() for c in found))

    @property
    def unique_keys(self) -> Keys:
        """Of the side that meets a unique key of the other."""
        return _join_keys(self.left, self.right, self.kind, self.condition)

    @property
    def detail(self) -> str:
        """Kind and condition."""
        return f"joinType=[{_kind(self.kind)}], where=[{self.condition}]"


@dataclass(frozen=True, slots=True)
class IntervalJoin(Node):
    """A join of rows whose times are near: ``left time`` is within [lower, upper] of the right.

    Attributes:
        lower_ms: the least ``left_time - right_time``.
        upper_ms: the greatest.
        condition: all of the condition, the band among it.
    """

    left: Node
    right: Node
    kind: JoinKind
    condition: Expression
    left_time: int
    right_time: int
    lower_ms: int
    upper_ms: int
    time_kind: TimeKind = TimeKind.ROWTIME

    inputs = Join.inputs

    @property
    def schema(self) -> Schema:
        """Left and right columns."""
        return join_schema(self.left.schema, self.right.schema, self.kind)

    @property
    def detail(self) -> str:
        """Kind, band, condition."""
        names = (self.left.schema[self.left_time].name, self.right.schema[self.right_time].name)
        return (
            f"joinType=[{_kind(self.kind)}], windowBounds=[{names[0]} - {names[1]} in"
            f" {self.lower_ms} ms .. {self.upper_ms} ms], where=[{self.condition}]"
        )


@dataclass(frozen=True, slots=True)
class WindowJoin(Node):
    """A join of rows of the same window; ``condition`` is what remains beside the windows."""

    left: Node
    right: Node
    kind: JoinKind
    condition: Expression
    left_window: WindowColumns
    right_window: WindowColumns

    inputs = Join.inputs

    @property
    def schema(self) -> Schema:
        """Left and right columns."""
        return join_schema(self.left.schema, self.right.schema, self.kind)

    @property
    def detail(self) -> str:
        """Kind, windows, condition."""
        names = self.left.schema[self.left_window.start].name
        return f"joinType=[{_kind(self.kind)}], window=[{names}], where=[{self.condition}]"


@dataclass(frozen=True, slots=True)
class TemporalJoin(Node):
    """Each left row with the version of the right row that was valid at the left row's time.

    Attributes:
        left_time: the left ROWTIME attribute.
        right_time: the right ROWTIME attribute, from which a version is valid.
        right_keys: the right primary key, all of which the condition equates.
    """

    left: Node
    right: Node
    kind: JoinKind
    condition: Expression
    left_time: int
    right_time: int
    right_keys: tuple[int, ...]

    inputs = Join.inputs

    @property
    def schema(self) -> Schema:
        """Left and right columns."""
        right = Schema(tuple(c.plain() for c in self.right.schema))
        return join_schema(self.left.schema, right, self.kind)

    @property
    def unique_keys(self) -> Keys:
        """The left ones: a row meets one version at most."""
        return self.left.unique_keys

    @property
    def detail(self) -> str:
        """Kind, times, condition."""
        at = self.left.schema[self.left_time].name
        return f"joinType=[{_kind(self.kind)}], asOf=[{at}], where=[{self.condition}]"


@dataclass(frozen=True, slots=True)
class LookupJoin(Node):
    """Each left row with rows that are looked up in an external table as it passes.

    Attributes:
        right: what is looked up: a Scan with what is projected and filtered of it.
        hints: of LOOKUP.
    """

    left: Node
    right: Node
    kind: JoinKind
    condition: Expression
    hints: tuple[tuple[str, str], ...] = ()

    inputs = Join.inputs

    @property
    def schema(self) -> Schema:
        """Left and right columns."""
        return join_schema(self.left.schema, self.right.schema, self.kind)

    @property
    def unique_keys(self) -> Keys:
        """Of the side that meets a unique key of the other."""
        return _join_keys(self.left, self.right, self.kind, self.condition)

    @property
    def detail(self) -> str:
        """Kind and condition."""
        return f"joinType=[{_kind(self.kind)}], lookup=[{self.condition}]"


@dataclass(frozen=True, slots=True)
class Frame:
    """Which rows before the current one an OVER window has.

    Attributes:
        rows: whether ``preceding`` counts rows; else milliseconds of the order column.
        preceding: None for all.
    """

    rows: bool = False
    preceding: int | None = None

    def __str__(self) -> str:
        kind = "ROWS" if self.rows else "RANGE"
        start = "UNBOUNDED" if self.preceding is None else str(self.preceding)
        return f"{kind} BETWEEN {start} PRECEDING AND CURRENT ROW"


@dataclass(frozen=True, slots=True)
class Over(Node):
    """Adds a column for each call over one window: aggregates and ranking functions.

    Attributes:
        partition: columns.
        order: sort keys; none where any order does.
        calls: functions of :mod:`lesto.sql.aggregates`, ranking ones among them.
    """

    input: Node
    partition: tuple[int, ...]
    order: tuple[SortKey, ...]
    frame: Frame
    calls: tuple[AggregateCall, ...]

    @property
    def schema(self) -> Schema:
        """The input's columns and the results."""
        return self.input.schema + Schema(tuple(Column(c.name, c.type) for c in self.calls))

    @property
    def unique_keys(self) -> Keys:
        """As the input's; and the partition with a row number."""
        found = set(self.input.unique_keys)
        width = len(self.input.schema)
        for i, call in enumerate(self.calls):
            if call.function == "ROW_NUMBER":
                found.add(frozenset({*self.partition, width + i}))
        return frozenset(found)

    @property
    def detail(self) -> str:
        """The window and the calls."""
        below = self.input.schema
        return (
            f"partitionBy=[{_names(below, self.partition)}], orderBy=[{_sorted(below, self.order)}],"
            f" frame=[{self.frame}], select=[{_calls(self.calls)}]"
        )


@dataclass(frozen=True, slots=True)
class Rank(Node):
    """Top-N: of each partition the rows whose rank is within [start, end].

    Attributes:
        function: ROW_NUMBER, RANK or DENSE_RANK.
        rank_name: name of the rank's column; empty if the result has none.
        window: set when the partition has the window columns: it is a window Top-N.
    """

    input: Node
    function: str
    partition: tuple[int, ...]
    order: tuple[SortKey, ...]
    start: int
    end: int
    rank_name: str = ""
    window: WindowColumns | None = None

    @property
    def schema(self) -> Schema:
        """The input's columns and the rank."""
        extra = (Column(self.rank_name, t.BIGINT().not_null()),) if self.rank_name else ()
        return self.input.schema + Schema(extra)

    @property
    def unique_keys(self) -> Keys:
        """As the input's; the partition if one row is kept; the partition with the rank."""
        found = set(self.input.unique_keys)
        if self.function == "ROW_NUMBER":
            if self.start == self.end:
                found.add(frozenset(self.partition))
            elif self.rank_name:
                found.add(frozenset({*self.partition, len(self.input.schema)}))
        return frozenset(found)

    @property
    def detail(self) -> str:
        """Function, range, partition, order."""
        below = self.input.schema
        return (
            f"rankFunction=[{self.function}], rankRange=[{self.start}..{self.end}],"
            f" partitionBy=[{_names(below, self.partition)}], orderBy=[{_sorted(below, self.order)}]"
        )


@dataclass(frozen=True, slots=True)
class Deduplicate(Node):
    """The first or last row of each key, by a time attribute."""

    input: Node
    keys: tuple[int, ...]
    time: int
    last: bool
    window: WindowColumns | None = None

    @property
    def schema(self) -> Schema:
        """As the input's."""
        return self.input.schema

    @property
    def time_kind(self) -> TimeKind:
        """Of the order."""
        found = self.input.schema[self.time].time
        assert found is not None
        return found

    @property
    def unique_keys(self) -> Keys:
        """The keys, and the input's."""
        return self.input.unique_keys | {frozenset(self.keys)}

    @property
    def detail(self) -> str:
        """Which row, of which keys, in which order."""
        below = self.input.schema
        return (
            f"keep=[{'Last' if self.last else 'First'}Row], key=[{_names(below, self.keys)}],"
            f" order=[{self.time_kind.value}]"
        )


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
        return _NO_KEYS if self.every else frozenset({frozenset(range(len(self.columns)))})

    @property
    def detail(self) -> str:
        """Kind."""
        return f"{self.kind.value}{' ALL' if self.every else ''}"


@dataclass(frozen=True, slots=True)
class Correlate(Node):
    """Each row with the rows a table function makes of it.

    Attributes:
        function: ``UNNEST`` or a user's table function's name.
        args: over the input's columns.
        columns: of what the function gives.
        kind: INNER, or LEFT for a row of NULLs where there is none.
        ordinality: whether UNNEST's last column counts, from 1.
        condition: over the input's columns and the function's.
    """

    input: Node
    function: str
    args: tuple[Expression, ...]
    columns: Schema
    kind: JoinKind = JoinKind.INNER
    user: Any = None
    ordinality: bool = False

    @property
    def schema(self) -> Schema:
        """The input's columns and the function's."""
        return join_schema(self.input.schema, self.columns, self.kind)

    @property
    def detail(self) -> str:
        """Call and kind."""
        args = ", ".join(map(str, self.args))
        return f"call=[{self.function}({args})], joinType=[{_kind(self.kind)}]"


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
        return f"orderBy=[{_sorted(self.schema, self.keys)}]"


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


# ---------------------------------------------------------------------- helpers


def time_of(e: Expression, below: Schema) -> TimeKind | None:
    """The kind of time attribute that an expression is."""
    if isinstance(e, InputRef):
        return below[e.index].time
    function = getattr(e, "function", "")
    return TimeKind.PROCTIME if function == "PROCTIME" else None


def join_schema(left: Schema, right: Schema, kind: JoinKind) -> Schema:
    """The columns of a join."""
    match kind:
        case JoinKind.SEMI | JoinKind.ANTI:
            return left
        case JoinKind.LEFT:
            return left + right.nullable()
        case JoinKind.RIGHT:
            return left.nullable() + right
        case JoinKind.FULL:
            return left.nullable() + right.nullable()
        case _:
            return left + right


def equi_keys(condition: Expression, width: int) -> tuple[list[tuple[int, int]], list[Expression]]:
    """Pairs of columns that a join's condition equates, and what else it says.

    Args:
        condition: over left and right columns.
        width: number of left columns.

    Returns:
        Pairs (left column, right column counted from 0), and the other conjuncts.
    """
    pairs: list[tuple[int, int]] = []
    rest: list[Expression] = []
    for part in conjuncts(condition):
        pair = _equated(part, width)
        if pair is None:
            rest.append(part)
        else:
            pairs.append(pair)
    return pairs, rest


def _equated(part: Expression, width: int) -> tuple[int, int] | None:
    if getattr(part, "function", "") != "=":
        return None
    a, b = part.args  # type: ignore[union-attr]
    if not (isinstance(a, InputRef) and isinstance(b, InputRef)):
        return None
    if a.index < width <= b.index:
        return a.index, b.index - width
    if b.index < width <= a.index:
        return b.index, a.index - width
    return None


def _join_keys(left: Node, right: Node, kind: JoinKind, condition: Expression) -> Keys:
    if kind in {JoinKind.SEMI, JoinKind.ANTI}:
        return left.unique_keys
    width = len(left.schema)
    pairs, _ = equi_keys(condition, width)
    left_cols, right_cols = {a for a, _ in pairs}, {b for _, b in pairs}
    left_unique = any(k <= left_cols for k in left.unique_keys)
    right_unique = any(k <= right_cols for k in right.unique_keys)
    found: set[frozenset[int]] = set()
    shifted = [frozenset(i + width for i in k) for k in right.unique_keys]
    if right_unique and kind in {JoinKind.INNER, JoinKind.LEFT}:
        found |= left.unique_keys
    if left_unique and kind in {JoinKind.INNER, JoinKind.RIGHT}:
        found |= set(shifted)
    for a in left.unique_keys:
        found |= {a | b for b in shifted}
    return frozenset(found)


def walk(node: Node) -> Iterator[Node]:
    """The node and all below it, from the top."""
    yield node
    for child in node.inputs:
        yield from walk(child)


def with_inputs(node: Node, new: Sequence[Node]) -> Node:
    """The same node over other inputs."""
    old = node.inputs
    if all(a is b for a, b in zip(old, new, strict=True)):
        return node
    if isinstance(node, SetOp):
        return replace(node, sources=tuple(new))
    if hasattr(node, "left"):
        return replace(node, left=new[0], right=new[1])  # type: ignore[type-var]
    return replace(node, input=new[0])  # type: ignore[type-var, no-any-return]


def transform(node: Node, change: Callable[[Node], Node]) -> Node:
    """Apply a change to each node, from the leaves up."""
    return change(with_inputs(node, [transform(child, change) for child in node.inputs]))


def identity(schema: Schema) -> tuple[Expression, ...]:
    """References to all columns."""
    return tuple(InputRef(i, c.type, c.name) for i, c in enumerate(schema))


def right_part(e: Expression, width: int) -> Expression:
    """An expression over right columns alone, counted from 0."""
    return shift_refs(e, -width)


def sides(e: Expression, width: int) -> tuple[bool, bool]:
    """Whether an expression reads left columns, and right ones."""
    refs = input_refs(e)
    return any(i < width for i in refs), any(i >= width for i in refs)


def _names(schema: Schema, positions: Sequence[int]) -> str:
    return ", ".join(schema[i].name for i in positions)


def _sorted(schema: Schema, keys: Sequence[SortKey]) -> str:
    return ", ".join(k.text(schema) for k in keys)


def _calls(calls: Sequence[AggregateCall]) -> str:
    return ", ".join(f"{c} AS {c.name}" for c in calls)


def _selected(names: Sequence[str], expressions: Sequence[Expression]) -> str:
    return ", ".join(
        str(e) if str(e) == name else f"{e} AS {name}"
        for name, e in zip(names, expressions, strict=True)
    )


def _kind(kind: JoinKind) -> str:
    return {
        JoinKind.INNER: "InnerJoin",
        JoinKind.LEFT: "LeftOuterJoin",
        JoinKind.RIGHT: "RightOuterJoin",
        JoinKind.FULL: "FullOuterJoin",
        JoinKind.SEMI: "LeftSemiJoin",
        JoinKind.ANTI: "LeftAntiJoin",
    }[kind]
