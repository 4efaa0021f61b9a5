"""Window aggregates in two phases give what those of one phase give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesto.common.elements import MAX_TIMESTAMP, ColumnarBatch
from lesto.sql import types as t
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql import window_local
from lesto.taskmanager.operators.sql.window_aggregate import AggregatePlan, WindowAggregateOperator
from lesto.taskmanager.operators.sql.window_arguments import CallSpec
from lesto.taskmanager.operators.sql.window_local import WindowLocalOperator, partial_schema
from tests.support.hypothesis_profiles import examples
from tests.support.sql_operators import SqlHarness, changes_of
from tests.support.sql_windows import WindowModel
from tests.unit.operators.test_sql_window_aggregates import (
    CALLS,
    OUTPUT,
    PROPERTIES,
    SCHEMA,
    SPECS,
    STEP,
    at,
)

FOLDED = (*CALLS[:4], CALLS[6])


class TwoPhases:
    """Two subtasks fold, some merge."""

    def __init__(self, plan: AggregatePlan, directory: Path) -> None:
        schema = partial_schema(plan, SCHEMA)
        assert schema is not None
        self.schema = schema
        self.plan = plan
        self.directory = directory
        self.late = 0.0
        kept = [*OUTPUT][:5] if plan.keys else [*OUTPUT][1:5]
        self.output = pa.schema([*kept, OUTPUT.field(7), *[*OUTPUT][9:]])
        self.locals = [self._local() for _ in range(2)]
        self.merging = self._merging(1, None)

    def _local(self) -> SqlHarness:
        def make() -> Any:
            return WindowLocalOperator(SqlSettings(), self.plan, self.schema, False)

        return SqlHarness(make, [SCHEMA], self.directory)

    def _merging(self, parallelism: int, restore: Any) -> SqlHarness:
        keys = tuple(range(len(self.plan.keys)))

        def make() -> Any:
            plan = replace(self.plan, keys=keys)
            return WindowAggregateOperator(SqlSettings(), plan, self.output, False, True)

        return SqlHarness(
            make, [self.schema], self.directory, keys=keys, parallelism=parallelism, restore=restore
        )

    def _pass_on(self) -> None:
        """What the first phase has given comes to the second."""
        for local in self.locals:
            output = local.parts[0].output
            batches, output.batches = output.batches, []
            for batch in batches:
                assert isinstance(batch, ColumnarBatch)
                output.batches = [batch]
                assert not self.merging.feed(changes_of(output))
            output.batches = []

    def feed(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows of a batch, to both."""
        for i, local in enumerate(self.locals):
            mine = [("+I", (*row[:3], at(row[3]))) for row in rows[i::2]]
            if mine:
                local.feed(mine)
        self._pass_on()

    def watermark(self, time: int) -> Counter[Any]:
        """Event time advances; the results."""
        for local in self.locals:
            local.watermark(time)
        self._pass_on()
        return Counter(row for _, row in self.merging.watermark(time))

    def restore(self, parallelism: int) -> None:
        """Stop with a checkpoint and go on: the first phase has no state."""
        for local in self.locals:
            local.snapshot()
        self._pass_on()
        saved = self.merging.snapshot()
        self.late += self.merging.counter("num_late_records_dropped")
        self.merging.close()
        self.locals = [self._local() for _ in range(2)]
        self.merging = self._merging(parallelism, saved)


def result(key: Any, rows: list[Any], window: tuple[int, int]) -> list[tuple[Any, ...]]:
    values = [v for _, v, _ in rows if v is not None]
    total = sum(values) if values else None
    own = () if key == "all" else (key,)
    return [
        (
            *own, len(rows), total, None if total is None else int(total / len(values)),
            min((v for v in values if v > 0), default=None),
            None if total is None else Decimal(total).quantize(Decimal("0.01")),
            at(window[0]), at(window[1]), at(window[1] - 1),
        )
    ]  # fmt: skip


@pytest.mark.parametrize("passing", [False, True])
@pytest.mark.parametrize("name", ["tumble", "hop", "hop_gaps", "cumulate"])
@settings(max_examples=examples(10))
@given(steps=st.lists(STEP, max_size=10), keyed=st.booleans())
def test_two_phases_give_what_the_model_gives(
    tmp_path_factory: Any, name: str, passing: bool, steps: list[Any], keyed: bool
) -> None:
    plan = AggregatePlan(SPECS[name], (0,) if keyed else (), FOLDED, PROPERTIES)
    with pytest.MonkeyPatch.context() as patch:
        if passing:
            patch.setattr(window_local, "SAMPLE_ROWS", 4)
            patch.setattr(window_local, "PASSED_ROWS", 8)
        both = TwoPhases(plan, tmp_path_factory.mktemp("p"))
        model = WindowModel(SPECS[name], result)
        reached = -100
        for step in [*steps, MAX_TIMESTAMP]:
            if isinstance(step, str):
                both.restore(int(step[-1]) if keyed else 1)
            elif isinstance(step, list):
                both.feed(step)
                for k, v, s, ms in step:
                    model.add(k if keyed else "all", ms, (1, v, s))
            elif step > reached:
                reached = step
                assert both.watermark(step) == model.advance(step)
        dropped = both.late + both.merging.counter("num_late_records_dropped")
        assert dropped == model.late
        both.merging.close()


def test_rows_are_folded_before_they_are_sent_unless_that_does_not_pay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window_local, "SAMPLE_ROWS", 100)
    monkeypatch.setattr(window_local, "PASSED_ROWS", 150)
    plan = AggregatePlan(SPECS["tumble"], (0,), FOLDED, PROPERTIES)
    both = TwoPhases(plan, tmp_path)
    (harness, _) = both.locals
    sizes = []
    for number in range(6):
        few = number < 2
        rows = [("+I", (i % 3 if few else i, 1, "a", at(number * 10))) for i in range(100)]
        given = len(harness.feed(rows))
        sizes.append((given, len(harness.watermark(number * 10 + 9))))
    # The third batch is found wasted and sent at once; two more pass; then it is tried again.
    assert sizes == [(0, 3), (0, 3), (100, 0), (100, 0), (100, 0), (100, 0)]
    rows = [("+I", (i % 3, 1, "a", at(70))) for i in range(200)]
    harness.feed(rows)
    harness.watermark(100)
    assert len(harness.feed(rows)) == 0
    both.merging.close()


@pytest.mark.parametrize(
    "change",
    [
        {"retracting": True},
        {"columns": (1, 2)},
        {"calls": (CallSpec("COUNT", CALLS[1].args, t.BIGINT(), distinct=True),)},
        {"calls": (CallSpec("LAST_VALUE", CALLS[1].args, t.INT()),)},
        {"window": replace(SPECS["tumble"], event_time=False)},
        {"window": replace(SPECS["tumble"], kind="SESSION")},
    ],
)
def test_what_cannot_be_folded_in_parts_has_one_phase(change: dict[str, Any]) -> None:
    plan = AggregatePlan(SPECS["tumble"], (0,), FOLDED, PROPERTIES)
    assert partial_schema(plan, SCHEMA) is not None
    assert partial_schema(replace(plan, **change), SCHEMA) is None
