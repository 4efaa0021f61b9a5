"""Windows of the Table API: Tumble, Slide, Session for groups, Over for rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from lesto.client.datastream.location import user_location
from lesto.client.table.errors import TableProgramError, UnsupportedSqlError
from lesto.client.table.expression import Expression, TreeContext
from lesto.client.table.sql.trees import exp


@dataclass(frozen=True, slots=True)
class GroupWindow:
    """A window that groups rows by time.

    Attributes:
        function: TUMBLE, HOP or SESSION.
        lengths: as the function takes them.
        time: the time attribute.
        name: alias.
    """

    function: str
    lengths: tuple[Expression, ...]
    time: Expression
    name: str

    def tree(self, context: TreeContext, suffix: str = "") -> Any:
        """The call in GROUP BY; with a suffix that of a property."""
        args = [self.time.tree(context), *(e.tree(context) for e in self.lengths)]
        return exp.Anonymous(this=f"{self.function}{suffix}", expressions=args)

    def property_tree(self, what: str, context: TreeContext) -> Any:
        """START, END, ROWTIME or PROCTIME."""
        return self.tree(context, f"_{what}")


def _no_rows(of: str, lengths: tuple[Expression, ...]) -> None:
    if any(e._star is not None and e._star[0] == "rows" for e in lengths):
        msg = f"{of} windows of a number of rows are not supported"
        raise UnsupportedSqlError(
            msg,
            remedy="use a window of time, or count windows of a keyed DataStream",
            location=user_location(),
        )


def _alias(name: Any) -> str:
    if isinstance(name, str):
        return name
    if isinstance(name, Expression):
        tree = name.tree()
        if isinstance(tree, exp.Column):
            return str(tree.this.this)
    msg = f"a window's alias is a name, not {name!r:.80}"
    raise TableProgramError(msg, location=user_location())


class Tumble:
    """Windows of one length, one behind the other."""

    @classmethod
    def over(cls, size: Expression) -> TumbleWithSize:
        """The length: ``lit(10).minutes``."""
        return TumbleWithSize(size)


class TumbleWithSize:
    """Tumbling windows that lack their time."""

    def __init__(self, size: Expression) -> None:
        _no_rows("tumbling", (size,))
        self._size = size

    def on(self, time_field: Expression) -> TumbleWithSizeOnTime:
        """The time attribute."""
        return TumbleWithSizeOnTime("TUMBLE", (self._size,), time_field)


class _OnTime:
    def __init__(self, function: str, lengths: tuple[Expression, ...], time: Expression) -> None:
        self._parts = (function, lengths, time)

    def alias(self, alias: str) -> GroupWindow:
        """The name by which ``group_by`` and ``select`` know the window."""
        function, lengths, time = self._parts
        return GroupWindow(function, lengths, time, _alias(alias))


class TumbleWithSizeOnTime(_OnTime):
    """Tumbling windows that lack their alias."""


class Slide:
    """Windows of one length that start at regular times, and overlap."""

    @classmethod
    def over(cls, size: Expression) -> SlideWithSize:
        """The length."""
        return SlideWithSize(size)


class SlideWithSize:
    """Sliding windows that lack their distance."""

    def __init__(self, size: Expression) -> None:
        self._size = size

    def every(self, slide: Expression) -> SlideWithSizeAndSlide:
        """Time between the starts of two windows."""
        _no_rows("sliding", (self._size, slide))
        return SlideWithSizeAndSlide(self._size, slide)


class SlideWithSizeAndSlide:
    """Sliding windows that lack their time."""

    def __init__(self, size: Expression, slide: Expression) -> None:
        self._size = size
        self._slide = slide

    def on(self, time_field: Expression) -> SlideWithSizeAndSlideOnTime:
        """The time attribute."""
        return SlideWithSizeAndSlideOnTime("HOP", (self._slide, self._size), time_field)


class SlideWithSizeAndSlideOnTime(_OnTime):
    """Sliding windows that lack their alias."""


class Session:
    """Windows that end when no row comes for some time."""

    @classmethod
    def with_gap(cls, gap: Expression) -> SessionWithGap:
        """The time without rows that ends a window."""
        return SessionWithGap(gap)


class SessionWithGap:
    """Sessions that lack their time."""

    def __init__(self, gap: Expression) -> None:
        _no_rows("session", (gap,))
        self._gap = gap

    def on(self, time_field: Expression) -> SessionWithGapOnTime:
        """The time attribute."""
        return SessionWithGapOnTime("SESSION", (self._gap,), time_field)


class SessionWithGapOnTime(_OnTime):
    """Sessions that lack their alias."""


# ---------------------------------------------------------------------- Over


@dataclass(frozen=True, slots=True)
class OverWindow:
    """Rows up to the current one, of its partition.

    Attributes:
        partition: expressions.
        order: the time attribute.
        before: the least row that is in it; None for all.
        name: alias.
    """

    partition: tuple[Expression, ...]
    order: Expression
    before: Expression | None = None
    name: str = ""

    def window_tree(self, call: Any, context: TreeContext) -> Any:
        """``call OVER (...)``."""
        window = exp.Window(this=call)
        if self.partition:
            window.set("partition_by", [e.tree(context) for e in self.partition])
        item = exp.Ordered(
            this=self.order.tree(context), desc=self.order._order == "DESC", nulls_first=None
        )
        window.set("order", exp.Order(expressions=[item]))
        if self.before is not None:
            window.set("spec", self._spec(self.before, context))
        return window

    @staticmethod
    def _spec(before: Expression, context: TreeContext) -> Any:
        kind, side = "RANGE", "PRECEDING"
        start: Any
        what, value = before._star or ("", ("", ""))
        if what == "bound":
            start, kind = value
        elif what == "rows":
            kind, start = "ROWS", before.tree(context)
        else:
            start = before.tree(context)
        return exp.WindowSpec(
            kind=kind,
            start=start,
            start_side=None if start == "CURRENT ROW" else side,
            end="CURRENT ROW",
            end_side=None,
        )


class Over:
    """Windows of rows."""

    @classmethod
    def order_by(cls, order_by: Expression) -> OverWindowPartitionedOrdered:
        """The time attribute that rows are ordered by."""
        return OverWindowPartitionedOrdered(OverWindow((), order_by))

    @classmethod
    def partition_by(cls, *partition_by: Expression) -> OverWindowPartitioned:
        """What rows are partitioned by."""
        return OverWindowPartitioned(partition_by)


class OverWindowPartitioned:
    """Windows that lack their order."""

    def __init__(self, partition: tuple[Expression, ...]) -> None:
        self._partition = partition

    def order_by(self, order_by: Expression) -> OverWindowPartitionedOrdered:
        """The time attribute that rows are ordered by."""
        return OverWindowPartitionedOrdered(OverWindow(self._partition, order_by))


class OverWindowPartitionedOrdered:
    """Windows that lack their bounds and alias."""

    def __init__(self, window: OverWindow) -> None:
        self._window = window

    def alias(self, alias: str) -> OverWindow:
        """The name by which ``over`` knows the window."""
        return replace(self._window, name=_alias(alias))

    def preceding(self, preceding: Expression) -> OverWindowPartitionedOrderedPreceding:
        """How far back: an interval, ``row_interval(n)``, UNBOUNDED_ROW or UNBOUNDED_RANGE."""
        return OverWindowPartitionedOrderedPreceding(replace(self._window, before=preceding))


class OverWindowPartitionedOrderedPreceding:
    """Windows that lack their alias."""

    def __init__(self, window: OverWindow) -> None:
        self._window = window

    def alias(self, alias: str) -> OverWindow:
        """The name by which ``over`` knows the window."""
        return replace(self._window, name=_alias(alias))

    def following(self, following: Expression) -> OverWindowPartitionedOrderedPreceding:
        """CURRENT_ROW or CURRENT_RANGE: rows that follow are not there yet."""
        what, value = following._star or ("", ("", ""))
        if what != "bound" or value[0] != "CURRENT ROW":
            msg = "an OVER window ends with the current row: rows that follow are not there yet"
            raise TableProgramError(
                msg, remedy="write following(CURRENT_ROW)", location=user_location()
            )
        return self
