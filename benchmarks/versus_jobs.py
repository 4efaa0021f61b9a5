"""Lesto's side of ``versus``: the same three jobs as peers/java/ReliabilityJobs.java.

recovery: 100,000 keys of running sums; state: fills keyed state once, then changes a part of it;
backpressure: behind the exchange every record takes a while.
"""

import argparse
import random
import time

from instruments import Notes

from lesto.common import WatermarkStrategy
from lesto.common.sink import Sink, SinkWriter
from lesto.connectors.datagen import DataGenSource, random_int, sequence
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from lesto.datastream.state import ValueStateDescriptor

KEYS = 100_000


class Sum(KeyedProcessFunction):
    def open(self, runtime_context):
        self.sum = runtime_context.get_state(ValueStateDescriptor("sum"))

    def process_element(self, record, ctx):
        total = (self.sum.value() or 0) + 1
        self.sum.update(total)
        yield total


class Payload(KeyedProcessFunction):
    """Replaces a key's bytes by new random ones."""

    def __init__(self, size):
        self.size = size

    def open(self, runtime_context):
        self.payload = runtime_context.get_state(ValueStateDescriptor("payload"))
        self.random = random.Random()

    def process_element(self, record, ctx):
        before = self.payload.value()
        self.payload.update(self.random.randbytes(self.size))
        yield 0 if before is None else len(before)


class FirstOutputSink(Sink):
    """Drops records; each writer notes when it first wrote."""

    def __init__(self, folder):
        self.folder = folder

    def create_writer(self, context):
        return _FirstOutputWriter(Notes(self.folder), context.subtask)


class _FirstOutputWriter(SinkWriter):
    def __init__(self, notes, subtask):
        self._notes, self._subtask, self._first = notes, subtask, True

    def write(self, batch):
        if self._first:
            self._first = False
            self._notes.write("output", [self._subtask, time.monotonic()])

    def prepare_commit(self, checkpoint_id):
        return ()


def records(env, name, key, *, rows=None, rate=None):
    source = DataGenSource({"key": key}, rows=rows, rows_per_second=rate)
    return env.from_source(source, WatermarkStrategy.no_watermarks(), name)


def recovery(env, args):
    stream = records(env, "records", random_int(0, KEYS - 1), rate=args.rate)
    stream.key_by("key").process(Sum()).sink_to(FirstOutputSink(args.notes))


def state(env, args):
    load = records(env, "load", sequence(), rows=args.keys)
    change = records(env, "change", random_int(0, args.keys - 1), rate=args.rate)
    load.union(change).key_by("key").process(Payload(args.bytes)).sink_to(BlackholeSink())


def backpressure(env, args):
    def slow(record):
        time.sleep(args.micros / 1e6)
        return record.key

    stream = records(env, "records", random_int(0, KEYS - 1))
    stream.key_by("key").map(slow).sink_to(BlackholeSink())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="job", required=True)
    command = commands.add_parser("recovery")
    command.add_argument("notes")
    command.add_argument("rate", type=float)
    command = commands.add_parser("state")
    command.add_argument("keys", type=int)
    command.add_argument("bytes", type=int)
    command.add_argument("rate", type=float)
    command = commands.add_parser("backpressure")
    command.add_argument("micros", type=float)
    args = parser.parse_args()
    env = StreamExecutionEnvironment.get_execution_environment()
    globals()[args.job](env, args)
    env.execute(args.job)


if __name__ == "__main__":
    main()
