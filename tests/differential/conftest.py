"""One cluster for all runs of the suite."""

import pytest

from lesto.client.minicluster import MiniCluster
from lesto.common import Configuration

SLOTS = 3


@pytest.fixture(scope="package")
def cluster():
    """A running MiniCluster."""
    config = Configuration.from_dict({"slot.request.timeout": "4 s", "log.level": "ERROR"})
    with MiniCluster(config, slots=SLOTS) as running:
        running.wait_ready()
        yield running
