"""Tables of rows in snapshots of both backends, restored by key group."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from backend_contents import KINDS

from lesto.kernels import keygroups
from lesto.kernels.hashing import hash_column
from lesto.state import rocks_files, rocksdb, row_memory, row_table
from lesto.state.errors import StorageError
from lesto.state.row_table import RowTable, RowTableDescriptor

SCHEMA = pa.schema([("k", pa.string()), ("n", pa.int64()), ("tags", pa.list_(pa.string()))])
WHAT = RowTableDescriptor("rows", SCHEMA, (0,), ("seen",), ttl_ms=60_000)
KEYS = [None, "", *(f"key-{i}" for i in range(40))]

Row = tuple[Any, ...]
Kept = dict[Any, list[tuple[Row, int]]]


def rows_of(table: RowTable) -> Kept:
    """Rows and their counters by key, in order of arrival."""
    found: Kept = defaultdict(list)
    ids = table.live()
    counts = table.counter("seen")[ids].tolist()
    columns = (column.to_pylist() for column in table.take(ids).columns)
    for row, count in zip(zip(*columns, strict=True), counts, strict=True):
        found[row[0]].append(((row[0], row[1], tuple(row[2])), count))
    return found


def change(table: RowTable, model: Kept, rng: random.Random) -> None:
    """Add, count and remove at random, in the table and in the model."""
    rows = [
        (rng.choice(KEYS), rng.randrange(5), ["t"] * rng.randrange(3))
        for _ in range(rng.randrange(200))
    ]
    columns = zip(*rows, strict=True) if rows else [[], [], []]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    table.add(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))
    for k, n, tags in rows:
        model[k].append(((k, n, tuple(tags)), 0))
    for key in rng.sample(KEYS, 12):
        _, ids = table.matches([pa.array([key], pa.string())])
        assert len(ids) == len(model[key])
        gone = [i for i in range(len(ids)) if rng.random() < 0.4]
        table.remove(ids[gone])
        kept = np.delete(ids, gone)
        table.counter("seen")[kept] += 1
        table.mark(kept)
        model[key] = [(row, c + 1) for i, (row, c) in enumerate(model[key]) if i not in gone]


@pytest.fixture(params=["at-once", "bit-by-bit"])
def tiny(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether everything lies in files, and RocksDB takes changes all the time."""
    if request.param == "bit-by-bit":
        monkeypatch.setattr(row_memory, "_ROOM", 1000)
        monkeypatch.setattr(row_memory, "_SMALL_BYTES", 0)
        monkeypatch.setattr(row_memory, "_REGION_SEGMENTS", 2)
        monkeypatch.setattr(row_table, "PIECE_ROWS", 50)
        monkeypatch.setattr(row_table, "FLUSHED_BYTES", 4_000)
        monkeypatch.setattr(rocksdb, "FLUSHED_BYTES", 4_000)
    return request.param == "bit-by-bit"


@pytest.mark.parametrize("wrote", KINDS)
@pytest.mark.parametrize("reads", KINDS)
@pytest.mark.parametrize("canonical", [False, True])
def test_rows_go_on_at_another_parallelism(make, store, wrote, reads, canonical, tiny):
    rng = random.Random(f"{wrote}{reads}{canonical}{tiny}")
    cache = {"table_cache_bytes": 1} if tiny else {}
    backend = make(wrote, **cache)
    table = backend.row_table(WHAT)
    model: Kept = defaultdict(list)
    for checkpoint in range(1, 5):
        for _ in range(3):
            change(table, model, rng)
        pending = backend.snapshot(checkpoint, canonical=canonical and checkpoint == 4)
        late: Kept = defaultdict(list, {k: list(v) for k, v in model.items()})
        if checkpoint == 4:
            change(table, late, rng)  # must not be in the snapshot
        handle = pending.finish(store)
        backend.notify_checkpoint_complete(checkpoint)
    found: Kept = {}
    parts = []
    for i in range(3):
        start, end = keygroups.key_group_range(128, 3, i)
        part = make(reads, start, end, **cache)
        part.restore([handle], store)
        own = rows_of(part.row_table(WHAT))
        groups = keygroups.key_groups(hash_column(pa.array(list(own), pa.string())), 128)
        assert all(start <= group <= end for group in groups.tolist())
        found |= own
        parts.append(part)
    assert found == {k: v for k, v in model.items() if v}
    # Two go on and become one: sequence numbers of both meet.
    for i, part in enumerate(parts):
        mine = defaultdict(list, rows_of(part.row_table(WHAT)))
        _, ids = part.row_table(WHAT).matches([pa.array(list(mine), pa.string())])
        extra = part.row_table(WHAT).take(ids)
        part.row_table(WHAT).add(extra)
        for key in mine:
            model[key] += [(row, 0) for row, _ in mine[key]]
        parts[i] = part.snapshot(9, canonical=False).finish(store)
    last = make(wrote, **cache)
    last.restore(parts, store)
    assert rows_of(last.row_table(WHAT)) == {k: v for k, v in model.items() if v}


def test_an_incremental_checkpoint_writes_only_what_changed(make, store):
    backend = make("rocksdb")
    table = backend.row_table(WHAT)
    n = 20_000
    numbers = np.random.default_rng(1).integers(0, 1 << 60, n)
    columns = [
        pa.array(numbers).cast(pa.string()),
        pa.array(numbers),
        pa.array([[]] * n, pa.list_(pa.string())),
    ]
    ids = table.add(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))
    first = backend.snapshot(1, canonical=False).finish(store)
    backend.notify_checkpoint_complete(1)
    table.mark(ids[:10])
    table.remove(ids[10:20])
    changes = table.take_changes()
    assert (len(changes.upserts), len(changes.deleted_keys)) == (10, 10)
    assert len(table.take_changes().upserts) == 0
    table.add(pa.RecordBatch.from_arrays(columns, schema=SCHEMA).slice(0, 10))
    second = backend.snapshot(2, canonical=False).finish(store)
    known = {f.name for f in first.files}
    new = sum(f.file.length_bytes for f in second.files if f.name not in known)
    assert new < sum(f.file.length_bytes for f in first.files) / 20


@pytest.mark.parametrize("snapshot", [False, True])
def test_a_write_that_fails_beside_the_mailbox_fails_the_next_or_is_made_up_for(
    make, store, monkeypatch, snapshot
):
    monkeypatch.setattr(row_table, "FLUSHED_BYTES", 4_000)
    monkeypatch.setattr(rocksdb, "FLUSHED_BYTES", 4_000)
    backend = make("rocksdb")
    table = backend.row_table(WHAT)
    added = threading.Event()
    real = rocks_files.write_run

    def full(path, keys, values):
        added.wait()
        raise OSError(28, "No space left on device")

    def add():
        arrays = [pa.array(["a"] * 100), pa.array(np.arange(100)), pa.array([["t"]] * 100)]
        table.add(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA))

    monkeypatch.setattr(rocks_files, "write_run", full)
    add()  # does not wait for the disk
    added.set()
    if not snapshot:
        with pytest.raises(StorageError, match="No space left"):
            add()
        return
    with pytest.raises(StorageError, match="No space left"):
        backend._drain.wait()
    backend._drain.start(backend._queue.next_number - 1)  # fails as well, but not for good
    while not backend._drain._last.done():
        time.sleep(0.001)
    monkeypatch.setattr(rocks_files, "write_run", real)
    backend._queue.drain(backend._queue.next_number - 1)
    add()
    handle = backend.snapshot(1, canonical=False).finish(store)
    restored = make("rocksdb")
    restored.restore([handle], store)
    assert len(restored.row_table(WHAT)) == 200
