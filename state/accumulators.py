"""What a state table keeps beside its keys: a column of accumulators each, by slot.

Numbers lie in one array of 64-bit words, decimals in two words each, texts (and whatever else is
encoded as bytes) as the hash index keeps its keys: up to 12 bytes in two words, longer ones in an
arena.

On disk the accumulators of a row are packed in order: a count as 8 bytes, a number as 8 bytes and
one that says whether it has had a value, a decimal as 16 and one. Texts follow, each with its
length. A row without texts has a fixed width and no lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from lesto.kernels import arrow, keycodec
from lesto.kernels.jit import native

Slots = npt.NDArray[np.int64]
Flags = npt.NDArray[np.uint8]

AccumulatorKind = Literal["count", "sum", "min", "max", "first", "last"]
AccumulatorType = Literal["int64", "float64", "decimal128", "text"]

_SHORT: Final = 12
_ARENA_BYTES: Final = 256


@dataclass(frozen=True, slots=True)
class AccumulatorSpec:
    """One accumulator of a table.

    Attributes:
        name: unique in the table; restored state is matched by it.
        kind: how values are folded; a count has no null, all others start as null.
        dtype: what is kept; a count is int64.
        type: Arrow type of the values, for those who read snapshots; None: that of the dtype.
        width: of a count, how many there are side by side.
    """

    name: str
    kind: AccumulatorKind
    dtype: AccumulatorType = "int64"
    type: pa.DataType | None = field(default=None, compare=False)
    width: int = 1


def spec_of(described: Sequence[Any], kind: pa.DataType | None = None) -> AccumulatorSpec:
    """What a snapshot says of an accumulator: name, kind, dtype, and a width other than 1."""
    name, how, dtype, *width = described
    return AccumulatorSpec(name, how, dtype, kind, *width)


class Accumulator:
    """The arrays of one accumulator, replaced when the table grows: read them anew each batch.

    Attributes:
        spec: name, kind and dtype.
        values: by slot: int64[m] or float64[m]; of decimals int64[2 * m], low word first; of
            texts uint64[2 * m] as the hash index has its keys.
        seen: uint8[m], 0 while a slot has had no value; not used by counts.
    """

    __slots__ = ("seen", "spec", "values")

    #: Words a slot.
    width: int = 1

    def __init__(self, spec: AccumulatorSpec, size: int) -> None:
        self.spec = spec
        self.values: npt.NDArray[Any] = np.zeros(self.width * size, _DTYPES[spec.dtype])
        self.seen: Flags = np.zeros(0 if spec.kind == "count" else size, np.uint8)

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        return int(self.values.nbytes + self.seen.nbytes)

    def resize(self, size: int) -> None:
        """Make room for so many slots."""
        self.values = _longer(self.values, self.width * size)
        if self.spec.kind != "count":
            self.seen = _longer(self.seen, size)

    def reset(self, slots: Slots) -> None:
        """Empty some slots."""
        self.values[slots] = 0
        if len(self.seen):
            self.seen[slots] = 0

    def gather(self, slots: Slots) -> tuple[npt.NDArray[Any], Flags | None]:
        """Values of some slots, ``width`` words each, and which have had one; None: all."""
        seen = None if self.spec.kind == "count" else self.seen[slots]
        return self.values[slots], seen


class CountsAccumulator(Accumulator):
    """Several counts a slot, side by side: ``values`` is int64[width * m]."""

    __slots__ = ("width",)

    def __init__(self, spec: AccumulatorSpec, size: int) -> None:
        self.width = spec.width
        super().__init__(spec, size)

    def reset(self, slots: Slots) -> None:
        """Empty some slots."""
        self.values.reshape(-1, self.width)[slots] = 0

    def gather(self, slots: Slots) -> tuple[npt.NDArray[Any], Flags | None]:
        """The counts of some slots, side by side."""
        return self.rows(slots).reshape(-1), None

    def rows(self, slots: Slots) -> npt.NDArray[np.int64]:
        """The counts of some slots, int64[n, width]."""
        found: npt.NDArray[np.int64] = self.values.reshape(-1, self.width)[slots]
        return found


class DecimalAccumulator(Accumulator):
    """Decimals of up to 38 digits: 128 bits each."""

    __slots__ = ()

    width = 2

    def reset(self, slots: Slots) -> None:
        """Empty some slots."""
        self.values.reshape(-1, 2)[slots] = 0
        self.seen[slots] = 0

    def gather(self, slots: Slots) -> tuple[npt.NDArray[Any], Flags | None]:
        """Two words a slot, and which have had a value."""
        return self.values.reshape(-1, 2)[slots].reshape(-1), self.seen[slots]


class TextAccumulator(Accumulator):
    """Texts or bytes.

    Attributes:
        arena: bytes of the long ones.
        state: int64[2]: bytes used in the arena, and of those how many belong to nobody any more.
    """

    __slots__ = ("arena", "state")

    width = 2

    def __init__(self, spec: AccumulatorSpec, size: int) -> None:
        super().__init__(spec, size)
        self.arena = np.zeros(_ARENA_BYTES, np.uint8)
        self.state = np.zeros(2, np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes of memory held."""
        return int(self.values.nbytes + self.seen.nbytes + self.arena.nbytes)

    def reset(self, slots: Slots) -> None:
        """Empty some slots."""
        records = self.values.reshape(-1, 2)
        sizes = (records[slots, 0] & np.uint64(0xFFFFFFFF)).astype(np.int64)
        self.state[1] += int(sizes[sizes > _SHORT].sum())
        records[slots] = 0
        self.seen[slots] = 0

    def texts(self, slots: Slots) -> tuple[Slots, Flags, Flags]:
        """Offsets int64[n + 1], bytes and null flags of some slots."""
        loops = native("rowkeys")
        slots = arrow.loopable(slots, np.int64)
        offsets = np.empty(len(slots) + 1, np.int64)
        nulls = np.empty(len(slots), np.uint8)
        total = loops.key_sizes(self.values, 2, slots, offsets, nulls)
        data = np.empty(total, np.uint8)
        loops.key_bytes(self.values, 2, self.arena, slots, offsets, data)
        return offsets, data, self.seen[slots] ^ np.uint8(1)

    def make_room(self, size: int) -> None:
        """Room in the arena for a text of so many bytes: what is dead goes, the rest doubles."""
        live = int(self.state[0] - self.state[1])
        arena = np.empty(2 * (live + size) + _ARENA_BYTES, np.uint8)
        flags = np.zeros(len(self.seen), np.uint8)
        used = native("rowkeys").compact(self.values, 2, flags, len(flags), self.arena, arena)
        self.arena = arena
        self.state[:] = used, 0

    def put(self, slots: Slots, values: pa.Array) -> None:
        """Set texts; where they are null the slot is empty again."""
        self.reset(slots)
        offsets, data, nulls = keycodec.to_text(values)
        valid = np.flatnonzero(nulls == 0) if len(nulls) else None
        if valid is not None:
            slots, rows = slots[valid], valid
        else:
            rows = np.arange(len(slots))
        self.seen[slots] = 1
        native("texts").put(
            arrow.loopable(slots, np.int64), rows, arrow.loopable(offsets, offsets.dtype), data,
            self.values, self._room_for(int(offsets[-1]) - int(offsets[0])), self.state,
        )  # fmt: skip

    def _room_for(self, size: int) -> Flags:
        if int(self.state[0]) + size > len(self.arena):
            self.make_room(size)
        return self.arena


def accumulator(spec: AccumulatorSpec, size: int) -> Accumulator:
    """An empty accumulator for so many slots."""
    if spec.width > 1:
        return CountsAccumulator(spec, size)
    kinds = {"decimal128": DecimalAccumulator, "text": TextAccumulator}
    return kinds.get(spec.dtype, Accumulator)(spec, size)


class RowCodec:
    """Accumulators of some slots as the bytes that are stored, and back.

    Args:
        accumulators: those of a row, in order.
    """

    def __init__(self, accumulators: Sequence[AccumulatorSpec]) -> None:
        self._specs = list(accumulators)
        self._row = np.dtype(row_fields(accumulators))
        self._texts = any(a.dtype == "text" for a in accumulators)

    def encode(self, accumulators: Sequence[Accumulator], slots: Slots) -> pa.Array:
        """The rows of some slots, as large binary."""
        packed = np.zeros(len(slots), self._row)
        for i, acc in enumerate(accumulators):
            if acc.spec.dtype == "text":
                continue
            values, seen = acc.gather(slots)
            packed[f"v{i}"] = values if acc.width == 1 else values.reshape(-1, acc.width)
            if seen is not None:
                packed[f"s{i}"] = seen
        if not self._texts:
            width = self._row.itemsize
            offsets = np.arange(len(slots) + 1, dtype=np.int64) * width
            return binary(offsets, packed.view(np.uint8) if width else np.zeros(0, np.uint8))
        columns = [self._fixed(packed)] if self._row.itemsize else []
        for acc in accumulators:
            if isinstance(acc, TextAccumulator):
                offsets, data, nulls = acc.texts(slots)
                columns.append(keycodec.from_text(offsets, data, nulls, pa.large_binary()))
        return binary(*keycodec.encode_rows(columns))

    def _fixed(self, packed: npt.NDArray[Any]) -> pa.Array:
        buffers = [None, pa.py_buffer(packed.view(np.uint8))]
        return pa.Array.from_buffers(pa.binary(self._row.itemsize), len(packed), buffers, 0)

    def decode(self, values: pa.Array) -> tuple[npt.NDArray[Any], list[pa.Array]]:
        """The inverse: the packed row and the texts, in order, as large binary.

        Raises:
            ValueError: the bytes are no such rows.
        """
        offsets, data = arrow.offsets_and_data(arrow.one_chunk(values))
        width = self._row.itemsize
        texts: list[pa.Array] = []
        if not self._texts:
            if not (np.diff(offsets) == width).all():
                msg = f"rows are not {width} bytes each"
                raise ValueError(msg)
            if not width:
                return np.zeros(len(values), self._row), texts
            return data[int(offsets[0]) : int(offsets[-1])].copy().view(self._row), texts
        kinds = [pa.binary(width)] if width else []
        kinds += [pa.large_binary() for a in self._specs if a.dtype == "text"]
        columns = keycodec.decode_rows(arrow.loopable(offsets, np.int64), data, kinds)
        if not width:
            return np.zeros(len(values), self._row), columns
        first = columns[0]
        raw = arrow.view(first.buffers()[1], np.uint8, first.offset * width, len(first) * width)
        return raw.copy().view(self._row), columns[1:]

    def load(self, accumulators: Sequence[Accumulator], slots: Slots, values: pa.Array) -> None:
        """Set the accumulators of new slots from stored rows.

        Raises:
            ValueError: the bytes are no such rows.
        """
        packed, texts = self.decode(values)
        found = iter(texts)
        for i, acc in enumerate(accumulators):
            if isinstance(acc, TextAccumulator):
                acc.put(slots, next(found))
                continue
            if acc.width == 1:
                acc.values[slots] = packed[f"v{i}"]
            else:
                acc.values.reshape(-1, acc.width)[slots] = packed[f"v{i}"]
            if len(acc.seen):
                acc.seen[slots] = packed[f"s{i}"]

    def columns(self, values: pa.Array) -> list[pa.Array]:
        """Stored rows as columns, for those who read snapshots.

        Raises:
            ValueError: the bytes are no such rows.
        """
        packed, texts = self.decode(values)
        found = iter(texts)
        columns = []
        for i, spec in enumerate(self._specs):
            kind = shown_type(spec)
            if spec.dtype == "text":
                columns.append(next(found).cast(kind))
                continue
            absent = None if spec.kind == "count" else packed[f"s{i}"] == 0
            plain = np.ascontiguousarray(packed[f"v{i}"])
            if spec.width > 1:
                columns.append(pa.FixedSizeListArray.from_arrays(plain.reshape(-1), spec.width))
                continue
            if spec.dtype == "decimal128":
                bitmap = None if absent is None else arrow.pack_bits(~absent)
                columns.append(
                    pa.Array.from_buffers(kind, len(packed), [bitmap, pa.py_buffer(plain)])
                )
            else:
                columns.append(pa.array(plain, mask=absent))
        return columns


def shown_type(spec: AccumulatorSpec) -> pa.DataType:
    """The Arrow type as which an accumulator is shown to those who read snapshots."""
    match spec.dtype:
        case "int64":
            return pa.int64() if spec.width == 1 else pa.list_(pa.int64(), spec.width)
        case "float64":
            return pa.float64()
        case "decimal128":
            return spec.type or pa.decimal128(38, 0)
        case _:
            return spec.type or pa.large_binary()


def row_fields(accumulators: Sequence[AccumulatorSpec]) -> list[Any]:
    """The numpy fields of a stored row: ``v<i>`` and, but for counts, ``s<i>`` (has a value)."""
    fields: list[Any] = []
    for i, spec in enumerate(accumulators):
        if spec.dtype == "text":
            continue
        if spec.dtype == "decimal128":
            fields.append((f"v{i}", "<i8", (2,)))
        elif spec.width > 1:
            fields.append((f"v{i}", "<i8", (spec.width,)))
        else:
            fields.append((f"v{i}", "<i8" if spec.dtype == "int64" else "<f8"))
        if spec.kind != "count":
            fields.append((f"s{i}", "u1"))
    return fields


def binary(offsets: Slots, data: Flags) -> pa.Array:
    """A large binary array of offsets and bytes."""
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers, 0)


_DTYPES: Final = {
    "int64": np.int64,
    "float64": np.float64,
    "decimal128": np.int64,
    "text": np.uint64,
}


def _longer(array: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    out = np.zeros(size, array.dtype)
    out[: len(array)] = array
    return out
