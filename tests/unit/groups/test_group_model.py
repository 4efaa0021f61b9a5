"""Aggregations of random changelogs give what a plain recomputation gives, restores included."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.hypothesis_profiles import examples
from tests.support.sql_operators import Change, SqlHarness, changes_of
from tests.unit.groups.model import CALLS, NAMES, SCHEMA, Groups, operator, plain, row

_TEXTS = ("", "a", "b", "äö", "a longer text than twelve bytes", "a longer text than twelve, too")
_ROWS = st.builds(
    row,
    k=st.sampled_from((None, "a", "b", "c")),
    v=st.sampled_from((None, -2, -1, 1, 2, 3, 2**62)),
    d=st.sampled_from((None, "-1.25", "0.00", "0.50", "3.75", "999999999999999999.99")),
    s=st.sampled_from((None, *_TEXTS)),
    ts=st.sampled_from((None, -5, 0, 7)),
    b=st.sampled_from((None, True, False)),
    f=st.sampled_from((None, -0.5, 0.25, 4.0)),
    a=st.sampled_from((None, [], [1], [1, 2])),
)
# A number takes a live row back, counted from any of them.
_STEPS = st.lists(
    st.lists(st.one_of(_ROWS, _ROWS, st.integers(0, 50)), min_size=1, max_size=12),
    min_size=1,
    max_size=6,
)
_INT64 = 1 << 64


def _changes(batch: list[Any], live: list[Any], *, retracting: bool) -> list[Change]:
    found: list[Change] = []
    for step in batch:
        if not isinstance(step, int):
            live.append(step)
            found.append(("+I" if len(live) % 2 else "+U", step))
        elif live and retracting:
            taken = live.pop(step % len(live))
            # As of equal rows the oldest goes, which of them is named makes no difference.
            found.append(("-D" if len(live) % 2 else "-U", taken))
    return found


def _apply(table: Counter[str], changes: list[Change]) -> None:
    for kind, values in changes:
        key = repr(tuple(plain(v) for v in values))
        table[key] += 1 if kind in {"+I", "+U"} else -1
        assert table[key] >= 0, f"{kind} {values} takes back what is not there"


def _run(
    tmp_path: Any, names: list[str], steps: list[Any], keys: list[str], retracting: bool, cut: Any
) -> None:
    model = Groups(names, keys)
    at = [NAMES.index(k) for k in keys]

    def make(parallelism: int = 1, backend: str = "hashmap", restore: Any = None) -> SqlHarness:
        return SqlHarness(
            lambda: operator(names, keys, retracting=retracting),
            [SCHEMA],
            tmp_path,
            keys=at,
            parallelism=parallelism,
            backend=backend,
            restore=restore,
        )

    harness = make(backend=cut[2])
    table: Counter[str] = Counter()
    live: list[Any] = []
    for number, batch in enumerate(steps):
        changes = _changes(batch, live, retracting=retracting)
        if changes:
            _apply(table, harness.feed(changes))
            for kind, values in changes:
                model.take(kind, values)
        assert +table == model.result()
        if number == cut[0]:
            saved = harness.snapshot(canonical=cut[3])
            harness.close()
            harness = make(cut[1] if at else 1, cut[2], saved)
    harness.close()


_CUTS = st.tuples(
    st.integers(0, 5), st.sampled_from((1, 2, 3)), st.sampled_from(("hashmap", "rocksdb")),
    st.booleans(),
)  # fmt: skip
_NAMES = st.lists(st.sampled_from(sorted(CALLS)), min_size=0, max_size=5, unique=True)


@settings(max_examples=examples(60))
@given(names=_NAMES, steps=_STEPS, cut=_CUTS, retracting=st.booleans(), keyed=st.booleans())
def test_a_changelog_gives_the_groups_of_its_rows(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    steps: list[Any],
    cut: Any,
    retracting: bool,
    keyed: bool,
) -> None:
    path = tmp_path_factory.mktemp("groups")
    _run(
        path,
        names or ["count"] if not keyed else names,
        steps,
        ["k"] if keyed else [],
        retracting,
        cut,
    )


@pytest.mark.parametrize("name", sorted(CALLS))
def test_every_call_follows_rows_that_come_and_go(tmp_path: Any, name: str) -> None:
    rows = [
        row("a", 3, "1.25", "b", 7, True, 0.25, [1]),
        row("a", 1, "-1.25", "a", 0, False, -0.5, [1, 2]),
        row("a", 3, "1.25", "a longer text than twelve bytes", 7, True, 4.0, [1]),
        row("a"),
        row("b", -1, "0.50", "b", 0, None, 4.0, []),
    ]
    steps: list[Any] = [rows[:3], rows[3:], [0, 1], [0], [rows[0], 0], [0, 0], [0, rows[1]], [0]]
    _run(tmp_path, [name], steps, ["k"], True, (3, 2, "rocksdb", False))
    _run(
        tmp_path,
        [name],
        [s for s in steps if not isinstance(s[0], int)],
        ["k"],
        False,
        (0, 3, "hashmap", True),
    )


def test_what_a_batch_brings_and_takes_gives_nothing(tmp_path: Any) -> None:
    harness = SqlHarness(lambda: operator(["count", "max_s"]), [SCHEMA], tmp_path, keys=[0])
    assert harness.feed([("+I", row("a", s="x")), ("-D", row("a", s="x"))]) == []
    assert harness.feed([("+I", row("a", s="x"))]) == [("+I", ("a", 1, "x"))]
    assert harness.feed([("-U", row("a", s="x")), ("+U", row("a", s="x"))]) == []
    assert harness.feed([("-U", row("a", s="x")), ("+U", row("a", s="y"))]) == [
        ("-U", ("a", 1, "x")),
        ("+U", ("a", 1, "y")),
    ]
    assert harness.feed([("-D", row("a", s="y"))]) == [("-D", ("a", 1, "y"))]
    assert len(harness.parts[0].operator._state.table) == 0
    harness.close()


def test_updates_come_alone_where_nobody_wants_what_was_before(tmp_path: Any) -> None:
    harness = SqlHarness(lambda: operator(["count"], before=False), [SCHEMA], tmp_path, keys=[0])
    harness.feed([("+I", row("a"))])
    assert harness.feed([("+I", row("a")), ("+I", row("b"))]) == [
        ("+U", ("a", 2)),
        ("+I", ("b", 1)),
    ]
    assert harness.feed([("-D", row("b"))]) == [("-D", ("b", 1))]
    harness.close()


def test_what_is_taken_back_from_nothing_is_counted_and_ignored(tmp_path: Any) -> None:
    harness = SqlHarness(lambda: operator(["count", "sum_v"]), [SCHEMA], tmp_path, keys=[0])
    assert harness.feed([("-D", row("a", 5)), ("+I", row("a", 1))]) == [("+I", ("a", 1, 1))]
    assert harness.feed([("-D", row("z", 5))]) == []
    assert harness.counter("retractions_ignored") == 2
    harness.close()


def test_a_bounded_input_gives_each_group_once_at_its_end(tmp_path: Any) -> None:
    harness = SqlHarness(
        lambda: (
            operator(["count", "max_v"], batch=True)
            if False
            else operator(["count", "min_v"], batch=True, retracting=False)
        ),
        [SCHEMA],
        tmp_path,
        keys=[0],
    )
    assert harness.feed([("+I", row("a", 2)), ("+I", row("b", 3))]) == []
    assert harness.feed([("+I", row("a", 1))]) == []
    assert sorted(harness.end()) == [("+I", ("a", 2, 1)), ("+I", ("b", 1, 3))]
    harness.close()


def test_a_bounded_input_without_rows_has_one_group_if_there_are_no_keys(tmp_path: Any) -> None:
    for keys, expected in (([], [("+I", (0, None, None))]), (["k"], [])):
        harness = SqlHarness(
            lambda keys=keys: operator(
                ["count", "sum_d", "listagg_s"], keys, batch=True, retracting=False
            ),
            [SCHEMA],
            tmp_path,
        )
        assert harness.end() == expected
        harness.close()


def test_one_group_without_keys_outlives_its_rows(tmp_path: Any) -> None:
    harness = SqlHarness(lambda: operator(["count", "sum_v"], []), [SCHEMA], tmp_path)
    assert harness.feed([("+I", row("a", 5))]) == [("+I", (1, 5))]
    assert harness.feed([("-D", row("a", 5))]) == [("-U", (1, 5)), ("+U", (0, None))]
    assert harness.feed([("+I", row("a", 7))]) == [("-U", (0, None)), ("+U", (1, 7))]
    assert changes_of(harness.parts[0].output)[-1] == ("+U", (1, 7))
    harness.close()
