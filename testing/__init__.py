"""What tests of pipelines need: a warm cluster, an operator harness, a source that fails on order.

::

    from lesto.testing import ABORT, CHECKPOINT, OperatorHarness, ScriptedSource

    def test_a_running_sum(lesto_env):                      # a cluster that all tests share
        stream = lesto_env.from_collection([1, 2, 3]).key_by(lambda v: 0).sum()
        assert list(stream.execute_and_collect()) == [1, 3, 6]

``pip install lesto`` brings the fixtures (``lesto_cluster``, ``lesto_env``, ``lesto_clock``) as a
pytest plugin. Nothing here is needed to run jobs.
"""

from __future__ import annotations

from lesto.common.clock import VirtualClock
from lesto.testing.cluster import TestCluster, environment_on
from lesto.testing.errors import NoCheckpointError, ScriptedAbortError, TestKitError
from lesto.testing.exactly_once import ExactlyOnceError, assert_exactly_once
from lesto.testing.harness import HarnessSnapshot, OperatorHarness
from lesto.testing.scripted_source import (
    ABORT,
    CHECKPOINT,
    Abort,
    At,
    ScriptedSource,
    TestSource,
    Wait,
)
from lesto.testing.sink import CollectingSink

__all__ = [
    "ABORT",
    "CHECKPOINT",
    "Abort",
    "At",
    "CollectingSink",
    "ExactlyOnceError",
    "HarnessSnapshot",
    "NoCheckpointError",
    "OperatorHarness",
    "ScriptedAbortError",
    "ScriptedSource",
    "TestCluster",
    "TestKitError",
    "TestSource",
    "VirtualClock",
    "Wait",
    "assert_exactly_once",
    "environment_on",
]
