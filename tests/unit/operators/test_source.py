import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
from scripted_source import MONOTONOUS, ScriptedSource, poll_all, rows

from lesto.common import options
from lesto.common.elements import ColumnarBatch, RowBatch
from lesto.common.row import Row
from lesto.common.source import (
    EndOfSplits,
    NoData,
    SourceBatch,
    SplitFinished,
)
from lesto.common.watermarks import TimestampAssigner, WatermarkGenerator, WatermarkStrategy
from lesto.taskmanager.operators.errors import (
    InvalidResultError,
    MissingTimestampError,
    UserFunctionError,
)
from lesto.taskmanager.operators.source import SourceOperator
from lesto.taskmanager.operators.source_api import PollStatus, SourceDriver
from lesto.taskmanager.operators.timestamps import TimestampsOperator

MAX = 2**63 - 1


def test_it_is_a_source_driver(harness):
    assert isinstance(SourceOperator(ScriptedSource(), None), SourceDriver)


def test_a_watermark_follows_each_batch_that_advances_event_time(harness):
    source = ScriptedSource(rows("s", 5, 9), rows("s", 7), rows("s", 20), EndOfSplits.END)
    h = harness(SourceOperator(source, WatermarkStrategy.for_bounded_out_of_orderness(2)))
    assert poll_all(h, 4) == [*[PollStatus.PROGRESS] * 3, PollStatus.END]
    assert h.output.log == [
        ("rows", ["s5", "s9"]),
        ("watermark", 6),
        ("rows", ["s7"]),
        ("rows", ["s20"]),
        ("watermark", 17),
    ]


def test_the_slowest_split_holds_back_event_time_until_it_ends(harness):
    source = ScriptedSource(
        rows("a", 100), rows("b", 10), rows("b", 30), SplitFinished("b"), rows("a", 110)
    )
    h = harness(SourceOperator(source, MONOTONOUS))
    h.operator.add_splits([b"a:0", b"b:0"])
    poll_all(h, 1)
    assert h.output.watermarks == []  # b has not been read yet
    poll_all(h, 4)
    assert h.output.watermarks == [9, 29, 99, 109]


def test_event_time_does_not_go_back_with_a_later_split(harness):
    source = ScriptedSource(rows("a", 100), SplitFinished("a"), rows("b", 10), rows("b", 200))
    h = harness(SourceOperator(source, MONOTONOUS))
    poll_all(h, 4)
    assert h.output.watermarks == [99, 199]


def test_idle_splits_do_not_hold_back_and_an_idle_source_says_so(harness):
    source = ScriptedSource(rows("a", 100), rows("b", 10), NoData(), NoData())
    h = harness(SourceOperator(source, MONOTONOUS.with_idleness(1_000)))
    h.operator.add_splits([b"a:0", b"b:0"])
    poll_all(h, 2)
    h.clock.advance(600)
    source.reader.script.insert(0, rows("a", 120))
    assert poll_all(h, 1) == [PollStatus.PROGRESS]
    assert h.output.watermarks == [9]
    start = h.clock.monotonic_ms()
    outcome = h.operator.poll()
    assert outcome.wake_at_ms == start + 400  # when b has been silent for a second
    h.clock.advance(400)
    h.operator.poll()
    assert h.output.watermarks == [9, 119]
    assert h.output.statuses == []
    h.clock.advance(1_000)
    h.operator.poll()
    assert h.output.statuses == [True]
    source.reader.script.append(rows("b", 130))
    h.operator.poll()
    assert h.output.statuses == [True, False]
    assert h.output.log[-3:] == [("idle", False), ("rows", ["b130"]), ("watermark", 129)]


def test_a_reader_without_splits_becomes_idle(harness):
    h = harness(SourceOperator(ScriptedSource(), MONOTONOUS.with_idleness(1_000)))
    first = h.operator.poll()
    assert first.status is PollStatus.IDLE
    assert first.wake_at_ms == h.clock.monotonic_ms() + 1_000
    h.clock.advance(1_000)
    h.operator.poll()
    assert h.output.statuses == [True]


def test_splits_are_in_the_checkpoint_with_their_progress(harness):
    source = ScriptedSource(rows("a", 1), rows("a", 2), rows("b", 1), SplitFinished("b"))
    h = harness(SourceOperator(source, None))
    h.operator.add_splits([b"a:0", b"b:0", b"c:5"])
    poll_all(h, 4)
    saved = h.snapshot()
    assert sorted(saved.lists["splits"]) == [b"a:2", b"c:5"]
    again = ScriptedSource()
    r = harness(SourceOperator(again, None), restore=[saved])
    assert again.reader.calls == ["add", "start"]
    assert {s.split_id: s.at for s in again.reader.splits.values()} == {"a": 2, "c": 5}
    r.operator.no_more_splits()
    assert again.reader.calls[-1] == "no more"
    halves = [
        harness(SourceOperator(ScriptedSource(), None), restore=[saved], parallelism=2, subtask=i)
        for i in range(2)
    ]
    assert sorted(b for h in halves for b in h.snapshot().lists["splits"]) == [b"a:2", b"c:5"]


def test_stop_reads_no_further(harness):
    h = harness(SourceOperator(ScriptedSource(rows("a", 1)), None))
    h.operator.stop()
    assert h.operator.poll().status is PollStatus.IDLE
    assert h.output.rows == []


def test_reader_context_counts_errors_and_asks_for_splits(harness):
    source = ScriptedSource()
    h = harness(SourceOperator(source, None), config={options.BATCH_ROWS.key: "77"})
    source.context.count_error(3)
    source.context.request_split()
    source.context.wakeup()
    assert h.counter("num_records_in_errors") == 3
    assert (h.context.split_requests, h.context.wakeups) == (1, 1)
    assert source.context.batch_rows == 77


def test_watermark_interval_of_zero_turns_periodic_watermarks_off(harness):
    key = options.AUTO_WATERMARK_INTERVAL.key
    h = harness(SourceOperator(ScriptedSource(rows("a", 1)), MONOTONOUS), config={key: "0 ms"})
    poll_all(h, 1)
    assert h.output.watermarks == []


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        (pa.int64(), [5, -7], [5, -7]),
        (pa.int32(), [5, -7], [5, -7]),
        (pa.timestamp("ms"), [5, -7], [5, -7]),
        (pa.timestamp("s"), [5, -7], [5000, -7000]),
        (pa.timestamp("us", tz="America/New_York"), [1_999, -1], [1, -1]),
        (pa.timestamp("ns"), [1_999_000, -1_000], [1, -1]),
        (pa.date32(), [1, -1], [86_400_000, -86_400_000]),
        (pa.date64(), [86_400_000, 0], [86_400_000, 0]),
    ],
)
def test_event_time_from_a_column(harness, kind, values, expected):
    array = pa.array(values, pa.int64())
    array = array.cast(pa.int32()).cast(kind) if kind == pa.date32() else array.cast(kind)
    data = pa.record_batch({"x": [1, 2], "at": array})
    strategy = MONOTONOUS.with_timestamp_column("at")
    h = harness(SourceOperator(ScriptedSource(SourceBatch(ColumnarBatch(data), "s")), strategy))
    poll_all(h, 1)
    assert h.output.timestamps == expected
    assert h.output.batches[0].data is data
    assert h.output.watermarks == [max(expected) - 1]


def test_event_time_from_a_field_of_rows(harness):
    at = dt.datetime(1970, 1, 1, 0, 0, 1)  # noqa: DTZ001 - naive counts as UTC
    aware = at.replace(tzinfo=dt.timezone(dt.timedelta(hours=1)))
    h = harness(TimestampsOperator(MONOTONOUS.with_timestamp_column("at")))
    h.feed([Row(at=at), Row(at=aware), Row(at=7), Row(at=dt.date(1970, 1, 2))])
    assert h.output.timestamps == [1000, 1000 - 3_600_000, 7, 86_400_000]


def test_a_missing_null_or_wrong_time_column_is_a_named_error(harness):
    data = pa.record_batch({"at": pa.array([1, None]), "text": ["a", "b"], "ta": [1, 2]})
    for column, words in (("at", "row 1"), ("text", "string"), ("tax", "'ta'")):
        h = harness(TimestampsOperator(MONOTONOUS.with_timestamp_column(column)))
        with pytest.raises(MissingTimestampError, match=words):
            h.operator.process_batch(ColumnarBatch(data))
    h = harness(TimestampsOperator(MONOTONOUS.with_timestamp_column("at")))
    with pytest.raises(MissingTimestampError, match="row 1"):
        h.feed([Row(at=1), Row(at=None)])
    with pytest.raises(MissingTimestampError, match="str"):
        h.feed([Row(at="x")])


def test_assigners_may_be_objects_or_callables_and_see_the_source_time(harness):
    class Plus(TimestampAssigner):
        def extract_timestamp(self, value, record_timestamp):
            return value + record_timestamp

    for assigner in (Plus(), lambda value, time: value + time):
        h = harness(TimestampsOperator(MONOTONOUS.with_timestamp_assigner(assigner)))
        h.feed([1, 2], [10, 20])
        assert h.output.timed() == [(1, 11), (2, 22)]
        assert h.output.watermarks == [21]
    on_columns = harness(
        TimestampsOperator(MONOTONOUS.with_timestamp_assigner(lambda row, time: row.at))
    )
    on_columns.operator.process_batch(ColumnarBatch(pa.record_batch({"at": [3, 4]})))
    assert on_columns.output.timestamps == [3, 4]


def test_assigner_failures_name_the_record(harness):
    h = harness(TimestampsOperator(MONOTONOUS.with_timestamp_assigner(lambda v, t: 1 // v)))
    with pytest.raises(UserFunctionError) as caught:
        h.feed([1, 0])
    assert caught.value.record_index == 1
    h = harness(TimestampsOperator(MONOTONOUS.with_timestamp_assigner(lambda v, t: v)))
    with pytest.raises(InvalidResultError, match="'noon'"):
        h.feed([1, "noon"])


def test_watermarks_from_upstream_end_here_but_for_the_last(harness):
    h = harness(TimestampsOperator(MONOTONOUS))
    h.feed(["a"], [50])
    h.watermark(1_000)
    h.watermark(MAX)
    assert h.output.watermarks == [49, MAX]


def test_idle_timeout_behind_the_source(harness):
    h = harness(TimestampsOperator(MONOTONOUS.with_idleness(1_000)))
    h.feed(["a"], [50])
    h.advance(2_100)
    assert h.output.statuses == [True]
    h.feed(["b"], [60])
    assert h.output.statuses == [True, False]
    h.operator.process_status(True)
    assert h.output.statuses == [True, False]
    h.operator.close()
    assert h.alarms == []


def test_without_a_timeout_the_input_decides_about_idleness(harness):
    h = harness(TimestampsOperator(MONOTONOUS))
    h.operator.process_status(True)
    h.feed(["a"], [1])
    assert h.output.statuses == [True, False]


class Punctuated(WatermarkGenerator):
    def __init__(self):
        self.periodic = 0

    def on_event(self, event, event_timestamp, output):
        if event == "mark":
            output.emit_watermark(event_timestamp)
        if event == "pause":
            output.mark_idle()

    def on_periodic_emit(self, output):
        self.periodic += 1


def test_custom_generators_are_asked_for_each_record_and_periodically(harness):
    made = []

    def factory():
        made.append(Punctuated())
        return made[-1]

    h = harness(TimestampsOperator(WatermarkStrategy.for_generator(factory)))
    h.feed(["a", "mark", "b"], [5, 7, 9])
    assert h.output.watermarks == [7]
    before = made[0].periodic
    h.advance(1_000)
    assert made[0].periodic == before + 5
    h.feed(["mark"], [3])
    assert h.output.watermarks == [7]
    h.feed(["pause"], [3])
    assert h.output.statuses == [True]


def test_each_split_has_a_custom_generator_of_its_own(harness):
    def mark(split, time):
        return SourceBatch(RowBatch(["mark"], np.array([time])), split)

    source = ScriptedSource(mark("a", 10), mark("b", 4), mark("b", 30))
    h = harness(SourceOperator(source, WatermarkStrategy.for_generator(Punctuated)))
    h.operator.add_splits([b"a:0", b"b:0"])
    poll_all(h, 3)
    assert h.output.watermarks == [4, 10]
    assert h.operator.poll().wake_at_ms is not None


def test_event_time_goes_on_from_the_checkpoint(harness):
    """Else records that were late before a failure would not be late behind it."""
    strategy = WatermarkStrategy.for_bounded_out_of_orderness(2)
    h = harness(SourceOperator(ScriptedSource(rows("s", 5, 20)), strategy))
    poll_all(h, 1)
    assert h.output.watermarks == [17]
    saved = h.snapshot()
    again = harness(SourceOperator(ScriptedSource(rows("s", 9)), strategy), restore=[saved])
    poll_all(again, 1)
    assert again.output.log == [("watermark", 17), ("rows", ["s9"])]


def test_event_time_behind_a_rescale_is_that_of_the_slowest_reader(harness):
    saved = []
    for subtask, time in enumerate((30, 20, 50)):
        source = ScriptedSource(rows("s", time))
        h = harness(SourceOperator(source, MONOTONOUS), parallelism=3, subtask=subtask)
        poll_all(h, 1)
        saved.append(h.snapshot())
    own = harness(
        SourceOperator(ScriptedSource(), MONOTONOUS), restore=saved, parallelism=3, subtask=2
    )
    assert own.output.watermarks == [49]
    fewer = harness(SourceOperator(ScriptedSource(), MONOTONOUS), restore=saved, parallelism=2)
    assert fewer.output.watermarks == [19]


def test_a_source_that_has_no_event_time_yet_restores_none(harness):
    h = harness(SourceOperator(ScriptedSource(), MONOTONOUS))
    again = harness(SourceOperator(ScriptedSource(), MONOTONOUS), restore=[h.snapshot()])
    assert again.output.log == []
