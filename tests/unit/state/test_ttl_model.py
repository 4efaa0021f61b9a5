"""State that expires against a dict with stamps, over random accesses, sweeps and restores."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesto.common.clock import VirtualClock
from lesto.state.descriptors import ListStateDescriptor, MapStateDescriptor, ValueStateDescriptor
from lesto.state.expiry import Sweep
from lesto.state.factory import create_backend
from lesto.state.storage import SnapshotStore
from lesto.state.ttl import StateTtlConfig

TTL = 10
KEYS = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.sampled_from(["write", "read", "clear"]), KEYS),
    st.tuples(st.just("pass"), st.integers(1, 6)),
    st.tuples(st.just("sweep"), st.integers(1, 4)),
    st.tuples(st.just("restore"), st.sampled_from(["hashmap", "rocksdb"])),
)


class Model:
    """What one key should have."""

    def __init__(self):
        self.value = None
        self.items = []
        self.entries = {}

    def live(self, now):
        if self.value is not None and self.value[0] + TTL <= now:
            self.value = None
        self.items = [i for i in self.items if i[0] + TTL > now]
        self.entries = {k: v for k, v in self.entries.items() if v[0] + TTL > now}

    def touch(self, now):
        self.value = None if self.value is None else (now, self.value[1])
        self.items = [(now, item) for _, item in self.items]
        self.entries = {key: (now, item) for key, (_, item) in self.entries.items()}


class Driver:
    """A backend with a state of each kind beside the models of three keys."""

    def __init__(self, folder, domain, on_read):
        self.folder = folder
        self.store = SnapshotStore(str(folder / "ck"), epoch=1, attempt="1-0")
        builder = StateTtlConfig.new_builder(TTL)
        if domain == "event":
            builder.use_event_time()
        if on_read:
            builder.update_ttl_on_read_and_write()
        self.config, self.domain, self.on_read = builder.build(), domain, on_read
        self.clock = VirtualClock(1_000)
        self.number = self.written = 0
        self.models = [Model() for _ in range(3)]
        self.backend = None
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
        self.backend.clock = self.clock
        self.sweep = Sweep(self.backend)
        self.tell_time()

    def tell_time(self):
        now = self.clock.now_ms()
        self.backend.event_time = now - 3  # the watermark lags behind
        self.backend.element_time = lambda: now

    def states(self):
        made = [ValueStateDescriptor("v"), ListStateDescriptor("l"), MapStateDescriptor("m")]
        for descriptor in made:
            descriptor.enable_time_to_live(self.config)
        return [self.backend.get_state(descriptor) for descriptor in made]

    def run(self, step):
        what, how = step
        match what:
            case "pass":
                self.clock.advance(how)
                self.tell_time()
            case "sweep":
                self.states()
                self.sweep.step(how)
            case "restore":
                self.number += 1
                handle = self.backend.snapshot(self.number, canonical=False).finish(self.store)
                self.backend.close()
                self.open(how)
                self.backend.restore([handle], self.store)
            case _:
                self.access(what, how)

    def access(self, what, key):
        now = self.clock.now_ms()
        self.backend.current_key = key
        value, items, entries = self.states()
        model = self.models[key]
        model.live(now)
        self.written += 1
        n = self.written
        if what == "write":
            value.update(n)
            items.add(n)
            entries.put(n % 2, n)
            model.value = (now, n)
            model.items.append((now, n))
            model.entries[n % 2] = (now, n)
        elif what == "clear":
            for state in (value, items, entries):
                state.clear()
            self.models[key] = Model()
        else:
            assert value.value() == (None if model.value is None else model.value[1])
            assert list(items) == [item for _, item in model.items]
            assert dict(entries.items()) == {k: v for k, (_, v) in model.entries.items()}
            assert entries.is_empty() == (not model.entries)
            if self.on_read:
                model.touch(now)


@pytest.mark.parametrize("domain", ["processing", "event"])
@settings(max_examples=25, deadline=None)
@given(steps=st.lists(STEPS, max_size=30), on_read=st.booleans())
def test_what_is_seen_is_what_lives(tmp_path_factory, domain, steps, on_read):
    driver = Driver(tmp_path_factory.mktemp("ttl"), domain, on_read)
    try:
        for step in steps:
            driver.run(step)
        for key in range(3):
            driver.access("read", key)
        # In the end nothing is left, though nobody looks.
        driver.clock.advance(TTL + 3)
        driver.tell_time()
        for _ in range(3):
            while not driver.sweep.step():
                pass
        assert [list(driver.backend.keys(name)) for name in "vlm"] == [[], [], []]
    finally:
        driver.backend.close()
