"""What snapshots contain, and who can restore them."""

import threading

import pytest
from backend_contents import KINDS, VALUE, content, fill

from lesto.kernels import keygroups
from lesto.kernels.hashing import hash_values
from lesto.state.descriptors import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from lesto.state.errors import (
    NoCurrentKeyError,
    StateMismatchError,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("canonical", [False, True])
def test_changes_after_the_barrier_are_not_in_the_snapshot(make, store, kind, canonical):
    backend = make(kind)
    fill(backend, 100)
    mutable = backend.get_state(ListStateDescriptor("l"))
    table = backend.get_state(MapStateDescriptor("m"))
    mutable.add("before")
    table.put("a", ["before"])
    timers = backend.timers("event")
    timers.register(5, "key1")
    pending = backend.snapshot(1, canonical=canonical)
    fill(backend, 200, "later")
    backend.current_key = "key99"
    mutable.add("after")
    table.get("a").append("after")
    table.put("b", 1)
    list(timers.pop_until(10))
    timers.register(7, "key2")
    later = backend.snapshot(2, canonical=canonical)
    last = later.finish(store)  # the later one gets to its thread first
    first = pending.finish(store)

    restored = make(kind)
    restored.restore([first], store)
    assert content(restored) == {f"key{i}": (i, "x") for i in range(100)}
    restored.current_key = "key99"
    assert list(restored.get_state(ListStateDescriptor("l")).get()) == ["before"]
    assert restored.get_state(MapStateDescriptor("m")).items() == [("a", ["before"])]
    assert restored.timers("event").live() == [(5, "key1", None)]
    second = make(kind)
    second.restore([last], store)
    assert len(content(second)) == 200
    assert second.timers("event").live() == [(7, "key2", None)]


@pytest.mark.parametrize("wrote", KINDS)
@pytest.mark.parametrize("reads", KINDS)
@pytest.mark.parametrize("canonical", [False, True])
def test_two_subtasks_become_three_and_one(make, store, wrote, reads, canonical):
    halves = [make(wrote, *keygroups.key_group_range(128, 2, i)) for i in range(2)]
    groups = keygroups.key_groups(hash_values([f"key{i}" for i in range(500)]), 128)
    # The second subtask meets its states in another order: numbers differ between the two.
    halves[1].get_state(MapStateDescriptor("m"))
    halves[1].timers("event")
    for i, group in enumerate(groups):
        backend = halves[int(group) * 2 // 128]
        backend.current_key = f"key{i}"
        backend.get_state(VALUE).update(i)
        backend.get_state(MapStateDescriptor("m")).put("k", i)
        backend.timers("event").register(i, f"key{i}")
    handles = [half.snapshot(1, canonical=canonical).finish(store) for half in halves]

    for parallelism in (3, 1):
        seen, timers = {}, []
        parts = []
        for index in range(parallelism):
            start, end = keygroups.key_group_range(128, parallelism, index)
            part = make(reads, start, end)
            part.restore(handles, store)
            mine = content(part)
            assert not set(mine) & set(seen)
            for key in mine:
                assert start <= int(groups[int(key[3:])]) <= end
                part.current_key = key
                assert part.get_state(MapStateDescriptor("m")).items() == [("k", mine[key])]
            seen.update(mine)
            timers += part.timers("event").live()
            parts.append(part)
        assert seen == {f"key{i}": i for i in range(500)}
        assert sorted(timers) == sorted((i, f"key{i}", None) for i in range(500))
        handles = [part.snapshot(2, canonical=canonical).finish(store) for part in parts]


@pytest.mark.parametrize("kind", KINDS)
def test_state_nobody_asked_for_survives_a_restore(make, store, kind):
    backend = make(kind)
    fill(backend, 50)
    backend.timers("event").register(3, "key1")
    first = backend.snapshot(1, canonical=True).finish(store)
    middle = make(kind)
    middle.restore([first], store)
    middle.current_key = "a"
    middle.get_state(ValueStateDescriptor("other")).update(1)
    second = middle.snapshot(2, canonical=True).finish(store)
    last = make(kind)
    last.restore([second], store)
    assert len(content(last)) == 50
    assert last.timers("event").live() == [(3, "key1", None)]


@pytest.mark.parametrize("kind", KINDS)
def test_another_kind_under_a_stored_name_is_refused(make, store, kind):
    backend = make(kind)
    fill(backend, 3)
    handle = backend.snapshot(1, canonical=False).finish(store)
    restored = make(kind)
    restored.restore([handle], store)
    with pytest.raises(StateMismatchError, match="'v' is of kind value, not list"):
        restored.get_state(ListStateDescriptor("v"))
    with pytest.raises(StateMismatchError, match="not map"):
        backend.get_state(MapStateDescriptor("v"))


def test_snapshots_finish_on_another_thread_while_state_changes(make, store):
    """Reads and writes go on between barrier and upload; each snapshot is its own moment."""
    backend = make("rocksdb", cache_bytes=200_000)
    handles, errors, threads = {}, [], []

    def finish(n, pending):
        try:
            handles[n] = pending.finish(store)
        except BaseException as error:
            errors.append(error)

    state = backend.get_state(VALUE)
    for n in range(1, 9):
        for i in range(3000):
            backend.current_key = f"key{i}"
            before = state.value()
            assert before == (None if n == 1 else (n - 1, i))
            state.update((n, i))
        thread = threading.Thread(target=finish, args=(n, backend.snapshot(n, canonical=n == 4)))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    assert not errors
    for n in (1, 4, 5, 8):
        restored = make("rocksdb")
        restored.restore([handles[n]], store)
        assert content(restored) == {f"key{i}": (n, i) for i in range(3000)}


def test_more_state_than_the_cache_holds(make, store):
    backend = make("rocksdb", cache_bytes=100_000)
    fill(backend, 20_000)
    assert backend._count() < 1000
    assert len(content(backend)) == 20_000
    backend.prefetch([f"key{i}" for i in range(50)])
    state = backend.get_state(VALUE)
    for i in range(0, 20_000, 7):
        backend.current_key = f"key{i}"
        assert state.value() == (i, "x")


def test_a_value_changed_in_place_without_update_may_be_lost_but_nothing_else(make, store):
    backend = make("rocksdb")
    backend.current_key = "a"
    state = backend.get_state(VALUE)
    state.update([1])
    backend.snapshot(1, canonical=False).finish(store)
    state.value().append(2)
    handle = backend.snapshot(2, canonical=False).finish(store)
    restored = make("rocksdb")
    restored.restore([handle], store)
    assert content(restored) == {"a": [1]}


@pytest.mark.parametrize("kind", KINDS)
def test_state_without_a_current_key_is_a_named_error(make, kind):
    backend = make(kind)
    for descriptor in (VALUE, MapStateDescriptor("m"), ListStateDescriptor("l")):
        state = backend.get_state(descriptor)
        read = {"map": "is_empty", "value": "value", "list": "get"}[descriptor.kind]
        with pytest.raises(NoCurrentKeyError, match="no current key"):
            getattr(state, read)()


def test_names_of_errors_for_wrong_descriptors():
    with pytest.raises(TypeError, match="expected a StateTtlConfig, not None"):
        VALUE.enable_time_to_live(None)
    with pytest.raises(TypeError, match="ReduceFunction"):
        ReducingStateDescriptor("r", 5)
    with pytest.raises(ValueError, match="non-empty"):
        ValueStateDescriptor("")


def test_state_deleted_after_scaling_out_stays_deleted_when_scaled_in(make, store):
    """Entries of key groups that went to another subtask must not come back with the files."""
    whole = make("rocksdb")
    fill(whole, 200)
    handle = whole.snapshot(1, canonical=False).finish(store)
    handles = []
    for index in range(2):
        half = make("rocksdb", *keygroups.key_group_range(128, 2, index))
        half.restore([handle], store)
        state = half.get_state(VALUE)
        for key in list(half.keys("v")):
            half.current_key = key
            state.clear()
        handles.append(half.snapshot(2, canonical=False).finish(store))
    again = make("rocksdb")
    again.restore(handles, store)
    assert content(again) == {}


@pytest.mark.parametrize("kind", ["value", "map"])
def test_a_key_deleted_set_and_deleted_again_between_snapshots(make, store, kind):
    """The first deletion is in RocksDB, the second is not: only the first is forgotten."""
    backend = make("rocksdb")
    backend.current_key = "a"
    value = backend.get_state(VALUE)
    entries = backend.get_state(MapStateDescriptor("m"))

    def write(present):
        if kind == "value":
            value.update(1 if present else None)
        elif present:
            entries.put("x", 1)
        else:
            entries.remove("x")

    write(True)
    backend.snapshot(1, canonical=False).finish(store)
    write(False)
    deleting = backend.snapshot(2, canonical=False)
    write(True)
    write(False)
    deleting.finish(store)
    write(True)
    pending = backend.snapshot(3, canonical=False)
    write(False)
    backend.snapshot(4, canonical=False).discard()
    pending.finish(store)
    handle = backend.snapshot(5, canonical=False).finish(store)
    assert value.value() is None
    assert entries.is_empty()
    restored = make("rocksdb")
    restored.restore([handle], store)
    assert content(restored) == {}
    restored.current_key = "a"
    assert restored.get_state(MapStateDescriptor("m")).is_empty()


@pytest.mark.parametrize("kind", ["value", "map"])
def test_a_deletion_renewed_before_the_first_is_settled_is_captured(make, store, kind):
    backend = make("rocksdb")
    backend.current_key = "a"
    value = backend.get_state(VALUE)
    entries = backend.get_state(MapStateDescriptor("m"))
    write = (lambda: value.update(1)) if kind == "value" else (lambda: entries.put("x", 1))
    clear = value.clear if kind == "value" else entries.clear
    write()
    backend.current_key = "b"  # keeps the namespace from being empty
    write()
    backend.current_key = "a"
    backend.snapshot(1, canonical=False).finish(store)
    clear()
    deleting = backend.snapshot(2, canonical=False)
    write()
    clear()
    deleting.finish(store)
    handle = backend.snapshot(3, canonical=False).finish(store)
    restored = make("rocksdb")
    restored.restore([handle], store)
    assert content(restored) == ({"b": 1} if kind == "value" else {})
    restored.current_key = "a"
    assert restored.get_state(MapStateDescriptor("m")).is_empty()
