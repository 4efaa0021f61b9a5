"""Both backends against dicts: random operations, snapshots, failures, restores at other
parallelism.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from hypothesis_profiles import examples

from lesto.kernels import keygroups
from lesto.kernels.hashing import hash_value
from lesto.state import rocksdb
from lesto.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from lesto.state.factory import create_backend
from lesto.state.storage import SnapshotStore

MAX_PARALLELISM = 8
KEYS = st.sampled_from(["a", "b", 1, 2.5, ("t", 1), None, b"z", *[f"k{i}" for i in range(20)]])
SPACES = st.sampled_from([None, None, (0, 10), (10, 20)])
VALUES = st.one_of(
    st.integers(), st.text(max_size=3), st.tuples(st.integers(), st.text(max_size=2))
)
MAP_KEYS = st.sampled_from(["x", "y", 7, (1, 2)])


class Mean:
    def create_accumulator(self):
        return [0, 0]

    def add(self, value, accumulator):
        accumulator[0] += value
        accumulator[1] += 1
        return accumulator

    def get_result(self, accumulator):
        return accumulator[0] / accumulator[1]

    def merge(self, a, b):
        return [a[0] + b[0], a[1] + b[1]]


DESCRIPTORS = {
    "value": lambda: ValueStateDescriptor("value"),
    "list": lambda: ListStateDescriptor("list"),
    "map": lambda: MapStateDescriptor("map"),
    "sum": lambda: ReducingStateDescriptor("sum", lambda a, b: a + b),
    "mean": lambda: AggregatingStateDescriptor("mean", Mean()),
}


class Subtasks:
    """One operator: a backend for each subtask, and calls routed by key group."""

    def __init__(self, kind, parallelism, root, handles=()):
        self.kind = kind
        self.backends = []
        for index in range(parallelism):
            start, end = keygroups.key_group_range(MAX_PARALLELISM, parallelism, index)
            backend = create_backend(
                kind,
                key_group_start=start,
                key_group_end=end,
                max_parallelism=MAX_PARALLELISM,
                local_dir=root / "local",
                cache_bytes=1,
            )
            own = [h for h in handles if h.key_group_start <= end and h.key_group_end >= start]
            if own:
                backend.restore(own, SnapshotStore(str(root / "ck")))
            self.backends.append(backend)

    def at(self, key):
        group = keygroups.key_group_for_hash(hash_value(key), MAX_PARALLELISM)
        index = keygroups.operator_index(group, MAX_PARALLELISM, len(self.backends))
        backend = self.backends[index]
        backend.current_key = key
        return backend

    def state(self, name, key, space):
        backend = self.at(key)
        state = backend.get_state(backend.__dict__.setdefault(f"_d_{name}", DESCRIPTORS[name]()))
        state.set_namespace(space)
        return state

    def timers(self, key):
        return self.at(key).timers("event")

    def keys(self, name, space):
        return [key for backend in self.backends for key in backend.keys(name, space)]

    def close(self):
        for backend in self.backends:
            backend.close()


class Model:
    """What the state must be."""

    def __init__(self):
        self.cells = {name: {} for name in DESCRIPTORS}
        self.timers = set()

    def copy(self):
        other = Model()
        for name, cells in self.cells.items():
            other.cells[name] = {
                at: (v.copy() if isinstance(v, (list, dict)) else v) for at, v in cells.items()
            }
        other.timers = set(self.timers)
        return other


class BackendMachine(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="lesto-state-model-"))
        self.model = Model()
        self.checkpoint_id = 0
        self.pending = {}  # id -> (pending snapshots, model)
        self.done = {}  # id -> (handles, model)
        self.subtasks = None

    @initialize(kind=st.sampled_from(["hashmap", "rocksdb"]), parallelism=st.integers(1, 3))
    def start(self, kind, parallelism):
        self.subtasks = Subtasks(kind, parallelism, self.root)

    # -- operations

    @rule(key=KEYS, space=SPACES, value=VALUES)
    def update(self, key, space, value):
        self.subtasks.state("value", key, space).update(value)
        self.model.cells["value"][key, space] = value

    @rule(keys=st.lists(KEYS, min_size=5, max_size=20), value=VALUES)
    def update_many(self, keys, value):
        for key in keys:
            self.update(key, None, value)

    @rule(key=KEYS, space=SPACES, name=st.sampled_from(sorted(DESCRIPTORS)))
    def clear(self, key, space, name):
        self.subtasks.state(name, key, space).clear()
        self.model.cells[name].pop((key, space), None)

    @rule(key=KEYS, space=SPACES, value=VALUES)
    def add_to_list(self, key, space, value):
        self.subtasks.state("list", key, space).add(value)
        self.model.cells["list"].setdefault((key, space), []).append(value)

    @rule(key=KEYS, space=SPACES, values=st.lists(VALUES, max_size=3))
    def update_list(self, key, space, values):
        self.subtasks.state("list", key, space).update(values)
        self.model.cells["list"].pop((key, space), None)
        if values:
            self.model.cells["list"][key, space] = list(values)

    @rule(key=KEYS, space=SPACES, map_key=MAP_KEYS, value=st.one_of(st.none(), VALUES))
    def put(self, key, space, map_key, value):
        self.subtasks.state("map", key, space).put(map_key, value)
        self.model.cells["map"].setdefault((key, space), {})[map_key] = value

    @rule(key=KEYS, space=SPACES, map_key=MAP_KEYS)
    def remove(self, key, space, map_key):
        self.subtasks.state("map", key, space).remove(map_key)
        content = self.model.cells["map"].get((key, space), {})
        content.pop(map_key, None)
        if not content:
            self.model.cells["map"].pop((key, space), None)

    @rule(key=KEYS, space=SPACES, value=st.integers(-100, 100))
    def aggregate(self, key, space, value):
        self.subtasks.state("sum", key, space).add(value)
        self.subtasks.state("mean", key, space).add(value)
        sums, means = self.model.cells["sum"], self.model.cells["mean"]
        sums[key, space] = sums.get((key, space), 0) + value
        means[key, space] = [*means.get((key, space), []), value]

    @rule(key=KEYS, sources=st.lists(SPACES, max_size=3), into=SPACES)
    def merge_lists(self, key, sources, into):
        self.subtasks.state("list", key, None).merge_namespaces(into, sources)
        cells = self.model.cells["list"]
        moved = []
        for space in dict.fromkeys(sources):
            if space != into:
                moved += cells.pop((key, space), [])
        if moved:
            cells[key, into] = cells.get((key, into), []) + moved

    @rule(at=st.integers(0, 30), key=KEYS, space=SPACES, delete=st.booleans())
    def timer(self, at, key, space, delete):
        queue = self.subtasks.timers(key)
        timer = (at, key, space)
        if delete:
            assert queue.delete(*timer) == (timer in self.model.timers)
            self.model.timers.discard(timer)
        else:
            assert queue.register(*timer) == (timer not in self.model.timers)
            self.model.timers.add(timer)

    @rule(until=st.integers(0, 30))
    def fire(self, until):
        fired = [t for b in self.subtasks.backends for t in b.timers("event").pop_until(until)]
        due = {t for t in self.model.timers if t[0] <= until}
        assert set(fired) == due
        assert len(fired) == len(due)
        self.model.timers -= due

    @rule(keys=st.lists(KEYS, min_size=1, max_size=10))
    def prefetch(self, keys):
        for backend in self.subtasks.backends:
            own = [key for key in keys if self.subtasks.at(key) is backend]
            backend.prefetch(own)

    # -- checkpoints

    @rule(canonical=st.booleans())
    def snapshot(self, canonical):
        self.checkpoint_id += 1
        parts = [
            b.snapshot(self.checkpoint_id, canonical=canonical) for b in self.subtasks.backends
        ]
        self.pending[self.checkpoint_id] = (parts, self.model.copy())

    @precondition(lambda self: self.pending)
    @rule(data=st.data(), notify=st.booleans())
    def finish(self, data, notify):
        n = data.draw(st.sampled_from(sorted(self.pending)))
        parts, model = self.pending.pop(n)
        store = SnapshotStore(str(self.root / "ck"))
        self.done[n] = ([part.finish(store) for part in parts], model)
        if notify:
            for backend in self.subtasks.backends:
                backend.notify_checkpoint_complete(n)

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def abort(self, data):
        n = data.draw(st.sampled_from(sorted(self.pending)))
        for part in self.pending.pop(n)[0]:
            part.discard()
        for backend in self.subtasks.backends:
            backend.notify_checkpoint_aborted(n)

    @precondition(lambda self: self.done)
    @rule(
        data=st.data(),
        kind=st.sampled_from(["hashmap", "rocksdb"]),
        parallelism=st.integers(1, 4),
    )
    def fail_and_restore(self, data, kind, parallelism):
        n = data.draw(st.sampled_from(sorted(self.done)))
        handles, model = self.done[n]
        self.subtasks.close()
        self.pending.clear()
        self.model = model.copy()
        self.subtasks = Subtasks(kind, parallelism, self.root, handles)

    # -- what must hold

    @rule(name=st.sampled_from(sorted(DESCRIPTORS)), space=SPACES)
    def keys_are_those_of_the_model(self, name, space):
        found = self.subtasks.keys(name, space)
        wanted = [key for key, at in self.model.cells[name] if at == space]
        assert sorted(map(repr, found)) == sorted(map(repr, wanted))

    @rule(key=KEYS, space=SPACES)
    def cells_are_those_of_the_model(self, key, space):
        self._check(key, space)

    @rule()
    def everything_is_as_in_the_model(self):
        for name, cells in self.model.cells.items():
            assert len(self.subtasks.keys(name, None)) == sum(at[1] is None for at in cells)
            for key, space in cells:
                self._check(key, space)
        timers = [t for b in self.subtasks.backends for t in b.timers("event").live()]
        assert set(timers) == self.model.timers
        assert len(timers) == len(self.model.timers)

    def _check(self, key, space):
        state, cells, at = self.subtasks.state, self.model.cells, (key, space)
        assert state("value", *at).value() == cells["value"].get(at)
        assert list(state("list", *at).get()) == cells["list"].get(at, [])
        content = cells["map"].get(at, {})
        for map_key in ("x", "y", 7, (1, 2)):
            assert state("map", *at).get(map_key) == content.get(map_key)
            assert state("map", *at).contains(map_key) == (map_key in content)
        assert state("map", *at).is_empty() == (not content)
        assert dict(state("map", *at).items()) == content
        assert state("sum", *at).get() == cells["sum"].get(at)
        values = cells["mean"].get(at)
        assert state("mean", *at).get() == (sum(values) / len(values) if values else None)

    @invariant()
    def nothing_grows_without_bound(self):
        for backend in self.subtasks.backends if self.subtasks else ():
            if backend.__class__.__name__ == "RocksDBBackend":
                held = sum(
                    cells._weight(cells.spaces[space][key])
                    for cells in backend._cached()
                    for part in cells.pending
                    for space, keys in part.dirty.items()
                    for key in keys
                    if key in cells.spaces.get(space, ())
                )
                assert backend._count() <= 2 * rocksdb.ENTRIES_MIN + held

    def teardown(self):
        if self.subtasks is not None:
            self.subtasks.close()
        assert not list((self.root / "local").glob("*"))
        shutil.rmtree(self.root)


@pytest.mark.parametrize("entries_min", [4, 1000])
def test_backends_behave_as_dicts(monkeypatch, entries_min):
    """With a cache of a few entries (eviction at every turn), and one that holds all."""
    monkeypatch.setattr(rocksdb, "ENTRIES_MIN", entries_min)
    run_state_machine_as_test(
        BackendMachine,
        settings=settings(
            max_examples=examples(30),
            stateful_step_count=50,
            suppress_health_check=list(HealthCheck),
        ),
    )
