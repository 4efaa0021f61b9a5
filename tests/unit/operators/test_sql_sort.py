"""ORDER BY on streams and of bounded input, UNNEST and table functions."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesto.sql import types as t
from lesto.sql.expressions import InputRef
from lesto.sql.settings import SqlSettings
from lesto.sql.users.tables import TableCall
from lesto.taskmanager.operators.batch import BatchSavepointError
from lesto.taskmanager.operators.sql.correlate import CorrelateOperator
from lesto.taskmanager.operators.sql.sort import (
    ArrivalSortOperator,
    FinalSortOperator,
    TimeSortOperator,
)
from lesto.taskmanager.operators.sql.sort_order import Order
from lesto.taskmanager.operators.sql.sort_runs import MERGED_MAX, ExternalSorter
from tests.support.hypothesis_profiles import examples
from tests.support.sql_operators import Change, SqlHarness

SETTINGS = SqlSettings()
SCHEMA = pa.schema([("t", pa.timestamp("ms")), ("n", pa.int64()), ("s", pa.string())])
ROW = st.tuples(
    st.integers(0, 20),
    st.one_of(st.none(), st.integers(-3, 3)),
    st.sampled_from([None, "x", "xy", "é"]),
)
ORDERS = (Order(0), Order(1, True, False))


def rows_of(values: list[Any]) -> list[Any]:
    times = pa.array([v[0] for v in values], pa.timestamp("ms")).to_pylist()
    return [(time, *v[1:]) for time, v in zip(times, values, strict=True)]


def sort_value(value: Any, order: Order) -> Any:
    """Something that compares as SQL does."""
    if value is None:
        return (0 if order.nulls_first else 2, 0)
    if isinstance(value, str):
        raw = (*value.encode(), -1)
        return (1, tuple(-b for b in raw) if order.descending else raw)
    return (1, -value if order.descending else value)


def by_n(row: Any) -> Any:
    """Descending, NULLs last."""
    return (row[1] is None, -(row[1] or 0))


@settings(max_examples=examples(40))
@given(
    batches=st.lists(st.lists(ROW, max_size=6), max_size=5),
    marks=st.lists(st.integers(0, 9), min_size=5, max_size=5),
)
def test_by_event_time(batches: Any, marks: Any, tmp_path_factory: Any) -> None:
    runner = SqlHarness(
        lambda: TimeSortOperator(SETTINGS, ORDERS), [SCHEMA], tmp_path_factory.mktemp("t")
    )
    watermark, late, waiting = -1, 0, []
    for batch, step in zip(batches, marks, strict=False):
        if batch:
            runner.feed([("+I", r) for r in rows_of(batch)])
        waiting += [v for v in batch if v[0] > watermark]
        late += sum(v[0] <= watermark for v in batch)
        if step:
            watermark += step
            due = sorted((v for v in waiting if v[0] <= watermark), key=lambda v: (v[0], by_n(v)))
            waiting = [v for v in waiting if v[0] > watermark]
            assert runner.watermark(watermark) == [("+I", r) for r in rows_of(due)]
    assert runner.counter("num_late_records_dropped") == late
    runner.close()


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_what_waits_is_restored(backend: str, tmp_path: Any) -> None:
    values = [(9, 1, "x"), (3, 2, "y"), (7, None, None)]

    def make() -> TimeSortOperator:
        return TimeSortOperator(SETTINGS, ORDERS)

    runner = SqlHarness(make, [SCHEMA], tmp_path, backend=backend)
    runner.feed([("+I", r) for r in rows_of(values)])
    assert [r[1] for _, r in runner.watermark(5)] == [2]
    again = SqlHarness(make, [SCHEMA], tmp_path, backend=backend, restore=runner.snapshot())
    again.feed([("+I", r) for r in rows_of([(4, 5, "late"), (8, 6, "z")])])
    assert [r[1] for _, r in again.end()] == [None, 6, 1]
    assert again.counter("num_late_records_dropped") == 1


def test_what_comes_at_once_is_sorted(tmp_path: Any) -> None:
    runner = SqlHarness(
        lambda: ArrivalSortOperator(SETTINGS, (Order(1, True, False),)), [SCHEMA], tmp_path
    )
    given = runner.feed([("+I", r) for r in rows_of([(0, 1, None), (0, None, None), (0, 3, None)])])
    assert [r[1] for _, r in given] == [3, 1, None]


@settings(max_examples=examples(40))
@given(
    values=st.lists(ROW, max_size=60),
    orders=st.lists(
        st.builds(Order, st.sampled_from([1, 2]), st.booleans(), st.booleans()), max_size=2
    ),
    memory=st.sampled_from([1, 200, 1 << 20]),
)
def test_of_bounded_input(values: Any, orders: Any, memory: int, tmp_path_factory: Any) -> None:
    directory = tmp_path_factory.mktemp("t")
    runner = SqlHarness(lambda: FinalSortOperator(SETTINGS, orders, memory), [SCHEMA], directory)
    rows = rows_of(values)
    for start in range(0, len(rows), 3):
        assert runner.feed([("+I", r) for r in rows[start : start + 3]]) == []

    def key(row: Any) -> Any:
        return [sort_value(row[o.index], o) for o in orders]

    assert runner.end() == [("+I", r) for r in sorted(rows, key=key)]
    assert not list(Path(directory).glob("sort-*"))
    runner.close()


def test_many_runs_are_merged_in_between(tmp_path: Any) -> None:
    rng = random.Random(1)
    schema = pa.schema([("n", pa.int64()), ("i", pa.int64())])
    sorter = ExternalSorter(schema, (Order(0),), str(tmp_path), memory_bytes=1)
    rows = [(rng.randrange(50), i) for i in range(40 * (MERGED_MAX + 4))]
    for start in range(0, len(rows), 40):
        some = rows[start : start + 40]
        sorter.add(pa.record_batch([pa.array([r[k] for r in some]) for k in (0, 1)], schema=schema))
    assert sorter.runs < MERGED_MAX
    found = [tuple(r.values()) for batch in sorter.result() for r in batch.to_pylist()]
    assert found == sorted(rows)
    assert not list(tmp_path.iterdir())


def test_there_is_no_savepoint_of_rows_that_wait_for_the_end(tmp_path: Any) -> None:
    runner = SqlHarness(lambda: FinalSortOperator(SETTINGS, ORDERS), [SCHEMA], tmp_path)
    runner.feed([("+I", r) for r in rows_of([(0, 1, None)])])
    with pytest.raises(BatchSavepointError, match="op"):
        runner.snapshot()
    runner.end()
    runner.snapshot()


# ---------------------------------------------------------------------- UNNEST, table functions


def correlated(
    kind: pa.DataType, made: list[pa.DataType], values: list[Any], tmp_path: Any, **how: Any
) -> list[Change]:
    """The second column unnested."""
    given = pa.schema([("id", pa.int64()), ("c", kind)])
    fields = [pa.field(f"m{i}", k) for i, k in enumerate(made)]
    schema = pa.schema([*given, *fields])
    reference = InputRef(1, how.pop("type"), "c")
    outer = how.pop("outer", False)
    runner = SqlHarness(
        lambda: CorrelateOperator(SETTINGS, (reference,), schema, outer, **how), [given], tmp_path
    )
    changes = [("+I" if i % 2 else "-U", (i, v)) for i, v in enumerate(values)]
    found = runner.feed(changes)
    return [(kind_, (row[0], *row[2:])) for kind_, row in found]


LISTS = [[1, None, 3], None, [], [4]]


def test_unnest_of_arrays(tmp_path: Any) -> None:
    found = correlated(pa.list_(pa.int32()), [pa.int32()], LISTS, tmp_path, type=t.ARRAY(t.INT()))
    assert found == [("-U", (0, 1)), ("-U", (0, None)), ("-U", (0, 3)), ("+I", (3, 4))]


def test_unnest_keeps_rows_without_elements_and_counts(tmp_path: Any) -> None:
    found = correlated(
        pa.list_(pa.int32()), [pa.int32(), pa.int32()], LISTS, tmp_path,
        type=t.ARRAY(t.INT()), outer=True, ordinality=True,
    )  # fmt: skip
    assert found == [
        ("-U", (0, 1, 1)),
        ("-U", (0, None, 2)),
        ("-U", (0, 3, 3)),
        ("+I", (1, None, None)),
        ("-U", (2, None, None)),
        ("+I", (3, 4, 1)),
    ]


def test_unnest_of_rows_maps_and_multisets(tmp_path: Any) -> None:
    struct = pa.struct([("a", pa.int32()), ("b", pa.string())])
    rows = [[{"a": 1, "b": "x"}, None], [{"a": None, "b": "y"}]]
    kind = t.ARRAY(t.ROW([("a", t.INT()), ("b", t.STRING())]))
    found = correlated(pa.list_(struct), [pa.int32(), pa.string()], rows, tmp_path, type=kind)
    assert [r for _, r in found] == [(0, 1, "x"), (0, None, None), (1, None, "y")]
    of_maps, kind = pa.map_(pa.string(), pa.int32()), t.MAP(t.STRING(), t.INT())
    maps = [[("k", 1), ("l", None)], None, [("m", 2)]]
    found = correlated(of_maps, [pa.string(), pa.int32()], maps, tmp_path, type=kind)
    assert [r for _, r in found] == [(0, "k", 1), (0, "l", None), (2, "m", 2)]
    found = correlated(
        of_maps, [pa.string(), pa.int32()], [[("k", 2), ("l", 1)], [("m", 1)]], tmp_path,
        type=kind, multiset=True, ordinality=True,
    )  # fmt: skip
    assert [r for _, r in found] == [(0, "k", 1), (0, "k", 2), (0, "l", 3), (1, "m", 1)]


@pytest.mark.parametrize("outer", [False, True])
def test_table_functions(outer: bool, tmp_path: Any) -> None:
    def halves(text: str | None) -> Any:
        return None if text is None else [(part, len(part)) for part in text.split(",")]

    result = t.ROW([("word", t.STRING()), ("size", t.INT())])
    user = TableCall("halves", halves, [t.STRING()], result)
    found = correlated(
        pa.string(), [pa.string(), pa.int32()], ["a,bc", None, "d"], tmp_path,
        type=t.STRING(), outer=outer, user=user,
    )  # fmt: skip
    lonely = [("+I", (1, None, None))] if outer else []
    assert found == [("-U", (0, "a", 1)), ("-U", (0, "bc", 2)), *lonely, ("-U", (2, "d", 1))]
