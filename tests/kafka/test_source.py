"""The Kafka source against a real broker: where it starts, where it stops, what it finds."""

import json
import re
import time

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.source import Boundedness
from lesto.connectors.errors import (
    ConnectorConfigError,
    KafkaOffsetsLostError,
    KafkaRefusedError,
    KafkaUnavailableError,
    MalformedRecordError,
)
from lesto.connectors.kafka import (
    KafkaOffsetResetStrategy,
    KafkaOffsetsInitializer,
    KafkaSource,
    KafkaTopicPartition,
)
from tests.kafka.driving import Driven, rows

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])


def strings(first, last):
    return [str(i).encode() for i in range(first, last)]


def source(broker, topic, **options):
    options.setdefault("format", "string")
    options.setdefault("stop", "latest")
    return KafkaSource(topic, broker.address, **options)


def read(broker, topic, **options):
    with Driven(source(broker, topic, **options)) as driven:
        return sorted(map(int, driven.all()))


@pytest.fixture
def filled(broker, topic):
    """Numbers 0 to 99, even ones in partition 0; a number is the message's time too."""
    for partition in (0, 1):
        numbers = list(range(partition, 100, 2))
        broker.produce(
            topic,
            [str(n).encode() for n in numbers],
            partition=partition,
            timestamps=[1_000 + n for n in numbers],
        )
    return topic


def test_earliest_to_latest_reads_everything_once(broker, filled):
    assert read(broker, filled) == list(range(100))


def test_a_record_written_behind_the_start_is_not_in_a_bounded_read(broker, filled):
    with Driven(source(broker, filled)) as driven:
        broker.produce(filled, [b"1000"], partition=0)
        assert sorted(map(int, driven.all())) == list(range(100))
        assert sorted(driven.finished) == [f"{filled}-0", f"{filled}-1"]


def test_latest_start_reads_only_what_comes_later(broker, filled):
    with Driven(source(broker, filled, start="latest", stop=None)) as driven:
        broker.produce(filled, strings(100, 110), partition=1)
        assert sorted(map(int, driven.take(10))) == list(range(100, 110))


def test_start_at_a_timestamp(broker, filled):
    start = KafkaOffsetsInitializer.timestamp(1_050)
    assert read(broker, filled, start=start) == list(range(50, 100))


def test_a_timestamp_behind_all_records_starts_at_the_end(broker, filled):
    start = KafkaOffsetsInitializer.timestamp(int(time.time() * 1000) + 60_000)
    assert read(broker, filled, start=start) == []


def test_stop_at_a_timestamp(broker, filled):
    stop = KafkaOffsetsInitializer.timestamp(1_050)
    assert read(broker, filled, stop=stop) == list(range(50))


def test_explicit_offsets_to_start_and_stop(broker, filled):
    zero, one = KafkaTopicPartition(filled, 0), KafkaTopicPartition(filled, 1)
    start = KafkaOffsetsInitializer.offsets({zero: 10, one: 40})
    stop = KafkaOffsetsInitializer.offsets({zero: 12, one: 45})
    assert read(broker, filled, start=start, stop=stop) == [20, 22, 81, 83, 85, 87, 89]


def test_explicit_offsets_leave_other_partitions_to_the_reset_strategy(broker, filled):
    start = KafkaOffsetsInitializer.offsets(
        {KafkaTopicPartition(filled, 0): 49}, KafkaOffsetResetStrategy.LATEST
    )
    assert read(broker, filled, start=start) == [98]


def test_committed_offsets_are_those_of_complete_checkpoints(broker, filled):
    with Driven(source(broker, filled, group_id=filled)) as driven:
        driven.take(100)
        driven.reader.snapshot_state(1)
        driven.reader.notify_checkpoint_complete(1)
        broker.produce(filled, strings(100, 103), partition=0)
        start = KafkaOffsetsInitializer.committed_offsets()
        deadline = time.monotonic() + 10
        while True:  # the commit is asynchronous
            try:
                assert read(broker, filled, start=start, group_id=filled) == [100, 101, 102]
                return
            except (AssertionError, KafkaOffsetsLostError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


def test_without_committed_offsets_the_strategy_decides(broker, filled):
    none = KafkaOffsetsInitializer.committed_offsets()
    with pytest.raises(KafkaOffsetsLostError, match="no offset is committed"):
        read(broker, filled, start=none, group_id="nobody")
    earliest = KafkaOffsetsInitializer.committed_offsets(KafkaOffsetResetStrategy.EARLIEST)
    assert len(read(broker, filled, start=earliest, group_id="nobody")) == 100
    latest = KafkaOffsetsInitializer.committed_offsets(KafkaOffsetResetStrategy.LATEST)
    assert read(broker, filled, start=latest, group_id="nobody") == []


def test_a_pattern_reads_the_topics_that_match(broker, filled):
    other = broker.create_topic(f"{filled}-other")
    broker.produce(other, strings(200, 205))
    pattern = re.compile(f"{filled}(-other)?")
    assert read(broker, pattern) == [*range(100), *range(200, 205)]
    assert read(broker, re.compile(f"{filled}-o.*")) == list(range(200, 205))


def test_assigned_partitions_only(broker, filled):
    made = KafkaSource(
        partitions=[KafkaTopicPartition(filled, 1)],
        bootstrap_servers=broker.address,
        format="string",
        stop="latest",
    )
    with Driven(made) as driven:
        assert sorted(map(int, driven.all())) == list(range(1, 100, 2))


def test_new_partitions_are_found_and_read_from_their_beginning(broker, topic):
    from confluent_kafka.admin import NewPartitions

    with Driven(
        source(broker, topic, start="latest", stop=None, discovery_interval_ms=50)
    ) as driven:
        assert driven.enumerator_context.interval_ms == 50
        admin = broker.admin()  # dropped with the client, the answer would never come
        (done,) = admin.create_partitions([NewPartitions(topic, 3)]).values()
        done.result(20)
        deadline = time.monotonic() + 20
        while len(admin.list_topics(topic, timeout=5).topics[topic].partitions) < 3:
            assert time.monotonic() < deadline
        broker.produce(topic, strings(0, 5), partition=2)
        while not driven.enumerator_context.assigned[0]:
            driven.enumerator.discover()
            assert time.monotonic() < deadline
        state = driven.enumerator.snapshot_state(1)
        driven.hand_over()
        assert sorted(map(int, driven.take(5))) == list(range(5))
        again = driven.source.create_enumerator(driven.enumerator_context, state)
        again.start()
        again.handle_split_request(0)
        again.close()
        assert driven.enumerator_context.assigned[0] == [], "given to a reader already"


def test_going_on_from_a_snapshot_neither_loses_nor_repeats(broker, filled):
    with Driven(source(broker, filled), batch_rows=7) as first:
        before = first.take(33)
        splits = first.reader.snapshot_state(1)
    with Driven(source(broker, filled), splits=splits) as second:
        second.reader.notify_no_more_splits()
        after = second.all()
    assert sorted(map(int, before + after)) == list(range(100))


def test_json_becomes_columns_with_metadata_and_kafkas_time(broker, topic):
    values = [json.dumps({"id": i, "name": f"n{i}", "more": 1}).encode() for i in range(50)]
    headers = [[("h", str(i).encode())] for i in range(50)]
    keys = [f"k{i}".encode() for i in range(50)]
    times = [5_000 + i for i in range(50)]
    broker.produce(topic, values, keys=keys, partition=0, headers=headers, timestamps=times)
    made = source(
        broker, topic, format="json", schema=SCHEMA,
        metadata={"t": "topic", "p": "partition", "o": "offset", "at": "timestamp", "k": "key",
                  "h": "headers"},
    )  # fmt: skip
    with Driven(made) as driven:
        batches = [b.batch for b in driven.batches()]
    for batch in batches:
        assert batch.data.schema.equals(made.schema)
    assert np.concatenate([b.timestamps for b in batches]).tolist() == times
    records = [r for b in batches for r in rows(b)]
    assert [r["id"] for r in records] == list(range(50))
    assert records[7]["t"] == topic
    assert (records[7]["p"], records[7]["o"], records[7]["k"]) == (0, 7, b"k7")
    assert records[7]["at"].timestamp() == 5.007
    assert records[7]["h"] == [{"key": "h", "value": b"7"}]


def test_a_malformed_message_names_partition_and_offset(broker, topic):
    broker.produce(topic, [b'{"id": 1}', b'{"id": "x"}', b"{", None, b'{"id": 5}'], partition=1)
    made = source(broker, topic, format="json", schema=SCHEMA)
    with Driven(made) as driven, pytest.raises(MalformedRecordError) as caught:
        driven.all()
    assert caught.value.location == f"{topic}-1@1"


def test_malformed_messages_are_skipped_and_counted_or_put_aside(broker, topic, tmp_path):
    broker.produce(topic, [b'{"id": 1}', b'{"id": "x"}', b"{", None, b'{"id": 5}'], partition=1)
    with Driven(source(broker, topic, format="json", schema=SCHEMA, on_error="skip")) as driven:
        assert [r["id"] for r in driven.all()] == [1, 5]
        assert driven.context.errors == 3
    made = source(
        broker, topic, format="json", schema=SCHEMA, on_error="dead-letter",
        dead_letter_path=str(tmp_path / "dead"),
    )  # fmt: skip
    with Driven(made) as driven:
        assert [r["id"] for r in driven.all()] == [1, 5]
    dead = [json.loads(p.read_text()) for p in sorted((tmp_path / "dead").iterdir())]
    assert [(d["partition"], d["offset"], d["raw"]) for d in dead] == [
        (1, 1, '{"id": "x"}'),
        (1, 2, "{"),
        (1, 3, ""),
    ]


def test_a_topic_that_is_not_there_is_named(broker):
    with pytest.raises(KafkaRefusedError, match="no topic 'nowhere'"):
        read(broker, "nowhere")


def test_a_partition_that_is_not_there_is_named(broker, topic):
    missing = KafkaTopicPartition(topic, 9)
    made = KafkaSource(partitions=[missing], bootstrap_servers=broker.address, stop="latest")
    with pytest.raises(KafkaRefusedError, match=f"no partition {topic}-9"):
        Driven(made)


def test_records_removed_by_retention_are_a_named_error(broker, filled):
    from confluent_kafka import TopicPartition

    with Driven(source(broker, filled), batch_rows=5) as driven:
        splits = driven.reader.snapshot_state(1)
    admin = broker.admin()
    (done,) = admin.delete_records([TopicPartition(filled, 0, 20)]).values()
    done.result(20)
    with (
        Driven(source(broker, filled), splits=splits) as driven,
        pytest.raises(KafkaOffsetsLostError, match=f"{filled}-0 no longer has the records"),
    ):
        driven.take(100)
    reset = {"auto.offset.reset": "earliest"}
    with Driven(source(broker, filled, properties=reset), splits=splits) as driven:
        assert len(driven.take(80)) == 80


def test_a_broker_that_is_not_there_is_a_named_error_in_bounded_time(kafka_is_there, monkeypatch):
    monkeypatch.setattr("lesto.connectors.kafka.enumerator.START_TIMEOUT_S", 0.5)
    with pytest.raises(KafkaUnavailableError):
        Driven(KafkaSource("t", "127.0.0.1:9", format="string"))


def test_uncommitted_and_aborted_transactions_are_not_read_and_do_not_stop_the_end(broker, topic):
    from confluent_kafka import Producer

    def transaction(name, values, end):
        producer = Producer(
            {"bootstrap.servers": broker.address, "transactional.id": name, "log_level": 0}
        )
        producer.init_transactions(20)
        producer.begin_transaction()
        for v in values:
            producer.produce(topic, v, partition=0)
        producer.flush(20)
        if end is not None:
            getattr(producer, end)(20)
        return producer

    transaction("one", strings(0, 5), "commit_transaction")
    transaction("two", strings(5, 10), "abort_transaction")
    assert read(broker, topic) == list(range(5))
    left_open = transaction("three", strings(10, 15), None)
    assert read(broker, topic) == list(range(5))
    everything = {"isolation.level": "read_uncommitted"}
    assert read(broker, topic, properties=everything) == list(range(15))
    left_open.abort_transaction(20)


@pytest.mark.parametrize("bounded", [True, False])
def test_flinks_builder(broker, filled, bounded):
    from lesto.common.serialization import SimpleStringSchema

    builder = (
        KafkaSource.builder()
        .set_bootstrap_servers(broker.address)
        .set_topics(filled)
        .set_group_id("builder")
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_value_only_deserializer(SimpleStringSchema())
        .set_client_id_prefix("me")
        .set_property("partition.discovery.interval.ms", "1000")
    )
    stop = builder.set_bounded if bounded else builder.set_unbounded
    made = stop(KafkaOffsetsInitializer.latest()).build()
    assert (made.boundedness is Boundedness.BOUNDED) is bounded
    with Driven(made) as driven:
        assert sorted(map(int, driven.all())) == list(range(100))
    with pytest.raises(ConnectorConfigError, match="told once where to stop"):
        stop(KafkaOffsetsInitializer.latest())


def test_a_paused_partition_waits_and_loses_nothing(broker, topic):
    for partition in (0, 1):
        numbers = [str(n).encode() for n in range(partition, 4_000, 2)]
        broker.produce(topic, numbers, partition=partition)
    with Driven(source(broker, topic), batch_rows=50) as driven:
        seen = [int(n) for n in driven.take(100)]
        assert driven.reader.pause_splits(frozenset({f"{topic}-0"}))
        odd = [int(n) for n in driven.take(2_000 - sum(n % 2 for n in seen))]
        assert all(n % 2 for n in odd)
        assert driven.reader.pause_splits(frozenset())
        rest = [int(n) for n in driven.all()]
    found = seen + odd + rest
    assert [n for n in found if n % 2 == 0] == list(range(0, 4_000, 2))
    assert [n for n in found if n % 2] == list(range(1, 4_000, 2))
