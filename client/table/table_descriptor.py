"""Schemas and descriptors: CREATE TABLE written in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from lesto.client.datastream.location import user_location
from lesto.client.table.create_text import quoted, text
from lesto.client.table.errors import TableProgramError
from lesto.client.table.plan.schema import Schema as PlanSchema
from lesto.client.table.sql import statements as s
from lesto.client.table.sql.dialect import parse_expression
from lesto.client.table.table_schema import ResolvedSchema
from lesto.client.table.types import RowType, sql_type
from lesto.common.checking import is_a
from lesto.common.option_types import ConfigOption, format_value

if TYPE_CHECKING:
    from lesto.client.table.expression import Expression


@dataclass(frozen=True, slots=True)
class SchemaColumn:
    """A column as declared: physical (``type_text``), computed (``expression``) or of metadata."""

    name: str
    type_text: str = ""
    expression: str = ""
    metadata: str | None = None
    virtual: bool = False
    comment: str = ""

    def definition(self) -> s.ColumnDefinition:
        """As CREATE TABLE has it."""
        tree = parse_expression(self.expression) if self.expression else None
        return s.ColumnDefinition(
            self.name,
            self.type_text,
            tree,
            self.expression,
            self.metadata,
            self.virtual,
            self.comment,
        )

    def __str__(self) -> str:
        if self.expression:
            return f"{quoted(self.name)} AS {self.expression}"
        found = f"{quoted(self.name)} {self.type_text}"
        if self.metadata is not None:
            found += " METADATA"
            if self.metadata != self.name:
                found += f" FROM {text(self.metadata)}"
            if self.virtual:
                found += " VIRTUAL"
        return found + (f" COMMENT {text(self.comment)}" if self.comment else "")


@dataclass(frozen=True, slots=True)
class _Contents:
    columns: tuple[SchemaColumn, ...] = ()
    watermark: tuple[str, str] | None = None
    key: tuple[str, ...] = ()
    key_name: str = ""


def _sql(expression: Any) -> str:
    return expression if isinstance(expression, str) else str(expression.tree().sql("flink"))


class Schema:
    """Columns, watermark and key of a table.

    >>> from lesto.client.table.data_types import DataTypes
    >>> schema = Schema.new_builder().column("a", DataTypes.BIGINT()).primary_key("a").build()
    >>> print(schema)
    (
      `a` BIGINT,
      CONSTRAINT `PK_a` PRIMARY KEY (`a`) NOT ENFORCED
    )
    """

    def __init__(self, contents: _Contents | None = None) -> None:
        self._contents = contents or _Contents()

    @staticmethod
    def new_builder() -> Schema.Builder:
        """A builder."""
        return Schema.Builder()

    @property
    def contents(self) -> _Contents:
        """What was declared."""
        return self._contents

    def statement(self, path: tuple[str, ...], **more: Any) -> s.CreateTable:
        """The CREATE TABLE that it stands for."""
        found = self._contents
        watermark = None
        if found.watermark is not None:
            column, expression = found.watermark
            watermark = s.WatermarkDefinition((column,), parse_expression(expression), expression)
        return s.CreateTable(
            path,
            tuple(c.definition() for c in found.columns),
            watermark,
            found.key,
            found.key_name,
            **more,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schema) and other._contents == self._contents

    def __hash__(self) -> int:
        return hash(self._contents)

    def __str__(self) -> str:
        found = self._contents
        parts = [str(c) for c in found.columns]
        if found.watermark is not None:
            parts.append(f"WATERMARK FOR {quoted(found.watermark[0])} AS {found.watermark[1]}")
        if found.key:
            keys = ", ".join(map(quoted, found.key))
            name = found.key_name or "PK_" + "_".join(found.key)
            parts.append(f"CONSTRAINT {quoted(name)} PRIMARY KEY ({keys}) NOT ENFORCED")
        return "(\n" + ",\n".join(f"  {part}" for part in parts) + "\n)"

    class Builder:
        """Builds a schema."""

        def __init__(self) -> None:
            self._contents = _Contents()

        def _add(self, column: SchemaColumn) -> Schema.Builder:
            self._contents = replace(self._contents, columns=(*self._contents.columns, column))
            return self

        def from_schema(self, unresolved_schema: Schema) -> Schema.Builder:
            """Take over all of another one."""
            other = unresolved_schema._contents
            mine = self._contents
            self._contents = _Contents(
                (*mine.columns, *other.columns),
                other.watermark or mine.watermark,
                other.key or mine.key,
                other.key_name or mine.key_name,
            )
            return self

        def from_resolved_schema(
            self, resolved_schema: ResolvedSchema | PlanSchema
        ) -> Schema.Builder:
            """Take over columns whose types are known."""
            given = resolved_schema
            found = given if isinstance(given, PlanSchema) else given._schema
            for column in found:
                self._add(SchemaColumn(column.name, column.type.summary()))
            return self

        def from_row_data_type(self, data_type: RowType) -> Schema.Builder:
            """A column for each field."""
            for field in data_type:
                self.column(field.name, field.data_type)
            return self

        def from_fields(
            self, field_names: Sequence[str], field_data_types: Sequence[Any]
        ) -> Schema.Builder:
            """A column for each name and type."""
            for name, kind in zip(field_names, field_data_types, strict=True):
                self.column(name, kind)
            return self

        def column(
            self, column_name: str, data_type: Any, comment: str | None = None
        ) -> Schema.Builder:
            """A physical column."""
            kind = sql_type(data_type).summary()
            return self._add(SchemaColumn(column_name, kind, comment=comment or ""))

        def column_by_expression(
            self, column_name: str, expr: str | Expression, comment: str | None = None
        ) -> Schema.Builder:
            """A computed column, of SQL or an expression."""
            return self._add(
                SchemaColumn(column_name, expression=_sql(expr), comment=comment or "")
            )

        def column_by_metadata(
            self,
            column_name: str,
            data_type: Any,
            metadata_key: str | None = None,
            is_virtual: bool = False,
            comment: str | None = None,
        ) -> Schema.Builder:
            """A column of the connector's metadata."""
            kind = sql_type(data_type).summary()
            key = metadata_key or column_name
            return self._add(SchemaColumn(column_name, kind, "", key, is_virtual, comment or ""))

        def watermark(self, column_name: str, watermark_expr: str | Expression) -> Schema.Builder:
            """Event time: a column, and SQL or an expression of the watermark."""
            mark = (column_name, _sql(watermark_expr))
            self._contents = replace(self._contents, watermark=mark)
            return self

        def primary_key(self, *column_names: str) -> Schema.Builder:
            """The primary key, which is not enforced."""
            return self.primary_key_named("", *column_names)

        def primary_key_named(self, constraint_name: str, *column_names: str) -> Schema.Builder:
            """The primary key with a name."""
            names = tuple(
                n for given in column_names for n in ([given] if is_a(given, str) else given)
            )
            if not names:
                msg = "primary_key takes the names of columns"
                raise TableProgramError(msg, location=user_location())
            self._contents = replace(self._contents, key=names, key_name=constraint_name)
            return self

        def build(self) -> Schema:
            """The schema."""
            return Schema(self._contents)


def _pair(key: str | ConfigOption[Any], value: Any) -> tuple[str, str]:
    name = key.key if isinstance(key, ConfigOption) else key
    return name, value if isinstance(value, str) else str(format_value(value))


class FormatDescriptor:
    """A format and its options.

    >>> FormatDescriptor.for_format("json").option("fail-on-missing-field", "true").build()
    json[{'fail-on-missing-field': 'true'}]
    """

    def __init__(self, format: str, options: dict[str, str] | None = None) -> None:
        self._format = format
        self._options = dict(options or {})

    @staticmethod
    def for_format(format: str) -> FormatDescriptor.Builder:
        """A builder."""
        return FormatDescriptor.Builder(format)

    def get_format(self) -> str:
        """Its name."""
        return self._format

    def get_options(self) -> dict[str, str]:
        """Its options."""
        return dict(self._options)

    def __repr__(self) -> str:
        return f"{self._format}[{self._options}]"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FormatDescriptor) and repr(other) == repr(self)

    def __hash__(self) -> int:
        return hash(repr(self))

    class Builder:
        """Builds a descriptor."""

        def __init__(self, format: str) -> None:
            self._format = format
            self._options: dict[str, str] = {}

        def option(self, key: str | ConfigOption[Any], value: Any) -> FormatDescriptor.Builder:
            """Set an option."""
            name, shown = _pair(key, value)
            self._options[name] = shown
            return self

        def build(self) -> FormatDescriptor:
            """The descriptor."""
            return FormatDescriptor(self._format, self._options)


class TableDescriptor:
    """A table behind a connector."""

    def __init__(
        self,
        schema: Schema | None,
        options: dict[str, str],
        partition_keys: Sequence[str] = (),
        comment: str = "",
    ) -> None:
        self._schema = schema
        self._options = dict(options)
        self._partition_keys = tuple(partition_keys)
        self._comment = comment

    @staticmethod
    def for_connector(connector: str) -> TableDescriptor.Builder:
        """A builder."""
        return TableDescriptor.Builder({"connector": connector})

    @staticmethod
    def for_managed() -> TableDescriptor.Builder:
        """Not supported: Lesto keeps no tables itself."""
        msg = "there are no managed tables"
        raise TableProgramError(msg, remedy="use for_connector", location=user_location())

    def get_schema(self) -> Schema | None:
        """Its columns."""
        return self._schema

    def get_options(self) -> dict[str, str]:
        """Its options."""
        return dict(self._options)

    def get_partition_keys(self) -> list[str]:
        """Its partition keys."""
        return list(self._partition_keys)

    def get_comment(self) -> str | None:
        """Its comment."""
        return self._comment or None

    def statement(self, path: tuple[str, ...], temporary: bool) -> s.CreateTable:
        """The CREATE TABLE that it stands for."""
        return (self._schema or Schema()).statement(
            path,
            comment=self._comment,
            partitioned_by=self._partition_keys,
            options=tuple(self._options.items()),
            temporary=temporary,
        )

    def __str__(self) -> str:
        schema = "" if self._schema is None else f"{self._schema}\n"
        comment = f"COMMENT {text(self._comment)}\n" if self._comment else ""
        keys = ", ".join(map(quoted, self._partition_keys))
        partitions = f"PARTITIONED BY ({keys})\n" if keys else ""
        options = ",\n".join(f"  {text(k)} = {text(v)}" for k, v in self._options.items())
        return f"{schema}{comment}{partitions}WITH (\n{options}\n)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TableDescriptor) and str(other) == str(self)

    def __hash__(self) -> int:
        return hash(str(self))

    class Builder:
        """Builds a descriptor."""

        def __init__(self, options: dict[str, str] | None = None) -> None:
            self._schema: Schema | None = None
            self._options = dict(options or {})
            self._keys: tuple[str, ...] = ()
            self._comment = ""

        def schema(self, schema: Schema) -> TableDescriptor.Builder:
            """The columns."""
            self._schema = schema
            return self

        def option(self, key: str | ConfigOption[Any], value: Any) -> TableDescriptor.Builder:
            """Set an option."""
            name, shown = _pair(key, value)
            self._options[name] = shown
            return self

        def format(
            self, format: str | FormatDescriptor, format_option: Any = None
        ) -> TableDescriptor.Builder:
            """The format; ``format_option`` is the option that names it, ``format`` by default."""
            key = "format"
            if format_option is not None:
                given = format_option
                key = given.key if isinstance(given, ConfigOption) else str(given)
            found = format if isinstance(format, FormatDescriptor) else FormatDescriptor(format)
            prefix = key.removesuffix("format")
            self._options[key] = found.get_format()
            for name, value in found.get_options().items():
                self._options[f"{prefix}{found.get_format()}.{name}"] = value
            return self

        def partitioned_by(self, *partition_keys: str) -> TableDescriptor.Builder:
            """The partition keys."""
            self._keys = partition_keys
            return self

        def comment(self, comment: str) -> TableDescriptor.Builder:
            """The comment."""
            self._comment = comment
            return self

        def build(self) -> TableDescriptor:
            """The descriptor."""
            return TableDescriptor(self._schema, self._options, self._keys, self._comment)
