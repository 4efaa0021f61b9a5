"""Steps of a task stay short, whatever a record costs."""

from hypothesis import given
from hypothesis import strategies as st

from lesto.taskmanager.core.pacing import FIRST_ROWS, STEP_US, StepPacer


def drive(pacer, costs_us, batch_rows):
    """Process batches of ``batch_rows``; the longest step after each change of cost has settled."""
    durations = []
    for cost_us in costs_us:
        left = batch_rows
        while left:
            rows = pacer.rows(left)
            assert 1 <= rows <= left
            durations.append(rows * cost_us)
            pacer.measured(rows, rows * cost_us)
            left -= rows
    return durations


def test_an_ordinary_batch_is_taken_whole_after_the_first_piece():
    pacer = StepPacer()
    assert pacer.rows(32_768) == FIRST_ROWS
    pacer.measured(FIRST_ROWS, FIRST_ROWS * 0.5)
    assert pacer.rows(32_768) == 32_768


def test_records_that_take_longer_than_a_step_are_taken_one_by_one():
    pacer = StepPacer()
    pacer.measured(1, 10 * STEP_US)
    assert pacer.rows(1_000) == 1


def test_a_function_that_becomes_slow_is_cut_at_the_next_step():
    pacer = StepPacer()
    drive(pacer, [0.5], 32_768)
    durations = drive(pacer, [500.0], 32_768)
    # The first batch is taken whole, as nobody could know; what comes next is short.
    assert max(durations[1:], default=0) <= 2 * STEP_US


def test_a_function_that_becomes_quick_gets_whole_batches_again():
    pacer = StepPacer()
    drive(pacer, [500.0], 4_096)
    drive(pacer, [0.5] * 4, 4_096)
    assert pacer.rows(4_096) == 4_096


@given(
    cost_us=st.floats(0.001, 50_000),
    batch_rows=st.integers(1, 40_000),
)
def test_steps_at_a_steady_cost_stay_within_the_limit(cost_us, batch_rows):
    pacer = StepPacer()
    first, *rest = drive(pacer, [cost_us], min(batch_rows, 5_000))
    assert first <= FIRST_ROWS * cost_us
    assert all(step <= max(STEP_US, cost_us) * 1.001 for step in rest)
