"""T17 in short: a slow sink, a hot key, one process killed, checkpoints quick all the same."""

import pytest

from tests.fault.unaligned import one_run, wrong


@pytest.mark.fault
@pytest.mark.timeout(120)
def test_checkpoints_under_full_backpressure_are_quick_and_nothing_is_lost(tmp_path):
    report = one_run(tmp_path, mode="unaligned", rows=5_000, kills=1, seed=1)
    assert not wrong(report), report
    assert report["killed"], report
    assert report["restarts"] >= 1, report
