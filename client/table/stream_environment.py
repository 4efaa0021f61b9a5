"""StreamTableEnvironment: tables and DataStreams in one program."""

from __future__ import annotations

from typing import Any

from lesto.client.datastream.checks import check_instance
from lesto.client.datastream.data_stream import DataStream
from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.datastream.location import user_location
from lesto.client.table.bridges import data_stream, stream_table
from lesto.client.table.environment import TableEnvironment
from lesto.client.table.errors import ChangelogError, TableProgramError
from lesto.client.table.kinds import ChangelogMode
from lesto.client.table.locations import located
from lesto.client.table.plan import logical as p
from lesto.client.table.settings import EnvironmentSettings
from lesto.client.table.table import Table
from lesto.client.table.table_descriptor import Schema
from lesto.sql.builder import cast


class StreamTableEnvironment(TableEnvironment):
    """A table environment over a StreamExecutionEnvironment: they share jobs and options."""

    @staticmethod
    def create(  # type: ignore[override]
        stream_execution_environment: StreamExecutionEnvironment | None = None,
        environment_settings: EnvironmentSettings | None = None,
    ) -> StreamTableEnvironment:
        """An environment over another, with settings on top of its options.

        Raises:
            TableProgramError: neither is given.
        """
        env, settings = stream_execution_environment, environment_settings
        if env is None and settings is None:
            msg = "StreamTableEnvironment.create takes an environment or settings"
            raise TableProgramError(msg, location=user_location())
        if env is None:
            assert settings is not None
            env = StreamExecutionEnvironment.get_execution_environment(settings.get_configuration())
        else:
            check_instance(
                "create", "a StreamExecutionEnvironment", env, StreamExecutionEnvironment
            )
            if settings is not None:
                env.configure(settings.get_configuration())
        return StreamTableEnvironment(env)

    # ------------------------------------------------------------------ from streams

    def from_data_stream(self, data_stream: DataStream, *fields_or_schema: Any) -> Table:
        """The Table of a stream's records, which are added.

        Args:
            data_stream: of columns, or of records of a known type.
            fields_or_schema: a Schema (``column_by_metadata("rowtime", "TIMESTAMP_LTZ(3)")`` is the
                event time, ``watermark("rowtime", "SOURCE_WATERMARK()")`` keeps watermarks); or
                expressions that name columns, ``col("ts").rowtime`` and ``col("pt").proctime``.
        """
        check_instance("from_data_stream", "a DataStream", data_stream, DataStream)
        with located():
            return self._of(stream_table(self._session, data_stream, fields_or_schema))

    def from_changelog_stream(
        self,
        data_stream: DataStream,
        schema: Schema | None = None,
        changelog_mode: ChangelogMode | None = None,
    ) -> Table:
        """The Table of a stream of Rows whose kinds say what they do.

        Args:
            data_stream: of Rows with named fields.
            schema: columns, watermark and key; by default the stream's columns.
            changelog_mode: kinds there may be, all by default; upserts need a primary key.
        """
        check_instance("from_changelog_stream", "a DataStream", data_stream, DataStream)
        mode = changelog_mode or ChangelogMode.all()
        given = () if schema is None else (schema,)
        with located():
            return self._of(stream_table(self._session, data_stream, given, mode))

    def _as_table(self, given: Any, fields: tuple[Any, ...]) -> Table:
        if isinstance(given, DataStream):
            return self.from_data_stream(given, *fields)
        return super()._as_table(given, fields)

    # ------------------------------------------------------------------ to streams

    def to_data_stream(self, table: Table) -> DataStream:
        """The rows of a Table that only adds some, as records with its columns.

        They are part of the next job of the StreamExecutionEnvironment. A time attribute becomes
        the records' event time; watermarks go along.

        Raises:
            ChangelogError: rows are updated or deleted.
        """
        check_instance("to_data_stream", "a Table", table, Table)
        return data_stream(self._session, table._node)

    def to_changelog_stream(
        self,
        table: Table,
        target_schema: Schema | None = None,
        changelog_mode: ChangelogMode | None = None,
    ) -> DataStream:
        """The changes of a Table, as Rows whose kinds say what they do.

        Args:
            table: any.
            target_schema: types of the columns, by name; by default the Table's.
            changelog_mode: kinds there may be, all by default.

        Raises:
            ChangelogError: there are changes of other kinds.
        """
        check_instance("to_changelog_stream", "a Table", table, Table)
        node = table._node if target_schema is None else self._fitted(table, target_schema)
        mode = changelog_mode or ChangelogMode.all()
        with located():
            plan = self._session.planner.plan(node)
        extra = plan.changes.modes[id(plan.root)] - mode.kinds
        if extra:
            msg = f"the table gives changes of the kinds {sorted(extra)}, which {mode} has not"
            raise ChangelogError(msg, remedy="use ChangelogMode.all()", location=user_location())
        return data_stream(self._session, node, insert_only=False)

    def _fitted(self, table: Table, schema: Schema) -> p.Node:
        """The Table's columns as a schema declares them."""
        declared = self._of_schema(schema)
        have = table._node.schema
        refs = p.identity(have)
        names, values = [], []
        with located():
            for i, column in enumerate(declared.written_columns()):
                at = have.index(column.name)
                at = i if at < 0 else at
                names.append(column.name)
                kind = column.type.with_nullable(refs[at].type.nullable)
                values.append(cast(refs[at], kind))
        return p.Project(table._node, tuple(names), tuple(values))

    def to_append_stream(self, table: Table, type_info: Any = None) -> DataStream:
        """PyFlink's old name of :meth:`to_data_stream`."""
        return self.to_data_stream(table)

    def to_retract_stream(self, table: Table, type_info: Any = None) -> DataStream:
        """Pairs of True and an added row, or False and one that is taken back."""
        return self.to_changelog_stream(table).map(_with_flag)

    @property
    def stream_environment(self) -> StreamExecutionEnvironment:
        """The environment whose jobs the streams are part of."""
        return self._session.env


def _with_flag(row: Any) -> tuple[bool, Any]:
    return row.get_row_kind().value in {0, 2}, row
