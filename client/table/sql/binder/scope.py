"""What names mean at a place of a query: the tables in FROM and their columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from lesto.client.table.plan.logical import Node
from lesto.client.table.plan.schema import Column


@dataclass(frozen=True, slots=True)
class Source:
    """A table in FROM.

    Attributes:
        names: what it is called: an alias, or the parts of a path.
        start: position of its first column.
        columns: names of its columns.
        hidden: positions (from ``start``) that an unqualified name does not reach: the right
            columns of USING.
    """

    names: tuple[str, ...]
    start: int
    columns: tuple[str, ...]
    hidden: frozenset[int] = frozenset()


@dataclass(slots=True)
class Scope:
    """Tables in FROM, over one node.

    Attributes:
        node: gives the columns of all sources.
        sources: from left to right.
        outer: of the query around this one.
        correlated: whether a name of ``outer`` was used.
    """

    node: Node
    sources: list[Source] = field(default_factory=list)
    outer: Scope | None = None
    correlated: bool = False

    def column(self, index: int) -> Column:
        """The column at a position."""
        return self.node.schema[index]

    def names(self) -> list[str]:
        """All names that reach a column, for did-you-mean."""
        found = [c for s in self.sources for c in s.columns]
        found += [f"{s.names[-1]}.{c}" for s in self.sources if s.names for c in s.columns]
        return found

    def by_qualifier(self, parts: Sequence[str]) -> list[Source]:
        """Sources that these parts name."""
        size = len(parts)
        return [s for s in self.sources if size and s.names[-size:] == tuple(parts)]

    def find(self, parts: Sequence[str]) -> tuple[list[int], int]:
        """Columns that the first parts of a name reach.

        Returns:
            Their positions (more than one: ambiguous), and how many parts are used.
        """
        for qualifier in range(min(3, len(parts) - 1), 0, -1):
            found = [
                s.start + s.columns.index(parts[qualifier])
                for s in self.by_qualifier(parts[:qualifier])
                if parts[qualifier] in s.columns
            ]
            if found:
                return found, qualifier + 1
        found = [
            s.start + i
            for s in self.sources
            for i, name in enumerate(s.columns)
            if name == parts[0] and i not in s.hidden
        ]
        return found, 1
