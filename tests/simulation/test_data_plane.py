"""The data plane's cores alone under any interleaving that Hypothesis can think of (T4).

Two sources, one to three keyed tasks, one sink. Real are what a task reads its inputs with
(``TaskInputs``: alignment, capture of in-flight data, event time) and both credit accounts; the
model is the wire between them and what the tasks compute. Checked at every checkpoint: the cut is
consistent, channel by channel. At the end: nothing is stuck, every record was counted once.
"""

from collections import deque

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis_profiles import PROFILE, examples

from lesto.common.elements import (
    MAX_TIMESTAMP,
    MIN_TIMESTAMP,
    Barrier,
    EndOfData,
    RowBatch,
    StreamStatus,
    Watermark,
)
from lesto.taskmanager.core.credit import CreditReceiver, CreditSender
from lesto.taskmanager.runtime.capture import ChannelName, OvertakingSettings
from lesto.taskmanager.runtime.exchange.channels import InputChannel
from lesto.taskmanager.runtime.exchange.in_flight import decode_part, encode_part
from lesto.taskmanager.runtime.exchange.wire import ChannelEncoder
from lesto.taskmanager.runtime.inputs import InputSpec, TaskInputs

LIMIT, RECORD_BYTES = 30, 10
SOURCES, GROUPS = 2, 12
#: Turns in which everything must have drained.
DRAIN_TURNS = 5_000


class Pipe(InputChannel):
    """A channel between tasks: what is held, on the wire, and queued; credit that comes back."""

    def __init__(self):
        super().__init__()
        self.sender, self.receiver = CreditSender(), CreditReceiver(LIMIT)
        self.held, self.wire = deque(), deque()
        self.returns = deque([LIMIT])
        self.sent = []  # every record
        self.cut_at = {}  # checkpoint -> number of records sent before the producer's snapshot
        self.overtaken = {}  # checkpoint -> elements that its barrier overtook at the producer

    @property
    def writable(self):
        return self.sender.can_send and not self.held

    def send(self, element):
        if isinstance(element, RowBatch):
            self.sent += element.values
        self.held.append((element, RECORD_BYTES if isinstance(element, RowBatch) else 0))
        self.release()

    def send_barrier(self, barrier):
        number = barrier.checkpoint_id
        self.cut_at[number] = len(self.sent)
        self.overtaken[number] = []
        if barrier.unaligned:
            at = max(
                (i + 1 for i, (e, _) in enumerate(self.held) if isinstance(e, Barrier)), default=0
            )
            self.overtaken[number] = [e for e, _ in list(self.held)[at:]]
            self.held.insert(at, (barrier, 0))
        else:
            self.held.append((barrier, 0))
        self.release()

    def release(self):
        while self.held:
            element, nbytes = self.held[0]
            if nbytes:
                if not self.sender.can_send:
                    return
                self.sender.spend(nbytes)
            self.wire.append((element, nbytes))
            self.held.popleft()

    def move(self):
        """One step of the network; whether anything moved."""
        if self.returns:
            self.sender.grant(self.returns.popleft())
            self.release()
            return True
        if not self.wire:
            return False
        element, nbytes = self.wire.popleft()
        if nbytes:
            self.receiver.receive(nbytes)
        self.queue.append((element, nbytes))
        if isinstance(element, Barrier) and self.announce is not None:
            self.announce(element)
        return True

    def check(self):
        assert self.sender.available > -RECORD_BYTES, "more than one batch of overdraft"
        assert self.receiver.queued < LIMIT + RECORD_BYTES, "memory beyond the credit"
        under_way = sum(n for _, n in self.wire)
        known = self.sender.available + under_way + sum(self.returns) + self.receiver._unreturned
        assert known == LIMIT, f"credit leaks: {known} of {LIMIT} bytes are accounted for"
        account = self.receiver
        assert account._unreturned == account._queued + account._owed, "credit leaks"

    @property
    def empty(self):
        return not (self.held or self.wire or self.queue or self.returns)

    @property
    def queued_bytes(self):
        return self.receiver.queued

    def _taken(self, nbytes):
        back = self.receiver.take(nbytes)
        if back:
            self.returns.append(back)

    def narrow(self, window_bytes):
        back = self.receiver.narrow(window_bytes)
        if back:
            self.returns.append(back)

    def close(self):
        self.queue.clear()


class Restored(InputChannel):
    """What was in flight on a channel of the attempt before."""

    def __init__(self, elements):
        super().__init__()
        self.queue.extend((e, RECORD_BYTES if isinstance(e, RowBatch) else 0) for e in elements)

    @property
    def queued_bytes(self):
        return sum(n for _, n in self.queue)

    def _taken(self, nbytes):
        """Nobody waits for it."""

    def narrow(self, window_bytes):
        """Nobody sends."""

    def close(self):
        self.queue.clear()


class Source:
    """Emits its numbers, each to the task that owns its key group."""

    def __init__(self, index, position, outputs):
        self.index, self.position, self.outputs = index, position, outputs
        self.triggers = deque()
        self.ended = False
        self.snapshots = {}

    @property
    def writable(self):
        return all(pipe.writable for pipe in self.outputs)

    def emit(self):
        record = (self.index, self.position)
        self.position += 1
        self.outputs[owner(record, len(self.outputs))].send(RowBatch([record]))

    def watermark(self):
        for pipe in self.outputs:
            pipe.send(Watermark(self.position))

    def status(self, idle):
        for pipe in self.outputs:
            pipe.send(StreamStatus(idle))

    def trigger(self):
        barrier = self.triggers.popleft()
        self.snapshots[barrier.checkpoint_id] = self.position
        for pipe in self.outputs:
            pipe.send_barrier(barrier)

    def end(self):
        self.ended = True
        for pipe in self.outputs:
            pipe.send(Watermark(MAX_TIMESTAMP))
            pipe.send(EndOfData())


class Task:
    """Counts what it reads and passes it on; the handler of its ``TaskInputs``."""

    def __init__(self, name, specs, outputs, state, settings, *, exactly_once, restored=()):
        self.name, self.outputs, self.state = name, outputs, list(state)
        self.pipes = [spec.channel for spec in specs]
        self.time = MIN_TIMESTAMP
        self.snapshots, self.captured, self.declined, self.timed = {}, {}, set(), []
        self.ended = False
        self.inputs = TaskInputs(
            specs, self, exactly_once=exactly_once, settings=settings, restored=restored
        )

    def step(self):
        if self.inputs.barriers_wait:
            self.inputs.take_barriers()
            return True
        return all(pipe.writable for pipe in self.outputs) and self.inputs.step()

    def on_batch(self, batch, _input_index):
        self.state += batch.values
        for pipe in self.outputs:
            pipe.send(batch)

    def on_advance(self, advance):
        if advance.watermark is not None:
            assert advance.watermark > self.time, f"{self.name}: event time goes back"
            self.time = advance.watermark
            for pipe in self.outputs:
                pipe.send(Watermark(advance.watermark))

    def on_input_ended(self, _input_index):
        self.ended = self.inputs.ended
        if self.ended:
            for pipe in self.outputs:
                pipe.send(EndOfData())

    def on_checkpoint(self, start):
        number = start.barrier.checkpoint_id
        assert number not in self.snapshots, f"{self.name}: two snapshots of {number}"
        self.snapshots[number] = list(self.state)
        if not start.unaligned:
            self.captured[number] = []
        for pipe in self.outputs:
            pipe.send_barrier(start.barrier)

    def on_captured(self, capture):
        self.captured[capture.checkpoint_id] = capture.parts

    def on_capture_dropped(self, checkpoint_id):
        self.snapshots.pop(checkpoint_id, None)
        self.declined.add(checkpoint_id)

    def on_timed_barrier(self, barrier):
        self.timed.append(barrier.checkpoint_id)

    def on_decline(self, decline):
        self.declined.add(decline.checkpoint_id)

    def on_latency_marker(self, marker):
        """None is sent."""


def owner(record, tasks):
    """Task of a record, by contiguous ranges of key groups."""
    return (record[1] % GROUPS) * tasks // GROUPS


def records(elements):
    """Records among elements."""
    return [value for e in elements if isinstance(e, RowBatch) for value in e.values]


def thaw(part):
    """Elements of a part, through its bytes."""
    return decode_part(encode_part(part.entries, None), None, "part")


class DataPlane(RuleBasedStateMachine):
    """All rules; the invariants are checked after each."""

    @initialize(
        mode=st.sampled_from(["aligned", "unaligned", "timed", "at-least-once"]),
        tasks=st.integers(1, 3),
    )
    def begin(self, mode, tasks):
        self.mode = mode
        self.number = 0
        self.complete = None  # what the newest complete checkpoint holds
        self.build(tasks, [0] * SOURCES, [], [], [], {})

    def build(self, tasks, positions, counted, sunk, to_tasks, to_sink):
        overtaking = self.mode in {"unaligned", "timed"}
        given = OvertakingSettings(enabled=overtaking, timeout_ms=int(self.mode == "timed"))
        exactly_once = self.mode != "at-least-once"

        def spec(edge, producer, pipe):
            return InputSpec(0, pipe, ChannelName(edge, producer), overtakable=overtaking)

        inward = [[Pipe() for _ in range(tasks)] for _ in range(SOURCES)]
        onward = [Pipe() for _ in range(tasks)]
        self.sources = [Source(i, positions[i], inward[i]) for i in range(SOURCES)]
        self.tasks = []
        for index in range(tasks):
            restored = []
            for at, (elements, time, idle) in enumerate(to_tasks):
                mine = [
                    e for e in elements
                    if not isinstance(e, RowBatch) or owner(e.values[0], tasks) == index
                ]  # fmt: skip
                name = ChannelName("in", at, 1)
                restored.append(InputSpec(0, Restored(mine), name, watermark=time, idle=idle))
            own = [record for record in counted if owner(record, tasks) == index]
            specs = [spec("in", s, inward[s][index]) for s in range(SOURCES)]
            self.tasks.append(
                Task(f"task {index}", specs, [onward[index]], own, given,
                     exactly_once=exactly_once, restored=restored)
            )  # fmt: skip
        restored = [
            InputSpec(0, Restored(elements), ChannelName("on", at, 1), watermark=time, idle=idle)
            for at, (elements, time, idle) in to_sink.items()
        ]
        specs = [spec("on", index, pipe) for index, pipe in enumerate(onward)]
        self.sink = Task("sink", specs, [], sunk, given, exactly_once=exactly_once,
                         restored=restored)  # fmt: skip
        self.pipes = [pipe for row in inward for pipe in row] + onward

    @property
    def everyone(self):
        return [*self.tasks, self.sink]

    # -------------------------------------------------------------------------------------- rules

    @rule(source=st.integers(0, SOURCES - 1), burst=st.integers(1, 6))
    def emit(self, source, burst):
        for _ in range(burst):
            if not self.sources[source].ended and self.sources[source].writable:
                self.sources[source].emit()

    @rule(source=st.integers(0, SOURCES - 1))
    def watermark(self, source):
        if not self.sources[source].ended:
            self.sources[source].watermark()

    @rule(source=st.integers(0, SOURCES - 1), idle=st.booleans())
    def status(self, source, idle):
        if not self.sources[source].ended:
            self.sources[source].status(idle)

    @rule()
    def checkpoint(self):
        self.number += 1
        barrier = Barrier(self.number, 0, unaligned=self.mode == "unaligned")
        for source in self.sources:
            source.triggers.append(barrier)

    @rule(source=st.integers(0, SOURCES - 1))
    def barrier(self, source):
        if self.sources[source].triggers:
            self.sources[source].trigger()

    @rule(pipe=st.integers(0, 8), times=st.integers(1, 8))
    def network(self, pipe, times):
        for _ in range(times):
            self.pipes[pipe % len(self.pipes)].move()

    @rule(task=st.integers(0, 3), times=st.integers(1, 8))
    def step(self, task, times):
        for _ in range(times):
            self.everyone[task % len(self.everyone)].step()
        self.look()

    @rule(task=st.integers(0, 3))
    def timer(self, task):
        found = self.everyone[task % len(self.everyone)]
        if found.timed:
            found.inputs.timeout(found.timed.pop())

    @rule(rounds=st.integers(1, 4), reading=st.integers(0, 2))
    def hurry(self, rounds, reading):
        """Barriers go through everything, with little or no data read on the way."""
        self.checkpoint()
        for source in self.sources:
            while source.triggers:
                source.trigger()
        for _ in range(rounds):
            for pipe in self.pipes:
                for _ in range(20):
                    pipe.move()
            for task in self.everyone:
                task.inputs.take_barriers()
                for _ in range(reading):
                    task.step()
        self.look()

    @precondition(lambda self: self.number)
    @rule()
    def abort(self):
        if self.complete is None or self.complete[0] < self.number:
            for task in self.everyone:
                task.declined.add(self.number)
                task.inputs.abort(self.number)

    @precondition(lambda self: self.complete is not None)
    @rule(tasks=st.integers(1, 3))
    def restart(self, tasks):
        """Everything is cancelled and goes on from the newest complete checkpoint."""
        _, positions, counted, sunk, to_tasks, to_sink = self.complete
        self.build(tasks, positions, counted, sunk, to_tasks, to_sink)

    @rule(source=st.integers(0, SOURCES - 1))
    def end(self, source):
        # Rarely: most of a run should have data in it.
        if not self.sources[source].ended and self.sources[source].position > 20:
            self.sources[source].end()

    # --------------------------------------------------------------------------------- invariants

    @invariant()
    def accounts_are_exact(self):
        for pipe in getattr(self, "pipes", ()):
            pipe.check()

    def look(self):
        """A checkpoint may be complete: is its cut consistent?"""
        for number in range(1, self.number + 1):
            done = all(
                number in t.captured and number in t.snapshots and number not in t.declined
                for t in self.everyone
            )
            fresh = self.complete is None or self.complete[0] < number
            if done and fresh and all(number in s.snapshots for s in self.sources):
                self.judge(number)

    def judge(self, number):
        counted = [record for task in self.tasks for record in task.snapshots[number]]
        channels = {id(p): records(self.parts(number)[id(p)][0]) for p in self.pipes}
        positions = [source.snapshots[number] for source in self.sources]
        if self.mode != "at-least-once":
            waiting = [r for t in self.tasks for p in t.pipes for r in channels[id(p)]]
            waiting += [r for t in self.tasks for r in self.old_records(t, number)]
            all_emitted = [(s, n) for s in range(SOURCES) for n in range(positions[s])]
            assert sorted(counted + waiting) == all_emitted, "what the sources had emitted"
            onward = [r for p in self.sink.pipes for r in channels[id(p)]]
            onward += self.old_records(self.sink, number)
            both = sorted(self.sink.snapshots[number] + onward)
            assert both == sorted(counted), "what the tasks had counted"
            for pipe in self.pipes:
                before = pipe.sent[: pipe.cut_at[number]]
                read = channels[id(pipe)]
                assert not read or before[-len(read) :] == read, "order of what was in flight"
        parts = self.parts(number)
        to_tasks = [parts[id(p)] for t in self.tasks for p in t.pipes]
        to_tasks += [old for t in self.tasks for old in self.old_parts(t, number)]
        to_sink = [parts[id(p)] for p in self.sink.pipes] + self.old_parts(self.sink, number)
        self.complete = (
            number, positions, counted, self.sink.snapshots[number], to_tasks,
            dict(enumerate(to_sink)),
        )  # fmt: skip

    def parts(self, number):
        """In-flight elements, event time and idleness of each channel, by its id."""
        found = {}
        for task in self.everyone:
            captured = [p for p in task.captured[number] if p.age == 0]
            for index, pipe in enumerate(task.pipes):
                elements, time, idle = [], MIN_TIMESTAMP, False
                if captured:
                    part = captured[index]
                    elements, time, idle = thaw(part), part.watermark, part.idle
                kept = [e for e in pipe.overtaken[number] if not isinstance(e, Barrier | EndOfData)]
                encoder = ChannelEncoder(None)
                frozen = [encoder.freeze(e) for e in kept]
                found[id(pipe)] = (
                    elements + decode_part(encode_part(frozen, None), None, "held"), time, idle
                )  # fmt: skip
        return found

    def old_parts(self, task, number):
        """Restored data that was not read yet and is in flight again."""
        return [(thaw(p), p.watermark, p.idle) for p in task.captured[number] if p.age > 0]

    def old_records(self, task, number):
        return [r for elements, _, _ in self.old_parts(task, number) for r in records(elements)]

    def teardown(self):
        """Data ends, faults stop: everything drains, and every record has been counted once."""
        if not hasattr(self, "pipes"):
            return
        for source in self.sources:
            while source.triggers:
                source.trigger()
            if not source.ended:
                source.end()
        for _ in range(DRAIN_TURNS):
            moved = [pipe.move() for pipe in self.pipes]
            moved += [task.step() for task in self.everyone]
            self.look()
            if not any(moved):
                break
        wanted = [(s.index, n) for s in self.sources for n in range(s.position)]
        stuck = [t.name for t in self.everyone if not t.ended]
        assert not stuck, f"deadlock: {stuck} never see the end of their inputs"
        assert all(pipe.empty for pipe in self.pipes), "something is left in a channel"
        assert all(t.time == MAX_TIMESTAMP for t in self.everyone), "event time is held back"
        if self.mode != "at-least-once":
            assert sorted(self.sink.state) == wanted
        else:
            assert set(self.sink.state) == set(wanted)


# Making a failing example small takes minutes: on demand, with HYPOTHESIS_PROFILE=thorough.
PHASES = [phase for phase in Phase if PROFILE == "thorough" or phase is not Phase.shrink]
DataPlane.TestCase.settings = settings(
    max_examples=examples(40), stateful_step_count=60, deadline=None, phases=PHASES
)
TestDataPlane = DataPlane.TestCase
