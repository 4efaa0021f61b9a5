"""One cluster of three slots for every test of this folder: starting slots is most of the cost."""

import pytest

from lesto.client.jobmanager_client import ENDED_STATES, JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.common import Configuration
from tests.golden.harness import SLOTS, wait_for


@pytest.fixture(scope="package")
def cluster():
    """A running MiniCluster."""
    config = Configuration.from_dict({"slot.request.timeout": "4 s", "log.level": "ERROR"})
    with MiniCluster(config, slots=SLOTS) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="package")
def jobmanager(cluster):
    """A connection to its JobManager."""
    with JobManagerClient(cluster.address, cluster.token) as client:
        yield client


@pytest.fixture(autouse=True)
def _no_job_is_left(jobmanager):
    """Whatever a test does, its jobs are gone and all slots are free for the next."""
    yield
    for job in jobmanager.jobs():
        if job.state not in ENDED_STATES:
            jobmanager.cancel(job.job_id)
    wait_for(lambda: jobmanager.cluster().slots_available == SLOTS, what="free slots")
