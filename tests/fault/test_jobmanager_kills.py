"""The short forms of ``jobmanager_kills.py``, and what clients see of a failover."""

import collections
import contextlib
import subprocess
import threading
import time
from pathlib import Path

import pytest

from lesto.proto import client_pb2 as pb
from tests.fault.cluster import LESTO
from tests.fault.exactly_once import violations
from tests.fault.ha_cluster import HaCluster
from tests.fault.jobmanager_kills import (
    HEARTBEATS,
    OPTIONS,
    RUNNING_P95_SECONDS,
    check_log,
    one_run,
    pause,
    standby,
)

COLLECT = Path(__file__).parent / "collect_job.py"


@pytest.mark.fault
@pytest.mark.timeout(120)
def test_a_job_outlives_its_leaders_and_a_paused_one_writes_nothing(tmp_path):
    report = one_run(tmp_path, [standby, pause], rows=120_000, rate=15_000, seed=5)
    print(report["figures"])
    assert not violations(report), report
    assert report["killed"] == ["standby", "pause"], "not everything was done to the JobManagers"
    assert max(f["running"] for f in report["figures"]) < 3 * RUNNING_P95_SECONDS, report["figures"]
    assert report["restarts"] == 2, report
    assert report["tasks_left"] == 0, report


def lesto_run(cluster, *arguments, **options):
    """`lesto run` attached, as a process."""
    command = [*LESTO, "run", "-q", "-m", cluster.address, "-D", f"security.token={cluster.token}"]
    command += [x for k, v in OPTIONS.items() for x in ("-D", f"{k}={v}")]
    return subprocess.Popen(
        [*command, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        **options,
    )  # fmt: skip


@pytest.mark.fault
@pytest.mark.timeout(120)
def test_clients_watch_fetch_and_submit_across_a_failover(tmp_path):
    """Two jobs at once: results are fetched of one, the other is submitted while the leader dies.

    Design of this test. The first client has had results when the only JobManager is killed, and
    must in the end have had each exactly once. The second one is started so that the kill hits it
    anywhere between its start and its job's first record; whatever was hit, it is one job.
    """
    rows = 6_000
    with HaCluster(
        tmp_path, jobmanagers=1, taskmanagers=2, slots=1, options=HEARTBEATS, keep_jobmanager=True
    ) as cluster:
        first = lesto_run(cluster, "-p", 1, COLLECT, "--rows", rows, "--rate", 1_000)
        had, lines = threading.Event(), []

        def read():
            for line in first.stdout:
                lines.append(int(line))
                had.set()

        reader = threading.Thread(target=read)
        reader.start()
        second = None
        try:
            assert had.wait(60), first.stderr
            second = lesto_run(cluster, "-p", 1, COLLECT, "--rows", 500, "--rate", 1_000)
            until_submitted(cluster, 2, seconds=20)
            cluster.members[0].kill()
            cluster.members[0].wait()
            out, errors = second.communicate(timeout=60)
            assert second.returncode == 0, errors
            assert sorted(map(int, out.split())) == list(range(500))
            assert first.wait(60) == 0, first.stderr.read()
            reader.join(20)
            assert not [n for n, times in collections.Counter(lines).items() if times > 1]
            assert sorted(lines) == list(range(rows))
        finally:
            for process in (first, second):
                if process is not None:
                    process.kill()
                    process.communicate()
            reader.join(20)
        jobs = cluster.jobs()
        assert [job.state for job in jobs] == [pb.JOB_STATE_FINISHED] * 2, jobs
        for job in jobs:
            check_log(cluster.log(job.job_id))


def until_submitted(cluster, count, *, seconds):
    """Until so many jobs have their first entry in storage: their submission may not be answered
    yet.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            jobs = list((cluster.ha / "jobs").iterdir())
            if sum((job / "log" / f"{1:012}").exists() for job in jobs) >= count:
                return
        time.sleep(0.001)
    pytest.fail("the job was not submitted")
