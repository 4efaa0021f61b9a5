"""The pytest plugin: ``lesto_cluster``, ``lesto_env`` and ``lesto_clock``.

Loaded by the entry point ``pytest11`` in every test run where Lesto is installed, so it imports
nothing of Lesto before a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lesto.client.datastream.environment import StreamExecutionEnvironment
    from lesto.common.clock import VirtualClock
    from lesto.testing.cluster import TestCluster


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--lesto-slots``."""
    group = parser.getgroup("lesto")
    group.addoption(
        "--lesto-slots", type=int, default=4, help="slots of the cluster that tests share"
    )


@pytest.fixture(scope="session")
def lesto_cluster(request: pytest.FixtureRequest) -> Iterator[TestCluster]:
    """A warm cluster, started at the first test that asks and shared by all."""
    from lesto.testing.cluster import TestCluster

    with TestCluster(slots=request.config.getoption("--lesto-slots")) as cluster:
        yield cluster


@pytest.fixture
def lesto_env(lesto_cluster: TestCluster) -> StreamExecutionEnvironment:
    """A new environment on the shared cluster, at parallelism 1."""
    return lesto_cluster.environment()


@pytest.fixture
def lesto_clock() -> VirtualClock:
    """A clock that moves only when told to, at 0 ms."""
    from lesto.common.clock import VirtualClock

    return VirtualClock()
