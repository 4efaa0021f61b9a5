"""Local recovery under a real job: state comes back although checkpoint storage has lost it."""

import contextlib
import os
import signal
import urllib.request
from collections import defaultdict

import pytest

from lesto.client.job_client import JobStatus
from lesto.common import Types
from lesto.datastream import KeyedProcessFunction
from lesto.datastream.state import ValueStateDescriptor
from lesto.jobmanager.errors import JobStateError
from tests.golden.harness import Stage, environment, published, stop, wait_for, write

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.fault,
    pytest.mark.leaks_ok("one cluster serves all golden tests; its end is checked there"),
]
KEYS = 60
SPLITS = [[[(key, turn) for key in range(KEYS)] for turn in range(5)]]


class Count(KeyedProcessFunction):
    """Counts a key's records, and goes on counting once a millisecond."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        service = ctx.timer_service()
        service.register_processing_time_timer(service.current_processing_time() + 50)
        yield ctx.get_current_key(), self.count.value()

    def on_timer(self, timestamp, ctx):
        self.count.update(self.count.value() + 1)
        ctx.timer_service().register_processing_time_timer(
            ctx.timer_service().current_processing_time() + 50
        )
        yield ctx.get_current_key(), self.count.value()


def metrics(jobmanager):
    """(slot, lines of its metrics) of every slot."""
    for manager in jobmanager.cluster().taskmanagers:
        for slot in manager.slots:
            if slot.metrics_address:
                url = f"http://{slot.metrics_address}/metrics"
                # One that has just been killed does not answer.
                with contextlib.suppress(OSError), urllib.request.urlopen(url) as answer:
                    yield slot, answer.read().decode().splitlines()


def total(jobmanager, name):
    """A counter's sum over all slots."""
    lines = [line for _, found in metrics(jobmanager) for line in found if line.startswith(name)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


def slot_of(jobmanager, job):
    """A slot that runs tasks of a job."""
    mark = f'job_id="{job.job_id}"'
    return next(slot for slot, lines in metrics(jobmanager) if any(mark in at for at in lines))


def lose_remote_files(folder):
    """Delete what checkpoints consist of; which there are is still known."""
    lost = [p for p in folder.rglob("c*-e*") if p.is_file()]
    for path in lost:
        path.unlink(missing_ok=True)  # an older checkpoint may go this moment
    return lost


@pytest.mark.parametrize("backend", ["rocksdb", "hashmap"])
def test_state_comes_from_the_machines_own_disk(cluster, jobmanager, tmp_path, backend):
    options = {
        "state.backend.type": backend,
        "execution.checkpointing.dir": str(tmp_path / "ck"),
        "execution.checkpointing.local-backup.enabled": "true",
        "execution.state-recovery.from-local": "true",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "3",
        "restart-strategy.fixed-delay.delay": "10 ms",
    }
    env = environment(cluster, parallelism=2, **options)
    source = Stage(env, tmp_path, hold=0.8).source(SPLITS, name="turns")
    stream = source.key_by(lambda record: record[0]).process(Count()).uid("count")
    write(stream, tmp_path / "out", "text")
    with env.execute_async("local") as job:
        wait_for(lambda: len(_checkpointed(job, jobmanager, tmp_path)) >= 4 * KEYS, job)
        before = _checkpointed(job, jobmanager, tmp_path)
        assert lose_remote_files(tmp_path / "ck")
        restarts = jobmanager.job(job.job_id).summary.restarts
        os.kill(slot_of(jobmanager, job).pid, signal.SIGKILL)
        wait_for(lambda: jobmanager.job(job.job_id).summary.restarts > restarts, job)
        wait_for(lambda: job.status() is JobStatus.RUNNING, job)
        wait_for(lambda: total(jobmanager, "lesto_local_recovery_files_total") >= 2, job)
        wait_for(lambda: _full_checkpoint(job, jobmanager), job)  # the shared files are lost
        stop(job, tmp_path / "savepoints")
    counts = defaultdict(list)
    for key, number in published(tmp_path / "out", "text"):
        counts[key].append(number)
    assert sum(map(len, counts.values())) > len(before)
    assert all(sorted(n) == list(range(1, len(n) + 1)) for n in counts.values())


def _checkpointed(job, jobmanager, folder):
    """Take a checkpoint; all that is published then."""
    with contextlib.suppress(JobStateError):  # it does not run yet
        jobmanager.checkpoint(job.job_id)
    return published(folder / "out", "text")


def _full_checkpoint(job, jobmanager):
    try:
        return jobmanager.checkpoint(job.job_id, full=True)
    except JobStateError:  # it does not run yet
        return None
