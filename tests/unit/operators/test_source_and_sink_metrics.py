"""What sources, sinks and look-ups tell of themselves."""

import numpy as np
import pytest

from lesto.common.clock import VirtualClock
from lesto.common.elements import RowBatch
from lesto.common.metrics import MetricRegistry
from lesto.connectors.kafka.reader import KafkaReader
from lesto.connectors.kafka.splits import PartitionSplit
from lesto.taskmanager.operators.commit_metrics import CommitMetrics
from lesto.taskmanager.operators.errors import CommitFailedError
from lesto.taskmanager.operators.sink import commit_with_retries
from lesto.taskmanager.operators.source_metrics import SourceMetrics
from lesto.taskmanager.operators.sql.lookup_metrics import LookupMetrics


@pytest.fixture
def group():
    return MetricRegistry().group(operator="o")


def values(group):
    """Name to value of everything the group's registry shows."""
    return {
        sample.name.removeprefix("lesto_"): sample.value
        for family in group._registry.collect()
        for sample in family.samples
    }


class Fetcher:
    """The ends of partitions, as a thread would note them."""

    def __init__(self, ends):
        self.ends = ends

    def add(self, splits):
        pass


def test_kafkas_lag_is_what_lies_between_position_and_end():
    fetcher = Fetcher({("t", 0): 120, ("t", 1): 50})
    reader = KafkaReader(None, fetcher, commits=False)
    assert reader.pending_records() == 0, "no partitions, nothing pending"
    reader.add_splits([PartitionSplit("t", 0, 100), PartitionSplit("t", 1, 50)])
    assert reader.pending_records() == 20
    fetcher.ends = {("t", 0): 90}  # older than the position: what was read in between
    assert reader.pending_records() == 0
    fetcher.ends = {}
    assert reader.pending_records() is None, "not known yet"


class Context:
    def __init__(self, metrics):
        self.metrics = metrics
        self.clock = VirtualClock(now_ms=1_000_000)


class Reader:
    def pending_records(self):
        return 7


class Watermarks:
    splits = 3


def test_a_source_knows_how_old_records_are_when_fetched_and_when_emitted(group):
    context = Context(group)
    metrics = SourceMetrics(context, Reader(), Watermarks())
    assert "source_emit_event_time_lag_seconds" not in values(group), "nothing was read"
    metrics.fetched()
    context.clock.advance(2_000)
    metrics.emitted(RowBatch(["a", "b"], np.array([990_000, 995_000])))
    context.clock.advance(500)
    found = values(group)
    assert found["source_fetch_event_time_lag_seconds"] == 5
    assert found["source_emit_event_time_lag_seconds"] == 7
    assert found["source_idle_seconds"] == 0.5
    assert found["source_pending_records"] == 7
    assert found["source_splits"] == 3
    metrics.emitted(RowBatch(["no time"]))
    assert values(group)["source_emit_event_time_lag_seconds"] == 7


class Committer:
    """Fails some times."""

    def __init__(self, failures):
        self.failures = failures

    def commit(self, committables):
        if self.failures:
            self.failures -= 1
            raise ConnectionError


def test_commits_are_counted_with_their_attempts(group):
    metrics = CommitMetrics(group, lambda: 4)
    commit_with_retries(Committer(2), [b"a", b"b"], lambda _ms: None, metrics)
    found = values(group)
    assert found["sink_committables_committed_total"] == 2
    assert found["sink_committables_retried_total"] == 4
    assert found["sink_committables_failed_total"] == 0
    assert found["sink_committables_pending"] == 4
    assert found["sink_commit_seconds_count"] == 1
    with pytest.raises(CommitFailedError):
        commit_with_retries(Committer(99), [b"a"], lambda _ms: None, metrics)
    assert values(group)["sink_committables_failed_total"] == 1


def test_look_ups_are_counted(group):
    metrics = LookupMetrics(group, lambda: 5)
    assert "lookup_last_load_seconds" not in values(group)
    metrics.looked_into(10, 4)
    with metrics.load():
        pass
    with pytest.raises(ConnectionError), metrics.load():
        raise ConnectionError
    found = values(group)
    assert (found["lookup_cache_hits_total"], found["lookup_cache_misses_total"]) == (4, 6)
    assert (found["lookup_loads_total"], found["lookup_load_failures_total"]) == (1, 1)
    assert found["lookup_last_load_seconds"] >= 0
    assert found["lookup_cached_keys"] == 5
