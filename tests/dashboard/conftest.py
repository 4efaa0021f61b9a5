"""A browser, real clusters, and a server of fifty jobs, for all tests of the dashboard."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from dashboard_browser import chromium, visiting
from dashboard_cluster import dev_cluster
from dashboard_jobs import FAILING, ORDERS, WORDS
from dashboard_model import ModelJobManager

from lesto.common.config import Configuration
from lesto.common.metrics import MetricRegistry
from lesto.jobmanager.server.rest.server import RestServer


@pytest.fixture(scope="package")
def browser():
    """Debian's chromium."""
    with chromium() as running:
        yield running


@pytest.fixture(scope="package")
def empty_cluster(tmp_path_factory):
    """A cluster that never gets a job."""
    with dev_cluster(tmp_path_factory.mktemp("empty"), slots=1) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def cluster(tmp_path_factory):
    """A cluster for jobs: see ``jobs``."""
    with dev_cluster(tmp_path_factory.mktemp("cluster"), slots=4) as running:
        yield running


@pytest.fixture(scope="package")
def jobs(cluster, tmp_path_factory):
    """Ids of the jobs on ``cluster``: running, failed, finished."""
    folder = tmp_path_factory.mktemp("jobs")

    def submit(name, text, arguments, state):
        script = folder / f"{name}.py"
        script.write_text(text)
        job = cluster.run(script, *arguments)
        cluster.wait_state(job, state)
        return name, job

    with ThreadPoolExecutor() as pool:
        started = [
            pool.submit(submit, "running", ORDERS, ("-p", "2"), "RUNNING"),
            pool.submit(submit, "failed", FAILING, ("-D", "restart-strategy.type=none"), "FAILED"),
            pool.submit(submit, "finished", WORDS, (), "FINISHED"),
        ]
        return dict(one.result() for one in started)


@pytest.fixture
def visit(browser, cluster, jobs):
    """A tab at the cluster that has jobs."""
    with visiting(browser, cluster.rest) as open_tab:
        yield open_tab


@pytest.fixture
def visit_empty(browser, empty_cluster):
    """A tab at the cluster that has none."""
    with visiting(browser, empty_cluster.rest) as open_tab:
        yield open_tab


@pytest.fixture
def fifty():
    """A real REST server over a model of fifty jobs: its address."""
    values = {"rest.port": 0}
    server = RestServer(Configuration.from_dict(values), MetricRegistry())
    try:
        yield server.start(ModelJobManager())
    finally:
        server.stop()


@pytest.fixture
def visit_fifty(browser, fifty):
    """A tab at fifty jobs."""
    with visiting(browser, fifty) as open_tab:
        yield open_tab
