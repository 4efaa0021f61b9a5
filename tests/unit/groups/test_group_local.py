"""Two phases give what one gives."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.group_gather import MiniBatch
from lesto.taskmanager.operators.sql.group_local import LocalAggregateOperator, partial_schema
from lesto.taskmanager.operators.sql.group_split import (
    BucketOperator,
    SplitDistinctOperator,
    split_schema,
)
from tests.support.hypothesis_profiles import examples
from tests.support.sql_operators import SqlHarness
from tests.unit.groups.model import CALLS, NAMES, SCHEMA, Groups, operator, plain, row
from tests.unit.groups.test_group_model import _STEPS, _changes


def _partial(names: list[str], keys: list[str], *, retracting: bool) -> Any:
    kinds = [SCHEMA.field(k).type for k in keys]
    return partial_schema(kinds, [CALLS[n][0] for n in names], retracting=retracting)


def _local(
    names: list[str], keys: list[str], retracting: bool, mini_batch: MiniBatch | None = None
) -> LocalAggregateOperator:
    return LocalAggregateOperator(
        SqlSettings(),
        [NAMES.index(k) for k in keys],
        [CALLS[n][0] for n in names],
        _partial(names, keys, retracting=retracting),
        retracting,
        mini_batch,
    )


_INSERTED = [n for n in sorted(CALLS) if _partial([n], ["k"], retracting=False) is not None]
_TAKEN_BACK = [n for n in sorted(CALLS) if _partial([n], ["k"], retracting=True) is not None]


def test_what_needs_all_rows_is_not_split() -> None:
    assert {"distinct_v", "listagg_s", "collect_v"}.isdisjoint(_INSERTED)
    assert {"min_v", "first_s"} <= set(_INSERTED)
    assert {"min_v", "first_s"}.isdisjoint(_TAKEN_BACK)
    assert {"count", "sum_d", "avg_v", "sum_f"} <= set(_TAKEN_BACK)


@settings(max_examples=examples(30))
@given(data=st.data(), steps=_STEPS, retracting=st.booleans(), keyed=st.booleans())
def test_rows_folded_first_give_the_same_groups(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    steps: list[Any],
    retracting: bool,
    keyed: bool,
) -> None:
    names = data.draw(
        st.lists(
            st.sampled_from(_TAKEN_BACK if retracting else _INSERTED),
            min_size=1,
            max_size=5,
            unique=True,
        )
    )
    keys = ["k"] if keyed else []
    path = tmp_path_factory.mktemp("local")
    first = SqlHarness(lambda: _local(names, keys, retracting), [SCHEMA], path)
    schema = _partial(names, keys, retracting=retracting)
    second = SqlHarness(
        lambda: operator(names, keys, retracting=retracting, partial=True), [schema], path
    )
    model = Groups(names, keys)
    table: Counter[str] = Counter()
    live: list[Any] = []
    for batch in steps:
        changes = _changes(batch, live, retracting=retracting)
        for kind, values in changes:
            model.take(kind, values)
        partial = first.feed(changes) if changes else []
        assert len(partial) <= len({values[0] for _, values in changes})
        for kind, values in second.feed(partial) if partial else []:
            key = repr(tuple(plain(v) for v in values))
            table[key] += 1 if kind in {"+I", "+U"} else -1
            assert table[key] >= 0
        assert +table == model.result()
    assert len(first.parts[0].operator._state.table) == 0
    first.close()
    second.close()


def test_the_first_phase_gathers_rows_and_keeps_none_at_a_barrier(tmp_path: Any) -> None:
    harness = SqlHarness(
        lambda: _local(["count", "sum_v"], ["k"], False, MiniBatch(1_000, 3)), [SCHEMA], tmp_path
    )
    assert harness.feed([("+I", row("a", 1)), ("+I", row("a", 2))]) == []
    assert harness.feed([("+I", row("b", 5))]) == [("+I", ("a", 2, 3)), ("+I", ("b", 1, 5))]
    harness.feed([("+I", row("a", 7))])
    (saved,) = harness.snapshot()
    assert saved.handle is None
    assert harness.given()[-1] == ("+I", ("a", 1, 7))
    harness.close()


_SPLIT = ["distinct_v", "distinct_v_positive", "distinct_s", "distinct_sum_v", "distinct_sum_d"]


@settings(max_examples=examples(30))
@given(
    names=st.lists(st.sampled_from(_SPLIT), min_size=1, max_size=4, unique=True),
    more=st.lists(st.sampled_from(_TAKEN_BACK), max_size=2, unique=True),
    steps=_STEPS,
    retracting=st.booleans(),
    cut=st.integers(0, 5),
)
def test_distinct_values_in_buckets_give_the_same_groups(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    more: list[str],
    steps: list[Any],
    retracting: bool,
    cut: int,
) -> None:
    names += [n for n in more if n not in names]
    calls = [CALLS[n][0] for n in names]
    path = tmp_path_factory.mktemp("split")
    width = len(NAMES)
    extra = [pa.field(n, pa.int32()) for n in ("bucket", "which")]
    wide = pa.schema([*SCHEMA, *extra])
    schema = split_schema([pa.string()], calls, retracting=retracting)
    assert schema is not None
    buckets = SqlHarness(
        lambda: BucketOperator(SqlSettings(), calls, 3, wide, True, retracting), [SCHEMA], path
    )
    by = (0, width, width + 1)

    def make(parallelism: int, restore: Any = None) -> SqlHarness:
        return SqlHarness(
            lambda: SplitDistinctOperator(SqlSettings(), by, calls, schema, True, retracting),
            [wide], path, keys=by, parallelism=parallelism, restore=restore,
        )  # fmt: skip

    split = make(2)
    last = SqlHarness(lambda: operator(names, retracting=retracting, partial=True), [schema], path)
    model = Groups(names)
    table: Counter[str] = Counter()
    live: list[Any] = []
    for number, batch in enumerate(steps):
        changes = _changes(batch, live, retracting=retracting)
        for kind, values in changes:
            model.take(kind, values)
        partial = split.feed(buckets.feed(changes)) if changes else []
        for kind, values in last.feed(partial) if partial else []:
            key = repr(tuple(plain(v) for v in values))
            table[key] += 1 if kind in {"+I", "+U"} else -1
            assert table[key] >= 0
        assert +table == model.result()
        if number == cut:
            saved = split.snapshot()
            split.close()
            split = make(3, saved)
    for harness in (buckets, split, last):
        harness.close()
