"""Names and types of a table's columns, as programs ask for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lesto.client.table.plan.schema import Column, Schema
from lesto.client.table.types import DataType, RowField, RowType, data_type, sql_type


class TableSchema:
    """Names and types.

    >>> from lesto.client.table.data_types import DataTypes
    >>> schema = TableSchema(["a", "b"], [DataTypes.INT(), DataTypes.STRING()])
    >>> schema.get_field_data_type("b")
    STRING
    """

    def __init__(
        self, field_names: Sequence[str] | None = None, data_types: Sequence[Any] | None = None
    ) -> None:
        names, types = list(field_names or ()), list(data_types or ())
        self._schema = Schema(
            tuple(Column(n, sql_type(k)) for n, k in zip(names, types, strict=True))
        )

    @classmethod
    def of(cls, schema: Schema) -> TableSchema:
        """The schema of a plan's node."""
        made = cls()
        made._schema = schema
        return made

    def copy(self) -> TableSchema:
        """The same."""
        return TableSchema.of(self._schema)

    def get_field_names(self) -> list[str]:
        """The columns' names."""
        return list(self._schema.names)

    def get_field_data_types(self) -> list[DataType]:
        """The columns' types."""
        return [data_type(k) for k in self._schema.types]

    def _index(self, field: int | str) -> int:
        if isinstance(field, str):
            return self._schema.index(field)
        return field if 0 <= field < len(self._schema) else -1

    def get_field_data_type(self, field: int | str) -> DataType | None:
        """The type of a column by position or name; None if there is none."""
        at = self._index(field)
        return None if at < 0 else data_type(self._schema[at].type)

    def get_field_count(self) -> int:
        """Number of columns."""
        return len(self._schema)

    def get_field_name(self, field_index: int) -> str | None:
        """The name at a position; None if there is none."""
        at = self._index(field_index)
        return None if at < 0 else self._schema[at].name

    def to_row_data_type(self) -> RowType:
        """A ROW of the columns."""
        return RowType([RowField(c.name, data_type(c.type)) for c in self._schema])

    def __repr__(self) -> str:
        lines = [f" |-- {c.name}: {c.summary()}" for c in self._schema]
        return "\n".join(["root", *lines, ""])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TableSchema) and other._schema == self._schema

    def __hash__(self) -> int:
        return hash(self._schema)

    @classmethod
    def builder(cls) -> TableSchema.Builder:
        """A builder."""
        return TableSchema.Builder()

    class Builder:
        """Builds a schema column by column."""

        def __init__(self) -> None:
            self._names: list[str] = []
            self._types: list[Any] = []

        def field(self, name: str, data_type: Any) -> TableSchema.Builder:
            """Add a column."""
            self._names.append(name)
            self._types.append(data_type)
            return self

        def build(self) -> TableSchema:
            """The schema."""
            return TableSchema(self._names, self._types)


class ResolvedColumn:
    """A column with its type."""

    def __init__(self, column: Column) -> None:
        self._column = column

    def get_name(self) -> str:
        """Its name."""
        return self._column.name

    def get_data_type(self) -> DataType:
        """Its type."""
        return data_type(self._column.type)

    def __repr__(self) -> str:
        return f"`{self._column.name}` {self._column.summary()}"


class ResolvedSchema:
    """Columns whose types are known."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def get_column_count(self) -> int:
        """Number of columns."""
        return len(self._schema)

    def get_columns(self) -> list[ResolvedColumn]:
        """The columns."""
        return [ResolvedColumn(c) for c in self._schema]

    def get_column_names(self) -> list[str]:
        """Their names."""
        return list(self._schema.names)

    def get_column_data_types(self) -> list[DataType]:
        """Their types."""
        return [data_type(k) for k in self._schema.types]

    def get_column(self, column_index_or_name: int | str) -> ResolvedColumn | None:
        """A column by position or name; None if there is none."""
        key = column_index_or_name
        at = self._schema.index(key) if isinstance(key, str) else key
        return ResolvedColumn(self._schema[at]) if 0 <= at < len(self._schema) else None

    def to_physical_row_data_type(self) -> RowType:
        """A ROW of the columns."""
        return RowType([RowField(c.name, data_type(c.type)) for c in self._schema])

    to_source_row_data_type = to_physical_row_data_type
    to_sink_row_data_type = to_physical_row_data_type

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ResolvedSchema) and other._schema == self._schema

    def __hash__(self) -> int:
        return hash(self._schema)

    def __repr__(self) -> str:
        return "(\n" + ",\n".join(f"  {c!r}" for c in self.get_columns()) + "\n)"
