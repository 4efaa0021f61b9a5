"""Dead letters: the records a function fails on are set aside, all others are as without them."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from operator_harness import Harness

from lesto.common.elements import RowBatch
from lesto.common.functions import OutputTag
from lesto.taskmanager.operators.dead_letters import DeadLetterOperator
from lesto.taskmanager.operators.errors import UserFunctionError
from lesto.taskmanager.operators.stateless import FlatMapOperator, MapOperator, ProcessOperator

#: These operators keep no state: nothing is written there.
DIRECTORY = Path("/nowhere")


def picky(value):
    if value < 0:
        raise ValueError(f"{value} is negative")
    return 2 * value


class Yields:
    """Yields before it fails: what it has yielded goes too."""

    def process_element(self, value, ctx):
        yield value
        yield OutputTag("side"), value
        yield picky(value)


def test_failing_records_go_aside_with_the_error_and_its_line(harness):
    h = harness(DeadLetterOperator(MapOperator(picky), "dead"))
    h.feed([1, -5, 2], timestamps=[10, 20, 30])
    assert h.output.rows == [2, 4]
    (letter,) = h.output.sides.get("dead", [])
    assert letter.as_dict() == {
        "record": -5,
        "error": "ValueError: -5 is negative",
        "operator": h.context.operator_name,
        "location": letter.location,
        "timestamp": 20,
    }
    assert letter.location.startswith(__file__)


def test_what_a_record_gave_before_it_failed_is_dropped(harness):
    h = harness(DeadLetterOperator(ProcessOperator(Yields()), "dead"))
    h.feed([1, -1, 3])
    assert h.output.rows == [1, 2, 3, 6]
    assert h.output.sides["side"] == [1, 3]
    assert [letter.record for letter in h.output.sides.get("dead", [])] == [-1]


def test_an_os_error_is_no_record_s_fault(harness):
    def away(value):
        raise ConnectionRefusedError("the database is down")

    h = harness(DeadLetterOperator(MapOperator(away), "dead"))
    with pytest.raises(UserFunctionError, match="the database is down"):
        h.feed([1])
    assert h.output.sides.get("dead", []) == []


def test_an_error_behind_the_function_is_not_taken_for_its_own(harness):
    h = harness(DeadLetterOperator(MapOperator(picky), "dead"))

    def broken(batch):
        raise ValueError("downstream")

    h.output.emit = broken
    with pytest.raises(ValueError, match="downstream"):
        h.feed([1])


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=30), st.booleans())
def test_the_others_come_out_as_without_dead_letters(values, timed):
    times = list(range(100, 100 + len(values))) if timed else None
    good = [i for i, v in enumerate(values) if v >= 0]
    h = Harness(DeadLetterOperator(FlatMapOperator(lambda v: [picky(v)] * v), "dead"), DIRECTORY)
    h.feed(values, timestamps=times)
    plain = Harness(FlatMapOperator(lambda v: [picky(v)] * v), DIRECTORY)
    if good:
        plain.feed([values[i] for i in good], timestamps=times and [times[i] for i in good])
    assert h.output.rows == plain.output.rows
    assert h.output.timestamps == plain.output.timestamps
    assert [letter.record for letter in h.output.sides.get("dead", [])] == [
        v for v in values if v < 0
    ]


def test_batches_are_not_torn_apart(harness):
    h = harness(DeadLetterOperator(MapOperator(picky), "dead"))
    h.operator.process_batch(RowBatch([1, -1, 2, -2, 3]))
    assert len(h.output.batches) == 1
