"""State that expires: what is seen, what is removed without being looked at, what survives."""

import pytest

from lesto.common.clock import VirtualClock
from lesto.common.time import Time
from lesto.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from lesto.state.expiry import Sweep
from lesto.state.ttl import StateTtlConfig

BACKENDS = ["hashmap", "rocksdb"]
TTL = 1_000


def config(**wishes):
    builder = StateTtlConfig.new_builder(Time.milliseconds(wishes.pop("ttl", TTL)))
    for wish in wishes:
        getattr(builder, wish)()
    return builder.build()


def value(ttl=None, name="v", type_info=None):
    made = ValueStateDescriptor(name, type_info)
    if ttl is not None:
        made.enable_time_to_live(ttl)
    return made


class Average:
    def create_accumulator(self):
        return (0, 0)

    def add(self, value, accumulator):
        return (accumulator[0] + value, accumulator[1] + 1)

    def get_result(self, accumulator):
        return accumulator[0] / accumulator[1]

    def merge(self, a, b):
        return (a[0] + b[0], a[1] + b[1])


@pytest.fixture
def opened(make):
    def create(kind, clock=None, **kwargs):
        backend = make(kind, **kwargs)
        backend.clock = clock or VirtualClock(1_000_000)
        backend.current_key = "k"
        return backend

    return create


def moved(backend, store, make, *, canonical=False, kind, number=1):
    """The state in a new backend, behind a snapshot."""
    handle = backend.snapshot(number, canonical=canonical).finish(store)
    other = make(kind)
    other.clock = backend.clock
    other.event_time = backend.event_time
    other.restore([handle], store)
    other.current_key = "k"
    return other


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_value_is_gone_when_its_time_is_over_and_a_write_prolongs_it(opened, kind):
    backend = opened(kind)
    state = backend.get_state(value(config()))
    state.update(0)
    backend.clock.advance(TTL - 1)
    assert state.value() == 0
    state.update(1)
    backend.clock.advance(TTL - 1)
    assert state.value() == 1
    backend.clock.advance(1)
    assert state.value() is None


@pytest.mark.parametrize("kind", BACKENDS)
def test_reading_prolongs_life_if_so_wished(opened, kind):
    backend = opened(kind)
    state = backend.get_state(value(config(update_ttl_on_read_and_write=1)))
    state.update("x")
    for _ in range(3):
        backend.clock.advance(TTL - 1)
        assert state.value() == "x"
    backend.clock.advance(TTL)
    assert state.value() is None


@pytest.mark.parametrize("kind", BACKENDS)
def test_what_has_expired_may_be_seen_until_it_is_removed(opened, kind):
    backend = opened(kind)
    wish = config(return_expired_if_not_cleaned_up=1)
    one = backend.get_state(value(wish))
    a_map = MapStateDescriptor("m")
    a_map.enable_time_to_live(wish)
    entries = backend.get_state(a_map)
    a_list = ListStateDescriptor("l")
    a_list.enable_time_to_live(wish)
    items = backend.get_state(a_list)
    one.update("x")
    entries.put("a", 1)
    items.add(1)
    backend.clock.advance(TTL)
    assert (one.value(), one.value()) == ("x", None)
    assert (entries.contains("a"), entries.get("a")) == (True, None)
    assert (items.get(), items.get()) == ([1], [])


def test_disabled_is_no_time_to_live(opened):
    off = StateTtlConfig.new_builder(1).set_update_type(StateTtlConfig.UpdateType.Disabled).build()
    backend = opened("hashmap")
    state = backend.get_state(value(off))
    state.update(1)
    backend.clock.advance(10)
    assert state.value() == 1
    assert not off.is_enabled()


@pytest.mark.parametrize("kind", BACKENDS)
def test_each_element_and_each_entry_has_a_life_of_its_own(opened, kind):
    backend = opened(kind)
    items, entries = ListStateDescriptor("l"), MapStateDescriptor("m")
    for descriptor in (items, entries):
        descriptor.enable_time_to_live(config())
    a_list, a_map = backend.get_state(items), backend.get_state(entries)
    for n in range(3):
        a_list.add(n)
        a_map.put(n, str(n))
        backend.clock.advance(400)
    assert list(a_list) == [1, 2]
    assert dict(a_map.items()) == {1: "1", 2: "2"}
    assert (list(a_map.keys()), list(a_map.values()), a_map.is_empty()) == (
        [1, 2],
        ["1", "2"],
        False,
    )
    assert (a_map.contains(0), a_map.get(0), 2 in a_map) == (False, None, True)
    a_map.put_all({7: "7"})
    a_list.add_all([8, 9])
    backend.clock.advance(800)
    assert (list(a_list), dict(a_map.items())) == ([8, 9], {7: "7"})
    a_list.update([5])
    backend.clock.advance(TTL)
    assert (list(a_list), list(a_map.items()), a_map.is_empty()) == ([], [], True)


@pytest.mark.parametrize("kind", BACKENDS)
def test_reducing_and_aggregating_state_begin_anew(opened, kind):
    backend = opened(kind)
    total = ReducingStateDescriptor("r", lambda a, b: a + b)
    mean = AggregatingStateDescriptor("a", Average())
    for descriptor in (total, mean):
        descriptor.enable_time_to_live(config())
    sums, means = backend.get_state(total), backend.get_state(mean)
    for n in (1, 2):
        sums.add(n)
        means.add(n)
    assert (sums.get(), means.get()) == (3, 1.5)
    backend.clock.advance(TTL)
    assert (sums.get(), means.get()) == (None, None)
    sums.add(10)
    means.add(10)
    assert (sums.get(), means.get()) == (10, 10)


# ---------------------------------------------------------------------------------- event time


@pytest.mark.parametrize("kind", BACKENDS)
def test_event_time_decides_by_watermark_and_the_records_time(opened, kind):
    backend = opened(kind)
    now = {"record": 100}
    backend.element_time = lambda: now["record"]
    state = backend.get_state(value(config(use_event_time=1)))
    state.update("x")
    backend.clock.advance(100 * TTL)  # the wall clock does not matter
    backend.event_time = 100 + TTL - 1
    assert state.value() == "x"
    now["record"] = 50  # a late record does not shorten a life
    state.update("y")
    assert state.value() == "y"
    backend.event_time = 100 + TTL
    assert state.value() is None


@pytest.mark.parametrize("kind", BACKENDS)
def test_a_record_sees_what_lives_at_its_own_time_but_only_the_watermark_removes(opened, kind):
    backend = opened(kind)
    now = {"record": 100}
    backend.element_time = lambda: now["record"]
    state = backend.get_state(value(config(use_event_time=1)))
    state.update("x")
    sweep = Sweep(backend)
    now["record"] = 100 + TTL  # the watermark is far behind
    sweep.step()
    assert sweep.removed == 0
    backend.event_time = 100 + TTL - 1
    sweep.step()
    assert sweep.removed == 0
    assert state.value() is None


@pytest.mark.parametrize("kind", BACKENDS)
def test_without_event_time_yet_nothing_expires(opened, kind):
    backend = opened(kind)
    backend.element_time = lambda: None
    state = backend.get_state(value(config(use_event_time=1)))
    state.update("x")
    backend.event_time = 10 * TTL
    assert state.value() == "x"
    sweep = Sweep(backend)
    sweep.step()
    backend.event_time += TTL - 1
    sweep.step()
    assert state.value() == "x"
    backend.event_time += 1
    assert state.value() is None


# ------------------------------------------------------------------------------------- sweeping


def everything(backend):
    """All raw cells in memory and entries in RocksDB, of live state."""
    cells = [
        cell
        for one in backend._cells.values()
        for space in one.spaces.values()
        for cell in space.values()
    ]
    db = getattr(backend, "local_db", lambda: None)()
    return cells, [] if db is None else [key for key, _ in db.scan(b"")]


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("form", ["value", "list", "map"])
def test_expired_state_disappears_without_being_looked_at(opened, store, kind, form):
    small = {"cache_bytes": 1} if kind == "rocksdb" else {}  # most of it lies on disk alone
    backend = opened(kind, **small)
    descriptor = {
        "value": ValueStateDescriptor,
        "list": ListStateDescriptor,
        "map": MapStateDescriptor,
    }[form]("s")
    descriptor.enable_time_to_live(config())
    state = backend.get_state(descriptor)

    def write(n):
        match form:
            case "value":
                state.update(n)
            case "list":
                state.add(n)
            case _:
                state.put_all({f"{n}-{i}": i for i in range(3)})

    sweep = Sweep(backend)
    for n in range(1_000):
        backend.current_key = n
        write(n)
        if n == 899:
            backend.clock.advance(TTL - 1)
    backend.snapshot(1, canonical=False).finish(store)
    while not sweep.step(100):
        pass
    assert sweep.removed == 0
    backend.clock.advance(1)
    backend.current_key = "before"
    steps = 1
    while not sweep.step(100):
        steps += 1
    assert steps >= 10  # never more than 100 in one
    assert backend.current_key == "before"
    assert sweep.removed == 900 * (3 if form == "map" else 1)
    backend.snapshot(2, canonical=False).finish(store)
    if kind == "rocksdb":
        backend._settle()
        assert len(everything(backend)[1]) == 100 * (3 if form == "map" else 1)
    else:
        assert len(everything(backend)[0]) == 100
    assert sorted(backend.keys("s")) == list(range(900, 1_000))


@pytest.mark.parametrize("kind", BACKENDS)
def test_what_was_written_again_while_a_sweep_goes_round_stays(opened, store, kind):
    backend = opened(kind)
    state = backend.get_state(value(config()))
    for backend.current_key in range(100):
        state.update(1)
    backend.snapshot(1, canonical=False).finish(store)
    backend.clock.advance(TTL)
    sweep = Sweep(backend)
    assert not sweep.step(10)
    for backend.current_key in range(100):
        state.update(2)
    while not sweep.step(10):
        pass
    assert sweep.removed == 10
    assert sum(1 for backend.current_key in range(100) if state.value() == 2) == 100


def test_a_sweep_that_is_not_wanted_removes_nothing(opened):
    backend = opened("hashmap")
    state = backend.get_state(value(config(disable_cleanup_in_background=1)))
    state.update(1)
    backend.clock.advance(TTL)
    sweep = Sweep(backend)
    assert sweep.step()
    assert len(everything(backend)[0]) == 1


def test_the_next_round_waits_for_the_soonest_end(opened):
    backend = opened("hashmap")
    state = backend.get_state(value(config(ttl=50_000)))
    state.update(1)
    backend.clock.advance(10_000)
    sweep = Sweep(backend)
    assert sweep.step()
    assert sweep.pause_ms() == 40_000


# ------------------------------------------------------------------------------------ snapshots


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("other", BACKENDS)
def test_lives_go_on_behind_a_savepoint(opened, make, store, kind, other):
    backend = opened(kind)
    backend.get_state(value(config())).update("x")
    backend.clock.advance(600)
    again = moved(backend, store, make, canonical=True, kind=other)
    state = again.get_state(value(config()))
    again.clock.advance(399)
    assert state.value() == "x"
    again.clock.advance(1)
    assert state.value() is None


@pytest.mark.parametrize("kind", BACKENDS)
def test_lives_go_on_when_key_groups_move(opened, make, store, kind):
    clock = VirtualClock(1_000_000)
    halves = [opened(kind, clock, start=0, end=63), opened(kind, clock, start=64, end=127)]
    from lesto.kernels.keygroups import key_group_for_hash
    from lesto.kernels.scalar import hash_value

    states = [half.get_state(value(config())) for half in halves]
    for key in range(100):
        half = key_group_for_hash(hash_value(key), 128) // 64
        halves[half].current_key = key
        states[half].update(key)
    handles = [half.snapshot(1, canonical=False).finish(store) for half in halves]
    thirds = []
    for start, end in ((0, 42), (43, 85), (86, 127)):
        third = opened(kind, clock, start=start, end=end)
        third.restore(handles, store)
        thirds.append(third)
    seen = 0
    for third in thirds:
        state = third.get_state(value(config()))
        for key in list(third.keys("v")):
            third.current_key = key
            assert state.value() == key
            seen += 1
    assert seen == 100
    clock.advance(TTL)
    for third in thirds:
        while not Sweep(third).step():
            pass
        assert list(third.keys("v")) == []


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("form", ["value", "list", "map"])
def test_turned_on_over_existing_state_it_begins_with_the_restore(opened, make, store, kind, form):
    make_one = {
        "value": ValueStateDescriptor,
        "list": ListStateDescriptor,
        "map": MapStateDescriptor,
    }[form]
    read = {"value": lambda s: s.value(), "list": list, "map": lambda s: dict(s.items())}[form]
    backend = opened(kind)
    plain = backend.get_state(make_one("s"))
    {"value": lambda: plain.update(7), "list": lambda: plain.add(7)}.get(
        form, lambda: plain.put(7, None)
    )()
    content = read(plain)
    backend.clock.advance(100 * TTL)
    again = moved(backend, store, make, kind=kind)
    descriptor = make_one("s")
    descriptor.enable_time_to_live(config())
    state = again.get_state(descriptor)
    again.clock.advance(TTL - 1)
    assert read(state) == content
    # and off again
    off = moved(again, store, make, kind=kind, number=2)
    assert read(off.get_state(make_one("s"))) == content
    again.clock.advance(1)
    assert not read(state)


@pytest.mark.parametrize("kind", BACKENDS)
def test_another_clock_stamps_anew(opened, make, store, kind):
    backend = opened(kind)
    backend.get_state(value(config())).update(1)
    backend.event_time = 5_000
    again = moved(backend, store, make, kind=kind)
    state = again.get_state(value(config(use_event_time=1)))
    again.event_time = 5_000 + TTL - 1
    assert state.value() == 1
    again.event_time += 1
    assert state.value() is None


def test_the_builder_has_pyflinks_names_and_defaults():
    built = StateTtlConfig.new_builder(Time.hours(1)).build()
    assert built.get_update_type() is StateTtlConfig.UpdateType.OnCreateAndWrite
    assert built.get_state_visibility() is StateTtlConfig.StateVisibility.NeverReturnExpired
    clock = StateTtlConfig.TtlTimeCharacteristic
    assert built.get_ttl_time_characteristic() is clock.ProcessingTime
    assert built.get_ttl() == Time.hours(1)
    strategies = built.get_cleanup_strategies()
    assert strategies.is_cleanup_in_background()
    assert not strategies.in_full_snapshot()
    assert strategies.get_incremental_cleanup_strategy().get_cleanup_size() == 5
    built = (
        StateTtlConfig.new_builder(Time.hours(1))
        .cleanup_incrementally(10, True)
        .cleanup_in_rocksdb_compact_filter(500)
        .cleanup_full_snapshot()
        .disable_cleanup_in_background()
        .set_ttl(Time.days(1))
        .set_ttl_time_characteristic(clock.EventTime)
        .build()
    )
    strategies = built.get_cleanup_strategies()
    assert strategies.get_incremental_cleanup_strategy().run_cleanup_for_every_record()
    filtered = strategies.get_rocksdb_compact_filter_cleanup_strategy()
    assert filtered.get_query_time_after_num_entries() == 500
    assert (strategies.in_full_snapshot(), strategies.sweeps) == (True, True)
    assert built.get_ttl() == Time.days(1)
    assert built.domain == "event"
    with pytest.raises(ValueError, match="not longer than zero"):
        StateTtlConfig.new_builder(0).build()
