"""What a restore gives to whom: each key group to one subtask, timers and deletions included."""

import pytest

from lesto.kernels import keygroups
from lesto.kernels.hashing import hash_value
from lesto.state.descriptors import ValueStateDescriptor
from lesto.state.factory import create_backend
from lesto.state.storage import SnapshotStore

MAX_PARALLELISM = 16
KEYS = [f"key-{i}" for i in range(200)]


def make(kind, folder, index=0, parallelism=1):
    start, end = keygroups.key_group_range(MAX_PARALLELISM, parallelism, index)
    return create_backend(
        kind,
        key_group_start=start,
        key_group_end=end,
        max_parallelism=MAX_PARALLELISM,
        local_dir=folder / "local",
    )


def fill(backend):
    state = backend.get_state(ValueStateDescriptor("number"))
    for i, key in enumerate(KEYS):
        backend.current_key = key
        state.update(i)
        backend.timers("event").register(1000 + i, key)


def group(key):
    return keygroups.key_group_for_hash(hash_value(key), MAX_PARALLELISM)


@pytest.mark.parametrize("canonical", [True, False], ids=["canonical", "native"])
@pytest.mark.parametrize("kind", ["hashmap", "rocksdb"])
def test_each_subtask_gets_its_own_key_groups_and_no_other(tmp_path, kind, canonical):
    store = SnapshotStore(str(tmp_path / "checkpoints"))
    whole = make(kind, tmp_path)
    fill(whole)
    handle = whole.snapshot(1, canonical=canonical).finish(store)
    whole.close()
    seen_keys, seen_timers = [], []
    for index in range(3):
        part = make(kind, tmp_path, index, 3)
        part.restore([handle], store)
        part.get_state(ValueStateDescriptor("number"))
        keys = list(part.keys("number"))
        timers = [key for _, key, _ in part.timers("event").pop_until(10_000)]
        for key in keys + timers:
            assert part.key_group_start <= group(key) <= part.key_group_end, key
        seen_keys += keys
        seen_timers += timers
        part.close()
    assert sorted(seen_keys) == sorted(KEYS)
    assert sorted(seen_timers) == sorted(KEYS)


@pytest.mark.parametrize("kind", ["hashmap", "rocksdb"])
def test_timers_of_every_checkpoint_come_back_and_fired_ones_do_not(tmp_path, kind):
    store = SnapshotStore(str(tmp_path / "checkpoints"))
    backend = make(kind, tmp_path)
    timers = backend.timers("event")
    timers.register(10, "a")
    timers.register(20, "b")
    backend.snapshot(1, canonical=False).finish(store)
    backend.notify_checkpoint_complete(1)
    assert [t[0] for t in timers.pop_until(10)] == [10]
    timers.register(30, "c")
    handle = backend.snapshot(2, canonical=False).finish(store)
    backend.close()
    again = make(kind, tmp_path)
    again.restore([handle], store)
    assert list(again.timers("event").pop_until(100)) == [(20, "b", None), (30, "c", None)]
    again.close()
