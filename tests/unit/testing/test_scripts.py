"""Scripted sources, collecting sinks and the exactly-once assertion on a real cluster."""

import pytest

from lesto.client.job_client import JobExecutionError
from lesto.common import WatermarkStrategy
from lesto.datastream import KeyedProcessFunction
from lesto.datastream.state import ValueStateDescriptor
from lesto.testing import (
    ABORT,
    CHECKPOINT,
    Abort,
    At,
    CollectingSink,
    ExactlyOnceError,
    ScriptedSource,
    TestCluster,
    TestKitError,
    TestSource,
    Wait,
    assert_exactly_once,
)

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves these tests; its end is checked in tests/cluster"),
]

NONE = WatermarkStrategy.no_watermarks()


@pytest.fixture(scope="module")
def cluster():
    with TestCluster(slots=2) as made:
        yield made


def run(cluster, source, pipeline=lambda s: s, **config):
    env = cluster.environment(config=config)
    sink = CollectingSink()
    pipeline(env.from_source(source, NONE, "script")).sink_to(sink)
    return env.execute(), sink


def test_a_script_is_read_in_order_and_its_failures_leave_no_trace(cluster):
    script = [1, 2, CHECKPOINT, 3, ABORT, 4, Wait(5), Abort(times=2), 5]
    source = TestSource(script)
    result, sink = run(cluster, source)
    assert sink.results == [1, 2, 3, 4, 5]
    assert result.get_job_id() is not None


def test_splits_event_times_and_clear(cluster):
    _, sink = run(cluster, ScriptedSource([At("a", 5), At("b", 7)], ["c"]))
    assert sorted(sink.timed_results, key=repr) == [("a", 5), ("b", 7), ("c", None)]
    sink.clear()
    assert sink.results == []


def test_without_a_restart_an_abort_ends_the_job(cluster):
    with pytest.raises(JobExecutionError, match=r"ABORT at item 1 of script 0 \[LESTO-7002\]"):
        run(cluster, ScriptedSource([1, ABORT, 2]), **{"restart-strategy.type": "none"})


class Sums(KeyedProcessFunction):
    def open(self, runtime_context):
        self.sum = runtime_context.get_state(ValueStateDescriptor("sum"))

    def process_element(self, value, ctx):
        self.sum.update((self.sum.value() or 0) + value)
        yield value % 3, self.sum.value()


class Careless(Sums):
    """Keeps its sum where no checkpoint sees it."""

    def open(self, runtime_context):
        self.sums = {}

    def process_element(self, value, ctx):
        self.sums[value % 3] = self.sums.get(value % 3, 0) + value
        yield value % 3, self.sums[value % 3]


def test_exactly_once_holds_for_state_in_checkpoints(cluster):
    results = assert_exactly_once(
        cluster, lambda s: s.key_by(lambda v: v % 3).process(Sums()), range(30), parallelism=2
    )
    assert len(results) == 30
    assert (0, sum(range(0, 30, 3))) in results


def test_exactly_once_fails_for_state_outside_of_checkpoints(cluster):
    with pytest.raises(ExactlyOnceError, match=r"results lost .* too many"):
        assert_exactly_once(
            cluster, lambda s: s.key_by(lambda v: v % 3).process(Careless()), range(30)
        )


def test_scripts_and_failures_that_make_no_sense():
    with pytest.raises(TestKitError, match="a script is a list of items, not 3"):
        ScriptedSource(3)
    with pytest.raises(TestKitError, match=r"failures behind the items \[9\] of 2"):
        assert_exactly_once(None, lambda s: s, [1, 2], failures=[9])


def test_sources_and_sinks_that_the_test_keeps_no_name_of_live_as_long_as_the_job(cluster):
    env = cluster.environment()
    numbers = env.from_source(TestSource([1, ABORT, 2]), NONE, "script")
    numbers.sink_to(CollectingSink())
    sink = CollectingSink()
    numbers.sink_to(sink)
    del numbers
    env.execute()
    assert sink.results == [1, 2]
