"""Two of the scenarios of ``hostile.py``, short."""

import pytest

from tests.fault.exactly_once import violations
from tests.fault.hostile import at_end, attack, pause_taskmanager


@pytest.mark.fault
@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("scenario", "backend"), [(pause_taskmanager, "rocksdb"), (at_end, "hashmap")]
)
def test_nothing_is_lost_or_doubled(tmp_path, scenario, backend):
    report = attack(tmp_path, scenario, rows=40_000, rate=10_000, seed=3, backend=backend)
    assert not violations(report), report
    assert report["killed"], "nothing was done to the job"
    assert report["free_slots"] == 2, report
    assert report["pending_left"] == 0, report
