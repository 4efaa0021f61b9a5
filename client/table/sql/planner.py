"""From statements to plans: what the faces of SQL and the Table API call.

>>> from lesto.client.table.catalog.manager import CatalogManager
>>> planner = Planner(CatalogManager())
>>> print(planner.explain("SELECT 1 + 1 AS two").splitlines()[-1])
+- Values(rows=[1], fields=[], changelogMode=[I])
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lesto.client.table.catalog.manager import CatalogManager
from lesto.client.table.catalog.objects import CatalogTable, CatalogView
from lesto.client.table.errors import UnsupportedSqlError
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.changelog import Changes, analysed
from lesto.client.table.plan.explain import explained
from lesto.client.table.plan.rules.optimizer import optimized, optimized_together
from lesto.client.table.sql import ddl
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.binder.context import Context
from lesto.client.table.sql.binder.inserts import bind_insert
from lesto.client.table.sql.binder.queries import QueryBinder
from lesto.client.table.sql.binder.relations import view_plan
from lesto.client.table.sql.dialect import parse_statement


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that can be carried out.

    Attributes:
        syntax: as bound.
        root: as optimized: walk this.
        changes: kinds of changes that each node of ``root`` gives, and warnings.
    """

    syntax: p.Node
    root: p.Node
    changes: Changes


class Planner:
    """Plans statements over catalogs.

    Args:
        catalogs: of the session.
        batch: whether input is bounded and only the final result counts.
        ttl_ms: how long idle state is kept, 0 for good.
    """

    def __init__(self, catalogs: CatalogManager, *, batch: bool = False, ttl_ms: int = 0) -> None:
        self.catalogs = catalogs
        self.batch = batch
        self.ttl_ms = ttl_ms

    def context(self, text: str = "") -> Context:
        """What binders of one statement share."""
        return Context(self.catalogs, text, batch=self.batch)

    def bind(self, parsed: s.Parsed) -> p.Node:
        """The logical plan of a query or INSERT, as bound."""
        return self._bound(parsed.statement, parsed.text)

    def _bound(self, statement: s.Statement, text: str) -> p.Node:
        if isinstance(statement, s.QueryStatement):
            return QueryBinder(self.context(text)).query(statement.query)
        if isinstance(statement, s.Insert):
            return bind_insert(self.context(text), statement)
        msg = f"{type(statement).__name__} has no plan"
        raise UnsupportedSqlError(msg)

    def plan(self, node: p.Node) -> Plan:
        """The plan that is carried out.

        Raises:
            ChangelogError: an operator cannot take its input's changes.
            InvalidQueryError: a sort that has no meaning on a stream.
        """
        return self.plans([node])[0]

    def plans(self, nodes: Sequence[p.Node]) -> list[Plan]:
        """Plans that are carried out together, as those of a statement set: see :meth:`plan`.

        What they read in common they read once.
        """
        return [
            Plan(node, root, analysed(root, batch=self.batch, ttl_ms=self.ttl_ms))
            for node, root in zip(nodes, optimized_together(nodes), strict=True)
        ]

    def query(self, text: str) -> Plan:
        """The plan of the text of a query or INSERT."""
        return self.plan(self.bind(parse_statement(text)))

    def explain(self, text: str) -> str:
        """What EXPLAIN shows of a query, an INSERT, a statement set, or an EXPLAIN of these."""
        parsed = parse_statement(text)
        statement = parsed.statement
        details: tuple[str, ...] = ()
        if isinstance(statement, s.Explain):
            details = statement.details
            statement = statement.statement
        inner = statement.inserts if isinstance(statement, s.StatementSet) else (statement,)
        found = []
        for one in inner:
            bound = self._bound(one, parsed.text)
            found.append(
                explained(
                    bound, optimized(bound), details=details, batch=self.batch, ttl_ms=self.ttl_ms
                )
            )
        return "\n\n".join(found)

    # ------------------------------------------------------------------ definitions

    def table(self, statement: s.CreateTable, text: str) -> CatalogTable:
        """The table of CREATE TABLE."""
        return ddl.create_table(self.context(text), statement)

    def view(self, statement: s.CreateView, text: str) -> CatalogView:
        """The view of CREATE VIEW, after its query was bound once, to tell errors now."""
        catalogs = self.catalogs
        view = CatalogView(
            statement.query_text,
            statement.columns,
            statement.comment,
            (catalogs.current_catalog, catalogs.current_database),
        )
        node = QueryBinder(self.context(text)).query(statement.query)
        if statement.columns and len(statement.columns) != len(node.schema):
            self.context(text).fail(
                UnsupportedSqlError,
                f"{len(statement.columns)} names are given for {len(node.schema)} columns",
                statement.position,
            )
        return view

    def define(self, parsed: s.Parsed) -> bool:
        """Carry out CREATE TABLE (without AS SELECT's data) or CREATE VIEW."""
        statement = parsed.statement
        if isinstance(statement, s.CreateTable):
            what: CatalogTable | CatalogView = self.table(statement, parsed.text)
            replace = statement.replace
        elif isinstance(statement, s.CreateView):
            what, replace = self.view(statement, parsed.text), statement.replace
        else:
            msg = f"{type(statement).__name__} defines no table"
            raise UnsupportedSqlError(msg)
        return self.catalogs.create(
            statement.name,
            what,
            temporary=statement.temporary,
            ignore=statement.if_not_exists,
            replace=replace,
        )

    def schema(self, path: tuple[str, ...]) -> p.Schema:
        """The columns of a table or view."""
        full, what = self.catalogs.resolve(path)
        if isinstance(what, CatalogTable):
            return what.schema()
        node: p.Node = what.plan or view_plan(self.context(), full, what)
        if what.columns:
            node = p.Project(node, what.columns, p.identity(node.schema))
        return node.schema
