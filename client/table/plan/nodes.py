"""What all nodes of logical plans share: kinds, sort keys, windows, calls, walking."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lesto.client.table.plan.schema import Schema, TimeKind
from lesto.sql.expressions import Expression, InputRef
from lesto.sql.rewrite import conjuncts, input_refs
from lesto.sql.types import SqlType

Keys = frozenset[frozenset[int]]
NO_KEYS: Keys = frozenset()


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
            parts.append(f"partition keys=[{names_text(schema, self.keys)}]")
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
        return NO_KEYS

    @property
    def detail(self) -> str:
        """What EXPLAIN shows in parentheses."""
        return ""


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


def join_keys(left: Node, right: Node, kind: JoinKind, condition: Expression) -> Keys:
    """Unique keys of a join: those of the side that meets a unique key of the other."""
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
    if hasattr(node, "sources"):
        return replace(node, sources=tuple(new))  # type: ignore[type-var]
    if hasattr(node, "left"):
        return replace(node, left=new[0], right=new[1])  # type: ignore[type-var]
    return replace(node, input=new[0])  # type: ignore[type-var]


def transform(node: Node, change: Callable[[Node], Node]) -> Node:
    """Apply a change to each node, from the leaves up."""
    return change(with_inputs(node, [transform(child, change) for child in node.inputs]))


def identity(schema: Schema) -> tuple[Expression, ...]:
    """References to all columns."""
    return tuple(InputRef(i, c.type, c.name) for i, c in enumerate(schema))


def sides(e: Expression, width: int) -> tuple[bool, bool]:
    """Whether an expression reads left columns, and right ones."""
    refs = input_refs(e)
    return any(i < width for i in refs), any(i >= width for i in refs)


def names_text(schema: Schema, positions: Sequence[int]) -> str:
    """Columns' names."""
    return ", ".join(schema[i].name for i in positions)


def sort_text(schema: Schema, keys: Sequence[SortKey]) -> str:
    """Sort keys."""
    return ", ".join(k.text(schema) for k in keys)


def calls_text(calls: Sequence[AggregateCall]) -> str:
    """Aggregates with their names."""
    return ", ".join(f"{c} AS {c.name}" for c in calls)


def select_text(names: Sequence[str], expressions: Sequence[Expression]) -> str:
    """Expressions with their names."""
    return ", ".join(
        str(e) if str(e) == name else f"{e} AS {name}"
        for name, e in zip(names, expressions, strict=True)
    )


def kind_text(kind: JoinKind) -> str:
    """A kind of join as Flink prints it."""
    return {
        JoinKind.INNER: "InnerJoin",
        JoinKind.LEFT: "LeftOuterJoin",
        JoinKind.RIGHT: "RightOuterJoin",
        JoinKind.FULL: "FullOuterJoin",
        JoinKind.SEMI: "LeftSemiJoin",
        JoinKind.ANTI: "LeftAntiJoin",
    }[kind]
