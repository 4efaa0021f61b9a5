"""Aligned sources stay together in event time, whatever their speed."""

import pytest

from lesto.common import WatermarkStrategy
from tests.golden.gated_source import GatedSource
from tests.golden.harness import environment, finish, published, write

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves all golden tests; its end is checked there"),
]
BATCHES = 40
ROWS = 5
STEP_MS = 100
DRIFT_MS = 1_000


def lead(results):
    """How far the quick source was ahead of the slow one at most, in the order of the sink."""
    newest, most = {"quick": 0, "slow": 0}, 0
    for name, time in results:
        newest[name] = max(newest[name], time)
        if newest["slow"] < BATCHES * ROWS * STEP_MS - STEP_MS:
            most = max(most, newest["quick"] - newest["slow"])
    return most


@pytest.mark.parametrize("aligned", [True, False])
def test_the_quick_source_waits_for_the_slow_one(cluster, tmp_path, aligned):
    env = environment(cluster)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
        lambda record, _: record[1]
    )
    if aligned:
        strategy = strategy.with_watermark_alignment("pair", DRIFT_MS, 10)
    streams = []
    for name, pause_ms in (("quick", 0), ("slow", 30)):
        records = [(name, n * STEP_MS) for n in range(BATCHES * ROWS)]
        batches = [records[i : i + ROWS] for i in range(0, len(records), ROWS)]
        source = GatedSource([batches], pause_ms=pause_ms)
        streams.append(env.from_source(source, strategy, name).name(name))
    write(streams[0].union(streams[1]), tmp_path / "out", "text")
    finish(env.execute_async("aligned"))
    results = published(tmp_path / "out", "text")
    assert len(results) == 2 * BATCHES * ROWS
    if aligned:
        # A batch more than the drift, and what the slow one reads between two reports.
        assert lead(results) <= DRIFT_MS + 8 * ROWS * STEP_MS
    else:
        assert lead(results) > 5 * DRIFT_MS
