"""The job of ``recovery.py``: keyed state in Python; the sink notes each writer's first output."""

import argparse
import time

from instruments import Notes, record_fields

from lesto.common import WatermarkStrategy
from lesto.common.sink import Sink, SinkWriter
from lesto.connectors.datagen import DataGenSource
from lesto.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from lesto.datastream.state import ValueStateDescriptor


class Running(KeyedProcessFunction):
    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("sum"))

    def process_element(self, record, ctx):
        total = (self.total.value() or 0) + record.value
        self.total.update(total)
        yield total


class FirstOutputSink(Sink):
    """Drops records."""

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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--notes", required=True)
    args = parser.parse_args()
    env = StreamExecutionEnvironment.get_execution_environment()
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("at")
    source = DataGenSource(record_fields(), rows_per_second=args.rate)
    records = env.from_source(source, strategy, "records")
    records.key_by("key").process(Running()).sink_to(FirstOutputSink(args.notes))
    env.execute("recovery")


if __name__ == "__main__":
    main()
