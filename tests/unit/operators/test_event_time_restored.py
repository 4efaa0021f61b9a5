"""Event time behind ``assign_timestamps_and_watermarks`` goes on behind a restore."""

from lesto.common.watermarks import WatermarkGenerator, WatermarkStrategy
from lesto.taskmanager.operators.timestamps import TimestampsOperator

MONOTONOUS = WatermarkStrategy.for_monotonous_timestamps()


def test_what_was_late_before_a_failure_is_late_behind_it(harness):
    before = harness(TimestampsOperator(MONOTONOUS))
    before.feed(["a"], [1_000])
    assert before.output.watermarks == [999]
    after = harness(TimestampsOperator(MONOTONOUS), restore=[before.snapshot()])
    assert after.output.watermarks == [999]
    after.feed(["late"], [10])
    assert after.output.watermarks == [999]
    after.feed(["new"], [2_000])
    assert after.output.watermarks == [999, 1_999]


def test_at_another_parallelism_the_slowest_subtask_decides(harness):
    saved = []
    for subtask, time in enumerate((500, 1_000)):
        h = harness(TimestampsOperator(MONOTONOUS), parallelism=2, subtask=subtask)
        h.feed(["a"], [time])
        saved.append(h.snapshot())
    for subtask in range(2):
        same = harness(
            TimestampsOperator(MONOTONOUS), restore=saved, parallelism=2, subtask=subtask
        )
        assert same.output.watermarks == [(499, 999)[subtask]]
    for subtask in range(3):
        other = harness(
            TimestampsOperator(MONOTONOUS), restore=saved, parallelism=3, subtask=subtask
        )
        assert other.output.watermarks == [499]


def test_a_subtask_that_has_seen_nothing_keeps_event_time_at_its_beginning(harness):
    saved = harness(TimestampsOperator(MONOTONOUS)).snapshot()
    assert harness(TimestampsOperator(MONOTONOUS), restore=[saved]).output.watermarks == []


class Marks(WatermarkGenerator):
    def on_event(self, event, event_timestamp, output):
        output.emit_watermark(event_timestamp)

    def on_periodic_emit(self, output):
        pass


def test_a_custom_generator_starts_where_event_time_was(harness):
    before = harness(TimestampsOperator(WatermarkStrategy.for_generator(Marks)))
    before.feed(["a"], [1_000])
    after = harness(
        TimestampsOperator(WatermarkStrategy.for_generator(Marks)), restore=[before.snapshot()]
    )
    after.feed(["late"], [10])
    assert after.output.watermarks == [1_000]
