"""Temporal joins in SQL against the version that was valid."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples

from lesto.common.elements import MAX_TIMESTAMP
from lesto.sql import types as t
from lesto.sql.builder import call
from lesto.sql.expressions import InputRef
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql import join_steps, temporal_join
from lesto.taskmanager.operators.sql.join_sides import JoinSide
from lesto.taskmanager.operators.sql.temporal_join import TemporalJoinOperator
from tests.unit.operators.sql_join_model import AFTER, BEFORE, DELETE, INSERT, Subtasks

ORDERS = pa.schema([("n", pa.int64()), ("cur", pa.string()), ("t", pa.timestamp("ms"))])
RATES = pa.schema([("cur2", pa.string()), ("rate", pa.int64()), ("u", pa.timestamp("ms"))])
BOTH = pa.schema([*ORDERS, *RATES])
#: n < rate
LESS = call("<", [InputRef(0, t.BIGINT()), InputRef(4, t.BIGINT())])
EPOCH = pa.scalar(0, pa.timestamp("ms")).as_py()


def subtasks(folder, outer=False, condition=None, before=True, **how):
    return Subtasks(
        lambda: TemporalJoinOperator(
            SqlSettings(),
            JoinSide((1,), 3, outer=outer),
            JoinSide((0,), 3),
            (2, 2),
            condition,
            BOTH,
            before,
        ),
        (ORDERS, RATES),
        folder,
        ((1,), (0,)),
        **how,
    )


def plain(found):
    """Times as ms."""
    return [
        (
            change,
            tuple(
                round((x - EPOCH).total_seconds() * 1000) if hasattr(x, "year") else x for x in row
            ),
        )
        for change, row in found
    ]


def valid(versions, cur, time):
    """The version of (kind, cur, rate, time) that counts at a time: of the latest the last."""
    best = None
    for version in versions:
        if version[1] == cur and version[3] <= time and (best is None or version[3] >= best[3]):
            best = version
    return None if best is None or best[0] == DELETE else best[1:]


cur = st.sampled_from(["EUR", "USD", None])
order = st.tuples(st.just(0), st.lists(st.tuples(cur, st.integers(1, 12)), min_size=1, max_size=5))
rate = st.tuples(
    st.just(1),
    st.lists(
        st.tuples(st.sampled_from(["EUR", "USD"]), st.integers(1, 12), st.booleans()),
        min_size=1,
        max_size=4,
    ),
)
step = st.one_of(order, rate, st.integers(1, 12).map(float), st.sampled_from([1, 2, 3]))


@pytest.mark.parametrize("outer", [False, True])
@settings(max_examples=examples(25))
@given(steps=st.lists(step, min_size=2, max_size=12), tested=st.booleans(), hurried=st.booleans())
def test_rows_meet_the_version_of_their_time(tmp_path_factory, outer, steps, tested, hurried):
    with pytest.MonkeyPatch.context() as patch:
        if hurried:
            patch.setattr(temporal_join, "RESULT_ROWS_MAX", 2)
            patch.setattr(join_steps, "STEP_MS", 0)
        under_test = subtasks(tmp_path_factory.mktemp("join"), outer, LESS if tested else None)
        orders, versions = [], []
        result = Counter()
        now, number = 0, 0
        for what in steps:
            if isinstance(what, float):
                now += int(what)
                under_test.watermark(now)
            elif isinstance(what, int):
                result.update(row for _, row in plain(under_test.take()))
                under_test = under_test.restored(what)
            elif what[0] == 0:
                rows = []
                for currency, ahead in what[1]:
                    number += 1
                    rows.append((number, currency, now + ahead))
                orders += rows
                under_test.feed(0, [(INSERT, row) for row in rows])
            else:
                rows = []
                for currency, ahead, goes in what[1]:
                    number += 1
                    kind = DELETE if goes else AFTER
                    rows.append((kind, currency, number, now + ahead))
                versions += rows
                changes = [(row[0], row[1:]) for row in rows]
                # What was before says nothing.
                under_test.feed(1, [(BEFORE, ("EUR", -1, 0)), *changes])
        under_test.watermark(MAX_TIMESTAMP)
        result.update(row for _, row in plain(under_test.take()))
        wanted = Counter()
        for row in orders:
            met = None if row[1] is None else valid(versions, row[1], row[2])
            if met is not None and tested and not row[0] < met[1]:
                met = None
            if met is not None or outer:
                wanted[row + (met or (None,) * 3)] += 1
        assert result == wanted
        for harness in under_test.harnesses:
            assert len(harness.operator._waiting) == 0
        under_test.close()


def test_rows_wait_for_event_time_and_keep_their_kinds_and_order(tmp_path):
    join = subtasks(tmp_path, outer=True)
    join.feed(1, [(INSERT, ("EUR", 10, 5)), (AFTER, ("EUR", 11, 8))])
    join.feed(0, [(INSERT, (1, "EUR", 6)), (BEFORE, (1, "EUR", 9)), (AFTER, (2, "EUR", 9))])
    join.watermark(6)
    assert plain(join.take()) == [(INSERT, (1, "EUR", 6, "EUR", 10, 5))]
    # A version that comes in time for rows that wait.
    join.feed(1, [(DELETE, ("EUR", 11, 9))])
    join.watermark(20)
    assert plain(join.take()) == [
        (BEFORE, (1, "EUR", 9, None, None, None)),
        (AFTER, (2, "EUR", 9, None, None, None)),
    ]
    assert join.harnesses[0].output.watermarks == [6, 20]


def test_without_before_what_was_before_is_deleted(tmp_path):
    join = subtasks(tmp_path, before=False)
    join.feed(1, [(INSERT, ("EUR", 10, 5))])
    join.feed(0, [(BEFORE, (1, "EUR", 9)), (AFTER, (2, "USD", 9))])
    join.watermark(20)
    assert plain(join.take()) == [(DELETE, (1, "EUR", 9, "EUR", 10, 5))]


def test_versions_that_are_over_go(tmp_path):
    join = subtasks(tmp_path)
    join.feed(1, [(AFTER, ("EUR", i, 10 * i)) for i in range(1, 10)])
    join.feed(1, [(AFTER, ("USD", 1, 10)), (DELETE, ("USD", 1, 20))])
    table = join.harnesses[0].operator._versions
    assert len(table) == 11
    join.watermark(55)
    assert len(table) == 5  # EUR of 50 to 90
    # A late row still meets the last of those that are over.
    join.feed(0, [(INSERT, (1, "EUR", 52)), (INSERT, (2, "EUR", 15))])
    join.watermark(56)
    assert plain(join.take()) == [(INSERT, (1, "EUR", 52, "EUR", 5, 50))]


@pytest.mark.parametrize("widths", [(1, 1), (1, 3), (3, 1), (2, 3)])
def test_rows_that_were_joined_are_not_joined_again_behind_a_restore(tmp_path, widths):
    before, after = widths
    join = subtasks(tmp_path, outer=True, backend="rocksdb", parallelism=before)
    currencies = [f"C{i}" for i in range(12)]
    # Rows that lie in one piece of the state, though their times are far apart.
    rows = [(i, cur, time) for i, cur in enumerate(currencies) for time in (10, 100)]
    join.feed(0, [(INSERT, row) for row in rows])
    join = join.restored(before)
    # Watermarks of subtasks differ when a barrier comes.
    for subtask, harness in enumerate(join.harnesses):
        harness.watermark(50 if subtask == 0 else 5)
    given = [row[:3] for _, row in plain(join.take())]
    assert given
    for _ in range(2):
        join = join.restored(after)
        given += [row[:3] for _, row in plain(join.take())]
    # A row that is late for its key alone, and waits behind another restore.
    late = [(100 + i, cur, 3) for i, cur in enumerate(currencies)]
    join.feed(0, [(INSERT, row) for row in late])
    join = join.restored(after)
    join.watermark(60)
    given += [row[:3] for _, row in plain(join.take())]
    join.watermark(MAX_TIMESTAMP)
    given += [row[:3] for _, row in plain(join.take())]
    assert Counter(given) == Counter(rows + late)
    join.close()
