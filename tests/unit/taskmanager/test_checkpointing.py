"""A task's snapshots: acknowledged only when durable, in order, and not at all when given up."""

from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from lesto.common.clock import VirtualClock
from lesto.common.elements import Barrier
from lesto.proto import checkpoint_pb2, runtime_pb2
from lesto.taskmanager.operators.base import OperatorSnapshot
from lesto.taskmanager.runtime.checkpointing import TaskSnapshots


class Pending:
    """A keyed snapshot whose upload the test lets succeed or fail."""

    def __init__(self, log, error=None):
        self.log, self.error = log, error

    def finish(self, store):
        self.log.append("upload")
        if self.error is not None:
            raise self.error
        return checkpoint_pb2.KeyedStateHandle(format="canonical")

    def discard(self):
        self.log.append("discard")


class Operator:
    """A chained operator with one keyed snapshot and one list item."""

    def __init__(self, log, error=None):
        self.log, self.error = log, error
        self.node = SimpleNamespace(uid="op")
        self.context = SimpleNamespace(backup=None)

    def call(self, method, *args):
        self.log.append(method)

    def snapshot(self, checkpoint_id, canonical):
        self.log.append("snapshot")
        return OperatorSnapshot(keyed=Pending(self.log, self.error), lists={"items": [b"x"]})


class Io:
    """An executor whose work runs when the test says so."""

    def __init__(self):
        self.work = []

    def submit(self, function, *args):
        future = Future()
        self.work.append(lambda: future.set_result(function(*args)))
        return future

    def run(self):
        while self.work:
            self.work.pop(0)()


@pytest.fixture
def rig(tmp_path):
    log, sent, mails, io = [], [], [], Io()
    mailbox = SimpleNamespace(post=mails.append, wake=lambda: log.append("wake"))
    environment = SimpleNamespace(io=io, send=sent.append, mailbox=mailbox, clock=VirtualClock())
    deployment = runtime_pb2.TaskDeployment(checkpoint_root=str(tmp_path))
    deployment.task.epoch = 1

    def make(error=None):
        return TaskSnapshots(environment, deployment, [Operator(log, error)])

    def deliver():
        io.run()
        while mails:
            mails.pop(0)()

    return SimpleNamespace(log=log, sent=sent, make=make, deliver=deliver, io=io, mails=mails)


def take(snapshots, rig, checkpoint_id=1):
    snapshots.take(
        Barrier(checkpoint_id, 0),
        lambda: rig.log.append("barrier"),
        alignment_us=0,
        start_delay_us=0,
    )


def test_the_acknowledgement_follows_the_upload(rig):
    snapshots = rig.make()
    take(snapshots, rig)
    assert rig.log == ["prepare_snapshot", "barrier", "snapshot"]
    assert rig.sent == []
    rig.deliver()
    (event,) = rig.sent
    assert event.ack.checkpoint_id == 1
    assert event.ack.operators[0].state.lists[0].items == [b"x"]
    assert rig.log[-2:] == ["upload", "wake"]


def test_a_failed_upload_is_declined_with_its_reason_and_never_acknowledged(rig):
    snapshots = rig.make(OSError("disk full"))
    take(snapshots, rig)
    rig.deliver()
    (event,) = rig.sent
    assert event.WhichOneof("event") == "decline"
    assert "disk full" in event.decline.reason
    assert rig.log[-2:] == ["discard", "wake"]
    assert not snapshots.running


def test_an_aborted_checkpoint_is_neither_uploaded_nor_acknowledged(rig):
    snapshots = rig.make()
    take(snapshots, rig)
    snapshots.abort(1)
    rig.deliver()
    assert rig.sent == []
    assert rig.log[-2:] == ["discard", "wake"]


def test_the_acknowledgement_does_not_wait_for_the_mailbox_thread(rig):
    """A step of a slow task would be added to every checkpoint."""
    snapshots = rig.make()
    take(snapshots, rig)
    rig.io.run()
    assert [event.ack.checkpoint_id for event in rig.sent] == [1]
    assert not snapshots.running
    assert rig.mails == []


def test_state_is_closed_on_the_mailbox_thread_once_nothing_is_uploaded(rig):
    snapshots = rig.make()
    take(snapshots, rig)
    snapshots.close(lambda: rig.log.append("closed"))
    rig.io.run()
    assert "closed" not in rig.log
    rig.deliver()
    assert rig.log[-1] == "closed"
    assert rig.sent == []
