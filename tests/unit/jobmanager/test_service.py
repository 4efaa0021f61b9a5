"""A JobManager over real gRPC with a fake TaskManager: whole lives of jobs."""

import asyncio
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

import cloudpickle
import grpc
import pytest
from fake_taskmanager import FakeTaskManager
from jobgraphs import JOB_ID, pipeline

from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.rpc import call_metadata, error_from_metadata
from lesto.common.source import Source, SplitEnumerator
from lesto.jobmanager import errors
from lesto.jobmanager.server.service import JobManager
from lesto.proto import client_pb2 as pb
from lesto.proto import client_pb2_grpc, runtime_pb2
from lesto.proto.checkpoint_pb2 import CHECKPOINT_TYPE_FINAL, CHECKPOINT_TYPE_SAVEPOINT

TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Split:
    number: int

    @property
    def split_id(self):
        return str(self.number)


class Splits(Source):
    """``count`` splits, one a request; then no more, unless ``endless``."""

    def __init__(self, count, *, endless=False, broken=False):
        self.count, self.endless, self.broken = count, endless, broken

    def create_enumerator(self, context, checkpoint):
        return _Enumerator(self, context, json.loads(checkpoint) if checkpoint else 0)

    def create_reader(self, context):
        raise NotImplementedError

    def serialize_split(self, split):
        return str(split.number).encode()

    def deserialize_split(self, data):
        return Split(int(data))


class _Enumerator(SplitEnumerator):
    def __init__(self, source, context, given):
        self.source, self.context, self.given = source, context, given

    def handle_split_request(self, subtask):
        if self.source.broken:
            raise KeyError("the bucket is gone")
        if self.given < self.source.count:
            self.context.assign_split(Split(self.given), subtask)
            self.given += 1
        if self.given >= self.source.count and not self.source.endless:
            self.context.signal_no_more_splits(subtask)

    def snapshot_state(self, checkpoint_id):
        return json.dumps(self.given).encode()


def numbers(count=2, **kwargs):
    return cloudpickle.dumps(Splits(count, **kwargs))


FAST = {
    "execution.checkpointing.interval": "60 s",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "3",
    "restart-strategy.fixed-delay.delay": "20 ms",
}


@contextlib.asynccontextmanager
async def cluster(tmp_path, *, slots=2, token=None, **settings):
    config = Configuration.from_dict({k.replace("_", "."): v for k, v in settings.items()})
    if token:
        config.set(options.SECURITY_TOKEN, token)
    manager = JobManager(config, host="127.0.0.1", port=0, checkpoint_dir=str(tmp_path / "ck"))
    await manager.start()
    worker = FakeTaskManager(manager.address, slots=slots, token=token)
    channel = grpc.aio.insecure_channel(manager.address)
    client = client_pb2_grpc.JobManagerServiceStub(channel)
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await worker.registered.wait()
            yield manager, worker, client
    finally:
        await worker.close()
        await channel.close()
        await manager.stop()


async def until(condition):
    while not (found := condition()):  # noqa: ASYNC110 - the condition is the engine's own state
        await asyncio.sleep(0.005)
    return found


async def all_running(client, tasks=4):
    async for details in client.WatchJob(pb.WatchJobRequest(job_id=JOB_ID, interval_ms=50)):
        if details.summary.tasks_running == tasks:
            return


async def reach(client, state, job_id=JOB_ID):
    async for details in client.WatchJob(pb.WatchJobRequest(job_id=job_id, interval_ms=50)):
        if details.summary.state == state:
            return details
        last = details
    pytest.fail(f"the job never was {pb.JobState.Name(state)}: {last}")


def run(test):
    asyncio.run(test)


def test_a_bounded_job_runs_to_its_end_with_a_final_checkpoint(tmp_path):
    async def scenario():
        async with cluster(tmp_path) as (_, worker, client):
            worker.greedy = True
            await client.SubmitJob(
                pb.SubmitJobRequest(
                    graph=pipeline(
                        source=numbers(2), config={"execution.checkpointing.interval": "0"}
                    )
                )
            )
            details = await reach(client, pb.JOB_STATE_FINISHED)
            assert details.summary.tasks_total == 4
            (only,) = details.checkpoints.history
            assert (only.status, only.type) == ("COMPLETED", CHECKPOINT_TYPE_FINAL)
            assert only.acknowledged == 4
            assert only.state_bytes == 40
            states = [pb.JobState.Name(t.state) for t in details.transitions]
            assert states == ["JOB_STATE_CREATED", "JOB_STATE_RUNNING", "JOB_STATE_FINISHED"]
            given = [s for splits in worker.splits.values() for s in splits]
            assert sorted(given) == [b"0", b"1"]
            info = await client.GetCluster(pb.GetClusterRequest())
            assert (info.slots_total, info.slots_available, info.jobs_finished) == (2, 2, 1)

    run(scenario())


def test_a_failed_task_restarts_the_job_from_the_latest_checkpoint(tmp_path):
    async def scenario():
        async with cluster(tmp_path) as (manager, worker, client):
            graph = pipeline(source=numbers(9, endless=True), config=FAST)
            await client.SubmitJob(pb.SubmitJobRequest(graph=graph))
            await until(lambda: len(worker.splits) == 2)
            await all_running(client)
            path = await manager.cluster.dispatcher.savepoint(JOB_ID, str(tmp_path / "sp"))
            assert (Path(path) / "_metadata").exists()
            worker.fail(worker.live()[0], "boom")
            await until(lambda: len(worker.deployments) == 8)
            second = worker.deployments[4:]
            assert {d.task.attempt for d in second} == {2}
            assert {d.restored_checkpoint_id for d in second} == {1}
            assert {d.restore_root for d in second} == {path}
            for deployment in second:
                (restored,) = deployment.restore
                assert restored.lists[0].items == [b"%d" % deployment.task.subtask]
            await until(lambda: (2, 0) in worker.splits and (2, 1) in worker.splits)
            assert worker.splits[2, 0] + worker.splits[2, 1] in ([b"2", b"3"], [b"3", b"2"])
            details = await client.GetJob(pb.GetJobRequest(job_id=JOB_ID))
            assert details.summary.restarts == 1
            assert details.failures[0].failure.message == "boom"
            assert details.failures[0].failure.user_traceback == "File job.py"
            await client.CancelJob(pb.CancelJobRequest(job_id=JOB_ID))
            await reach(client, pb.JOB_STATE_CANCELED)

    run(scenario())


def test_a_lost_slot_is_replaced_and_the_job_goes_on(tmp_path):
    async def scenario():
        async with cluster(tmp_path) as (_, worker, client):
            await client.SubmitJob(
                pb.SubmitJobRequest(graph=pipeline(source=numbers(0, endless=True), config=FAST))
            )
            await until(lambda: len(worker.deployments) == 4)
            worker.lose_slot(next(iter(worker.slots)))
            await until(lambda: len(worker.deployments) == 8)
            details = await reach(client, pb.JOB_STATE_RUNNING)
            assert "killed by signal 9" in details.failures[0].failure.message
            assert details.failures[0].failure.code == errors.SlotLostError.code

    run(scenario())


def test_a_broken_connection_loses_all_slots_at_once(tmp_path):
    async def scenario():
        async with cluster(tmp_path) as (manager, worker, client):
            await client.SubmitJob(
                pb.SubmitJobRequest(graph=pipeline(source=numbers(0, endless=True), config=FAST))
            )
            await until(lambda: len(worker.deployments) == 4)
            worker.call.cancel()
            await reach(client, pb.JOB_STATE_RESTARTING)
            assert manager.cluster.info().slots_total == 0
            other = FakeTaskManager(manager.address)
            try:
                await until(lambda: len(other.deployments) == 4)
                assert {d.task.attempt for d in other.deployments} == {2}
            finally:
                await other.close()

    run(scenario())


def test_stop_with_savepoint_finishes_the_job_and_gives_the_path(tmp_path):
    async def scenario():
        async with cluster(tmp_path) as (_, _w, client):
            await client.SubmitJob(
                pb.SubmitJobRequest(graph=pipeline(source=numbers(0, endless=True), config=FAST))
            )
            await all_running(client)
            target = str(tmp_path / "savepoints")
            answer = await client.StopJob(pb.StopJobRequest(job_id=JOB_ID, target=target))
            assert answer.path.startswith(target)
            details = await reach(client, pb.JOB_STATE_FINISHED)
            assert details.checkpoints.latest_completed.type == CHECKPOINT_TYPE_SAVEPOINT
            again = pipeline(
                source=numbers(0), config=FAST, job_id="f" * 32, restore_path=answer.path
            )
            await client.SubmitJob(pb.SubmitJobRequest(graph=again))
            details = await reach(client, pb.JOB_STATE_FINISHED, "f" * 32)
            assert details.checkpoints.latest_restored.path == answer.path
            assert details.checkpoints.latest_completed.checkpoint_id == 2

    run(scenario())


def test_an_error_in_the_enumerator_fails_the_job_with_the_users_traceback(tmp_path):
    async def scenario():
        async with cluster(tmp_path) as (_, _worker, client):
            graph = pipeline(source=numbers(1, broken=True))
            graph.config["restart-strategy.type"] = "none"
            await client.SubmitJob(pb.SubmitJobRequest(graph=graph))
            details = await reach(client, pb.JOB_STATE_FAILED)
            failure = details.failures[0].failure
            assert "the bucket is gone" in failure.message
            assert "handle_split_request" in failure.user_traceback
            # The checkout's own folder may be called lesto: frames of the engine are meant.
            assert "jobmanager/server" not in failure.user_traceback
            assert failure.location.startswith(__file__)

    run(scenario())


@pytest.mark.parametrize(
    ("damage", "code"),
    [("missing", "LESTO-5003"), ("cut", "LESTO-5001"), ("flip", "LESTO-5001")],
)
def test_a_checkpoint_that_cannot_be_read_fails_the_job_with_its_cause(tmp_path, damage, code):
    async def scenario():
        async with cluster(tmp_path) as (manager, worker, client):
            first = pipeline(source=numbers(0, endless=True), config=FAST)
            await client.SubmitJob(pb.SubmitJobRequest(graph=first))
            await all_running(client)
            path = await manager.cluster.dispatcher.savepoint(JOB_ID, str(tmp_path / "sp"))
            file = tmp_path / path / "_metadata"
            content = bytearray(file.read_bytes())
            if damage == "missing":
                file.unlink()
            elif damage == "cut":
                file.write_bytes(content[:-1])
            else:
                content[len(content) // 2] ^= 1
                file.write_bytes(content)
            await client.CancelJob(pb.CancelJobRequest(job_id=JOB_ID))
            await reach(client, pb.JOB_STATE_CANCELED)
            again = pipeline(source=numbers(0), job_id="f" * 32, restore_path=path)
            await client.SubmitJob(pb.SubmitJobRequest(graph=again))
            details = await reach(client, pb.JOB_STATE_FAILED, "f" * 32)
            assert details.failures[0].failure.code == code
            assert len(worker.deployments) == 4

    run(scenario())


def test_too_few_slots_fail_the_job_with_numbers_and_remedy(tmp_path):
    async def scenario():
        async with cluster(tmp_path, **{"slot.request.timeout": "50 ms"}) as (_, _w, client):
            graph = pipeline(3, source=numbers(0))
            await client.SubmitJob(pb.SubmitJobRequest(graph=graph))
            details = await reach(client, pb.JOB_STATE_FAILED)
            failure = details.failures[0].failure
            assert failure.code == errors.NoResourceAvailableError.code
            assert "needs 3 more slots" in failure.message
            assert "of 2 slots on 1 TaskManagers 2 are free" in failure.message
            assert "--slots" in failure.remedy

    run(scenario())


def test_a_task_that_does_not_cancel_has_its_slot_killed(tmp_path):
    async def scenario():
        settings = {"task.cancellation.timeout": "50 ms"}
        async with cluster(tmp_path, **settings) as (_, worker, client):
            graph = pipeline(source=numbers(0, endless=True), config=FAST)
            await client.SubmitJob(pb.SubmitJobRequest(graph=graph))
            await until(lambda: len(worker.deployments) == 4)
            worker.ignore_cancel = True
            slots = set(worker.slots)
            await client.CancelJob(pb.CancelJobRequest(job_id=JOB_ID))
            await reach(client, pb.JOB_STATE_CANCELED)
            assert set(worker.killed) == slots

    run(scenario())


def test_a_call_without_the_token_is_refused(tmp_path):
    async def scenario():
        async with cluster(tmp_path, token="s3cret") as (_, _w, client):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.ListJobs(pb.ListJobsRequest())
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            error = error_from_metadata(caught.value.trailing_metadata())
            assert isinstance(error, errors.UnauthenticatedError)
            request = pb.WatchJobRequest(job_id=JOB_ID)
            stream = aiter(client.WatchJob(request, metadata=call_metadata("wrong")))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await anext(stream)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            jobs = await client.ListJobs(pb.ListJobsRequest(), metadata=call_metadata("s3cret"))
            assert not jobs.jobs

    run(scenario())


def test_binding_beyond_loopback_without_a_token_is_refused(tmp_path):
    manager = JobManager(Configuration(), host="0.0.0.0", port=0, checkpoint_dir=str(tmp_path))
    with pytest.raises(errors.InsecureBindError, match=r"security\.token"):
        run(manager.start())


def test_a_port_in_use_is_named(tmp_path):
    async def scenario():
        async with cluster(tmp_path) as (manager, _w, _c):
            second = JobManager(
                Configuration(), host="127.0.0.1", port=manager.port, checkpoint_dir=str(tmp_path)
            )
            with pytest.raises(errors.PortInUseError, match=str(manager.port)):
                await second.start()

    run(scenario())


def test_unknown_and_duplicate_jobs_are_named_errors(tmp_path):
    async def scenario():
        async with cluster(tmp_path) as (_, _w, client):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.GetJob(pb.GetJobRequest(job_id="nope"))
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
            graph = pipeline(source=numbers(0, endless=True))
            await client.SubmitJob(pb.SubmitJobRequest(graph=graph))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.SubmitJob(pb.SubmitJobRequest(graph=graph))
            assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
            graph.python_version = "2.7"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.SubmitJob(pb.SubmitJobRequest(graph=graph))
            error = error_from_metadata(caught.value.trailing_metadata())
            assert isinstance(error, errors.PythonVersionError)

    run(scenario())


def test_a_silent_taskmanager_is_noticed_by_its_heartbeats(tmp_path):
    async def scenario():
        settings = {"heartbeat.interval": "20 ms", "heartbeat.timeout": "100 ms"}
        async with cluster(tmp_path, **settings) as (manager, worker, _c):
            assert manager.cluster.info().slots_total == 2
            worker.say = lambda _message: None
            await until(lambda: manager.cluster.info().slots_total == 0)
            assert not manager.cluster.info().taskmanagers

    run(scenario())


def test_periodic_checkpoints_are_kept_to_their_number_and_survive_a_cancel(tmp_path):
    async def scenario():
        config = {**FAST, "execution.checkpointing.interval": "30 ms"}
        config["execution.checkpointing.num-retained"] = "2"
        async with cluster(tmp_path) as (_, worker, client):
            await client.SubmitJob(
                pb.SubmitJobRequest(graph=pipeline(source=numbers(0, endless=True), config=config))
            )
            root = tmp_path / "ck" / JOB_ID
            await until(lambda: len([n for n in worker.notified if n.complete]) >= 10)
            await client.CancelJob(pb.CancelJobRequest(job_id=JOB_ID))
            await reach(client, pb.JOB_STATE_CANCELED)
            await asyncio.sleep(0.05)
            complete = sorted(p.parent.name for p in root.glob("chk-*/_metadata"))
            assert 2 <= len(complete) <= 3  # one may have been written while the job was cancelled
            assert (root / "epoch-1").exists()

    run(scenario())


def test_results_of_a_collect_sink_are_streamed_in_order_then_deleted(tmp_path):
    async def scenario():
        async with cluster(tmp_path) as (_, worker, client):
            await client.SubmitJob(
                pb.SubmitJobRequest(graph=pipeline(source=numbers(0, endless=True), config=FAST))
            )
            await until(lambda: len(worker.deployments) == 4)
            folder = tmp_path / "ck" / JOB_ID / "collect" / "total"
            folder.mkdir(parents=True)
            (folder / ".pending").write_bytes(b"not yet")
            (folder / "part-1.pickle").write_bytes(b"one")
            stream = client.FetchResults(
                pb.FetchResultsRequest(job_id=JOB_ID, operator_uid="total")
            )
            results = aiter(stream)
            first = await anext(results)
            assert (first.payload, first.format) == (b"one", "pickle")
            (folder / "part-2.arrow").write_bytes(b"two")
            second = await anext(results)
            assert (second.payload, second.format) == (b"two", "arrow")
            worker.end_data()
            assert [batch async for batch in results] == []
            assert not folder.exists()
            assert not (tmp_path / "ck" / JOB_ID).exists(), "a finished job leaves nothing"
            request = pb.FetchResultsRequest(job_id=JOB_ID, operator_uid="../../etc")
            stream = aiter(client.FetchResults(request))
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await anext(stream)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND

    run(scenario())


def test_messages_of_an_older_attempt_are_ignored(tmp_path):
    async def scenario():
        async with cluster(tmp_path) as (manager, worker, client):
            await client.SubmitJob(
                pb.SubmitJobRequest(graph=pipeline(source=numbers(0, endless=True), config=FAST))
            )
            await until(lambda: len(worker.deployments) == 4)
            old = worker.live()[0]
            worker.fail(old)
            await until(lambda: len(worker.deployments) == 8)
            failure = runtime_pb2.TaskFailure(task=old, message="an echo", retryable=True)
            worker.tell(old, failure=failure)
            runner = manager.cluster.dispatcher.get(JOB_ID).runner
            await until(lambda: runner.master.stale_events > 0)
            assert len(runner.master.failures) == 1
            runner.master.validate()

    run(scenario())
