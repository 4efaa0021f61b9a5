"""Sources and sinks driven by hand, without a cluster."""

import threading
import time

from lesto.common.clock import SystemClock
from lesto.common.elements import RowBatch
from lesto.common.source import EndOfSplits, NoData, SourceBatch, SplitFinished

JOB = "0123456789abcdef0123456789abcdef"


class EnumeratorContext:
    """Keeps assignments per subtask."""

    def __init__(self, parallelism=1):
        self.parallelism = parallelism
        self.clock = SystemClock()
        self.assigned = {i: [] for i in range(parallelism)}
        self.no_more = set()
        self.interval_ms = None

    def assign_split(self, split, subtask):
        self.assigned[subtask].append(split)

    def signal_no_more_splits(self, subtask):
        self.no_more.add(subtask)

    def discovery_interval_ms(self, interval_ms):
        self.interval_ms = interval_ms


class ReaderContext:
    """Wakes who waits."""

    def __init__(self, subtask=0, parallelism=1, batch_rows=1000):
        self.subtask = subtask
        self.parallelism = parallelism
        self.clock = SystemClock()
        self.batch_rows = batch_rows
        self.errors = 0
        self.requests = 0
        self.woken = threading.Event()

    def request_split(self):
        self.requests += 1

    def wakeup(self):
        self.woken.set()

    def count_error(self, records=1):
        self.errors += records


class WriterContext:
    """Fixed facts."""

    def __init__(self, *, subtask=0, parallelism=1, attempt="1-0", schema=None, job_id=JOB):
        self.job_id = job_id
        self.operator_uid = "sink"
        self.subtask = subtask
        self.parallelism = parallelism
        self.attempt = attempt
        self.checkpoint_root = ""
        self.checkpoint_interval_ms = 1_000
        self.input_schema = schema
        self.clock = SystemClock()


def rows(batch):
    """Values of a batch."""
    return batch.values if isinstance(batch, RowBatch) else batch.data.to_pylist()


class Driven:
    """A source with one reader. ``splits``: of a snapshot, in place of the enumerator's."""

    def __init__(self, source, splits=None, batch_rows=1000):
        self.source = source
        self.context = ReaderContext(batch_rows=batch_rows)
        self.enumerator_context = EnumeratorContext()
        self.enumerator = None
        self.reader = source.create_reader(self.context)
        self.finished = []
        if splits is None:
            self.enumerator = source.create_enumerator(self.enumerator_context, None)
            self.enumerator.start()
            self.reader.start()
            self.enumerator.handle_split_request(0)
            self.hand_over()
        else:
            self.reader.add_splits(splits)
            self.reader.start()

    def hand_over(self):
        """What the enumerator assigned since."""
        given, self.enumerator_context.assigned[0] = self.enumerator_context.assigned[0], []
        self.reader.add_splits([self._copied(s) for s in given])
        if 0 in self.enumerator_context.no_more:
            self.reader.notify_no_more_splits()

    def _copied(self, split):
        return self.source.deserialize_split(self.source.serialize_split(split))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.reader.close()
        if self.enumerator is not None:
            self.enumerator.close()

    def batches(self, seconds=20):
        """Batches to the end, or until nothing comes for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.context.woken.clear()
            result = self.reader.poll()
            if isinstance(result, SourceBatch):
                yield result
            elif isinstance(result, SplitFinished):
                self.finished.append(result.split_id)
            elif result is EndOfSplits.END:
                return
            elif isinstance(result, NoData):
                self.context.woken.wait(0.05)
        raise AssertionError("the source does not end")

    def all(self, seconds=20):
        """Values of all records to the end."""
        return [value for b in self.batches(seconds) for value in rows(b.batch)]

    def take(self, count, seconds=20):
        """Values until there are ``count``."""
        values = []
        if count == 0:
            return values
        for b in self.batches(seconds):
            values += rows(b.batch)
            if len(values) >= count:
                return values
        raise AssertionError(f"only {len(values)} of {count} records")
