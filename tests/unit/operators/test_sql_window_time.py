"""Windows in a zone whose clocks change, and the arithmetic of slices."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from lesto.sql import types as t
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.window_aggregate import AggregatePlan, WindowAggregateOperator
from lesto.taskmanager.operators.sql.window_arguments import CallSpec
from lesto.taskmanager.operators.sql.window_shapes import Cumulating, Hopping, Tumbling, WindowSpec
from lesto.taskmanager.operators.sql.window_time import LocalTime
from tests.support.sql_operators import SqlHarness
from tests.support.sql_windows import windows_of

HOUR = 3_600_000
ZONES = ["UTC", "+05:30", "Europe/Berlin", "America/Los_Angeles", "Australia/Lord_Howe"]


def instant(*when: int) -> int:
    return int(dt.datetime(*when, tzinfo=dt.UTC).timestamp() * 1000)


@pytest.mark.parametrize("zone", ZONES)
@given(st.integers(instant(2023, 1, 1), instant(2025, 1, 1)), st.integers(1, 3 * HOUR))
def test_local_progress_never_goes_back_and_due_is_its_inverse(
    zone: str, at: int, later: int
) -> None:
    local = LocalTime(zone)
    reached = local.progress(at)
    assert reached <= local.progress(at + later)
    assert reached <= local.at(at)
    assert local.progress(local.due(reached)) >= reached
    assert local.progress(local.due(reached) - 1) < reached
    assert local.due(reached) <= at


@pytest.mark.parametrize("zone", ZONES)
@given(at=st.integers(instant(2023, 1, 1), instant(2025, 1, 1)))
def test_columns_are_converted_as_one_time_is(zone: str, at: int) -> None:
    local = LocalTime(zone)
    (found,) = local.of(pa.array([at], pa.timestamp("ms", "UTC"))).tolist()
    assert found == local.at(at)
    (back,) = local.instants(np.array([found])).tolist()
    assert local.at(back) == found
    assert back <= at


@pytest.mark.parametrize("zone", [None, *ZONES])
def test_the_first_and_the_last_watermark_stay(zone: str | None) -> None:
    local = LocalTime(zone)
    assert local.progress(MIN_TIMESTAMP) == MIN_TIMESTAMP
    assert local.progress(MAX_TIMESTAMP) == MAX_TIMESTAMP


def _hours(
    tmp_path: Path, starts: int, hours: int, size: int = HOUR
) -> list[tuple[int, list[tuple[str, int, str]]]]:
    """Counts by hour in Berlin: a row every quarter, a watermark every half hour."""
    schema = pa.schema([("ts", pa.timestamp("ms", "UTC"))])
    plan = AggregatePlan(
        WindowSpec("TUMBLE", 0, True, size), (), (CallSpec("COUNT", (), t.BIGINT()),),
        ("start", "rowtime"),
    )  # fmt: skip
    output = pa.schema(
        [("n", pa.int64()), ("s", pa.timestamp("ms")), ("t", pa.timestamp("ms", "UTC"))]
    )

    def make() -> Any:
        return WindowAggregateOperator(SqlSettings("Europe/Berlin"), plan, output, True)

    harness = SqlHarness(make, [schema], tmp_path)
    found = []
    for at in range(starts, starts + hours * HOUR, HOUR // 2):
        rows = [at, at + HOUR // 4]
        harness.feed([("+I", (dt.datetime.fromtimestamp(ms / 1000, dt.UTC),)) for ms in rows])
        given = harness.watermark(at + HOUR // 2 - 1)
        told = [(f"{r[1]:%H:%M}", r[0], f"{r[2]:%H:%M:%S}") for _, r in given]
        found.append(((at - starts) // (HOUR // 2), told))
    assert harness.counter("num_late_records_dropped") == 0
    harness.close()
    return [(half, told) for half, told in found if told]


def test_an_hour_that_comes_twice_is_one_window(tmp_path: Path) -> None:
    found = _hours(tmp_path, instant(2023, 10, 28, 23), 5)
    assert found == [
        (1, [("01:00", 4, "23:59:59")]),
        # The rowtime is the first instant at which clocks show it, as in Flink.
        (5, [("02:00", 8, "00:59:59")]),
        (7, [("03:00", 4, "02:59:59")]),
        (9, [("04:00", 4, "03:59:59")]),
    ]


def test_a_skipped_hour_has_no_window_and_delays_none(tmp_path: Path) -> None:
    found = _hours(tmp_path, instant(2023, 3, 25, 23), 4)
    assert found == [
        (1, [("00:00", 4, "23:59:59")]),
        (3, [("01:00", 4, "00:59:59")]),
        (5, [("03:00", 4, "01:59:59")]),
        (7, [("04:00", 4, "02:59:59")]),
    ]


def test_windows_of_two_hours_over_a_skipped_one_end_with_it(tmp_path: Path) -> None:
    found = _hours(tmp_path, instant(2023, 3, 25, 23), 4, 2 * HOUR)
    # 2:00 to 4:00 has one hour.
    assert [(half, told[0][:2]) for half, told in found] == [
        (3, ("00:00", 8)), (5, ("02:00", 4)),
    ]  # fmt: skip


def test_a_day_has_as_many_hours_as_it_has() -> None:
    local = LocalTime("Europe/Berlin")
    zone = ZoneInfo("Europe/Berlin")
    for day, hours in ((dt.date(2023, 3, 26), 23), (dt.date(2023, 10, 29), 25)):
        start = dt.datetime.combine(day, dt.time(), zone)
        first = int(start.timestamp() * 1000)
        last = local.due(local.at(first) + 24 * HOUR - 1)
        assert last == first + hours * HOUR - 1


SPECS = [
    WindowSpec("TUMBLE", 0, True, 7, offset_ms=2),
    WindowSpec("HOP", 0, True, 12, 8, 1),
    WindowSpec("HOP", 0, True, 3, 5),
    WindowSpec("HOP", 0, True, 15, 5, -2),
    WindowSpec("CUMULATE", 0, True, 12, 4, 3),
]


@pytest.mark.parametrize("spec", SPECS)
@given(
    times=st.lists(st.integers(-60, 60), min_size=1, max_size=6),
    done=st.integers(-80, 80),
    more=st.integers(0, 60),
)
def test_slices_know_their_windows(
    spec: WindowSpec, times: list[int], done: int, more: int
) -> None:
    shape = spec.shape()
    assert isinstance(shape, (Tumbling, Hopping, Cumulating))
    slices = shape.slices(np.array(times))
    windows = [windows_of(spec, time) for time in times]
    for at, found, last in zip(slices, windows, shape.last_ms(slices), strict=True):
        if not found:
            continue
        assert last == found[-1][1] - 1
        for bounds in found:
            assert at in shape.parts(bounds)
    every = {w for found in windows for w in found}
    opened = sorted({int(s) for s, found in zip(slices, windows, strict=True) if found})
    ended = shape.ended(opened, done, done + more)
    assert set(ended) == {w for w in every if done < w[1] - 1 <= done + more}
    assert [b[1] for b in ended] == sorted(b[1] for b in ended)
    due = min((w[1] - 1 for w in every if w[1] - 1 > done), default=None)
    assert shape.first_due(opened, done) == due
