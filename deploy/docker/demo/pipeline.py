"""The demo's job: orders from Kafka, counted in keyed state, summed in SQL windows, back to Kafka.

Exactly once from end to end: the offsets of the source, the counts, the windows and the
transactions of both sinks belong to one checkpoint. `verifier.py` says whether that held.

    orders   {"customer", "number", "cents"}      number: the customer's 1st, 2nd, ... order
    counted  {"customer", "number", "cents", "count"}   count: what the state says; must be number
    revenue  {"window_start", "orders", "cents"}        a second's sums
"""

import os
from collections.abc import Iterator

import pyarrow as pa

from lesto.common import Duration, Row, Types, WatermarkStrategy
from lesto.connectors.kafka import KafkaSink, KafkaSource
from lesto.datastream import KeyedProcessFunction, StreamExecutionEnvironment
from lesto.datastream.state import ValueStateDescriptor
from lesto.table import Schema, StreamTableEnvironment

KAFKA = os.environ.get("DEMO_KAFKA", "kafka:9092")
ORDERS = pa.schema([("customer", pa.string()), ("number", pa.int64()), ("cents", pa.int64())])
COUNTED = Types.ROW_NAMED(
    ["customer", "number", "cents", "count"],
    [Types.STRING(), Types.LONG(), Types.LONG(), Types.LONG()],
)
#: Kafka aborts what is not committed by then: longer than any outage that the job should survive.
TRANSACTION_TIMEOUT_MS = 600_000


class Count(KeyedProcessFunction):
    """How many orders a customer has made so far, in state that checkpoints keep."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count"))

    def process_element(self, order, ctx) -> Iterator[Row]:
        count = (self.count.value() or 0) + 1
        self.count.update(count)
        yield Row(customer=order.customer, number=order.number, cents=order.cents, count=count)


def sink(topic: str, key: str) -> KafkaSink:
    """Return a transactional sink."""
    return KafkaSink(
        topic,
        KAFKA,
        key=key,
        transactional_id_prefix=f"demo-{topic}",
        properties={"transaction.timeout.ms": TRANSACTION_TIMEOUT_MS},
    )


def main() -> None:
    """Build the job and run it."""
    env = StreamExecutionEnvironment.get_execution_environment()
    env.enable_checkpointing(int(os.environ.get("DEMO_CHECKPOINT_MS", "2000")))
    tables = StreamTableEnvironment.create(env)

    orders = env.from_source(
        KafkaSource("orders", KAFKA, schema=ORDERS, group_id="demo"),
        WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_seconds(1)),
        "orders",
    )
    counted = orders.key_by("customer").process(Count(), output_type=COUNTED).name("count")
    counted.sink_to(sink("counted", key="customer")).name("to counted")

    schema = (
        Schema.new_builder()
        .column_by_metadata("at", "TIMESTAMP_LTZ(3)", "rowtime")
        .watermark("at", "SOURCE_WATERMARK()")
        .build()
    )
    tables.create_temporary_view("counted", tables.from_data_stream(counted, schema))
    revenue = tables.sql_query("""
        SELECT CAST(window_start AS STRING) AS window_start, COUNT(*) AS orders, SUM(cents) AS cents
        FROM TUMBLE(TABLE counted, DESCRIPTOR(at), INTERVAL '1' SECOND)
        GROUP BY window_start, window_end
    """)
    tables.to_data_stream(revenue).sink_to(sink("revenue", key="window_start")).name("to revenue")
    env.execute("exactly-once demo")


if __name__ == "__main__":
    main()
