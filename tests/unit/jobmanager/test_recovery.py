"""JobManagers one after another on the same storage, with a fake TaskManager."""

import asyncio
import contextlib
import subprocess
import sys
import time

import cloudpickle
import grpc
import pytest
from fake_kubernetes import FakeKubernetes
from fake_taskmanager import FakeTaskManager
from jobgraphs import JOB_ID, pipeline
from real_etcd import is_missing, real_etcd

from lesto.common.config import Configuration
from lesto.common.rpc import leader_from_metadata
from lesto.common.source import Source, SplitEnumerator
from lesto.jobmanager import errors
from lesto.jobmanager.server import dispatcher
from lesto.jobmanager.server.ha.job_store import JobStore
from lesto.jobmanager.server.ha.process_identity import is_gone, process_identity
from lesto.jobmanager.server.service import JobManager
from lesto.proto import client_pb2 as pb
from lesto.proto import client_pb2_grpc

#: A JobManager of a test dies without giving its lease up; the next one takes it over quickly.
QUICK = {
    "high-availability.lease-duration": "400 ms",
    "high-availability.renew-interval": "50 ms",
    "execution.checkpointing.interval": "50 ms",
}
JOB = {
    "execution.checkpointing.interval": "50 ms",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "3",
    "restart-strategy.fixed-delay.delay": "20 ms",
}


class Endless(Source):
    """Gives no split, and does not end."""

    def create_enumerator(self, context, checkpoint):
        return _Enumerator()

    def create_reader(self, context):
        raise NotImplementedError

    def serialize_split(self, split):
        raise NotImplementedError

    def deserialize_split(self, data):
        raise NotImplementedError


class _Enumerator(SplitEnumerator):
    def handle_split_request(self, subtask):
        pass

    def snapshot_state(self, checkpoint_id):
        return b""


async def until(condition):
    while not (found := condition()):  # noqa: ASYNC110 - the condition is the engine's own state
        await asyncio.sleep(0.005)
    return found


async def watched(client, condition):
    """The first details that fulfil a condition."""
    async for details in client.WatchJob(pb.WatchJobRequest(job_id=JOB_ID, interval_ms=50)):
        if condition(details):
            return details
        last = details
    return pytest.fail(f"the job has ended: {last}")


async def reach(client, state):
    return await watched(client, lambda details: details.summary.state == state)


@contextlib.asynccontextmanager
async def jobmanager(tmp_path, **more):
    options = {**QUICK, "execution.checkpointing.dir": str(tmp_path / "ck"), **more}
    manager = JobManager(Configuration.from_dict(options), host="127.0.0.1", port=0)
    await manager.start()
    channel = grpc.aio.insecure_channel(manager.address)
    try:
        async with asyncio.timeout(30):
            yield manager, client_pb2_grpc.JobManagerServiceStub(channel)
    finally:
        await channel.close()
        await manager.stop()


@contextlib.asynccontextmanager
async def leading(tmp_path, **more):
    async with jobmanager(tmp_path, **more) as (manager, client):
        await until(lambda: manager.info().leading)
        worker = FakeTaskManager(manager.address)
        try:
            await worker.registered.wait()
            yield manager, client, worker
        finally:
            await worker.close()


def graph(**config):
    return pipeline(source=cloudpickle.dumps(Endless()), config={**JOB, **config})


async def submit(client, **config):
    return (await client.SubmitJob(pb.SubmitJobRequest(graph=graph(**config)))).job_id


async def completed(client, count=3):
    """Until so many checkpoints are complete; the number of the newest."""
    while True:
        details = await client.GetJob(pb.GetJobRequest(job_id=JOB_ID))
        if details.checkpoints.completed >= count:
            return details.checkpoints.latest_completed.checkpoint_id
        await asyncio.sleep(0.01)


def run(test):
    asyncio.run(test)


def test_the_next_leader_goes_on_from_the_newest_checkpoint_in_a_new_epoch(tmp_path):
    async def scenario():
        async with leading(tmp_path) as (first, client, worker):
            await submit(client)
            await until(lambda: len(worker.deployments) == 4)
            newest = await completed(client)
            term = first.cluster.leader_epoch
        async with leading(tmp_path) as (second, client, worker):
            await until(lambda: len(worker.deployments) == 4)
            assert {d.task.epoch for d in worker.deployments} == {2}
            assert min(d.restored_checkpoint_id for d in worker.deployments) >= newest
            assert second.cluster.leader_epoch > term
            await watched(client, lambda details: details.summary.tasks_running == 4)
            details = await client.GetJob(pb.GetJobRequest(job_id=JOB_ID))
            assert details.summary.restarts == 1
            again = await completed(client, 1)
            assert again > newest
            await client.CancelJob(pb.CancelJobRequest(job_id=JOB_ID))
            await reach(client, pb.JOB_STATE_CANCELED)
        async with leading(tmp_path) as (_, client, worker):
            (known,) = (await client.ListJobs(pb.ListJobsRequest())).jobs
            assert known.state == pb.JOB_STATE_CANCELED
            await asyncio.sleep(0.1)
            assert not worker.deployments, "an ended job was run again"

    run(scenario())


def test_a_job_that_the_first_listing_does_not_show_is_taken_over_later(tmp_path, monkeypatch):
    listed, pauses = JobStore.job_ids, [0.1, 0.1]
    old = []  # answers that the storage gives before it shows the job

    def job_ids(self):
        return old.pop() if old else listed(self)

    monkeypatch.setattr(JobStore, "job_ids", job_ids)
    monkeypatch.setattr(dispatcher, "LISTED_AGAIN_SECONDS", pauses)

    async def scenario():
        async with leading(tmp_path) as (_, client, worker):
            await submit(client)
            await until(lambda: len(worker.deployments) == 4)
        old[:] = [[], []]
        async with leading(tmp_path) as (manager, client, worker):
            await until(lambda: len(worker.deployments) == 4)
            assert not old
            assert {d.task.epoch for d in worker.deployments} == {2}
            assert list(manager.cluster.dispatcher.jobs) == [JOB_ID]
            await asyncio.sleep(0.2)
            assert len(worker.deployments) == 4, "it was taken over twice"

    run(scenario())


def test_a_submission_that_is_repeated_is_one_job(tmp_path):
    async def scenario():
        async with leading(tmp_path) as (_, client, _worker):
            both = await asyncio.gather(submit(client), submit(client))
            assert both == [JOB_ID, JOB_ID]
            assert await submit(client) == JOB_ID
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await submit(client, **{"pipeline.name": "another"})
            assert caught.value.code() is grpc.StatusCode.ALREADY_EXISTS
        async with leading(tmp_path) as (manager, client, worker):
            assert await submit(client) == JOB_ID
            await until(lambda: len(worker.deployments) == 4)
            assert list(manager.cluster.dispatcher.jobs) == [JOB_ID]

    run(scenario())


def damage(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


async def checkpoints_of_a_dead_leader(tmp_path):
    """Their metadata files, the newest first."""
    async with leading(tmp_path) as (_, client, _worker):
        await submit(client)
        await completed(client)
    found = (tmp_path / "ck" / JOB_ID).glob("chk-*/_metadata")
    return sorted(found, key=lambda p: -int(p.parent.name[4:]))


def test_a_damaged_newest_checkpoint_is_not_replaced_by_an_older_one(tmp_path):
    """Sinks have published what it covers."""

    async def scenario():
        newest, before, *_ = await checkpoints_of_a_dead_leader(tmp_path)
        damage(newest)
        async with leading(tmp_path) as (_, client, worker):
            details = await reach(client, pb.JOB_STATE_FAILED)
            failure = details.failures[0].failure
            assert failure.code == errors.NoIntactCheckpointError.code
            assert str(newest.parent) in failure.message
            assert f"-s {before.parent}" in failure.remedy
            assert not worker.deployments

    run(scenario())


def test_a_damaged_older_checkpoint_does_not_matter(tmp_path):
    async def scenario():
        newest, before, *_ = await checkpoints_of_a_dead_leader(tmp_path)
        damage(before)
        async with leading(tmp_path) as (_, client, worker):
            await until(lambda: len(worker.deployments) == 4)
            restored = {d.restored_checkpoint_id for d in worker.deployments}
            assert restored == {int(newest.parent.name[4:])}
            assert await completed(client, 1) > int(newest.parent.name[4:]), "a number used twice"

    run(scenario())


def test_without_any_intact_checkpoint_the_job_fails_and_never_starts_from_nothing(tmp_path):
    async def scenario():
        for path in await checkpoints_of_a_dead_leader(tmp_path):
            damage(path)
        async with leading(tmp_path) as (_, client, worker):
            details = await reach(client, pb.JOB_STATE_FAILED)
            failure = details.failures[0].failure
            assert failure.code == errors.NoIntactCheckpointError.code
            assert not worker.deployments

    run(scenario())


def test_a_job_whose_log_is_damaged_is_shown_and_hinders_no_other(tmp_path):
    async def scenario():
        await checkpoints_of_a_dead_leader(tmp_path)
        damage(tmp_path / "ck" / "_ha" / "default" / "jobs" / JOB_ID / "log" / f"{2:012}")
        async with leading(tmp_path) as (_, client, worker):
            (known,) = (await client.ListJobs(pb.ListJobsRequest())).jobs
            assert known.state == pb.JOB_STATE_FAILED
            details = await client.GetJob(pb.GetJobRequest(job_id=JOB_ID))
            assert details.failures[0].failure.code == errors.JobLogError.code
            assert not worker.deployments

    run(scenario())


def test_a_cancellation_that_was_promised_is_kept(tmp_path):
    async def scenario():
        async with leading(tmp_path) as (_, client, worker):
            worker.ignore_cancel = True
            await submit(client)
            await until(lambda: len(worker.deployments) == 4)
            await client.CancelJob(pb.CancelJobRequest(job_id=JOB_ID))
        async with leading(tmp_path) as (_, client, _worker):
            await reach(client, pb.JOB_STATE_CANCELED)

    run(scenario())


@pytest.fixture(params=["filesystem", "etcd", "kubernetes"])
def service(request, tmp_path):
    """Options of an election."""
    options = {"high-availability.type": request.param}
    with contextlib.ExitStack() as stack:
        if request.param == "etcd":
            if is_missing():
                pytest.skip(is_missing())
            options["high-availability.etcd.endpoints"] = stack.enter_context(real_etcd(tmp_path))
        if request.param == "kubernetes":
            fake = stack.enter_context(FakeKubernetes())
            options["high-availability.kubernetes.api-server"] = fake.url
        yield options


def test_a_standby_says_who_leads_and_takes_over(tmp_path, service):
    async def scenario():
        async with contextlib.AsyncExitStack() as stack:
            first = await stack.enter_async_context(contextlib.AsyncExitStack())
            leader, client = await first.enter_async_context(jobmanager(tmp_path, **service))
            await until(lambda: leader.info().leading)
            await submit(client)
            standby, other = await stack.enter_async_context(jobmanager(tmp_path, **service))
            info = await other.GetCluster(pb.GetClusterRequest())
            assert (info.leading, info.leader_address) == (False, leader.address)
            for call in (
                other.ListJobs(pb.ListJobsRequest()),
                other.SubmitJob(pb.SubmitJobRequest(graph=graph())),
            ):
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await call
                assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
                trailing = caught.value.trailing_metadata()
                assert leader_from_metadata(trailing) == leader.address
            await first.aclose()
            await until(lambda: standby.info().leading)
            (known,) = (await other.ListJobs(pb.ListJobsRequest())).jobs
            assert known.job_id == JOB_ID

    run(scenario())


def test_a_fenced_leader_stops_and_deletes_nothing(tmp_path):
    """Its lease says that it leads, and the job's log that it does not: the log is right."""

    async def scenario():
        async with leading(tmp_path) as (manager, client, _worker):
            await submit(client)
            await completed(client, 1)
            job = manager.cluster.dispatcher.jobs[JOB_ID]
            runner = job.runner
            before = sorted((tmp_path / "ck" / JOB_ID).glob("chk-*/_metadata"))
            other = JobLogOfAnother(manager, tmp_path)
            assert other.log.claim("usurper", 99) == 2
            await until(lambda: runner.fenced)
            await until(runner.ended.is_set)
            entries = len(list((tmp_path / "ck/_ha/default/jobs" / JOB_ID / "log").iterdir()))
            await asyncio.sleep(0.2)
            after = sorted((tmp_path / "ck" / JOB_ID).glob("chk-*/_metadata"))
            assert set(before[-1:]) <= set(after)
            assert entries == other.log.read().seq, "written behind the claim of another"

    run(scenario())


class JobLogOfAnother:
    """What a later leader has of the job."""

    def __init__(self, manager, tmp_path):
        from lesto.common.clock import SystemClock
        from lesto.jobmanager.server.ha.job_store import JobStore

        store = JobStore(str(tmp_path / "ck/_ha/default"), SystemClock(), lambda: True)
        self.log = store.log(JOB_ID)


def test_the_end_of_a_process_is_seen_on_its_machine():
    own = process_identity()
    assert own
    assert not is_gone(own)
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    identity = process_identity(other.pid)
    assert not is_gone(identity)
    other.kill()
    deadline = time.monotonic() + 10
    while not is_gone(identity):  # a zombie counts: it writes nothing any more
        assert time.monotonic() < deadline
    other.communicate()
    assert is_gone(identity)
    assert not is_gone("")
    assert not is_gone("another boot/4026531836/1/2")
