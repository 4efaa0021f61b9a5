"""The classes of type information; made by :class:`lesto.common.types.Types`."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa


class TypeInformation:
    """The type of a stream's records or of a state's value. Types of equal content are equal."""

    def to_arrow(self) -> pa.DataType | None:
        """The Arrow type, or None for opaque Python values."""
        return None

    def arrow_schema(self) -> pa.Schema | None:
        """Columns of a stream of this type; None unless it is a row of Arrow types with names."""
        return None

    def need_conversion(self) -> bool:
        """Always False: values are never turned into others of the JVM."""
        return False

    def to_internal_type(self, obj: Any) -> Any:
        """The value itself: there is no other form of it."""
        return obj

    def from_internal_type(self, obj: Any) -> Any:
        """The value itself: there is no other form of it."""
        return obj

    def _content(self) -> tuple[Any, ...]:
        return ()

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, TypeInformation)
            and type(self) is type(other)
            and self._content() == other._content()
        )

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._content()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self._content() or ''}"


class BasicType(enum.Enum):
    """The basic types; the values are Flink's names."""

    STRING = "String"
    BYTE = "Byte"
    BOOLEAN = "Boolean"
    SHORT = "Short"
    INT = "Integer"
    LONG = "Long"
    FLOAT = "Float"
    DOUBLE = "Double"
    CHAR = "Char"
    BIG_INT = "BigInteger"
    BIG_DEC = "BigDecimal"
    INSTANT = "Instant"
    SQL_DATE = "SqlDate"
    SQL_TIME = "SqlTime"
    SQL_TIMESTAMP = "SqlTimestamp"


#: BIG_INT has no Arrow counterpart (unbounded); BIG_DEC is Flink SQL's widest DECIMAL.
ARROW_TYPES: dict[BasicType, pa.DataType] = {
    BasicType.STRING: pa.string(),
    BasicType.BYTE: pa.int8(),
    BasicType.BOOLEAN: pa.bool_(),
    BasicType.SHORT: pa.int16(),
    BasicType.INT: pa.int32(),
    BasicType.LONG: pa.int64(),
    BasicType.FLOAT: pa.float32(),
    BasicType.DOUBLE: pa.float64(),
    BasicType.CHAR: pa.string(),
    BasicType.BIG_DEC: pa.decimal128(38, 18),
    BasicType.INSTANT: pa.timestamp("us", "UTC"),
    BasicType.SQL_DATE: pa.date32(),
    BasicType.SQL_TIME: pa.time64("us"),
    BasicType.SQL_TIMESTAMP: pa.timestamp("us"),
}


class BasicTypeInfo(TypeInformation):
    """One of :class:`BasicType`."""

    def __init__(self, basic_type: BasicType) -> None:
        self.basic_type = basic_type

    def to_arrow(self) -> pa.DataType | None:
        """The Arrow type."""
        return ARROW_TYPES.get(self.basic_type)

    def _content(self) -> tuple[Any, ...]:
        return (self.basic_type,)

    def __repr__(self) -> str:
        return self.basic_type.value

    @staticmethod
    def STRING_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.STRING()``."""
        return BasicTypeInfo(BasicType.STRING)

    @staticmethod
    def BOOLEAN_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.BOOLEAN()``."""
        return BasicTypeInfo(BasicType.BOOLEAN)

    @staticmethod
    def BYTE_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.BYTE()``."""
        return BasicTypeInfo(BasicType.BYTE)

    @staticmethod
    def SHORT_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.SHORT()``."""
        return BasicTypeInfo(BasicType.SHORT)

    @staticmethod
    def INT_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.INT()``."""
        return BasicTypeInfo(BasicType.INT)

    @staticmethod
    def LONG_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.LONG()``."""
        return BasicTypeInfo(BasicType.LONG)

    @staticmethod
    def FLOAT_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.FLOAT()``."""
        return BasicTypeInfo(BasicType.FLOAT)

    @staticmethod
    def DOUBLE_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.DOUBLE()``."""
        return BasicTypeInfo(BasicType.DOUBLE)

    @staticmethod
    def CHAR_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.CHAR()``."""
        return BasicTypeInfo(BasicType.CHAR)

    @staticmethod
    def BIG_INT_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.BIG_INT()``."""
        return BasicTypeInfo(BasicType.BIG_INT)

    @staticmethod
    def BIG_DEC_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.BIG_DEC()``."""
        return BasicTypeInfo(BasicType.BIG_DEC)

    @staticmethod
    def INSTANT_TYPE_INFO() -> BasicTypeInfo:
        """As ``Types.INSTANT()``."""
        return InstantTypeInfo()


class InstantTypeInfo(BasicTypeInfo):
    """``lesto.common.Instant``."""

    def __init__(self, basic_type: BasicType = BasicType.INSTANT) -> None:
        super().__init__(basic_type)


class DateTypeInfo(BasicTypeInfo):
    """``datetime.date``."""

    #: The day 1970-01-01 as ``date.toordinal`` counts it.
    EPOCH_ORDINAL = 719_163

    def __init__(self) -> None:
        super().__init__(BasicType.SQL_DATE)

    def to_internal_type(self, d: Any) -> Any:
        """The value itself."""
        return d

    def from_internal_type(self, v: Any) -> Any:
        """The value itself."""
        return v


class TimeTypeInfo(BasicTypeInfo):
    """``datetime.time``."""

    #: Offset (microseconds) of the start of a day from midnight: none, times have no zone.
    EPOCH_ORDINAL = 0

    def __init__(self) -> None:
        super().__init__(BasicType.SQL_TIME)

    def to_internal_type(self, t: Any) -> Any:
        """The value itself."""
        return t

    def from_internal_type(self, t: Any) -> Any:
        """The value itself."""
        return t


class TimestampTypeInfo(BasicTypeInfo):
    """``datetime.datetime`` without zone."""

    def __init__(self) -> None:
        super().__init__(BasicType.SQL_TIMESTAMP)

    def to_internal_type(self, dt: Any) -> Any:
        """The value itself."""
        return dt

    def from_internal_type(self, ts: Any) -> Any:
        """The value itself."""
        return ts


class SqlTimeTypeInfo(TypeInformation):
    """Dates and times of SQL."""

    @staticmethod
    def DATE() -> DateTypeInfo:
        """As ``Types.SQL_DATE()``."""
        return DateTypeInfo()

    @staticmethod
    def TIME() -> TimeTypeInfo:
        """As ``Types.SQL_TIME()``."""
        return TimeTypeInfo()

    @staticmethod
    def TIMESTAMP() -> TimestampTypeInfo:
        """As ``Types.SQL_TIMESTAMP()``."""
        return TimestampTypeInfo()


class LocalTimeTypeInfo(TypeInformation):
    """Dates and times without zone, by Java's names of them."""

    class TimeType(enum.Enum):
        """Java's three classes."""

        LOCAL_DATE = 0
        LOCAL_TIME = 1
        LOCAL_DATE_TIME = 2

    def __init__(self, time_type: TimeType) -> None:
        self.time_type = time_type

    def to_arrow(self) -> pa.DataType:
        """date32, time64 or timestamp, the latter two in microseconds."""
        kind = LocalTimeTypeInfo.TimeType
        if self.time_type is kind.LOCAL_DATE:
            return pa.date32()
        return pa.time64("us") if self.time_type is kind.LOCAL_TIME else pa.timestamp("us")

    def _content(self) -> tuple[Any, ...]:
        return (self.time_type,)

    def __repr__(self) -> str:
        return self.time_type.name


class ExternalTypeInfo(TypeInformation):
    """A type as it comes from a table."""

    def __init__(self, type_info: TypeInformation) -> None:
        self.type_info = type_info

    def to_arrow(self) -> pa.DataType | None:
        """As the type it holds."""
        return self.type_info.to_arrow()

    def arrow_schema(self) -> pa.Schema | None:
        """As the type it holds."""
        return self.type_info.arrow_schema()

    def _content(self) -> tuple[Any, ...]:
        return (self.type_info,)

    def __repr__(self) -> str:
        return repr(self.type_info)


class PickledBytesTypeInfo(TypeInformation):
    """Opaque Python values."""

    def __repr__(self) -> str:
        return "PickledByteArrayTypeInfo"


class ListTypeInfo(TypeInformation):
    """Lists and arrays; ``flavour`` tells Flink's array kinds apart, they are the same here."""

    flavour = "List"

    def __init__(self, element_type: TypeInformation) -> None:
        self.element_type = element_type

    def to_arrow(self) -> pa.DataType | None:
        """list<element>; binary for a primitive array of bytes."""
        if self.flavour == "PrimitiveArray" and self.element_type == BasicTypeInfo(BasicType.BYTE):
            return pa.binary()
        inner = self.element_type.to_arrow()
        return None if inner is None else pa.list_(inner)

    def _content(self) -> tuple[Any, ...]:
        return (self.flavour, self.element_type)

    def __repr__(self) -> str:
        return f"{self.flavour}<{self.element_type!r}>"


class PrimitiveArrayTypeInfo(ListTypeInfo):
    """Flink's arrays of unboxed values; of BYTE they are ``bytes``."""

    flavour = "PrimitiveArray"


class BasicArrayTypeInfo(ListTypeInfo):
    """Flink's arrays of boxed values."""

    flavour = "BasicArray"


class ObjectArrayTypeInfo(ListTypeInfo):
    """Flink's arrays of anything."""

    flavour = "ObjectArray"


class MapTypeInfo(TypeInformation):
    """Dictionaries."""

    def __init__(self, key_type_info: TypeInformation, value_type_info: TypeInformation) -> None:
        self.key_type = key_type_info
        self.value_type = value_type_info

    def to_arrow(self) -> pa.DataType | None:
        """map<key, value>."""
        key, value = self.key_type.to_arrow(), self.value_type.to_arrow()
        return None if key is None or value is None else pa.map_(key, value)

    def _content(self) -> tuple[Any, ...]:
        return (self.key_type, self.value_type)

    def __repr__(self) -> str:
        return f"Map<{self.key_type!r}, {self.value_type!r}>"


class TupleTypeInfo(TypeInformation):
    """Tuples of a fixed length."""

    def __init__(self, field_types: Sequence[TypeInformation]) -> None:
        self.field_types = list(field_types)

    def get_field_types(self) -> list[TypeInformation]:
        """Types by position."""
        return self.field_types

    def to_arrow(self) -> pa.DataType | None:
        """A struct with fields f0, f1, ..."""
        return _struct([f"f{i}" for i in range(len(self.field_types))], self.field_types)

    def _content(self) -> tuple[Any, ...]:
        return tuple(self.field_types)

    def __repr__(self) -> str:
        return f"Tuple<{', '.join(map(repr, self.field_types))}>"


class RowTypeInfo(TypeInformation):
    """Rows; fields are f0, f1, ... unless named."""

    def __init__(
        self, field_types: Sequence[TypeInformation], field_names: Sequence[str] | None = None
    ) -> None:
        self.field_types = list(field_types)
        self.named = field_names is not None
        self.field_names = (
            [f"f{i}" for i in range(len(self.field_types))]
            if field_names is None
            else list(field_names)
        )
        if len(self.field_names) != len(self.field_types):
            msg = f"{len(self.field_names)} field names for {len(self.field_types)} field types"
            raise ValueError(msg)
        if len(set(self.field_names)) != len(self.field_names):
            msg = f"field names repeat: {self.field_names}"
            raise ValueError(msg)

    def get_field_names(self) -> list[str]:
        """Names by position."""
        return self.field_names

    def get_field_types(self) -> list[TypeInformation]:
        """Types by position."""
        return self.field_types

    def get_field_index(self, field_name: str) -> int:
        """Position of a field, -1 when there is none."""
        return self.field_names.index(field_name) if field_name in self.field_names else -1

    def to_arrow(self) -> pa.DataType | None:
        """A struct."""
        return _struct(self.field_names, self.field_types)

    def arrow_schema(self) -> pa.Schema | None:
        """Columns of a stream of such rows."""
        struct = self.to_arrow()
        return None if struct is None else pa.schema(list(struct))

    def _content(self) -> tuple[Any, ...]:
        return (tuple(self.field_names), tuple(self.field_types))

    def __repr__(self) -> str:
        fields = zip(self.field_names, self.field_types, strict=True)
        return f"Row({', '.join(f'{name}: {t!r}' for name, t in fields)})"


def _struct(names: Iterable[str], types: Iterable[TypeInformation]) -> pa.DataType | None:
    arrow = [t.to_arrow() for t in types]
    if any(t is None for t in arrow):
        return None
    return pa.struct(list(zip(names, arrow, strict=True)))
