"""Timers fire once, in order, and their changes since the last snapshot are exact."""

from hypothesis import given
from hypothesis import strategies as st

from lesto.state.timer_queue import HeapTimerQueue, decode_timer, encode_timer

timers = st.tuples(st.integers(-5, 20), st.sampled_from("abc"), st.sampled_from([None, (0, 10)]))


def test_a_timer_is_registered_once():
    queue = HeapTimerQueue()
    assert queue.register(5, "a")
    assert not queue.register(5, "a")
    assert queue.register(5, "a", namespace=1)
    assert len(queue) == 2


def test_a_deleted_timer_does_not_fire_and_can_be_registered_again():
    queue = HeapTimerQueue()
    queue.register(5, "a")
    assert queue.delete(5, "a")
    assert not queue.delete(5, "a")
    assert queue.peek() is None
    queue.register(5, "a")
    assert list(queue.pop_until(9)) == [(5, "a", None)]
    assert list(queue.pop_until(9)) == []


def test_timers_registered_while_firing_fire_when_due():
    queue = HeapTimerQueue()
    queue.register(1, "a")
    fired = []
    for at, key, _ in queue.pop_until(10):
        fired.append(at)
        if at < 20:
            queue.register(at + 4, key)
    assert fired == [1, 5, 9]
    assert queue.peek() == 13


def test_many_deletions_do_not_keep_memory():
    queue = HeapTimerQueue()
    for i in range(10_000):
        queue.register(i, "a")
        queue.delete(i, "a")
    assert len(queue) == 0
    assert len(queue._heap) < 200


def test_a_timer_deleted_while_firing_does_not_fire():
    queue = HeapTimerQueue()
    for i in range(200):
        queue.register(i, i)
    fired = []
    for at, _, _ in queue.pop_until(1000):
        fired.append(at)
        for other in range(10, 200):
            queue.delete(other, other)
    assert fired == list(range(10))


def test_an_earlier_timer_registered_while_firing_fires_next():
    queue = HeapTimerQueue()
    for key in "abc":
        queue.register(5, key)
    queue.register(7, "a")
    fired = []
    for at, key, _ in queue.pop_until(9):
        fired.append((at, key))
        if (at, key) == (5, "a"):
            queue.register(3, "z")
            queue.register(5, "d")
            queue.delete(5, "b")
    assert fired == [(5, "a"), (3, "z"), (5, "c"), (5, "d"), (7, "a")]
    assert len(queue) == 0
    assert not queue._buckets


def test_who_stops_firing_loses_no_timer():
    queue = HeapTimerQueue(track_changes=True)
    for key in "abc":
        queue.register(5, key)
    assert next(queue.pop_until(9)) == (5, "a", None)
    assert queue.peek() == 5
    assert queue.take_changes() == ([(5, "b", None), (5, "c", None)], [])
    assert [key for _, key, _ in queue.pop_until(9)] == ["b", "c"]
    assert queue.take_changes() == ([], [(5, "b", None), (5, "c", None)])
    assert not queue._buckets


@given(timers)
def test_bytes_of_a_timer_are_exact(timer):
    assert decode_timer(encode_timer(timer)) == timer


@given(st.lists(timers, min_size=2))
def test_bytes_sort_by_time(several):
    ordered = sorted(several, key=encode_timer)
    assert [t[0] for t in ordered] == sorted(t[0] for t in several)


@given(st.lists(st.tuples(st.sampled_from(["add", "delete", "pop", "take"]), timers), max_size=60))
def test_changes_bring_the_stored_timers_up_to_date(steps):
    queue = HeapTimerQueue(track_changes=True)
    model, stored = set(), set()
    for what, timer in [*steps, ("take", (0, "", None))]:
        if what == "add":
            assert queue.register(*timer) == (timer not in model)
            model.add(timer)
        elif what == "delete":
            assert queue.delete(*timer) == (timer in model)
            model.discard(timer)
        elif what == "pop":
            due = [t[0] for t in queue.pop_until(timer[0])]
            assert due == sorted(t[0] for t in model if t[0] <= timer[0])
            model = {t for t in model if t[0] > timer[0]}
        else:
            added, deleted = queue.take_changes()
            assert not set(added) & stored
            assert set(deleted) <= stored
            stored = (stored - set(deleted)) | set(added)
            assert stored == model == set(queue.live())
    assert queue.peek() == min((t[0] for t in model), default=None)


def test_a_timer_is_forgotten_by_the_bytes_it_was_stored_with():
    """1, 1.0 and True are one key, with bytes of their own each."""
    queue = HeapTimerQueue(track_changes=True)
    queue.register(5, 1)
    assert queue.take_changes() == ([(5, 1, None)], [])
    assert queue.delete(5, 1.0)
    assert queue.register(5, True)  # the stored one lives on
    assert queue.take_changes() == ([], [])
    assert queue.delete(5, 1.0)
    ((deleted,),) = queue.take_changes()[1:]
    assert encode_timer(deleted) == encode_timer((5, 1, None))
