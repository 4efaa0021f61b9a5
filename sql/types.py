"""Flink's logical types, and how each is kept in Arrow.

>>> DECIMAL(10, 2).summary(), STRING().not_null().summary(), ARRAY(INT()).to_arrow()
('DECIMAL(10, 2)', 'STRING NOT NULL', ListType(list<item: int32>))
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa
import pyarrow.types as pat

from lesto.sql.errors import InvalidTypeError

MAX_LENGTH: Final = 2_147_483_647
MAX_PRECISION: Final = 38


class TypeRoot(enum.Enum):
    """The kinds of types; the values are Flink's names."""

    CHAR = "CHAR"
    VARCHAR = "VARCHAR"
    BOOLEAN = "BOOLEAN"
    BINARY = "BINARY"
    VARBINARY = "VARBINARY"
    DECIMAL = "DECIMAL"
    TINYINT = "TINYINT"
    SMALLINT = "SMALLINT"
    INTEGER = "INT"
    BIGINT = "BIGINT"
    FLOAT = "FLOAT"
    DOUBLE = "DOUBLE"
    DATE = "DATE"
    TIME = "TIME"
    TIMESTAMP = "TIMESTAMP"
    TIMESTAMP_LTZ = "TIMESTAMP_LTZ"
    YEAR_MONTH = "INTERVAL YEAR TO MONTH"
    DAY_TIME = "INTERVAL DAY TO SECOND"
    ARRAY = "ARRAY"
    MULTISET = "MULTISET"
    MAP = "MAP"
    ROW = "ROW"
    NULL = "NULL"
    SYMBOL = "SYMBOL"

    __hash__ = object.__hash__


CHARACTER: Final = frozenset({TypeRoot.CHAR, TypeRoot.VARCHAR})
BINARY_STRING: Final = frozenset({TypeRoot.BINARY, TypeRoot.VARBINARY})
INTEGER: Final = frozenset({TypeRoot.TINYINT, TypeRoot.SMALLINT, TypeRoot.INTEGER, TypeRoot.BIGINT})
EXACT: Final = INTEGER | {TypeRoot.DECIMAL}
APPROXIMATE: Final = frozenset({TypeRoot.FLOAT, TypeRoot.DOUBLE})
NUMERIC: Final = EXACT | APPROXIMATE
TIMESTAMPS: Final = frozenset({TypeRoot.TIMESTAMP, TypeRoot.TIMESTAMP_LTZ})
DATETIME: Final = TIMESTAMPS | {TypeRoot.DATE, TypeRoot.TIME}
INTERVAL: Final = frozenset({TypeRoot.YEAR_MONTH, TypeRoot.DAY_TIME})
CONSTRUCTED: Final = frozenset({TypeRoot.ARRAY, TypeRoot.MULTISET, TypeRoot.MAP, TypeRoot.ROW})

#: Widths of the integers, narrow to wide; their decimal digits.
INTEGER_DIGITS: Final = {
    TypeRoot.TINYINT: 3,
    TypeRoot.SMALLINT: 5,
    TypeRoot.INTEGER: 10,
    TypeRoot.BIGINT: 19,
}

_ARROW: Final = {
    TypeRoot.CHAR: pa.string(),
    TypeRoot.VARCHAR: pa.string(),
    TypeRoot.BOOLEAN: pa.bool_(),
    TypeRoot.BINARY: pa.binary(),
    TypeRoot.VARBINARY: pa.binary(),
    TypeRoot.TINYINT: pa.int8(),
    TypeRoot.SMALLINT: pa.int16(),
    TypeRoot.INTEGER: pa.int32(),
    TypeRoot.BIGINT: pa.int64(),
    TypeRoot.FLOAT: pa.float32(),
    TypeRoot.DOUBLE: pa.float64(),
    TypeRoot.DATE: pa.date32(),
    TypeRoot.TIME: pa.time32("ms"),
    TypeRoot.YEAR_MONTH: pa.int32(),
    TypeRoot.DAY_TIME: pa.int64(),
    TypeRoot.NULL: pa.null(),
    TypeRoot.SYMBOL: pa.null(),
}

_SECONDS_DIGITS: Final = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def time_unit(precision: int) -> str:
    """Arrow's unit for so many digits of a second: ms, us or ns."""
    return "ms" if precision <= 3 else "us" if precision <= 6 else "ns"


@dataclass(frozen=True, slots=True)
class SqlType:
    """A logical type; build one with the functions below, named as in SQL.

    Attributes:
        root: the kind.
        nullable: whether NULL is among its values.
        length: characters or bytes, of strings.
        precision: digits of a DECIMAL; digits of a second, of times.
        scale: digits behind the point of a DECIMAL.
        children: element of ARRAY and MULTISET, key and value of MAP, fields of ROW.
        names: of the fields of a ROW.
    """

    root: TypeRoot
    nullable: bool = True
    length: int = 0
    precision: int = 0
    scale: int = 0
    children: tuple[SqlType, ...] = ()
    names: tuple[str, ...] = ()

    def not_null(self) -> SqlType:
        """This type without NULL."""
        return self.with_nullable(False)

    def with_nullable(self, nullable: bool) -> SqlType:
        """This type with or without NULL."""
        return self if self.nullable is nullable else replace(self, nullable=nullable)

    def is_in(self, roots: Iterable[TypeRoot]) -> bool:
        """Whether the kind is one of these."""
        return self.root in roots

    @property
    def element(self) -> SqlType:
        """Type of an ARRAY's or MULTISET's elements."""
        return self.children[0]

    def field_index(self, name: str) -> int:
        """Position of a ROW's field, or -1."""
        return self.names.index(name) if name in self.names else -1

    def to_arrow(self) -> pa.DataType:
        """How values are kept in a column."""
        match self.root:
            case TypeRoot.DECIMAL:
                return pa.decimal128(self.precision, self.scale)
            case TypeRoot.TIMESTAMP:
                return pa.timestamp(time_unit(self.precision))
            case TypeRoot.TIMESTAMP_LTZ:
                return pa.timestamp(time_unit(self.precision), "UTC")
            case TypeRoot.ARRAY:
                return pa.list_(self.element.to_arrow())
            case TypeRoot.MAP:
                return pa.map_(self.children[0].to_arrow(), self.children[1].to_arrow())
            case TypeRoot.MULTISET:
                return pa.map_(self.element.to_arrow(), pa.int32())
            case TypeRoot.ROW:
                fields = zip(self.names, self.children, strict=True)
                return pa.struct([pa.field(n, t.to_arrow()) for n, t in fields])
            case root:
                return _ARROW[root]

    def summary(self) -> str:
        """The type as Flink prints it, as in ``DECIMAL(10, 2) NOT NULL``."""
        return self._text() + ("" if self.nullable or self.root is TypeRoot.NULL else " NOT NULL")

    def _text(self) -> str:
        match self.root:
            case TypeRoot.VARCHAR if self.length == MAX_LENGTH:
                return "STRING"
            case TypeRoot.VARBINARY if self.length == MAX_LENGTH:
                return "BYTES"
            case TypeRoot.CHAR | TypeRoot.VARCHAR | TypeRoot.BINARY | TypeRoot.VARBINARY:
                return f"{self.root.value}({self.length})"
            case TypeRoot.DECIMAL:
                return f"DECIMAL({self.precision}, {self.scale})"
            case TypeRoot.TIME | TypeRoot.TIMESTAMP | TypeRoot.TIMESTAMP_LTZ:
                return f"{self.root.value}({self.precision})"
            case TypeRoot.ROW:
                fields = zip(self.names, self.children, strict=True)
                return f"ROW<{', '.join(f'`{n}` {t.summary()}' for n, t in fields)}>"
            case TypeRoot.ARRAY | TypeRoot.MULTISET | TypeRoot.MAP:
                return f"{self.root.value}<{', '.join(t.summary() for t in self.children)}>"
            case root:
                return str(root.value)

    def __str__(self) -> str:
        return self.summary()


def _limited(what: str, value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        msg = f"{what} must be between {low} and {high}, not {value}"
        raise InvalidTypeError(msg, remedy=f"write a number between {low} and {high}")
    return value


def CHAR(length: int = 1) -> SqlType:
    """Text of exactly n characters; in Arrow the same as STRING."""
    return SqlType(TypeRoot.CHAR, length=_limited("the length of CHAR", length, 0, MAX_LENGTH))


def VARCHAR(length: int = 1) -> SqlType:
    """Text of at most n characters."""
    return SqlType(
        TypeRoot.VARCHAR, length=_limited("the length of VARCHAR", length, 0, MAX_LENGTH)
    )


def STRING() -> SqlType:
    """Text of any length."""
    return VARCHAR(MAX_LENGTH)


def BINARY(length: int = 1) -> SqlType:
    """Exactly n bytes."""
    return SqlType(TypeRoot.BINARY, length=_limited("the length of BINARY", length, 0, MAX_LENGTH))


def VARBINARY(length: int = 1) -> SqlType:
    """At most n bytes."""
    return SqlType(
        TypeRoot.VARBINARY, length=_limited("the length of VARBINARY", length, 0, MAX_LENGTH)
    )


def BYTES() -> SqlType:
    """Bytes of any length."""
    return VARBINARY(MAX_LENGTH)


def BOOLEAN() -> SqlType:
    """TRUE, FALSE, and NULL as UNKNOWN."""
    return SqlType(TypeRoot.BOOLEAN)


def DECIMAL(precision: int = 10, scale: int = 0) -> SqlType:
    """Numbers of so many digits, some of them behind the point."""
    _limited("the precision of DECIMAL", precision, 1, MAX_PRECISION)
    _limited("the scale of DECIMAL", scale, 0, precision)
    return SqlType(TypeRoot.DECIMAL, precision=precision, scale=scale)


def TINYINT() -> SqlType:
    """Integers of 1 byte."""
    return SqlType(TypeRoot.TINYINT)


def SMALLINT() -> SqlType:
    """Integers of 2 bytes."""
    return SqlType(TypeRoot.SMALLINT)


def INT() -> SqlType:
    """Integers of 4 bytes."""
    return SqlType(TypeRoot.INTEGER)


def BIGINT() -> SqlType:
    """Integers of 8 bytes."""
    return SqlType(TypeRoot.BIGINT)


def FLOAT() -> SqlType:
    """Floating point numbers of 4 bytes."""
    return SqlType(TypeRoot.FLOAT)


def DOUBLE() -> SqlType:
    """Floating point numbers of 8 bytes."""
    return SqlType(TypeRoot.DOUBLE)


def DATE() -> SqlType:
    """Days."""
    return SqlType(TypeRoot.DATE)


def TIME(precision: int = 0) -> SqlType:
    """Times of a day, kept as milliseconds whatever the precision, as Flink does."""
    return SqlType(TypeRoot.TIME, precision=_limited("the precision of TIME", precision, 0, 9))


def TIMESTAMP(precision: int = 6) -> SqlType:
    """Date and time of no time zone."""
    return SqlType(
        TypeRoot.TIMESTAMP, precision=_limited("the precision of TIMESTAMP", precision, 0, 9)
    )


def TIMESTAMP_LTZ(precision: int = 6) -> SqlType:
    """Instants (TIMESTAMP WITH LOCAL TIME ZONE), shown in the session's time zone."""
    return SqlType(
        TypeRoot.TIMESTAMP_LTZ,
        precision=_limited("the precision of TIMESTAMP_LTZ", precision, 0, 9),
    )


def INTERVAL_YEAR_MONTH() -> SqlType:
    """Months."""
    return SqlType(TypeRoot.YEAR_MONTH)


def INTERVAL_DAY_TIME() -> SqlType:
    """Milliseconds."""
    return SqlType(TypeRoot.DAY_TIME)


def ARRAY(element: SqlType) -> SqlType:
    """Lists."""
    return SqlType(TypeRoot.ARRAY, children=(element,))


def MULTISET(element: SqlType) -> SqlType:
    """Bags: in Arrow a map from value to count."""
    return SqlType(TypeRoot.MULTISET, children=(element,))


def MAP(key: SqlType, value: SqlType) -> SqlType:
    """Dictionaries."""
    return SqlType(TypeRoot.MAP, children=(key, value))


def ROW(fields: Iterable[tuple[str, SqlType]]) -> SqlType:
    """Records of named fields."""
    pairs = list(fields)
    return SqlType(
        TypeRoot.ROW, children=tuple(t for _, t in pairs), names=tuple(n for n, _ in pairs)
    )


def NULL() -> SqlType:
    """The type of an untyped NULL."""
    return SqlType(TypeRoot.NULL)


def SYMBOL() -> SqlType:
    """A word of the syntax among the arguments, such as the MONTH of ``EXTRACT(MONTH FROM d)``."""
    return SqlType(TypeRoot.SYMBOL, nullable=False)


def from_arrow(kind: pa.DataType, nullable: bool = True) -> SqlType:
    """The SQL type for columns of an Arrow type.

    The Arrow type of the result may be another one (unsigned integers, dictionaries, views, large
    strings): cast columns to ``to_arrow()`` before they are used in expressions.

    Raises:
        InvalidTypeError: SQL has nothing for it (unions, extension types, intervals of both months
            and days).
    """
    found = _scalar_from_arrow(kind) or _nested_from_arrow(kind)
    if found is None:
        msg = f"no SQL type holds Arrow's {kind}"
        raise InvalidTypeError(msg, remedy="cast the column to another Arrow type first")
    return found.with_nullable(nullable)


_FROM_ARROW: Final = {
    pa.bool_(): BOOLEAN,
    pa.int8(): TINYINT,
    pa.int16(): SMALLINT,
    pa.int32(): INT,
    pa.int64(): BIGINT,
    pa.uint8(): SMALLINT,
    pa.uint16(): INT,
    pa.uint32(): BIGINT,
    pa.uint64(): lambda: DECIMAL(20, 0),
    pa.float16(): FLOAT,
    pa.float32(): FLOAT,
    pa.float64(): DOUBLE,
    pa.string(): STRING,
    pa.large_string(): STRING,
    pa.string_view(): STRING,
    pa.binary(): BYTES,
    pa.large_binary(): BYTES,
    pa.binary_view(): BYTES,
    pa.date32(): DATE,
    pa.date64(): DATE,
    pa.null(): NULL,
}


def _scalar_from_arrow(kind: pa.DataType) -> SqlType | None:
    if (simple := _FROM_ARROW.get(kind)) is not None:
        return simple()
    if pat.is_decimal(kind) and kind.precision <= MAX_PRECISION and kind.scale >= 0:
        return DECIMAL(kind.precision, kind.scale)
    if pat.is_fixed_size_binary(kind):
        return BINARY(kind.byte_width)
    if pat.is_time(kind):
        return TIME(min(3, _SECONDS_DIGITS[kind.unit]))
    if pat.is_timestamp(kind):
        of = TIMESTAMP if kind.tz is None else TIMESTAMP_LTZ
        return of(_SECONDS_DIGITS[kind.unit])
    if pat.is_duration(kind):
        return INTERVAL_DAY_TIME()
    return None


def _nested_from_arrow(kind: pa.DataType) -> SqlType | None:
    if pat.is_dictionary(kind):
        return from_arrow(kind.value_type)
    if pat.is_list(kind) or pat.is_large_list(kind) or pat.is_fixed_size_list(kind):
        return ARRAY(from_arrow(kind.value_type))
    if pat.is_map(kind):
        return MAP(from_arrow(kind.key_type), from_arrow(kind.item_type))
    if pat.is_struct(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        return ROW((f.name, from_arrow(f.type, f.nullable)) for f in fields)
    return None
