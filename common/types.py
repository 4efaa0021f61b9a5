"""Type information: optional in Lesto, with PyFlink's names, and mapped to Arrow where Arrow has
the type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from lesto.common.elements import RowKind
from lesto.common.row import Row, rows_from_columns
from lesto.common.type_classes import (
    ARROW_TYPES,
    BasicArrayTypeInfo,
    BasicType,
    BasicTypeInfo,
    DateTypeInfo,
    ExternalTypeInfo,
    InstantTypeInfo,
    ListTypeInfo,
    LocalTimeTypeInfo,
    MapTypeInfo,
    ObjectArrayTypeInfo,
    PickledBytesTypeInfo,
    PrimitiveArrayTypeInfo,
    RowTypeInfo,
    SqlTimeTypeInfo,
    TimestampTypeInfo,
    TimeTypeInfo,
    TupleTypeInfo,
    TypeInformation,
)

__all__ = [
    "BasicArrayTypeInfo",
    "BasicType",
    "BasicTypeInfo",
    "DateTypeInfo",
    "ExternalTypeInfo",
    "InstantTypeInfo",
    "ListTypeInfo",
    "LocalTimeTypeInfo",
    "MapTypeInfo",
    "ObjectArrayTypeInfo",
    "PickledBytesTypeInfo",
    "PrimitiveArrayTypeInfo",
    "Row",
    "RowKind",
    "RowTypeInfo",
    "SqlTimeTypeInfo",
    "TimeTypeInfo",
    "TimestampTypeInfo",
    "TupleTypeInfo",
    "TypeInformation",
    "Types",
    "from_arrow_schema",
    "from_arrow_type",
    "rows_from_columns",
]


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
        return InstantTypeInfo()

    @staticmethod
    def SQL_DATE() -> TypeInformation:
        """``datetime.date``."""
        return DateTypeInfo()

    @staticmethod
    def SQL_TIME() -> TypeInformation:
        """``datetime.time``."""
        return TimeTypeInfo()

    @staticmethod
    def SQL_TIMESTAMP() -> TypeInformation:
        """``datetime.datetime`` without zone."""
        return TimestampTypeInfo()

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
        return PrimitiveArrayTypeInfo(element_type)

    @staticmethod
    def BASIC_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """``list``."""
        return BasicArrayTypeInfo(element_type)

    @staticmethod
    def OBJECT_ARRAY(element_type: TypeInformation) -> TypeInformation:
        """``list``."""
        return ObjectArrayTypeInfo(element_type)

    @staticmethod
    def MAP(key_type_info: TypeInformation, value_type_info: TypeInformation) -> TypeInformation:
        """``dict``."""
        return MapTypeInfo(key_type_info, value_type_info)

    @staticmethod
    def LIST(element_type_info: TypeInformation) -> TypeInformation:
        """``list``."""
        return ListTypeInfo(element_type_info)


_OF_BASIC: dict[BasicType, Callable[[], BasicTypeInfo]] = {
    BasicType.INSTANT: InstantTypeInfo,
    BasicType.SQL_DATE: DateTypeInfo,
    BasicType.SQL_TIME: TimeTypeInfo,
    BasicType.SQL_TIMESTAMP: TimestampTypeInfo,
}


def from_arrow_type(data_type: pa.DataType) -> TypeInformation:
    """Type information of an Arrow type; what Flink has no name for is opaque."""
    for basic, arrow in ARROW_TYPES.items():
        if arrow.equals(data_type):
            make = _OF_BASIC.get(basic)
            return BasicTypeInfo(basic) if make is None else make()
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
