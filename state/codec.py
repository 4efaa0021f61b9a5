"""Python values to bytes and back, exactly: types, tuple versus list, NaN and signed zero survive.

msgpack carries None, bool, int (64 bits), float, str and bytes as they are. A top-level array is a
tuple, the commonest composite key and value. What msgpack would change (lists at the top, nested
tuples, sets, dicts with composite keys, rows, larger ints) travels as an extension, and a value
nobody here knows as an extension holding a pickle: the last resort, for that leaf alone.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Final

import cloudpickle
import msgspec
from msgspec.msgpack import Ext

from lesto.common.elements import RowKind
from lesto.common.row import Row, row_class
from lesto.state.errors import CorruptFileError, UnencodableStateError

#: Types that msgpack gives back as they were. All are immutable.
SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes})
_SCALARS_AND_TUPLE: Final = SCALARS | {tuple}

_TUPLE, _DICT, _SET, _FROZENSET, _ROW, _BYTEARRAY, _BIG_INT, _LIST, _STR = range(1, 10)
_PICKLE: Final = 100

_UNENCODABLE = (OverflowError, UnicodeEncodeError, TypeError, ValueError)
_pack: Final[Callable[[Any], bytes]] = msgspec.msgpack.Encoder().encode


def encode(value: Any) -> bytes:
    """Bytes of one value.

    Raises:
        UnencodableStateError: the value cannot be pickled either.
    """
    return _encode(value, _pickled)


def encode_key(value: Any) -> bytes:
    """Bytes of one value, decoded as any other, the same at each call for the same content.

    An ordinary pickle notes which parts are one object, so that equal keys could differ as bytes.
    """
    return _encode(value, _pickled_by_content)


def _encode(value: Any, opaque: Callable[[Any], Ext]) -> bytes:
    kind = type(value)
    try:
        if kind in SCALARS or (kind is tuple and SCALARS.issuperset(map(type, value))):
            return _pack(value)
    except _UNENCODABLE:  # an int beyond 64 bits or a lone surrogate
        pass
    try:
        if kind is tuple:
            return _pack([_portable(item, opaque) for item in value])
        portable = _portable(value, opaque)
        return _pack(Ext(_LIST, _pack(portable)) if type(portable) is list else portable)
    except RecursionError:  # it contains itself
        return _pack(opaque(value))


def encode_all(values: Sequence[Any]) -> list[bytes]:
    """Bytes of each value; quick where they are scalars or tuples of scalars."""
    if is_immutable(values):
        try:
            return list(map(_pack, values))
        except _UNENCODABLE:
            pass
    return list(map(encode, values))


def is_immutable(values: Iterable[Any]) -> bool:
    """Whether all values are scalars or flat tuples of scalars: nobody can change them later."""
    values = values if isinstance(values, (list, tuple)) else list(values)
    kinds = set(map(type, values))
    if kinds <= SCALARS:
        return True
    if not kinds <= _SCALARS_AND_TUPLE:
        return False
    parts = values if kinds == {tuple} else [value for value in values if type(value) is tuple]
    return set(map(type, chain.from_iterable(parts))) <= SCALARS


def decode(data: bytes) -> Any:
    """The value of bytes made by :func:`encode`.

    Raises:
        CorruptFileError: the bytes are not such.
    """
    try:
        first = data[0]
        if 0x90 <= first <= 0x9F or first in (0xDC, 0xDD):
            return _unpack_tuple(data)
        return _unpack(data)
    except (msgspec.DecodeError, IndexError) as error:
        msg = f"stored state cannot be decoded: {error}"
        raise CorruptFileError(msg, remedy="restore from another checkpoint") from error


def _portable(value: Any, opaque: Callable[[Any], Ext]) -> Any:
    """The value in what msgpack keeps: scalars, lists, dicts with scalar keys, extensions."""
    kind = type(value)
    if kind in SCALARS:
        if kind is int and not -(1 << 63) <= value < 1 << 64:
            return Ext(_BIG_INT, hex(value).encode())
        if kind is str and not value.isascii():
            return _portable_str(value)
        return value
    if kind is list:
        return value if _plain(value) else [_portable(item, opaque) for item in value]
    if kind is tuple:
        return Ext(_TUPLE, _pack([_portable(item, opaque) for item in value]))
    if kind is dict:
        if _plain(value) and _plain(value.values()):
            return value
        return Ext(_DICT, _pack([_portable(p, opaque) for item in value.items() for p in item]))
    if kind is set or kind is frozenset:
        # Sorted: the order of a set differs from process to process.
        items = sorted(_pack(_portable(item, opaque)) for item in value)
        return Ext(_SET if kind is set else _FROZENSET, _pack(items))
    if kind is bytearray:
        return Ext(_BYTEARRAY, bytes(value))
    if issubclass(kind, Row) and kind is _class_of_row(value):
        fields = [_portable(item, opaque) for item in value]
        return Ext(_ROW, _pack([int(value.get_row_kind()), value.get_field_names(), fields]))
    return opaque(value)


def _class_of_row(row: Row) -> object:
    """The class Lesto itself gives a row with these names; a subclass of the user's differs."""
    names = row.get_field_names()
    return Row if names is None else row_class(tuple(names))


def _plain(values: Iterable[Any]) -> bool:
    """Whether msgpack keeps all of these exactly, without looking at each in Python."""
    kinds = set(map(type, values))
    if not kinds <= SCALARS:
        return False
    try:
        if int in kinds or str in kinds:
            _pack(list(values))
    except _UNENCODABLE:
        return False
    return True


def _portable_str(value: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:
        return Ext(_STR, value.encode("utf-8", "surrogatepass"))
    return value


def _pickled(value: Any) -> Ext:
    """A pickle; by value (cloudpickle) when its class lives in the user's script."""
    try:
        return Ext(_PICKLE, pickle.dumps(value, protocol=5))
    except Exception:  # noqa: BLE001 - users' __reduce__ may raise anything; by value says what
        return _by_value(value)


def _pickled_by_content(value: Any) -> Ext:
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, protocol=5)
    pickler.fast = True  # no memo; keys are hashable, hence without cycles
    try:
        pickler.dump(value)
    except Exception:  # noqa: BLE001 - as in _pickled
        return _by_value(value)
    return Ext(_PICKLE, buffer.getvalue())


def _by_value(value: Any) -> Ext:
    buffer = io.BytesIO()
    try:
        cloudpickle.CloudPickler(buffer, protocol=5).dump(value)
    except Exception as error:
        msg = f"a value of type {type(value).__qualname__} in state cannot be encoded: {error}"
        raise UnencodableStateError(
            msg, remedy="keep plain values in state, or give the class a __reduce__"
        ) from error
    return Ext(_PICKLE, buffer.getvalue())


def _from_ext(code: int, data: memoryview) -> Any:
    if code == _PICKLE:
        return pickle.loads(data)  # written by this job into its own authenticated storage
    if code == _BIG_INT:
        return int(bytes(data), 16)
    if code == _BYTEARRAY:
        return bytearray(data)
    if code == _STR:
        return bytes(data).decode("utf-8", "surrogatepass")
    items = _unpack(data)
    if code == _LIST:
        return items
    if code == _TUPLE:
        return tuple(items)
    if code == _DICT:
        return dict(zip(items[::2], items[1::2], strict=True))
    if code == _SET:
        return set(map(_unpack, items))
    if code == _FROZENSET:
        return frozenset(map(_unpack, items))
    if code == _ROW:
        kind, names, fields = items
        row = Row(*fields) if names is None else row_class(tuple(names))(fields)
        if kind:
            row.set_row_kind(RowKind(kind))
        return row
    msg = f"unknown extension {code}"
    raise msgspec.DecodeError(msg)


_unpack: Final[Callable[[Any], Any]] = msgspec.msgpack.Decoder(ext_hook=_from_ext).decode
_unpack_tuple: Final[Callable[[Any], Any]] = msgspec.msgpack.Decoder(
    tuple, ext_hook=_from_ext
).decode
