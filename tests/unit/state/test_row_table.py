"""Row tables against a plain Python model: all types, duplicates, NULLs, removal, files, restore."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lesto.state import row_memory, row_table
from lesto.state.row_memory import Budget, TableMemory
from lesto.state.row_table import RowTable, RowTableDescriptor
from lesto.state.table_api import TableEntries

TYPES: dict[pa.DataType, list[Any]] = {
    pa.int64(): [0, 1, -5, 2**63 - 1],
    pa.int8(): [0, 1, -128],
    pa.int16(): [7, -7],
    pa.int32(): [1, -1],
    pa.bool_(): [True, False],
    pa.float64(): [0.0, -0.0, 1.5, float("nan"), float("inf")],
    pa.float32(): [0.5, -0.0],
    pa.string(): ["", "a", "b" * 12, "länger als zwanzig Bytes", "x" * 300],
    pa.binary(): [b"", b"\0", b"\0\0"],
    pa.binary(3): [b"abc", b"\0\0\0"],
    pa.decimal128(38, 2): [Decimal("0.00"), Decimal("-1.25"), Decimal("1" + 35 * "0" + ".00")],
    pa.decimal128(5, 1): [Decimal("1.5"), Decimal("-0.1")],
    pa.date32(): [dt.date(1969, 12, 31), dt.date(2020, 2, 29)],
    pa.time32("ms"): [dt.time(0), dt.time(23, 59, 59)],
    pa.timestamp("ms"): [dt.datetime(1960, 1, 1), dt.datetime(2024, 1, 1)],
    pa.timestamp("us", "UTC"): [dt.datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC"))],
    pa.null(): [],
    pa.list_(pa.string()): [[], ["a", None], ["a"]],
    pa.list_(pa.list_(pa.int32())): [[[1], []], [[]], []],
    pa.struct([("x", pa.int64()), ("y", pa.string())]): [
        {"x": 1, "y": None},
        {"x": None, "y": "q"},
        {"x": None, "y": None},
    ],
    pa.map_(pa.string(), pa.int64()): [[("k", 1)], [("k", None), ("l", 2)], []],
    pa.list_(pa.struct([("x", pa.float64())])): [[{"x": 1.0}, None], [{"x": None}]],
}
UNHASHED = (pa.map_(pa.string(), pa.int64()), pa.list_(pa.struct([("x", pa.float64())])))
KEYS = [kind for kind in TYPES if kind not in UNHASHED]


def form(value: Any) -> Any:
    """A value by its content, so that NaN equals NaN and -0.0 is not 0.0."""
    return repr(value)


class Model:
    """The same as a RowTable, slowly."""

    def __init__(self, keys: tuple[int, ...]) -> None:
        self.keys = keys
        self.rows: dict[int, tuple[Any, ...]] = {}  # by id, in order of arrival

    def key(self, row: tuple[Any, ...]) -> str:
        merged = [v + 0.0 if isinstance(v, float) else v for v in (row[i] for i in self.keys)]
        return form(merged)

    def matches(self, row: tuple[Any, ...]) -> list[int]:
        return [i for i, other in self.rows.items() if self.key(other) == self.key(row)]

    def find(self, rows: list[tuple[Any, ...]]) -> list[int]:
        used: set[int] = set()
        out = []
        for row in rows:
            equal = (
                i for i, other in self.rows.items() if form(other) == form(row) and i not in used
            )
            out.append(next(equal, -1))
            used.add(out[-1])
        return out


def batch(schema: pa.Schema, rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    columns = list(zip(*rows, strict=True)) if rows else [[] for _ in schema]
    arrays = [pa.array(column, f.type) for column, f in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def rows_of(data: pa.RecordBatch) -> list[tuple[Any, ...]]:
    return list(zip(*(column.to_pylist() for column in data.columns), strict=True))


@pytest.fixture(params=["memory", "files"])
def memory(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Any:
    """Makes what tables share; "files": everything goes there at once, a few rows a segment."""
    if request.param == "memory":
        return lambda: TableMemory(Budget(1 << 30))
    monkeypatch.setattr(row_memory, "_ROOM", 1000)
    monkeypatch.setattr(row_memory, "_SMALL_BYTES", 0)
    monkeypatch.setattr(row_memory, "_REGION_SEGMENTS", 2)
    monkeypatch.setattr(row_table, "PIECE_ROWS", 3)
    monkeypatch.setattr(row_table, "_COMPACTED_BYTES_MIN", 0)
    return lambda: TableMemory(Budget(1), tmp_path)


@st.composite
def schemas(draw: st.DrawFn) -> tuple[pa.Schema, tuple[int, ...]]:
    kinds = draw(st.lists(st.sampled_from(list(TYPES)), min_size=1, max_size=5))
    possible = [i for i, kind in enumerate(kinds) if kind in KEYS]
    keys = draw(st.lists(st.sampled_from(possible), max_size=2, unique=True)) if possible else []
    return pa.schema([(f"c{i}", kind) for i, kind in enumerate(kinds)]), tuple(keys)


def rows_strategy(schema: pa.Schema, most: int) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    values = [st.sampled_from([None, *TYPES[f.type]]) for f in schema]
    return st.lists(st.tuples(*values), max_size=most)


def check(table: RowTable, model: Model, schema: pa.Schema) -> None:
    ids = table.live()
    assert ids.tolist() == list(model.rows)
    assert len(table) == len(model.rows)
    assert list(map(form, rows_of(table.take(ids)))) == list(map(form, model.rows.values()))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_table_is_like_the_model(data: st.DataObject, memory: Callable[[], TableMemory]) -> None:
    schema, keys = data.draw(schemas())
    descriptor = RowTableDescriptor("rows", schema, keys, ("n",))
    shared = memory()
    table = RowTable(descriptor, max_parallelism=16, memory=shared)
    model = Model(keys)
    stored: dict[tuple[int, bytes], bytes] = {}
    counters: dict[int, int] = {}
    for step in range(data.draw(st.integers(1, 8))):
        action = data.draw(st.sampled_from(["add", "add", "find", "matches", "remove", "restore"]))
        if action == "add":
            rows = data.draw(rows_strategy(schema, 12))
            ids = table.add(batch(schema, rows))
            model.rows |= zip(ids.tolist(), rows, strict=True)
            table.counter("n")[ids] += step
            table.mark(ids)
            counters |= dict.fromkeys(ids.tolist(), step)
        elif action == "find":
            rows = data.draw(rows_strategy(schema, 8)) + list(model.rows.values())
            assert table.find(batch(schema, rows)).tolist() == model.find(rows)
        elif action == "matches" and keys:
            rows = data.draw(rows_strategy(schema, 4)) + list(model.rows.values())[:3]
            whole = batch(schema, rows)
            numbers, ids = table.matches([whole.column(i) for i in keys])
            wanted = [(n, i) for n, row in enumerate(rows) for i in model.matches(row)]
            assert list(zip(numbers.tolist(), ids.tolist(), strict=True)) == wanted
            counts = table.match_counts([whole.column(i) for i in keys])
            assert counts.tolist() == [len(model.matches(row)) for row in rows]
        elif action == "remove" and model.rows:
            gone = data.draw(st.lists(st.sampled_from(list(model.rows)), unique=True))
            table.remove(np.array(gone, np.int64))
            for i in gone:
                del model.rows[i], counters[i]
        elif action == "restore":
            apply_changes(table, stored)
            assert stored == entries_of(table.all_entries())
            rows = list(model.rows.values())
            kept = [counters[i] for i in model.rows]
            table = RowTable(descriptor, max_parallelism=16, memory=shared)
            if stored:
                table.load_entries(to_entries(stored))
            ids = table.live()
            model.rows = dict(zip(ids.tolist(), rows, strict=True))
            counters = dict(zip(ids.tolist(), kept, strict=True))
        check(table, model, schema)
        assert {i: int(table.counter("n")[i]) for i in model.rows} == counters


def apply_changes(table: RowTable, stored: dict[tuple[int, bytes], bytes]) -> None:
    changes = table.take_changes()
    for group, key in zip(
        changes.deleted_key_groups.tolist(), changes.deleted_keys.to_pylist(), strict=True
    ):
        del stored[group, key]
    stored |= entries_of(changes.upserts)


def entries_of(entries: TableEntries) -> dict[tuple[int, bytes], bytes]:
    groups, keys = entries.key_groups.tolist(), entries.keys.to_pylist()
    return dict(zip(zip(groups, keys, strict=True), entries.values.to_pylist(), strict=True))


def to_entries(stored: dict[tuple[int, bytes], bytes]) -> TableEntries:
    ordered = sorted(stored)
    return TableEntries(
        np.array([group for group, _ in ordered], np.uint16),
        pa.array([key for _, key in ordered], pa.large_binary()),
        pa.array([stored[entry] for entry in ordered], pa.large_binary()),
    )
