"""What waits in front of a task is what it is through with in the target time, and no batch is much
larger than what waits.
"""

from collections import deque
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesto.common.elements import ColumnarBatch
from lesto.taskmanager.core.credit import CreditReceiver, CreditSender
from lesto.taskmanager.core.debloating import (
    INTERVAL_NS,
    UNBOUNDED_BYTES,
    WINDOW_BYTES_MIN,
    Debloater,
    StepBound,
    StepBounds,
)
from lesto.taskmanager.core.pacing import ALL_ROWS, FIRST_ROWS
from lesto.taskmanager.runtime import inputs as inputs_module
from lesto.taskmanager.runtime.exchange.channels import LocalChannel
from lesto.taskmanager.runtime.exchange.edge import EdgeWriter, FlushPolicy
from lesto.taskmanager.runtime.exchange.partition import HashColumns
from lesto.taskmanager.runtime.inputs import TaskInputs

MS, SECOND = 1_000_000, 1_000_000_000


# ------------------------------------------------------------------------------------ the window


def measured(debloater, nbytes, begin_ns, took_ns):
    debloater.took(begin_ns)
    assert debloater.worked(nbytes, begin_ns + took_ns)


def test_the_first_piece_of_work_is_a_measurement_already():
    debloater = Debloater(SECOND)
    measured(debloater, 1_000, 0, MS)
    assert debloater.window(1) == 1_000_000


def test_later_ones_last_longer_up_to_an_interval():
    debloater = Debloater(SECOND)
    debloater.took(0)
    now_ns, ends = 0, []
    while now_ns < SECOND:
        now_ns += MS // 2
        debloater.took(now_ns - MS // 2)
        if debloater.worked(1_000, now_ns):
            ends.append(now_ns)
    assert [b - a for a, b in pairwise(ends)][:8] == [
        MS, 2 * MS, 4 * MS, 8 * MS, 16 * MS, 32 * MS, INTERVAL_NS, INTERVAL_NS,
    ]  # fmt: skip


def test_a_task_that_loads_something_at_first_is_not_slow_for_long():
    debloater = Debloater(SECOND)
    measured(debloater, 500, 0, 300 * MS)
    assert debloater.window(1) < 2_000
    measured(debloater, 500, 300 * MS, MS)
    assert debloater.window(1) == 500_000


def test_channels_share_what_may_wait():
    debloater = Debloater(SECOND)
    measured(debloater, 100_000, 0, SECOND)
    assert debloater.window(10) == 10_000


def test_time_without_input_does_not_count():
    debloater = Debloater(SECOND)
    measured(debloater, 100_000, 0, SECOND)
    debloater.idle(SECOND)
    debloater.idle(2 * SECOND)
    measured(debloater, 100_000, 100 * SECOND, SECOND)
    assert debloater.window(1) == 100_000


def test_time_in_which_the_task_waits_for_those_behind_it_counts():
    """Its own work is quick, yet it is through with no more than they take."""
    debloater = Debloater(SECOND)
    now_ns = 0
    for _ in range(20):
        measured(debloater, 10_000, now_ns, MS)
        now_ns += SECOND  # no credit
    assert debloater.window(1) <= 11_000


def test_a_window_that_hardly_changes_is_left_alone():
    debloater = Debloater(SECOND)
    measured(debloater, 100_000, 0, SECOND)
    assert debloater.window(1) == 100_000
    measured(debloater, 105_000, SECOND, SECOND)
    assert debloater.window(1) is None
    measured(debloater, 400_000, 2 * SECOND, SECOND)
    assert debloater.window(1) > 200_000


def test_a_window_has_bounds():
    slow, quick = Debloater(SECOND), Debloater(SECOND)
    measured(slow, 1, 0, 100 * SECOND)
    assert slow.window(100) == WINDOW_BYTES_MIN
    measured(quick, 1 << 60, 0, 1)
    assert quick.window(1) == UNBOUNDED_BYTES


# -------------------------------------------------------------------------------- producing steps


def test_a_step_fits_into_what_its_fullest_channel_takes():
    bound = StepBound()
    assert bound.rows(None) == ALL_ROWS
    assert bound.rows(1_000) == FIRST_ROWS
    bound.observe(100, 2_000)
    assert bound.rows(1_000) == 50
    assert bound.rows(1) == 1


def test_rows_that_grow_count_at_once_and_those_that_shrink_after_a_while():
    bound = StepBound()
    bound.observe(100, 1_000)
    bound.observe(100, 10_000)
    assert bound.rows(1_000) == 10
    for _ in range(20):
        bound.observe(100, 1_000)
    assert bound.rows(1_000) == 99


def test_a_task_that_emits_nothing_takes_all():
    bound = StepBound()
    bound.observe(100, 0)
    assert bound.rows(1) == ALL_ROWS
    bound.observe(0, 100)
    assert bound.rows(1) == ALL_ROWS


def test_a_sender_knows_how_large_a_batch_should_be():
    sender = CreditSender()
    sender.grant(1_000)
    assert sender.room is None
    sender.grant(1, 400)
    assert sender.room == 1_001
    sender.spend(990)
    assert sender.room == 100, "a quarter of the window may be overdrawn"


def test_the_window_is_told_only_where_it_is_narrow():
    receiver = CreditReceiver(1_000, 100)
    assert receiver.narrowed == 100
    receiver.narrow(1_000)
    assert receiver.narrowed == 0


@settings(max_examples=20)
@given(
    row_us=st.integers(50, 200_000),
    row_bytes=st.integers(8, 2_000),
    latency_us=st.integers(10, 3_000),
    producers=st.integers(1, 4),
)
def test_a_barrier_waits_for_about_the_target_and_the_task_for_nothing(
    row_us, row_bytes, latency_us, producers
):
    """Producers without end in front of one slow task, in virtual time."""
    plane = Plane(row_us, row_bytes, latency_us, producers)
    start_us = producers * row_us * (FIRST_ROWS + Plane.START // row_bytes)
    plane.run(until_us=3_000_000 + start_us)
    idle_before, begin_us = plane.idle_us, plane.now_us
    waits = [plane.barrier() for _ in range(3)]
    # A window has a least size, a batch at least one row; where a second's work does not fit into
    # the channel's limit a batch of its size may be in front of that.
    least = producers * max(2 * row_us, WINDOW_BYTES_MIN / row_bytes * row_us * 1.25)
    assert max(waits) <= max(2_500_000, 2 * least) + 50 * latency_us
    # The first millisecond measured may mislead: what counts is how it goes on.
    idle = (plane.idle_us - idle_before) / (plane.now_us - begin_us)
    assert idle <= 0.02 + 2 * latency_us / max(row_us, 20 * latency_us)


class Plane:
    """Producers, their channels, and a task that takes ``row_us`` for a row."""

    LIMIT, START = 1 << 20, 2 << 10

    def __init__(self, row_us, row_bytes, latency_us, producers):
        self.row_us, self.row_bytes, self.latency_us = row_us, row_bytes, latency_us
        self.debloater = Debloater(SECOND)
        self.now_us, self.idle_us = 0, 0
        self.channels = [
            SimpleNamespace(
                sender=CreditSender(),
                receiver=CreditReceiver(self.LIMIT, self.START),
                bound=StepBound(),
                queue=deque(),  # rows of each batch; "barrier"
                arrives=deque(),  # (us, rows or barrier)
                grants=deque(),  # (us, bytes, window)
            )
            for _ in range(producers)
        ]
        for c in self.channels:
            c.grants.append((0, c.receiver.first_grant, c.receiver.narrowed))

    def produce(self):
        for c in self.channels:
            while c.grants and c.grants[0][0] <= self.now_us:
                c.sender.grant(*c.grants.popleft()[1:])
            while c.sender.can_send:
                rows = min(c.bound.rows(c.sender.room), max(1, self.LIMIT // self.row_bytes))
                c.bound.observe(rows, rows * self.row_bytes)
                c.sender.spend(rows * self.row_bytes)
                c.arrives.append((self.now_us + self.latency_us, rows))
            while c.arrives and c.arrives[0][0] <= self.now_us:
                _, what = c.arrives.popleft()
                if what != "barrier":
                    c.receiver.receive(what * self.row_bytes)
                c.queue.append(what)

    def give(self, c, nbytes):
        if nbytes:
            c.grants.append((self.now_us + self.latency_us, nbytes, c.receiver.narrowed))

    def step(self):
        """Work on the next batch, in pieces, or wait a little."""
        self.produce()
        self.channels.append(self.channels.pop(0))
        c = next((c for c in self.channels if c.queue and c.queue[0] != "barrier"), None)
        if c is None:
            self.debloater.idle(self.now_us * 1_000)
            soon = [q[0][0] for c in self.channels for q in (c.arrives, c.grants) if q]
            self.idle_us += min(soon) - self.now_us
            self.now_us = min(soon)
            return
        rows = c.queue.popleft()
        while rows:
            piece = min(rows, max(1, 5_000 // self.row_us))
            self.debloater.took(self.now_us * 1_000)
            self.now_us += piece * self.row_us
            rows -= piece
            self.give(c, c.receiver.take(piece * self.row_bytes))
            if self.debloater.worked(piece * self.row_bytes, self.now_us * 1_000):
                window = self.debloater.window(len(self.channels))
                for other in self.channels if window else ():
                    self.give(other, other.receiver.narrow(window))
            self.produce()

    def run(self, until_us):
        while self.now_us < until_us:
            self.step()

    def barrier(self):
        """Us from its leaving the producers to its being the first in all channels."""
        begin_us = self.now_us
        for c in self.channels:
            c.arrives.append((self.now_us + self.latency_us, "barrier"))
        while not all(c.queue and c.queue[0] == "barrier" for c in self.channels):
            self.step()
        waited_us = self.now_us - begin_us
        for c in self.channels:
            c.queue.popleft()
        return waited_us


# ------------------------------------------------------------------------- a task and its channel


class Worker:
    """The handler of inputs: each row takes a millisecond of virtual time."""

    def __init__(self, clock):
        self.clock = clock
        self.rows = []

    def on_batch(self, batch, input_index):
        self.rows.append(len(batch))
        self.clock.now_ns += len(batch) * MS


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now_ns=0)
    shim = SimpleNamespace(perf_counter_ns=lambda: clock.now_ns, monotonic_ns=lambda: clock.now_ns)
    monkeypatch.setattr(inputs_module, "time", shim)
    return clock


def numbers(rows):
    return ColumnarBatch(pa.record_batch({"n": pa.array(np.arange(rows))}))


def test_a_narrowed_channel_counts_a_batch_until_it_is_worked_off(clock):
    channel = LocalChannel(1 << 20, lambda: None, start_bytes=4_096)
    worker = Worker(clock)
    inputs = TaskInputs([(0, channel)], worker, exactly_once=True, debloat_ns=SECOND)
    channel.send(numbers(128))
    assert inputs.step()
    assert worker.rows == [64]
    assert channel.queued_bytes == 512
    assert inputs.queued_bytes == 512, "counted once"
    while inputs.step():
        pass
    assert sum(worker.rows) == 128
    assert channel.queued_bytes == 0
    # 8 bytes a millisecond: 8 kB in a second.
    assert channel.room == 8_000


def test_a_quick_task_takes_batches_out_of_its_channel_at_once(clock):
    channel = LocalChannel(4_096, lambda: None, start_bytes=1_024)
    worker = Worker(SimpleNamespace(now_ns=0))  # takes no time
    inputs = TaskInputs([(0, channel)], worker, exactly_once=True, debloat_ns=SECOND)
    channel.send(numbers(64))
    assert inputs.step()
    assert channel.room is None
    seen = []
    worker.on_batch = lambda batch, index: seen.append(channel.queued_bytes)
    channel.send(numbers(256))
    assert inputs.step()
    assert seen == [0]


def test_a_step_hands_over_no_more_than_those_behind_let_wait(clock):
    channel = LocalChannel(1 << 20, lambda: None)
    worker = Worker(SimpleNamespace(now_ns=0))
    inputs = TaskInputs([(0, channel)], worker, exactly_once=True)
    channel.send(numbers(100))
    inputs.rows_max = 30
    while inputs.step():
        pass
    assert worker.rows == [30, 30, 30, 10]


def test_a_channel_to_which_nothing_goes_bounds_no_step():
    bounds = StepBounds()
    assert bounds.rows([None, None]) == ALL_ROWS
    assert bounds.rows([8_000, 1]) == FIRST_ROWS
    bounds.observe(100, [2_000, 0])
    assert bounds.rows([8_000, 1]) == 400
    bounds.observe(100, [2_000, 100])
    assert bounds.rows([8_000, 1]) == 1


def test_a_steady_task_gathers_what_waits_and_keeps_its_channels_wide(clock):
    channel = LocalChannel(1 << 20, lambda: None, start_bytes=2_048)
    worker = Worker(SimpleNamespace(now_ns=0))
    inputs = TaskInputs(
        [(0, channel)], worker, exactly_once=True, debloat_ns=SECOND, rows_min=1_000
    )
    for _ in range(30):
        channel.send(numbers(100))
    for expected in ([1_000], [1_000] * 2, [1_000] * 3):
        assert inputs.step()
        assert worker.rows == expected
    assert not inputs.step()
    assert channel.room is None, "what its queue holds never counts as slow"


def test_an_edge_takes_what_its_fullest_channel_has_room_for():
    channels = [LocalChannel(1 << 20, lambda: None, start_bytes=size) for size in (8_000, 4_000)]
    policy = FlushPolicy(rows=32_768, nbytes=1 << 20, timeout_ns=100 * MS)
    edge = EdgeWriter(channels, HashColumns(2, 128, ["n"]), numbers(1).data.schema, policy)
    assert edge.rooms == [8_000, 4_000]
    edge.emit(numbers(100))  # gathered
    assert 4_000 - 8 * 100 < min(edge.rooms) < 4_000
    assert 400 <= max(edge.emitted_bytes) <= 600
    edge.emit(numbers(1_000))
    assert channels[1].queue, "more than half of what there is room for is not gathered"
    channels[0].narrow(1 << 20)
    channels[1].narrow(1 << 20)
    assert edge.rooms == [None, None]


@pytest.mark.parametrize("room", [-5, 0, 1])
def test_steps_that_give_nothing_are_whole_even_where_too_much_is_gathered(room):
    bound = StepBound()
    bound.observe(64, 0)
    assert bound.rows(room_bytes=room) == ALL_ROWS


def test_steps_take_one_record_where_too_much_is_gathered():
    bound = StepBound()
    bound.observe(64, 640)
    assert bound.rows(room_bytes=-5) == 1
