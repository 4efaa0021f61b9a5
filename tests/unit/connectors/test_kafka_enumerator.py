"""The enumerator without Kafka: who reads what, what is found later, what a snapshot holds."""

import re

import pytest

from lesto.connectors.errors import (
    ConnectorConfigError,
    KafkaOffsetsLostError,
    KafkaRefusedError,
    KafkaUnavailableError,
)
from lesto.connectors.kafka import (
    KafkaOffsetResetStrategy,
    KafkaOffsetsInitializer,
    KafkaSource,
    KafkaTopicPartition,
)
from lesto.connectors.kafka.enumerator import KafkaEnumerator, owner
from lesto.connectors.kafka.splits import NO_STOP, PartitionSplit, decode_split, encode_split
from tests.unit.connectors.contexts import EnumeratorContext


class Metadata:
    """Topics with offsets 10 to 100; committed 50 for even partitions."""

    def __init__(self, **topics):
        self.topics = topics
        self.timeout_s = 1.0
        self.closed = False
        self.away = False

    def partitions(self, wanted):
        if self.away:
            msg = "away"
            raise KafkaUnavailableError(msg)
        return [
            KafkaTopicPartition(t, p)
            for t, count in sorted(self.topics.items())
            if wanted(t)
            for p in range(count)
        ]

    def earliest(self, partitions):
        return dict.fromkeys(partitions, 10)

    def latest(self, partitions):
        return dict.fromkeys(partitions, 100)

    def committed(self, partitions):
        return {p: 50 if p.partition % 2 == 0 else None for p in partitions}

    def at_time(self, partitions, timestamp_ms):
        return {p: timestamp_ms if timestamp_ms < 100 else None for p in partitions}

    def close(self):
        self.closed = True


def source(topics="t", **options):
    options.setdefault("format", "raw")
    return KafkaSource(topics, "127.0.0.1:9", **options)


def started(made, metadata, parallelism=2, checkpoint=None):
    context = EnumeratorContext(parallelism)
    enumerator = KafkaEnumerator(context, made, lambda: metadata, checkpoint)
    enumerator.start()
    return enumerator, context


def given(context):
    return {
        s.split_id: (reader, s.next, s.stop)
        for reader, splits in context.assigned.items()
        for s in splits
    }


def ask(enumerator, context):
    for reader in range(context.parallelism):
        enumerator.handle_split_request(reader)


def test_partitions_of_a_topic_are_dealt_out_evenly():
    readers = [owner(KafkaTopicPartition("t", p), 4) for p in range(12)]
    assert sorted(readers) == sorted([0, 1, 2, 3] * 3)


def test_each_partition_goes_to_one_reader_and_only_when_it_asks():
    enumerator, context = started(source(), Metadata(t=4))
    assert given(context) == {}
    ask(enumerator, context)
    ask(enumerator, context)
    found = given(context)
    assert {k: v[1:] for k, v in found.items()} == {f"t-{p}": (10, NO_STOP) for p in range(4)}
    assert sum(map(len, context.assigned.values())) == 4
    assert context.no_more == set()
    assert context.interval_ms == 300_000


def test_a_source_that_stops_says_so_and_looks_for_nothing_new():
    metadata = Metadata(t=2)
    enumerator, context = started(source(stop="latest"), metadata)
    ask(enumerator, context)
    assert {v[2] for v in given(context).values()} == {100}
    assert context.no_more == {0, 1}
    assert context.interval_ms is None
    assert metadata.closed


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (KafkaOffsetsInitializer.earliest(), (10, 10)),
        (KafkaOffsetsInitializer.latest(), (100, 100)),
        (KafkaOffsetsInitializer.timestamp(70), (70, 70)),
        (KafkaOffsetsInitializer.timestamp(700), (100, 100)),
        (
            KafkaOffsetsInitializer.committed_offsets(KafkaOffsetResetStrategy.EARLIEST),
            (50, 10),
        ),
        (KafkaOffsetsInitializer.committed_offsets(KafkaOffsetResetStrategy.LATEST), (50, 100)),
        (KafkaOffsetsInitializer.offsets({KafkaTopicPartition("t", 1): 33}), (10, 33)),
        (
            KafkaOffsetsInitializer.offsets(
                {KafkaTopicPartition("t", 0): 0}, KafkaOffsetResetStrategy.LATEST
            ),
            (0, 100),
        ),
    ],
)
def test_where_reading_starts(start, expected):
    enumerator, context = started(source(start=start, group_id="g"), Metadata(t=2))
    ask(enumerator, context)
    found = given(context)
    assert (found["t-0"][1], found["t-1"][1]) == expected


def test_no_committed_offset_and_no_strategy_is_named():
    start = KafkaOffsetsInitializer.committed_offsets()
    with pytest.raises(KafkaOffsetsLostError, match="committed for 1 partitions: t-1"):
        started(source(start=start, group_id="g"), Metadata(t=2))


def test_committed_offsets_need_a_group():
    with pytest.raises(ConnectorConfigError, match="consumer group"):
        source(start="committed")


def test_a_missing_topic_is_named():
    with pytest.raises(KafkaRefusedError, match="no topic 'b'"):
        started(source(["a", "b"]), Metadata(a=1))


def test_a_pattern_may_match_nothing_yet():
    metadata = Metadata()
    enumerator, context = started(source(re.compile("x.*"), start="latest"), metadata)
    ask(enumerator, context)
    metadata.topics["xy"] = 1
    enumerator.discover()
    assert {k: v[1] for k, v in given(context).items()} == {"xy-0": 10}, "from its beginning"


def test_discovery_outlives_a_broker_that_is_away_and_finds_each_partition_once():
    metadata = Metadata(t=1)
    enumerator, context = started(source(), metadata)
    ask(enumerator, context)
    metadata.away = True
    enumerator.discover()
    metadata.away, metadata.topics["t"] = False, 3
    enumerator.discover()
    enumerator.discover()
    assert sorted(given(context)) == ["t-0", "t-1", "t-2"]
    assert sum(map(len, context.assigned.values())) == 3


def test_a_snapshot_holds_what_is_not_given_out_and_all_that_is_known():
    metadata = Metadata(t=4)
    enumerator, context = started(source(), metadata)
    enumerator.handle_split_request(0)
    first = set(given(context))
    state = enumerator.snapshot_state(1)
    metadata.away = True  # a restore asks Kafka nothing
    again, later = started(source(), metadata, parallelism=3, checkpoint=state)
    ask(again, later)
    assert set(given(later)) == {f"t-{p}" for p in range(4)} - first
    metadata.away = False
    again.discover()
    assert set(given(later)) == {f"t-{p}" for p in range(4)} - first, "those known are not new"


def test_splits_given_back_are_given_out_again_as_they_were():
    enumerator, context = started(source(), Metadata(t=1), parallelism=1)
    enumerator.handle_split_request(0)
    (split,) = context.assigned[0]
    context.assigned[0].clear()
    enumerator.add_splits_back([split], 0)
    assert split.split_id in decode_pending(enumerator.snapshot_state(1))
    enumerator.handle_split_request(0)
    assert context.assigned[0] == [split]


def decode_pending(state):
    import msgspec

    _, pending = msgspec.msgpack.decode(state)
    return [decode_split(s).split_id for s in pending]


def test_splits_survive_their_encoding():
    split = PartitionSplit("tö-pic", 7, 2**40, 2**41)
    assert decode_split(encode_split(split)) == split
