"""A slot's tasks in one process: what is left of them after many attempts."""

import gc
import weakref
from types import SimpleNamespace

import cloudpickle
import pytest

from lesto.common.clock import VirtualClock
from lesto.common.config import Configuration
from lesto.proto import job_pb2, runtime_pb2
from lesto.taskmanager.operators.base import Operator, SimpleFactory
from lesto.taskmanager.operators.source_api import IDLE
from lesto.taskmanager.runtime.environment import SlotEnvironment
from lesto.taskmanager.runtime.garbage import LOOK_DELAY_MS
from lesto.taskmanager.runtime.mailbox import Mailbox
from lesto.taskmanager.runtime.slot import Slot

ALIVE = weakref.WeakSet()


class Fails(Operator):
    """A source that fails when it is polled."""

    def __init__(self):
        ALIVE.add(self)

    def process_batch(self, batch, input_index=0):
        raise AssertionError

    def poll(self):
        msg = "no"
        raise ValueError(msg)

    def add_splits(self, splits):
        pass

    def no_more_splits(self):
        pass

    def drain(self):
        pass

    def stop(self):
        pass


class Waits(Fails):
    """A source that has nothing to say."""

    def poll(self):
        return IDLE


def deployment(operator, attempt, subtask=0, epoch=1):
    vertex = job_pb2.JobVertex(id="v", name="v", parallelism=1, max_parallelism=128)
    vertex.operators.add(
        uid="op", name="op", factory_pickle=cloudpickle.dumps(SimpleFactory(operator, ()))
    )
    task = runtime_pb2.TaskRef(
        job_id="j" * 32, epoch=epoch, vertex_id="v", subtask=subtask, attempt=attempt
    )
    return runtime_pb2.TaskDeployment(task=task, vertex=vertex, data_token="t")


@pytest.fixture
def slot():
    sent = []
    mailbox = Mailbox(VirtualClock())
    environment = SlotEnvironment(
        slot_id="s", mailbox=mailbox, io=None, exchange=None, send=sent.append,
        clock=mailbox.clock, local_dir="",
    )  # fmt: skip
    slot = Slot(environment, Configuration.from_dict({}), lambda: None)

    def deploy(operator, attempt, **other):
        tasks = [deployment(operator, attempt, **other)]
        slot.handle(runtime_pb2.TaskCommand(deploy=runtime_pb2.DeployTasks(tasks=tasks)))

    def cancel():
        slot.handle(runtime_pb2.TaskCommand(cancel=runtime_pb2.CancelTasks()))

    yield SimpleNamespace(deploy=deploy, cancel=cancel, mailbox=mailbox, sent=sent)
    slot.cancel_all()


@pytest.fixture
def rare_gc():
    """As in a slot process: the interpreter practically never looks for cycles by itself."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("operator", [Fails, Waits])
def test_nothing_is_left_of_earlier_attempts_when_the_next_comes_before_they_are_released(
    slot, operator, rare_gc
):
    ALIVE.clear()
    for attempt in range(1, 6):
        slot.deploy(operator, attempt)
        slot.mailbox.run_once()
    slot.mailbox.run_once()
    states = [e.state.state for e in slot.sent if e.WhichOneof("event") == "state"]
    assert states.count(runtime_pb2.TASK_STATE_RUNNING) == 5
    assert len(ALIVE) == 1


def test_a_cancelled_job_leaves_nothing_although_the_cycle_collector_hardly_looks(slot, rare_gc):
    ALIVE.clear()
    slot.deploy(Waits, 1)
    slot.mailbox.run_once()
    assert len(ALIVE) == 1
    slot.cancel()
    slot.mailbox.run_once()
    slot.mailbox.clock.advance(LOOK_DELAY_MS)
    slot.mailbox.run_once()
    assert not ALIVE


def test_tasks_of_other_regions_stay_when_one_starts_again(slot):
    ALIVE.clear()
    slot.deploy(Waits, 1)
    slot.deploy(Waits, 2, subtask=1)  # its region has restarted alone
    slot.mailbox.run_once()
    assert len(ALIVE) == 2
    slot.deploy(Waits, 3, epoch=2)  # another JobManager: nothing of the one before may stay
    slot.mailbox.run_once()
    gc.collect()
    assert len(ALIVE) == 1
