"""One state as a stream of Arrow record batches, whatever its size."""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Final

import pyarrow as pa

from lesto.common.scratch import ScratchDirectory
from lesto.kernels import jit
from lesto.proto.checkpoint_pb2 import KeyedStateHandle
from lesto.state import codec
from lesto.state.chunked_lists import ListJoiner
from lesto.state.reader.columns import to_array
from lesto.state.reader.decoding import (
    Cells,
    TableLayout,
    decode_cells,
    decode_loading,
    decode_timers,
)
from lesto.state.reader.forms import unwrap
from lesto.state.reader.local_files import LocalHandle
from lesto.state.reader.shapes import NULL, Census, Shape
from lesto.state.registry import StateMeta
from lesto.state.storage import SnapshotStore

#: Key of a schema's metadata: what was read, as JSON.
ABOUT: Final = b"lesto.state"
#: Decoded rows, and their stored bytes, that are kept, so that small state is decoded once.
KEPT_ROWS: Final = 131_072
KEPT_BYTES: Final = 32 * 1024 * 1024

KEY: Final = "key"
MAP_KEY: Final = "map_key"
VALUE: Final = "value"
TIMESTAMP: Final = "timestamp"
NAMESPACE: Final = "namespace"
LAST_ACCESS: Final = "last_access"
WINDOW: Final = ("window_start", "window_end")


def about(schema: pa.Schema) -> dict[str, Any]:
    """What a schema says of the state it was read from; empty when it says nothing."""
    found = (schema.metadata or {}).get(ABOUT)
    content: dict[str, Any] = json.loads(found) if found else {}
    return content


def described(fields: Sequence[pa.Field], **content: Any) -> pa.Schema:
    """A schema with what :func:`about` gives."""
    return pa.schema(fields, metadata={ABOUT: json.dumps(content).encode()})


class StateSource:
    """The entries of one state of one operator; a context manager that owns local copies.

    Args:
        handles: the operator's keyed handles.
        store: where their files are.
        meta: the state.
        limit: rows wanted at most.
        load_pickles: run the code in pickled values.
    """

    def __init__(
        self,
        handles: Sequence[KeyedStateHandle],
        store: SnapshotStore,
        meta: StateMeta,
        *,
        limit: int | None,
        load_pickles: bool,
    ) -> None:
        self._meta = meta
        self._limit = limit
        self._decode: Callable[[bytes], Any] = (
            decode_loading if load_pickles else codec.decode_opaque
        )
        self._open = ExitStack()
        scratch = ScratchDirectory("state")
        self._open.callback(scratch.close)
        self._handles = [LocalHandle(handle, store, scratch.path) for handle in handles]

    def close(self) -> None:
        """Remove local copies."""
        self._open.close()

    def runs(self) -> Iterator[tuple[pa.Array, pa.Array]]:
        """Entries up to the limit."""
        left = self._limit
        for handle in self._handles:
            for keys, values in handle.runs(self._meta.name):
                if left is None:
                    yield keys, values
                    continue
                yield keys[:left], values[:left]
                left -= min(left, len(keys))
                if left == 0:
                    return

    def cells(self) -> Iterator[Cells]:
        """Decoded entries up to the limit."""
        left = self._limit
        for handle in self._handles:
            joiner = ListJoiner()
            for keys, values in handle.runs(self._meta.name):
                if left is not None and self._meta.kind != "list":
                    keys, values = keys[:left], values[:left]  # noqa: PLW2901
                cells = self._decoded(keys, values, joiner)
                if left is not None:
                    cells = cells.first(left)
                    left -= len(cells)
                yield cells
                if left == 0:
                    return
            joiner.end()

    def _decoded(self, keys: pa.Array, values: pa.Array, joiner: ListJoiner) -> Cells:
        kind = self._meta.kind
        if kind == "timers":
            cells = decode_timers(keys, self._decode)
        else:
            cells = decode_cells(kind, keys, values, self._decode, joiner)
            unwrap(self._meta, cells)
        cells.stored_bytes = keys.nbytes + values.nbytes
        return cells


class CellColumns:
    """Columns of decoded entries: their types are those of all values.

    Args:
        meta: the state.
        source: its entries.
        last_access: show when each value was accessed last.
    """

    def __init__(self, meta: StateMeta, source: StateSource, *, last_access: bool = False) -> None:
        self._meta = meta
        self._source = source
        self._last_access = last_access and meta.kind not in ("table", "timers")
        self._key, self._map_key, self._value, self._namespace = (Census() for _ in range(4))
        self._windows = True
        self._spaced = False
        self._kept: list[Cells] | None = []
        self._count()
        self.shapes = self._shapes()

    def _count(self) -> None:
        rows = size = 0
        for cells in self._source.cells():
            rows += len(cells)
            size += cells.stored_bytes
            self._key.add(cells.keys)
            self._namespace.add(cells.namespaces)
            self._look_at_namespaces(cells.namespaces)
            if cells.map_keys is not None:
                self._map_key.add(cells.map_keys)
            if cells.values is not None:
                self._value.add(cells.values)
            if self._kept is not None:
                self._kept.append(cells)
                if rows > KEPT_ROWS or size > KEPT_BYTES:
                    self._kept = None

    def _look_at_namespaces(self, namespaces: list[Any]) -> None:
        for namespace in {id(n): n for n in namespaces}.values():
            if namespace is not None:
                self._spaced = True
                self._windows = self._windows and _is_window(namespace)

    @property
    def form(self) -> str:
        """How namespaces are shown: none, window (two columns) or namespace (one)."""
        if not self._spaced:
            return "none"
        return "window" if self._windows else "namespace"

    def _shapes(self) -> dict[str, Shape]:
        declared = declared_types(self._meta)
        shapes = {KEY: self._key.shape()}
        if self.form == "window":
            shapes |= dict.fromkeys(WINDOW, Shape("int", pa.int64()))
        elif self.form == "namespace":
            shapes[NAMESPACE] = self._namespace.shape()
        if self._meta.kind == "timers":
            return {TIMESTAMP: Shape("int", pa.int64()), **shapes}
        if self._meta.kind == "map":
            shapes[MAP_KEY] = fitted(self._map_key, declared.get(MAP_KEY))
        shapes[VALUE] = fitted(self._value, declared.get(VALUE))
        if self._last_access:
            time = Shape("int", pa.int64())
            item = pa.list_(time.field("item"))
            a_list = self._meta.kind == "list"
            shapes[LAST_ACCESS] = Shape("list", item, (time,)) if a_list else time
        return shapes

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows."""
        schema = pa.schema([shape.field(name) for name, shape in self.shapes.items()])
        for cells in self._kept if self._kept is not None else self._source.cells():
            columns = self._columns(cells)
            arrays = [to_array(shape, columns[name]) for name, shape in self.shapes.items()]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _columns(self, cells: Cells) -> dict[str, Any]:
        columns: dict[str, Any] = {KEY: cells.keys, NAMESPACE: cells.namespaces}
        if self.form == "window":
            for i, name in enumerate(WINDOW):
                columns[name] = [None if n is None else n[i] for n in cells.namespaces]
        columns |= {MAP_KEY: cells.map_keys, VALUE: cells.values, TIMESTAMP: cells.times}
        columns[LAST_ACCESS] = cells.last_access or [None] * len(cells)
        return columns


def _is_window(namespace: Any) -> bool:
    return (
        type(namespace) is tuple
        and len(namespace) == 2
        and all(type(bound) is int and -(1 << 63) <= bound < 1 << 63 for bound in namespace)
    )


def declared_types(meta: StateMeta) -> dict[str, pa.DataType]:
    """Arrow types that the job declared for a state's value and map key."""
    if meta.kind in ("table", "timers"):
        return {}
    found = meta.extra.get("arrow")
    try:
        schema = pa.ipc.read_schema(pa.py_buffer(found)) if found else pa.schema([])
    except (pa.ArrowException, TypeError, OSError):  # for people only: the values have types
        return {}
    return {field.name: field.type for field in schema}


def fitted(census: Census, declared: pa.DataType | None) -> Shape:
    """The values' shape, in the declared type where numbers fit it or there are no values."""
    shape = census.shape()
    if declared is None:
        return shape
    if shape is NULL:
        return Shape("null", declared)
    if shape.kind == "int" and pa.types.is_floating(declared) and declared == pa.float64():
        return Shape("float", declared) if census.exact_as_float() else shape
    return shape


def cell_reader(
    meta: StateMeta, source: StateSource, *, last_access: bool = False, **content: Any
) -> pa.RecordBatchReader:
    """A state that row-wise functions keep, or timers."""
    columns = CellColumns(meta, source, last_access=last_access)
    fields = [shape.field(name) for name, shape in columns.shapes.items()]
    schema = described(fields, namespace=columns.form, **content)
    return _reader(schema, columns.batches(), source)


def table_reader(meta: StateMeta, source: StateSource, **content: Any) -> pa.RecordBatchReader:
    """A state table of a columnar operator."""
    layout = TableLayout.of(meta)
    jit.warm(("rowkeys",))
    schema = described(
        list(layout.schema()),
        keys=list(layout.key_schema.names),
        key_columns=layout.key_names(),
        accumulators=[[a.name, a.kind, a.dtype] for a in layout.accumulators],
        namespace=layout.namespace_name if layout.namespaced else "none",
        window_ms=layout.window_ms,
        **content,
    )
    batches = (layout.batch(keys, values) for keys, values in source.runs())
    return _reader(schema, batches, source)


def row_table_reader(meta: StateMeta, source: StateSource, **content: Any) -> pa.RecordBatchReader:
    """Rows that an SQL operator keeps by key."""
    from lesto.state.reader.row_tables import ROW_TABLE, RowTableColumns

    columns = RowTableColumns.of(meta.name, meta.extra)
    schema = described(list(columns.schema()), **content | columns.about() | {"kind": ROW_TABLE})
    return _reader(schema, columns.batches(source.runs()), source)


def rows_reader(
    meta: StateMeta, source: StateSource, *, limit: int | None, **content: Any
) -> pa.RecordBatchReader:
    """Rows that an operator keeps by key and time: their columns, and their time in the last."""
    from lesto.state.timed_rows import decode_chunk, stored_schema

    stored = stored_schema(meta.extra)
    fields = [*list(stored)[:-1], pa.field(TIMESTAMP, pa.timestamp("ms"))]
    keys = list(meta.extra["key_columns"])
    schema = described(fields, keys=keys, key_columns=keys, namespace="none", **content)

    def batches() -> Iterator[pa.RecordBatch]:
        left = limit
        for _, values in source.runs():
            for value in values.to_pylist():
                rows = decode_chunk(value, stored, meta.name)
                if left is not None:
                    rows = rows.slice(0, left)
                    left -= len(rows)
                if not len(rows):
                    continue
                times = rows.column(rows.num_columns - 1).cast(pa.timestamp("ms"))
                columns = [*rows.columns[:-1], times]
                yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))

    return _reader(schema, batches(), source)


class _Batches:
    """Record batches of one state; local copies go with the last reference, read or not."""

    def __init__(
        self, schema: pa.Schema, batches: Iterator[pa.RecordBatch], source: StateSource
    ) -> None:
        self._metadata = schema.metadata
        self._batches = batches
        self._done = weakref.finalize(self, source.close)

    def __iter__(self) -> _Batches:
        return self

    def __next__(self) -> pa.RecordBatch:
        try:
            return next(self._batches).replace_schema_metadata(self._metadata)
        except BaseException:  # the end, or a damaged file
            self._batches = iter(())
            self._done()
            raise


def _reader(
    schema: pa.Schema, batches: Iterator[pa.RecordBatch], source: StateSource
) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(schema, _Batches(schema, batches, source))


def read_state(
    handles: Sequence[KeyedStateHandle],
    store: SnapshotStore,
    meta: StateMeta,
    *,
    limit: int | None,
    load_pickles: bool,
    last_access: bool = False,
    **content: Any,
) -> pa.RecordBatchReader:
    """Any keyed state.

    Args:
        handles: the operator's keyed handles.
        store: where their files are.
        meta: the state.
        limit: rows wanted at most.
        load_pickles: run the code in pickled values.
        last_access: a column more, of state that expires: when it was accessed last.
        content: what :func:`about` is to give.

    Raises:
        StateError: a file is missing or damaged, found before the first batch or while reading.
    """
    source = StateSource(handles, store, meta, limit=limit, load_pickles=load_pickles)
    content |= {"state": meta.name, "kind": meta.kind, "pickles_loaded": load_pickles}
    try:
        if meta.kind == "table" and "rows_schema" in meta.extra:
            return rows_reader(meta, source, limit=limit, **content | {"kind": "rows"})
        if meta.kind == "table" and "row_table_schema" in meta.extra:
            return row_table_reader(meta, source, **content)
        if meta.kind == "table":
            return table_reader(meta, source, **content)
        return cell_reader(meta, source, last_access=last_access, **content)
    except BaseException:
        source.close()
        raise
