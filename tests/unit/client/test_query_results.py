"""Rows of a running query: who stops reading, and when."""

import threading
from types import SimpleNamespace

from lesto.client.table.results import JobBatches


class Job:
    """A job whose cancellation takes as long as the test wants."""

    def __init__(self):
        self.job_id = "j"
        self.client = SimpleNamespace(results=lambda _job, _sink: iter(()))
        self.cancelling, self.cancelled = threading.Event(), threading.Event()
        self.closed_while_cancelling = False

    def status(self):
        return SimpleNamespace(is_globally_terminal_state=lambda: False)

    def cancel_and_wait(self):
        self.cancelling.set()
        assert self.cancelled.wait(10)

    def close(self):
        self.closed_while_cancelling |= not self.cancelled.is_set()


def test_a_second_close_waits_for_the_first():
    """A reader that notices its end must not close the connection under who cancels the job."""
    job = Job()
    batches = JobBatches(SimpleNamespace(client=job, sink_uid="s", most_rows=None))
    first = threading.Thread(target=batches.close)
    first.start()
    assert job.cancelling.wait(10)
    second = threading.Thread(target=batches.close)
    second.start()
    second.join(0.1)
    job.cancelled.set()
    first.join(10)
    second.join(10)
    assert not job.closed_while_cancelling
