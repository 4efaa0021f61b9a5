"""Rescaling in place and failover on real processes; the long forms are modules beside this."""

import contextlib

import pytest

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.common import Configuration
from tests.fault import live_rescale, rescale_matrix
from tests.fault.exactly_once import violations

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
    report = live_rescale.one_run(tmp_path, rows=90_000, rate=20_000, steps=(3, 1), seed=1)
    assert not violations(report), report
    assert report["restarts"] == 0
    assert report["processes_stayed"], report
    print("pauses of a live rescale, ms:", report["pauses_ms"])
    assert max(report["pauses_ms"]) <= live_rescale.PAUSE_SECONDS_MAX * 1000, report
