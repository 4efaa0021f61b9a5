"""Data types of the Table API: PyFlink's names over SQL's types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Final

import pyarrow as pa

from lesto.client.datastream.location import user_location
from lesto.client.table.errors import InvalidTableError
from lesto.sql import types as t
from lesto.sql.errors import SqlExpressionError
from lesto.sql.type_parser import parse_type
from lesto.sql.types import SqlType, TypeRoot


class DataType:
    """A type with its nullability. Equal types are equal.

    >>> DecimalType(10, 2).not_null()
    DECIMAL(10, 2) NOT NULL
    """

    def __init__(self, sql: SqlType) -> None:
        self._sql = sql

    @property
    def sql(self) -> SqlType:
        """SQL's type."""
        return self._sql

    def not_null(self) -> DataType:
        """The type without NULL."""
        return self._with(self._sql.not_null())

    def nullable(self) -> DataType:
        """The type with NULL."""
        return self._with(self._sql.with_nullable(True))

    def _with(self, sql: SqlType) -> DataType:
        made = self.__class__.__new__(self.__class__)
        made.__dict__.update(self.__dict__)
        made._sql = sql
        return made

    @classmethod
    def type_name(cls) -> str:
        """Name of the class in lower case without ``Type``."""
        return cls.__name__.removesuffix("Type").lower()

    def to_arrow(self) -> pa.DataType:
        """How values are kept in a column."""
        return self._sql.to_arrow()

    def __repr__(self) -> str:
        return self._sql.summary()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataType) and other._sql == self._sql

    def __hash__(self) -> int:
        return hash(self._sql)


class AtomicType(DataType):
    """A type without parts."""

    _make: ClassVar[Callable[[], SqlType]]

    def __init__(self, nullable: bool = True) -> None:
        super().__init__(type(self)._make().with_nullable(nullable))


class NumericType(AtomicType):
    """Numbers."""


class IntegralType(NumericType):
    """Whole numbers."""


class FractionalType(NumericType):
    """Other numbers."""


class NullType(AtomicType):
    """The type of NULL."""

    def __init__(self) -> None:
        DataType.__init__(self, t.NULL())


class _LengthType(AtomicType):
    _of_length: ClassVar[Callable[[int], SqlType]]

    def __init__(self, length: int = 1, nullable: bool = True) -> None:
        DataType.__init__(self, type(self)._of_length(length).with_nullable(nullable))

    @property
    def length(self) -> int:
        """Characters or bytes."""
        return self._sql.length


class CharType(_LengthType):
    """CHAR(n)."""

    _of_length = staticmethod(t.CHAR)


class VarCharType(_LengthType):
    """VARCHAR(n), STRING."""

    _of_length = staticmethod(t.VARCHAR)


class BinaryType(_LengthType):
    """BINARY(n)."""

    _of_length = staticmethod(t.BINARY)


class VarBinaryType(_LengthType):
    """VARBINARY(n), BYTES."""

    _of_length = staticmethod(t.VARBINARY)


class BooleanType(AtomicType):
    """BOOLEAN."""

    _make = staticmethod(t.BOOLEAN)


class TinyIntType(IntegralType):
    """TINYINT."""

    _make = staticmethod(t.TINYINT)


class SmallIntType(IntegralType):
    """SMALLINT."""

    _make = staticmethod(t.SMALLINT)


class IntType(IntegralType):
    """INT."""

    _make = staticmethod(t.INT)


class BigIntType(IntegralType):
    """BIGINT."""

    _make = staticmethod(t.BIGINT)


class FloatType(FractionalType):
    """FLOAT."""

    _make = staticmethod(t.FLOAT)


class DoubleType(FractionalType):
    """DOUBLE."""

    _make = staticmethod(t.DOUBLE)


class DecimalType(FractionalType):
    """DECIMAL(p, s)."""

    def __init__(self, precision: int = 10, scale: int = 0, nullable: bool = True) -> None:
        DataType.__init__(self, t.DECIMAL(precision, scale).with_nullable(nullable))

    @property
    def precision(self) -> int:
        """Digits."""
        return self._sql.precision

    @property
    def scale(self) -> int:
        """Digits behind the point."""
        return self._sql.scale


class DateType(AtomicType):
    """DATE."""

    _make = staticmethod(t.DATE)


class _PrecisionType(AtomicType):
    _of_precision: ClassVar[Callable[[int], SqlType]]
    _default: ClassVar[int] = 6

    def __init__(self, precision: int = -1, nullable: bool = True) -> None:
        digits = type(self)._default if precision < 0 else precision
        DataType.__init__(self, type(self)._of_precision(digits).with_nullable(nullable))

    @property
    def precision(self) -> int:
        """Digits of a second."""
        return self._sql.precision


class TimeType(_PrecisionType):
    """TIME(p)."""

    _of_precision = staticmethod(t.TIME)
    _default = 0


class TimestampType(_PrecisionType):
    """TIMESTAMP(p)."""

    _of_precision = staticmethod(t.TIMESTAMP)


class LocalZonedTimestampType(_PrecisionType):
    """TIMESTAMP_LTZ(p)."""

    _of_precision = staticmethod(t.TIMESTAMP_LTZ)


class Resolution:
    """A unit of an interval."""

    def __init__(self, unit: str, precision: int = -1) -> None:
        self._unit = unit
        self._precision = precision

    @property
    def unit(self) -> str:
        """The unit."""
        return self._unit

    @property
    def precision(self) -> int:
        """Digits; -1 for none."""
        return self._precision

    def __str__(self) -> str:
        return self._unit if self._precision < 0 else f"{self._unit}({self._precision})"


class YearMonthIntervalType(AtomicType):
    """INTERVAL YEAR TO MONTH: a number of months."""

    _make = staticmethod(t.INTERVAL_YEAR_MONTH)


class DayTimeIntervalType(AtomicType):
    """INTERVAL DAY TO SECOND: a timedelta."""

    _make = staticmethod(t.INTERVAL_DAY_TIME)


class ArrayType(DataType):
    """ARRAY<element>."""

    def __init__(self, element_type: DataType, nullable: bool = True) -> None:
        self.element_type = element_type
        super().__init__(t.ARRAY(sql_type(element_type)).with_nullable(nullable))


class ListViewType(DataType):
    """A list within an accumulator."""

    def __init__(self, element_type: DataType) -> None:
        self._element_type = element_type
        super().__init__(t.ARRAY(sql_type(element_type)))


class MapType(DataType):
    """MAP<key, value>."""

    def __init__(self, key_type: DataType, value_type: DataType, nullable: bool = True) -> None:
        self.key_type = key_type
        self.value_type = value_type
        super().__init__(t.MAP(sql_type(key_type), sql_type(value_type)).with_nullable(nullable))


class MapViewType(DataType):
    """A dictionary within an accumulator."""

    def __init__(self, key_type: DataType, value_type: DataType) -> None:
        self._key_type = key_type
        self._value_type = value_type
        super().__init__(t.MAP(sql_type(key_type), sql_type(value_type)))


class MultisetType(DataType):
    """MULTISET<element>."""

    def __init__(self, element_type: DataType, nullable: bool = True) -> None:
        self.element_type = element_type
        super().__init__(t.MULTISET(sql_type(element_type)).with_nullable(nullable))


class RowField:
    """A field of a ROW."""

    def __init__(self, name: str, data_type: DataType, description: str | None = None) -> None:
        self.name = name
        self.data_type = data_type
        self.description = description

    def __repr__(self) -> str:
        return f"RowField({self.name}, {self.data_type!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RowField) and (self.name, self.data_type) == (
            other.name,
            other.data_type,
        )

    def __hash__(self) -> int:
        return hash((self.name, self.data_type))


class RowType(DataType):
    """ROW<name type, ...>."""

    def __init__(self, fields: Iterable[RowField] | None = None, nullable: bool = True) -> None:
        self.fields: list[RowField] = []
        super().__init__(t.ROW([]).with_nullable(nullable))
        for field in fields or ():
            self.add(field)

    @property
    def names(self) -> list[str]:
        """The fields' names."""
        return [f.name for f in self.fields]

    def add(self, field: RowField | str, data_type: DataType | None = None) -> RowType:
        """Append a field; the same object."""
        if isinstance(field, str):
            if data_type is None:
                msg = f"RowType.add({field!r}) lacks the field's type"
                raise InvalidTableError(
                    msg, remedy="add(name, data_type)", location=user_location()
                )
            field = RowField(field, data_type)
        self.fields = [*self.fields, field]
        pairs = [(f.name, sql_type(f.data_type)) for f in self.fields]
        self._sql = t.ROW(pairs).with_nullable(self._sql.nullable)
        return self

    def field_names(self) -> list[str]:
        """The fields' names."""
        return self.names

    def field_types(self) -> list[DataType]:
        """The fields' types."""
        return [f.data_type for f in self.fields]

    def __iter__(self) -> Iterator[RowField]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            for field in self.fields:
                if field.name == key:
                    return field
            raise KeyError(key)
        return RowType(self.fields[key]) if isinstance(key, slice) else self.fields[key]


class UserDefinedType(DataType):
    """PyFlink's internal base of its vectors: not supported in columns."""

    def __init__(self) -> None:
        msg = f"{type(self).__name__} cannot be a column's type"
        raise InvalidTableError(msg, remedy="use ARRAY or ROW", location=user_location())


class ZonedTimestampType(UserDefinedType):
    """TIMESTAMP WITH TIME ZONE, which Flink's SQL does not carry out either."""


class RawType(UserDefinedType):
    """Opaque Python values, which SQL's columns do not hold."""


_CLASSES: Final[dict[TypeRoot, type[DataType]]] = {
    TypeRoot.CHAR: CharType,
    TypeRoot.VARCHAR: VarCharType,
    TypeRoot.BOOLEAN: BooleanType,
    TypeRoot.BINARY: BinaryType,
    TypeRoot.VARBINARY: VarBinaryType,
    TypeRoot.DECIMAL: DecimalType,
    TypeRoot.TINYINT: TinyIntType,
    TypeRoot.SMALLINT: SmallIntType,
    TypeRoot.INTEGER: IntType,
    TypeRoot.BIGINT: BigIntType,
    TypeRoot.FLOAT: FloatType,
    TypeRoot.DOUBLE: DoubleType,
    TypeRoot.DATE: DateType,
    TypeRoot.TIME: TimeType,
    TypeRoot.TIMESTAMP: TimestampType,
    TypeRoot.TIMESTAMP_LTZ: LocalZonedTimestampType,
    TypeRoot.YEAR_MONTH: YearMonthIntervalType,
    TypeRoot.DAY_TIME: DayTimeIntervalType,
    TypeRoot.NULL: NullType,
}


def data_type(sql: SqlType) -> DataType:
    """The Table API's type of an SQL type.

    >>> data_type(t.ROW([("a", t.INT())])).field_names()
    ['a']
    """
    match sql.root:
        case TypeRoot.ARRAY:
            return ArrayType(data_type(sql.element), sql.nullable)
        case TypeRoot.MULTISET:
            return MultisetType(data_type(sql.element), sql.nullable)
        case TypeRoot.MAP:
            key, value = map(data_type, sql.children)
            return MapType(key, value, sql.nullable)
        case TypeRoot.ROW:
            fields = [
                RowField(n, data_type(c)) for n, c in zip(sql.names, sql.children, strict=True)
            ]
            return RowType(fields, sql.nullable)
    made = DataType.__new__(_CLASSES[sql.root])
    made._sql = sql
    return made


def sql_type(given: Any) -> SqlType:
    """The SQL type of a DataType, a text such as ``"BIGINT NOT NULL"``, an Arrow type or a SqlType.

    Raises:
        InvalidTableError: it is none of these.
    """
    match given:
        case DataType():
            return given.sql
        case SqlType():
            return given
        case pa.DataType():
            return t.from_arrow(given)
        case str():
            try:
                return parse_type(given)
            except SqlExpressionError as error:
                raise InvalidTableError(
                    error.message, remedy=error.remedy, location=user_location()
                ) from None
        case RowField():
            return sql_type(given.data_type)
    msg = f"a data type is expected, not {given!r:.80} ({type(given).__name__})"
    remedy = "write DataTypes.BIGINT() or 'BIGINT'"
    raise InvalidTableError(msg, remedy=remedy, location=user_location())


def from_arrow_type(arrow_type: pa.DataType, nullable: bool = True) -> DataType:
    """The type for columns of an Arrow type."""
    return data_type(t.from_arrow(arrow_type, nullable))


def to_arrow_type(data_type: DataType) -> pa.DataType:
    """How values of a type are kept in a column."""
    return sql_type(data_type).to_arrow()


def create_arrow_schema(field_names: Sequence[str], field_types: Sequence[DataType]) -> pa.Schema:
    """Names and types as Arrow has them."""
    return pa.schema(
        [
            pa.field(n, sql_type(k).to_arrow(), nullable=sql_type(k).nullable)
            for n, k in zip(field_names, field_types, strict=True)
        ]
    )
