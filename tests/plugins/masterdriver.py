"""Drives a job master by hand."""

from jobgraphs import pipeline

from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core.checkpoint_coordinator import CheckpointSettings
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.job_master import JobMaster, JobSettings
from lesto.jobmanager.core.restart_strategy import FixedDelay
from lesto.jobmanager.core.slots import Slot
from lesto.jobmanager.core.states import TaskState
from lesto.proto import runtime_pb2


class Driver:
    """Drives a job master by hand; validates it after each event."""

    def __init__(self, graph=None, *, attempts=3, **checkpoints):
        settings = JobSettings(
            FixedDelay(attempts, 1_000),
            CheckpointSettings(**{"interval_ms": None, **checkpoints}),
            cancel_timeout_ms=2_000,
        )
        self.ms = 0
        self.master = JobMaster(
            graph or pipeline(1),
            epoch=1,
            settings=settings,
            checkpoint_root="/ck",
            data_token="t",
            version="0",
            jitter=lambda: 0.0,
            now=Moment(0, 0),
        )

    def tell(self, event):
        out = self.master.handle(event, Moment(self.ms, self.ms))
        self.master.validate()
        return out

    def tick(self, ms):
        self.ms = ms
        return self.tell(ev.Tick())

    def slots(self, *ids):
        return self.tell(ev.SlotsAllocated(tuple(Slot(i, "tm", f"grpc://{i}") for i in ids)))

    def task(self, name, slot="s0", index=0, **event):
        ref = runtime_pb2.TaskRef()
        subtask = self.master.execution.subtasks[f"v-{name}", index]
        ref.CopyFrom(self.master.execution.task_ref(subtask))
        made = runtime_pb2.TaskEvent()
        for kind, fields in event.items():
            message = getattr(made, kind)
            message.task.CopyFrom(ref)
            message.MergeFrom(type(message)(**fields))
        return self.tell(ev.TaskReported(slot, made))

    def ack(self, name, checkpoint_id):
        parts = [runtime_pb2.OperatorAck(uid=name)]
        return self.task(name, ack={"checkpoint_id": checkpoint_id, "operators": parts})

    def state(self, name, state, slot="s0"):
        return self.task(name, slot, state={"state": int(state)})

    def running(self, slot="s0"):
        self.tell(ev.JobStarted())
        self.slots(slot)
        return self.tasks_running(slot)

    def tasks_running(self, slot="s0"):
        out = []
        for name in ("numbers", "total"):
            out += self.state(name, TaskState.INITIALIZING, slot)
            out += self.state(name, TaskState.RUNNING, slot)
        return out

    def fail(self, name, message="boom", *, retryable=True, code=""):
        failure = {"message": message, "retryable": retryable, "code": code}
        return self.task(name, failure=failure)
