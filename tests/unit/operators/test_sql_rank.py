"""Top-N against a model that ranks all rows anew."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesto.common.clock import VirtualClock
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.rank import TopNOperator
from lesto.taskmanager.operators.sql.rank_plan import TopN
from lesto.taskmanager.operators.sql.rank_update import TopNUpdateOperator
from lesto.taskmanager.operators.sql.sort_order import Order
from tests.support.hypothesis_profiles import examples
from tests.support.sql_operators import Change, SqlHarness, table_of

# partition, number, text, id
SCHEMA = pa.schema([("p", pa.string()), ("n", pa.int64()), ("s", pa.string()), ("id", pa.int64())])
RANKED = SCHEMA.append(pa.field("rank", pa.int64()))
FUNCTIONS = ("ROW_NUMBER", "RANK", "DENSE_RANK")


def sort_value(value: Any, order: Order) -> Any:
    """Something that compares as SQL does."""
    null = -1 if order.nulls_first else 1
    if value is None:
        return (null, 0)
    if isinstance(value, str):
        raw = tuple(value.encode())
        # Longer texts are greater: the end is less than any byte.
        return (0, tuple(-b for b in (*raw, -1)) if order.descending else (*raw, -1))
    return (0, -value if order.descending else value)


def model(rows: list[tuple[Any, ...]], top: TopN) -> list[tuple[Any, ...]]:
    """The ranked rows of rows in order of arrival."""
    found = []
    for key in {tuple(r[i] for i in top.partition) for r in rows}:
        mine = [r for r in rows if tuple(r[i] for i in top.partition) == key]
        values = [tuple(sort_value(r[o.index], o) for o in top.order) for r in mine]
        ordered = sorted(range(len(mine)), key=lambda i: values[i])
        rank = dense = 0
        for number, i in enumerate(ordered):
            new = number == 0 or values[i] != values[ordered[number - 1]]
            dense += new
            rank = number + 1 if new else rank
            shown = {"ROW_NUMBER": number + 1, "RANK": rank, "DENSE_RANK": dense}[top.function]
            if top.start <= shown <= top.end:
                found.append((*mine[i], shown) if top.with_rank else mine[i])
    return sorted(found, key=repr)


ROW = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.one_of(st.none(), st.integers(-3, 3)),
    st.sampled_from(["x", "xy", "é", None]),
)
ORDER = st.lists(
    st.builds(Order, st.sampled_from([1, 2]), st.booleans(), st.booleans()), max_size=2
).map(tuple)
RANGE = st.tuples(st.integers(1, 3), st.integers(0, 3)).map(lambda p: (p[0], p[0] + p[1]))


def top_n(**changes: Any) -> TopN:
    values: dict[str, Any] = {
        "partition": (0,),
        "order": (Order(1, True, False),),
        "function": "ROW_NUMBER",
        "start": 1,
        "end": 2,
        "with_rank": False,
        "give_before": True,
    }
    return TopN(**{**values, **changes})


def harness(top: TopN, directory: Any, spare: int | None = None, **more: Any) -> SqlHarness:
    """Of rows that change if there is a number of spare ones, else of rows that only come."""
    schema = RANKED if top.with_rank else SCHEMA

    def make() -> TopNOperator | TopNUpdateOperator:
        if spare is None:
            return TopNOperator(SqlSettings(), top, schema)
        return TopNUpdateOperator(SqlSettings(), top, schema, spare)

    return SqlHarness(
        make,
        [SCHEMA],
        directory,
        keys=top.partition,
        **more,
    )


@settings(max_examples=examples(80))
@given(
    batches=st.lists(st.lists(ROW, max_size=7), max_size=6),
    order=ORDER,
    bounds=RANGE,
    function=st.sampled_from(FUNCTIONS),
    with_rank=st.booleans(),
    partition=st.sampled_from([(0,), (0, 2), ()]),
    before=st.booleans(),
)
def test_of_inserts(
    batches: Any,
    order: Any,
    bounds: Any,
    function: str,
    with_rank: bool,
    partition: Any,
    before: bool,
    tmp_path_factory: Any,
) -> None:
    top = top_n(
        partition=partition,
        order=order,
        start=bounds[0],
        end=bounds[1],
        function=function,
        with_rank=with_rank,
        give_before=before,
        row_key=(3,),
    )
    runner = harness(top, tmp_path_factory.mktemp("t"))
    rows: list[tuple[Any, ...]] = []
    for batch in batches:
        new = [(*r, len(rows) + i) for i, r in enumerate(batch)]
        rows += new
        if new:
            given = runner.feed([("+I", r) for r in new])
            once(given, top)
        check(runner, rows, top)
    runner.close()


def check(runner: SqlHarness, rows: list[tuple[Any, ...]], top: TopN) -> None:
    """What was given makes the ranked rows, told by all keys that they have."""
    keys: list[Any] = [None] if top.give_before else [(3,)]
    if not top.give_before and top.with_rank and top.function == "ROW_NUMBER":
        keys.append((*top.partition, 4))
    if not top.give_before and top.start == top.end and top.function == "ROW_NUMBER":
        keys.append(top.partition)
    for key in keys:
        assert sorted(table_of(runner.given(), key).elements(), key=repr) == model(rows, top)


def once(given: list[Change], top: TopN) -> None:
    """No row comes and goes within a batch."""
    added = [row for kind, row in given if kind in {"+I", "+U"}]
    taken = [row for kind, row in given if kind in {"-D", "-U"}]
    if top.give_before:
        assert not set(added) & set(taken)


def steps(draw_rows: list[tuple[Any, ...]], rng: random.Random) -> list[list[Change]]:
    """Batches of inserts, updates and deletes of rows by id."""
    live: list[tuple[Any, ...]] = []
    batches: list[list[Change]] = [[]]
    for i, row in enumerate(draw_rows):
        what = rng.random()
        if live and what < 0.25:
            batches[-1].append(("-D", live.pop(rng.randrange(len(live)))))
        elif live and what < 0.5:
            at = rng.randrange(len(live))
            old = live.pop(at)
            new = (*row, old[3])
            live.append(new)
            batches[-1] += [("-U", old), ("+U", new)]
        else:
            new = (*row, i)
            live.append(new)
            batches[-1].append(("+I", new))
        if rng.random() < 0.3:
            batches.append([])
    return batches


@settings(max_examples=examples(80))
@given(
    rows=st.lists(ROW, max_size=30),
    order=ORDER,
    bounds=RANGE,
    function=st.sampled_from(FUNCTIONS),
    with_rank=st.booleans(),
    partition=st.sampled_from([(0,), ()]),
    before=st.booleans(),
    keyed=st.booleans(),
    spare=st.sampled_from([0, 1, 50]),
    seed=st.integers(0, 1000),
)
def test_of_changes(
    rows: Any,
    order: Any,
    bounds: Any,
    function: str,
    with_rank: bool,
    partition: Any,
    before: bool,
    keyed: bool,
    spare: int,
    seed: int,
    tmp_path_factory: Any,
) -> None:
    top = top_n(
        partition=partition,
        order=order,
        start=bounds[0],
        end=bounds[1],
        function=function,
        with_rank=with_rank,
        give_before=before or not keyed,
        row_key=(3,) if keyed else None,
    )
    runner = harness(top, tmp_path_factory.mktemp("t"), spare)
    live: list[tuple[Any, ...]] = []
    for batch in steps(rows, random.Random(seed)):
        if not batch:
            continue
        for kind, row in batch:
            if kind in {"+I", "+U"}:
                live.append(row)
            else:
                live.remove(row)
        once(runner.feed(batch), top)
        check(runner, live, top)
    runner.close()


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("spare", [None, 0, 50])
def test_goes_on_behind_a_restore_at_other_parallelisms(
    backend: str, spare: int | None, tmp_path: Any
) -> None:
    top = top_n(with_rank=True, end=3)
    rng = random.Random(3)
    rows = [(rng.choice("abcdefgh"), rng.randrange(9), "x", i) for i in range(120)]
    given: list[Change] = []
    saved = None
    for at, parallelism in enumerate((2, 1, 3)):
        runner = harness(
            top, tmp_path, spare, parallelism=parallelism, backend=backend, restore=saved
        )
        for start in range(at * 40, at * 40 + 40, 10):
            runner.feed([("+I", r) for r in rows[start : start + 10]])
        given += runner.given()
        saved = runner.snapshot(canonical=at == 1)
        runner.close()
    assert sorted(table_of(given).elements(), key=repr) == model(rows, top)


def test_equal_rows_are_taken_back_one_at_a_time(tmp_path: Any) -> None:
    top = top_n(end=5)
    runner = harness(top, tmp_path, 2)
    row = ("a", 1, "x", 7)
    assert runner.feed([("+I", row), ("+I", row)]) == [("+I", row), ("+I", row)]
    assert runner.feed([("-D", row)]) == [("-D", row)]
    assert runner.feed([("-D", row), ("+I", row)]) in ([], [("-D", row), ("+I", row)])
    assert runner.feed([("-D", row)]) == [("-D", row)]
    assert runner.feed([("-D", row)]) == []
    assert runner.counter("retractions_ignored") == 1


def test_one_row_a_partition_is_updated(tmp_path: Any) -> None:
    runner = harness(top_n(end=1), tmp_path)
    first, second = ("a", 1, "x", 0), ("a", 2, "x", 1)
    assert runner.feed([("+I", first)]) == [("+I", first)]
    assert runner.feed([("+I", second)]) == [("-U", first), ("+U", second)]
    assert runner.feed([("+I", ("a", 2, "x", 2))]) == []


def test_shifted_rows_are_updated_with_their_rank(tmp_path: Any) -> None:
    runner = harness(top_n(end=3, with_rank=True), tmp_path)
    runner.feed([("+I", ("a", 5, "x", 0)), ("+I", ("a", 3, "x", 1))])
    assert runner.feed([("+I", ("a", 4, "x", 2))]) == [
        ("-U", ("a", 3, "x", 1, 2)),
        ("+U", ("a", 4, "x", 2, 2)),
        ("+I", ("a", 3, "x", 1, 3)),
    ]


def test_bounded_input_gives_the_last_ranks_alone(tmp_path: Any) -> None:
    top = top_n(final=True, with_rank=True)
    runner = harness(top, tmp_path)
    rows = [("a", 1, "x", 0), ("a", 3, "x", 1), ("b", 1, "x", 2), ("a", 2, "x", 3)]
    for row in rows:
        assert runner.feed([("+I", row)]) == []
    assert sorted(table_of(runner.end()).elements(), key=repr) == model(rows, top)


def test_a_head_is_filled_up_and_cut_in_the_order_of_arrival(tmp_path: Any) -> None:
    top = top_n(partition=(), end=1)
    runner = harness(top, tmp_path, 0)
    rows = [("a", n, "x", i) for i, n in enumerate([5, 5, 5, 4, 4, 4, 9])]
    runner.feed([("+I", r) for r in rows])
    shown = []
    for row in (rows[6], *rows[:5]):
        shown.append(runner.feed([("-D", row)])[-1][1][3])
    assert shown == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("spare", [None, 5])
def test_idle_rows_are_forgotten(spare: int | None, tmp_path: Any) -> None:
    clock = VirtualClock(1_000_000)
    runner = harness(top_n(end=1, ttl_ms=1000), tmp_path, spare, clock=clock)
    runner.feed([("+I", ("a", 5, "x", 0)), ("+I", ("b", 5, "x", 1))])
    assert runner.feed([("+I", ("a", 1, "x", 2))]) == []
    runner.advance(2000)
    # Nothing is known of what was ranked.
    assert runner.feed([("+I", ("a", 1, "x", 3))]) == [("+I", ("a", 1, "x", 3))]
