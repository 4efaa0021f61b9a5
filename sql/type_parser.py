"""Reads data types as DDL and CAST write them.

>>> parse_type("ROW<id BIGINT NOT NULL, tags ARRAY<STRING>>").summary()
'ROW<`id` BIGINT NOT NULL, `tags` ARRAY<STRING>>'
>>> parse_type("timestamp(3) with local time zone").summary()
'TIMESTAMP_LTZ(3)'
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NoReturn

from lesto.common.errors import did_you_mean
from lesto.sql import types as t
from lesto.sql.errors import InvalidTypeError
from lesto.sql.types import SqlType

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<word>[A-Za-z_][A-Za-z_0-9$]*)|`(?P<quoted>(?:[^`]|``)*)`|(?P<number>\d+)"
    r"|'(?P<text>(?:[^']|'')*)'|(?P<sign>[<>(),]))"
)

_SIMPLE: Final[dict[str, Callable[[], SqlType]]] = {
    "STRING": t.STRING,
    "BYTES": t.BYTES,
    "BOOLEAN": t.BOOLEAN,
    "TINYINT": t.TINYINT,
    "SMALLINT": t.SMALLINT,
    "INT": t.INT,
    "INTEGER": t.INT,
    "BIGINT": t.BIGINT,
    "FLOAT": t.FLOAT,
    "DATE": t.DATE,
    "NULL": t.NULL,
}
_WITH_LENGTH: Final[dict[str, Callable[[int], SqlType]]] = {
    "CHAR": t.CHAR,
    "CHARACTER": t.CHAR,
    "VARCHAR": t.VARCHAR,
    "BINARY": t.BINARY,
    "VARBINARY": t.VARBINARY,
}
_MISSING: Final = ("RAW", "STRUCTURED", "VARIANT", "BITMAP", "DESCRIPTOR")
_NAMES: Final = (
    *_SIMPLE,
    *_WITH_LENGTH,
    *("DECIMAL", "DEC", "NUMERIC", "DOUBLE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ"),
    *("INTERVAL", "ARRAY", "MAP", "MULTISET", "ROW"),
)
_MONTHS: Final = ("YEAR", "QUARTER", "MONTH")
_MILLIS: Final = ("WEEK", "DAY", "HOUR", "MINUTE", "SECOND")


def parse_type(text: str) -> SqlType:
    """The type that a text names; nullable unless it says NOT NULL.

    Raises:
        InvalidTypeError: the text is no type, or one that Lesto does not have.
    """
    parser = _Parser(text)
    found = parser.type()
    parser.end()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        position = 0
        stripped = text.rstrip()
        while position < len(stripped):
            match = _TOKEN.match(stripped, position)
            if match is None:
                self._fail(f"unexpected {stripped[position : position + 1]!r}", position)
            kind = match.lastgroup or ""
            self._tokens.append((kind, match.group(kind), match.start(kind)))
            position = match.end()

    def _fail(self, what: str, position: int | None = None) -> NoReturn:
        if position is None:
            position = self._tokens[self._at][2] if self._at < len(self._tokens) else -1
        where = "its end" if position < 0 else f"character {position + 1}"
        msg = f"the data type {self._text!r} cannot be read at {where}: {what}"
        raise InvalidTypeError(msg, remedy="write a type such as DECIMAL(10, 2) or ROW<a INT>")

    def _peek(self, *words: str) -> bool:
        if self._at + len(words) > len(self._tokens):
            return False
        return all(
            kind in {"word", "sign"} and value.upper() == word
            for (kind, value, _), word in zip(self._tokens[self._at :], words, strict=False)
        )

    def _take(self, *words: str) -> bool:
        if self._peek(*words):
            self._at += len(words)
            return True
        return False

    def _expect(self, word: str) -> None:
        if not self._take(word):
            self._fail(f"expected {word!r}")

    def end(self) -> None:
        """Fail unless everything was read."""
        if self._at < len(self._tokens):
            self._fail(f"unexpected {self._tokens[self._at][1]!r}")

    def _name(self) -> str:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] not in {"word", "quoted"}:
            self._fail("expected a name")
        kind, value, _ = self._tokens[self._at]
        self._at += 1
        return value.replace("``", "`") if kind == "quoted" else value

    def _number(self) -> int:
        if self._at >= len(self._tokens) or self._tokens[self._at][0] != "number":
            self._fail("expected a number")
        self._at += 1
        return int(self._tokens[self._at - 1][1])

    def _precision(self, default: int) -> int:
        if not self._take("("):
            return default
        number = self._number()
        self._expect(")")
        return number

    def type(self) -> SqlType:
        """A type with what may follow it: ARRAY, MULTISET, NULL, NOT NULL."""
        found = self._plain()
        while True:
            if self._take("NOT", "NULL"):
                found = found.not_null()
            elif self._take("NULL"):
                found = found.with_nullable(True)
            elif self._take("ARRAY"):
                found = t.ARRAY(found)
            elif self._take("MULTISET"):
                found = t.MULTISET(found)
            else:
                return found

    def _plain(self) -> SqlType:
        start = self._at
        word = self._name().upper()
        if word in _SIMPLE:
            return _SIMPLE[word]()
        if word in _WITH_LENGTH:
            if word in {"CHAR", "CHARACTER"} and self._take("VARYING"):
                word = "VARCHAR"
            elif word == "BINARY" and self._take("VARYING"):
                word = "VARBINARY"
            return _WITH_LENGTH[word](self._precision(1))
        match word:
            case "DECIMAL" | "DEC" | "NUMERIC":
                return self._decimal()
            case "DOUBLE":
                self._take("PRECISION")
                return t.DOUBLE()
            case "TIME":
                precision = self._precision(0)
                self._take("WITHOUT", "TIME", "ZONE")
                return t.TIME(precision)
            case "TIMESTAMP":
                return self._timestamp()
            case "TIMESTAMP_LTZ":
                return t.TIMESTAMP_LTZ(self._precision(6))
            case "INTERVAL":
                return self._interval()
            case "ARRAY" | "MULTISET" | "MAP" | "ROW":
                return self._constructed(word)
        self._at = start
        if word in _MISSING or word == "TIMESTAMP_TZ":
            self._fail(f"Lesto has no {word} type")
        unknown = f"{word} is no data type{did_you_mean(word, _NAMES)}"
        self._fail(unknown)

    def _decimal(self) -> SqlType:
        if not self._take("("):
            return t.DECIMAL()
        precision, scale = self._number(), 0
        if self._take(","):
            scale = self._number()
        self._expect(")")
        return t.DECIMAL(precision, scale)

    def _timestamp(self) -> SqlType:
        precision = self._precision(6)
        if self._take("WITH", "LOCAL", "TIME", "ZONE"):
            return t.TIMESTAMP_LTZ(precision)
        if self._peek("WITH", "TIME", "ZONE"):
            self._fail("Lesto has no TIMESTAMP WITH TIME ZONE (neither can Flink compute with it)")
        self._take("WITHOUT", "TIME", "ZONE")
        return t.TIMESTAMP(precision)

    def _interval(self) -> SqlType:
        unit = self._name().upper()
        if unit not in _MONTHS + _MILLIS:
            self._at -= 1
            self._fail(f"{unit} is no unit of intervals{did_you_mean(unit, _MONTHS + _MILLIS)}")
        self._precision(0)
        if self._take("TO"):
            last = self._name().upper()
            if last not in _MONTHS + _MILLIS or (unit in _MONTHS) is not (last in _MONTHS):
                self._at -= 1
                self._fail(f"an interval cannot go from {unit} to {last}")
            self._precision(0)
        return t.INTERVAL_YEAR_MONTH() if unit in _MONTHS else t.INTERVAL_DAY_TIME()

    def _constructed(self, word: str) -> SqlType:
        if word == "ROW":
            return self._row()
        self._expect("<")
        first = self.type()
        if word == "MAP":
            self._expect(",")
            found = t.MAP(first, self.type())
        else:
            found = t.ARRAY(first) if word == "ARRAY" else t.MULTISET(first)
        self._expect(">")
        return found

    def _row(self) -> SqlType:
        close = ">" if self._take("<") else ")"
        if close == ")":
            self._expect("(")
        fields: list[tuple[str, SqlType]] = []
        while not self._take(close):
            if fields:
                self._expect(",")
            fields.append((self._name(), self.type()))
            if self._at < len(self._tokens) and self._tokens[self._at][0] == "text":
                self._at += 1  # a field's comment
        names = [name for name, _ in fields]
        if len(set(names)) < len(names):
            self._fail("two fields of a row have one name")
        return t.ROW(fields)
