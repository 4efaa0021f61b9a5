"""Requests to connectors of tables, from SQL types."""

from lesto.connectors.tables import factory as f
from lesto.sql.type_parser import parse_type


def fields(text):
    """Columns from ``"a INT, b STRING METADATA topic"``, one a line or divided by ``;``."""
    found = []
    for part in filter(None, (p.strip() for p in text.replace("\n", ";").split(";"))):
        name, _, kind = part.partition(" ")
        kind, _, metadata = kind.partition(" METADATA ")
        found.append(f.TableField(name, parse_type(kind), metadata.strip()))
    return tuple(found)


def scan(options, columns, read=None, **more):
    """A source of some columns by name."""
    columns = fields(columns) if isinstance(columns, str) else columns
    names = [c.name for c in columns]
    projection = tuple(names.index(n) for n in (names if read is None else read))
    request = f.ScanRequest(options, columns, projection, table="t", **more)
    return f.table_source(options["connector"], request)


def sink(options, columns, key=(), partitions=(), **more):
    """A sink of columns."""
    columns = fields(columns) if isinstance(columns, str) else columns
    names = [c.name for c in columns]
    request = f.SinkRequest(
        options,
        columns,
        tuple(map(names.index, key)),
        tuple(map(names.index, partitions)),
        table="t",
        **more,
    )
    return f.table_sink(options["connector"], request)
