"""Aggregation: of groups, windows, OVER, Top-N, deduplication."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lesto.client.table.plan.nodes import (
    NO_KEYS,
    AggregateCall,
    Keys,
    Node,
    SortKey,
    Window,
    WindowColumns,
    calls_text,
    names_text,
    sort_text,
)
from lesto.client.table.plan.schema import Column, Schema, TimeKind
from lesto.sql import types as t
from lesto.sql.types import SqlType


@dataclass(frozen=True, slots=True)
class Aggregate(Node):
    """GROUP BY: the keys, then the aggregates.

    Attributes:
        keys: columns of the input.
        sets: of GROUPING SETS, positions in ``keys`` that each set groups by; a key that is not
            in a row's set is NULL. Empty for a plain GROUP BY.
        ttl: how long an idle group is kept, in ms; None as the session says.
    """

    input: Node
    keys: tuple[int, ...]
    calls: tuple[AggregateCall, ...]
    sets: tuple[tuple[int, ...], ...] = ()
    ttl: int | None = None

    @property
    def schema(self) -> Schema:
        """Keys and results."""
        below = self.input.schema
        columns = _keys_of(below, self.keys, self.sets)
        return Schema((*columns, *(Column(c.name, c.type) for c in self.calls)))

    @property
    def unique_keys(self) -> Keys:
        """The keys."""
        return NO_KEYS if self.sets else frozenset({frozenset(range(len(self.keys)))})

    @property
    def detail(self) -> str:
        """Keys and aggregates."""
        text = f"groupBy=[{names_text(self.input.schema, self.keys)}]"
        if self.sets:
            text += f", sets=[{', '.join(str(list(x)) for x in self.sets)}]"
        text = f"{text}, select=[{calls_text(self.calls)}]"
        return text if self.ttl is None else f"{text}, stateTtl=[{self.ttl} ms]"


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
            return NO_KEYS
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
        text = f"groupBy=[{names_text(below, self.keys)}], " if self.keys else ""
        window = self.window.text(below) if self.columns is None else "the input's"
        named = ", ".join(f"{what} AS {name}" for name, what in self.properties)
        select = ", ".join(x for x in (calls_text(self.calls), named) if x)
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
            f"partitionBy=[{names_text(below, self.partition)}],"
            f" orderBy=[{sort_text(below, self.order)}],"
            f" frame=[{self.frame}], select=[{calls_text(self.calls)}]"
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
            f" partitionBy=[{names_text(below, self.partition)}],"
            f" orderBy=[{sort_text(below, self.order)}]"
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
            f"keep=[{'Last' if self.last else 'First'}Row], key=[{names_text(below, self.keys)}],"
            f" order=[{self.time_kind.value}]"
        )
