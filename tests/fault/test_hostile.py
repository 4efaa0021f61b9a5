"""The scenario of ``hostile.py`` that ``test_faults.py`` has not: kills around the last commit."""

import pytest

from tests.fault.exactly_once import violations
from tests.fault.hostile import at_end, attack


@pytest.mark.fault
@pytest.mark.timeout(150)
def test_nothing_is_lost_or_doubled(tmp_path):
    report = attack(tmp_path, at_end, rows=40_000, rate=10_000, seed=3, backend="hashmap")
    assert not violations(report), report
    assert report["killed"], "nothing was done to the job"
    assert report["free_slots"] == 2, report
    assert report["pending_left"] == 0, report
