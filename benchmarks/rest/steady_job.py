"""A job with keyed state and little to do, for as long as it is let."""

import argparse

from lesto.common import WatermarkStrategy
from lesto.connectors.datagen import DataGenSource, pool, random_int
from lesto.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from lesto.datastream.state import ValueStateDescriptor


class Running(KeyedProcessFunction):
    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("sum"))

    def process_element(self, record, ctx):
        total = (self.total.value() or 0) + record.value
        self.total.update(total)
        if total < 0:
            yield total


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=2_000.0)
    parser.add_argument("--name", default="steady")
    args = parser.parse_args()
    env = StreamExecutionEnvironment.get_execution_environment()
    source = DataGenSource(
        {"key": pool(1_000), "value": random_int(0, 99)}, rows_per_second=args.rate
    )
    records = env.from_source(source, WatermarkStrategy.no_watermarks(), "records")
    records.key_by("key").process(Running()).print()
    env.execute(args.name)


main()
