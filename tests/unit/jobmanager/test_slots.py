import pytest
from jobgraphs import edge, job, vertex

from lesto.jobmanager.core.slots import Allocated, Slot, SlotPool, assign_slots, slots_required


def slot(number, manager="tm-1"):
    return Slot(f"s{number}", manager, f"grpc://127.0.0.1:{number}")


@pytest.fixture
def pool():
    made = SlotPool()
    yield made
    made.validate()


def test_a_request_is_served_whole_or_not_at_all(pool):
    assert pool.offer(slot(1)) == []
    assert pool.request("job", 2, now_ms=0, timeout_ms=100) == []
    assert pool.available == 1
    assert pool.offer(slot(2)) == [Allocated("job", (slot(1), slot(2)))]
    assert pool.available == 0


def test_a_request_that_waits_too_long_is_refused_with_numbers(pool):
    pool.offer(slot(1))
    pool.request("job", 3, now_ms=0, timeout_ms=100)
    assert pool.next_deadline_ms() == 100
    assert pool.tick(99) == []
    (refused,) = pool.tick(100)
    assert refused.job_id == "job"
    assert "needs 3 more slots, but of 1 slots on 1 TaskManagers 1 are free" in str(refused.error)
    assert "in 0.1 s" in str(refused.error)
    assert pool.next_deadline_ms() is None


def test_a_narrow_job_overtakes_one_that_does_not_fit(pool):
    pool.offer(slot(1))
    pool.request("wide", 2, 0, 100)
    assert pool.request("narrow", 1, 1, 100) == [Allocated("narrow", (slot(1),))]
    assert pool.release("narrow") == []
    assert pool.offer(slot(2)) == [Allocated("wide", (slot(1), slot(2)))]


def test_a_lost_slot_names_its_owner_and_is_gone(pool):
    pool.offer(slot(1))
    pool.request("job", 1, 0, 100)
    assert pool.lost("s1") == "job"
    assert pool.lost("s1") is None
    assert pool.total == 0


def test_slots_are_spread_over_taskmanagers(pool):
    for number, manager in ((1, "a"), (2, "a"), (3, "b"), (4, "b")):
        pool.offer(slot(number, manager))
    (allocated,) = pool.request("job", 2, 0, 100)
    assert {s.taskmanager_id for s in allocated.slots} == {"a", "b"}


def test_a_job_needs_the_widest_vertex_of_each_group():
    graph = job(
        [vertex("a", 2, source=b"x"), vertex("b", 3), vertex("c", 1, group="other")],
        [edge("a", "b"), edge("b", "c")],
    )
    assert slots_required(graph) == 4


def test_who_has_a_slot_that_is_still_there_keeps_it():
    graph = job([vertex("a", 3, source=b"x")], [])
    first = assign_slots(graph, [slot(1), slot(2), slot(3)], {})
    previous = {place: s.slot_id for place, s in first.items()}
    again = assign_slots(graph, [slot(9), slot(3), slot(1)], previous)
    assert again["default", 0] == slot(1)
    assert again["default", 1] == slot(9)
    assert again["default", 2] == slot(3)


def test_who_lost_its_slot_gets_another_on_the_same_taskmanager():
    """Copies of its checkpoint are on that machine."""
    graph = job([vertex("a", 3, source=b"x")], [])
    before = {("default", i): f"s{i}" for i in range(3)}
    homes = {("default", 0): "a", ("default", 1): "b", ("default", 2): "b"}
    slots = [slot(8, "c"), slot(9, "b"), slot(2, "b")]  # a and one slot of b are gone
    assigned = assign_slots(graph, slots, before, homes)
    assert [assigned["default", i].slot_id for i in range(3)] == ["s8", "s9", "s2"]
