"""Small names of the Table API: kinds of results, details of EXPLAIN, modes of changelogs."""

from __future__ import annotations

from lesto.common.elements import RowKind


class ResultKind:
    """What a statement gives."""

    SUCCESS = 0
    SUCCESS_WITH_CONTENT = 1


class ExplainDetail:
    """What EXPLAIN adds."""

    ESTIMATED_COST = 0
    CHANGELOG_MODE = 1
    JSON_EXECUTION_PLAN = 2
    PLAN_ADVICE = 3


DETAIL_NAMES = {
    ExplainDetail.ESTIMATED_COST: "ESTIMATED_COST",
    ExplainDetail.CHANGELOG_MODE: "CHANGELOG_MODE",
    ExplainDetail.JSON_EXECUTION_PLAN: "JSON_EXECUTION_PLAN",
    ExplainDetail.PLAN_ADVICE: "PLAN_ADVICE",
}

#: Kinds of changes as plans call them, by RowKind.
KIND_LETTERS = {
    RowKind.INSERT: "I",
    RowKind.UPDATE_BEFORE: "UB",
    RowKind.UPDATE_AFTER: "UA",
    RowKind.DELETE: "D",
}
#: The same as they are printed, by value.
KIND_TEXTS = ("+I", "-U", "+U", "-D")


class ChangelogMode:
    """Kinds of rows that a changelog has.

    >>> sorted(ChangelogMode.upsert().kinds)
    ['D', 'I', 'UA']
    """

    def __init__(self, kinds: frozenset[str]) -> None:
        self.kinds = kinds

    @staticmethod
    def insert_only() -> ChangelogMode:
        """Rows are added, none changes."""
        return ChangelogMode(frozenset({"I"}))

    @staticmethod
    def upsert() -> ChangelogMode:
        """An update is one row, known by a key."""
        return ChangelogMode(frozenset({"I", "UA", "D"}))

    @staticmethod
    def all() -> ChangelogMode:
        """All kinds."""
        return ChangelogMode(frozenset({"I", "UB", "UA", "D"}))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChangelogMode) and other.kinds == self.kinds

    def __hash__(self) -> int:
        return hash(self.kinds)

    def __repr__(self) -> str:
        return f"ChangelogMode({sorted(self.kinds)})"
