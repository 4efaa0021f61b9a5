"""Contexts for readers, enumerators and writers, driven by hand."""

from lesto.common.clock import VirtualClock
from lesto.common.elements import RowBatch
from lesto.common.source import EndOfSplits, NoData, SourceBatch, SplitFinished


class ReaderContext:
    """Records requests; nothing answers by itself."""

    def __init__(self, *, subtask=0, parallelism=1, batch_rows=1000):
        self.subtask = subtask
        self.parallelism = parallelism
        self.clock = VirtualClock()
        self.batch_rows = batch_rows
        self.requests = 0
        self.errors = 0

    def request_split(self):
        self.requests += 1

    def wakeup(self):
        pass

    def count_error(self, records=1):
        self.errors += records


class EnumeratorContext:
    """Keeps assignments per subtask."""

    def __init__(self, parallelism=1):
        self.parallelism = parallelism
        self.clock = VirtualClock()
        self.assigned = {i: [] for i in range(parallelism)}
        self.no_more = set()
        self.interval_ms = None

    def assign_split(self, split, subtask):
        self.assigned[subtask].append(split)

    def signal_no_more_splits(self, subtask):
        self.no_more.add(subtask)

    def discovery_interval_ms(self, interval_ms):
        self.interval_ms = interval_ms


class WriterContext:
    """Fixed facts."""

    def __init__(self, checkpoint_root="", *, subtask=0, parallelism=1, attempt="1-0", schema=None):
        self.job_id = "0123456789abcdef0123456789abcdef"
        self.operator_uid = "sink"
        self.subtask = subtask
        self.parallelism = parallelism
        self.attempt = attempt
        self.checkpoint_root = checkpoint_root
        self.checkpoint_interval_ms = 10_000
        self.input_schema = schema
        self.clock = VirtualClock()


def all_splits(source, parallelism=1):
    """Everything the source's enumerator hands out, in order."""
    context = EnumeratorContext(parallelism)
    enumerator = source.create_enumerator(context, None)
    enumerator.start()
    for _ in range(100_000):
        enumerator.handle_split_request(0)
        if 0 in context.no_more:
            return context.assigned[0]
    raise AssertionError("the enumerator never ends")


def rows_of(batch):
    """Records of a batch as Python values."""
    return batch.values if isinstance(batch, RowBatch) else batch.data.to_pylist()


def read(source, splits, *, batch_rows=1000, steps=None):
    """Read splits; (records, reader) after ``steps`` batches or at the end."""
    context = ReaderContext(batch_rows=batch_rows)
    reader = source.create_reader(context)
    reader.add_splits(splits)
    reader.notify_no_more_splits()
    reader.start()
    records = []
    taken = 0
    while steps is None or taken < steps:
        result = reader.poll()
        if isinstance(result, SourceBatch):
            records += rows_of(result.batch)
            taken += 1
        elif result is EndOfSplits.END:
            break
        else:
            assert isinstance(result, SplitFinished | NoData), result
    return records, reader
