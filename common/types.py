"""Type information: optional in Lesto, with PyFlink's names, and mapped to Arrow where Arrow has
the type.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from lesto.common.elements import RowKind
from lesto.common.row import Row, rows_from_columns

__all__ = [
    "BasicType",
    "BasicTypeInfo",
    "ListTypeInfo",
    "MapTypeInfo",
    "PickledBytesTypeInfo",
    "Row",
    "RowKind",
    "RowTypeInfo",
    "TupleTypeInfo",
    "TypeInformation",
    "Types",
    "from_arrow_schema",
    "from_arrow_type",
    "rows_from_columns",
]


class TypeInformation:
    """The type of a stream's records or of a state's value. Types of equal content are equal."""

    def to_arrow(self) -> pa.DataType | None:
        """The Arrow type, or None for opaque Python values."""
        return None

    def arrow_schema(self) -> pa.Schema | None:
        """Columns of a stream of this type; None unless it is a row of Arrow types with names."""
        return None

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
_ARROW: dict[BasicType, pa.DataType] = {
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
        return _ARROW.get(self.basic_type)

    def _content(self) -> tuple[Any, ...]:
        return (self.basic_type,)

    def __repr__(self) -> str:
        return self.basic_type.value


class PickledBytesTypeInfo(TypeInformation):
    """Opaque Python values."""

    def __repr__(self) -> str:
        return "PickledByteArrayTypeInfo"


class ListTypeInfo(TypeInformation):
    """Lists and arrays; ``flavour`` tells Flink's array kinds apart, they are the same here."""

    def __init__(self, element_type: TypeInformation, flavour: str = "List") -> None:
        self.element_type = element_type
        self.flavour = flavour

    def to_arrow(self) -> pa.DataType | None:
        """list<element>; binary for a primitive array of bytes."""
        if self.flavour == "PrimitiveArray" and self.element_type == Types.BYTE():
            return pa.binary()
        inner = self.element_type.to_arrow()
        return None if inner is None else pa.list_(inner)

    def _content(self) -> tuple[Any, ...]:
        return (self.flavour, self.element_type)

    def __repr__(self) -> str:
        return f"{self.flavour}<{self.element_type!r}>"


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


class Types:
    """The factory of type information."""

    @staticmethod
    def STRING() -> TypeInformation:
        """``str``."""
        return BasicTypeInfo(BasicType.STRING)

    @staticmethod
    def BYTE() -> TypeInformation:
        """``int`` of 8 bits."""
        return BasicTypeInfo(BasicType.BYTE)

    @staticmethod
    def BOOLEAN() -> TypeInformation:
        """``bool``."""
        return BasicTypeInfo(BasicType.BOOLEAN)

    @staticmethod
    def SHORT() -> TypeInformation:
        """``int`` of 16 bits."""
        return BasicTypeInfo(BasicType.SHORT)

    @staticmethod
    def INT() -> TypeInformation:
        """``int`` of 32 bits."""
        return BasicTypeInfo(BasicType.INT)

    @staticmethod
    def LONG() -> TypeInformation:
        """``int`` of 64 bits."""
        return BasicTypeInfo(BasicType.LONG)

    @staticmethod
    def FLOAT() -> TypeInformation:
        """``float`` of 32 bits."""
        return BasicTypeInfo(BasicType.FLOAT)

    @staticmethod
    def DOUBLE() -> TypeInformation:
        """``float`` of 64 bits."""
        return BasicTypeInfo(BasicType.DOUBLE)

    @staticmethod
    def CHAR() -> TypeInformation:
        """``str`` of one character."""
        return BasicTypeInfo(BasicType.CHAR)

    @staticmethod
    def BIG_INT() -> TypeInformation:
        """``int`` without bound; opaque to Arrow."""
        return BasicTypeInfo(BasicType.BIG_INT)

    @staticmethod
    def BIG_DEC() -> TypeInformation:
        """``decimal.Decimal``, as decimal(38, 18)."""
        return BasicTypeInfo(BasicType.BIG_DEC)

    @staticmethod
    def INSTANT() -> TypeInformation:
        """:class:`lesto.common.Instant`; a UTC timestamp in columns."""
        return BasicTypeInfo(BasicType.INSTANT)

    @staticmethod
    def SQL_DATE() -> TypeInformation:
        """``datetime.date``."""
        return BasicTypeInfo(BasicType.SQL_DATE)

    @staticmethod
    def SQL_TIME() -> TypeInformation:
        """``datetime.time``."""
        return BasicTypeInfo(BasicType.SQL_TIME)

    @staticmethod
    def SQL_TIMESTAMP() -> TypeInformation:
        """``datetime.datetime`` without zone."""
        return BasicTypeInfo(BasicType.SQL_TIMESTAMP)

    @staticmethod
    def PICKLED_BYTE_ARRAY() -> TypeInformation:
        """Any picklable value."""
        return PickledBytesTypeInfo()

    @staticmethod
    def ROW(field_types: Sequence[TypeInformation]) -> RowTypeInfo:
        """A :class:`Row` with fields f0, f1, ..."""
        return RowTypeInfo(field_types)

    @staticmethod
    def ROW_NAMED(
        field_names: Sequence[str], field_types: Sequence[TypeInformation]
    ) -> RowTypeInfo:
        """A :class:`Row` with named fields."""
        return RowTypeInfo(field_types, field_names)

    @staticmethod
    def TUPLE(field_types: Sequence[TypeInformation]) -> TypeInformation:
        """``tuple``."""
        return TupleTypeInfo(field_types)

    @staticmethod
    def PRIMITIVE_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """``list``; ``bytes`` for elements of BYTE."""
        return ListTypeInfo(element_type, "PrimitiveArray")

    @staticmethod
    def BASIC_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """``list``."""
        return ListTypeInfo(element_type, "BasicArray")

    @staticmethod
    def OBJECT_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """``list``."""
        return ListTypeInfo(element_type, "ObjectArray")

    @staticmethod
    def MAP(key_type_info: TypeInformation, value_type_info: TypeInformation) -> TypeInformation:
        """``dict``."""
        return MapTypeInfo(key_type_info, value_type_info)

    @staticmethod
    def LIST(element_type_info: TypeInformation) -> TypeInformation:
        """``list``."""
        return ListTypeInfo(element_type_info)


def from_arrow_type(data_type: pa.DataType) -> TypeInformation:
    """Type information of an Arrow type; what Flink has no name for is opaque."""
    for basic, arrow in _ARROW.items():
        if arrow.equals(data_type):
            return BasicTypeInfo(basic)
    is_ = pa.types
    if is_.is_large_string(data_type) or is_.is_string_view(data_type):
        return Types.STRING()
    if is_.is_dictionary(data_type):
        return from_arrow_type(data_type.value_type)
    if is_.is_unsigned_integer(data_type):
        return {8: Types.SHORT(), 16: Types.INT(), 32: Types.LONG()}.get(
            data_type.bit_width, Types.BIG_INT()
        )
    if is_.is_decimal(data_type):
        return Types.BIG_DEC()
    if is_.is_timestamp(data_type):
        return Types.SQL_TIMESTAMP() if data_type.tz is None else Types.INSTANT()
    if is_.is_date(data_type):
        return Types.SQL_DATE()
    if is_.is_time(data_type):
        return Types.SQL_TIME()
    if is_.is_binary(data_type) or is_.is_large_binary(data_type):
        return Types.PRIMITIVE_ARRAY(Types.BYTE())
    if is_.is_map(data_type):
        return Types.MAP(from_arrow_type(data_type.key_type), from_arrow_type(data_type.item_type))
    if is_.is_list(data_type) or is_.is_large_list(data_type) or is_.is_fixed_size_list(data_type):
        return Types.LIST(from_arrow_type(data_type.value_type))
    if is_.is_struct(data_type):
        return from_arrow_schema(pa.schema(list(data_type)))
    return Types.PICKLED_BYTE_ARRAY()


def from_arrow_schema(schema: pa.Schema) -> RowTypeInfo:
    """The row type of a columnar stream.

    >>> from_arrow_schema(pa.schema([("a", pa.int64()), ("b", pa.string())]))
    Row(a: Long, b: String)
    """
    return Types.ROW_NAMED(list(schema.names), [from_arrow_type(field.type) for field in schema])
