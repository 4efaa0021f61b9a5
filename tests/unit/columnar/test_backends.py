"""Columnar operators on the real backends: snapshot, restore, rescale 1 -> 3."""

import random

import pyarrow as pa
import pytest

from lesto.common.elements import MAX_TIMESTAMP
from lesto.common.expressions import col, count, window_start
from lesto.common.windowing import EventTimeSessionWindows, TumblingEventTimeWindows
from lesto.kernels import keygroups
from lesto.kernels.hashing import hash_value
from lesto.state.errors import StateMismatchError
from lesto.state.factory import create_backend
from lesto.state.storage import SnapshotStore
from lesto.taskmanager.operators.columnar.running import RunningAggregateOperator
from lesto.taskmanager.operators.columnar.window import WindowAggregateOperator

SCHEMA = pa.schema([("k", pa.string()), ("v", pa.int64())])
MAX_PARALLELISM = 32
OPERATORS = {
    "running": lambda: RunningAggregateOperator(["k"], [col("v").sum(), count(), col("v").first()]),
    "tumbling": lambda: WindowAggregateOperator(
        ["k"], TumblingEventTimeWindows(50), [count(), col("v").sum(), window_start()]
    ),
    "session": lambda: WindowAggregateOperator(
        ["k"], EventTimeSessionWindows(6), [count(), col("v").sum(), window_start()]
    ),
}


def batches(n, seed=5):
    """Out-of-order records of a few hundred keys, and the watermark after each batch."""
    rng = random.Random(seed)
    for i in range(n):
        rows = [(rng.choice([None, *map(str, range(200))]), rng.randint(-9, 9)) for _ in range(300)]
        yield rows, [i * 20 + rng.randint(-15, 30) for _ in rows], i * 20 - 20


def backend(kind, tmp_path, subtask=0, parallelism=1):
    first, last = keygroups.key_group_range(MAX_PARALLELISM, parallelism, subtask)
    return create_backend(
        kind,
        key_group_start=first,
        key_group_end=last,
        max_parallelism=MAX_PARALLELISM,
        local_dir=tmp_path,
        cache_bytes=1 << 20,
    )


def feed(rigs, rows, times, watermark):
    """Send each record to its owner; gives what all emit, in no order."""
    for i, r in enumerate(rigs):
        chosen = [
            j
            for j, row in enumerate(rows)
            if keygroups.operator_index(
                keygroups.key_group_for_hash(hash_value(row[0]), MAX_PARALLELISM),
                MAX_PARALLELISM,
                len(rigs),
            )
            == i
        ]
        r.send([rows[j] for j in chosen], [times[j] for j in chosen])
        r.watermark(watermark)
    return sorted((row for r in rigs for row in r.out.take()), key=repr)


@pytest.mark.parametrize(
    ("before", "after", "canonical"),
    [
        ("hashmap", "hashmap", False),
        ("rocksdb", "rocksdb", False),
        ("rocksdb", "hashmap", True),
        ("hashmap", "rocksdb", True),
    ],
)
@pytest.mark.parametrize("name", OPERATORS)
def test_results_go_on_after_a_restore_on_three_subtasks(
    rig, tmp_path, name, before, after, canonical
):
    make = OPERATORS[name]
    steps = [*batches(8), ([], [], MAX_TIMESTAMP)]
    undisturbed = rig(make(), SCHEMA)
    wanted = [feed([undisturbed], *step) for step in steps]
    store = SnapshotStore(str(tmp_path / "checkpoints"))
    one = rig(make(), SCHEMA, backend=backend(before, tmp_path))
    got, handle = [], None
    for i, step in enumerate(steps[:5]):
        got.append(feed([one], *step))
        last = i == 4
        pending = one.operator.snapshot(i + 1, canonical=canonical and last).keyed
        handle = pending.finish(store)
        if not last:
            one.backend.notify_checkpoint_complete(i + 1)
    one.backend.close()
    rigs = []
    for subtask in range(3):
        mine = backend(after, tmp_path, subtask, 3)
        mine.restore([handle], store)
        rigs.append(rig(make(), SCHEMA, backend=mine))
    # Event time is not state: it comes again with the next watermark.
    for r in rigs:
        r.watermark(steps[4][2])
        assert r.out.take() == []
    got += [feed(rigs, *step) for step in steps[5:]]
    assert got == wanted
    assert sum(map(len, wanted)) > 300
    for r in rigs:
        r.backend.close()


def test_other_aggregates_on_restored_state_are_refused(rig, tmp_path):
    store = SnapshotStore(str(tmp_path / "checkpoints"))
    one = rig(OPERATORS["running"](), SCHEMA, backend=backend("hashmap", tmp_path))
    one.send([("a", 1)])
    handle = one.operator.snapshot(1, canonical=False).keyed.finish(store)
    again = backend("hashmap", tmp_path)
    again.restore([handle], store)
    with pytest.raises(StateMismatchError, match="the aggregates of state 'running_aggregate'"):
        rig(RunningAggregateOperator(["k"], [count()]), SCHEMA, backend=again)
