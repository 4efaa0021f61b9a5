"""Regular joins in SQL against the join of all rows that remain."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis_profiles import examples

from lesto.common.clock import VirtualClock
from lesto.sql import types as t
from lesto.sql.builder import call
from lesto.sql.expressions import InputRef
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql import join as join_module
from lesto.taskmanager.operators.sql import join_steps, semi_join
from lesto.taskmanager.operators.sql.join import JoinOperator
from lesto.taskmanager.operators.sql.join_sides import JoinSide
from lesto.taskmanager.operators.sql.semi_join import NotInOperator, SemiJoinOperator
from tests.unit.operators.sql_join_model import (
    AFTER,
    BEFORE,
    DELETE,
    INSERT,
    Subtasks,
    applied,
    joined,
    not_in,
)

KINDS = ["INNER", "LEFT", "RIGHT", "FULL", "SEMI", "ANTI"]
LEFT = pa.schema([("k", pa.int64()), ("v", pa.int32()), ("s", pa.string())])
RIGHT = pa.schema([("w", pa.int32()), ("k", pa.int64())])
SCHEMAS = (LEFT, RIGHT)
BOTH = pa.schema([*LEFT, pa.field("w", pa.int32()), pa.field("k2", pa.int64())])
#: v < w
LESS = call("<", [InputRef(1, t.INT()), InputRef(3, t.INT())])


def operator(kind, keyed=True, condition=None, before=True, final=False, ttl_ms=0, **sides):
    left = JoinSide(
        (0,) if keyed else (), 3, outer=kind in {"LEFT", "FULL", "ANTI"}, **sides.get("left", {})
    )
    right = JoinSide(
        (1,) if keyed else (), 2, outer=kind in {"RIGHT", "FULL"}, **sides.get("right", {})
    )
    if kind in {"SEMI", "ANTI"}:
        return SemiJoinOperator(
            SqlSettings(), left, right, condition, LEFT, kind == "ANTI", before, final, ttl_ms
        )
    return JoinOperator(SqlSettings(), left, right, condition, BOTH, before, final, ttl_ms)


def matches(keyed, condition):
    def found(a, b):
        if keyed and (a[0] is None or a[0] != b[1]):
            return False
        return condition is None or (None not in (a[1], b[0]) and a[1] < b[0])

    return found


key = st.sampled_from([None, 0, 1, 2])
number = st.sampled_from([None, 0, 1, 2, 3])
left_row = st.tuples(key, number, st.sampled_from(["", "x", None]))
right_row = st.tuples(number, key)
#: (side, rows that come, numbers of rows that go or change, what they become), or a restore.
batch = st.tuples(
    st.integers(0, 1),
    st.lists(st.tuples(st.integers(0, 30), left_row, right_row), max_size=6),
)
steps = st.lists(st.one_of(batch, st.sampled_from([1, 2, 3])), max_size=8)


def changes_of(bag, side, wanted):
    """Turn what was drawn into changes which make sense of a bag of rows."""
    found = []
    for choice, *rows in wanted:
        new = rows[side]
        old = sorted(bag.elements(), key=repr)
        if choice < 14 or not old:
            found.append((INSERT, new))
            bag[new] += 1
            continue
        gone = old[choice % len(old)]
        bag[gone] -= 1
        if choice % 2:
            found.append((DELETE, gone))
        else:
            found += [(BEFORE, gone), (AFTER, new)]
            bag[new] += 1
        if not bag[gone]:
            del bag[gone]
    return found


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=examples(25))
@given(steps=steps, keyed=st.booleans(), tested=st.booleans(), hurried=st.booleans())
def test_changes_bring_the_join_of_what_remains(
    tmp_path_factory, kind, steps, keyed, tested, hurried
):
    condition = LESS if tested else None
    with pytest.MonkeyPatch.context() as patch:
        if hurried:  # every piece is a step of its own, and has few pairs
            for module in (join_module, join_steps):
                patch.setattr(module, "PAIRS_MAX", 2)
            for module in (join_module, join_steps, semi_join):
                patch.setattr(module, "RESULT_ROWS_MAX", 3)
            patch.setattr(join_steps, "STEP_MS", 0)
        under_test = Subtasks(
            lambda: operator(kind, keyed, condition),
            SCHEMAS,
            tmp_path_factory.mktemp("join"),
            ((0,), (1,)) if keyed else ((), ()),
        )
        bags = (Counter(), Counter())
        result = Counter()
        for step in steps:
            if isinstance(step, int):
                applied(result, under_test.take())
                under_test = under_test.restored(step if keyed else 1)
                continue
            side, wanted = step
            under_test.drain()
            applied(result, under_test.take())
            assert result == joined(kind, *bags, matches(keyed, condition), (3, 2))
            under_test.feed(side, changes_of(bags[side], side, wanted), drain=False)
        under_test.drain()
        applied(result, under_test.take())
        assert result == joined(kind, *bags, matches(keyed, condition), (3, 2))
        under_test.close()


@settings(max_examples=examples(40))
@given(steps=steps)
def test_not_in(tmp_path_factory, steps):
    right = pa.schema([("k", pa.int64())])

    def make():
        sides = JoinSide((0,), 3, outer=True, nulls=True), JoinSide((0,), 1, nulls=True)
        return NotInOperator(SqlSettings(), *sides, None, LEFT, True, True, False, 0)

    under_test = Subtasks(make, (LEFT, right), tmp_path_factory.mktemp("join"), ((), ()))
    bags = (Counter(), Counter())
    result = Counter()
    for step in steps:
        if isinstance(step, int):
            applied(result, under_test.take())
            under_test = under_test.restored(1)
            continue
        side, wanted = step
        if side:
            wanted = [(choice, a, b[1:]) for choice, a, b in wanted]
        under_test.feed(side, changes_of(bags[side], side, wanted))
        applied(result, under_test.take())
        assert result == not_in(*bags)
    under_test.close()


# ---------------------------------------------------------------------- upserts

upsert = st.tuples(
    st.integers(0, 1),
    st.lists(
        st.tuples(st.sampled_from([0, 1, 2]), number, st.sampled_from(["", "x"]), st.booleans()),
        max_size=5,
        unique_by=lambda change: change[0],
    ),
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("before", [True, False])
@settings(max_examples=examples(20))
@given(steps=st.lists(st.one_of(upsert, st.sampled_from([1, 2])), max_size=8), tested=st.booleans())
def test_upserts_take_the_place_of_rows_with_their_key(
    tmp_path_factory, kind, before, steps, tested
):
    condition = LESS if tested else None
    unique = {"unique": True, "upsert": True}
    sides = {"left": {**unique, "identity": (0,)}, "right": {**unique, "identity": (1,)}}
    under_test = Subtasks(
        lambda: operator(kind, True, condition, before, **sides),
        SCHEMAS,
        tmp_path_factory.mktemp("join"),
        ((0,), (1,)),
    )
    tables = ({}, {})
    result, by_key = Counter(), {}
    for step in steps:
        if isinstance(step, int):
            under_test = under_test.restored(step)
            continue
        side, changes = step
        given_changes = []
        for k, n, text, goes in changes:
            row = (n, k) if side else (k, n, text)
            if goes and k in tables[side]:
                del tables[side][k]
                given_changes.append((DELETE, row))  # upsert: the other columns are of no account
            elif not goes:
                given_changes.append((AFTER if k in tables[side] else INSERT, row))
                tables[side][k] = row
        under_test.feed(side, given_changes)
        wanted = joined(
            kind, *(Counter(x.values()) for x in tables), matches(True, condition), (3, 2)
        )
        given_back = under_test.take()
        if before:
            applied(result, given_back)
            assert result == wanted
        else:
            for change, row in given_back:
                assert change != BEFORE
                place = (row[0],) if len(row) == 3 else (row[0], row[4])
                if change == DELETE:
                    assert by_key.pop(place) == row
                else:
                    assert (place in by_key) == (change == AFTER) or change == AFTER
                    by_key[place] = row
            assert Counter(by_key.values()) == wanted
    under_test.close()


def single(kind, folder, **options):
    return Subtasks(lambda: operator(kind, **options), SCHEMAS, folder, ((0,), (1,)))


def test_an_upsert_that_changes_nothing_gives_nothing(tmp_path):
    unique = {"unique": True, "upsert": True}
    join = single("LEFT", tmp_path, left=unique)
    join.feed(0, [(INSERT, (1, 1, "x"))])
    join.take()
    join.feed(0, [(AFTER, (1, 1, "x"))])
    assert join.take() == []
    join.feed(0, [(AFTER, (1, 2, "x"))])
    assert join.take() == [
        (BEFORE, (1, 1, "x", None, None)),
        (AFTER, (1, 2, "x", None, None)),
    ]


def test_a_batch_brings_net_changes_of_outer_rows(tmp_path):
    join = single("LEFT", tmp_path)
    join.feed(0, [(INSERT, (1, 1, "x"))])
    assert join.take() == [(INSERT, (1, 1, "x", None, None))]
    join.feed(1, [(INSERT, (5, 1)), (INSERT, (6, 1)), (INSERT, (7, 1)), (DELETE, (7, 1))])
    assert join.take() == [
        (DELETE, (1, 1, "x", None, None)),
        (INSERT, (1, 1, "x", 5, 1)),
        (INSERT, (1, 1, "x", 6, 1)),
    ]
    join.feed(1, [(DELETE, (5, 1)), (DELETE, (6, 1)), (INSERT, (8, 1))])
    assert join.take() == [
        (DELETE, (1, 1, "x", 5, 1)),
        (DELETE, (1, 1, "x", 6, 1)),
        (INSERT, (1, 1, "x", 8, 1)),
    ]
    join.feed(1, [(BEFORE, (8, 1)), (AFTER, (9, 1)), (BEFORE, (9, 1)), (AFTER, (8, 1))])
    assert join.take() == []


def test_the_partner_of_a_unique_side_replaces_the_row_without(tmp_path):
    join = single("LEFT", tmp_path, right={"unique": True, "identity": (1,)})
    join.feed(0, [(INSERT, (1, 1, "x"))])
    join.take()
    join.feed(1, [(INSERT, (5, 1))])
    assert join.take() == [(BEFORE, (1, 1, "x", None, None)), (AFTER, (1, 1, "x", 5, 1))]
    join.feed(1, [(DELETE, (5, 1))])
    assert join.take() == [(BEFORE, (1, 1, "x", 5, 1)), (AFTER, (1, 1, "x", None, None))]


@pytest.mark.parametrize("kind", KINDS)
def test_batches_give_final_rows_alone(tmp_path, kind):
    join = single(kind, tmp_path, final=True)
    bags = Counter([(1, 1, "x"), (2, 2, "y"), (None, 3, "z")]), Counter([(1, 1), (2, 1), (3, None)])
    bags[1][(9, 4)] = 2
    join.feed(0, [(INSERT, row) for row in bags[0].elements()])
    join.feed(1, [(INSERT, row) for row in bags[1].elements()])
    join.end()
    found = join.take()
    assert {change for change, _ in found} <= {INSERT}
    assert Counter(row for _, row in found) == joined(kind, *bags, matches(True, None), (3, 2))
    # A restore behind the end gives nothing twice.
    join = join.restored(1)
    join.end()
    assert join.take() == []


def test_idle_rows_are_forgotten(tmp_path):
    clock = VirtualClock(1_000_000)
    join = Subtasks(
        lambda: operator("INNER", ttl_ms=10_000), SCHEMAS, tmp_path, ((0,), (1,)), clock=clock
    )
    join.feed(0, [(INSERT, (1, 1, "x"))])
    clock.advance(9_000)
    join.feed(1, [(INSERT, (5, 1))])
    assert join.take() == [(INSERT, (1, 1, "x", 5, 1))]
    clock.advance(9_000)
    join.feed(1, [(INSERT, (6, 1))])
    assert join.take() == []
    # What is taken back is passed on, for its result may be there still.
    clock.advance(9_000)
    join.feed(0, [(INSERT, (1, 2, "y"))])
    assert join.take() == [(INSERT, (1, 2, "y", 6, 1))]
    join.feed(1, [(DELETE, (5, 1))])
    assert join.take() == [(DELETE, (1, 2, "y", 5, 1))]


@pytest.mark.parametrize("kind", ["INNER", "SEMI"])
def test_each_side_is_forgotten_in_its_own_time(tmp_path, kind):
    clock = VirtualClock(1_000_000)
    join = Subtasks(
        lambda: operator(kind, ttl_ms=(0, 10_000)), SCHEMAS, tmp_path, ((0,), (1,)), clock=clock
    )
    join.feed(0, [(INSERT, (1, 1, "x"))])
    join.feed(1, [(INSERT, (5, 2))])
    clock.advance(20_000)
    join.feed(0, [(INSERT, (2, 9, "y"))])
    assert join.take() == []  # the right row is gone
    join.feed(1, [(INSERT, (6, 1))])
    assert len(join.take()) == 1  # the left row is not


def test_a_row_that_meets_very_many_comes_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(join_module, "PAIRS_MAX", 100)
    monkeypatch.setattr(join_steps, "STEP_MS", 0)
    join = single("INNER", tmp_path)
    join.feed(1, [(INSERT, (i, 1)) for i in range(60)])
    join.feed(0, [(INSERT, (1, i, "x")) for i in range(10)], drain=False)
    work = join.harnesses[0].operator
    assert work.room() == 0
    work.process_watermark(5)
    assert join.harnesses[0].output.watermarks == []
    assert len(join.take()) == 60
    assert work.in_flight()
    join = join.restored(1)
    join.drain()
    found = join.take()
    assert len(set(found)) == len(found) == 9 * 60
    assert join.harnesses[0].operator.room() > 0


def test_without_before_an_update_is_one_row_where_the_partner_stays(tmp_path):
    unique = {"unique": True, "identity": (0,), "upsert": True}
    join = single("INNER", tmp_path, before=False, condition=LESS, left=unique)
    join.feed(1, [(INSERT, (2, 1)), (INSERT, (9, 1))])
    join.feed(0, [(INSERT, (1, 1, "x"))])
    join.take()
    # The partner 2 is lost, 9 stays.
    join.feed(0, [(AFTER, (1, 3, "x"))])
    assert join.take() == [(DELETE, (1, 1, "x", 2, 1)), (AFTER, (1, 3, "x", 9, 1))]


def test_a_status_waits_behind_rows_and_watermarks_and_others_behind_it(tmp_path, monkeypatch):
    monkeypatch.setattr(join_module, "PAIRS_MAX", 2)
    monkeypatch.setattr(join_steps, "STEP_MS", 0)
    join = single("INNER", tmp_path)
    operator, output = join.harnesses[0].operator, join.harnesses[0].output
    join.feed(0, [(INSERT, (1, i, "x")) for i in range(3)])
    join.feed(1, [(INSERT, (i, 1)) for i in range(3)], drain=False)
    operator.process_watermark(5)
    operator.process_status(True)
    while operator.room() == 0:  # nothing comes in meanwhile
        operator.poll()
    operator.process_status(False)
    join.drain()
    assert output.watermarks == [5]
    assert output.statuses == [True, False]
    join.close()
