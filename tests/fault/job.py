"""The job under fault: each record leaves a trace by which a verifier can judge the engine.

``running``: each record with its key's running count and total (keyed state in Python, exactly
once iff the
counts of a key are 1..n). ``windows``: count and sum per key and window (columnar state tables,
timers by
watermark). Both go through a hash exchange between slots and end in file sinks.
"""

import argparse
import os
import time

import numpy as np

from lesto.common import Duration, Row, Time, WatermarkStrategy
from lesto.common.expressions import col, count, window_start
from lesto.connectors.datagen import DataGenSource, pool, random_int, sequence, timestamps
from lesto.connectors.files import FileSink
from lesto.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from lesto.datastream.state import ValueStateDescriptor
from lesto.datastream.window import TumblingEventTimeWindows

KEYS = 1_000
EVENTS_PER_SECOND = 10_000
LOOK_EVERY = 64  # records between two looks for the file


class HotPool(pool):
    """The keys of a pool, but nine records of ten have the key of the first one."""

    def generate(self, positions):
        return super().generate(np.where(positions % 10 == 0, positions, 0).astype(np.uint64))


class Running(KeyedProcessFunction):
    """Count and total of a key, in two states. Fails once for each file called ``fail``."""

    def __init__(self, trip=None, slow_us=0):
        self.trip = trip
        self.slow_seconds = slow_us / 1_000_000
        self.calls = 0

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count"))
        self.total = runtime_context.get_state(ValueStateDescriptor("total"))

    def process_element(self, row, ctx):
        self.calls += 1
        if self.slow_seconds:
            time.sleep(self.slow_seconds)
        if self.trip and self.calls % LOOK_EVERY == 0:
            self.stumble()
        number = (self.count.value() or 0) + 1
        total = (self.total.value() or 0) + row.value
        self.count.update(number)
        self.total.update(total)
        yield Row(id=row.id, key=row.key, value=row.value, number=number, total=total)

    def stumble(self):
        try:
            os.unlink(self.trip)
        except FileNotFoundError:
            return
        raise RuntimeError("scripted failure")


def main():
    """Build and run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--trip", help="a file whose appearance makes one record fail")
    parser.add_argument("--hot", action="store_true", help="nine records of ten have one key")
    parser.add_argument("--slow-us", type=int, default=0, help="what each record costs its sink")
    args = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    source = DataGenSource(
        {
            "id": sequence(),
            "key": HotPool(KEYS) if args.hot else pool(KEYS),
            "value": random_int(0, 99),
            "at": timestamps(EVENTS_PER_SECOND),
        },
        rows=args.rows,
        rows_per_second=args.rate,
    )
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(
        Duration.of_seconds(1)
    ).with_timestamp_column("at")
    records = env.from_source(source, strategy, "records")
    keyed = records.key_by("key")
    keyed.process(Running(args.trip, args.slow_us)).sink_to(
        FileSink(f"{args.output}/running", "jsonl")
    )
    (
        keyed.window(TumblingEventTimeWindows.of(Time.seconds(5)))
        .agg(
            window_start().alias("start"),
            count().alias("number"),
            col("value").sum().alias("total"),
        )
        .sink_to(FileSink(f"{args.output}/windows", "parquet"))
    )
    env.execute("fault")


if __name__ == "__main__":
    main()
