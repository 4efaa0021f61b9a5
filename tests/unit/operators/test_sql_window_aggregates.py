"""Aggregates of windows against a model that looks at every row of every window."""

from __future__ import annotations

import datetime as dt
import decimal
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesto.common.clock import VirtualClock
from lesto.common.elements import MAX_TIMESTAMP
from lesto.sql import types as t
from lesto.sql.builder import call, cast, literal
from lesto.sql.expressions import InputRef
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.sql.window_aggregate import AggregatePlan, WindowAggregateOperator
from lesto.taskmanager.operators.sql.window_arguments import CallSpec
from lesto.taskmanager.operators.sql.window_sessions import SessionAggregateOperator
from lesto.taskmanager.operators.sql.window_shapes import WindowSpec
from tests.support.hypothesis_profiles import examples
from tests.support.sql_operators import SqlHarness
from tests.support.sql_windows import Bounds, SessionModel, WindowModel

# key, value, text, time
SCHEMA = pa.schema(
    [("k", pa.int64()), ("v", pa.int32()), ("s", pa.string()), ("ts", pa.timestamp("ms"))]
)
K, V, S = InputRef(0, t.BIGINT()), InputRef(1, t.INT()), InputRef(2, t.STRING())
DECIMAL = cast(V, t.DECIMAL(10, 2))
POSITIVE = call(">", [V, literal(0)])
CALLS = (
    CallSpec("COUNT", (), t.BIGINT()),
    CallSpec("SUM", (V,), t.INT()),
    CallSpec("AVG", (V,), t.INT()),
    CallSpec("MIN", (V,), t.INT(), condition=POSITIVE),
    CallSpec("MAX", (S,), t.STRING()),
    CallSpec("COUNT", (V,), t.BIGINT(), distinct=True, condition=POSITIVE),
    CallSpec("SUM", (DECIMAL,), t.DECIMAL(38, 2)),
    CallSpec("LISTAGG", (S,), t.STRING()),
)
RESULTS = [
    ("k", pa.int64()), ("n", pa.int64()), ("sum", pa.int32()), ("avg", pa.int32()),
    ("min", pa.int32()), ("max", pa.string()), ("distinct", pa.int64()),
    ("d", pa.decimal128(38, 2)), ("list", pa.string()), ("start", pa.timestamp("ms")),
    ("end", pa.timestamp("ms")), ("time", pa.timestamp("ms")),
]  # fmt: skip
OUTPUT = pa.schema(RESULTS)
PROPERTIES = ("start", "end", "rowtime")
SPECS = {
    "tumble": WindowSpec("TUMBLE", 3, True, 10),
    "tumble_offset": WindowSpec("TUMBLE", 3, True, 10, offset_ms=3),
    "hop": WindowSpec("HOP", 3, True, 10, 4, 1),
    "hop_thirds": WindowSpec("HOP", 3, True, 9, 3),
    "hop_gaps": WindowSpec("HOP", 3, True, 4, 10),
    "cumulate": WindowSpec("CUMULATE", 3, True, 20, 5, 2),
}
GAP = WindowSpec("SESSION", 3, True, 5, keys=(0,))


def at(ms: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=ms)  # noqa: DTZ001


def result(key: Any, rows: list[Any], window: Bounds) -> list[tuple[Any, ...]]:
    """The aggregates of (sign, value, text); the list in any order."""
    counts: Counter[Any] = Counter()
    for sign, v, s in rows:
        counts[v, s] += sign
    assert all(n >= 0 for n in counts.values())
    kept = list(counts.elements())
    if not kept:
        return []
    values = [v for v, _ in kept if v is not None]
    texts = [s for _, s in kept if s is not None]
    positive = [v for v in values if v > 0]
    total = sum(values) if values else None
    return [
        (
            key, len(kept), total,
            None if total is None else int(total / len(values)),
            min(positive, default=None), max(texts, default=None), len(set(positive)),
            None if total is None else decimal.Decimal(total).quantize(decimal.Decimal("0.01")),
            tuple(sorted(texts)) or None, at(window[0]), at(window[1]), at(window[1] - 1),
        )
    ]  # fmt: skip


def shown(changes: Sequence[tuple[str, tuple[Any, ...]]]) -> Counter[Any]:
    found: Counter[Any] = Counter()
    for kind, row in changes:
        assert kind == "+I"
        texts = row[8]
        whole = None if texts is None else tuple(sorted(texts.split(",")))
        found[(*row[:8], whole, *row[9:])] += 1
    return found


ROW = st.tuples(
    st.sampled_from([1, 2, 3, None]),
    st.one_of(st.none(), st.integers(-5, 5)),
    st.sampled_from(["a", "b", "é", None]),
    st.integers(-30, 60),
)
STEP = st.one_of(
    st.lists(ROW, min_size=1, max_size=12),
    st.integers(-30, 60),
    st.sampled_from(["restore 1", "restore 2", "restore 3"]),
)


class Run:
    """An operator and its restores."""

    def __init__(self, make: Any, directory: Path, backend: str = "hashmap") -> None:
        self.make = make
        self.directory = directory
        self.backend = backend
        self.harness = self._open(1, None)
        self.late = 0.0

    def _open(self, parallelism: int, restore: Any) -> SqlHarness:
        return SqlHarness(
            self.make, [SCHEMA], self.directory, keys=(0,), parallelism=parallelism,
            backend=self.backend, restore=restore,
        )  # fmt: skip

    def restore(self, parallelism: int) -> None:
        """Stop with a snapshot, go on with so many subtasks."""
        saved = self.harness.snapshot()
        self.late += self.harness.counter("num_late_records_dropped")
        self.harness.close()
        self.harness = self._open(parallelism, saved)

    def dropped(self) -> float:
        """Late rows so far."""
        return self.late + self.harness.counter("num_late_records_dropped")


def plan(spec: WindowSpec, *, retracting: bool = False) -> AggregatePlan:
    return AggregatePlan(spec, (0,), CALLS, PROPERTIES, retracting=retracting)


def drive(run: Run, model: Any, steps: Sequence[Any]) -> None:
    """Rows, watermarks and restores; results are compared at each watermark."""
    reached = -100
    for step in [*steps, MAX_TIMESTAMP]:
        if isinstance(step, str):
            run.restore(int(step[-1]))
        elif isinstance(step, list):
            given = run.harness.feed([("+I", (k, v, s, at(ms))) for k, v, s, ms in step])
            assert not given
            if isinstance(model, SessionModel):
                model.add([(k, ms, (1, v, s)) for k, v, s, ms in step])
            else:
                for k, v, s, ms in step:
                    model.add(k, ms, (1, v, s))
        elif step > reached:
            reached = step
            assert shown(run.harness.watermark(step)) == model.advance(step)
    assert run.dropped() == model.late
    run.harness.close()


@pytest.mark.parametrize("name", SPECS)
@settings(max_examples=examples(12))
@given(steps=st.lists(STEP, max_size=10))
def test_slices_give_what_the_model_gives(
    tmp_path_factory: Any, name: str, steps: list[Any]
) -> None:
    spec = SPECS[name]

    def make() -> Any:
        return WindowAggregateOperator(SqlSettings(), plan(spec), OUTPUT, False)

    run = Run(make, tmp_path_factory.mktemp("w"))
    drive(run, WindowModel(spec, result), steps)


@settings(max_examples=examples(25))
@given(steps=st.lists(STEP, max_size=10))
def test_sessions_give_what_the_model_gives(tmp_path_factory: Any, steps: list[Any]) -> None:
    def make() -> Any:
        return SessionAggregateOperator(SqlSettings(), plan(GAP), OUTPUT, False)

    run = Run(make, tmp_path_factory.mktemp("s"))
    drive(run, SessionModel(GAP.size_ms, result), steps)


@pytest.mark.parametrize("name", ["tumble", "hop", "cumulate"])
@settings(max_examples=examples(8))
@given(
    rows=st.lists(st.tuples(ROW, st.booleans()), min_size=1, max_size=30),
    watermark=st.integers(-30, 60),
)
def test_rows_that_are_taken_back_do_not_count(
    tmp_path_factory: Any, name: str, rows: list[Any], watermark: int
) -> None:
    spec = SPECS[name]

    def make() -> Any:
        made = plan(spec, retracting=True)
        return WindowAggregateOperator(SqlSettings(), made, OUTPUT, False)

    harness = SqlHarness(make, [SCHEMA], tmp_path_factory.mktemp("r"), keys=(0,), parallelism=2)
    model = WindowModel(spec, result)
    half = len(rows) // 2
    changes: list[Any] = [("+I", row) for row, _ in rows]
    back = [("-D", row) for row, gone in rows if gone]
    for some in (changes[:half], [*changes[half:], *back]):
        if some:
            harness.feed([(kind, (*row[:3], at(row[3]))) for kind, row in some])
        for kind, (k, v, s, ms) in some:
            model.add(k, ms, (1 if kind == "+I" else -1, v, s))
    assert shown(harness.watermark(watermark)) == model.advance(watermark)
    assert shown(harness.end()) == model.advance(MAX_TIMESTAMP)
    harness.close()


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("name", ["hop", "cumulate"])
def test_windows_go_on_in_any_backend(tmp_path: Path, backend: str, name: str) -> None:
    spec = SPECS[name]

    def make() -> Any:
        return WindowAggregateOperator(SqlSettings(), plan(spec), OUTPUT, False)

    rows = [(i % 3, i, "ab"[i % 2], i) for i in range(40)]
    steps = [rows[:15], 6, "restore 2", rows[15:], 25, "restore 3", [(1, 9, "z", 27)], 30]
    drive(Run(make, tmp_path, backend), WindowModel(spec, result), steps)


def test_without_keys_there_is_one_group(tmp_path: Path) -> None:
    made = AggregatePlan(SPECS["hop"], (), CALLS[:1], ("end",))
    output = pa.schema([("n", pa.int64()), ("end", pa.timestamp("ms"))])

    def make() -> Any:
        return WindowAggregateOperator(SqlSettings(), made, output, False)

    harness = SqlHarness(make, [SCHEMA], tmp_path)
    harness.feed([("+I", (k, 1, "a", at(2))) for k in range(5)])
    assert harness.end() == [("+I", (5, at(end))) for end in (3, 7, 11)]
    harness.close()


def test_windows_of_the_input_are_grouped_as_they_come(tmp_path: Path) -> None:
    """Two windows with one end and several starts, as of sessions."""
    schema = pa.schema(
        [("k", pa.int64()), ("start", pa.timestamp("ms")), ("end", pa.timestamp("ms"))]
    )
    made = AggregatePlan(SPECS["tumble"], (), CALLS[:1], ("start", "end"), columns=(1, 2))
    output = pa.schema(
        [("n", pa.int64()), *[("s", schema.field(1).type), ("e", schema.field(2).type)]]
    )

    def make() -> Any:
        return WindowAggregateOperator(SqlSettings(), made, output, False)

    harness = SqlHarness(make, [schema], tmp_path, keys=(1,), parallelism=2)
    rows = [(1, 0, 10), (2, 0, 10), (3, 5, 10), (4, 5, 20)]
    harness.feed([("+I", (k, at(a), at(b))) for k, a, b in rows])
    first = harness.watermark(9)
    assert sorted(first) == [("+I", (1, at(5), at(10))), ("+I", (2, at(0), at(10)))]
    harness.feed([("+I", (9, at(0), at(10)))])
    assert harness.counter("num_late_records_dropped") == 1
    assert harness.end() == [("+I", (1, at(5), at(20)))]
    harness.close()


@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize("name", ["tumble", "hop", "cumulate"])
def test_no_window_fires_twice_though_subtasks_were_not_equally_far(
    tmp_path: Path, name: str, parallelism: int
) -> None:
    spec = SPECS[name]

    def make() -> Any:
        return WindowAggregateOperator(SqlSettings(), plan(spec), OUTPUT, False)

    rows = [(i % 16, i, "ab"[i % 2], i % 40) for i in range(200)]
    harness = SqlHarness(make, [SCHEMA], tmp_path, keys=(0,), parallelism=2)
    harness.feed([("+I", (*row[:3], at(row[3]))) for row in rows])
    for part, reached in zip(harness.parts, (31, 6), strict=True):
        part.watermark(reached)
    given = harness.given()
    saved = harness.snapshot()
    harness.close()
    harness = SqlHarness(
        make, [SCHEMA], tmp_path, keys=(0,), parallelism=parallelism, restore=saved
    )
    harness.watermark(6)
    harness.watermark(22)
    harness.end()
    given += harness.given()
    harness.close()
    model = WindowModel(spec, result)
    for k, v, s, ms in rows:
        model.add(k, ms, (1, v, s))
    assert shown(given) == model.advance(MAX_TIMESTAMP)


@pytest.mark.parametrize("name", ["tumble", "hop", "cumulate"])
def test_equal_values_of_a_distinct_count_are_kept_once(tmp_path: Path, name: str) -> None:
    calls = (CALLS[0], CALLS[4], CALLS[5])
    made = AggregatePlan(SPECS[name], (0,), calls, ("end",))
    output = pa.schema([OUTPUT.field(i) for i in (0, 1, 5, 6, 10)])

    def make() -> Any:
        return WindowAggregateOperator(SqlSettings(), made, output, False)

    harness = SqlHarness(make, [SCHEMA], tmp_path, keys=(0,))
    for _ in range(3):
        harness.feed([("+I", (1, i % 4, "ab"[i % 2], at(3))) for i in range(500)])
    saved = harness.snapshot()
    harness.close()
    harness = SqlHarness(make, [SCHEMA], tmp_path, keys=(0,), parallelism=2, restore=saved)
    harness.feed([("+I", (1, i % 4, "ab"[i % 2], at(3))) for i in range(500)])
    tables = [p.backend().row_table(_waiting(p)) for p in harness.parts]
    assert sum(len(table) for table in tables) == 4
    assert {row[1:4] for _, row in harness.end()} == {(2_000, "b", 3)}
    harness.close()


def _waiting(part: Any) -> Any:
    rows = part.operator._windows._rows
    return rows.table.descriptor


def test_a_row_without_time_is_an_error(tmp_path: Path) -> None:
    def make() -> Any:
        return WindowAggregateOperator(SqlSettings(), plan(SPECS["tumble"]), OUTPUT, False)

    harness = SqlHarness(make, [SCHEMA], tmp_path)
    with pytest.raises(MissingTimestampError, match="windows over ts, and 1 of 2 rows"):
        harness.feed([("+I", (1, 1, "a", at(0))), ("+I", (1, 1, "a", None))])
    harness.close()


@pytest.mark.parametrize("kind", ["TUMBLE", "SESSION"])
def test_windows_of_the_clock_end_by_the_clock(tmp_path: Path, kind: Any) -> None:
    spec = WindowSpec(kind, 3, False, 10_000, keys=(0,))
    made = AggregatePlan(spec, (0,), CALLS[:1], ("start", "end"))
    output = pa.schema([OUTPUT.field(0), OUTPUT.field(1), OUTPUT.field(9), OUTPUT.field(10)])
    operator = SessionAggregateOperator if kind == "SESSION" else WindowAggregateOperator

    def make() -> Any:
        return operator(SqlSettings("Asia/Kolkata"), made, output, True)

    clock = VirtualClock(1_000_003_000)
    harness = SqlHarness(make, [SCHEMA], tmp_path, clock=clock)
    local = 1_000_003_000 + 19_800_000
    start = local if kind == "SESSION" else local // 10_000 * 10_000
    row = ("+I", (1, 1, "a", None))
    assert not harness.feed([row])
    assert not harness.advance(2_000)
    assert not harness.feed([row, row])
    saved = harness.snapshot()
    harness.close()
    harness = SqlHarness(make, [SCHEMA], tmp_path, clock=clock, restore=saved)
    end = start + (12_000 if kind == "SESSION" else 10_000)
    assert not harness.advance(end - local - 2_000 - 1)
    assert harness.advance(1) == [("+I", (1, 3, at(start), at(end)))]
    assert not harness.watermark(5)
    harness.feed([row])
    assert [r[1][:2] for r in harness.end()] == [(1, 1)]
    harness.close()
