"""A TaskManager's link to JobManagers that come and go."""

import asyncio

import grpc
import pytest

from lesto.common.config import Configuration
from lesto.proto import runtime_pb2, runtime_pb2_grpc
from lesto.taskmanager.runtime import jobmanager_link
from lesto.taskmanager.runtime.jobmanager_link import JobManagerLink


class _Leaders(runtime_pb2_grpc.TaskManagerGatewayServicer):
    """Greets with one leader epoch after another, gives a command each time, and hangs up."""

    def __init__(self, epochs):
        self._epochs = iter(epochs)
        self.done = asyncio.Event()

    async def Connect(self, request_iterator, context):
        epoch = next(self._epochs, None)
        if epoch is None:
            self.done.set()
            return
        registered = runtime_pb2.Registered(
            jobmanager_id=f"jm-{epoch}",
            heartbeat_interval_ms=1000,
            heartbeat_timeout_ms=20_000,
            leader_epoch=epoch,
        )
        await request_iterator.__anext__()
        yield runtime_pb2.ToTaskManager(registered=registered)
        kill = runtime_pb2.KillSlot(slot_id=f"from-{epoch}", reason="test")
        yield runtime_pb2.ToTaskManager(kill_slot=kill)


async def _followed(epochs):
    """The epochs of the JobManagers whose commands were taken."""
    servicer = _Leaders(epochs)
    server = grpc.aio.server()
    runtime_pb2_grpc.add_TaskManagerGatewayServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    taken = []
    link = JobManagerLink(
        f"127.0.0.1:{port}",
        Configuration(),
        register=runtime_pb2.RegisterTaskManager,
        on_message=lambda message: taken.append(message.kill_slot.slot_id),
        on_lost=lambda _reason: None,
    )
    running = asyncio.create_task(link.run())
    try:
        await asyncio.wait_for(servicer.done.wait(), 30)
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await server.stop(None)
    return [int(name.removeprefix("from-")) for name in taken]


def test_no_command_of_a_leader_that_was_replaced_is_taken(monkeypatch):
    monkeypatch.setattr(jobmanager_link, "RECONNECT_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(jobmanager_link, "RECONNECT_MAX_SECONDS", 0.01)
    assert asyncio.run(_followed([2, 3, 2, 1, 3, 4, 3])) == [2, 3, 3, 4]
