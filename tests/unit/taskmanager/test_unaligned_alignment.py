"""Barriers that overtake: what alignment decides, and that every snapshot is a consistent cut.

The model: producers, each with a channel to one task. A channel has two queues, as in the engine:
what the producer could not send yet, and what the consumer has not read. A barrier overtakes both.
"""

from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.common.elements import Barrier, CheckpointKind
from lesto.taskmanager.core.alignment import (
    ArmTimer,
    BarrierAligner,
    Block,
    Capture,
    Captured,
    Decline,
    DropCapture,
    FinishCapture,
    StartCheckpoint,
    StopCapture,
    Unblock,
)


def barrier(n, unaligned=True):
    return Barrier(n, timestamp_ms=n, unaligned=unaligned)


def start(n, waited=0, first=0, **more):
    return StartCheckpoint(barrier(n), waited, first, unaligned=True, **more)


def test_the_first_barrier_that_overtakes_starts_the_checkpoint():
    aligner = BarrierAligner(3)
    assert aligner.on_announced(1, barrier(1), 10) == [
        start(1, first=10),
        Capture(1, (0, 1, 2)),
        FinishCapture(1, 1),
    ]
    assert aligner.capturing == {0, 2}
    assert aligner.on_announced(0, barrier(1), 15) == [FinishCapture(1, 0)]
    assert aligner.on_barrier(2, barrier(1), 20) == [StopCapture(1, 2), Captured(1)]
    assert aligner.capturing == frozenset()


def test_a_channel_read_up_to_its_barrier_is_not_captured():
    aligner = BarrierAligner(2)
    assert aligner.on_barrier(0, barrier(1, unaligned=False), 1) == [Block(0)]
    assert aligner.on_announced(1, barrier(1), 4) == [
        start(1, 3, 1),
        Capture(1, (1,)),
        Unblock((0,)),
        FinishCapture(1, 1),
        Captured(1),
    ]


def test_all_barriers_read_in_order_leave_nothing_in_flight():
    aligner = BarrierAligner(1)
    assert aligner.on_barrier(0, barrier(1), 5)[:1] == [start(1, first=5)]
    assert aligner.on_announced(0, barrier(1), 6) == [], "announced when it was read already"


def test_a_timer_lets_barriers_overtake_that_are_under_way():
    aligner = BarrierAligner(2, timed=True)
    announced = aligner.on_announced(0, barrier(1, unaligned=False), 1)
    assert announced == [ArmTimer(barrier(1, unaligned=False))]
    assert aligner.on_announced(1, barrier(1, unaligned=False), 2) == [], "one timer"
    assert aligner.on_timeout(1, 9) == [
        start(1, 8, 1),
        Capture(1, (0, 1)),
        FinishCapture(1, 0),
        FinishCapture(1, 1),
        Captured(1),
    ]
    assert aligner.on_timeout(1, 10) == []


@pytest.mark.parametrize(
    "never",
    [
        Barrier(1, 1, CheckpointKind.SAVEPOINT),
        Barrier(1, 1, CheckpointKind.FINAL),
        Barrier(1, 1, stop=True),
        Barrier(1, 1, drain=True),
    ],
)
def test_savepoints_and_last_checkpoints_stay_aligned_however_long_they_take(never):
    # Nothing keeps what would be in flight: a restore would lose it.
    aligner = BarrierAligner(2, timed=True)
    assert aligner.on_barrier(0, never, 1) == [Block(0)]
    assert aligner.on_timeout(1, 1000) == []
    done = StartCheckpoint(never, 1999, 1)
    assert aligner.on_barrier(1, never, 2000) == [done, Unblock((0,))]


def test_without_a_timer_aligned_barriers_stay_aligned():
    aligner = BarrierAligner(2)
    assert aligner.on_announced(0, barrier(1, unaligned=False), 1) == []
    assert aligner.on_barrier(0, barrier(1, unaligned=False), 2) == [Block(0)]


def test_channels_that_are_aligned_only_must_have_been_read_up_to_their_barriers():
    aligner = BarrierAligner(3, aligned_only=frozenset({2}))
    assert aligner.on_announced(0, barrier(1), 1) == []
    assert aligner.on_announced(2, barrier(1), 1) == [], "nothing overtakes there"
    assert aligner.on_barrier(2, barrier(1), 5) == [
        Block(2),
        start(1, 4, 1),
        Capture(1, (0, 1)),
        Unblock((2,)),
        FinishCapture(1, 0),
    ]


def test_too_many_queued_bytes_are_a_reason_to_wait_for_alignment():
    aligner = BarrierAligner(2, max_bytes=100)
    assert aligner.on_announced(0, barrier(1), 1, queued_bytes=101) == []
    assert aligner.on_barrier(0, barrier(1), 2, queued_bytes=101) == [Block(0)]
    (started, _, captured) = aligner.on_barrier(1, barrier(1), 3, queued_bytes=0)
    assert started == start(1, 2, 1, limited=True)
    assert captured == Captured(1)
    again = BarrierAligner(2, max_bytes=100)
    again.on_announced(0, barrier(1), 1, queued_bytes=101)
    assert again.on_announced(1, barrier(1), 2, queued_bytes=100)[0] == start(1, 1, 1)


def test_channels_that_brought_too_much_wait_for_their_barriers():
    aligner = BarrierAligner(3, max_bytes=100)
    aligner.on_announced(0, barrier(1), 1)
    assert aligner.on_captured_bytes(100) == []
    assert aligner.on_captured_bytes(101) == [Block(1), Block(2)]
    assert aligner.on_captured_bytes(150) == []
    assert aligner.blocked == {1, 2}
    assert aligner.on_announced(1, barrier(1), 2) == [FinishCapture(1, 1), Unblock((1,))]
    assert aligner.on_announced(2, barrier(1), 2) == [
        FinishCapture(1, 2),
        Unblock((2,)),
        Captured(1, limited=True),
    ]
    assert aligner.blocked == frozenset()


@pytest.mark.parametrize("held_back", [True, False])
def test_an_abort_drops_what_was_captured_and_late_barriers_mean_nothing(held_back):
    aligner = BarrierAligner(2, max_bytes=10)
    aligner.on_announced(0, barrier(1), 1)
    if held_back:
        aligner.on_captured_bytes(11)
    dropped = [DropCapture(1), Unblock((1,))] if held_back else [DropCapture(1)]
    assert aligner.on_abort(1) == dropped
    assert aligner.on_announced(1, barrier(1), 2) == []
    assert aligner.on_barrier(1, barrier(1), 3) == []
    assert aligner.blocked == frozenset()


def test_a_newer_checkpoint_that_starts_gives_up_the_capture_of_the_older():
    aligner = BarrierAligner(2)
    aligner.on_announced(0, barrier(1), 1)
    assert aligner.on_announced(0, barrier(2), 5) == [
        Decline(1, "checkpoint 2 was complete first"),
        DropCapture(1),
        start(2, first=5),
        Capture(2, (0, 1)),
        FinishCapture(2, 0),
    ]
    assert aligner.on_barrier(1, barrier(1), 6) == [], "it means nothing any more"
    assert aligner.on_barrier(1, barrier(2), 7) == [StopCapture(2, 1), Captured(2)]


def test_a_newer_aligned_barrier_on_a_captured_channel_gives_up_the_older():
    aligner = BarrierAligner(2)
    aligner.on_announced(0, barrier(1), 1)
    out = aligner.on_barrier(1, barrier(2, unaligned=False), 5)
    assert out[:2] == [
        Decline(1, "barrier of checkpoint 2 came first on a channel"),
        DropCapture(1),
    ]
    assert aligner.capturing == frozenset()


def test_at_least_once_knows_no_overtaking():
    aligner = BarrierAligner(2, exactly_once=False)
    assert aligner.on_announced(0, barrier(1), 1) == []
    aligner.on_barrier(0, barrier(1), 2)
    (started,) = aligner.on_barrier(1, barrier(1), 3)
    assert not started.unaligned


# ----------------------------------------------------------------------------------- consistent cut


@dataclass
class Line:
    """A channel: elements are records (ints, ascending) and barriers."""

    held: deque = field(default_factory=deque)  # at the producer
    queue: deque = field(default_factory=deque)  # at the consumer
    emitted: int = 0
    position: dict = field(default_factory=dict)  # checkpoint -> records the producer had emitted
    overtaken: dict = field(default_factory=dict)  # checkpoint -> producer's part
    captured: dict = field(default_factory=dict)  # checkpoint -> consumer's part
    capturing: int = 0
    blocked: bool = False
    seen: list = field(default_factory=list)


class Model:
    """Producers, channels and the one task; steps are chosen by the test."""

    def __init__(self, channels, *, aligned_only=frozenset(), timed=False, limit=None):
        self.lines = [Line() for _ in range(channels)]
        self.aligned_only = aligned_only
        self.timed = timed
        self.limit = limit
        self.aligner = BarrierAligner(
            channels, aligned_only=aligned_only, timed=timed, max_bytes=limit
        )
        self.announced = deque()
        self.triggered = 0
        self.started = {}  # checkpoint -> per channel, records that were processed
        self.complete = set()
        self.given_up = set()
        self.timers = []
        self.now = 0

    def emit(self, index):
        line = self.lines[index]
        line.emitted += 1
        line.held.append(line.emitted)

    def move(self, index):
        """Something leaves the producer."""
        line = self.lines[index]
        if line.held:
            self._arrive(index, line.held.popleft())

    def _arrive(self, index, element):
        self.lines[index].queue.append(element)
        if isinstance(element, Barrier) and index not in self.aligned_only:
            self.announced.append((index, element))

    def barrier(self, index, n):
        """Producer ``index`` takes its snapshot n."""
        line = self.lines[index]
        line.position[n] = line.emitted
        unaligned = not self.timed
        element = barrier(n, unaligned)
        if unaligned and index not in self.aligned_only:
            line.overtaken[n] = [e for e in line.held if not isinstance(e, Barrier)]
            line.held = deque(line.overtaken[n])
            self._arrive(index, element)
        else:
            line.overtaken[n] = []
            line.held.append(element)

    def producer_timeout(self, index, n):
        """Barrier n, if it is still held, overtakes."""
        line = self.lines[index]
        held = list(line.held)
        at = next(
            (i for i, e in enumerate(held) if isinstance(e, Barrier) and e.checkpoint_id == n), None
        )
        if at is None or index in self.aligned_only:
            return
        line.overtaken[n] = [e for e in held[:at] if not isinstance(e, Barrier)]
        line.held = deque([*line.overtaken[n], *held[at + 1 :]])
        self._arrive(index, barrier(n))

    def announce(self):
        if self.announced:
            index, element = self.announced.popleft()
            self.execute(self.aligner.on_announced(index, element, self.now, self.queued()))

    def queued(self):
        return sum(not isinstance(e, Barrier) for line in self.lines for e in line.queue)

    def read(self, index):
        line = self.lines[index]
        assert line.blocked == (index in self.aligner.blocked)
        if line.blocked or not line.queue:
            return
        element = line.queue.popleft()
        if isinstance(element, Barrier):
            self.execute(self.aligner.on_barrier(index, element, self.now, self.queued()))
            return
        if line.capturing:
            line.captured[line.capturing].append(element)
            n = line.capturing
            self.execute(
                self.aligner.on_captured_bytes(sum(len(o.captured.get(n, [])) for o in self.lines))
            )
        line.seen.append(element)

    def timeout(self):
        if self.timers:
            n = self.timers.pop(0)
            self.execute(self.aligner.on_timeout(n, self.now, self.queued()))

    def abort(self, n):
        self.given_up.add(n)
        self.execute(self.aligner.on_abort(n))

    def execute(self, instructions):
        for instruction in instructions:
            match instruction:
                case Block(channel):
                    self.lines[channel].blocked = True
                case Unblock(channels):
                    for channel in channels:
                        self.lines[channel].blocked = False
                case StartCheckpoint():
                    n = instruction.barrier.checkpoint_id
                    assert n not in self.started
                    self.started[n] = [list(line.seen) for line in self.lines]
                    for line in self.lines:
                        line.captured[n] = []
                    if not instruction.unaligned:
                        self.complete.add(n)
                case Capture(n, channels):
                    for channel in channels:
                        self.lines[channel].capturing = n
                case FinishCapture(n, channel):
                    self._finish(self.lines[channel], n)
                case StopCapture(_, channel):
                    self.lines[channel].capturing = 0
                case Captured(n):
                    assert not any(line.capturing for line in self.lines)
                    self.complete.add(n)
                case DropCapture(n):
                    for line in self.lines:
                        line.capturing = 0
                    self.given_up.add(n)
                case Decline(n):
                    self.given_up.add(n)
                case ArmTimer(element):
                    self.timers.append(element.checkpoint_id)

    def _finish(self, line, n):
        assert line.capturing == n
        line.capturing = 0
        queue = list(line.queue)
        at = next(i for i, e in enumerate(queue) if isinstance(e, Barrier) and e.checkpoint_id == n)
        line.captured[n] += [e for e in queue[:at] if not isinstance(e, Barrier)]
        line.queue = deque(queue[:at] + queue[at + 1 :])

    def quiet(self):
        """Let everything go on to the end."""
        for _ in range(10_000):
            busy = bool(self.announced)
            self.announce()
            for index, line in enumerate(self.lines):
                busy = busy or bool(line.held) or (bool(line.queue) and not line.blocked)
                self.move(index)
                self.read(index)
            if not busy:
                return
        raise AssertionError("does not come to rest")

    def check(self):
        """Every complete checkpoint is a consistent cut, and nothing was lost on the way."""
        for n in self.complete - self.given_up:
            for index, line in enumerate(self.lines):
                state = self.started[n][index]
                in_flight = line.captured[n] + line.overtaken[n]
                before = list(range(1, line.position[n] + 1))
                assert state + in_flight == before, (n, index, state, in_flight, before)
                if index in self.aligned_only:
                    assert in_flight == [], "nothing is in flight on an aligned edge"
        for line in self.lines:
            assert line.seen == list(range(1, line.emitted + 1)), "lost, doubled or out of order"


@given(st.data())
def test_every_snapshot_is_a_consistent_cut(data):
    """Whatever the order in which channels move, are read, and checkpoints begin, time out or are
    aborted.
    """
    channels = data.draw(st.integers(1, 4))
    aligned_only = frozenset(data.draw(st.sets(st.integers(0, channels - 1), max_size=2)))
    timed = data.draw(st.booleans())
    limit = data.draw(st.sampled_from([None, 0, 2, 6]))
    model = Model(channels, aligned_only=aligned_only, timed=timed, limit=limit)
    checkpoints = data.draw(st.integers(1, 4))
    concurrent = data.draw(st.booleans())
    due = deque()  # (channel, checkpoint) not taken by its producer yet, in order per channel
    aborted = set()
    step = st.tuples(st.sampled_from("emtrrabxpq"), st.integers(0, channels - 1))
    for kind, index in data.draw(st.lists(step, max_size=120)):
        model.now += 1
        match kind:
            case "e":
                model.emit(index)
            case "m":
                model.move(index)
            case "r":
                model.read(index)
            case "a":
                model.announce()
            case "t" if model.triggered < checkpoints:
                settled = model.complete | model.given_up
                if concurrent or (not due and set(range(1, model.triggered + 1)) <= settled):
                    model.triggered += 1
                    due += [(i, model.triggered) for i in range(channels)]
            case "b":
                mine = [d for d in due if d[0] == index]
                if mine:
                    due.remove(mine[0])
                    model.barrier(*mine[0])
            case "x" if model.triggered and model.triggered not in aborted:
                if data.draw(st.booleans()):
                    aborted.add(model.triggered)
                    model.abort(model.triggered)
            case "p" if timed:
                model.timeout()
            case "q" if timed and model.triggered:
                model.producer_timeout(index, model.triggered)
    while due:
        model.barrier(*due.popleft())
    model.quiet()
    model.check()
    if not concurrent:
        every = set(range(1, model.triggered + 1))
        assert every <= model.complete | model.given_up, "a checkpoint hangs"
        assert every - aborted <= model.complete, "a checkpoint failed without a reason"
