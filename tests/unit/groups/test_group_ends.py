"""Groups that expire, users' aggregates, grouping sets, many counts."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from lesto.common.clock import VirtualClock
from lesto.sql import types as t
from lesto.sql.builder import call, literal
from lesto.sql.expressions import Literal
from lesto.sql.settings import SqlSettings
from lesto.sql.users.aggregates import AggregateFunctionCall
from lesto.sql.users.functions import AggregateFunction
from lesto.state.accumulators import RowCodec
from lesto.state.reader.decoding import TableLayout
from lesto.state.registry import StateMeta
from lesto.taskmanager.operators.sql.group_aggregate import GroupAggregateOperator
from lesto.taskmanager.operators.sql.group_expand import ExpandOperator
from lesto.taskmanager.operators.sql.group_gather import MiniBatch
from lesto.taskmanager.operators.sql.window_arguments import CallSpec
from tests.support.sql_operators import SqlHarness, table_of
from tests.unit.groups.model import NAMES, SCHEMA, col, operator, row

_HOUR = 3_600_000


def _expiring(tmp_path: Any, clock: VirtualClock, names: list[str], **how: Any) -> SqlHarness:
    return SqlHarness(
        lambda: operator(names, ttl_ms=_HOUR), [SCHEMA], tmp_path, keys=[0], clock=clock, **how
    )


def test_an_idle_group_is_forgotten_with_its_values(tmp_path: Any) -> None:
    clock = VirtualClock(1_000_000)
    harness = _expiring(tmp_path, clock, ["count", "distinct_v", "listagg_s", "min_v"])
    harness.feed([("+I", row("a", 5, s="x")), ("+I", row("b", 1, s="y"))])
    harness.advance(_HOUR - 1)
    assert harness.feed([("+I", row("b", 1, s="z"))]) == [
        ("-U", ("b", 1, 1, "y", 1)),
        ("+U", ("b", 2, 1, "y,z", 1)),
    ]
    harness.advance(_HOUR // 2)
    # Nothing is told of what is forgotten; what comes later begins anew.
    assert harness.feed([("+I", row("a", 5, s="w"))]) == [("+I", ("a", 1, 1, "w", 5))]
    assert harness.feed([("-D", row("b", 1, s="y"))]) == [
        ("-U", ("b", 2, 1, "y,z", 1)),
        ("+U", ("b", 1, 1, "z", 1)),
    ]
    harness.advance(3 * _HOUR)
    state = harness.parts[0].operator._state
    assert len(state.table) == 0
    assert all(len(values.table) == 0 for values in state.values)
    harness.close()


def test_idle_time_outlives_a_restore(tmp_path: Any) -> None:
    clock = VirtualClock(1_000_000)
    harness = _expiring(tmp_path, clock, ["count"])
    harness.feed([("+I", row("a")), ("+I", row("b"))])
    harness.advance(_HOUR // 2)
    harness.feed([("+I", row("b"))])
    saved = harness.snapshot()
    harness.close()
    harness = _expiring(tmp_path, clock, ["count"], restore=saved, parallelism=2)
    clock.advance(_HOUR // 2)
    assert harness.feed([("+I", row("a"))]) == [("+I", ("a", 1))]
    assert harness.feed([("+I", row("b"))]) == [("-U", ("b", 2)), ("+U", ("b", 3))]
    harness.close()


def test_with_a_time_to_live_unchanged_results_are_told(tmp_path: Any) -> None:
    clock = VirtualClock(1_000_000)
    harness = _expiring(tmp_path, clock, ["min_v"])
    harness.feed([("+I", row("a", 1))])
    assert harness.feed([("+I", row("a", 2))]) == [("-U", ("a", 1)), ("+U", ("a", 1))]
    harness.close()


class Range(AggregateFunction[int | None, list[int]]):
    """Greatest less smallest, of the values that are there."""

    def create_accumulator(self) -> list[int]:
        return []

    def accumulate(self, accumulator: list[int], value: int | None) -> None:
        if value is not None:
            accumulator.append(value)

    def retract(self, accumulator: list[int], value: int | None) -> None:
        if value is not None:
            accumulator.remove(value)

    def get_value(self, accumulator: list[int]) -> int | None:
        return max(accumulator) - min(accumulator) if accumulator else None


def _ranges(*, distinct: bool = False) -> GroupAggregateOperator:
    user = AggregateFunctionCall("range", Range(), [t.BIGINT()], t.BIGINT())
    condition = call(">", [col("v"), literal(-100)])
    spec = CallSpec("range", (col("v"),), t.BIGINT(), distinct, condition, user)
    schema = pa.schema([("k", pa.string()), ("n", pa.int64()), ("r", pa.int64())])
    return GroupAggregateOperator(
        SqlSettings(), [0], [CallSpec("COUNT", (), t.BIGINT()), spec], schema, True
    )


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
def test_users_accumulators_are_kept_by_group(tmp_path: Any, backend: str) -> None:
    harness = SqlHarness(_ranges, [SCHEMA], tmp_path, keys=[0], backend=backend)
    changes = harness.feed([("+I", row("a", 5)), ("+I", row("b", 1)), ("+I", row("a", 9))])
    assert changes == [("+I", ("a", 2, 4)), ("+I", ("b", 1, 0))]
    assert harness.feed([("+I", row("b", -200))]) == [("-U", ("b", 1, 0)), ("+U", ("b", 2, 0))]
    saved = harness.snapshot()
    harness.feed([("+I", row("a", 100))])
    harness.close()
    harness = SqlHarness(
        _ranges, [SCHEMA], tmp_path, keys=[0], backend=backend, restore=saved, parallelism=2
    )
    assert harness.feed([("-D", row("a", 9)), ("+I", row("a", 2))]) == [
        ("-U", ("a", 2, 4)),
        ("+U", ("a", 2, 3)),
    ]
    assert harness.feed([("-D", row("a", 5)), ("-D", row("a", 2))]) == [("-D", ("a", 2, 3))]
    assert harness.feed([("+I", row("a"))]) == [("+I", ("a", 1, None))]
    harness.close()


def test_users_aggregates_of_distinct_values(tmp_path: Any) -> None:
    harness = SqlHarness(lambda: _ranges(distinct=True), [SCHEMA], tmp_path, keys=[0])
    harness.feed([("+I", row("a", 5)), ("+I", row("a", 5)), ("+I", row("a", 7))])
    harness.feed([("-D", row("a", 5))])
    assert harness.feed([("-D", row("a", 5))])[-1] == ("+U", ("a", 1, 0))
    harness.close()


def test_a_row_counts_in_each_grouping_set(tmp_path: Any) -> None:
    width = len(NAMES)
    fields = [*SCHEMA, pa.field("__k", pa.string()), pa.field("__v", pa.int64())]
    schema = pa.schema([*fields, pa.field("__set", pa.int32())])
    sets = ((0, 1), (0,), ())
    expand = SqlHarness(
        lambda: ExpandOperator(SqlSettings(), (0, 1), sets, schema), [SCHEMA], tmp_path
    )
    which = tuple(Literal(i, t.INT()) for i in (0, 1))
    calls = (
        CallSpec("COUNT", (), t.BIGINT()),
        CallSpec("MAX", (col("v"),), t.BIGINT()),
        CallSpec("GROUPING", which[:1], t.BIGINT()),
        CallSpec("GROUPING_ID", which, t.BIGINT()),
    )
    given = pa.schema([("k", pa.string()), *((n, pa.int64()) for n in "vcmgi")])
    keys = (width, width + 1, width + 2)
    harness = SqlHarness(
        lambda: GroupAggregateOperator(SqlSettings(), keys, calls, given, True, True, sets),
        [schema],
        tmp_path,
        keys=keys,
        parallelism=2,
    )
    changes = []
    for batch in (
        [("+I", row("a", 1)), ("+I", row("a", 2)), ("+I", row(None, 2))],
        [("-D", row("a", 2)), ("+I", row("b", 4))],
    ):
        changes += harness.feed(expand.feed(batch))
    expected = {
        ("a", 1, 1, 1, 0, 0), (None, 2, 1, 2, 0, 0), ("b", 4, 1, 4, 0, 0),
        ("a", None, 1, 1, 0, 1), (None, None, 1, 2, 0, 1), ("b", None, 1, 4, 0, 1),
        (None, None, 3, 4, 1, 3),
    }  # fmt: skip
    assert set(table_of(changes)) == expected
    expand.close()
    harness.close()


def test_more_counts_than_a_word_has_bits(tmp_path: Any) -> None:
    conditions = [call("=", [col("v"), literal(i)]) for i in range(70)]
    calls = [
        CallSpec("COUNT", (col("s"),) if once else (), t.BIGINT(), once, condition)
        for condition in conditions
        for once in (False, True)
    ]
    schema = pa.schema([pa.field(f"c{i}", pa.int64()) for i in range(len(calls))])
    for retracting in (False, True):
        harness = SqlHarness(
            lambda retracting=retracting: GroupAggregateOperator(
                SqlSettings(), [], calls, schema, retracting
            ),
            [SCHEMA],
            tmp_path,
        )
        harness.feed([("+I", row("a", i, s="x")) for i in range(70)])
        changes = harness.feed([("+I", row("a", i, s="x")) for i in range(0, 70, 2)])
        assert changes[-1][1] == tuple(n for i in range(70) for n in (2 if i % 2 == 0 else 1, 1))
        harness.close()


def test_a_decimal_sum_beyond_its_digits_is_null_until_the_next_value(tmp_path: Any) -> None:
    kind = t.DECIMAL(38, 0)
    value = call("*", [col("d"), literal(10**18, t.DECIMAL(19, 0))])
    spec = CallSpec("SUM", (value,), kind)
    schema = pa.schema([("k", pa.string()), ("x", spec.type.to_arrow())])
    harness = SqlHarness(
        lambda: GroupAggregateOperator(SqlSettings(), [0], [spec], schema), [SCHEMA], tmp_path
    )
    large = "999999999999999999.00"
    seen = [harness.feed([("+I", row("a", d=large))])[-1][1][1] for _ in range(150)]
    assert None in seen
    assert seen[seen.index(None) + 1] == seen[0]
    harness.close()


def test_those_who_read_snapshots_see_counts_decimals_and_texts(tmp_path: Any) -> None:
    harness = SqlHarness(
        lambda: operator(["count", "sum_d", "max_s", "count_v"]), [SCHEMA], tmp_path, keys=[0]
    )
    harness.feed([("+I", row("a", 1, "2.50", "a text that is longer than twelve"))])
    harness.parts[0].operator.snapshot(1, True)
    table = harness.parts[0].operator._state.table
    layout = TableLayout.of(StateMeta("groups", "table", (), dict(table.meta())))
    assert layout.schema().names == ["key0", "counts", "sum_0", "max_1"]
    columns = RowCodec(layout.accumulators).columns(table.all_entries().values)
    assert [c.type for c in columns] == layout.schema().types[1:]
    assert [str(c[0].as_py()) for c in columns[1:]] == ["2.50", "a text that is longer than twelve"]
    assert columns[0][0].as_py()[0] == 1
    harness.close()


def test_rows_of_a_mini_batch_give_one_change(tmp_path: Any) -> None:
    clock = VirtualClock(1_000_000)
    harness = SqlHarness(
        lambda: operator(["count"], mini_batch=MiniBatch(1_000, 4)),
        [SCHEMA],
        tmp_path,
        keys=[0],
        clock=clock,
    )
    assert harness.feed([("+I", row("a"))]) == []
    assert harness.feed([("+I", row("b")), ("-D", row("b"))]) == []
    assert harness.feed([("+I", row("a"))]) == [("+I", ("a", 2))]
    assert harness.feed([("+I", row("a"))]) == []
    assert harness.advance(999) == []
    assert harness.advance(1) == [("-U", ("a", 2)), ("+U", ("a", 3))]
    harness.feed([("+I", row("c"))])
    assert harness.watermark(5) == [("+I", ("c", 1))]
    harness.feed([("+I", row("d"))])
    saved = harness.snapshot()
    assert harness.given()[-1] == ("+I", ("d", 1))
    harness.close()
    harness = SqlHarness(lambda: operator(["count"]), [SCHEMA], tmp_path, keys=[0], restore=saved)
    assert harness.feed([("+I", row("d"))]) == [("-U", ("d", 1)), ("+U", ("d", 2))]
    harness.close()
