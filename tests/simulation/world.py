"""The world outside the engine: source records, the sink's ledger, and the oracle over both.

The job's user code is here too: it is shipped to the simulated slots by reference and finds the
world through the kernel. Nothing in it trusts the engine's state: counts are judged against the
records that the sources are known to hold.
"""

import collections
import json
import re

import msgspec

from lesto.common import WatermarkStrategy
from lesto.common.elements import RowBatch
from lesto.common.sink import Committer, Sink, SinkWriter
from lesto.common.source import (
    EndOfSplits,
    NoData,
    Source,
    SourceBatch,
    SourceReader,
    SplitEnumerator,
    SplitFinished,
)
from lesto.common.watermarks import TimestampAssigner
from lesto.datastream import KeyedProcessFunction
from lesto.datastream.state import ValueStateDescriptor
from lesto.jobmanager.core import job_log
from lesto.jobmanager.server.ha import entry_codec
from lesto.state import metadata_file
from lesto.state.errors import StorageError
from tests.simulation.kernel import US_PER_MS, here, kernel

COMMITTABLES = "committables"
_METADATA = re.compile(r".*/chk-\d+/_metadata$")
_SAVEPOINT = re.compile(r".*/savepoint-[^/]+/_metadata$")
_LOG = re.compile(r".*/log/(\d+)$")


def world():
    """The world of the simulation that runs."""
    return kernel().attic_world


class World:
    """What exists outside the engine, and what is known to be true.

    Args:
        k: the kernel.
        options: of the run.
    """

    def __init__(self, k, options):
        self.kernel = k
        self.options = options
        rng = k.rng
        self.records = {}  # split id -> [(key, event time)], available one after the other
        for name in ("left", "right"):
            for split in range(options.splits):
                size = rng.randrange(options.records // 2, options.records + 1)
                self.records[f"{name}-{split}"] = [
                    (f"k{rng.randrange(options.keys)}", at * 10 + rng.randrange(20))
                    for at in range(size)
                ]
        # The outside systems: what is published, in order, and what is prepared.
        self.prepared = {}
        self.published = []
        self.done = set()
        self.seen = set()
        self.numbers = collections.defaultdict(dict)
        self.sink_fails = 0.0
        # What the storage says.
        self.metadata = {}  # path -> content of every _metadata
        self.complete = {}  # checkpoint id -> epoch by the log
        self.claimed = 0
        self.claims = {}
        self.has_log = False
        self.publishable = set()
        self.completions = 0
        self.in_flight = 0
        self.restored_from = []
        self.watermarks = {}
        self.padding = "." * options.padding

    def fail(self, message):
        """An invariant is broken."""
        self.kernel.fail(message)

    # ------------------------------------------------------------------------------ storage's truth

    def on_write(self, path, data, process):
        """A new object is durable."""
        if _METADATA.match(path) or _SAVEPOINT.match(path):
            metadata = metadata_file.decode(data, path)
            if path in self.metadata:
                self.fail(f"{path} was written twice")
            self.metadata[path] = metadata
            if not self.has_log:
                self._complete(metadata, process)
        elif found := _LOG.match(path):
            self._on_entry(int(found[1]), entry_codec.decode(data, path), process)

    def _on_entry(self, seq, entry, process):
        self.has_log = True
        self.kernel.trace("log", seq, type(entry).__name__, entry.epoch, process.name)
        match entry:
            case job_log.EpochClaimed():
                if entry.epoch <= self.claimed:
                    self.fail(f"epoch {entry.epoch} was claimed after {self.claimed}")
                self.claimed = entry.epoch
                self.claims[entry.epoch] = process.name
            case job_log.CheckpointCompleted():
                number = entry.checkpoint_id
                if entry.epoch != self.claimed:
                    self.fail(
                        f"checkpoint {number} of epoch {entry.epoch} was completed after epoch "
                        f"{self.claimed} was claimed"
                    )
                metadata = self.metadata.get(f"{entry.path}/_metadata")
                if metadata is None or metadata.checkpoint_id != number:
                    self.fail(f"checkpoint {number} was logged before its metadata was durable")
                    return
                self._complete(metadata, process)

    def _complete(self, metadata, process):
        number = metadata.checkpoint_id
        if number in self.complete:
            self.fail(f"two canonical checkpoints have the number {number}")
        if metadata.epoch < self.claimed:
            self.fail(f"checkpoint {number} of epoch {metadata.epoch} after {self.claimed}")
        self.kernel.trace("complete", number, metadata.epoch, process.name)
        self.complete[number] = metadata.epoch
        self.completions += 1
        self.in_flight += bool(metadata.in_flight)
        self.publishable |= _transactions(metadata)

    def on_deploy(self, deployment):
        """A task is deployed: from what?"""
        number = deployment.restored_checkpoint_id
        if number and number not in self.complete:
            self.fail(f"a task is restored from checkpoint {number}, which is not complete")

    # ----------------------------------------------------------------------------- outside systems

    def prepare(self, transaction, values):
        """Durable and invisible."""
        if self.kernel.rng.random() < self.sink_fails:
            msg = "the sink's system refuses to prepare: injected"
            raise StorageError(msg)
        self.prepared[transaction] = values

    def publish(self, transaction):
        """Visible; idempotent."""
        if transaction in self.done:
            return
        values = self.prepared.get(transaction)
        if values is None:
            self.fail(f"commit of the unknown transaction {transaction!r}")
            return
        if transaction not in self.publishable:
            self.fail(f"premature: {transaction!r} is committed and in no complete checkpoint")
        self.done.add(transaction)
        self.kernel.trace("publish", transaction, len(values))
        for key, number, split, seq in values:
            if not self.options.exactly_once:
                self.seen.add((split, seq))
                continue
            if (split, seq) in self.seen:
                self.fail(f"duplicated: record {seq} of {split} is published again")
            self.seen.add((split, seq))
            if number in self.numbers[key]:
                self.fail(f"state of {key} counted {number} twice")
            self.numbers[key][number] = (split, seq)

    def on_watermark(self, task, at):
        """Event time of a task; it never goes back."""
        if at < self.watermarks.get(task, at):
            self.fail(f"event time of {task} went back from {self.watermarks[task]} to {at}")
        self.watermarks[task] = at

    # ---------------------------------------------------------------------------------- the verdict

    def judge(self):
        """The job is FINISHED: everything must be there, once and in order."""
        wanted = {
            (split, seq) for split, records in self.records.items() for seq in range(len(records))
        }
        lost = wanted - self.seen
        if lost:
            self.fail(f"lost: {len(lost)} of {len(wanted)} records, such as {min(lost)}")
        if self.seen - wanted:
            self.fail(f"published what no source holds: {min(self.seen - wanted)}")
        for key, numbers in sorted(self.numbers.items()):
            if sorted(numbers) != list(range(1, len(numbers) + 1)):
                self.fail(f"counts of {key} have gaps: {sorted(numbers)}")
                return
            newest = {}
            for number in range(1, len(numbers) + 1):
                split, seq = numbers[number]
                if self.records[split][seq][0] != key:
                    self.fail(f"record {seq} of {split} was counted under {key}")
                if seq < newest.get(split, -1):
                    self.fail(f"reordered: {key} saw {seq} of {split} behind {newest[split]}")
                newest[split] = seq


def _transactions(metadata):
    found = set()
    for operator in metadata.operators:
        for state in operator.subtasks:
            for items in state.lists:
                if items.name == COMMITTABLES:
                    found |= {bytes(msgspec.msgpack.decode(item)[1]) for item in items.items}
    return found


# ------------------------------------------------------------------------------------------ source


class _Split:
    __slots__ = ("next", "split_id")

    def __init__(self, split_id, position=0):
        self.split_id = split_id
        self.next = position


class _Enumerator(SplitEnumerator):
    def __init__(self, context, left, retired):
        self._context = context
        self._left = left
        self._waiting = retired

    def handle_split_request(self, subtask):
        if self._left:
            self._context.assign_split(_Split(*self._left.pop(0)), subtask)
        else:
            self._context.signal_no_more_splits(subtask)

    def add_splits_back(self, splits, subtask):
        """Splits assigned since the checkpoint that a failed region restarts from."""
        self._left += [(split.split_id, split.next) for split in splits]

    def snapshot_state(self, checkpoint_id):
        return json.dumps(self._left).encode()


class SimSource(Source):
    """The splits of one side; records come up one after the other in time."""

    def __init__(self, name):
        self.name = name

    def create_enumerator(self, context, checkpoint):
        if checkpoint is not None:
            return _Enumerator(context, [tuple(s) for s in json.loads(checkpoint)], ())
        mine = sorted(s for s in world().records if s.startswith(f"{self.name}-"))
        return _Enumerator(context, [(split, 0) for split in mine], ())

    def create_reader(self, context):
        return _Reader(context)

    def serialize_split(self, split):
        return json.dumps([split.split_id, split.next]).encode()

    def deserialize_split(self, data):
        return _Split(*json.loads(data))


class _Reader(SourceReader):
    def __init__(self, context):
        self._context = context
        self._splits = collections.deque()
        self._no_more = False
        self._asked = False

    def start(self):
        self._ask()

    def _ask(self):
        if not self._asked and not self._no_more:
            self._asked = True
            self._context.request_split()

    def add_splits(self, splits):
        self._asked = False
        self._splits.extend(splits)

    def notify_no_more_splits(self):
        self._no_more = True

    def poll(self):
        if not self._splits:
            if self._no_more:
                return EndOfSplits.END
            self._ask()
            return NoData()
        w = world()
        split = self._splits[0]
        records = w.records[split.split_id]
        if split.next >= len(records):
            self._splits.popleft()
            if not self._splits:
                self._ask()
            return SplitFinished(split.split_id)
        self._splits.rotate(-1)
        period_us = w.options.record_period_us
        there = min(len(records), w.kernel.now_us // period_us + 1)
        until = min(there, split.next + w.options.batch_rows)
        if until <= split.next:
            ready_us = split.next * period_us - w.kernel.now_us
            return NoData(self._context.clock.monotonic_ms() + max(1, ready_us // US_PER_MS))
        values = [
            (records[seq][0], split.split_id, seq, records[seq][1], w.padding)
            for seq in range(split.next, until)
        ]
        split.next = until
        return SourceBatch(RowBatch(values), split.split_id)

    def snapshot_state(self, checkpoint_id):
        return list(self._splits)


class _EventTime(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[3]


def strategy():
    """Event time of the records."""
    return WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(_EventTime())


# -------------------------------------------------------------------------------- operator and sink


class Counting(KeyedProcessFunction):
    """Each record with its number among its key's."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count"))
        self.task = (kernel().current.process.name, id(self))

    def process_element(self, value, ctx):
        key, split, seq, _, _ = value
        number = (self.count.value() or 0) + 1
        self.count.update(number)
        if world().options.work_us:
            kernel().sleep(world().options.work_us)
        world().on_watermark(self.task, ctx.timer_service().current_watermark())
        yield (key, number, split, seq)


class LedgerSink(Sink):
    """Prepares transactions in the world and publishes them."""

    def create_writer(self, context):
        return _Writer(context)

    def create_committer(self):
        return _Committer()


class _Writer(SinkWriter):
    def __init__(self, context):
        self._name = f"{context.operator_uid}/{context.subtask}/{context.attempt}"
        self._values = []
        self._serial = 0

    def write(self, batch):
        self._values += batch.values

    def prepare_commit(self, checkpoint_id):
        if not self._values:
            return ()
        self._serial += 1
        transaction = f"{self._name}/{checkpoint_id}/{self._serial}".encode()
        world().prepare(transaction, tuple(self._values))
        kernel().attic_nemesis.at_step(here(), "prepare")
        kernel().check()
        self._values = []
        return (transaction,)


class _Committer(Committer):
    def commit(self, committables):
        k, w = kernel(), world()
        for transaction in committables:
            k.sleep(k.rng.randrange(100, 5_000))
            if k.rng.random() < w.sink_fails:
                msg = "the sink's system refuses to commit: injected"
                raise StorageError(msg)
            w.publish(bytes(transaction))
            k.attic_nemesis.at_step(here(), "publish")
            k.check()
            if k.rng.random() < w.sink_fails:
                msg = "the answer of the sink's system is lost: injected"
                raise StorageError(msg)


def key_of(value):
    """The key of a record."""
    return value[0]
