"""The slot's looks for cycles: what ended tasks held goes, what stays is not looked at again."""

import gc
import weakref

import pytest

from lesto.taskmanager.runtime.garbage import FREEZES_MAX, CycleCollector


class Node:
    def __init__(self):
        self.me = self


@pytest.fixture
def collector():
    was = gc.isenabled()
    gc.disable()
    yield CycleCollector()
    gc.unfreeze()
    if was:
        gc.enable()


def test_the_first_look_only_freezes(collector):
    node = weakref.ref(Node())
    collector.look(idle=True)
    assert node() is not None
    assert gc.get_freeze_count() > 1000


@pytest.mark.parametrize("idle", [True, False])
def test_later_looks_free_the_cycles_of_ended_tasks(collector, idle):
    collector.look(idle=True)
    frozen = gc.get_freeze_count()
    node = weakref.ref(Node())
    kept = [[] for _ in range(1000)]
    collector.look(idle=idle)
    assert node() is None
    assert (gc.get_freeze_count() >= frozen + len(kept)) == idle


def test_cycles_that_died_frozen_are_freed_in_the_end(collector):
    collector.look(idle=True)
    node = Node()
    seen = weakref.ref(node)
    collector.look(idle=True)
    del node
    collector.look(idle=True)
    assert seen() is not None
    for _ in range(FREEZES_MAX):
        collector.look(idle=True)
    assert seen() is None
