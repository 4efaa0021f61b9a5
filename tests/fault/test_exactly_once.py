"""The short form of ``exactly_once.py``: kill -9 twice, judged from outside."""

import pytest

from tests.fault.exactly_once import one_run, violations


@pytest.mark.fault
@pytest.mark.timeout(150)
def test_nothing_is_lost_or_doubled_when_processes_are_killed(tmp_path):
    # RocksDB is killed in test_faults.py.
    report = one_run(tmp_path, rows=120_000, rate=20_000, kills=2, seed=7, backend="hashmap")
    assert not violations(report), report
    assert report["restarts"] >= 1, report
    assert report["checkpoints"] >= 3, report
