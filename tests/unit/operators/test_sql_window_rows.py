"""Top-N, deduplication and joins by window, and rows with their windows, against models."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesto.common.elements import MAX_TIMESTAMP
from lesto.sql import types as t
from lesto.sql.builder import call
from lesto.sql.expressions import InputRef
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.columnar.errors import ChangelogInputError
from lesto.taskmanager.operators.errors import MissingTimestampError
from lesto.taskmanager.operators.sql.sort_order import Order
from lesto.taskmanager.operators.sql.window_join import WindowJoinOperator, WindowSide
from lesto.taskmanager.operators.sql.window_rank import RankPlan, WindowRankOperator
from lesto.taskmanager.operators.sql.window_sessions import SessionTvfOperator
from lesto.taskmanager.operators.sql.window_shapes import WindowSpec
from lesto.taskmanager.operators.sql.window_tvf import WindowTvfOperator
from tests.support.hypothesis_profiles import examples
from tests.support.sql_operators import SqlHarness
from tests.support.sql_windows import windows_of

MS = pa.timestamp("ms")
# key, value, number of the row, window
SCHEMA = pa.schema(
    [("k", pa.int64()), ("v", pa.int64()), ("i", pa.int64()), ("start", MS), ("end", MS)]
)
RANKED = SCHEMA.append(pa.field("rank", pa.int64()))
LATE = "num_late_records_dropped"


def at(ms: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=ms)  # noqa: DTZ001


ROW = st.tuples(
    st.sampled_from([1, 2, None]), st.one_of(st.none(), st.integers(0, 4)), st.integers(0, 3)
)
STEP = st.one_of(
    st.tuples(st.integers(0, 1), st.lists(ROW, min_size=1, max_size=12)),
    st.integers(-1, 40),
    st.sampled_from(["restore 1", "restore 2", "restore 3"]),
)


class Run:
    """An operator and its restores, fed with rows of windows of 10 ms."""

    def __init__(self, make: Any, directory: Path, sides: int, keys: Sequence[int]) -> None:
        self.make, self.directory, self.keys = make, directory, keys
        self.schemas = [SCHEMA] * sides
        self.harness = self._open(1, None)
        self.late = 0.0
        self.dropped = 0
        self.watermark = -1
        self.number = 0
        #: By window's number and side.
        self.open: dict[int, list[list[tuple[Any, ...]]]] = {}

    def _open(self, parallelism: int, restore: Any) -> SqlHarness:
        return SqlHarness(
            self.make, self.schemas, self.directory, keys=self.keys, parallelism=parallelism,
            restore=restore,
        )  # fmt: skip

    def step(self, step: Any, result: Any) -> None:
        """Rows, a watermark or a restore."""
        if isinstance(step, str):
            saved = self.harness.snapshot()
            self.late += self.harness.counter(LATE)
            self.harness.close()
            self.harness = self._open(int(step[-1]), saved)
        elif isinstance(step, tuple):
            side, rows = step
            side %= len(self.schemas)
            changes = []
            for k, v, window in rows:
                self.number += 1
                row = (k, v, self.number, at(window * 10), at(window * 10 + 10))
                changes.append(("+I", row))
                if window * 10 + 9 > self.watermark:
                    self.open.setdefault(window, [[], []])[side].append(row)
                else:
                    self.dropped += 1
            assert not self.harness.feed(changes, side)
        elif step > self.watermark:
            self.watermark = step
            wanted: Counter[Any] = Counter()
            for window in [w for w in self.open if w * 10 + 9 <= step]:
                wanted.update(("+I", row) for row in result(*self.open.pop(window)))
            assert Counter(self.harness.watermark(step)) == wanted

    def finish(self, result: Any) -> None:
        """To the end."""
        self.step(MAX_TIMESTAMP, result)
        assert self.late + self.harness.counter(LATE) == self.dropped
        self.harness.close()


def value(v: int | None) -> tuple[bool, int]:
    return (v is not None, v or 0)


def top(rows: list[Any], function: str, start: int, end: int) -> list[Any]:
    """Ranked by value, NULL first, then as they came."""
    found = []
    for key in {r[0] for r in rows}:
        mine = sorted((r for r in rows if r[0] == key), key=lambda r: value(r[1]))
        for i, row in enumerate(mine):
            rank = i + 1
            if function != "ROW_NUMBER":
                before = {value(r[1]) for r in mine if value(r[1]) < value(row[1])}
                rank = 1 + len(before)
                if function == "RANK":
                    rank = 1 + sum(value(r[1]) < value(row[1]) for r in mine)
            if start <= rank <= end:
                found.append((*row, rank))
    return found


@pytest.mark.parametrize("function", ["ROW_NUMBER", "RANK", "DENSE_RANK"])
@settings(max_examples=examples(20))
@given(steps=st.lists(STEP, max_size=10), start=st.integers(1, 2), more=st.integers(0, 2))
def test_the_first_rows_of_windows(
    tmp_path_factory: Any, function: str, steps: list[Any], start: int, more: int
) -> None:
    plan = RankPlan(function, (3, 4, 0), (Order(1),), start, start + more, 4, shown=True)

    def make() -> Any:
        return WindowRankOperator(SqlSettings(), plan, RANKED, False)

    run = Run(make, tmp_path_factory.mktemp("t"), 1, (3, 4, 0))

    def result(rows: list[Any], _none: list[Any]) -> list[Any]:
        return top(rows, function, start, start + more)

    for step in steps:
        run.step(step, result)
    run.finish(result)


@pytest.mark.parametrize("last", [False, True])
@settings(max_examples=examples(20))
@given(steps=st.lists(STEP, max_size=10))
def test_the_first_and_the_last_row_of_a_key(
    tmp_path_factory: Any, last: bool, steps: list[Any]
) -> None:
    """Of equal times the first comes first and the last is last."""
    order = Order(1, last, not last)
    plan = RankPlan("ROW_NUMBER", (0, 3, 4), (order,), 1, 1, 4, last_of_ties=last)

    def make() -> Any:
        return WindowRankOperator(SqlSettings(), plan, SCHEMA, False)

    def result(rows: list[Any], _none: list[Any]) -> list[Any]:
        keys = {r[0] for r in rows}
        if last:
            return [
                max((r for r in rows if r[0] == k), key=lambda r: (value(r[1]), r[2])) for k in keys
            ]
        return [
            min((r for r in rows if r[0] == k), key=lambda r: (value(r[1]), r[2])) for k in keys
        ]

    run = Run(make, tmp_path_factory.mktemp("d"), 1, (0, 3, 4))
    for step in steps:
        run.step(step, result)
    run.finish(result)


def joined(kind: str, left: list[Any], right: list[Any], *, less: bool, keyed: bool) -> list[Any]:
    """Every pair is looked at."""
    found, partners = [], set()
    none = (None,) * 5
    for a in left:
        mine = [
            b for b in right
            if (not keyed or (a[0] is not None and a[0] == b[0]))
            and (not less or (a[1] is not None and b[1] is not None and a[1] < b[1]))
        ]  # fmt: skip
        partners.update(mine)
        if kind == "SEMI":
            found += [a] if mine else []
        elif kind == "ANTI":
            found += [] if mine else [a]
        else:
            found += [(*a, *b) for b in mine]
            found += [(*a, *none)] if not mine and kind in {"LEFT", "FULL"} else []
    if kind in {"RIGHT", "FULL"}:
        found += [(*none, *b) for b in right if b not in partners]
    return found


@pytest.mark.parametrize("kind", ["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"])
@settings(max_examples=examples(15))
@given(steps=st.lists(STEP, max_size=12), less=st.booleans(), keyed=st.booleans())
def test_rows_of_one_window_are_joined(
    tmp_path_factory: Any, kind: Any, steps: list[Any], less: bool, keyed: bool
) -> None:
    side = WindowSide((0,) if keyed else (), 3, 4, 5)
    condition = None
    if less:
        condition = call("<", [InputRef(1, t.BIGINT()), InputRef(6, t.BIGINT())])
    fields = [f.with_name(f"{p}{f.name}") for p in "ab" for f in SCHEMA]
    output = SCHEMA if kind in {"SEMI", "ANTI"} else pa.schema(fields)

    def make() -> Any:
        return WindowJoinOperator(SqlSettings(), kind, (side, side), condition, output, False)

    def result(left: list[Any], right: list[Any]) -> list[Any]:
        return joined(kind, left, right, less=less, keyed=keyed)

    run = Run(make, tmp_path_factory.mktemp("j"), 2, side.placed)
    for step in steps:
        run.step(step, result)
    run.finish(result)


def test_many_pairs_come_in_batches_and_a_snapshot_ends_the_window(tmp_path: Path) -> None:
    side = WindowSide((0,), 3, 4, 5)
    output = pa.schema([f.with_name(f"{p}{f.name}") for p in "ab" for f in SCHEMA])

    def make() -> Any:
        return WindowJoinOperator(SqlSettings(), "FULL", (side, side), None, output, False)

    harness = SqlHarness(make, [SCHEMA, SCHEMA], tmp_path)
    for index in (0, 1):
        harness.feed([("+I", (1, i, i, at(0), at(10))) for i in range(300)], index)
    harness.watermark(10)
    (part,) = harness.parts
    while part.operator.in_flight():
        part.operator.poll()
    sizes = [len(b) for b in part.output.batches]
    assert sum(sizes) == 90_000
    assert max(sizes) <= 65_536
    assert part.output.log[-1] == ("watermark", 10)
    harness.close()


def test_changes_and_rows_without_a_window_are_refused(tmp_path: Path) -> None:
    plan = RankPlan("ROW_NUMBER", (3, 4), (Order(1),), 1, 1, 4)

    def make() -> Any:
        return WindowRankOperator(SqlSettings(), plan, SCHEMA, False)

    harness = SqlHarness(make, [SCHEMA], tmp_path)
    with pytest.raises(ChangelogInputError):
        harness.feed([("-D", (1, 1, 1, at(0), at(10)))])
    with pytest.raises(MissingTimestampError, match="1 rows without a window"):
        harness.feed([("+I", (1, 1, 1, None, None))])
    harness.close()


# ---------------------------------------------------------------------- rows with their windows

TIMED = pa.schema([("k", pa.int64()), ("ts", MS)])
WINDOWED = pa.schema([*TIMED, ("start", MS), ("end", MS), ("time", MS)])


@pytest.mark.parametrize(
    "spec",
    [
        WindowSpec("TUMBLE", 1, True, 10, offset_ms=-3),
        WindowSpec("HOP", 1, True, 10, 4),
        WindowSpec("HOP", 1, True, 4, 10),
        WindowSpec("CUMULATE", 1, True, 20, 5, 3),
    ],
)
def test_rows_come_once_for_each_window(tmp_path: Path, spec: WindowSpec) -> None:
    def make() -> Any:
        return WindowTvfOperator(SqlSettings(), spec, WINDOWED, False)

    harness = SqlHarness(make, [TIMED], tmp_path)
    rows = [(kind, i, i * 7 - 50) for i, kind in enumerate(["+I", "-D", "+I"] * 5)]
    given = harness.feed([*((kind, (k, at(ms))) for kind, k, ms in rows), ("+I", (9, None))])
    wanted = [
        (kind, (k, at(ms), at(a), at(b), at(b - 1)))
        for kind, k, ms in rows
        for a, b in windows_of(spec, ms)
    ]
    assert Counter(given) == Counter(wanted)
    assert harness.counter("num_null_row_time_records_dropped") == 1
    harness.close()


def test_rows_of_sessions_come_when_these_end(tmp_path: Path) -> None:
    spec = WindowSpec("SESSION", 1, True, 5, keys=(0,))

    def make() -> Any:
        return SessionTvfOperator(SqlSettings(), spec, WINDOWED, False)

    harness = SqlHarness(make, [TIMED], tmp_path, keys=(0,), parallelism=2)
    harness.feed([("+I", (k, at(ms))) for k, ms in [(1, 0), (2, 1), (1, 8), (1, 20)]])
    saved = harness.snapshot()
    harness.close()
    harness = SqlHarness(make, [TIMED], tmp_path, keys=(0,), parallelism=3, restore=saved)
    harness.feed([("+I", (1, at(4))), ("-D", (2, at(2))), ("+I", (3, None))])
    first = harness.watermark(12)
    whole = (at(0), at(13), at(12))
    assert Counter(first) == Counter(
        [
            ("+I", (1, at(0), *whole)), ("+I", (1, at(8), *whole)), ("+I", (1, at(4), *whole)),
            ("+I", (2, at(1), at(1), at(7), at(6))), ("-D", (2, at(2), at(1), at(7), at(6))),
        ]
    )  # fmt: skip
    harness.feed([("+I", (1, at(3)))])
    assert harness.counter(LATE) == 1
    assert harness.end() == [("+I", (1, at(20), at(20), at(25), at(24)))]
    harness.close()
