"""Entries of one state as columns of Python values or of Arrow."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from lesto.common.row import Row, row_class
from lesto.kernels import arrow, keycodec
from lesto.state import codec
from lesto.state.accumulators import AccumulatorSpec, RowCodec, shown_type, spec_of
from lesto.state.chunked_lists import ListJoiner
from lesto.state.codec import Opaque
from lesto.state.entry_keys import take_sized, without_prefix
from lesto.state.errors import CorruptFileError, UnreadableStateError
from lesto.state.reader.shapes import family_of
from lesto.state.registry import StateMeta
from lesto.state.timer_queue import TIME_BYTES, decode_time

Decode = Callable[[bytes], Any]
_REMEDY: Final = "read another checkpoint"


@dataclass(slots=True)
class Cells:
    """Decoded entries, aligned.

    Attributes:
        keys: of the stream.
        namespaces: None, a window's bounds, or what a window assigner gave.
        map_keys: of map state.
        values: of state but timers.
        times: of timers, ms.
        last_access: of state that expires, ms; of a list, one for each element.
        stored_bytes: what they took up in the snapshot.
    """

    keys: list[Any]
    namespaces: list[Any]
    map_keys: list[Any] | None = None
    values: list[Any] | None = None
    times: list[int] | None = None
    last_access: list[Any] | None = None
    stored_bytes: int = 0

    def first(self, rows: int) -> Cells:
        """The first rows at most."""

        def cut(part: list[Any] | None) -> list[Any] | None:
            return None if part is None else part[:rows]

        return Cells(
            self.keys[:rows],
            self.namespaces[:rows],
            cut(self.map_keys),
            cut(self.values),
            cut(self.times),
            cut(self.last_access),
            self.stored_bytes,
        )

    def __len__(self) -> int:
        return len(self.keys)


def decode_cells(
    kind: str, keys: pa.Array, values: pa.Array, decode: Decode, joiner: ListJoiner
) -> Cells:
    """Entries of value, list, map, reducing or aggregating state.

    Args:
        kind: of the state.
        keys: entry keys.
        values: aligned with the keys.
        decode: makes values of bytes.
        joiner: has what is there of a list that goes on in the next run.

    Raises:
        CorruptFileError: the bytes are no such entries.
    """
    cells = Cells([], [], [] if kind == "map" else None)
    known: dict[bytes, Any] = {}
    entries: Iterable[tuple[bytes, Any]] = zip(
        without_prefix(keys).to_pylist(), map(decode, values.to_pylist()), strict=True
    )
    if kind == "list":
        joined = (joiner.add(data, value) for data, value in entries)
        entries = (done for done in joined if done is not None)
    cells.values = []
    for data, value in entries:
        cells.values.append(value)
        key, namespace, at = _take_two(data)
        cells.keys.append(decode(key))
        if namespace not in known:
            known[namespace] = decode(namespace)
        cells.namespaces.append(known[namespace])
        if cells.map_keys is not None:
            cells.map_keys.append(decode(data[at:]))
    return cells


def _take_two(data: bytes) -> tuple[bytes, bytes, int]:
    try:
        key, at = take_sized(data, 0)
        namespace, at = take_sized(data, at)
    except (IndexError, ValueError) as error:
        msg = f"an entry of keyed state is too short: {error}"
        raise CorruptFileError(msg, remedy=_REMEDY) from error
    return key, namespace, at


def decode_timers(keys: pa.Array, decode: Decode) -> Cells:
    """Timers.

    Raises:
        CorruptFileError: the bytes are none.
    """
    cells = Cells([], [], times=[])
    assert cells.times is not None
    for data in without_prefix(keys).to_pylist():
        try:
            cells.times.append(decode_time(data))
            key, at = take_sized(data, TIME_BYTES)
        except Exception as error:
            msg = f"a timer in keyed state is too short: {error}"
            raise CorruptFileError(msg, remedy=_REMEDY) from error
        cells.keys.append(decode(key))
        cells.namespaces.append(decode(data[at:]))
    return cells


# ------------------------------------------------------------------------------------ state tables


@dataclass(frozen=True, slots=True)
class TableLayout:
    """The columns of a state table as the reader shows them.

    Attributes:
        key_schema: the key columns, as stored.
        accumulators: what is kept a key.
        namespaced: whether rows belong to windows, named by an int64.
        window_ms: size of the windows, if all have one.
    """

    key_schema: pa.Schema
    accumulators: tuple[AccumulatorSpec, ...]
    namespaced: bool
    window_ms: int | None

    @staticmethod
    def of(meta: StateMeta) -> TableLayout:
        """From what a snapshot says of the table.

        Raises:
            CorruptFileError: it says nothing sensible.
        """
        extra: Mapping[str, Any] = meta.extra
        try:
            schema = pa.ipc.read_schema(pa.py_buffer(extra["key_schema"]))
            shown = extra.get("types")
            types = pa.ipc.read_schema(pa.py_buffer(shown)).types if shown else None
            accumulators = tuple(
                spec_of(spec, None if types is None or pat.is_null(types[i]) else types[i])
                for i, spec in enumerate(extra["accumulators"])
            )
            return TableLayout(
                schema, accumulators, bool(extra["namespaced"]), extra.get("window_ms")
            )
        except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
            msg = f"the description of state table '{meta.name}' is damaged: {error!r}"
            raise CorruptFileError(msg, remedy=_REMEDY) from error

    @property
    def namespace_name(self) -> str:
        """The column of the namespace: the window's start, but for sessions, which grow."""
        sessions = any(spec.name == "session_start" for spec in self.accumulators)
        return "namespace" if sessions else "window_start"

    def key_names(self) -> list[str]:
        """Names of the key columns; one that another column has is called ``key.<name>``."""
        others = {spec.name for spec in self.accumulators}
        if self.namespaced:
            others |= {self.namespace_name, "window_end"}
        return [f"key.{name}" if name in others else name for name in self.key_schema.names]

    def schema(self) -> pa.Schema:
        """The columns: keys, window, accumulators."""
        fields = [
            field.with_name(name)
            for field, name in zip(self.key_schema, self.key_names(), strict=True)
        ]
        if self.namespaced:
            fields.append(pa.field(self.namespace_name, pa.int64(), False))
            if self.window_ms is not None:
                fields.append(pa.field("window_end", pa.int64(), False))
        for spec in self.accumulators:
            fields.append(pa.field(spec.name, shown_type(spec), spec.kind != "count"))
        return pa.schema(fields)

    def batch(self, keys: pa.Array, values: pa.Array) -> pa.RecordBatch:
        """Rows of the table from their entries.

        Raises:
            CorruptFileError: the bytes are no rows of this table.
        """
        try:
            found = RowCodec(self.accumulators).columns(values)
        except ValueError as error:
            msg = f"a state table is damaged: {error}"
            raise CorruptFileError(msg, remedy=_REMEDY) from error
        columns = self._keys(keys)
        if self.namespaced and self.window_ms is not None:
            starts = columns[-1].to_numpy()
            columns.append(pa.array(starts + self.window_ms))
        return pa.RecordBatch.from_arrays([*columns, *found], schema=self.schema())

    def _keys(self, keys: pa.Array) -> list[pa.Array]:
        types = list(self.key_schema.types)
        if self.namespaced:
            types.append(pa.int64())
        offsets, data = arrow.offsets_and_data(arrow.one_chunk(without_prefix(keys)))
        return keycodec.decode_rows(arrow.loopable(offsets, np.int64), data, types)


# --------------------------------------------------------------------------------- pickled values


def decode_loading(data: bytes) -> Any:
    """Decode, loading pickles and making what they hold plain: runs code that is in the state.

    Raises:
        CorruptFileError: the bytes are not a value.
        UnreadableStateError: a pickle cannot be loaded here.
    """
    try:
        return plain(codec.decode(data))
    except CorruptFileError:
        raise
    except Exception as error:
        msg = f"a pickled value in state cannot be loaded: {type(error).__name__}: {error}"
        raise UnreadableStateError(
            msg,
            remedy="put the job's modules on PYTHONPATH, or read without --allow-pickle",
        ) from error


def plain(value: Any) -> Any:
    """A value that columns can show: objects become rows of their attributes, or their text."""
    kind = type(value)
    if kind in (list, set, frozenset, tuple):
        return kind(plain(item) for item in value)
    if kind is dict:
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, Row):
        parts = [plain(item) for item in value]
        made = Row(*parts) if value._fields is None else row_class(value._fields)(parts)
        made.set_row_kind(value.get_row_kind())
        return made
    if value is None or isinstance(value, Opaque) or family_of(value) != "encoded":
        return value
    return _plain_object(value)


def _plain_object(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _named({f.name: getattr(value, f.name) for f in dataclasses.fields(value)}, value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return _named(dict(zip(value._fields, value, strict=True)), value)
    base: Any
    for base in (dict, list, tuple, set, frozenset, str, int, float, bytes):
        if isinstance(value, base):
            return plain(base(value))
    attributes = getattr(value, "__dict__", None)
    return _named(dict(attributes), value) if attributes else repr(value)


def _named(fields: dict[str, Any], value: Any) -> Any:
    if not fields:
        return repr(value)
    return row_class(tuple(fields))([plain(item) for item in fields.values()])
