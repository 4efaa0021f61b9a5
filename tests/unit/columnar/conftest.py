"""A rig that runs one columnar operator on a backend that stores what tables hand out."""

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pytest

import lesto.kernels
from lesto.common.clock import VirtualClock
from lesto.common.elements import ColumnarBatch
from lesto.common.metrics import MetricRegistry
from lesto.kernels import keygroups
from lesto.state.table import StateTable
from lesto.state.table_api import TableEntries

MAX_PARALLELISM = 32


@pytest.fixture(scope="session", autouse=True)
def _warm() -> None:
    lesto.kernels.warm()


class Store:
    """What a backend has on disk: entries by table and key, built only from changes."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[bytes, tuple[int, bytes]]] = {}
        self.metas: dict[str, dict] = {}
        self.lists: dict[str, list[bytes]] = {}

    def apply(self, name: str, table: StateTable) -> None:
        """One incremental snapshot; checks it against the table's full content."""
        rows = self.tables.setdefault(name, {})
        changes = table.take_changes()
        upserts, deleted = changes.upserts, changes.deleted_keys.to_pylist()
        keys = upserts.keys.to_pylist()
        assert len(set(keys)) == len(keys)
        assert not set(keys) & set(deleted)
        assert len(set(deleted)) == len(deleted) == len(changes.deleted_key_groups)
        for key in deleted:
            del rows[key]  # only what was stored is told gone
        groups = upserts.key_groups.tolist()
        values = zip(groups, upserts.values.to_pylist(), strict=True)
        rows.update(zip(keys, values, strict=True))
        full = table.all_entries()
        everything = zip(full.key_groups.tolist(), full.values.to_pylist(), strict=True)
        assert rows == dict(zip(full.keys.to_pylist(), everything, strict=True))
        self.metas[name] = dict(table.meta())

    def entries(self, name: str, first: int, last: int) -> TableEntries:
        """Entries of a range of key groups."""
        rows = self.tables.get(name, {})
        chosen = [(g, k, v) for k, (g, v) in rows.items() if first <= g <= last]
        groups, keys, values = zip(*chosen, strict=True) if chosen else ((), (), ())
        return TableEntries(
            np.array(groups, np.uint16), pa.array(keys, pa.binary()), pa.array(values, pa.binary())
        )


class Backend:
    """Keyed state of one subtask."""

    def __init__(self, store: Store | None, key_groups: tuple[int, int]) -> None:
        self.store, self.key_groups = store, key_groups
        self.live: dict[str, StateTable] = {}
        self.key_group_start, self.key_group_end = key_groups
        self.max_parallelism = MAX_PARALLELISM

    def table(self, descriptor):
        if descriptor.name not in self.live:
            table = StateTable(descriptor, max_parallelism=MAX_PARALLELISM)
            if self.store and descriptor.name in self.store.tables:
                table.check_meta(self.store.metas[descriptor.name])
                table.load_entries(self.store.entries(descriptor.name, *self.key_groups))
            self.live[descriptor.name] = table
        return self.live[descriptor.name]

    def has_state(self, name):
        return name in self.live or (self.store is not None and name in self.store.tables)

    def snapshot(self, checkpoint_id, *, canonical):
        """Nothing: the rig's store takes the tables' changes."""

    def snapshot_into(self, store: Store) -> None:
        for name, table in self.live.items():
            store.apply(name, table)


class Recorder:
    """An output that keeps everything, in order."""

    def __init__(self) -> None:
        self.elements: list = []
        self.side: list = []

    def emit(self, batch) -> None:
        self.elements.append(batch)

    def emit_side(self, tag, batch) -> None:
        self.side.append((tag, batch))

    def emit_watermark(self, timestamp) -> None:
        self.elements.append(timestamp)

    def emit_status(self, idle) -> None:
        self.elements.append(idle)

    def take(self) -> list[tuple]:
        """Rows (columns..., event time) since the last call, watermarks left out."""
        rows = []
        for element in self.elements:
            if isinstance(element, ColumnarBatch):
                element.data.validate(full=True)
                n = len(element)
                times = [None] * n if element.timestamps is None else element.timestamps.tolist()
                columns = [c.to_pylist() for c in element.data.columns]
                rows += list(zip(*columns, times, strict=True))
        self.elements.clear()
        return rows


@dataclass
class Context:
    input_schemas: list
    backend: Backend
    operator_name: str = "op"
    metrics: object = field(default_factory=lambda: MetricRegistry().group())
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(0))
    lists: dict = field(default_factory=dict)

    def keyed_backend(self):
        return self.backend

    def restored_list(self, name):
        return self.lists.get(name, ())


class Rig:
    """One operator instance with its output and state."""

    def __init__(
        self, operator, schema, store=None, subtask=0, parallelism=1, backend=None
    ) -> None:
        groups = keygroups.key_group_range(MAX_PARALLELISM, parallelism, subtask)
        self.backend = backend or Backend(store, groups)
        self.context = Context([schema], self.backend)
        if store is not None:
            self.context.lists = store.lists
        self.operator, self.schema, self.out = operator, schema, Recorder()
        operator.setup(self.context, self.out)
        operator.open()

    def send(self, rows, times=None, *, pad=0) -> None:
        """Process rows (tuples); ``pad`` rows before and after are sliced off, to test offsets."""
        rows = list(rows)
        columns = list(zip(*rows, strict=True)) if rows else [[] for _ in self.schema]
        filler = [c[:1] * pad for c in columns]
        arrays = [
            pa.array([*f, *c, *f], t)
            for f, c, t in zip(filler, columns, self.schema.types, strict=True)
        ]
        data = pa.RecordBatch.from_arrays(arrays, schema=self.schema)
        if rows:
            data = data.slice(pad, len(rows))
        stamps = None if times is None else np.array(list(times), np.int64)
        self.operator.process_batch(ColumnarBatch(data, stamps))

    def watermark(self, timestamp) -> None:
        self.operator.process_watermark(timestamp)

    def snapshot_into(self, store: Store) -> None:
        """A snapshot of the operator; its list state replaces what the store has."""
        store.lists = self.operator.snapshot(1, False).union_lists
        self.backend.snapshot_into(store)

    def counted(self, name) -> float:
        return self.context.metrics.counter(name).get_count()


@pytest.fixture(scope="session")
def rig():
    return Rig


@pytest.fixture(scope="session")
def store():
    return Store
