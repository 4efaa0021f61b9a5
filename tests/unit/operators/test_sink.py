import msgspec
import pytest

from lesto.common.elements import Form
from lesto.common.errors import LestoError
from lesto.common.sink import Committer, Sink, SinkWriter
from lesto.state.errors import StateError
from lesto.taskmanager.operators import sink as sink_module
from lesto.taskmanager.operators.errors import CommitFailedError
from lesto.taskmanager.operators.sink import SinkOperator


class External:
    """The system written to: what is published, and what happened."""

    def __init__(self):
        self.published = []
        self.log = []
        self.failures = 0
        self.failure = ConnectionError("down")


class Writer(SinkWriter):
    def __init__(self, external, context, transactional):
        self.external = external
        self.context = context
        self.buffer = []
        self.transactional = transactional

    def write(self, batch):
        self.buffer.extend(batch.values)

    def prepare_commit(self, checkpoint_id):
        buffer, self.buffer = self.buffer, []
        if not self.transactional:
            self.external.published.extend(buffer)
            return []
        return ["".join(buffer).encode()] if buffer else []

    def flush(self):
        self.external.log.append("flush")

    def close(self):
        self.external.log.append("close writer")


class FakeCommitter(Committer):
    def __init__(self, external):
        self.external = external

    def commit(self, committables):
        self.external.log.append(("commit", [bytes(c) for c in committables]))
        if self.external.failures:
            self.external.failures -= 1
            raise self.external.failure
        for committable in committables:
            if committable not in self.external.published:
                self.external.published.append(committable)

    def finish(self, ended):
        self.external.log.append(("finish", ended.attempt))

    def close(self):
        self.external.log.append("close committer")


class FakeSink(Sink):
    input_form = Form.ROWS

    def __init__(self, external, transactional=True):
        self.external = external
        self.transactional = transactional

    def create_writer(self, context):
        self.external.log.append(("writer", context.attempt, context.subtask))
        return Writer(self.external, context, self.transactional)

    def create_committer(self):
        return FakeCommitter(self.external) if self.transactional else None


@pytest.fixture
def external():
    return External()


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def make(harness, external, pauses):
    def build(**options):
        return harness(SinkOperator(FakeSink(external), pauses.append), **options)

    return build


def committables(saved):
    return [msgspec.msgpack.decode(item) for item in saved.lists["committables"]]


def test_nothing_is_published_before_its_checkpoint_completes(make, external):
    h = make()
    h.feed(["a", "b"])
    saved = h.snapshot()
    assert committables(saved) == [[1, b"ab"]]
    assert external.published == []
    h.operator.notify_checkpoint_complete(1)
    assert h.operator.pending_work()
    assert external.published == []  # the I/O thread has not run
    h.run_blocking()
    assert external.published == [b"ab"]
    assert not h.operator.pending_work()
    assert committables(h.snapshot()) == []


def test_a_later_checkpoint_commits_what_earlier_aborted_ones_left(make, external):
    h = make()
    h.feed(["a"])
    h.snapshot()
    h.operator.notify_checkpoint_aborted(1)
    h.feed(["b"])
    saved = h.snapshot()
    assert committables(saved) == [[1, b"a"], [2, b"b"]]
    h.feed(["c"])
    h.snapshot()
    h.operator.notify_checkpoint_complete(2)
    h.run_blocking()
    assert external.published == [b"a", b"b"]
    h.operator.notify_checkpoint_complete(3)
    h.run_blocking()
    assert external.published == [b"a", b"b", b"c"]


def test_committables_stay_in_checkpoints_until_the_commit_is_done_and_are_committed_once(
    make, external
):
    h = make()
    h.feed(["a"])
    h.snapshot()
    h.operator.notify_checkpoint_complete(1)
    assert committables(h.snapshot()) == [[1, b"a"]]  # the commit is still under way
    h.operator.notify_checkpoint_complete(2)
    h.run_blocking()
    assert [entry for entry in external.log if entry[0] == "commit"] == [("commit", [b"a"])]
    assert committables(h.snapshot()) == []


def test_restored_committables_are_committed_before_a_writer_exists(make, external):
    h = make()
    h.feed(["a"])
    h.snapshot()
    h.feed(["b"])
    saved = h.snapshot()
    external.log.clear()
    make(restore=[saved])
    assert external.log[0] == ("commit", [b"a", b"b"])
    assert external.log[1][0] == "writer"
    assert external.published == [b"a", b"b"]


def test_restored_committables_are_shared_out_at_another_parallelism(make, external):
    h = make()
    for letter in "abc":
        h.feed([letter])
        saved = h.snapshot()
    two = [make(restore=[saved], parallelism=2, subtask=i) for i in range(2)]
    assert sorted(external.published) == [b"a", b"b", b"c"]
    assert [committables(h.snapshot()) for h in two] == [[], []]


def test_commits_are_tried_again_with_growing_pauses(make, external, pauses):
    h = make()
    h.feed(["a"])
    h.snapshot()
    external.failures = 3
    h.operator.notify_checkpoint_complete(1)
    h.run_blocking()
    assert external.published == [b"a"]
    assert pauses == [100, 200, 400]
    assert h.context.failures == []


def test_the_task_fails_when_commits_keep_failing_and_the_state_stays(make, external, pauses):
    h = make()
    h.feed(["a"])
    h.snapshot()
    external.failures = 99
    h.operator.notify_checkpoint_complete(1)
    h.run_blocking()
    (error,) = h.context.failures
    assert isinstance(error, CommitFailedError)
    assert error.retryable
    assert isinstance(error.__cause__, ConnectionError)
    assert len(pauses) == sink_module.COMMIT_ATTEMPTS_MAX - 1
    assert committables(h.snapshot()) == [[1, b"a"]]


def test_an_error_that_no_retry_mends_fails_at_once(make, external, pauses):
    class GoneError(LestoError):
        code = "LESTO-3999"
        retryable = False

    h = make()
    h.feed(["a"])
    h.snapshot()
    external.failures, external.failure = 1, GoneError("somebody removed it")
    h.operator.notify_checkpoint_complete(1)
    h.run_blocking()
    assert h.context.failures == [external.failure]
    assert pauses == []


def test_the_end_of_the_job_lets_the_committer_clean_up_after_the_last_commit(make, external):
    h = make()
    h.feed(["a"])
    h.operator.end_input()
    h.snapshot()
    h.operator.notify_checkpoint_complete(1)
    h.operator.finish()
    assert h.operator.pending_work()
    h.run_blocking()
    assert external.log[-2:] == [("commit", [b"a"]), ("finish", "1-1")]
    assert not h.operator.pending_work()


def test_a_sink_without_a_committer_writes_at_least_once(harness, external):
    h = harness(SinkOperator(FakeSink(external, transactional=False)))
    h.feed(["a"])
    saved = h.snapshot()
    assert external.published == ["a"]
    assert committables(saved) == []
    h.operator.notify_checkpoint_complete(1)
    h.operator.finish()
    assert not h.operator.pending_work()
    h.operator.idle()
    assert external.log[-1] == "flush"


def test_committables_for_a_sink_that_cannot_commit_are_refused(make, harness, external):
    h = make()
    h.feed(["a"])
    saved = h.snapshot()
    with pytest.raises(StateError, match="no committer"):
        harness(SinkOperator(FakeSink(external, transactional=False)), restore=[saved])


def test_close_closes_both_once(make, external):
    h = make()
    h.operator.close()
    h.operator.close()
    assert external.log.count("close writer") == 1
    assert external.log.count("close committer") == 1
