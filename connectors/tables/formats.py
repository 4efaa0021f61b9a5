"""Formats of tables: which there are, their options, and what they make."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from lesto.common.errors import did_you_mean
from lesto.connectors.errors import (
    MissingTableOptionError,
    UnknownConnectorError,
    UnsupportedTableUseError,
)
from lesto.connectors.formats.base import DeserializationSchema, SerializationSchema
from lesto.connectors.tables.connector import Formats
from lesto.connectors.tables.options import (
    FORMAT,
    KEY_FORMAT,
    VALUE_FORMAT,
    Described,
    TableOptions,
    check,
)
from lesto.connectors.tables.requests import TableField


@dataclass(frozen=True, slots=True)
class TableFormat:
    """A format of messages or files.

    Attributes:
        described: its options, without the format's name in front.
        reads: makes a reader of columns, from options, columns and the session's time zone.
        writes: makes a writer.
        changelog: whether its records say if they insert, update or delete.
        bulk: it is a format of whole files, not of messages.
        lines: its messages can be the lines of files.
        check: checks options that depend on each other, or on the columns.
    """

    described: Described
    reads: Callable[[TableOptions, Sequence[TableField], str], DeserializationSchema] | None = None
    writes: Callable[[TableOptions, Sequence[TableField], str], SerializationSchema] | None = None
    changelog: bool = False
    bulk: bool = False
    lines: bool = False
    check: Callable[[TableOptions, Sequence[TableField]], None] | None = None


#: Modules with a dict ``FORMATS`` by name.
FORMATS: Final[dict[str, str]] = {
    **dict.fromkeys(("csv", "json", "parquet", "raw"), "lesto.connectors.tables.message_formats"),
    **dict.fromkeys(
        ("canal-json", "debezium-json", "maxwell-json", "ogg-json"),
        "lesto.connectors.tables.changelog_formats",
    ),
}


def table_format(name: str, table: str = "") -> TableFormat:
    """The format of this name.

    Raises:
        UnknownConnectorError: there is none.
    """
    if name not in FORMATS:
        msg = f"table {table or '?'}: there is no format '{name}'{did_you_mean(name, FORMATS)}"
        raise UnknownConnectorError(msg, remedy=f"there are: {', '.join(sorted(FORMATS))}")
    found: TableFormat = importlib.import_module(FORMATS[name]).FORMATS[name]
    return found


@dataclass(frozen=True, slots=True)
class ChosenFormat:
    """A format with its options.

    Attributes:
        name: of the format.
        format: what it is.
        options: without the prefix.
        prefix: of the options, as in ``value.json.``.
    """

    name: str
    format: TableFormat
    options: TableOptions
    prefix: str

    def reader(self, columns: Sequence[TableField], time_zone: str) -> DeserializationSchema:
        """A reader of columns.

        Raises:
            UnsupportedTableUseError: the format only writes.
        """
        if self.format.reads is None:
            self._refuse("read")
        return self.format.reads(self.options, columns, time_zone)

    def writer(self, columns: Sequence[TableField], time_zone: str) -> SerializationSchema:
        """A writer of columns.

        Raises:
            UnsupportedTableUseError: the format only reads.
        """
        if self.format.writes is None:
            self._refuse("written")
        return self.format.writes(self.options, columns, time_zone)

    def _refuse(self, what: str) -> NoReturn:
        msg = f"table {self.options.table or '?'}: the format '{self.name}' cannot be {what} here"
        raise UnsupportedTableUseError(msg, remedy="choose another format, json say")


def value_format(formats: Formats, options: TableOptions) -> ChosenFormat:
    """The format of the records.

    Raises:
        MissingTableOptionError: none is given.
    """
    if formats is Formats.KEY_AND_VALUE and options.has(VALUE_FORMAT):
        return _chosen(options[VALUE_FORMAT.key], "value.", options)
    if not options.has(FORMAT):
        other = " or 'value.format'" if formats is Formats.KEY_AND_VALUE else ""
        msg = f"table {options.table or '?'} needs the option 'format'{other}"
        raise MissingTableOptionError(
            msg, remedy=f"add 'format' = '...': there are {', '.join(sorted(FORMATS))}"
        )
    return _chosen(options[FORMAT.key], "", options)


def key_format(options: TableOptions) -> ChosenFormat | None:
    """The format of the keys, if there is one."""
    if not options.has(KEY_FORMAT):
        return None
    return _chosen(options[KEY_FORMAT.key], "key.", options)


def _chosen(name: str, prefix: str, options: TableOptions) -> ChosenFormat:
    found = table_format(name, options.table)
    full = f"{prefix}{name}."
    return ChosenFormat(name, found, options.under(full), full)


def format_prefixes(formats: Formats, options: Mapping[str, str]) -> list[str]:
    """Prefixes of the options that belong to the formats of a table."""
    found = []
    if formats is not Formats.NONE and "format" in options:
        found.append(f"{options['format']}.")
    if formats is Formats.KEY_AND_VALUE:
        for side in ("value", "key"):
            if name := options.get(f"{side}.format"):
                found.append(f"{side}.{name}.")
    return found


def check_formats(formats: Formats, options: TableOptions, columns: Sequence[TableField]) -> None:
    """Check the formats and their options.

    Raises:
        ConnectorConfigError: as :func:`~lesto.connectors.tables.options.check` does.
    """
    chosen = [value_format(formats, options)]
    if formats is Formats.KEY_AND_VALUE and (key := key_format(options)) is not None:
        chosen.append(key)
    for one in chosen:
        if one.format.bulk and formats is Formats.KEY_AND_VALUE:
            msg = f"table {options.table or '?'}: the format '{one.name}' is one of whole files"
            raise UnsupportedTableUseError(msg, remedy="choose a format of messages, json say")
        described = one.format.described
        named = Described(
            f"format {one.name}", described.summary, described.required, described.optional
        )
        _check_named(named, one)
        if one.format.check is not None:
            one.format.check(one.options, [c for c in columns if not c.metadata])


def _check_named(described: Described, one: ChosenFormat) -> None:
    check(described, one.options, one.options.table)
