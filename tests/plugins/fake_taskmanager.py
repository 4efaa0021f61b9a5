"""A TaskManager that speaks the real protocol and runs no code: its tasks do what the test says."""

import asyncio
import contextlib
import itertools

import grpc

from lesto.common.rpc import call_metadata
from lesto.proto import job_pb2, runtime_pb2, runtime_pb2_grpc

_ids = itertools.count(1)


class FakeTaskManager:
    """Connects, offers slots, and plays the tasks that are deployed to it.

    Tasks become RUNNING at once, sources ask for splits, barriers are acknowledged, and when every
    source has been told there are no more splits the data of the whole job ends.

    Attributes:
        deployments: every TaskDeployment received.
        splits: what each source subtask was assigned, by attempt.
        notified: NotifyCheckpoint messages.
        hold_acks: barriers are not acknowledged while it is set.
        greedy: a source asks for more as soon as it has a split.
        ignore_cancel: cancellations are not obeyed.
    """

    def __init__(self, address, *, slots=2, token=None):
        self.id = f"tm-{next(_ids)}"
        self.slots = {f"{self.id}-slot-{i}": i for i in range(slots)}
        self.deployments = []
        self.tasks = {}
        self.splits = {}
        self.notified = []
        self.killed = []
        self.registered = asyncio.Event()
        self.hold_acks = False
        self.greedy = False
        self.ignore_cancel = False
        self.ended = set()
        self._channel = grpc.aio.insecure_channel(address)
        stub = runtime_pb2_grpc.TaskManagerGatewayStub(self._channel)
        self._outbox = asyncio.Queue()
        self.call = stub.Connect(self._outgoing(), metadata=call_metadata(token))
        self._reader = asyncio.create_task(self._read())
        register = runtime_pb2.RegisterTaskManager(
            taskmanager_id=self.id, host="127.0.0.1", pid=1, slots=self._slot_infos()
        )
        self.say(runtime_pb2.FromTaskManager(register=register))

    def _slot_infos(self):
        return [self._info(slot, i) for slot, i in self.slots.items()]

    def _info(self, slot, index, status=runtime_pb2.SLOT_STATUS_READY, reason=""):
        return runtime_pb2.SlotInfo(
            slot_id=slot,
            index=index,
            status=status,
            flight_uri=f"grpc://127.0.0.1:{5000 + index}",
            lost_reason=reason,
        )

    def say(self, message):
        self._outbox.put_nowait(message)

    async def _outgoing(self):
        while (message := await self._outbox.get()) is not None:
            yield message

    async def _read(self):
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
            async for message in self.call:
                match message.WhichOneof("message"):
                    case "registered":
                        self.registered.set()
                    case "heartbeat":
                        self.say(runtime_pb2.FromTaskManager(heartbeat=message.heartbeat))
                    case "command":
                        self._obey(message.command.slot_id, message.command.command)
                    case "kill_slot":
                        self.killed.append(message.kill_slot.slot_id)
                        self.lose_slot(message.kill_slot.slot_id, "killed by request")

    # ---------------------------------------------------------------------------------- commands

    def _obey(self, slot, command):
        kind = command.WhichOneof("command")
        getattr(self, f"_on_{kind}")(slot, getattr(command, kind))

    def _on_deploy(self, slot, message):
        for deployment in message.tasks:
            self.deployments.append(deployment)
            self.tasks[_key(deployment.task)] = (slot, deployment)
            for state in (runtime_pb2.TASK_STATE_INITIALIZING, runtime_pb2.TASK_STATE_RUNNING):
                self.report_state(deployment.task, state)
            if deployment.vertex.operators[0].kind == job_pb2.OPERATOR_KIND_SOURCE:
                uid = deployment.vertex.operators[0].uid
                request = runtime_pb2.SplitRequest(task=deployment.task, operator_uid=uid)
                self.tell(deployment.task, split_request=request)

    def _on_splits(self, _slot, message):
        task = message.task
        self.splits.setdefault((task.attempt, task.subtask), []).extend(message.splits)
        if self.greedy and not message.no_more_splits:
            self.tell(
                task,
                split_request=runtime_pb2.SplitRequest(
                    task=task, operator_uid=message.operator_uid
                ),
            )
        if message.no_more_splits:
            self.ended.add((task.vertex_id, task.subtask))
            sources = {
                (d.vertex.id, d.task.subtask)
                for _, d in self.tasks.values()
                if d.vertex.operators[0].kind == job_pb2.OPERATOR_KIND_SOURCE
            }
            if sources <= self.ended:
                self.end_data()

    def _on_trigger(self, _slot, message):
        if not self.hold_acks and (message.checkpoint_id, "acked") not in self.ended:
            self.ended.add((message.checkpoint_id, "acked"))
            self.ack(message.checkpoint_id)

    def _on_notify(self, _slot, message):
        self.notified.append(message)
        if message.complete and message.finish:
            for task in self.live():
                self.report_state(task, runtime_pb2.TASK_STATE_FINISHED)
            self.tasks.clear()

    def _on_cancel(self, _slot, message):
        if self.ignore_cancel:
            return
        for task in message.tasks:
            if self.tasks.pop(_key(task), None):
                self.report_state(task, runtime_pb2.TASK_STATE_CANCELED)

    # ------------------------------------------------------------------------------- task events

    def live(self):
        return [deployment.task for _, deployment in self.tasks.values()]

    def tell(self, task, **event):
        slot = self.tasks[_key(task)][0] if _key(task) in self.tasks else ""
        slot = slot or self._slot_of(task)
        self.say(runtime_pb2.FromTaskManager(task=runtime_pb2.TaskEvent(**event), slot_id=slot))

    def _slot_of(self, task):
        return self._last_slot.get(_key(task), "")

    @property
    def _last_slot(self):
        return self.__dict__.setdefault("_slots_of_tasks", {})

    def report_state(self, task, state):
        if _key(task) in self.tasks:
            self._last_slot[_key(task)] = self.tasks[_key(task)][0]
        self.tell(task, state=runtime_pb2.TaskStateChanged(task=task, state=state))

    def ack(self, checkpoint_id):
        for _, deployment in list(self.tasks.values()):
            ack = runtime_pb2.CheckpointAck(task=deployment.task, checkpoint_id=checkpoint_id)
            for operator in deployment.vertex.operators:
                part = ack.operators.add(uid=operator.uid)
                part.state.lists.add(name="seen", items=[b"%d" % deployment.task.subtask])
                part.state.state_bytes = 10
            self.tell(deployment.task, ack=ack)

    def end_data(self):
        for task in self.live():
            self.tell(task, end_of_data=runtime_pb2.EndOfDataReached(task=task))

    def fail(self, task, message="boom"):
        failure = runtime_pb2.TaskFailure(
            task=task,
            code="LESTO-6001",
            message=message,
            retryable=True,
            user_traceback="File job.py",
        )
        self.report_state(task, runtime_pb2.TASK_STATE_RUNNING)
        self.tasks.pop(_key(task))
        self.tell(task, failure=failure)

    def lose_slot(self, slot, reason="killed by signal 9", *, replace=True):
        index = self.slots.pop(slot)
        for key in [k for k, (where, _) in self.tasks.items() if where == slot]:
            del self.tasks[key]
        lost = self._info(slot, index, runtime_pb2.SLOT_STATUS_LOST, reason)
        report = runtime_pb2.SlotReport(slots=[lost])
        if replace:
            new = f"{slot}x"
            self.slots[new] = index
            report.slots.append(self._info(new, index))
        self.say(runtime_pb2.FromTaskManager(slots=report))

    async def close(self):
        self.call.cancel()
        self._outbox.put_nowait(None)
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._channel.close()


def _key(task):
    return (task.job_id, task.vertex_id, task.subtask, task.attempt)
