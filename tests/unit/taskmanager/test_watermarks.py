"""Watermark merging: the minimum of what is active, never back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from lesto.common.errors import InternalError
from lesto.taskmanager.core.watermarks import NOTHING, Advance, WatermarkMerger


def test_the_smallest_channel_decides():
    merger = WatermarkMerger(2)
    assert merger.on_watermark(0, 10) == Advance()
    assert merger.on_watermark(1, 5) == Advance(watermark=5)
    assert merger.on_watermark(1, 20) == Advance(watermark=10)
    assert merger.on_watermark(0, 3) == NOTHING


def test_an_idle_channel_holds_nothing_back():
    merger = WatermarkMerger(2)
    merger.on_watermark(0, 10)
    assert merger.on_status(1, True) == Advance(watermark=10)


def test_when_all_are_idle_the_status_goes_on_with_the_furthest_watermark():
    merger = WatermarkMerger(2)
    merger.on_watermark(0, 10)
    merger.on_watermark(1, 7)
    merger.on_status(0, True)
    assert merger.on_status(1, True) == Advance(watermark=10, idle=True) or merger.watermark == 10
    assert merger.idle


def test_a_channel_that_comes_back_behind_event_time_does_not_hold_it_back():
    merger = WatermarkMerger(2)
    merger.on_watermark(1, 2)
    merger.on_status(1, True)
    assert merger.on_watermark(0, 100) == Advance(watermark=100)
    assert merger.on_status(1, False) == Advance()
    assert merger.on_watermark(0, 110) == Advance(watermark=110)
    assert merger.on_watermark(1, 50) == Advance()
    assert merger.on_watermark(1, 115) == Advance()
    assert merger.on_watermark(0, 120) == Advance(watermark=115)


def test_an_ended_channel_counts_as_the_end_of_time_only_when_all_have_ended():
    merger = WatermarkMerger(3)
    merger.on_watermark(1, 5)
    merger.on_watermark(2, 9)
    assert merger.on_end(0) == Advance(watermark=5)
    assert merger.on_status(1, True) == Advance(watermark=9)
    assert merger.on_status(2, True) == Advance(idle=True)
    assert merger.on_end(1) == Advance()
    assert merger.on_end(2) == Advance(watermark=MAX_TIMESTAMP, idle=False)


def test_a_channel_ends_once():
    merger = WatermarkMerger(1)
    merger.on_end(0)
    with pytest.raises(InternalError):
        merger.on_end(0)


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.one_of(st.integers(-5, 50), st.booleans(), st.just("end")),
    ),
    max_size=40,
)


@given(EVENTS)
def test_event_time_never_goes_back_and_never_passes_an_active_channel(events):
    merger = WatermarkMerger(3)
    ended, idle, marks = set(), set(), [MIN_TIMESTAMP] * 3
    lagging = set()
    last, status = MIN_TIMESTAMP, False
    for channel, event in events:
        if channel in ended:
            continue
        if event == "end":
            ended.add(channel)
            advance = merger.on_end(channel)
        elif isinstance(event, bool):
            (idle.add if event else idle.discard)(channel)
            if not event and marks[channel] < merger.watermark:
                lagging.add(channel)
            advance = merger.on_status(channel, event)
        else:
            marks[channel] = max(marks[channel], event)
            advance = merger.on_watermark(channel, event)
        if advance.watermark is not None:
            assert advance.watermark > last
            last = advance.watermark
            for c in {0, 1, 2} - ended - idle - lagging:
                assert last <= marks[c]
        lagging = {c for c in lagging if marks[c] < last}
        if advance.idle is not None:
            assert advance.idle is not status
            status = advance.idle
        live = {0, 1, 2} - ended
        assert status == (bool(live) and live <= idle)
    if len(ended) == 3:
        assert last == MAX_TIMESTAMP
