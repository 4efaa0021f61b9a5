"""A position that the broker refuses is lost only when it is not in the partition's log."""

from types import SimpleNamespace

import confluent_kafka as kafka
import pytest

from lesto.connectors.errors import KafkaOffsetsLostError
from lesto.connectors.kafka.fetcher import REFUSED_MAX, Fetcher

KEY = ("t", 0)


class Consumer:
    """Knows the bounds of a log; notes where it is sent."""

    def __init__(self, low, high):
        self.bounds = low, high
        self.assigned = []
        self.paused = 0

    def get_watermark_offsets(self, part, timeout, cached):
        assert not cached
        return self.bounds

    def incremental_unassign(self, parts):
        pass

    def incremental_assign(self, parts):
        self.assigned += [(p.topic, p.partition, p.offset) for p in parts]

    def pause(self, parts):
        self.paused += 1


def fetcher(position):
    made = Fetcher({}, None, None, 100)
    made._stops[KEY], made._at[KEY] = 100, position
    return made


def refusal(key=KEY):
    error = kafka.KafkaError(kafka.KafkaError._AUTO_OFFSET_RESET, "Offset out of range")
    return SimpleNamespace(topic=lambda: key[0], partition=lambda: key[1], error=lambda: error)


@pytest.mark.parametrize("position", [0, 50, 51, kafka.OFFSET_BEGINNING])
def test_a_position_in_the_log_is_asked_for_again(position):
    consumer = Consumer(0, 51)
    fetcher(position)._on_event(consumer, refusal(), [])
    assert consumer.assigned == [("t", 0, position)]


def test_again_and_again_is_an_error_and_progress_forgives():
    consumer, made = Consumer(0, 51), fetcher(50)
    for _ in range(REFUSED_MAX):
        made._on_event(consumer, refusal(), [])
    with pytest.raises(KafkaOffsetsLostError, match="position 50, only 0 to 51"):
        made._on_event(consumer, refusal(), [])
    made._decode = lambda key, run: None
    made._on_run(KEY, [SimpleNamespace(offset=lambda: 50)], [])
    made._on_event(consumer, refusal(), [])
    assert consumer.assigned[-1] == ("t", 0, 51)


def test_a_paused_partition_stays_paused():
    consumer, made = Consumer(0, 51), fetcher(50)
    made._paused = frozenset([KEY])
    made._on_event(consumer, refusal(), [])
    assert consumer.paused == 1


@pytest.mark.parametrize("bounds", [(60, 90), (0, 49)])
def test_a_position_outside_of_the_log_is_lost(bounds):
    with pytest.raises(KafkaOffsetsLostError, match="t-0 no longer has the records"):
        fetcher(50)._on_event(Consumer(*bounds), refusal(), [])


def test_a_partition_that_is_finished_says_nothing_any_more():
    made = fetcher(50)
    del made._stops[KEY]
    consumer = Consumer(0, 10)
    made._on_event(consumer, refusal(), [])
    assert consumer.assigned == []
