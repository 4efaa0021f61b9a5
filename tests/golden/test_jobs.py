"""Each job straight, stopped in the middle and restored: the sink has what the model says."""

import pytest

from tests.golden import (
    batch_jobs,
    columnar_jobs,
    function_jobs,
    join_jobs,
    row_jobs,
    state_jobs,
    two_input_jobs,
    window_jobs,
)
from tests.golden.harness import Run

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves all golden tests; its end is checked there"),
]
JOBS = [
    *row_jobs.JOBS,
    *window_jobs.JOBS,
    *columnar_jobs.JOBS,
    *batch_jobs.JOBS,
    *two_input_jobs.JOBS,
    *function_jobs.JOBS,
    *join_jobs.JOBS,
    *state_jobs.JOBS,
]


@pytest.mark.parametrize("golden", JOBS, ids=str)
def test_job(cluster, tmp_path, golden):
    run = Run(cluster, golden, tmp_path)
    run.straight()
    run.restored(run.stopped())


#: Row and columnar state of each kind, timers and windows; sources with a gate.
IN_PLACE = ("states", "alarms", "sessions", "counted", "sums", "columnar_sliding", "broadcasts")


@pytest.mark.parametrize("golden", [j for j in JOBS if j.name in IN_PLACE], ids=str)
def test_job_rescaled_in_place(cluster, tmp_path, golden):
    Run(cluster, golden, tmp_path).rescaled()
