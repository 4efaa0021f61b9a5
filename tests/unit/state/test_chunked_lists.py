"""Long lists in RocksDB: in chunks, as one list to everybody who looks."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from savepoints import write_snapshot

from lesto.common.clock import VirtualClock
from lesto.state import cached_lists
from lesto.state.chunked_lists import ListJoiner
from lesto.state.descriptors import ListStateDescriptor
from lesto.state.errors import CorruptFileError
from lesto.state.expiry import Sweep
from lesto.state.factory import create_backend
from lesto.state.reader.savepoint import SavepointReader
from lesto.state.storage import SnapshotStore
from lesto.state.ttl import StateTtlConfig

LISTS = ListStateDescriptor("l")
STEPS = st.one_of(
    st.tuples(st.just("add"), st.integers(0, 3), st.integers(1, 9)),
    st.tuples(st.just("update"), st.integers(0, 3), st.integers(0, 12)),
    st.tuples(st.just("clear"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("snapshot"), st.booleans(), st.just(0)),
    st.tuples(st.just("restore"), st.sampled_from(["hashmap", "rocksdb"]), st.booleans()),
    st.tuples(st.just("merge"), st.integers(0, 3), st.just(0)),
)


class Driver:
    """A backend beside a dict of lists."""

    def __init__(self, folder):
        self.folder = folder
        self.store = SnapshotStore(str(folder / "ck"), epoch=1, attempt="1-0")
        self.number = 0
        self.next = 0
        self.model = {}
        self.open("rocksdb")

    def open(self, kind):
        small = {"cache_bytes": 1} if kind == "rocksdb" else {}
        self.backend = create_backend(
            kind,
            key_group_start=0,
            key_group_end=127,
            max_parallelism=128,
            local_dir=self.folder / "local",
            **small,
        )

    def fresh(self, count):
        self.next += count
        return list(range(self.next - count, self.next))

    def snapshot(self, canonical=False):
        self.number += 1
        handle = self.backend.snapshot(self.number, canonical=canonical).finish(self.store)
        self.backend.notify_checkpoint_complete(self.number)
        return handle

    def run(self, step):
        what, key, much = step
        if what == "snapshot":
            self.snapshot(key)
        elif what == "restore":
            handle = self.snapshot(much)
            self.backend.close()
            self.open(key)
            self.backend.restore([handle], self.store)
        else:
            self.backend.current_key = key
            state = self.backend.get_state(LISTS)
            mine = self.model.setdefault(key, [])
            if what == "add":
                new = self.fresh(much)
                state.add_all(new[1:])
                state.add(new[0])
                mine += [*new[1:], new[0]]
            elif what == "merge":
                other = self.backend.get_state(LISTS, (0, 10))
                new = self.fresh(5)
                other.add_all(new)
                state.merge_namespaces(None, [(0, 10), None])
                mine += new
            else:
                new = self.fresh(much)
                state.update(new)
                mine[:] = new
        self.check()

    def check(self):
        state = self.backend.get_state(LISTS)
        for key, mine in self.model.items():
            self.backend.current_key = key
            assert list(state) == mine
            assert state.is_empty() == (not mine)
        assert sorted(self.backend.keys("l")) == sorted(k for k, v in self.model.items() if v)


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(STEPS, max_size=25))
def test_lists_are_lists_whatever_their_length(tmp_path_factory, steps):
    patch = pytest.MonkeyPatch()
    patch.setattr(cached_lists, "CHUNK", 3)
    driver = Driver(tmp_path_factory.mktemp("lists"))
    try:
        for step in steps:
            driver.run(step)
    finally:
        driver.backend.close()
        patch.undo()


def adds(make, store, name, total):
    """Seconds for adds to a list that has ``total`` elements, each in a checkpoint."""
    backend = make("rocksdb")
    backend.current_key = name
    state = backend.get_state(LISTS)
    state.add_all(range(total))
    backend.snapshot(1, canonical=False).finish(store)
    spent = []
    for number in range(2, 22):
        began = time.perf_counter()
        state.add(number)
        pending = backend.snapshot(number, canonical=False)
        spent.append(time.perf_counter() - began)
        pending.finish(store)
    return sorted(spent)[len(spent) // 2]


def test_an_element_more_costs_no_more_in_a_longer_list(make, store):
    short, long = (adds(make, store, f"k{n}", n) for n in (100, 20_000))
    assert long < 5 * short  # 20,000 elements encoded again would be 100 times


@pytest.mark.parametrize("canonical", [True, False])
def test_the_reader_gives_whole_lists_and_a_limit_counts_lists(tmp_path, canonical):
    def fill(backend):
        state = backend.get_state(LISTS)
        for key in range(5):
            backend.current_key = key
            state.add_all(range(key * 300))

    path = write_snapshot(tmp_path, "rocksdb", fill, canonical=canonical)
    reader = SavepointReader.read(path)
    table = reader.read_keyed_state("uid", "l").read_all().sort_by("key")
    assert table.column("key").to_pylist() == [1, 2, 3, 4]
    assert table.column("value").to_pylist() == [list(range(k * 300)) for k in (1, 2, 3, 4)]
    cut = reader.read_keyed_state("uid", "l", limit=2).read_all()
    assert [len(v) for v in cut.column("value").to_pylist()] == [
        300 * k for k in cut.column("key").to_pylist()
    ]


def test_elements_of_long_lists_expire_on_disk_and_types_change(make, store):
    backend = make("rocksdb")
    backend.clock = clock = VirtualClock(1_000_000)
    backend.current_key = "k"
    backend.get_state(LISTS).add_all(range(1_000))
    handle = backend.snapshot(1, canonical=False).finish(store)
    again = make("rocksdb")
    again.clock = clock
    again.restore([handle], store)
    again.current_key = "k"
    dying = ListStateDescriptor("l")
    dying.enable_time_to_live(StateTtlConfig.new_builder("1s").build())
    state = again.get_state(dying)
    clock.advance(500)
    state.add_all(range(1_000, 1_010))
    again.snapshot(2, canonical=False).finish(store)
    clock.advance(500)
    sweep = Sweep(again)
    steps = 1
    while not sweep.step(50):
        steps += 1
    assert (sweep.removed, steps > 1) == (1_000, True)
    again.snapshot(3, canonical=False).finish(store)
    assert len(list(again.local_db().scan(b""))) == 1
    assert list(state) == list(range(1_000, 1_010))


def test_a_missing_chunk_is_damage():
    joiner = ListJoiner()
    assert joiner.add(b"a", (2, [])) is None
    with pytest.raises(CorruptFileError, match="part of a list"):
        joiner.end()
    with pytest.raises(CorruptFileError, match="part of a list"):
        joiner.add(b"b", [1])
