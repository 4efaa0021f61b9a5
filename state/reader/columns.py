"""Values to Arrow arrays by their :class:`~lesto.state.reader.shapes.Shape`, and back."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from lesto.common.row import Row, rows_from_columns
from lesto.state import codec
from lesto.state.codec import Opaque
from lesto.state.errors import CorruptFileError, UnreadableStateError
from lesto.state.reader.shapes import KIND, Shape, family_of

_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001 - without zone on purpose
_MICROSECOND: Final = dt.timedelta(microseconds=1)


def to_array(shape: Shape, values: Sequence[Any]) -> pa.Array:
    """The values as an Arrow array of the shape's type.

    Raises:
        UnreadableStateError: one batch of them does not fit in Arrow.
    """
    try:
        return _to_array(shape, values)
    except (pa.ArrowException, OverflowError) as error:
        msg = f"a batch of state values does not fit in Arrow as {shape.type}: {error}"
        raise UnreadableStateError(
            msg, remedy="values of 2 GiB and more cannot be shown as columns"
        ) from error


def _to_array(shape: Shape, values: Sequence[Any]) -> pa.Array:
    kind, type_ = shape.kind, shape.type
    if kind == "null":
        return pa.nulls(len(values), type_)
    if kind == "variant":
        return _variant(shape, values)
    if pat.is_struct(type_):
        return _struct(shape, values)
    if pat.is_map(type_):
        return _map(shape, values)
    if pat.is_list(type_):
        return _list(shape, values)
    convert = _SCALARS.get(kind)
    if kind == "int" and pat.is_string(type_):
        convert = hex
    elif kind == "decimal" and pat.is_string(type_):
        convert = str
    elif kind == "str" and pat.is_binary(type_):
        convert = _surrogates
    elif kind == "int" and pat.is_decimal(type_):
        convert = Decimal
    if convert is not None:
        values = [None if value is None else convert(value) for value in values]
    elif kind == "float":
        values = [None if value is None else float(value) for value in values]
    return pa.array(values, type_)


def _surrogates(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


_SCALARS: Final[dict[str, Callable[[Any], Any]]] = {
    "bytearray": bytes,
    "pickle": lambda value: value.data,
    "uuid": str,
    "encoded": codec.encode,
}


def _mask(values: Sequence[Any]) -> tuple[list[Any], pa.Array | None]:
    """Values that are not None, and which ones are."""
    present = [value for value in values if value is not None]
    if len(present) == len(values):
        return present, None
    return present, pa.array([value is None for value in values])


def _struct(shape: Shape, values: Sequence[Any]) -> pa.Array:
    empty = (None,) * len(shape.children)
    columns = list(zip(*(empty if v is None else v for v in values), strict=True))
    columns = columns or [() for _ in shape.children]
    children = [_to_array(c, column) for c, column in zip(shape.children, columns, strict=True)]
    _, mask = _mask(values)
    return pa.StructArray.from_arrays(children, fields=list(shape.type), mask=mask)


def _variant(shape: Shape, values: Sequence[Any]) -> pa.Array:
    families = [None if value is None else family_of(value) for value in values]
    # Beyond the depth that is looked into, everything is encoded.
    families = [f if f is None or f in shape.names else "encoded" for f in families]
    children = []
    for name, child in zip(shape.names, shape.children, strict=True):
        own = [v if f == name else None for f, v in zip(families, values, strict=True)]
        children.append(_to_array(child, own))
    _, mask = _mask(values)
    return pa.StructArray.from_arrays(children, fields=list(shape.type), mask=mask)


def _offsets(values: Sequence[Any]) -> pa.Array:
    """List offsets; None where the list is None."""
    ends = np.cumsum([0, *(0 if v is None else len(v) for v in values)])
    if ends[-1] >= 1 << 31:
        msg = f"{ends[-1]} items in one batch of lists"
        raise OverflowError(msg)
    offsets: list[int | None] = ends.tolist()
    for i, value in enumerate(values):
        if value is None:
            offsets[i] = None
    return pa.array(offsets, pa.int32())


def _list(shape: Shape, values: Sequence[Any]) -> pa.Array:
    items = [item for value in values if value is not None for item in value]
    child = _to_array(shape.children[0], items)
    return pa.ListArray.from_arrays(_offsets(values), child, type=shape.type)


def _map(shape: Shape, values: Sequence[Any]) -> pa.Array:
    keys = [key for value in values if value is not None for key in value]
    items = [item for value in values if value is not None for item in value.values()]
    key, item = shape.children
    return pa.MapArray.from_arrays(
        _offsets(values), _to_array(key, keys), _to_array(item, items), type=shape.type
    )


# ------------------------------------------------------------------------------------------- back


def kind_of(field: pa.Field) -> str | None:
    """What the values of a field are in Python, when the metadata says so."""
    found = (field.metadata or {}).get(KIND)
    return None if found is None else found.decode()


def to_values(array: pa.Array, field: pa.Field) -> list[Any]:
    """The Python values of an array.

    Fields that say nothing of Python give what a stream's rows have: a struct is a named
    :class:`Row`, a list a list, a map a dict.

    Raises:
        UnreadableStateError: the array is not of the kind the field says.
    """
    if isinstance(array, pa.ChunkedArray):
        return [value for chunk in array.chunks for value in to_values(chunk, field)]
    array = undictionaried(array)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    kind = kind_of(field)
    try:
        return _to_values(array, kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError, CorruptFileError) as error:
        msg = f"column '{field.name}' ({array.type}) is no column of {kind or 'state'}: {error}"
        raise UnreadableStateError(
            msg, remedy="cast it to the schema that the reader gave, or drop its metadata"
        ) from error


def undictionaried(array: pa.Array) -> pa.Array:
    """The values of a dictionary-encoded array; any other as it is."""
    if not pat.is_dictionary(array.type):
        return array
    words = array.dictionary
    if pat.is_string_view(words.type):  # pyarrow 26 cannot decode these
        words = words.cast(pa.string())
    elif pat.is_binary_view(words.type):
        words = words.cast(pa.binary())
    return pa.DictionaryArray.from_arrays(array.indices, words).dictionary_decode()


def _to_values(array: pa.Array, kind: str | None) -> list[Any]:
    type_ = array.type
    if pat.is_struct(type_):
        return _from_struct(array, kind)
    if pat.is_map(type_):
        return _from_map(array)
    if pat.is_list(type_) or pat.is_large_list(type_) or pat.is_fixed_size_list(type_):
        return _from_list(array, kind)
    if pat.is_temporal(type_):
        return _from_time(array, kind)
    values: list[Any] = array.to_pylist()
    convert = _BACK.get((kind or "", _class(type_)))
    if convert is not None:
        values = [None if value is None else convert(value) for value in values]
    return values


def _class(type_: pa.DataType) -> str:
    if pat.is_binary(type_) or pat.is_large_binary(type_):
        return "binary"
    if pat.is_string(type_) or pat.is_large_string(type_):
        return "string"
    if pat.is_decimal(type_):
        return "decimal"
    if pat.is_integer(type_):
        return "integer"
    return ""


_BACK: Final[dict[tuple[str, str], Callable[[Any], Any]]] = {
    ("bytearray", "binary"): bytearray,
    ("pickle", "binary"): Opaque,
    ("encoded", "binary"): codec.decode_opaque,
    ("str", "binary"): lambda value: value.decode("utf-8", "surrogatepass"),
    ("uuid", "string"): uuid.UUID,
    ("int", "string"): lambda value: int(value, 16),
    ("int", "decimal"): int,
    ("decimal", "string"): Decimal,
    ("float", "integer"): float,
}


def _absent(array: pa.Array) -> list[bool] | None:
    return None if array.null_count == 0 else array.is_null().to_pylist()


def _with_nulls(values: Sequence[Any], absent: list[bool] | None) -> list[Any]:
    if absent is None:
        return list(values)
    return [None if gone else value for value, gone in zip(values, absent, strict=True)]


def _from_struct(array: pa.Array, kind: str | None) -> list[Any]:
    fields = list(array.type)
    columns = [to_values(child, f) for child, f in zip(array.flatten(), fields, strict=True)]
    if kind == "variant":
        rows = zip(*columns, strict=True)
        return [next((value for value in row if value is not None), None) for row in rows]
    made: Sequence[Any]
    if not columns:
        made = [() if kind == "tuple" else Row() for _ in range(len(array))]
    elif kind == "tuple":
        made = list(zip(*columns, strict=True))
    elif kind == "positional":
        made = [Row(*row) for row in zip(*columns, strict=True)]
    else:
        made = rows_from_columns([f.name for f in fields], columns)
    return _with_nulls(made, _absent(array))


_COLLECTIONS: Final[dict[str, Callable[[list[Any]], Any]]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "positional": lambda part: Row(*part),
}


def _from_list(array: pa.Array, kind: str | None) -> list[Any]:
    field = array.type.value_field
    items = to_values(array.flatten(), field)
    lengths = array.value_lengths().fill_null(0).to_pylist()
    make = _COLLECTIONS.get(kind or "", list)
    made, at = [], 0
    for length in lengths:
        made.append(make(items[at : at + length]))
        at += length
    return _with_nulls(made, _absent(array))


def _from_map(array: pa.Array) -> list[Any]:
    entries = pa.ListArray.from_arrays(array.offsets, _entries(array))
    lengths = entries.value_lengths().to_pylist()
    flat = entries.flatten()
    key, item = array.type.key_field, array.type.item_field
    keys, items = to_values(flat.field(0), key), to_values(flat.field(1), item)
    made, at = [], 0
    for length in lengths:
        made.append(dict(zip(keys[at : at + length], items[at : at + length], strict=True)))
        at += length
    return _with_nulls(made, _absent(array))


def _entries(array: pa.MapArray) -> pa.StructArray:
    return pa.StructArray.from_arrays([array.keys, array.items], ["key", "value"])


def _from_time(array: pa.Array, kind: str | None) -> list[Any]:
    """Times to the microsecond, whatever the unit: Arrow's own way needs pandas for nanoseconds."""
    type_ = array.type
    if pat.is_timestamp(type_):
        zone = type_.tz
        micros = array.cast(pa.timestamp("us", zone)).cast(pa.int64()).to_pylist()
        made = [None if n is None else _EPOCH + n * _MICROSECOND for n in micros]
        if zone is None:
            return made
        utc = [None if value is None else value.replace(tzinfo=dt.UTC) for value in made]
        if kind != "zoned" and zone in ("UTC", "Etc/UTC", "+00:00"):
            return utc
        target = ZoneInfo(zone)
        return [None if value is None else value.astimezone(target) for value in utc]
    if pat.is_duration(type_):
        micros = array.cast(pa.duration("us")).cast(pa.int64()).to_pylist()
        return [None if n is None else n * _MICROSECOND for n in micros]
    if pat.is_time(type_):
        array = array.cast(pa.time64("us"))
    if pat.is_date(type_):
        array = array.cast(pa.date32())
    return array.to_pylist()  # type: ignore[no-any-return]
