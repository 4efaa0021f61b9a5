"""Tables and views as the statements that make them: SHOW CREATE."""

from __future__ import annotations

from collections.abc import Sequence

from lesto.client.table.catalog.objects import CatalogTable, CatalogView, TableColumn
from lesto.client.table.plan.schema import Schema


def quoted(name: str) -> str:
    """A name in backticks.

    >>> quoted("a`b")
    '`a``b`'
    """
    return "`" + name.replace("`", "``") + "`"


def path_text(path: Sequence[str]) -> str:
    """A path, each part in backticks."""
    return ".".join(map(quoted, path))


def text(value: str) -> str:
    """A string literal."""
    return "'" + value.replace("'", "''") + "'"


def options_text(options: Sequence[tuple[str, str]]) -> str:
    """Options of WITH, a line each."""
    return "(\n" + ",\n".join(f"  {text(k)} = {text(v)}" for k, v in options) + "\n)"


def create_table(path: Sequence[str], table: CatalogTable, temporary: bool = False) -> str:
    """CREATE TABLE of a table."""
    parts = [_column(c) for c in table.columns]
    if table.watermark is not None:
        column, expression = table.watermark
        parts.append(f"WATERMARK FOR {quoted(column)} AS {expression}")
    if table.primary_key:
        name = table.key_name or "PK_" + "_".join(table.primary_key)
        keys = ", ".join(map(quoted, table.primary_key))
        parts.append(f"CONSTRAINT {quoted(name)} PRIMARY KEY ({keys}) NOT ENFORCED")
    word = "TEMPORARY TABLE" if temporary else "TABLE"
    body = ",\n".join(f"  {part}" for part in parts)
    lines = [f"CREATE {word} {path_text(path)} (\n{body}\n)"]
    if table.comment:
        lines.append(f"COMMENT {text(table.comment)}")
    if table.distribution:
        lines.append(table.distribution)
    if table.partition_keys:
        lines.append(f"PARTITIONED BY ({', '.join(map(quoted, table.partition_keys))})")
    if table.options:
        lines.append(f"WITH {options_text(table.options)}")
    return "\n".join(lines)


def _column(c: TableColumn) -> str:
    if c.kind == "computed":
        found = f"{quoted(c.name)} AS {c.expression}"
    else:
        found = f"{quoted(c.name)} {c.type}"
        if c.kind == "metadata":
            found += " METADATA"
            if c.metadata and c.metadata != c.name:
                found += f" FROM {text(c.metadata)}"
            if c.virtual:
                found += " VIRTUAL"
    return found + (f" COMMENT {text(c.comment)}" if c.comment else "")


def create_view(
    path: Sequence[str], view: CatalogView, schema: Schema, temporary: bool = False
) -> str:
    """CREATE VIEW of a view."""
    word = "TEMPORARY VIEW" if temporary else "VIEW"
    names = ",\n".join(f"  {quoted(n)}" for n in schema.names)
    comment = f"COMMENT {text(view.comment)}\n" if view.comment else ""
    query = view.query or "-- a Table of the program"
    return f"CREATE {word} {path_text(path)} (\n{names}\n)\n{comment}AS {query}"
