"""DataStreams as tables, and tables as DataStreams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from lesto.client.datastream.data_stream import DataStream
from lesto.client.datastream.location import user_location
from lesto.client.table.catalog.objects import CatalogTable, TableColumn
from lesto.client.table.errors import (
    ChangelogError,
    SqlTypeError,
    TableProgramError,
    UnknownColumnError,
)
from lesto.client.table.expression import Expression
from lesto.client.table.jobs import attach, translator
from lesto.client.table.kinds import ChangelogMode
from lesto.client.table.plan import logical as p
from lesto.client.table.plan.physical.streams import FORWARD, PhysicalStream, physical_schema
from lesto.client.table.plan.schema import TimeKind
from lesto.client.table.sql.planner import Plan
from lesto.client.table.table_descriptor import Schema, SchemaColumn
from lesto.common.errors import did_you_mean
from lesto.common.row import Row
from lesto.common.types import TypeInformation, Types
from lesto.sql import types as t

if TYPE_CHECKING:
    from lesto.client.table.plan.physical.translator import Translator
    from lesto.client.table.session import Session

_EVENT_TIME: Final = -1
#: Metadata key of a record's event time.
_ROWTIME: Final = "rowtime"


class StreamTable:
    """A DataStream behind a table.

    Args:
        records: a stream of columns.
        positions: for each column that is read, that of the stream's column; -1 for event time.
    """

    def __init__(self, records: DataStream, positions: Sequence[int]) -> None:
        self._records = records
        self._positions = tuple(positions)

    def stream(self, t: Translator, node: p.Scan) -> PhysicalStream:
        """Columns of the node's schema."""
        schema = self._records.schema
        assert schema is not None
        source = PhysicalStream(
            self._records._upstreams, schema, self._records._upstreams[0].node.parallelism
        )
        chosen = tuple(self._positions[i] for i in node.columns)
        target = physical_schema(node.schema)
        return t.add(
            node,
            "From DataStream",
            "bridges:FromStreamOperator",
            (chosen, target),
            [(source, FORWARD)],
            target,
        )


def columnar(stream: DataStream) -> DataStream:
    """The stream with columns.

    Raises:
        TableProgramError: the type of its records is not known.
    """
    if stream.schema is not None:
        return stream
    info = stream.get_type()
    kinds = getattr(info, "field_types", None)
    if kinds is not None:
        names = [f"f{i}" for i in range(len(kinds))]
        return stream.map(_same, output_type=Types.ROW_NAMED(names, list(kinds)))
    if _is_opaque(info):
        msg = "the type of the stream's records is not known, so a table cannot have their columns"
        raise TableProgramError(
            msg,
            remedy="give the step before it output_type=Types.ROW_NAMED([...], [...])",
            location=user_location(),
        )
    return stream.map(_single, output_type=Types.ROW_NAMED(["f0"], [info]))


def _is_opaque(info: TypeInformation) -> bool:
    return info == Types.PICKLED_BYTE_ARRAY()


def _same(record: Any) -> Any:
    return record


def _single(value: Any) -> Row:
    return Row(value)


# ---------------------------------------------------------------------- to tables


def stream_table(
    session: Session,
    stream: DataStream,
    given: Sequence[Any],
    mode: ChangelogMode | None = None,
) -> CatalogTable:
    """The table of a stream.

    Args:
        session: binds computed columns and watermarks.
        stream: of columns, or of records of a known type.
        given: nothing, a Schema, or expressions: columns, renamed by ``alias``, with event time
            as ``col("ts").rowtime`` and processing time as ``col("pt").proctime``.
        mode: kinds of changes that the stream's rows have; None: rows are added.

    Raises:
        SqlError: a column is not there, or its type does not fit.
    """
    found = columnar(stream)
    schema = found.schema
    assert schema is not None
    if given and isinstance(given[0], Schema):
        declared = _with_columns(given[0], schema)
    elif given:
        declared = _of_expressions(given, schema)
    else:
        declared = _with_columns(Schema(), schema)
    table = session.planner.table(declared.statement(("",)), "")
    positions = [_position(c, i, table, schema) for i, c in enumerate(table.read_columns())]
    changelog: tuple[str, ...] = ()
    if mode is not None:
        changelog = tuple(k for k in ("I", "UB", "UA", "D") if k in mode.kinds)
        if "UA" in mode.kinds and "UB" not in mode.kinds and not table.primary_key:
            msg = "a changelog of upserts needs a primary key"
            raise ChangelogError(
                msg,
                remedy="declare it in the Schema: primary_key('id')",
                location=user_location(),
            )
    return replace(table, source=StreamTable(found, positions), changelog=changelog)


def _with_columns(given: Schema, schema: pa.Schema) -> Schema:
    """A schema that declares physical columns: the stream's, unless it has some."""
    contents = given.contents
    if any(not c.expression and c.metadata is None for c in contents.columns):
        return given
    physical = tuple(
        SchemaColumn(f.name, t.from_arrow(f.type, f.nullable).summary()) for f in schema
    )
    taken = {c.name for c in contents.columns}
    kept = tuple(c for c in physical if c.name not in taken)
    return Schema(replace(contents, columns=(*kept, *contents.columns)))


def _of_expressions(given: Sequence[Any], schema: pa.Schema) -> Schema:
    builder = Schema.new_builder()
    by_name = all(_name(e) in schema.names for e in given if not _time(e))
    place = 0
    for e in given:
        name = e._names[0] if e._names else _name(e)
        match _time(e):
            case "ROWTIME":
                builder.column_by_metadata(name, "TIMESTAMP_LTZ(3)", _ROWTIME)
                builder.watermark(name, "SOURCE_WATERMARK()")
            case "PROCTIME":
                builder.column_by_expression(name, "PROCTIME()")
            case _:
                source = _name(e) if by_name else schema.names[min(place, len(schema) - 1)]
                field = schema.field(source)
                kind = t.from_arrow(field.type, field.nullable)
                key = f"$field:{source}"
                builder.column_by_metadata(name, kind.summary(), key)
                place += 1
    contents = builder.build().contents
    columns = tuple(
        replace(c, metadata=None, comment=c.metadata)
        if c.metadata is not None and c.metadata.startswith("$field:")
        else c
        for c in contents.columns
    )
    return Schema(replace(contents, columns=columns))


def _time(e: Any) -> str:
    if not isinstance(e, Expression):
        msg = f"from_data_stream takes expressions or a Schema, not {e!r:.80}"
        raise TableProgramError(msg, location=user_location())
    what, of = e._star or ("", "")
    return of if what == "time" else ""


def _name(e: Any) -> str:
    from lesto.client.table.queries import column_name

    return column_name(e)


def _position(column: TableColumn, index: int, table: CatalogTable, schema: pa.Schema) -> int:
    if column.kind == "metadata":
        if (column.metadata or column.name) != _ROWTIME:
            msg = f"a stream has no metadata {column.metadata or column.name!r}"
            raise UnknownColumnError(
                msg, remedy="there is 'rowtime', the event time", location=user_location()
            )
        return _EVENT_TIME
    names = list(schema.names)
    source = column.comment.removeprefix("$field:") if column.comment else column.name
    if source in names:
        return names.index(source)
    physical = [c.name for c in table.columns if c.kind == "physical"]
    if len(physical) == len(names) and not set(physical) & set(names):
        return physical.index(column.name)
    msg = f"the stream has no column {source}{did_you_mean(source, names)}"
    raise UnknownColumnError(
        msg, remedy=f"its columns are {', '.join(names)}", location=user_location()
    )


# ---------------------------------------------------------------------- to streams


def data_stream(session: Session, node: p.Node, *, insert_only: bool = True) -> DataStream:
    """A table's rows as a stream; with the kinds of changes unless it must only insert.

    Raises:
        ChangelogError: it updates or deletes rows, and may only insert.
    """
    plan: Plan = session.planner.plan(node)
    kinds = plan.changes.modes[id(plan.root)]
    if insert_only and kinds != frozenset({"I"}):
        msg = f"to_data_stream takes rows that are only added, and these change ({sorted(kinds)})"
        raise ChangelogError(msg, remedy="use to_changelog_stream", location=user_location())
    stream = attach(session.env, [plan])[0]
    times = [i for i, c in enumerate(node.schema) if c.time is TimeKind.ROWTIME]
    if len(times) > 1:
        names = ", ".join(node.schema[i].name for i in times)
        msg = f"the table has several time attributes ({names}), and a record has one event time"
        raise SqlTypeError(
            msg,
            remedy="cast all but one to TIMESTAMP(3)",
            location=user_location(),
        )
    if times:
        stream = translator(session.env).add(
            node,
            "To DataStream",
            "bridges:ToStreamOperator",
            (times[0],),
            [(stream, FORWARD)],
            stream.schema,
        )
    return DataStream(session.env, stream.upstreams)
