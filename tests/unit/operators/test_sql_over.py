"""OVER against a model that computes each row's frame anew in plain Python."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesto.common.clock import VirtualClock
from lesto.sql import types as t
from lesto.sql.aggregates.ranking import RANKING, ranking_type
from lesto.sql.aggregates.table import bind_aggregate
from lesto.sql.builder import call as built
from lesto.sql.builder import literal
from lesto.sql.expressions import InputRef
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.over import OverOperator
from lesto.taskmanager.operators.sql.over_batch import FinalOverOperator
from lesto.taskmanager.operators.sql.over_program import OverCall, OverSpec
from lesto.taskmanager.operators.sql.over_update import OverUpdateOperator
from lesto.taskmanager.operators.sql.sort_order import Order
from tests.support.hypothesis_profiles import examples
from tests.support.sql_operators import Change, SqlHarness, table_of

SETTINGS = SqlSettings()
SCHEMA = pa.schema(
    [
        ("p", pa.string()),
        ("t", pa.timestamp("ms")),
        ("n", pa.int64()),
        ("d", pa.decimal128(10, 2)),
        ("f", pa.float64()),
        ("s", pa.string()),
        ("id", pa.int64()),
    ]
)
N = InputRef(2, t.BIGINT(), "n")
D = InputRef(3, t.DECIMAL(10, 2), "d")
F = InputRef(4, t.DOUBLE(), "f")
S = InputRef(5, t.STRING(), "s")
POSITIVE = built(">", [N, literal(0)])


def over_call(function: str, *args: Any, distinct: bool = False, condition: Any = None) -> OverCall:
    """A call with its type."""
    if function in RANKING:
        return OverCall(function, args, ranking_type(function, args))
    bound = bind_aggregate(function, args, distinct=distinct, grouped=False)
    return OverCall(function, bound.args, bound.type, bound.distinct, condition)


def known(rows: list[Any], column: int) -> list[Any]:
    return [r[column] for r in rows if r[column] is not None]


def distinct(values: list[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def or_none(values: list[Any], function: Any) -> Any:
    return function(values) if values else None


#: Calls and what they give of a frame's rows.
AGGREGATES: dict[str, tuple[OverCall, Any]] = {
    "count": (over_call("COUNT"), len),
    "count n": (over_call("COUNT", N), lambda r: len(known(r, 2))),
    "sum n": (over_call("SUM", N), lambda r: or_none(known(r, 2), sum)),
    "sum d": (over_call("SUM", D), lambda r: or_none(known(r, 3), sum)),
    "sum f": (over_call("SUM", F), lambda r: or_none(known(r, 4), sum)),
    "avg f": (over_call("AVG", F), lambda r: or_none(known(r, 4), lambda v: sum(v) / len(v))),
    "min s": (over_call("MIN", S), lambda r: or_none(known(r, 5), min)),
    "max n": (over_call("MAX", N), lambda r: or_none(known(r, 2), max)),
    "max d": (over_call("MAX", D), lambda r: or_none(known(r, 3), max)),
    "first s": (over_call("FIRST_VALUE", S), lambda r: or_none(known(r, 5), lambda v: v[0])),
    "last n": (over_call("LAST_VALUE", N), lambda r: or_none(known(r, 2), lambda v: v[-1])),
    "filtered": (
        over_call("SUM", N, condition=POSITIVE),
        lambda r: or_none([v for v in known(r, 2) if v > 0], sum),
    ),
    "distinct": (
        over_call("COUNT", S, distinct=True),
        lambda r: len(set(known(r, 5))),
    ),
    "distinct sum": (
        over_call("SUM", N, distinct=True),
        lambda r: or_none(distinct(known(r, 2)), sum),
    ),
    "listagg": (over_call("LISTAGG", S), lambda r: or_none(known(r, 5), ",".join)),
    "distinct listagg": (
        over_call("LISTAGG", S, distinct=True),
        lambda r: or_none(distinct(known(r, 5)), ",".join),
    ),
}
ONCE = (
    "count", "sum n", "sum d", "min s", "max n", "first s", "last n", "filtered", "distinct",
    "distinct sum",
)  # fmt: skip
FRAMES = st.sampled_from(
    [(True, None), (True, 0), (True, 2), (False, None), (False, 0), (False, 3)]
)


def model(rows: list[Any], spec: OverSpec, names: list[str], key: Any) -> list[tuple[Any, ...]]:
    """Rows with results; rows in order of arrival, ``key`` gives what they are sorted by."""
    found = []
    for part in {tuple(r[i] for i in spec.partition) for r in rows}:
        mine = sorted((r for r in rows if tuple(r[i] for i in spec.partition) == part), key=key)
        for i, row in enumerate(mine):
            if spec.rows:
                low = 0 if spec.preceding is None else max(0, i - spec.preceding)
                frame = mine[low : i + 1]
            elif spec.preceding is None:
                frame = [r for r in mine if key(r) <= key(row)]
            else:
                at = row[1].timestamp() * 1000
                frame = [r for r in mine if 0 <= at - r[1].timestamp() * 1000 <= spec.preceding]
            found.append((*row, *(AGGREGATES[n][1](frame) for n in names)))
    return sorted(found, key=repr)


def at(ms: int) -> Any:
    return pa.array([ms], pa.timestamp("ms"))[0].as_py()


VALUES = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.integers(0, 12),
    st.one_of(st.none(), st.integers(-3, 3)),
    st.sampled_from([None, Decimal("0.50"), Decimal("-2.25"), Decimal("7.00")]),
    st.sampled_from([None, 0.5, -1.25, 8.0]),
    st.sampled_from([None, "x", "y", "é"]),
)


def numbered(values: list[Any], first: int = 0) -> list[Any]:
    return [(p, at(ms), n, d, f, s, first + i) for i, (p, ms, n, d, f, s) in enumerate(values)]


def schema_of(spec: OverSpec) -> pa.Schema:
    fields = [pa.field(f"w{i}", c.type.to_arrow()) for i, c in enumerate(spec.calls)]
    return pa.schema([*SCHEMA, *fields])


def spec_of(frame: Any, names: list[str], partition: Any = (0,), order: int = 1) -> OverSpec:
    calls = tuple(AGGREGATES[n][0] for n in names)
    return OverSpec(partition, (Order(order),), frame[0], frame[1], calls)


def over(spec: OverSpec, directory: Any, time: int | None = 1, ttl: int = 0, **more: Any) -> Any:
    return SqlHarness(
        lambda: OverOperator(SETTINGS, spec, time, schema_of(spec), ttl),
        [SCHEMA],
        directory,
        keys=spec.partition,
        **more,
    )


@settings(max_examples=examples(60))
@given(
    batches=st.lists(st.lists(VALUES, max_size=6), max_size=5),
    marks=st.lists(st.integers(-1, 5), min_size=5, max_size=5),
    frame=FRAMES,
    names=st.lists(st.sampled_from(sorted(AGGREGATES)), min_size=1, max_size=4),
    partition=st.sampled_from([(0,), ()]),
)
def test_by_event_time(
    batches: Any, marks: Any, frame: Any, names: Any, partition: Any, tmp_path_factory: Any
) -> None:
    spec = spec_of(frame, names, partition)
    runner = over(spec, tmp_path_factory.mktemp("t"))
    taken: list[Any] = []
    watermark, late, count = -1, 0, 0
    for batch, step in zip(batches, marks, strict=False):
        rows = numbered(batch, count)
        count += len(rows)
        taken += [r for r, v in zip(rows, batch, strict=True) if v[1] > watermark]
        late += sum(v[1] <= watermark for v in batch)
        if rows:
            assert runner.feed([("+I", r) for r in rows]) == []
        if step > 0:
            watermark += step
            given = runner.watermark(watermark)
            assert all(row[1] <= at(watermark) for _, row in given)
            assert [row[1] for _, row in given] == sorted(row[1] for _, row in given)
    runner.end()
    found = runner.given()
    assert {k for k, _ in found} <= {"+I"}
    assert sorted((r for _, r in found), key=repr) == model(taken, spec, names, lambda r: r[1])
    assert runner.counter("num_late_records_dropped") == late
    runner.close()


@settings(max_examples=examples(40))
@given(
    batches=st.lists(st.lists(VALUES, min_size=1, max_size=6), max_size=4),
    preceding=st.sampled_from([None, 0, 2]),
    names=st.lists(st.sampled_from(sorted(AGGREGATES)), min_size=1, max_size=4),
)
def test_by_arrival(batches: Any, preceding: Any, names: Any, tmp_path_factory: Any) -> None:
    spec = spec_of((True, preceding), names)
    runner = over(spec, tmp_path_factory.mktemp("t"), None)
    rows: list[Any] = []
    for batch in batches:
        new = numbered(batch, len(rows))
        rows += new
        given = runner.feed([("+I", r) for r in new])
        assert [r[: len(SCHEMA)] for _, r in given] == new
    expected = model(rows, spec, names, lambda r: r[6])
    assert sorted((r for _, r in runner.given()), key=repr) == expected
    runner.close()


def test_by_arrival_within_some_time(tmp_path: Any) -> None:
    clock = VirtualClock(1_000_000)
    spec = spec_of((False, 100), ["count", "listagg"])
    runner = over(spec, tmp_path, None, clock=clock)
    row = ("a", at(0), 1, None, None, "x", 0)
    given = [r[-2:] for _, r in runner.feed([("+I", row), ("+I", row)])]
    assert given == [(2, "x,x"), (2, "x,x")]
    runner.advance(100)
    assert [r[-2:] for _, r in runner.feed([("+I", row)])] == [(3, "x,x,x")]
    runner.advance(1)
    assert [r[-2:] for _, r in runner.feed([("+I", row)])] == [(2, "x,x")]


RANKS = (
    over_call("ROW_NUMBER"),
    over_call("RANK"),
    over_call("DENSE_RANK"),
    over_call("LAG", N),
    over_call("LAG", S, literal(2), literal("-")),
)


def ranked(rows: list[Any], partition: Any, key: Any) -> list[Any]:
    found = []
    for part in {tuple(r[i] for i in partition) for r in rows}:
        mine = sorted((r for r in rows if tuple(r[i] for i in partition) == part), key=key)
        for i, row in enumerate(mine):
            before = [r for r in mine if key(r) < key(row)]
            found.append(
                (
                    *row,
                    i + 1,
                    len(before) + 1,
                    len({key(r) for r in before}) + 1,
                    mine[i - 1][2] if i >= 1 else None,
                    mine[i - 2][5] if i >= 2 else "-",
                )
            )
    return sorted(found, key=repr)


@settings(max_examples=examples(40))
@given(
    batches=st.lists(st.lists(VALUES, min_size=1, max_size=6), max_size=4),
    partition=st.sampled_from([(0,), ()]),
)
def test_ranks_are_carried_on(batches: Any, partition: Any, tmp_path_factory: Any) -> None:
    spec = OverSpec(partition, (Order(1),), False, None, (*RANKS, AGGREGATES["sum n"][0]))
    runner = over(spec, tmp_path_factory.mktemp("t"))
    rows: list[Any] = []
    for number, batch in enumerate(batches):
        later = [(p, ms + 20 * number, *rest) for p, ms, *rest in batch]
        new = numbered(later, len(rows))
        rows += new
        runner.feed([("+I", r) for r in new])
        runner.watermark(20 * number + 15)
    found = sorted((r[:-1] for _, r in runner.given()), key=repr)
    assert found == ranked(rows, partition, lambda r: r[1])
    runner.close()


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("frame", [(True, None), (True, 2), (False, 3)])
def test_goes_on_behind_restores_at_other_parallelisms(
    frame: Any, backend: str, tmp_path: Any
) -> None:
    names = list(ONCE) if frame[1] is None else ["count", "sum n", "min s", "listagg", "distinct"]
    spec = spec_of(frame, names)
    rng = random.Random(5)
    values = [
        (rng.choice("abcdefg"), i // 4 + rng.randrange(3), rng.randrange(9), None, 0.5,
         rng.choice("xyz"))
        for i in range(90)
    ]  # fmt: skip
    rows = numbered(values)
    given: list[Change] = []
    saved = None
    for part, parallelism in enumerate((2, 1, 3)):
        runner = over(spec, tmp_path, parallelism=parallelism, backend=backend, restore=saved)
        for start in range(part * 30, part * 30 + 30, 10):
            runner.feed([("+I", r) for r in rows[start : start + 10]])
            runner.watermark(start // 4 + 1)
        saved = runner.snapshot(canonical=part == 1)
        if part == 2:
            runner.end()
        given += runner.given()
        runner.close()
    assert sorted((r for _, r in given), key=repr) == model(rows, spec, names, lambda r: r[1])


def test_a_row_that_was_late_before_a_failure_is_late_behind_it(tmp_path: Any) -> None:
    spec = spec_of((True, None), ["count"])
    runner = over(spec, tmp_path)
    row = ("a", at(5), 1, None, None, "x", 0)
    runner.feed([("+I", row)])
    assert runner.watermark(6) == [("+I", (*row, 1))]
    again = over(spec, tmp_path, restore=runner.snapshot())
    again.feed([("+I", row), ("+I", ("a", at(7), 1, None, None, "x", 1))])
    assert [r[-1] for _, r in again.watermark(8)] == [2]
    assert again.counter("num_late_records_dropped") == 1


def test_what_waits_outlives_the_time_to_live(tmp_path: Any) -> None:
    clock = VirtualClock(1_000_000)
    spec = spec_of((True, None), ["count"])
    runner = over(spec, tmp_path, ttl=1000, clock=clock)
    runner.feed([("+I", ("a", at(5), 1, None, None, "x", 0))])
    assert len(runner.watermark(6)) == 1
    runner.feed([("+I", ("a", at(50), 1, None, None, "x", 1))])
    runner.advance(5000)
    runner.feed([("+I", ("b", at(60), 1, None, None, "x", 2))])
    # The count before is forgotten, the row that waits is not.
    assert [(r[0], r[-1]) for _, r in runner.watermark(70)] == [("a", 1), ("b", 1)]


# ---------------------------------------------------------------------- rows that change


@settings(max_examples=examples(60))
@given(
    values=st.lists(VALUES, max_size=24),
    frame=FRAMES,
    names=st.lists(st.sampled_from(sorted(AGGREGATES)), min_size=1, max_size=3),
    before=st.booleans(),
    keyed=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_of_changes(
    values: Any,
    frame: Any,
    names: Any,
    before: bool,
    keyed: bool,
    seed: int,
    tmp_path_factory: Any,
) -> None:
    rng = random.Random(seed)
    spec = spec_of(frame, names)
    before = before or not keyed
    runner = SqlHarness(
        lambda: OverUpdateOperator(
            SETTINGS, spec, schema_of(spec), before, (6,) if keyed else None
        ),
        [SCHEMA],
        tmp_path_factory.mktemp("t"),
        keys=(0,),
    )
    live: list[Any] = []
    batch: list[Change] = []
    for row in numbered(values):
        if live and rng.random() < 0.3:
            batch.append(("-D", live.pop(rng.randrange(len(live)))))
        live.append(row)
        batch.append(("+I", row))
        if rng.random() < 0.4:
            runner.feed(batch)
            batch = []
    if batch:
        runner.feed(batch)
    found = table_of(runner.given(), None if before else (6,))
    assert found == Counter(model(live, spec, names, lambda r: r[1]))
    runner.close()


# ---------------------------------------------------------------------- bounded input


@settings(max_examples=examples(40))
@given(
    values=st.lists(VALUES, max_size=40),
    frame=FRAMES,
    names=st.lists(st.sampled_from(sorted(AGGREGATES)), min_size=1, max_size=3),
    memory=st.sampled_from([500, 1 << 20]),
)
def test_of_bounded_input(
    values: Any, frame: Any, names: Any, memory: int, tmp_path_factory: Any
) -> None:
    spec = spec_of(frame, names)
    runner = SqlHarness(
        lambda: FinalOverOperator(SETTINGS, spec, schema_of(spec), memory),
        [SCHEMA],
        tmp_path_factory.mktemp("t"),
    )
    rows = numbered(values)
    for start in range(0, len(rows), 7):
        assert runner.feed([("+I", r) for r in rows[start : start + 7]]) == []
    found = sorted((r for _, r in runner.end()), key=repr)
    assert found == model(rows, spec, names, lambda r: r[1])
    runner.close()


def test_functions_of_whole_partitions(tmp_path: Any) -> None:
    calls = (
        over_call("PERCENT_RANK"), over_call("CUME_DIST"), over_call("NTILE", literal(2)),
        over_call("LEAD", N), over_call("LEAD", N, literal(2), literal(0)),
    )  # fmt: skip
    spec = OverSpec((0,), (Order(2, True, False),), False, None, calls)
    runner = SqlHarness(
        lambda: FinalOverOperator(SETTINGS, spec, schema_of(spec)), [SCHEMA], tmp_path
    )
    values = [("a", 0, n, None, None, None) for n in (1, 3, 3, 5, None)]
    values.append(("b", 0, 2, None, None, None))
    runner.feed([("+I", r) for r in numbered(values)])
    assert [(r[0], r[2], *r[-5:]) for _, r in runner.end()] == [
        ("a", 5, 0.0, 0.2, 1, 3, 3),
        ("a", 3, 0.25, 0.6, 1, 3, 1),
        ("a", 3, 0.25, 0.6, 1, 1, None),
        ("a", 1, 0.75, 0.8, 2, None, 0),
        ("a", None, 1.0, 1.0, 2, None, 0),
        ("b", 2, 0.0, 1.0, 1, None, 0),
    ]
