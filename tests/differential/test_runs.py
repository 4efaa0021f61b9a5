"""Every query in Lesto: straight, in batch mode, and stopped in the middle and restored wider.

Many queries are one job. When a job fails, each of its queries is run alone to say which is at
fault. ``python -m tests.differential`` is the long form: each query alone, in each way.
"""

import pytest

from tests.differential import running
from tests.differential.corpus import queries

QUERIES_A_JOB = 48
JOBS = running.together(list(queries()), QUERIES_A_JOB)
BACKENDS = (("hashmap", "rocksdb"), ("rocksdb", "hashmap"))


pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.leaks_ok("one cluster serves all runs; its end is checked by the suite's last"),
]


def names(job):
    return job[0].name


@pytest.mark.parametrize("job", JOBS, ids=names)
def test_straight(cluster, tmp_path, job):
    assert not running.told(running.straight, cluster, job, tmp_path)


@pytest.mark.parametrize("job", JOBS[::3], ids=names)  # all of them in the long form
def test_in_batch_mode(cluster, tmp_path, job):
    assert not running.told(running.batch, cluster, job, tmp_path)


@pytest.mark.parametrize("job", JOBS, ids=names)
def test_stopped_and_restored_wider(cluster, tmp_path, job):
    backends = BACKENDS[JOBS.index(job) % 2]
    assert not running.told(running.stopped_and_restored, cluster, job, tmp_path, backends=backends)
