"""Rows of Arrow columns as runs of bytes, in which every column has a place of its own.

::

    null bits | values of fixed size | ends of values of variable size (4 bytes each) | their bytes

Ends are relative to the row. Equal rows, and only those, are equal bytes: a null's value is zeros
or nothing, a NaN has one form. A struct is its null bit and its fields, a list is a value of
variable size: its items as rows, each behind its size (4 bytes); a map is a list of structs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.types as pat

from lesto.kernels import arrow
from lesto.kernels.jit import native
from lesto.kernels.keycodec import NO_NULLS, is_text, null_flags

Addresses = npt.NDArray[np.int64]
Sizes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.uint8]

#: Bytes behind a row's end that loops may read.
SPARE: Final = 32
_ITEM_HEAD: Final = 4
_MAX_SMALL: Final = (1 << 31) - 1

_Kind = Literal["null", "bits", "words", "wide", "text", "list", "struct"]
_WORDS: Final = {8: np.uint8, 32: np.uint32, 64: np.uint64}


@dataclass(slots=True)
class _Leaf:
    """A column, or a field of one: its null bit and the place of its value."""

    kind: _Kind
    type: pa.DataType
    byte: int = 0
    bit: int = 0
    place: int = 0
    width: int = 0
    #: Texts and lists: where the first one's bytes begin; -1: where those of the one before end.
    first: int = -1
    item: RowCodec | None = None
    children: list[_Leaf] = field(default_factory=list)
    #: Whether a null may have been written.
    nulls: bool = False


@dataclass(slots=True)
class Prepared:
    """Columns on their way into rows.

    Attributes:
        sizes: int64[n] bytes of each row.
    """

    sizes: Sizes
    parts: list[tuple[_Leaf, Any, Flags]]


class RowCodec:
    """Writes and reads rows of some column types.

    Args:
        types: Arrow types of the columns.
        merged_zeros: whether -0.0 becomes 0.0 (keys).

    Attributes:
        fixed: bytes of a row without its values of variable size.
        texts: number of values of variable size.

    Raises:
        TypeError: a type has no row form.
    """

    def __init__(self, types: Sequence[pa.DataType], *, merged_zeros: bool = False) -> None:
        self.types = list(types)
        self._merged_zeros = merged_zeros
        flat: list[_Leaf] = []
        self._leaves = [self._leaf(kind, flat) for kind in self.types]
        self._null_bytes = at = (len(flat) + 7) >> 3
        for i, leaf in enumerate(flat):
            leaf.byte, leaf.bit = i >> 3, i & 7
            if leaf.kind in ("bits", "words", "wide"):
                leaf.place = at
                at += leaf.width
        texts = [leaf for leaf in flat if leaf.kind in ("text", "list")]
        for leaf in texts:
            leaf.place = at
            at += 4
        self.fixed, self.texts = at, len(texts)
        if texts:
            texts[0].first = at
        self._flat = flat

    def _leaf(self, kind: pa.DataType, flat: list[_Leaf]) -> _Leaf:
        if isinstance(kind, pa.BaseExtensionType):
            kind = kind.storage_type
        if pat.is_dictionary(kind):
            kind = kind.value_type
        if pat.is_null(kind):
            return _Leaf("null", kind)
        leaf = _Leaf("wide", kind)
        flat.append(leaf)
        if pat.is_boolean(kind):
            leaf.kind, leaf.width = "bits", 1
        elif pat.is_struct(kind):
            leaf.kind = "struct"
            leaf.children = [self._leaf(child.type, flat) for child in kind.fields]
        elif pat.is_map(kind):
            leaf.kind = "list"
            leaf.item = self._nested(pa.struct([kind.key_field, kind.item_field]))
        elif pat.is_list(kind) or pat.is_large_list(kind):
            leaf.kind = "list"
            leaf.item = self._nested(kind.value_type)
        elif pat.is_fixed_size_binary(kind):
            leaf.width = int(kind.byte_width)
        elif is_text(kind):
            leaf.kind = "text"
        elif pat.is_primitive(kind) or pat.is_decimal(kind):
            leaf.width = int(kind.bit_width) // 8
            leaf.kind = "words" if int(kind.bit_width) in _WORDS else "wide"
        else:
            msg = f"a column of type {kind} cannot be kept in rows"
            raise TypeError(msg)
        return leaf

    def _nested(self, kind: pa.DataType) -> RowCodec:
        return RowCodec([kind], merged_zeros=self._merged_zeros)

    def may_have_nulls(self) -> None:
        """Rows that this codec did not write will be read."""
        for leaf in self._flat:
            leaf.nulls = True
            if leaf.item is not None:
                leaf.item.may_have_nulls()

    # -- writing

    def prepare(self, arrays: Sequence[pa.Array], n: int) -> Prepared:
        """Look at ``n`` rows, so that the room they need is known."""
        prepared = Prepared(np.full(n, self.fixed, np.int64), [])
        for leaf, arr in zip(self._leaves, arrays, strict=True):
            self._prepare(leaf, arr, NO_NULLS, prepared)
        return prepared

    def _prepare(self, leaf: _Leaf, arr: pa.Array, above: Flags, to: Prepared) -> None:
        if leaf.kind == "null":
            return
        arr = arrow.plain(arr)
        nulls = null_flags(arr)
        if len(above):
            nulls = nulls | above if len(nulls) else above
        if len(nulls):
            leaf.nulls = True
        if leaf.kind == "struct":
            to.parts.append((leaf, None, nulls))
            for i, child in enumerate(leaf.children):
                self._prepare(child, arr.field(i), nulls, to)
            return
        if leaf.kind in ("text", "list"):
            values: Any = self._items(leaf, arr) if leaf.item else arrow.offsets_and_data(arr)
            native("rowbytes").add_sizes(values[0], nulls, to.sizes)
        else:
            values = self._values(leaf, arr)
        to.parts.append((leaf, values, nulls))

    def _values(self, leaf: _Leaf, arr: pa.Array) -> npt.NDArray[Any]:
        n, buffer = len(arr), arr.buffers()[1]
        if leaf.kind == "bits":
            return arrow.unpack_bits(buffer, arr.offset, n)
        if leaf.kind == "wide":
            return arrow.view(buffer, np.uint8, arr.offset * leaf.width, n * leaf.width)
        dtype = _WORDS[leaf.width * 8]
        words = arrow.view(buffer, dtype, arr.offset, n)
        if pat.is_floating(arr.type):
            floats = words.view(arr.type.to_pandas_dtype())
            odd = np.isnan(floats)
            if self._merged_zeros:
                floats = floats + floats.dtype.type(0)
            if odd.any():
                floats = np.where(odd, floats.dtype.type(np.nan), floats)
            words = floats.view(dtype)
        return words

    @staticmethod
    def _items(leaf: _Leaf, arr: pa.Array) -> tuple[Sizes, Flags]:
        """Lists as bytes: offsets and the items' rows behind their sizes."""
        codec = leaf.item
        assert codec is not None
        dtype = np.int64 if pat.is_large_list(arr.type) else np.int32
        offsets = arrow.view(arr.buffers()[1], dtype, arr.offset, len(arr) + 1).astype(np.int64)
        offsets_from = int(offsets[0])
        if pat.is_map(arr.type):
            fields = [arr.type.key_field, arr.type.item_field]
            items = pa.StructArray.from_arrays([arr.keys, arr.items], fields=fields)
        else:
            items = arr.values
        items = items.slice(offsets_from, int(offsets[-1]) - offsets_from)
        starts, data = codec.encode([items], len(items), head=_ITEM_HEAD)
        return starts[offsets - offsets_from], data

    def encode(
        self, arrays: Sequence[pa.Array], n: int, *, head: int = 0
    ) -> tuple[npt.NDArray[np.int64], Flags]:
        """Rows in memory of their own: where each begins (n + 1), and the bytes with SPARE behind.

        Args:
            arrays: the columns.
            n: number of rows.
            head: 4 to write each row's size in front of it, else 0.
        """
        prepared = self.prepare(arrays, n)
        starts = np.zeros(n + 1, np.int64)
        np.cumsum(prepared.sizes + head, out=starts[1:])
        data = np.empty(int(starts[n]) + SPARE, np.uint8)
        rows = starts[:n] + (data.ctypes.data + head)
        self.write(prepared, rows)
        if head:
            native("rowbytes").write_sizes(rows, prepared.sizes)
        return starts, data

    def write(self, prepared: Prepared, rows: Addresses) -> None:
        """Write rows of ``prepared.sizes`` bytes at addresses."""
        loops = native("rowbytes")
        if self._null_bytes:
            loops.clear(rows, self._null_bytes)
        ends = np.full(len(rows) if self.texts else 0, self.fixed, np.int64)
        for leaf, values, nulls in prepared.parts:
            if len(nulls):
                loops.write_nulls(nulls, rows, leaf.byte, leaf.bit)
            if leaf.kind in ("text", "list"):
                loops.write_text(*values, nulls, rows, ends, leaf.place)
            elif leaf.kind == "wide":
                loops.write_wide(values, leaf.width, nulls, rows, leaf.place)
            elif leaf.kind != "struct":
                write = {1: loops.write8, 4: loops.write32, 8: loops.write64}[leaf.width]
                write(values, nulls, rows, leaf.place)

    # -- reading

    def ends(self, rows: Addresses) -> Addresses:
        """The addresses behind rows."""
        if not self.texts:
            return rows + self.fixed
        out = np.empty(len(rows), np.int64)
        native("rowbytes").part_ends(rows, self.fixed - 4, out)
        return out

    def checked_ends(self, rows: Addresses, limits: Addresses) -> Addresses | None:
        """As :meth:`ends`; None when a row would reach behind its limit or contradicts itself."""
        out = np.empty(len(rows), np.int64)
        wrong = native("rowbytes").check_ends(rows, limits, self.fixed, self.texts, out)
        return out if wrong < 0 else None

    def read(self, rows: Addresses, columns: Sequence[int] | None = None) -> list[pa.Array]:
        """Columns of the rows at some addresses."""
        chosen = range(len(self.types)) if columns is None else columns
        return [_typed(_read(self._leaves[i], rows), self.types[i]) for i in chosen]


def _typed(arr: pa.Array, kind: pa.DataType) -> pa.Array:
    if arr.type == kind:
        return arr
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, arr)
    return arr.dictionary_encode().cast(kind) if pat.is_dictionary(kind) else arr.cast(kind)


def _read(leaf: _Leaf, rows: Addresses) -> pa.Array:
    n = len(rows)
    if leaf.kind == "null":
        return pa.nulls(n)
    loops = native("rowbytes")
    validity, nulls = None, 0
    if leaf.nulls:
        validity, bits = arrow.allocate((n + 7) >> 3, np.uint8)
        nulls = loops.read_nulls(rows, leaf.byte, leaf.bit, bits)
        validity = validity if nulls else None
    if leaf.kind == "text":
        return _read_text(leaf, rows, validity, nulls)
    if leaf.kind == "list":
        return _read_lists(leaf, rows, validity, nulls)
    if leaf.kind == "struct":
        children = [_read(child, rows) for child in leaf.children]
        return pa.Array.from_buffers(leaf.type, n, [validity], nulls, children=children)
    if leaf.kind == "bits":
        buffer, out = arrow.allocate((n + 7) >> 3, np.uint8)
        loops.read_bits(rows, leaf.place, out)
    elif leaf.kind == "wide":
        buffer, out = arrow.allocate(n * leaf.width, np.uint8)
        loops.read_wide(rows, leaf.place, leaf.width, out)
    else:
        buffer, out = arrow.allocate(n, _WORDS[leaf.width * 8])
        {1: loops.read8, 4: loops.read32, 8: loops.read64}[leaf.width](rows, leaf.place, out)
    return pa.Array.from_buffers(leaf.type, n, [validity, buffer], nulls)


def _read_text(leaf: _Leaf, rows: Addresses, validity: Any, nulls: int) -> pa.Array:
    loops, n, kind = native("rowbytes"), len(rows), leaf.type
    ends, offsets = arrow.allocate(n + 1, np.int64)
    total = loops.text_offsets(rows, leaf.first, leaf.place, offsets)
    buffer, out = arrow.allocate(total + SPARE, np.uint8)
    loops.read_text(rows, leaf.first, leaf.place, offsets, out)
    data = buffer.slice(0, total)
    if pat.is_string(kind) or pat.is_binary(kind):
        if total > _MAX_SMALL:
            msg = f"{total} bytes of text in one batch; the limit is {_MAX_SMALL}"
            raise OverflowError(msg)
        small = pa.py_buffer(offsets.astype(np.int32))
        return pa.Array.from_buffers(kind, n, [validity, small, data], nulls)
    unicode = pat.is_large_string(kind) or pat.is_string_view(kind)
    wide = pa.large_string() if unicode else pa.large_binary()
    found = pa.Array.from_buffers(wide, n, [validity, ends, data], nulls)
    return found if found.type == kind else found.cast(kind)


def _read_lists(leaf: _Leaf, rows: Addresses, validity: Any, nulls: int) -> pa.Array:
    loops, n, kind = native("rowbytes"), len(rows), leaf.type
    assert leaf.item is not None
    ends, offsets = arrow.allocate(n + 1, np.int64)
    items = np.empty(loops.count_items(rows, leaf.first, leaf.place, offsets), np.int64)
    loops.item_rows(rows, leaf.first, leaf.place, items)
    (values,) = leaf.item.read(items)
    if not pat.is_large_list(kind):
        if len(items) > _MAX_SMALL:
            msg = f"{len(items)} list items in one batch; the limit is {_MAX_SMALL}"
            raise OverflowError(msg)
        ends = pa.py_buffer(offsets.astype(np.int32))
    return pa.Array.from_buffers(kind, n, [validity, ends], nulls, children=[values])
