"""Rescaling in place and failover on real processes; the long forms are modules beside this."""

import contextlib
import os
import time
from pathlib import Path

import pytest

from lesto.client.errors import JobExecutionError
from lesto.client.job_client import JobStatus
from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.common import Configuration
from lesto.connectors.files import FileSink
from lesto.datastream import MapFunction
from tests.fault import live_rescale, rescale_matrix
from tests.fault.cluster import Cluster
from tests.fault.exactly_once import violations
from tests.golden.harness import Stage, environment, finish, published, wait_for, write

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves the tests of this file; its end is checked there"),
]
SLOTS = 3


@pytest.fixture(scope="module")
def cluster():
    """A running MiniCluster."""
    config = Configuration.from_dict({"slot.request.timeout": "4 s", "log.level": "ERROR"})
    with MiniCluster(config, slots=SLOTS) as running:
        running.wait_ready()
        yield running


@pytest.fixture
def client(cluster):
    """A connection to its JobManager."""
    with contextlib.closing(JobManagerClient(cluster.address, cluster.token)) as made:
        yield made


@pytest.mark.parametrize("case", rescale_matrix.SHORT, ids=str)
def test_rescaled_in_place(cluster, tmp_path, case):
    """T19, short form: ``python -m tests.fault.rescale_matrix`` has all cases."""
    rescale_matrix.run(case, cluster, tmp_path)


def test_rescaled_under_load_and_judged_from_outside(tmp_path):
    """T20, short form: ``python -m tests.fault.live_rescale`` runs longer."""
    report = live_rescale.one_run(tmp_path, rows=60_000, rate=20_000, steps=(3, 1), seed=1)
    assert not violations(report), report
    assert report["restarts"] == 0
    assert report["processes_stayed"], report
    print("pauses of a live rescale, ms:", report["pauses_ms"])
    # The best of them: a busy machine only adds, and the first step wakes a process that is cold.
    assert min(report["pauses_ms"]) <= live_rescale.PAUSE_SECONDS_MAX * 1000, report


def test_a_failed_region_restarts_alone_and_the_processes_stay(cluster, client, tmp_path):
    """Forward edges only: each subtask is a region. Failures, then a second job, no new process."""
    pids = slot_pids(client)
    trip, output = tmp_path / "trip", tmp_path / "out"
    env = environment(
        cluster,
        parallelism=SLOTS,
        **{
            "execution.checkpointing.interval": "60 ms",
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": "5",
            "restart-strategy.fixed-delay.delay": "10 ms",
            # On a busy machine two failures may hit one record: they are the test's, not its.
            "restart-strategy.max-failures-per-record": "0",
        },
    )
    stage = Stage(env, tmp_path, pause_ms=4)  # 3.2 s of data
    splits = [[[(s, i)] for i in range(400)] for s in range(2 * SLOTS)]
    write(stage.source(splits).map(Stumbles(str(trip))), output, "text")
    with env.execute_async("regions") as job:
        for number in range(5):
            wait_for(lambda: published(output, "text"), job)
            trip.touch()
            wait_for(lambda n=number: client.job(job.job_id).summary.restarts > n, job)
            wait_for(lambda: all_run(client.job(job.job_id)), job)
        attempts = [s.attempt for v in client.job(job.job_id).vertices for s in v.subtasks]
        details = finish(job)
    assert details.summary.restarts == 5
    assert sorted(attempts)[:2] == [1, 1], "only the first subtask fails"
    assert max(attempts) == 6
    found = sorted(published(output, "text"))
    assert found == sorted((s, i) for s in range(2 * SLOTS) for i in range(400))
    assert not list(output.glob(".pending/*")), "files left unpublished"
    again = environment(cluster, parallelism=SLOTS)
    write(Stage(again, tmp_path).source(splits, name="second"), tmp_path / "second", "text")
    finish(again.execute_async("second"))
    assert slot_pids(client) == pids


def test_a_function_that_never_returns_costs_its_process_and_nothing_else(
    cluster, client, tmp_path
):
    pids = slot_pids(client)
    env = environment(
        cluster,
        parallelism=1,
        **{"task.cancellation.timeout": "300 ms", "execution.checkpointing.interval": "60 ms"},
    )
    marker = tmp_path / "marker"
    write(Stage(env, tmp_path).source([[[1]]]).map(Hangs(str(marker))), tmp_path / "out", "text")
    with env.execute_async("hangs") as job:
        wait_for(marker.exists, job)
        job.cancel_and_wait()
        assert job.status() is JobStatus.CANCELED
    wait_for(lambda: client.cluster().slots_available == SLOTS, what="free slots")
    assert len(slot_pids(client) - pids) == 1


def test_a_record_that_fails_at_every_restart_ends_the_job_by_name(cluster, client, tmp_path):
    env = environment(cluster, parallelism=1, **POISON)
    write(Stage(env, tmp_path).source(NUMBERS).map(picky), tmp_path / "out", "text")
    with env.execute_async("poison") as job, pytest.raises(JobExecutionError) as caught:
        job.wait()
    assert "LESTO-6103" in str(caught.value)
    assert "one record has failed 3 times" in str(caught.value)
    assert client.job(job.job_id).summary.restarts == 2


def test_dead_letters_go_to_their_sink_exactly_once_and_the_job_goes_on(cluster, tmp_path):
    env = environment(cluster, parallelism=2, **POISON)
    letters = FileSink(str(tmp_path / "letters"), "jsonl")
    stream = Stage(env, tmp_path).source(NUMBERS).map(picky).with_dead_letter(letters)
    write(stream, tmp_path / "out", "text")
    details = finish(env.execute_async("dead letters"))
    assert details.summary.restarts == 0
    assert sorted(published(tmp_path / "out", "text")) == [n for n in range(40) if n % 7]
    aside = published(tmp_path / "letters", "jsonl")
    assert sorted(letter[0] for letter in aside) == [n for n in range(40) if not n % 7]
    assert {letter[1] for letter in aside} == {"ValueError: no sevens"}


POISON = {
    "execution.checkpointing.interval": "30 ms",
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "9",
    "restart-strategy.fixed-delay.delay": "10 ms",
}
NUMBERS = [[[n] for n in range(20)], [[n] for n in range(20, 40)]]


def picky(value):
    """Does not bear sevens."""
    if value % 7 == 0:
        raise ValueError("no sevens")
    return value


class Stumbles(MapFunction):
    """Fails in the first subtask when a file appears."""

    def __init__(self, trip):
        self.trip = trip

    def open(self, runtime_context):
        self.first = runtime_context.get_index_of_this_subtask() == 0

    def map(self, value):
        if self.first:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.trip)
                raise RuntimeError("scripted failure")
        return value


class Hangs(MapFunction):
    """Says so and never returns."""

    def __init__(self, marker):
        self.marker = marker

    def map(self, value):
        Path(self.marker).touch()
        while True:
            time.sleep(0.1)


def slot_pids(client):
    """Processes of all slots."""
    managers = client.cluster().taskmanagers
    return {slot.pid for manager in managers for slot in manager.slots}


def all_run(details):
    """Whether every task is RUNNING."""
    return details.summary.tasks_running == details.summary.tasks_total


def test_a_reactive_job_follows_the_taskmanagers_that_come_and_go(tmp_path):
    """1 slot, then 2, then 1 again: the parallelism follows, and every record counts once."""
    options = {
        "scheduler-mode": "reactive",
        "jobmanager.adaptive-scheduler.submission.resource-stabilization-timeout": "300 ms",
        "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout": "200 ms",
        "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling": "200 ms",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "9",
        "restart-strategy.fixed-delay.delay": "50 ms",
        "execution.checkpointing.interval": "200ms",
    }
    case, gate, output = rescale_matrix.Case("pipeline", 2, ()), tmp_path / "gate", tmp_path / "out"
    with Cluster(tmp_path, taskmanagers=1, slots=1, options=options) as running:
        env = environment(running, parallelism=2, **options)
        stage = Stage(env, tmp_path, hold=0.5, release=gate)
        write(rescale_matrix.build(case, stage), output, "text")
        with env.execute_async("reactive") as job:
            wait_for(lambda: widths(running, job) == {1}, job, what="parallelism 1")
            second = running.start_taskmanager()
            wait_for(lambda: widths(running, job) == {2}, job, what="parallelism 2")
            wait_for(lambda: all_run(running.job(job.job_id)), job, what="all tasks")
            second.kill()
            wait_for(lambda: widths(running, job) == {1}, job, what="parallelism 1 again")
            gate.touch()
            details = finish(job)
    assert not rescale_matrix.problems(case, published(output, "text"))
    assert details.summary.restarts >= 1


def widths(running, job):
    """Parallelism of the job's vertices."""
    return {vertex.parallelism for vertex in running.job(job.job_id).vertices}
