"""JSON messages of one Kafka topic to another, as rows: kafka_json.py SERVERS FROM TO."""

import sys

from pyflink.common import Row, Types, WatermarkStrategy
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
)
from pyflink.datastream.formats.json import (
    JsonRowDeserializationSchema,
    JsonRowSerializationSchema,
)

ROW = Types.ROW_NAMED(["id", "name"], [Types.LONG(), Types.STRING()])


def main(servers, origin, target):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(1)
    env.add_jars("file:///opt/flink-sql-connector-kafka.jar")
    source = (
        KafkaSource.builder()
        .set_bootstrap_servers(servers)
        .set_topics(origin)
        .set_group_id("ported")
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_bounded(KafkaOffsetsInitializer.latest())
        .set_value_only_deserializer(JsonRowDeserializationSchema.builder().type_info(ROW).build())
        .build()
    )
    sink = (
        KafkaSink.builder()
        .set_bootstrap_servers(servers)
        .set_record_serializer(
            KafkaRecordSerializationSchema.builder()
            .set_topic(target)
            .set_value_serialization_schema(
                JsonRowSerializationSchema.builder().with_type_info(ROW).build()
            )
            .build()
        )
        .set_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE)
        .build()
    )
    (
        env.from_source(source, WatermarkStrategy.no_watermarks(), "people")
        .map(lambda person: Row(id=person.id + 1, name=person.name.upper()), output_type=ROW)
        .sink_to(sink)
    )
    env.execute("kafka json")


if __name__ == "__main__":
    main(*sys.argv[1:])
