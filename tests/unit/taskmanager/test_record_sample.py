"""Looking at records never harms the job whose records they are."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from lesto.common.clock import SystemClock
from lesto.common.elements import ColumnarBatch, RowBatch
from lesto.proto import runtime_pb2
from lesto.taskmanager.core.task_states import TaskState
from lesto.taskmanager.runtime.chain import OperatorOutput
from lesto.taskmanager.runtime.mailbox import Timers
from lesto.taskmanager.runtime.record_sample import RecordSampler


@pytest.fixture
def sampled():
    """Emit batches through an output that is looked at; return the answer."""

    def run(*batches):
        output = OperatorOutput(None)
        operator = SimpleNamespace(node=SimpleNamespace(uid="one"), output=output)
        task = SimpleNamespace(
            state=TaskState.RUNNING,
            ref=SimpleNamespace(job_id="j", vertex_id="v", subtask=0),
            chain=SimpleNamespace(operators=[operator]),
        )
        clock = SystemClock()
        timers = Timers(clock.monotonic_ms)
        answers = []
        question = runtime_pb2.SampleRecordsQuestion(
            job_id="j", vertex_id="v", subtask=-1, max_records=2, timeout_ms=10_000
        )
        RecordSampler(question, timers, clock, answers.append).start([task])
        for batch in batches:
            output.emit(batch)
        timers.fire()
        (answer,) = answers
        assert not output.taps
        return answer

    return run


def test_text_that_is_no_unicode_is_shown_escaped(sampled):
    answer = sampled(RowBatch(["half \ud800", "whole"]))
    assert [list(one.values) for one in answer.sample_records.records] == [
        ["half \\ud800"],
        ["whole"],
    ]


@pytest.mark.parametrize("kind", [pa.timestamp("us"), pa.timestamp("ms")])
def test_a_moment_that_python_has_no_date_for_is_shown_as_its_number(sampled, kind):
    column = pa.array([2**62, 0], pa.int64()).cast(kind)
    answer = sampled(ColumnarBatch(pa.record_batch({"at": column})))
    assert [list(one.values) for one in answer.sample_records.records] == [[str(2**62)], ["0"]]


class Fields(tuple):
    _fields = ("a",)

    def __iter__(self):
        msg = "no \ud800"
        raise RuntimeError(msg)


def test_a_value_that_cannot_be_looked_at_ends_the_look_and_not_the_task(sampled):
    bad = Fields((1,))
    answer = sampled(RowBatch([bad, bad]), RowBatch([1]))
    assert answer.error_code == "LESTO-4130"
    assert "RuntimeError" in answer.error
