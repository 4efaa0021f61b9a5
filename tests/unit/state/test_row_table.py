"""Row tables against a plain model: all types, duplicates, NULLs, removal, files, restore."""

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

from lesto.common.clock import VirtualClock
from lesto.state import row_memory, row_table
from lesto.state.errors import CorruptFileError, StateMismatchError, StorageError
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
    pa.timestamp("ms"): [dt.datetime(1960, 1, 1), dt.datetime(2024, 1, 1)],  # noqa: DTZ001
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


NUMBERS = pa.schema([("k", pa.int64()), ("v", pa.string())])


def numbers(keys: Any, value: str = "v") -> pa.RecordBatch:
    keys = np.asarray(keys, np.int64)
    return pa.RecordBatch.from_arrays(
        [pa.array(keys), pa.array([value] * len(keys))], schema=NUMBERS
    )


def table_of(**options: Any) -> RowTable:
    descriptor = RowTableDescriptor("rows", NUMBERS, (0,), **options.pop("what", {}))
    return RowTable(descriptor, max_parallelism=16, **options)


def test_a_key_with_very_many_rows_costs_no_more_a_row(memory: Callable[[], TableMemory]) -> None:
    shared = memory()
    table = table_of(memory=shared)
    n = 20_000 if shared.budget.total_bytes > 1 else 400
    rows = pa.RecordBatch.from_arrays(
        [pa.array(np.zeros(n, np.int64)), pa.array(np.arange(n) // 4).cast(pa.string())],
        schema=NUMBERS,
    )
    ids = table.add(rows)
    for _ in range(2):  # equal rows: the oldest first, each once a call
        assert table.find(rows).tolist() == ids.tolist()
    table.remove(ids[::4])
    found = table.find(rows)
    assert (found[3::4] == -1).all()
    assert found[::4].tolist() == ids[1::4].tolist()
    again = table.add(rows.slice(0, 1))
    assert table.find(rows.slice(0, 4)).tolist() == [*ids[1:4].tolist(), int(again[0])]
    numbers_found, chain = table.matches([pa.array([0])])
    assert chain.tolist() == [*np.delete(ids, np.s_[::4]).tolist(), int(again[0])]
    assert len(numbers_found) == len(table) == n * 3 // 4 + 1


def test_rows_larger_than_a_segment(memory: Callable[[], TableMemory]) -> None:
    table = table_of(memory=memory())
    big = "x" * (1 << 20)
    ids = np.concatenate([table.add(numbers([i], big + str(i))) for i in range(3)])
    small = table.add(numbers([7]))
    table.remove(ids[:1])
    assert [len(v) for v in table.take(ids[1:]).column(1).to_pylist()] == [len(big) + 1] * 2
    assert table.find(numbers([2], big + "2")).tolist() == [ids[2]]
    table.remove(ids[1:])
    assert table.take(small).to_pylist() == [{"k": 7, "v": "v"}]


def test_memory_of_dead_rows_is_used_again() -> None:
    table = table_of(memory=TableMemory(Budget(1 << 30)))
    rng = np.random.default_rng(3)
    kept = np.zeros(0, np.int64)
    for step in range(40):
        kept = np.concatenate([kept, table.add(numbers(np.arange(step, step + 20_000), "v" * 20))])
        gone = rng.permutation(len(kept))[: max(0, len(kept) - 20_000)]
        table.remove(kept[gone])
        kept = np.delete(kept, gone)
    assert len(table) == 20_000
    assert table.nbytes < 20_000 * 500
    assert set(table.take(kept).column(1).to_pylist()) == {"v" * 20}


def test_idle_rows_expire() -> None:
    clock = VirtualClock()
    table = table_of(what={"ttl_ms": 1_000}, clock=clock)
    ids = table.add(numbers(range(10)))
    clock.advance(600)
    table.mark(ids[:3])
    more = table.add(numbers([20]))
    assert table.expire(clock.now_ms()).tolist() == []
    clock.advance(400)
    assert sorted(table.expire(clock.now_ms()).tolist()) == ids[3:].tolist()
    entries = table.all_entries()
    restored = table_of(what={"ttl_ms": 1_000}, clock=clock)
    restored.load_entries(entries)
    clock.advance(599)
    assert len(restored.expire(clock.now_ms())) == 0
    clock.advance(1)
    assert len(restored.expire(clock.now_ms())) == 4
    assert len(table.expire(clock.now_ms())) == 4
    assert len(table) == len(restored) == 0
    assert len(more) == 1


def test_ids_not_in_use_are_refused() -> None:
    table = table_of()
    ids = table.add(numbers(range(4)))
    table.remove(ids[:1])
    for wrong in ([0], [2, 2], [1, 99], [-1]):
        with pytest.raises(KeyError):
            table.remove(np.array(wrong))
        if wrong != [2, 2]:
            with pytest.raises(KeyError):
                table.take(np.array(wrong))
    assert len(table) == 3
    assert table.live().tolist() == [1, 2, 3]
    with pytest.raises(TypeError, match="columns"):
        table.add(pa.record_batch({"k": ["text"], "v": ["v"]}))


def test_damaged_rows_are_named() -> None:
    table = table_of()
    table.add(numbers(range(3)))
    entries = table.all_entries()
    values = entries.values.to_pylist()
    for wrong in (values[0][:-1], values[0] + b"x", b"", values[0][:9] + b"\xff" * 4 + b"v"):
        damaged = TableEntries(
            entries.key_groups, entries.keys, pa.array([wrong, *values[1:]], pa.large_binary())
        )
        with pytest.raises(CorruptFileError, match="'rows' are damaged"):
            table_of().load_entries(damaged)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (RowTableDescriptor("rows", NUMBERS, (1,)), "key columns"),
        (RowTableDescriptor("rows", NUMBERS, (0,), ("n",)), "counters"),
        (RowTableDescriptor("rows", NUMBERS, (0,), ttl_ms=5), "expiry"),
        (RowTableDescriptor("rows", pa.schema([("k", pa.int64())]), (0,)), "columns"),
    ],
)
def test_state_of_another_form_is_refused(other: RowTableDescriptor, what: str) -> None:
    with pytest.raises(StateMismatchError, match=f"the {what} of state 'rows'"):
        table_of().check_meta(RowTable(other, max_parallelism=16).meta())


def test_state_of_another_kind_is_refused() -> None:
    with pytest.raises(StateMismatchError, match="held no table of rows"):
        table_of().check_meta({"format": 1, "key_schema": b""})


def test_what_is_in_files_leaves_memory(tmp_path: Any) -> None:
    budget = Budget(8 << 20)
    tables = [table_of(memory=TableMemory(budget, tmp_path)) for _ in range(2)]
    for step in range(40):
        for table in tables:
            table.add(numbers(np.arange(step * 5_000, step * 5_000 + 5_000), "text " * 4))
    held = sum(table.held for table in tables)
    assert held < budget.total_bytes
    assert sum(table.nbytes for table in tables) > 3 * budget.total_bytes
    assert list(tmp_path.iterdir()) == []  # files have no names
    for table in tables:
        at, ids = table.matches([pa.array(np.arange(0, 200_000, 7))])
        assert np.array_equal(table.take(ids).column(0).to_numpy(), np.arange(0, 200_000, 7)[at])


def test_a_full_disk_is_an_error(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(row_memory.os, "posix_fallocate", full)
    table = table_of(memory=TableMemory(Budget(1), tmp_path))
    with pytest.raises(StorageError, match="No space left"):
        table.add(numbers(np.arange(60_000), "text " * 4))


def test_entries_are_in_the_order_of_storage_though_ids_are_used_again():
    schema = pa.schema([("k", pa.int64()), ("v", pa.int64())])
    table = RowTable(RowTableDescriptor("t", schema, (0,)), max_parallelism=16)

    def add(values):
        columns = [pa.array(np.array(values) % 50), pa.array(values)]
        return table.add(pa.RecordBatch.from_arrays(columns, schema=schema))

    ids = add(np.arange(300))
    table.remove(ids[::3])
    add(np.arange(300, 400))
    for entries in (table.all_entries(), table.take_changes().upserts):
        assert len(entries) == 300
        stored = list(zip(entries.key_groups.tolist(), entries.keys.to_pylist(), strict=True))
        assert stored == sorted(stored)
    again = RowTable(RowTableDescriptor("t", schema, (0,)), max_parallelism=16)
    again.load_entries(entries)
    assert again.take(again.live()).equals(table.take(table.live()))


def test_matches_behind_match_counts_see_what_has_changed():
    schema = pa.schema([("k", pa.int64()), ("v", pa.int64())])
    table = RowTable(RowTableDescriptor("t", schema, (0,)), max_parallelism=16)

    def rows(values):
        columns = [pa.array(np.array(values) % 5), pa.array(values)]
        return pa.RecordBatch.from_arrays(columns, schema=schema)

    ids = table.add(rows([0, 1, 5]))
    keys = [pa.array([1, 0, 3])]
    hashes = table.hashes(keys)
    for change, counts in (
        (lambda: None, [1, 2, 0]),
        (lambda: table.add(rows([3, 6])), [2, 2, 1]),
        (lambda: table.remove(ids[:1]), [2, 1, 1]),
    ):
        change()
        assert np.bincount(table.matches(keys, hashes)[0], minlength=3).tolist() == counts
        assert table.match_counts(keys, hashes).tolist() == counts
        assert np.bincount(table.matches(keys, hashes)[0], minlength=3).tolist() == counts
