"""A real TaskManager under a JobManager that the test plays."""

import pytest
from played_jobmanager import FakeJobManager, Host, JobBuilder


@pytest.fixture
def jobmanager():
    jm = FakeJobManager()
    yield jm
    jm.stop()


@pytest.fixture
def cluster(jobmanager):
    """``cluster(slots, **options)`` starts a TaskManager; gives (jobmanager, slots)."""
    hosts = []

    def start(slots, **options):
        hosts.append(Host(jobmanager.port, slots, **options))
        return jobmanager, jobmanager.ready_slots(slots)

    yield start
    for host in hosts:
        host.stop()


@pytest.fixture
def job():
    return JobBuilder


@pytest.fixture
def fake_jobmanager():
    return FakeJobManager


@pytest.fixture
def host():
    return Host
