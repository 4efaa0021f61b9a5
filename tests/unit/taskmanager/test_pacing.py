"""Steps of a task stay short, whatever a record costs."""

import random
import statistics

from hypothesis import given
from hypothesis import strategies as st

from lesto.taskmanager.core.pacing import FIRST_ROWS, STEP_MAX_NS, STEP_NS, Pacer


def drive(pacer, costs_ns, batch_rows):
    """Process a batch at each cost; how long the steps took, ns."""
    durations = []
    for cost_ns in costs_ns:
        left = batch_rows
        while left:
            rows = min(pacer.rows, left)
            assert rows >= 1
            durations.append(rows * cost_ns)
            pacer.observe(rows, rows * cost_ns)
            left -= rows
    return durations


def test_an_ordinary_batch_is_taken_whole_after_the_first_piece():
    pacer = Pacer()
    assert pacer.rows == FIRST_ROWS
    pacer.observe(FIRST_ROWS, FIRST_ROWS * 100)
    assert pacer.rows >= 32_768


def test_what_takes_no_time_is_not_cut():
    pacer = Pacer()
    pacer.observe(FIRST_ROWS, 0)
    assert pacer.rows >= 1 << 30


def test_records_that_take_longer_than_a_step_are_taken_one_by_one():
    pacer = Pacer()
    pacer.observe(1, 10 * STEP_NS)
    assert pacer.rows == 1


def test_a_function_that_becomes_slow_is_cut_at_the_next_step():
    pacer = Pacer()
    drive(pacer, [500], 32_768)
    durations = drive(pacer, [500_000], 32_768)
    # The first batch is taken whole, as nobody could know; what comes next is short.
    assert max(durations[1:], default=0) <= 2 * STEP_NS


def test_a_function_that_becomes_quick_gets_whole_batches_again():
    pacer = Pacer()
    drive(pacer, [500_000], 4_096)
    drive(pacer, [500] * 10, 4_096)
    assert pacer.rows >= 4_096


@given(cost_ns=st.integers(1, 50_000_000), batch_rows=st.integers(1, 5_000))
def test_steps_at_a_steady_cost_stay_within_the_limit(cost_ns, batch_rows):
    first, *rest = drive(Pacer(), [cost_ns], batch_rows)
    assert first <= FIRST_ROWS * cost_ns
    assert all(step <= max(STEP_NS, cost_ns) * 1.001 for step in rest)


@given(fixed_ms=st.integers(10, 2_000), row_ns=st.integers(0, 2_000))
def test_a_step_with_a_price_of_its_own_takes_whole_batches_soon(fixed_ms, row_ns):
    """A remote call a batch: one record at a time would cost as much as thousands."""
    pacer = Pacer()
    steps = []
    for _ in range(12):
        left = 8_192
        while left:
            rows = min(pacer.rows, left)
            pacer.observe(rows, fixed_ms * 1_000_000 + rows * row_ns)
            steps.append(rows)
            left -= rows
    assert steps[-3:] == [8_192] * 3
    assert len(steps) < 60


def test_what_was_flat_and_grows_with_the_records_is_cut_again():
    pacer = Pacer()
    for _ in range(20):
        pacer.observe(min(pacer.rows, 8_192), 100_000_000)
    assert pacer.rows >= 8_192
    durations = drive(pacer, [1_000_000] * 2, 8_192)
    assert max(durations[1:]) <= 2 * STEP_NS


@given(
    call_us=st.integers(20, 2_000),
    row_ns=st.integers(200, 500_000),
    batch_rows=st.integers(1_000, 32_768),
)
def test_steps_are_as_short_as_what_a_call_costs_lets_them(call_us, row_ns, batch_rows):
    """A small part of a step at most, or the longest step; never longer than that."""
    pacer = Pacer()
    steps = []
    for _ in range(12):
        left = batch_rows
        while left:
            rows = min(pacer.rows, left)
            took_ns = call_us * 1_000 + rows * row_ns
            pacer.observe(rows, took_ns)
            steps.append((rows == left, took_ns))
            left -= rows
            if len(steps) > 2_000:
                break
    whole = [took_ns for last, took_ns in steps[len(steps) // 2 :] if not last]
    wanted_ns = min(max(50 * call_us * 1_000, STEP_NS), STEP_MAX_NS)
    assert all(took_ns <= max(wanted_ns, STEP_NS) * 1.01 + 2 * row_ns for took_ns in whole)
    assert all(took_ns >= wanted_ns / 2 - row_ns for took_ns in whole[-5:])


def test_noise_does_not_make_steps_long():
    """A busy machine: records that wait half a millisecond each."""
    noise = random.Random(7)
    pacer = Pacer()
    steps = []
    for _ in range(400):
        left = 300
        while left:
            rows = min(pacer.rows, left)
            pacer.observe(rows, int(rows * 560_000 * (1 + abs(noise.gauss(0, 0.3)))))
            steps.append(rows * 560_000)
            left -= rows
    assert statistics.median(steps[100:]) <= STEP_NS
