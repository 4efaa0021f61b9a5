"""Clusters for tests: one that a whole test run shares, and environments on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.minicluster import MiniCluster
from lesto.client.run_options import RunOptions
from lesto.common.config import Configuration

#: What a test's job runs with unless told otherwise: short waits, and failures that a test asks for
#: are recovered from.
ENVIRONMENT_DEFAULTS: Mapping[str, str] = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "20",
    "restart-strategy.fixed-delay.delay": "0 ms",
    "restart-strategy.restart-on-user-errors": "false",
    "execution.checkpointing.interval": "50 ms",
    "state.backend.type": "hashmap",
}


class TestCluster(MiniCluster):
    """A mini-cluster which makes environments.

    It is there in some milliseconds; its slots come up in the background (half a second), and the
    first job waits for them.

    >>> with TestCluster(slots=2) as cluster:  # doctest: +SKIP
    ...     env = cluster.environment(parallelism=2)
    """

    __test__ = False

    def environment(
        self,
        *,
        parallelism: int = 1,
        savepoint: str = "",
        config: Mapping[str, Any] | None = None,
    ) -> StreamExecutionEnvironment:
        """A new environment whose jobs run here; see :func:`environment_on`."""
        return environment_on(self, parallelism=parallelism, savepoint=savepoint, config=config)


def environment_on(
    cluster: MiniCluster,
    *,
    parallelism: int = 1,
    savepoint: str = "",
    config: Mapping[str, Any] | None = None,
) -> StreamExecutionEnvironment:
    """A new environment whose jobs run on the cluster.

    Args:
        cluster: a started cluster.
        parallelism: of operators that set none.
        savepoint: checkpoint or savepoint to start from.
        config: options over :data:`ENVIRONMENT_DEFAULTS`.
    """
    values = {**ENVIRONMENT_DEFAULTS, **(config or {}), "security.token": cluster.token}
    settings = Configuration.from_dict({key: str(value) for key, value in values.items()})
    run = RunOptions(jobmanager=cluster.address, parallelism=parallelism, savepoint=savepoint)
    return StreamExecutionEnvironment(settings, run)
