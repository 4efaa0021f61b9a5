"""Carries statements out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lesto.client.table.catalog.objects import CatalogTable
from lesto.client.table.definitions import define
from lesto.client.table.errors import UnknownTableError, UnsupportedSqlError
from lesto.client.table.jobs import collect_job, insert_job
from lesto.client.table.kinds import ResultKind
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.schema import Column
from lesto.client.table.results import JobBatches, TableResult, local_result
from lesto.client.table.settings import check_zone
from lesto.client.table.shows import describe, pairs, show, texts
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.binder.inserts import written
from lesto.client.table.sql.dialect import parse_statement
from lesto.client.table.sql.planner import Plan
from lesto.common import options
from lesto.common.config import find_option
from lesto.sql import types as t

if TYPE_CHECKING:
    from lesto.client.table.session import Session


def ok() -> TableResult:
    """The result of what only succeeds."""
    return local_result([Column("result", t.STRING())], [("OK",)], ResultKind.SUCCESS)


def execute_sql(session: Session, text: str) -> TableResult:
    """Carry out one statement.

    Raises:
        SqlError: it cannot be read or carried out.
    """
    return execute(session, parse_statement(text))


def execute(session: Session, parsed: s.Parsed) -> TableResult:
    """Carry out a statement that was read."""
    statement, text = parsed.statement, parsed.text
    if define(session, parsed):
        return ok()
    match statement:
        case s.QueryStatement():
            return run_query(session, session.planner.bind(parsed))
        case s.Insert():
            return run_inserts(session, [_bound(session, statement, text)])
        case s.StatementSet():
            sinks = [_bound(session, one, text) for one in statement.inserts]
            return run_inserts(session, sinks)
        case s.CreateTable():
            return create_table_as(session, parsed, statement)
        case s.Explain():
            shown = session.planner.explain(text[parsed.start : parsed.end])
            return texts("result", [shown], raw=True)
        case s.Show():
            return show(session, statement, text)
        case s.Describe():
            return describe(session, statement, text)
        case s.SetOption():
            return set_option(session, statement)
        case s.ResetOption():
            return reset_option(session, statement)
    msg = f"{type(statement).__name__} cannot be carried out"
    raise UnsupportedSqlError(msg, text=text, offset=parsed.start)


def _bound(session: Session, statement: s.Insert, text: str) -> p.Sink:
    node = session.planner.bind(s.Parsed(statement, text))
    assert isinstance(node, p.Sink)
    return node


def run_query(session: Session, node: p.Node) -> TableResult:
    """Submit a query; its rows come with the result."""
    plan = session.planner.plan(node)
    job = collect_job(session.env, plan)
    return TableResult(
        node.schema,
        JobBatches(job),
        job=job.client,
        streaming=not session.batch,
        width=session.width,
        zone=session.zone,
    )


def run_inserts(session: Session, sinks: Sequence[p.Sink], name: str = "") -> TableResult:
    """Submit INSERTs as one job."""
    planner = session.planner
    plans: list[Plan] = [planner.plan(sink) for sink in sinks]
    names = [".".join(sink.path) for sink in sinks]
    job = insert_job(session.env, plans, name or f"insert-into_{','.join(names)}")
    columns = [Column(n, t.BIGINT()) for n in names]
    result = local_result(columns, [[-1] * len(columns)], job=job)
    if session.config.get(options.TABLE_DML_SYNC):
        result.wait()
    return result


def create_table_as(session: Session, parsed: s.Parsed, statement: s.CreateTable) -> TableResult:
    """CREATE [OR REPLACE] TABLE ... AS SELECT: the table is gone again if the job cannot start."""
    planner, catalogs = session.planner, session.catalogs
    before = catalogs.find(statement.name)
    if before is not None and statement.if_not_exists:
        return ok()
    if before is None and statement.existing:
        raise UnknownTableError(
            catalogs.unknown(statement.name),
            remedy="write CREATE OR REPLACE TABLE ... AS",
            text=parsed.text,
            offset=statement.position,
        )
    context = planner.context(parsed.text)
    table = planner.table(statement, parsed.text)
    query = planner.bind(s.Parsed(s.QueryStatement(statement.query), parsed.text))
    named = [c for c in statement.named_columns if c in query.schema.names]
    if named:
        places = [query.schema.index(n) for n in named]
        refs = p.identity(query.schema)
        query = p.Project(query, tuple(named), tuple(refs[i] for i in places))
    columns = tuple(c.name for c in table.written_columns() if c.name in query.schema.names)
    if set(columns) == set(query.schema.names):
        columns = query.schema.names
    root = written(context, query, table, columns, None, statement.position)
    planner.define(parsed)
    full = catalogs.full_path(statement.name)
    try:
        return run_inserts(session, [p.Sink(root, full, table, table.options)])
    except BaseException:
        if before is None:
            catalogs.drop(statement.name, temporary=statement.temporary)
        elif isinstance(before[1], CatalogTable):
            catalogs.replace(statement.name, before[1])
        raise


def set_option(session: Session, statement: s.SetOption) -> TableResult:
    """SET 'key' = 'value', or the list of all that are set."""
    if not statement.key:
        return pairs(("key", "value"), sorted(session.config.to_dict(redact=True).items()))
    check_zone(statement.key, statement.value)
    session.config.set(statement.key, statement.value, origin="SET")
    return ok()


def reset_option(session: Session, statement: s.ResetOption) -> TableResult:
    """RESET 'key', or all that SET has set."""
    if statement.key:
        session.config.remove(find_option(statement.key))
        return ok()
    for value in list(session.config.resolved()):
        if value.origin == "SET":
            session.config.remove(value.key)
    return ok()
