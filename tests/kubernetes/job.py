"""The job of the tests on Kubernetes: rows that are counted a key, each in a file once."""

import argparse

from lesto.common import Row, WatermarkStrategy
from lesto.connectors.datagen import DataGenSource, pool, sequence
from lesto.connectors.files import FileSink
from lesto.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from lesto.datastream.state import ValueStateDescriptor


class Running(KeyedProcessFunction):
    """The number of each row among those of its key."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count"))

    def process_element(self, row, ctx):
        number = (self.count.value() or 0) + 1
        self.count.update(number)
        yield Row(id=row.id, key=row.key, number=number)


def main():
    """Build and submit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", required=True)
    parser.add_argument("--rate", type=float, default=200)
    parser.add_argument("--fail", action="store_true", help="do not get as far as a job")
    args = parser.parse_args()
    if args.fail:
        raise SystemExit("this program submits nothing")
    env = StreamExecutionEnvironment.get_execution_environment()
    source = DataGenSource(
        {"id": sequence(), "key": pool(20)}, rows=10_000_000, rows_per_second=args.rate
    )
    rows = env.from_source(source, WatermarkStrategy.no_watermarks(), "rows").uid("rows")
    counted = rows.key_by("key").process(Running()).uid("running")
    counted.sink_to(FileSink(args.output, "jsonl")).uid("files")
    env.execute("counting")


if __name__ == "__main__":
    main()
