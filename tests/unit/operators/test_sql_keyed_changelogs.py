"""Deduplication, completed upserts, updates in the order of a sink's key, limits: by models."""

from __future__ import annotations

import random
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesto.common.clock import VirtualClock
from lesto.sql.settings import SqlSettings
from lesto.taskmanager.operators.sql.deduplicate import DeduplicateOperator
from lesto.taskmanager.operators.sql.limit import LimitOperator
from lesto.taskmanager.operators.sql.materialize import UpsertMaterializeOperator
from lesto.taskmanager.operators.sql.normalize import NormalizeOperator
from tests.support.hypothesis_profiles import examples
from tests.support.sql_operators import Change, SqlHarness, table_of

SCHEMA = pa.schema(
    [("k", pa.string()), ("t", pa.timestamp("ms")), ("v", pa.int64()), ("l", pa.list_(pa.int32()))]
)
ROW = st.tuples(
    st.sampled_from(["a", "b", "c", None]),
    st.one_of(st.none(), st.integers(0, 4)),
    st.integers(0, 2),
)
BATCHES = st.lists(st.lists(ROW, min_size=1, max_size=6), max_size=6)
SETTINGS = SqlSettings()


def rows_of(batch: Any) -> list[tuple[Any, ...]]:
    """Rows with times as batches have them, and a column that does not compare by Arrow."""
    column = pa.array([t for _, t, _ in batch], pa.timestamp("ms")).to_pylist()
    return [(k, t, v, (v,)) for (k, _, v), t in zip(batch, column, strict=True)]


def plain(changes: list[Change]) -> list[Change]:
    """Lists as tuples, so that rows can be counted."""
    return [(k, (*r[:3], tuple(r[3]) if r[3] is not None else None)) for k, r in changes]


def contents(changes: list[Change], key: Any) -> list[Any]:
    return sorted(table_of(plain(changes), key).elements(), key=repr)


def folded(given: list[Change], keys: Any = (0,)) -> None:
    """A key is given once a batch: I, D, UA, or UB before UA."""
    seen: dict[Any, str] = {}
    for kind, row in given:
        key = tuple(row[i] for i in keys)
        seen[key] = seen.get(key, "") + kind
    assert set(seen.values()) <= {"+I", "-D", "+U", "-U+U"}


@settings(max_examples=examples(60))
@given(
    batches=BATCHES,
    last=st.booleans(),
    by_time=st.booleans(),
    before=st.booleans(),
    final=st.booleans(),
    keys=st.sampled_from([(0,), (0, 2), ()]),
)
def test_one_row_a_key(
    batches: Any,
    last: bool,
    by_time: bool,
    before: bool,
    final: bool,
    keys: Any,
    tmp_path_factory: Any,
) -> None:
    runner = SqlHarness(
        lambda: DeduplicateOperator(
            SETTINGS, keys, 1 if by_time else None, last, before, final=final
        ),
        [SCHEMA],
        tmp_path_factory.mktemp("t"),
        keys=keys,
    )
    kept: dict[Any, Any] = {}
    for batch in batches:
        rows = rows_of(batch)
        for row, (_, time, _) in zip(rows, batch, strict=True):
            key = tuple(row[i] for i in keys)
            at = (-1 if last else 99) if time is None else time
            if key not in kept:
                kept[key] = (at, row)
            elif by_time:
                if at >= kept[key][0] if last else at < kept[key][0]:
                    kept[key] = (at, row)
            elif last:
                kept[key] = (at, row)
        given = runner.feed([("+I", r) for r in rows])
        if not final:
            folded(given, keys)
            expected = sorted((r for _, r in kept.values()), key=repr)
            assert contents(runner.given(), None if before else keys) == expected
    runner.end()
    expected = sorted((r for _, r in kept.values()), key=repr)
    assert contents(runner.given(), None if before else keys) == expected
    if final or (not last and not by_time):
        assert {k for k, _ in runner.given()} <= {"+I"}
    runner.close()


@settings(max_examples=examples(60))
@given(batches=BATCHES, seed=st.integers(0, 1000), before=st.booleans())
def test_completed_upserts(batches: Any, seed: int, before: bool, tmp_path_factory: Any) -> None:
    rng = random.Random(seed)
    runner = SqlHarness(
        lambda: NormalizeOperator(SETTINGS, (0,), before), [SCHEMA], tmp_path_factory.mktemp("t")
    )
    live: dict[Any, Any] = {}
    for batch in batches:
        changes: list[Change] = []
        for whole in rows_of(batch):
            row = whole
            kind = rng.choice(["+I", "+U", "+U", "-D", "-U"])
            if kind == "-D":
                # As of a tombstone: only the key is there.
                live.pop(row[0], None)
                row = (row[0], None, None, None)
            elif kind != "-U":
                live[row[0]] = row
            changes.append((kind, row))
        folded(runner.feed(changes))
        expected = sorted(live.values(), key=repr)
        assert contents(runner.given(), None if before else (0,)) == expected
    runner.close()


def test_what_changes_nothing_is_dropped(tmp_path: Any) -> None:
    runner = SqlHarness(lambda: NormalizeOperator(SETTINGS, (0,), True), [SCHEMA], tmp_path)
    row = ("a", None, 1, [1])
    assert runner.feed([("+U", row)]) == [("+I", row)]
    assert runner.feed([("+U", row)]) == []
    assert runner.feed([("-D", ("b", None, None, None))]) == []
    assert runner.feed([("+I", ("c", None, 1, None)), ("-D", ("c", None, None, None))]) == []
    assert runner.feed([("-D", ("a", None, None, None))]) == [("-D", row)]


def test_what_changes_nothing_is_given_while_rows_expire(tmp_path: Any) -> None:
    clock = VirtualClock(1_000_000)
    runner = SqlHarness(
        lambda: NormalizeOperator(SETTINGS, (0,), True, 1000), [SCHEMA], tmp_path, clock=clock
    )
    row = ("a", None, 1, [1])
    assert runner.feed([("+I", row)]) == [("+I", row)]
    assert runner.feed([("+I", row)]) == [("-U", row), ("+U", row)]


@settings(max_examples=examples(60))
@given(batches=BATCHES, seed=st.integers(0, 1000))
def test_updates_in_the_order_of_a_sink(batches: Any, seed: int, tmp_path_factory: Any) -> None:
    rng = random.Random(seed)
    runner = SqlHarness(
        lambda: UpsertMaterializeOperator(SETTINGS, (0,)), [SCHEMA], tmp_path_factory.mktemp("t")
    )
    live: list[Any] = []
    for batch in batches:
        changes: list[Change] = []
        for row in rows_of(batch):
            if live and rng.random() < 0.4:
                gone = rng.choice(live)
                live.remove(gone)  # the oldest of equal rows
                changes.append((rng.choice(["-U", "-D"]), gone))
            else:
                live.append(row)
                changes.append((rng.choice(["+U", "+I"]), row))
        folded(runner.feed(changes))
        expected = {}
        for row in live:
            expected[row[0]] = row
        assert contents(runner.given(), (0,)) == sorted(expected.values(), key=repr)
        assert not {k for k, _ in runner.given()} & {"-U"}
    runner.close()


def test_a_row_that_was_never_there_is_counted(tmp_path: Any) -> None:
    runner = SqlHarness(lambda: UpsertMaterializeOperator(SETTINGS, (0,)), [SCHEMA], tmp_path)
    assert runner.feed([("-D", ("a", None, 1, None))]) == []
    assert runner.counter("retractions_ignored") == 1


@pytest.mark.parametrize("backend", ["hashmap", "rocksdb"])
@pytest.mark.parametrize("what", ["last", "slim", "normalize", "materialize"])
def test_go_on_behind_restores_at_other_parallelisms(
    what: str, backend: str, tmp_path: Any
) -> None:
    make = {
        "last": lambda: DeduplicateOperator(SETTINGS, (0,), 1, True, True),
        "slim": lambda: DeduplicateOperator(SETTINGS, (0,), 1, True, False),
        "normalize": lambda: NormalizeOperator(SETTINGS, (0,), True),
        "materialize": lambda: UpsertMaterializeOperator(SETTINGS, (0,)),
    }[what]
    rng = random.Random(7)
    batch = [(rng.choice("abcdefgh"), i, rng.randrange(5)) for i in range(90)]
    rows = rows_of(batch)
    given: list[Change] = []
    saved = None
    for at, parallelism in enumerate((2, 1, 3)):
        runner = SqlHarness(
            make,
            [SCHEMA],
            tmp_path,
            keys=(0,),
            parallelism=parallelism,
            backend=backend,
            restore=saved,
        )
        for start in range(at * 30, at * 30 + 30, 10):
            runner.feed([("+I", r) for r in rows[start : start + 10]])
        given += runner.given()
        saved = runner.snapshot(canonical=at == 1)
        runner.close()
    expected = {row[0]: row for row in rows}
    key = None if what in {"last", "normalize"} else (0,)
    assert contents(given, key) == sorted(expected.values(), key=repr)


@pytest.mark.parametrize(("offset", "fetch"), [(0, 3), (2, 3), (4, None), (0, 0), (9, 2)])
def test_limit_counts_over_batches_and_restores(offset: int, fetch: Any, tmp_path: Any) -> None:
    rows = rows_of([("a", i, i) for i in range(12)])
    given: list[Change] = []
    saved = None
    for start in range(0, 12, 2):
        runner = SqlHarness(
            lambda: LimitOperator(SETTINGS, offset, fetch), [SCHEMA], tmp_path, restore=saved
        )
        runner.feed([("+I", r) for r in rows[start : start + 2]])
        given += runner.given()
        saved = runner.snapshot()
    end = None if fetch is None else offset + fetch
    assert [r for _, r in plain(given)] == rows[offset:end]
