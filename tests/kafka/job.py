"""Kafka to Kafka with keyed state in between, for fault tests.

Input: JSON with ``id``, ``key`` and ``seq``, a number that counts up in each key. The job counts
each key's records in state; a record is right iff its count is its ``seq``.
"""

import argparse

import pyarrow as pa

from lesto.common import Row, Types, WatermarkStrategy
from lesto.connectors.kafka import KafkaSink, KafkaSource
from lesto.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from lesto.datastream.state import ValueStateDescriptor

SCHEMA = pa.schema([("id", pa.int64()), ("key", pa.string()), ("seq", pa.int64())])
OUTPUT = Types.ROW_NAMED(
    ["id", "key", "seq", "count"], [Types.LONG(), Types.STRING(), Types.LONG(), Types.LONG()]
)


class Count(KeyedProcessFunction):
    """Number of a key's records so far, in state."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count"))

    def process_element(self, row, ctx):
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield Row(id=row.id, key=row.key, seq=row.seq, count=count)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--input", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--bounded", action="store_true")
    parser.add_argument("--transaction-timeout-ms", type=int, default=120_000)
    args = parser.parse_args()

    env = StreamExecutionEnvironment.get_execution_environment()
    source = KafkaSource(
        args.input, args.bootstrap, schema=SCHEMA, stop="latest" if args.bounded else None
    )
    sink = KafkaSink(
        args.output, args.bootstrap, key="key", transactional_id_prefix=args.output,
        properties={"transaction.timeout.ms": args.transaction_timeout_ms},
    )  # fmt: skip
    records = env.from_source(source, WatermarkStrategy.no_watermarks(), "input")
    records.key_by("key").process(Count(), output_type=OUTPUT).sink_to(sink)
    env.execute("kafka")


if __name__ == "__main__":
    main()
