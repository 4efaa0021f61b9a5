"""The state of one operator, put together from tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from lesto.proto.checkpoint_pb2 import OperatorStateList
from lesto.state.descriptors import (
    ListStateDescriptor,
    MapStateDescriptor,
    StateDescriptor,
    ValueStateDescriptor,
)
from lesto.state.errors import SavepointWriteError
from lesto.state.keyed_base import TIMERS_PREFIX, meta_of
from lesto.state.table import AccumulatorKind
from lesto.state.writer.encoding import (
    Columns,
    Part,
    TablePlan,
    cell_part,
    map_part,
    table_part,
    timer_part,
)
from lesto.state.writer.row_tables import row_table_part
from lesto.state.writer.tabular import as_reader, require

Key = str | Sequence[str]
CONTENTS_STATE = "_window_contents"
SESSIONS_STATE = "_merging_windows"


@dataclass(frozen=True, slots=True)
class Source:
    """Data with the schema it is to be cast to; read when the savepoint is written.

    Attributes:
        data: as the user gave it.
        schema: given, or None.
    """

    data: Any
    schema: pa.Schema | None

    def open(self, stored: pa.Schema | None = None) -> pa.RecordBatchReader:
        """The batches; without a schema of its own in that of the stored state, if it fits."""
        schema = self.schema
        reader = as_reader(self.data, schema)
        if schema is None and stored is not None and _bare_form(reader.schema, stored):
            return as_reader(reader, stored)
        return reader


def _bare_form(given: pa.Schema, stored: pa.Schema) -> bool:
    """Whether a table has the stored columns and says nothing of Python types itself."""
    bare = not any(field.metadata for field in given) and not given.metadata
    return bare and set(stored.names) <= set(given.names)


#: Makes a part once it is known what the operator has stored under the state's name.
PartMaker = Callable[[pa.Schema | None], Part]


class OperatorBootstrap:
    """State of one operator, for :class:`~lesto.state.writer.SavepointWriter`.

    Data is an Arrow Table, RecordBatch or RecordBatchReader, a pandas or Polars DataFrame, or
    anything else with Arrow's C stream interface, with columns as the reader gives them: ``key``,
    ``value`` and so on; ``key``, ``value`` and the others name other columns. Several key columns
    make a tuple. Columns ``window_start`` and ``window_end`` (ms), if there, are the window that
    the state belongs to. What columns say of Python types in their metadata (the reader's do) is
    followed; without it, a struct is a named Row, a list a list, a map a dict. ``schema`` is a
    schema to cast to, such as the reader's.

    Data is taken in when the savepoint is written, in pieces: it may be larger than memory.

    Args:
        name: of the operator, for people.
        max_parallelism: key groups; by default the writer's.
    """

    def __init__(self, name: str = "", *, max_parallelism: int | None = None) -> None:
        self.name = name
        self.max_parallelism = max_parallelism
        self.parts: dict[str, PartMaker] = {}
        self.lists: dict[tuple[str, bool], list[bytes]] = {}
        self.removed: set[str] = set()
        self.enumerator: bytes | None = None

    def value_state(
        self,
        state: str | StateDescriptor,
        data: Any,
        *,
        key: Key = "key",
        value: str = "value",
        schema: pa.Schema | None = None,
    ) -> OperatorBootstrap:
        """One value a key. A descriptor of reducing or aggregating state: what is accumulated."""
        descriptor = ValueStateDescriptor(state) if isinstance(state, str) else state
        return self._cells(descriptor, Source(data, schema), Columns(key=key, value=value))

    def list_state(
        self,
        state: str | StateDescriptor,
        data: Any,
        *,
        key: Key = "key",
        value: str = "value",
        schema: pa.Schema | None = None,
    ) -> OperatorBootstrap:
        """A list a key; ``value`` is a column of lists."""
        descriptor = ListStateDescriptor(state) if isinstance(state, str) else state
        return self._cells(descriptor, Source(data, schema), Columns(key=key, value=value))

    def reducing_state(
        self, state: str | StateDescriptor, data: Any, **options: Any
    ) -> OperatorBootstrap:
        """What the values of a key are reduced to; options as of :meth:`value_state`."""
        return self._of_kind("reducing", state, data, options)

    def aggregating_state(
        self, state: str | StateDescriptor, data: Any, **options: Any
    ) -> OperatorBootstrap:
        """The accumulator of a key; options as of :meth:`value_state`."""
        return self._of_kind("aggregating", state, data, options)

    def map_state(
        self,
        state: str | MapStateDescriptor,
        data: Any,
        *,
        key: Key = "key",
        map_key: str = "map_key",
        value: str = "value",
        schema: pa.Schema | None = None,
    ) -> OperatorBootstrap:
        """A map a key; a row for each entry."""
        descriptor = MapStateDescriptor(state) if isinstance(state, str) else state
        columns = Columns(key=key, map_key=map_key, value=value)
        source, meta = Source(data, schema), meta_of(descriptor, bare=True)

        def make(stored: pa.Schema | None) -> Part:
            return map_part(
                meta.name, source.open(stored), columns, extra=dict(meta.extra), types=meta.types
            )

        return self._add(meta.name, make)

    def event_timers(
        self, data: Any, *, key: Key = "key", timestamp: str = "timestamp"
    ) -> OperatorBootstrap:
        """Event-time timers of a process function."""
        return self._timers("event", Source(data, None), Columns(key=key, timestamp=timestamp))

    def processing_timers(
        self, data: Any, *, key: Key = "key", timestamp: str = "timestamp"
    ) -> OperatorBootstrap:
        """Processing-time timers of a process function."""
        return self._timers("processing", Source(data, None), Columns(key=key, timestamp=timestamp))

    def state_table(
        self,
        name: str,
        data: Any,
        *,
        keys: Sequence[str] | None = None,
        accumulators: dict[str, AccumulatorKind] | None = None,
        schema: pa.Schema | None = None,
    ) -> OperatorBootstrap:
        """A table of a columnar operator: ``running_aggregate`` or ``window_aggregate``.

        Columns are those that the reader gives for such a job: the key columns under their names,
        ``window_start`` for windows, then the accumulators in the job's order (``sum_0``,
        ``count_1``, ...).

        Args:
            name: of the table.
            data: the rows, each key (and window) once.
            keys: the key columns in the order of the job's ``key_by``; known if the data comes from
                the reader.
            accumulators: what columns accumulate, where their names do not say it.
            schema: to cast to.
        """
        source = Source(data, schema)

        def make(stored: pa.Schema | None) -> Part:
            reader = source.open(stored)
            plan = TablePlan.of(name, reader.schema, keys, accumulators)
            return table_part(name, reader, plan)

        return self._add(name, make)

    def row_table(self, name: str, data: Any) -> OperatorBootstrap:
        """Rows that an SQL operator keeps by key (a join's sides, a Top-N's rows).

        Args:
            name: of the table.
            data: what the reader gives for such a table, perhaps with other rows; within a key
                they arrive in this order. Its metadata says which columns are what.
        """
        source = Source(data, None)
        return self._add(name, lambda stored: row_table_part(name, source.open(stored)))

    def window_state(
        self,
        data: Any,
        *,
        key: Key = "key",
        value: str = "value",
        window_start: str = "window_start",
        window_end: str = "window_end",
        lists: bool = False,
        sessions: bool = False,
        schema: pa.Schema | None = None,
    ) -> OperatorBootstrap:
        """What row-wise event-time windows hold, and the timers that fire them.

        Args:
            data: a row for each key and window. It is gone through several times, so a
                RecordBatchReader is read into memory.
            key: the key's column(s).
            value: what the window holds: the reduced value or the accumulator.
            window_start: start of the window, ms.
            window_end: end of the window, ms.
            lists: the job has neither reduce nor aggregate: ``value`` is a list of all records.
            sessions: windows of the job merge.
            schema: to cast to.
        """
        content = as_reader(data, schema).read_all()
        bounds = (window_start, window_end)
        require(content.schema, bounds)
        columns = Columns(key=key, value=value, window=bounds)
        kind = ListStateDescriptor if lists else ValueStateDescriptor
        self._cells(kind(CONTENTS_STATE), Source(content, None), columns)
        ends = content.column(window_end).cast(pa.int64())
        timers = content.append_column("lesto.timer", pa.compute.subtract(ends, 1))
        fire = Columns(key=key, timestamp="lesto.timer", window=bounds)
        self._timers("event", Source(timers, None), fire)
        if sessions:
            self._cells(
                ValueStateDescriptor(SESSIONS_STATE),
                Source(_sessions(content, columns), None),
                Columns(window=()),
            )
        return self

    # ------------------------------------------------------------------------------- operator state

    def list_operator_state(self, name: str, items: Iterable[bytes]) -> OperatorBootstrap:
        """Operator list state: its items are dealt to the subtasks."""
        self.lists[name, False] = [bytes(item) for item in items]
        return self

    def union_operator_state(self, name: str, items: Iterable[bytes]) -> OperatorBootstrap:
        """Operator list state of which every subtask gets all."""
        self.lists[name, True] = [bytes(item) for item in items]
        return self

    def enumerator_state(self, content: bytes) -> OperatorBootstrap:
        """What a source's enumerator has stored."""
        self.enumerator = bytes(content)
        return self

    def remove_state(self, name: str) -> OperatorBootstrap:
        """Drop a state that the existing savepoint has."""
        self.removed.add(name)
        return self

    # ------------------------------------------------------------------------------------ internal

    def _of_kind(
        self, kind: str, state: str | StateDescriptor, data: Any, options: dict[str, Any]
    ) -> OperatorBootstrap:
        descriptor = StateDescriptor(state) if isinstance(state, str) else state
        schema = options.pop("schema", None)
        return self._cells(descriptor, Source(data, schema), Columns(**options), kind=kind)

    def _cells(
        self, descriptor: StateDescriptor, source: Source, columns: Columns, kind: str = ""
    ) -> OperatorBootstrap:
        meta = meta_of(descriptor, bare=True)  # a restore gives them the declared form
        kind = kind or meta.kind

        def make(stored: pa.Schema | None) -> Part:
            return cell_part(
                meta.name,
                kind,
                source.open(stored),
                columns,
                extra=dict(meta.extra),
                types=meta.types,
            )

        return self._add(meta.name, make)

    def _timers(self, domain: str, source: Source, columns: Columns) -> OperatorBootstrap:
        return self._add(
            TIMERS_PREFIX + domain, lambda stored: timer_part(domain, source.open(stored), columns)
        )

    def _add(self, name: str, make: PartMaker) -> OperatorBootstrap:
        if name in self.parts:
            msg = f"state '{name}' is given twice"
            raise SavepointWriteError(msg, remedy="give each state once")
        self.parts[name] = make
        return self

    def state_lists(self) -> list[OperatorStateList]:
        """Operator lists as the metadata has them."""
        return [
            OperatorStateList(name=name, items=items, union=union)
            for (name, union), items in self.lists.items()
        ]


def _sessions(content: pa.Table, columns: Columns) -> pa.Table:
    """The windows of each key, each holding its own content: state of merging windows."""
    from lesto.state.reader.columns import to_array
    from lesto.state.reader.shapes import Census

    windows: dict[Any, list[Any]] = {}
    for batch in content.to_batches():
        for key, bounds in zip(columns.keys(batch), columns.namespaces(batch), strict=True):
            windows.setdefault(key, []).append((bounds, bounds))
    keys, values = list(windows), [tuple(found) for found in windows.values()]
    arrays, fields = [], []
    for name, found in (("key", keys), ("value", values)):
        census = Census()
        census.add(found)
        arrays.append(to_array(census.shape(), found))
        fields.append(census.shape().field(name))
    return pa.table(arrays, schema=pa.schema(fields))
