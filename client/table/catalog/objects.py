"""What catalogs hold: tables, views, functions, databases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final
from typing import Literal as Word

from lesto.client.table.plan.schema import Column, Schema, TimeKind
from lesto.sql.types import SqlType

ColumnKind = Word["physical", "metadata", "computed"]
#: Formats whose rows say whether they insert, update or delete.
_CHANGELOG_FORMATS: Final = (
    *("debezium-json", "debezium-avro-confluent", "canal-json", "maxwell-json", "ogg-json"),
)


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table.

    Attributes:
        name: the column.
        type: its type; of a computed column what the expression gives.
        kind: whether it is read, read from the connector's metadata, or computed.
        expression: SQL of a computed column.
        metadata: the connector's key of a metadata column.
        virtual: whether a metadata column is left out when writing.
        comment: COMMENT.
    """

    name: str
    type: SqlType
    kind: ColumnKind = "physical"
    expression: str = ""
    metadata: str = ""
    virtual: bool = False
    comment: str = ""


@dataclass(frozen=True, slots=True)
class CatalogTable:
    """A table.

    Attributes:
        columns: in order.
        watermark: column and SQL of its watermark, if it has one.
        primary_key: names of columns, never NULL.
        partition_keys: names of columns.
        options: of WITH, with ``connector`` and ``format``.
        source: a Python object behind the table: a stream, an Arrow stream, a frame. Such a
            table is temporary.
        changelog: kinds of rows a source gives, of ``I``, ``UB``, ``UA``, ``D``; empty to tell by
            the connector and format.
        proctime: names of computed columns that are PROCTIME attributes.
    """

    columns: tuple[TableColumn, ...]
    watermark: tuple[str, str] | None = None
    primary_key: tuple[str, ...] = ()
    partition_keys: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    comment: str = ""
    distribution: str = ""
    proctime: tuple[str, ...] = ()
    changelog: tuple[str, ...] = ()
    key_name: str = ""
    source: Any = field(default=None, compare=False)

    def option(self, key: str, default: str = "") -> str:
        """The value of an option."""
        return dict(self.options).get(key, default)

    @property
    def connector(self) -> str:
        """The option ``connector``."""
        return self.option("connector")

    def read_columns(self) -> tuple[TableColumn, ...]:
        """The columns a source gives: those that are not computed."""
        return tuple(c for c in self.columns if c.kind != "computed")

    def written_columns(self) -> tuple[TableColumn, ...]:
        """The columns a sink takes."""
        return tuple(
            c
            for c in self.columns
            if c.kind == "physical" or (c.kind == "metadata" and not c.virtual)
        )

    def schema(self) -> Schema:
        """All columns as a query sees them."""
        found = []
        for c in self.columns:
            time = None
            if self.watermark is not None and c.name == self.watermark[0]:
                time = TimeKind.ROWTIME
            elif c.name in self.proctime:
                time = TimeKind.PROCTIME
            found.append(Column(c.name, c.type, time))
        return Schema(tuple(found))

    def source_kinds(self) -> frozenset[str]:
        """Kinds of rows that reading gives."""
        if self.changelog:
            return frozenset(self.changelog)
        declared = self.option("changelog-mode")
        if declared:
            return frozenset(part.strip() for part in declared.split(","))
        if self.connector == "upsert-kafka":
            return frozenset({"I", "UA", "D"})
        formats = (self.option("format"), self.option("value.format"))
        if any(f in _CHANGELOG_FORMATS for f in formats):
            return frozenset({"I", "UB", "UA", "D"})
        return frozenset({"I"})

    def sink_kinds(self) -> frozenset[str]:
        """Kinds of rows that writing takes."""
        declared = self.option("sink-changelog-mode-enforced") or self.option("sink.changelog-mode")
        if declared:
            return frozenset(part.strip() for part in declared.split(","))
        connector = self.connector
        if connector in {"print", "blackhole", "memory", "values", "collect"}:
            return frozenset({"I", "UB", "UA", "D"})
        if connector in {"upsert-kafka", "jdbc", "elasticsearch", "opensearch", "mongodb", "hbase"}:
            upsert = connector == "upsert-kafka" or bool(self.primary_key)
            return frozenset({"I", "UA", "D"}) if upsert else frozenset({"I"})
        formats = (self.option("format"), self.option("value.format"))
        if any(f in _CHANGELOG_FORMATS for f in formats):
            return frozenset({"I", "UB", "UA", "D"})
        return frozenset({"I"})


@dataclass(frozen=True, slots=True)
class CatalogView:
    """A view: a query under a name.

    Attributes:
        query: its SQL; empty if it was made of a Table.
        columns: names given by CREATE VIEW v (a, b); empty for the query's.
        plan: the plan of a Table, for a view that is temporary.
        path: catalog and database that were current, in which its names are resolved.
    """

    query: str
    columns: tuple[str, ...] = ()
    comment: str = ""
    path: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    plan: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CatalogFunction:
    """A function.

    Attributes:
        target: ``module.name``.
        language: PYTHON.
        function: the Python object, for one that is registered by a program.
    """

    target: str
    language: str = "PYTHON"
    function: Any = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class CatalogDatabase:
    """A database."""

    comment: str = ""
    options: tuple[tuple[str, str], ...] = ()


CatalogObject = CatalogTable | CatalogView
