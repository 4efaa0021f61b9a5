"""What the parts of the binder share: the text, the catalogs, common table expressions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NoReturn

from lesto.client.table.catalog.manager import CatalogManager
from lesto.client.table.errors import SqlError
from lesto.client.table.plan.logical import Node
from lesto.client.table.sql.binder import user_functions
from lesto.client.table.sql.trees import position
from lesto.sql.expressions import Expression

if TYPE_CHECKING:
    from lesto.client.table.sql.binder.expressions import ExpressionBinder


@dataclass(slots=True)
class Context:
    """Of one statement.

    Attributes:
        catalogs: of the session.
        text: of the statement, for messages.
        ctes: plans of WITH, by name.
        views: paths of the views that are being expanded, against cycles.
        batch: whether the plan is for bounded input, of which only the final result counts.
        functions: users' functions that have no name in a catalog, by that of the trees.
    """

    catalogs: CatalogManager
    text: str = ""
    ctes: dict[str, Node] = field(default_factory=dict)
    views: tuple[tuple[str, ...], ...] = ()
    batch: bool = False
    functions: dict[str, Any] = field(default_factory=dict)

    def inner(self, **changes: Any) -> Context:
        """The same with changes, for a part of the query."""
        return replace(self, **changes)

    def fail(
        self, error: type[SqlError], message: str, tree: Any = None, remedy: str = ""
    ) -> NoReturn:
        """Raise an error that shows a tree's place (or an offset's)."""
        offset = tree if isinstance(tree, int) else position(tree)
        raise error(message, remedy=remedy, text=self.text, offset=offset)

    def user_function(self, path: Sequence[str]) -> Any:
        """A user's function; None if there is none of this name."""
        if len(path) > 3:
            return None
        if len(path) == 1 and path[0] in self.functions:
            return self.functions[path[0]]
        found = self.catalogs.function(path)
        return None if found is None else user_functions.load(found)

    def scalar_subquery(self, binder: ExpressionBinder, tree: Any) -> Expression:
        """A query that stands for a value: joined to the scope's node."""
        from lesto.client.table.sql.binder.subqueries import scalar

        return scalar(self, binder, tree)
