"""Joins: regular, by interval, by window, temporal, by look-up, with table functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lesto.client.table.plan.nodes import (
    JoinKind,
    Keys,
    Node,
    WindowColumns,
    join_keys,
    join_schema,
    kind_text,
)
from lesto.client.table.plan.schema import Schema, TimeKind
from lesto.sql.expressions import Expression

_SIDES = ("left", "right")


@dataclass(frozen=True, slots=True)
class Join(Node):
    """A regular join: both sides are kept for good.

    Attributes:
        condition: over left and right columns.
        null_aware: of ANTI, how many of the condition's first parts are those of NOT IN: a NULL in
            one means no result.
        ttls: how long idle rows of each side are kept, in ms; None as the session says.
    """

    left: Node
    right: Node
    kind: JoinKind
    condition: Expression
    null_aware: int = 0
    ttls: tuple[int | None, int | None] = (None, None)

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
        return join_keys(self.left, self.right, self.kind, self.condition)

    @property
    def detail(self) -> str:
        """Kind and condition."""
        text = f"joinType=[{kind_text(self.kind)}], where=[{self.condition}]"
        kept = [f"{s}={ms} ms" for s, ms in zip(_SIDES, self.ttls, strict=True) if ms is not None]
        return f"{text}, stateTtl=[{', '.join(kept)}]" if kept else text


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
            f"joinType=[{kind_text(self.kind)}], windowBounds=[{names[0]} - {names[1]} in"
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
        return f"joinType=[{kind_text(self.kind)}], window=[{names}], where=[{self.condition}]"


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
        return f"joinType=[{kind_text(self.kind)}], asOf=[{at}], where=[{self.condition}]"


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
        return join_keys(self.left, self.right, self.kind, self.condition)

    @property
    def detail(self) -> str:
        """Kind and condition."""
        return f"joinType=[{kind_text(self.kind)}], lookup=[{self.condition}]"


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
        return f"call=[{self.function}({args})], joinType=[{kind_text(self.kind)}]"
