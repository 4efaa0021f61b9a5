"""A TaskManager's way to the JobManager that leads, and what it does without one."""

import asyncio
import contextlib

import grpc
import pytest

from lesto.common.config import Configuration
from lesto.common.rpc import LEADER
from lesto.proto import job_pb2, runtime_pb2, runtime_pb2_grpc
from lesto.taskmanager.runtime.jobmanager_link import JobManagerLink
from lesto.taskmanager.runtime.supervisor import TaskManager
from lesto.taskmanager.runtime.task_ledger import TaskLedger


class Member(runtime_pb2_grpc.TaskManagerGatewayServicer):
    """A JobManager that leads in a term, or names who does."""

    def __init__(self):
        self.term, self.leader, self.asked = 0, None, 0
        self.hang_up = asyncio.Event()

    async def __aenter__(self):
        self.server = grpc.aio.server()
        runtime_pb2_grpc.add_TaskManagerGatewayServicer_to_server(self, self.server)
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        await self.server.start()
        return self

    async def __aexit__(self, *_):
        await self.server.stop(0)

    async def Connect(self, requests, context):
        assert (await anext(requests)).WhichOneof("message") == "register"
        self.asked += 1
        if self.leader is not None:
            trailing = ((LEADER, self.leader.encode()),)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "a standby", trailing)
        registered = runtime_pb2.Registered(jobmanager_id=self.address, leader_epoch=self.term)
        yield runtime_pb2.ToTaskManager(registered=registered)
        yield runtime_pb2.ToTaskManager(
            kill_slot=runtime_pb2.KillSlot(slot_id=str(self.term), reason="heard")
        )
        await self.hang_up.wait()
        self.hang_up.clear()


@contextlib.asynccontextmanager
async def linked(*members):
    """(slot ids of orders, reasons of losses) that the link has heard."""
    orders, losses = [], []
    link = JobManagerLink(
        ",".join(member.address for member in members),
        Configuration(),
        register=runtime_pb2.RegisterTaskManager,
        on_message=lambda message: orders.append(message.kill_slot.slot_id),
        on_lost=losses.append,
    )
    task = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(30):
            yield orders, losses
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition):
    while not condition():  # noqa: ASYNC110 - polls what the link has heard
        await asyncio.sleep(0.005)


def test_a_leader_of_an_earlier_term_is_not_obeyed():
    async def scenario():
        async with Member() as member:
            member.term = 2
            async with linked(member) as (orders, losses):
                await until(lambda: orders == ["2"])
                member.term, asked = 1, member.asked
                member.hang_up.set()
                await until(lambda: member.asked >= asked + 2)
                assert (orders, len(losses)) == (["2"], 1)
                member.term = 3
                member.hang_up.set()
                await until(lambda: orders == ["2", "3"])

    asyncio.run(scenario())


def test_a_standby_leads_to_the_leader():
    async def scenario():
        async with Member() as standby, Member() as leader:
            standby.leader, leader.term = leader.address, 1
            async with linked(standby) as (orders, _):
                await until(lambda: orders == ["1"])
                # The roles change.
                leader.leader, standby.leader, standby.term = standby.address, None, 2
                leader.hang_up.set()
                await until(lambda: orders == ["1", "2"])

    asyncio.run(scenario())


def deploy(*refs):
    tasks = [
        runtime_pb2.TaskDeployment(task=_ref(*ref), vertex=job_pb2.JobVertex(id=ref[2]))
        for ref in refs
    ]
    return runtime_pb2.TaskCommand(deploy=runtime_pb2.DeployTasks(tasks=tasks))


def _ref(job, epoch, vertex, subtask, attempt):
    return runtime_pb2.TaskRef(
        job_id=job, epoch=epoch, vertex_id=vertex, subtask=subtask, attempt=attempt
    )


@pytest.mark.parametrize(
    "end",
    [
        runtime_pb2.TaskEvent(
            state=runtime_pb2.TaskStateChanged(
                task=_ref("j", 1, "v", 0, 1), state=runtime_pb2.TASK_STATE_CANCELED
            )
        ),
        runtime_pb2.TaskEvent(failure=runtime_pb2.TaskFailure(task=_ref("j", 1, "v", 0, 1))),
    ],
    ids=["canceled", "failed"],
)
def test_the_supervisor_knows_which_tasks_have_not_ended(end):
    ledger = TaskLedger()
    ledger.deployed("s", deploy(("j", 1, "v", 0, 1), ("j", 1, "w", 0, 1)))
    ledger.heard("s", end)
    assert ledger.running() == {"s": {("j", 1, "w", 0, 1)}}
    ledger.deployed("s", deploy(("j", 1, "w", 0, 2), ("k", 1, "v", 0, 1)))
    assert ledger.running() == {"s": {("j", 1, "w", 0, 2), ("k", 1, "v", 0, 1)}}
    ledger.deployed("s", deploy(("j", 2, "v", 0, 1)))
    assert ledger.running() == {"s": {("j", 2, "v", 0, 1), ("k", 1, "v", 0, 1)}}
    ledger.slot_gone("s")
    assert not ledger.running()


def test_tasks_that_do_not_end_with_their_leader_are_killed_with_their_slot():
    async def scenario():
        config = Configuration.from_dict({"task.cancellation.timeout": "50 ms"})
        taskmanager = TaskManager(config, jobmanager_address="127.0.0.1:1", slots=2)
        slots = {name: _Slot(name) for name in ("stuck", "obedient", "idle")}
        taskmanager._slots.update(slots)
        for name in ("stuck", "obedient"):
            command = runtime_pb2.SlotCommand(slot_id=name, command=deploy(("j", 1, name, 0, 1)))
            taskmanager._on_command(runtime_pb2.ToTaskManager(command=command))
        taskmanager._on_jobmanager_lost("gone")
        last = [slot.sent[-1].command for slot in slots.values()]
        assert all(c.WhichOneof("command") == "cancel" and not c.cancel.tasks for c in last)
        ended = runtime_pb2.TaskStateChanged(
            task=_ref("j", 1, "obedient", 0, 1), state=runtime_pb2.TASK_STATE_CANCELED
        )
        taskmanager.slot_event(slots["obedient"], runtime_pb2.TaskEvent(state=ended))
        # The next leader's task in that slot is none of the lost one's.
        command = runtime_pb2.SlotCommand(slot_id="idle", command=deploy(("j", 2, "v", 0, 1)))
        taskmanager._on_command(runtime_pb2.ToTaskManager(command=command))
        await until(lambda: slots["stuck"].killed)
        assert not slots["obedient"].killed
        assert not slots["idle"].killed
        taskmanager._metrics.close()

    asyncio.run(scenario())


class _Slot:
    """A slot process that takes what it is sent."""

    def __init__(self, slot_id):
        self.slot_id, self.ready, self.sent, self.killed = slot_id, True, [], ""
        self.info = runtime_pb2.SlotInfo(slot_id=slot_id)
        self.send = self.sent.append

    def kill(self, reason):
        self.killed = reason
