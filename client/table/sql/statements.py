"""Statements as they were read: frozen, unbound. Queries within are sqlglot's trees.

``position`` fields are offsets of characters in the text, for messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: A name of one to three parts: catalog, database, object.
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """Any statement."""


@dataclass(frozen=True, slots=True)
class QueryStatement(Statement):
    """SELECT, VALUES, WITH."""

    query: Any


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """A column of CREATE TABLE: physical, computed (``expression``) or of metadata.

    Attributes:
        name: the column.
        type_text: its data type as written; empty if computed.
        expression: tree of a computed column.
        expression_text: the same as text.
        metadata: key of a metadata column; None if it is none.
        virtual: whether a metadata column is never written.
        comment: COMMENT.
        primary_key: whether the column says PRIMARY KEY.
        position: of the name.
    """

    name: str
    type_text: str = ""
    expression: Any = None
    expression_text: str = ""
    metadata: str | None = None
    virtual: bool = False
    comment: str = ""
    primary_key: bool = False
    position: int = -1
    type_position: int = -1


@dataclass(frozen=True, slots=True)
class WatermarkDefinition:
    """WATERMARK FOR column AS expression."""

    column: tuple[str, ...]
    expression: Any
    expression_text: str
    position: int = -1


@dataclass(frozen=True, slots=True)
class Like:
    """LIKE source (INCLUDING | EXCLUDING | OVERWRITING what, ...)."""

    source: Path
    options: tuple[tuple[str, str], ...] = ()
    position: int = -1


@dataclass(frozen=True, slots=True)
class CreateTable(Statement):
    """CREATE TABLE."""

    name: Path
    columns: tuple[ColumnDefinition, ...] = ()
    watermark: WatermarkDefinition | None = None
    primary_key: tuple[str, ...] = ()
    key_name: str = ""
    comment: str = ""
    partitioned_by: tuple[str, ...] = ()
    distributed_by: str = ""
    options: tuple[tuple[str, str], ...] = ()
    like: Like | None = None
    query: Any = None
    named_columns: tuple[str, ...] = ()
    temporary: bool = False
    if_not_exists: bool = False
    replace: bool = False
    position: int = -1
    existing: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One change of ALTER TABLE.

    Attributes:
        kind: ``add column``, ``modify column``, ``drop column``, ``rename column``, ``rename``,
            ``set``, ``reset``, ``add key``, ``modify key``, ``drop key``, ``add watermark``,
            ``modify watermark``, ``drop watermark``, ``add``, ``modify`` and ``drop distribution``,
            ``as`` (of a view), ``comment``.
        names: columns, keys of options, or the new name.
        column: of add and modify column.
        after: where a column goes: empty for the end, ``FIRST`` in ``first``.
    """

    kind: str
    names: tuple[str, ...] = ()
    column: ColumnDefinition | None = None
    after: str = ""
    first: bool = False
    watermark: WatermarkDefinition | None = None
    options: tuple[tuple[str, str], ...] = ()
    query: Any = None
    query_text: str = ""
    position: int = -1


@dataclass(frozen=True, slots=True)
class Alter(Statement):
    """ALTER TABLE, VIEW, DATABASE or CATALOG: ``kind`` says which."""

    kind: str
    name: Path
    changes: tuple[Change, ...]
    if_exists: bool = False
    position: int = -1


@dataclass(frozen=True, slots=True)
class Drop(Statement):
    """DROP TABLE, VIEW, FUNCTION, DATABASE or CATALOG: ``kind`` says which."""

    kind: str
    name: Path
    if_exists: bool = False
    temporary: bool = False
    system: bool = False
    cascade: bool = False
    position: int = -1


@dataclass(frozen=True, slots=True)
class CreateView(Statement):
    """CREATE VIEW."""

    name: Path
    query: Any
    query_text: str
    columns: tuple[str, ...] = ()
    comment: str = ""
    temporary: bool = False
    if_not_exists: bool = False
    replace: bool = False
    position: int = -1


@dataclass(frozen=True, slots=True)
class CreateFunction(Statement):
    """CREATE FUNCTION, or ALTER FUNCTION where ``alter``."""

    name: Path
    target: str
    language: str = "JAVA"
    temporary: bool = False
    system: bool = False
    if_not_exists: bool = False
    alter: bool = False
    position: int = -1


@dataclass(frozen=True, slots=True)
class CreateDatabase(Statement):
    """CREATE DATABASE."""

    name: Path
    comment: str = ""
    options: tuple[tuple[str, str], ...] = ()
    if_not_exists: bool = False
    position: int = -1


@dataclass(frozen=True, slots=True)
class CreateCatalog(Statement):
    """CREATE CATALOG."""

    name: str
    comment: str = ""
    options: tuple[tuple[str, str], ...] = ()
    if_not_exists: bool = False
    position: int = -1


@dataclass(frozen=True, slots=True)
class Use(Statement):
    """USE [CATALOG]: ``kind`` is ``DATABASE`` or ``CATALOG``."""

    kind: str
    name: Path
    position: int = -1


@dataclass(frozen=True, slots=True)
class Insert(Statement):
    """INSERT INTO or OVERWRITE.

    Attributes:
        partition: values of PARTITION (a = 1), as trees.
        hints: OPTIONS of the target.
    """

    target: Path
    query: Any
    columns: tuple[str, ...] = ()
    partition: tuple[tuple[str, Any], ...] = ()
    overwrite: bool = False
    conflict: str = ""
    hints: tuple[tuple[str, str], ...] = ()
    position: int = -1


@dataclass(frozen=True, slots=True)
class StatementSet(Statement):
    """EXECUTE STATEMENT SET BEGIN ... END."""

    inserts: tuple[Insert, ...]


@dataclass(frozen=True, slots=True)
class Explain(Statement):
    """EXPLAIN [PLAN FOR | ESTIMATED_COST, CHANGELOG_MODE, ...]."""

    statement: Statement
    details: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Show(Statement):
    """SHOW anything: ``what`` is such as ``TABLES`` or ``CREATE TABLE``.

    Attributes:
        name: whose, of SHOW CREATE, COLUMNS and PARTITIONS.
        scope: database of FROM or IN.
        like: pattern; ``negated`` for NOT LIKE, ``ilike`` without regard to case.
    """

    what: str
    name: Path = ()
    scope: Path = ()
    like: str | None = None
    negated: bool = False
    ilike: bool = False
    position: int = -1


@dataclass(frozen=True, slots=True)
class Describe(Statement):
    """DESCRIBE of a table, ``CATALOG``, ``DATABASE``, ``FUNCTION`` or ``JOB``."""

    kind: str
    name: Path
    extended: bool = False
    position: int = -1


@dataclass(frozen=True, slots=True)
class SetOption(Statement):
    """SET 'key' = 'value', or SET alone."""

    key: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class ResetOption(Statement):
    """RESET 'key', or RESET alone."""

    key: str = ""


@dataclass(frozen=True, slots=True)
class Parsed:
    """A statement with the text it comes from.

    Attributes:
        statement: what was read.
        text: the whole text; offsets count from its start.
        start: of the statement.
        end: behind its last character.
    """

    statement: Statement
    text: str = field(repr=False)
    start: int = 0
    end: int = 0

    @property
    def sql(self) -> str:
        """The statement's own text."""
        return self.text[self.start : self.end]
