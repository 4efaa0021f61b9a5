"""One cluster of three slots for every test of this folder: starting slots is most of the cost."""

import pytest

from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.minicluster import MiniCluster
from lesto.common import Configuration
from tests.golden.harness import SLOTS


@pytest.fixture(scope="session")
def cluster():
    """A running MiniCluster."""
    config = Configuration.from_dict({"slot.request.timeout": "4 s", "log.level": "ERROR"})
    with MiniCluster(config, slots=SLOTS) as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="session")
def jobmanager(cluster):
    """A connection to its JobManager."""
    with JobManagerClient(cluster.address, cluster.token) as client:
        yield client
