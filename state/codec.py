"""Python values to bytes and back, exactly: types, tuple versus list, NaN and signed zero survive.

msgpack carries None, bool, int (64 bits), float, str and bytes as they are. A top-level array is a
tuple, the commonest composite key and value. What msgpack would change (lists at the top, nested
tuples, sets, dicts with composite keys, rows, larger ints, decimals, times) travels as an
extension, and a value nobody here knows as an extension holding a pickle: the last resort, for that
leaf alone. Who reads state without trusting it leaves pickles alone (:func:`decode_opaque`).
"""

from __future__ import annotations

import datetime as dt
import io
import pickle
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any, Final
from zoneinfo import ZoneInfo

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
_DECIMAL, _DATETIME, _DATE, _TIME, _DURATION, _UUID = range(10, 16)
_PICKLE: Final = 100

_UNENCODABLE = (OverflowError, UnicodeEncodeError, TypeError, ValueError)
_pack: Final[Callable[[Any], bytes]] = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value that is stored as a pickle and was not loaded; encoding gives the pickle back.

    Attributes:
        data: the pickle.
    """

    data: bytes

    def __len__(self) -> int:
        return len(self.data)


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
    values = values if isinstance(values, Collection) else list(values)
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
        raise _undecodable(error) from error


def decode_opaque(data: bytes) -> Any:
    """As :func:`decode`, with an :class:`Opaque` for each pickle: runs no code of the state's.

    Raises:
        CorruptFileError: the bytes are not such.
    """
    try:
        first = data[0]
        if 0x90 <= first <= 0x9F or first in (0xDC, 0xDD):
            return _unpack_tuple_opaque(data)
        return _unpack_opaque(data)
    except (msgspec.DecodeError, LookupError, ValueError, TypeError, ArithmeticError) as error:
        raise _undecodable(error) from error


def _undecodable(error: Exception) -> CorruptFileError:
    msg = f"stored state cannot be decoded: {error}"
    return CorruptFileError(msg, remedy="restore from another checkpoint")


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
    return _portable_leaf(value) or opaque(value)


def _portable_leaf(value: Any) -> Ext | None:
    """The standard library's values that have one obvious form; None for all others."""
    kind = type(value)
    if kind is Decimal:
        return Ext(_DECIMAL, str(value).encode())
    if kind is dt.datetime:
        zone = _zone(value.tzinfo)
        plain = value.replace(tzinfo=None, fold=0).isoformat()
        return None if zone is None else Ext(_DATETIME, _pack([plain, value.fold, zone]))
    if kind is dt.date:
        return Ext(_DATE, value.isoformat().encode())
    if kind is dt.time:
        zone = _zone(value.tzinfo)
        plain = value.replace(tzinfo=None, fold=0).isoformat()
        return None if zone is None else Ext(_TIME, _pack([plain, value.fold, zone]))
    if kind is dt.timedelta:
        return Ext(_DURATION, _pack([value.days, value.seconds, value.microseconds]))
    if kind is uuid.UUID and value.is_safe is uuid.SafeUUID.unknown:
        return Ext(_UUID, value.bytes)
    if kind is Opaque:
        return Ext(_PICKLE, value.data)
    return None


def _zone(zone: Any) -> list[Any] | None:
    """A time zone as [] (none), [microseconds] or [name]; None for one that only pickle knows."""
    if zone is None:
        return []
    if type(zone) is dt.timezone:
        offset = zone.utcoffset(None)
        named = dt.timezone(offset).tzname(None) != zone.tzname(None)
        return None if named else [offset // dt.timedelta(microseconds=1)]
    if type(zone) is ZoneInfo and zone.key:
        return [zone.key]
    return None


def _from_zone(zone: list[Any]) -> dt.tzinfo | None:
    if not zone:
        return None
    (what,) = zone
    return ZoneInfo(what) if isinstance(what, str) else dt.timezone(dt.timedelta(microseconds=what))


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


def _load_pickle(data: memoryview) -> Any:
    return pickle.loads(data)  # written by this job into its own authenticated storage


def _keep_pickle(data: memoryview) -> Opaque:
    return Opaque(bytes(data))


def _leaf(code: int, data: memoryview, unpack: Callable[[Any], Any]) -> Any:
    if code == _DECIMAL:
        return Decimal(bytes(data).decode())
    if code == _DATE:
        return dt.date.fromisoformat(bytes(data).decode())
    if code == _UUID:
        return uuid.UUID(bytes=bytes(data))
    items = unpack(data)
    if code == _DURATION:
        return dt.timedelta(*items)
    if code in (_DATETIME, _TIME):
        kind = dt.datetime if code == _DATETIME else dt.time
        return kind.fromisoformat(items[0]).replace(fold=items[1], tzinfo=_from_zone(items[2]))
    msg = f"unknown extension {code}"
    raise msgspec.DecodeError(msg)


Unpack = Callable[[Any], Any]


def _decoders(load: Callable[[memoryview], Any]) -> tuple[Unpack, Unpack]:
    """Decoders of values, and of top-level arrays as tuples, that hand pickles to ``load``."""

    def from_ext(code: int, data: memoryview) -> Any:
        if code == _PICKLE:
            return load(data)
        if code == _BIG_INT:
            return int(bytes(data), 16)
        if code == _BYTEARRAY:
            return bytearray(data)
        if code == _STR:
            return bytes(data).decode("utf-8", "surrogatepass")
        if code > _STR:
            return _leaf(code, data, unpack)
        items = unpack(data)
        if code == _LIST:
            return items
        if code == _TUPLE:
            return tuple(items)
        if code == _DICT:
            return dict(zip(items[::2], items[1::2], strict=True))
        if code == _SET:
            return set(map(unpack, items))
        if code == _FROZENSET:
            return frozenset(map(unpack, items))
        if code == _ROW:
            kind, names, fields = items
            row = Row(*fields) if names is None else row_class(tuple(names))(fields)
            if kind:
                row.set_row_kind(RowKind(kind))
            return row
        msg = f"unknown extension {code}"
        raise msgspec.DecodeError(msg)

    unpack: Unpack = msgspec.msgpack.Decoder(ext_hook=from_ext).decode
    return unpack, msgspec.msgpack.Decoder(tuple, ext_hook=from_ext).decode


_unpack, _unpack_tuple = _decoders(_load_pickle)
_unpack_opaque, _unpack_tuple_opaque = _decoders(_keep_pickle)
