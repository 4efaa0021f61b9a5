"""Idleness that is on by default, and alignment of sources in event time."""

import logging

import pytest
from scripted_source import MONOTONOUS, ScriptedSource, poll_all, rows

from lesto.common.source import EndOfSplits, NoData
from lesto.common.watermarks import WatermarkGenerator, WatermarkStrategy
from lesto.taskmanager.operators.source import SourceOperator
from lesto.taskmanager.operators.source_api import PollStatus
from lesto.taskmanager.operators.timestamps import TimestampsOperator

MAX = 2**63 - 1
IDLE_MS = 30_000
ALIGNED = MONOTONOUS.with_watermark_alignment("group", "10 s", "1 s")


def two_splits(h):
    h.operator.add_splits([b"a:0", b"b:0"])


def test_a_silent_split_holds_back_for_30_s_and_is_named_once(harness, caplog):
    source = ScriptedSource(rows("a", 100), NoData(), NoData())
    h = harness(SourceOperator(source, MONOTONOUS), name="clicks")
    two_splits(h)
    with caplog.at_level(logging.WARNING):
        poll_all(h, 2)
        h.clock.advance(IDLE_MS - 1)
        poll_all(h, 1)
        assert h.output.watermarks == []
        h.clock.advance(1)
        poll_all(h, 2)
    assert h.output.watermarks == [99]
    told = [r.getMessage() for r in caplog.records if "split.idle" in r.getMessage()]
    assert sorted("split=a" in t or "'a'" in t for t in told) == [False, True]
    assert all("clicks" in text for text in told)


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        (MONOTONOUS.without_idleness(), {}),
        (MONOTONOUS, {"pipeline.watermark.idle-timeout": "0 s"}),
        (WatermarkStrategy.no_watermarks(), {}),
    ],
)
def test_it_can_be_turned_off(harness, strategy, options):
    source = ScriptedSource(rows("a", 100))
    h = harness(SourceOperator(source, strategy), config=options)
    two_splits(h)
    poll_all(h, 2)
    h.clock.advance(1000 * IDLE_MS)
    poll_all(h, 2)
    assert (h.output.watermarks, h.output.statuses) == ([], [])


def test_a_split_is_idle_also_while_another_is_read_without_end(harness):
    script = [rows("a", 100 + n) for n in range(70)]
    h = harness(SourceOperator(ScriptedSource(*script), MONOTONOUS))
    two_splits(h)
    for _ in range(70):
        h.clock.advance(500)
        poll_all(h, 1)
    assert h.output.watermarks[0] == 100 + 59 - 1


def test_a_split_is_not_idle_because_nobody_asked(harness):
    source = ScriptedSource(rows("a", 100), rows("a", 101), rows("b", 50))
    h = harness(SourceOperator(source, MONOTONOUS))
    two_splits(h)
    poll_all(h, 1)
    h.clock.advance(2 * IDLE_MS)  # held up from behind, with work to do
    poll_all(h, 1)
    assert h.output.watermarks == []
    poll_all(h, 1)
    assert h.output.watermarks == [49]


class ByClock(WatermarkGenerator):
    def __init__(self):
        self.at = 0

    def on_event(self, event, event_timestamp, output):
        pass

    def on_periodic_emit(self, output):
        self.at += 1
        output.emit_watermark(self.at)


def test_a_custom_generator_decides_for_itself_unless_told_otherwise(harness):
    h = harness(TimestampsOperator(WatermarkStrategy.for_generator(ByClock)))
    h.advance(2 * IDLE_MS)
    assert h.output.statuses == []
    assert len(h.output.watermarks) > 100
    h = harness(TimestampsOperator(WatermarkStrategy.for_generator(ByClock).with_idleness("1 s")))
    h.advance(5_000)
    assert h.output.statuses == [True]  # and it stays so


def test_behind_the_source_idleness_is_on_too(harness):
    h = harness(TimestampsOperator(MONOTONOUS))
    h.feed(["a"], [5])
    h.advance(IDLE_MS * 2)
    assert h.output.statuses == [True]
    h.feed(["b"], [6])
    assert h.output.statuses == [True, False]


# ------------------------------------------------------------------------------------ alignment


class PausingSource(ScriptedSource):
    """Its reader gives nothing of paused splits."""

    def create_reader(self, context):
        reader = super().create_reader(context)
        reader.paused = frozenset()

        def pause(splits):
            reader.paused = splits
            return True

        reader.pause_splits = pause
        plain = reader.poll

        def poll():
            step = reader.script[0] if reader.script else NoData()
            if getattr(step, "split_id", None) in reader.paused:
                return NoData()
            return plain()

        reader.poll = poll
        return reader


def test_a_reader_reports_at_its_interval_and_waits_while_it_is_ahead(harness):
    h = harness(
        SourceOperator(ScriptedSource(rows("a", 5_000), rows("a", 30_000), rows("a", 9)), ALIGNED)
    )
    h.operator.add_splits([b"a:0"])
    assert poll_all(h, 1) == [PollStatus.IDLE]  # until the group has answered
    assert h.context.watermark_reports == [("group", -(2**63))]
    h.operator.align(MAX)
    poll_all(h, 2)
    h.operator.align(20_000)
    outcome = h.operator.poll()
    assert outcome.status is PollStatus.IDLE
    assert outcome.wake_at_ms == h.clock.monotonic_ms() + 1_000
    assert h.output.rows == ["a5000", "a30000"]
    h.clock.advance(1_000)
    assert h.operator.poll().status is PollStatus.IDLE
    assert h.context.watermark_reports[-1] == ("group", 29_999)
    h.operator.align(40_000)
    assert poll_all(h, 1) == [PollStatus.PROGRESS]


def test_splits_that_can_be_paused_are_paused_alone_and_are_not_idle(harness):
    source = PausingSource(rows("a", 50_000), rows("b", 1_000), rows("a", 60_000))
    h = harness(SourceOperator(source, ALIGNED))
    two_splits(h)
    h.operator.align(MAX)
    poll_all(h, 2)
    h.operator.align(11_000)
    assert poll_all(h, 1) == [PollStatus.IDLE]
    assert source.reader.paused == {"a"}
    h.clock.advance(3 * IDLE_MS)
    poll_all(h, 1)
    assert h.output.statuses == []  # b is idle, a waits
    h.operator.align(MAX)
    assert poll_all(h, 1) == [PollStatus.PROGRESS]
    assert source.reader.paused == frozenset()
    assert h.output.rows[-1] == "a60000"


def test_a_reader_that_is_idle_or_at_its_end_holds_back_nobody(harness):
    h = harness(SourceOperator(ScriptedSource(), ALIGNED))
    h.operator.align(MAX)
    h.clock.advance(IDLE_MS)
    poll_all(h, 1)
    h.clock.advance(1_000)
    poll_all(h, 1)
    assert h.context.watermark_reports[-1] == ("group", MAX)
    h = harness(SourceOperator(ScriptedSource(rows("a", 5), EndOfSplits.END), ALIGNED))
    h.operator.align(MAX)
    assert poll_all(h, 2)[-1] is PollStatus.END
    assert h.context.watermark_reports[-1] == ("group", MAX)


def test_wrong_arguments_are_named():
    with pytest.raises(TypeError, match="watermark_group"):
        MONOTONOUS.with_watermark_alignment("", "1 s")
    with pytest.raises(ValueError, match="update_interval"):
        MONOTONOUS.with_watermark_alignment("g", "1 s", 0)
    with pytest.raises(TypeError, match="max_allowed_watermark_drift"):
        MONOTONOUS.with_watermark_alignment("g", None)
