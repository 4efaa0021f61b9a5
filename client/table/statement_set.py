"""INSERTs that become one job, and single INSERTs that wait to be carried out."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NoReturn

from lesto.client.datastream.checks import check_instance, unsupported
from lesto.client.datastream.location import user_location
from lesto.client.table.errors import TableProgramError, UnsupportedSqlError
from lesto.client.table.executor import run_inserts
from lesto.client.table.identifiers import ObjectIdentifier
from lesto.client.table.kinds import DETAIL_NAMES
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.explain import explained
from lesto.client.table.plan.rules.optimizer import optimized
from lesto.client.table.results import TableResult
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.dialect import parse_statement

if TYPE_CHECKING:
    from lesto.client.table.environment import TableEnvironment


#: What to do instead of compiling plans.
NO_PLANS: Final = "keep the statements: state is found again by the operators' identities"


def explain_nodes(
    environment: TableEnvironment, nodes: list[Any], details: tuple[int, ...] = ()
) -> str:
    """What EXPLAIN shows of plans."""
    planner = environment._session.planner
    words = tuple(DETAIL_NAMES[d] for d in details)
    return "\n\n".join(
        explained(node, optimized(node), details=words, batch=planner.batch, ttl_ms=planner.ttl_ms)
        for node in nodes
    )


class TablePipeline:
    """A Table on its way into another."""

    def __init__(self, environment: TableEnvironment, sink: p.Sink) -> None:
        self._environment = environment
        self._sink = sink

    def execute(self) -> TableResult:
        """Submit the job."""
        return run_inserts(self._environment._session, [self._sink])

    def explain(self, *extra_details: int) -> str:
        """The plan."""
        return explain_nodes(self._environment, [self._sink], extra_details)

    def print_explain(self, *extra_details: int) -> None:
        """Print the plan."""
        sys.stdout.write(self.explain(*extra_details) + "\n")

    def get_sink_identifier(self) -> ObjectIdentifier:
        """Path of the table that is written."""
        return ObjectIdentifier(*self._sink.path)

    def compile_plan(self) -> NoReturn:
        """Not supported: keep the statements."""
        unsupported("compile_plan", NO_PLANS)

    def __str__(self) -> str:
        return f"TablePipeline(into {self.get_sink_identifier().as_summary_string()})"


class StatementSet:
    """INSERTs that become one job; what they share is computed once."""

    def __init__(self, environment: TableEnvironment) -> None:
        self._environment = environment
        self._sinks: list[p.Sink] = []

    def add_insert_sql(self, stmt: str) -> StatementSet:
        """Add an INSERT.

        Raises:
            SqlError: it is none, or cannot be carried out.
        """
        parsed = parse_statement(check_instance("add_insert_sql", "a text", stmt, str))
        if not isinstance(parsed.statement, s.Insert):
            msg = "add_insert_sql takes INSERT"
            raise UnsupportedSqlError(msg, text=stmt, offset=parsed.start)
        node = self._environment._session.planner.bind(parsed)
        assert isinstance(node, p.Sink)
        self._sinks.append(node)
        return self

    def add(self, table_pipeline: TablePipeline) -> StatementSet:
        """Add what ``Table.insert_into`` returns."""
        check_instance("add", "a TablePipeline", table_pipeline, TablePipeline)
        self._sinks.append(table_pipeline._sink)
        return self

    def add_insert(
        self, target_path_or_descriptor: Any, table: Any, overwrite: bool = False
    ) -> StatementSet:
        """Add a Table and where it goes: a path or a TableDescriptor."""
        return self.add(table.insert_into(target_path_or_descriptor, overwrite))

    def explain(self, *extra_details: int) -> str:
        """The plans."""
        return explain_nodes(self._environment, list(self._sinks), extra_details)

    def print_explain(self, *extra_details: int) -> None:
        """Print the plans."""
        sys.stdout.write(self.explain(*extra_details) + "\n")

    def execute(self) -> TableResult:
        """Submit the job; the set is empty then."""
        sinks = self._taken()
        return run_inserts(self._environment._session, sinks)

    def _taken(self) -> list[p.Sink]:
        if not self._sinks:
            msg = "the statement set is empty"
            raise TableProgramError(msg, remedy="add an INSERT first", location=user_location())
        sinks, self._sinks = self._sinks, []
        return sinks

    def compile_plan(self) -> NoReturn:
        """Not supported: keep the statements."""
        unsupported("compile_plan", NO_PLANS)

    def attach_as_datastream(self) -> None:
        """Make the INSERTs part of the StreamExecutionEnvironment's next job."""
        from lesto.client.table.jobs import attach

        session = self._environment._session
        attach(session.env, [session.planner.plan(sink) for sink in self._taken()])
