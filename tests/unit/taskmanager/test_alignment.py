"""Alignment: the snapshot is a consistent cut, whatever the order in which channels are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.common.elements import Barrier
from lesto.common.errors import InternalError
from lesto.taskmanager.core.alignment import (
    BarrierAligner,
    Block,
    Decline,
    StartCheckpoint,
    Unblock,
)


def barrier(n):
    return Barrier(n, timestamp_ms=n)


def test_a_single_channel_starts_at_once_and_blocks_nothing():
    aligner = BarrierAligner(1)
    assert aligner.on_barrier(0, barrier(1), 10) == [StartCheckpoint(barrier(1), 0, 10)]


def test_channels_are_blocked_until_the_last_barrier():
    aligner = BarrierAligner(3)
    assert aligner.on_barrier(1, barrier(1), 10) == [Block(1)]
    assert aligner.on_barrier(0, barrier(1), 25) == [Block(0)]
    assert aligner.on_barrier(2, barrier(1), 40) == [
        StartCheckpoint(barrier(1), 30, 10),
        Unblock((0, 1)),
    ]
    assert aligner.blocked == frozenset()


def test_a_newer_barrier_declines_the_older_checkpoint():
    aligner = BarrierAligner(2)
    aligner.on_barrier(0, barrier(1), 0)
    declined, unblock, block = aligner.on_barrier(1, barrier(2), 5)
    assert declined == Decline(1, "barrier of checkpoint 2 came first on a channel")
    assert (unblock, block) == (Unblock((0,)), Block(1))
    assert aligner.on_barrier(0, barrier(2), 9) == [
        StartCheckpoint(barrier(2), 4, 5),
        Unblock((1,)),
    ]


def test_an_abort_unblocks_and_late_barriers_mean_nothing():
    aligner = BarrierAligner(2)
    aligner.on_barrier(0, barrier(1), 0)
    assert aligner.on_abort(1) == [Unblock((0,))]
    assert aligner.on_barrier(1, barrier(1), 5) == []
    assert aligner.blocked == frozenset()


def test_an_abort_before_any_barrier_is_remembered():
    aligner = BarrierAligner(2)
    assert aligner.on_abort(1) == []
    assert aligner.on_barrier(0, barrier(1), 0) == []
    assert aligner.on_barrier(0, barrier(2), 0) == [Block(0)]


def test_aborts_without_barriers_are_remembered_in_bounded_memory():
    aligner = BarrierAligner(2)
    for n in range(1, 5000):
        aligner.on_abort(n)
    assert len(aligner._aborted) <= 1024
    assert aligner.on_barrier(0, barrier(4999), 0) == []
    assert aligner.on_barrier(0, barrier(5000), 0) == [Block(0)]


def test_ended_channels_still_bring_barriers():
    aligner = BarrierAligner(2)
    aligner.on_end_of_data(0)
    assert aligner.on_barrier(1, barrier(1), 0) == [Block(1)]
    assert aligner.on_barrier(0, barrier(1), 3)[0] == StartCheckpoint(barrier(1), 3, 0)


def test_at_least_once_blocks_nothing():
    aligner = BarrierAligner(2, exactly_once=False)
    assert aligner.on_barrier(0, barrier(1), 0) == []
    assert aligner.on_barrier(0, barrier(2), 1) == []
    assert aligner.on_barrier(1, barrier(1), 2) == [StartCheckpoint(barrier(1), 2, 0)]
    assert aligner.on_barrier(1, barrier(2), 3) == [StartCheckpoint(barrier(2), 2, 1)]


@pytest.mark.parametrize("misuse", ["twice", "blocked", "unknown", "end twice"])
def test_protocol_violations_are_errors(misuse):
    aligner = BarrierAligner(2, exactly_once=misuse != "twice")
    aligner.on_barrier(0, barrier(2), 0)
    aligner.on_end_of_data(1)
    calls = {
        "twice": lambda: aligner.on_barrier(0, barrier(2), 0),
        "blocked": lambda: aligner.on_barrier(0, barrier(3), 0),
        "unknown": lambda: aligner.on_barrier(2, barrier(2), 0),
        "end twice": lambda: aligner.on_end_of_data(1),
    }
    with pytest.raises(InternalError):
        calls[misuse]()


@st.composite
def streams(draw):
    """Per channel: records (their position) with barriers 1..n between, as barriers cut the
    stream.
    """
    channels = draw(st.integers(1, 4))
    checkpoints = draw(st.integers(1, 5))
    out = []
    for _ in range(channels):
        stream = []
        for n in range(1, checkpoints + 1):
            stream += [("record", n)] * draw(st.integers(0, 3))
            stream.append(("barrier", n))
        stream += [("record", checkpoints + 1)] * draw(st.integers(0, 3))
        out.append(stream)
    aborted = draw(st.sets(st.integers(1, checkpoints), max_size=2))
    return out, checkpoints, aborted


@given(streams(), st.randoms(use_true_random=False))
def test_a_snapshot_is_a_consistent_cut_under_any_interleaving(case, random):
    """Records carry the number of the checkpoint they are before; none may be in an older
    snapshot.
    """
    channels, checkpoints, aborted = case
    aligner = BarrierAligner(len(channels))
    seen = []
    started = {}
    todo_aborts = sorted(aborted)
    positions = [0] * len(channels)
    now = 0
    while True:
        readable = [
            i
            for i, stream in enumerate(channels)
            if positions[i] < len(stream) and i not in aligner.blocked
        ]
        if todo_aborts and (not readable or random.random() < 0.2):
            aligner.on_abort(todo_aborts.pop(0))
            continue
        if not readable:
            break
        channel = random.choice(readable)
        kind, n = channels[channel][positions[channel]]
        positions[channel] += 1
        now += 1
        if kind == "record":
            seen.append(n)
            continue
        for instruction in aligner.on_barrier(channel, barrier(n), now):
            if isinstance(instruction, StartCheckpoint):
                assert instruction.barrier.checkpoint_id == n
                assert 0 <= instruction.alignment_us <= now
                started[n] = list(seen)
    assert all(p == len(s) for p, s in zip(positions, channels, strict=True)), "nothing is stuck"
    for n, taken in started.items():
        expected = sum(sum(k <= n for kind, k in s if kind == "record") for s in channels)
        assert all(k <= n for k in taken), "a record behind the barrier is in the snapshot"
        assert len(taken) == expected, "a record before the barrier is not in the snapshot"
    assert set(range(1, checkpoints + 1)) - aborted <= set(started)


@given(streams(), st.randoms(use_true_random=False))
def test_at_least_once_loses_nothing(case, random):
    channels, checkpoints, _ = case
    aligner = BarrierAligner(len(channels), exactly_once=False)
    seen, started = [], {}
    positions = [0] * len(channels)
    while readable := [i for i, s in enumerate(channels) if positions[i] < len(s)]:
        channel = random.choice(readable)
        kind, n = channels[channel][positions[channel]]
        positions[channel] += 1
        if kind == "record":
            seen.append(n)
            continue
        for instruction in aligner.on_barrier(channel, barrier(n), 0):
            if isinstance(instruction, StartCheckpoint):
                started[n] = sum(k <= n for k in seen)
    assert set(started) == set(range(1, checkpoints + 1))
    for n, taken in started.items():
        assert taken == sum(sum(k <= n for kind, k in s if kind == "record") for s in channels)
