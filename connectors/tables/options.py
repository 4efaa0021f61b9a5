"""Options of tables: what a connector or format takes, and the errors of what it does not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lesto.common.errors import did_you_mean
from lesto.common.option_types import ConfigOption, InvalidOptionError, format_value
from lesto.connectors.errors import (
    InvalidTableOptionError,
    MissingTableOptionError,
    UnknownTableOptionError,
)

CONNECTOR: Final = ConfigOption("connector", str, "", "Name of the connector.")
SCAN_PARALLELISM: Final = ConfigOption(
    "scan.parallelism", int, None, "Subtasks that read; unset: as the job has.", minimum=1
)
SINK_PARALLELISM: Final = ConfigOption(
    "sink.parallelism", int, None, "Subtasks that write; unset: as the job has.", minimum=1
)
FORMAT: Final = ConfigOption("format", str, None, "Format of the records.")
VALUE_FORMAT: Final = ConfigOption("value.format", str, None, "Format of the values of messages.")
KEY_FORMAT: Final = ConfigOption("key.format", str, None, "Format of the keys of messages.")

#: Options that the planner reads, whatever the connector is.
PLANNER: Final = (
    CONNECTOR,
    ConfigOption("property-version", int, 1, "Accepted; Flink's version of the options."),
    ConfigOption("changelog-mode", str, "", "Kinds of rows that reading gives, of I,UB,UA,D."),
    ConfigOption("sink.changelog-mode", str, "", "Kinds of rows that writing takes."),
)


@dataclass(frozen=True, slots=True)
class Prefix:
    """Options that are passed on: all whose keys begin so.

    Attributes:
        prefix: with the dot.
        description: for the documentation.
    """

    prefix: str
    description: str


@dataclass(frozen=True, slots=True)
class Described:
    """What a connector or a format takes.

    Attributes:
        name: in ``connector`` or ``format``.
        summary: a sentence.
        required: options that must be given.
        optional: other options.
        prefixes: keys that begin with one of these are taken too.
    """

    name: str
    summary: str
    required: tuple[ConfigOption[Any], ...] = ()
    optional: tuple[ConfigOption[Any], ...] = ()
    prefixes: tuple[Prefix, ...] = ()

    def options(self) -> dict[str, ConfigOption[Any]]:
        """All options by their keys and aliases."""
        found = {}
        for option in (*self.required, *self.optional):
            found[option.key] = option
            found.update(dict.fromkeys(option.aliases, option))
        return found


class TableOptions(Mapping[str, str]):
    """The options of a table, to be read with their types.

    Args:
        given: texts by key.
        table: for messages.
    """

    def __init__(self, given: Mapping[str, str], table: str = "") -> None:
        self._given = dict(given)
        self.table = table

    def __getitem__(self, key: str) -> str:
        return self._given[key]

    def __iter__(self) -> Any:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def has(self, option: ConfigOption[Any]) -> bool:
        """Whether it is set."""
        return any(key in self._given for key in (option.key, *option.aliases))

    def of(self, option: ConfigOption[Any]) -> Any:
        """Its value, or its default.

        Raises:
            InvalidTableOptionError: the value cannot be read.
        """
        for key in (option.key, *option.aliases):
            if key in self._given:
                return _parsed(option, self._given[key], self.table)
        return option.default

    def needed(self, option: ConfigOption[Any]) -> Any:
        """Its value.

        Raises:
            MissingTableOptionError: it is not set.
        """
        if not self.has(option):
            msg = f"table {self.table or '?'} needs the option '{option.key}'"
            raise MissingTableOptionError(msg, remedy=_example(option))
        return self.of(option)

    def under(self, prefix: str) -> TableOptions:
        """The options whose keys begin so, without the prefix."""
        found = {k[len(prefix) :]: v for k, v in self._given.items() if k.startswith(prefix)}
        return TableOptions(found, self.table)

    def refuse(self, option: ConfigOption[Any], why: str, remedy: str) -> InvalidTableOptionError:
        """The error of a value that goes with none of the others."""
        shown = "******" if option.secret else repr(self.get(option.key, ""))
        cannot = f"cannot be {shown}" if self.has(option) else "cannot be left out"
        msg = f"option '{option.key}' of table {self.table or '?'} {cannot}: {why}"
        return InvalidTableOptionError(msg, remedy=remedy)


def _parsed(option: ConfigOption[Any], text: str, table: str) -> Any:
    try:
        return option.parse(text)
    except InvalidOptionError as error:
        msg = f"table {table}: {error.message}" if table else error.message
        raise InvalidTableOptionError(msg, remedy=error.remedy) from None


def _example(option: ConfigOption[Any]) -> str:
    return f"add '{option.key}' = '...' to WITH (...): {option.description}"


def check(
    described: Described,
    given: Mapping[str, str],
    table: str,
    known: Iterable[ConfigOption[Any]] = (),
    passed: Iterable[str] = (),
) -> None:
    """Check options against a description: none unknown, none missing, all readable.

    Args:
        described: the connector or format.
        given: all options.
        table: for messages.
        known: further options that are taken.
        passed: prefixes of options that another checks.

    Raises:
        UnknownTableOptionError: an option that it does not have.
        MissingTableOptionError: a required option is not there.
        InvalidTableOptionError: a value that cannot be read.
    """
    options = {**described.options(), **{o.key: o for o in known}}
    prefixes = (*(p.prefix for p in described.prefixes), *passed)
    for key in given:
        if key not in options and not key.startswith(prefixes or ("\0",)):
            near = did_you_mean(key, options)
            msg = f"table {table or '?'}: {described.name} has no option '{key}'{near}"
            names = sorted({*(o.key for o in options.values()), *(f"{p}*" for p in prefixes)})
            raise UnknownTableOptionError(msg, remedy=f"its options are: {', '.join(names)}")
    for option in described.required:
        if not any(key in given for key in (option.key, *option.aliases)):
            msg = f"table {table or '?'}: {described.name} needs the option '{option.key}'"
            raise MissingTableOptionError(msg, remedy=_example(option))
    for key, text in given.items():
        if key in options:
            _parsed(options[key], text, table)


def rows_of_documentation(described: Described) -> list[tuple[str, str, str, str]]:
    """(key, type, default, meaning) of each option, the required ones first."""
    rows = [(o.key, o.accepted(), "(required)", o.description) for o in described.required]
    rows += [
        (o.key, o.accepted(), "" if o.default is None else format_value(o.default), o.description)
        for o in described.optional
    ]
    return rows + [(f"{p.prefix}*", "text", "", p.description) for p in described.prefixes]
