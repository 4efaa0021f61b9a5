"""Barriers that overtake on real channels, and the inputs of a task that captures and restores."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.elements import (
    MIN_TIMESTAMP,
    Barrier,
    CheckpointKind,
    ColumnarBatch,
    EndOfData,
    LatencyMarker,
    RowBatch,
    StreamStatus,
    Watermark,
)
from lesto.proto import runtime_pb2
from lesto.state.errors import CorruptFileError
from lesto.state.storage import SnapshotStore
from lesto.taskmanager.runtime.capture import ChannelName, InFlightPart, OvertakingSettings
from lesto.taskmanager.runtime.errors import InFlightFormatError
from lesto.taskmanager.runtime.exchange.channels import ChannelKey, LocalChannel
from lesto.taskmanager.runtime.exchange.edge import EdgeWriter, FlushPolicy
from lesto.taskmanager.runtime.exchange.in_flight import decode_part, encode_part
from lesto.taskmanager.runtime.exchange.partition import ToOne
from lesto.taskmanager.runtime.exchange.receiver import ExchangeServer, RemoteInput
from lesto.taskmanager.runtime.exchange.restored import RestoredInput
from lesto.taskmanager.runtime.exchange.sender import RemoteOutput
from lesto.taskmanager.runtime.exchange.wire import ChannelEncoder
from lesto.taskmanager.runtime.in_flight_file import InFlightFiles, write_in_flight
from lesto.taskmanager.runtime.inputs import InputSpec, TaskInputs

SCHEMA = pa.schema([("k", pa.string()), ("n", pa.int64())])
KEY = ChannelKey("0" * 32, 1, 2, "e0", 0, 0)
ON = OvertakingSettings(enabled=True)


def barrier(n, *, unaligned=True, **more):
    return Barrier(n, 0, unaligned=unaligned, **more)


def rows(*values):
    return RowBatch(list(values))


def columns(*ns):
    data = pa.record_batch([pa.array([f"k{n}" for n in ns]), pa.array(ns)], schema=SCHEMA)
    return ColumnarBatch(data, np.array(ns, np.int64))


def frozen(*elements):
    encoder = ChannelEncoder(None)
    return [encoder.freeze(e) for e in elements]


def thawed(entries, schema=None):
    """Elements of a part as the restored task reads them."""
    return decode_part(encode_part(entries, schema), schema, "test")


def values(elements):
    return [e.values if isinstance(e, RowBatch) else e for e in elements]


# ---------------------------------------------------------------------------------------- channels


@pytest.fixture
def ends():
    """A channel over a real Flight server, with little credit."""
    server = ExchangeServer("127.0.0.1")
    failures = []
    end = RemoteInput(
        KEY, "s", schema=None, limit_bytes=100, give_back=server.give_back,
        wake=lambda: None, failed=failures.append,
    )  # fmt: skip
    server.register(end)
    woken = threading.Event()
    out = RemoteOutput(KEY, "s", server.uri, schema=None, wake=woken.set, failed=failures.append)
    found = SimpleNamespace(input=end, output=out, failures=failures, woken=woken)
    until(lambda: out.writable)
    yield found
    out.close(graceful=False)
    out.join()
    server.stop()
    assert failures == []


def until(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return found


def fill(output, count=30):
    """More than credit allows: part of it is held."""
    for n in range(count):
        output.send(rows(*[n] * 10))
    assert output.held_bytes > 0


def test_a_barrier_comes_at_once_through_a_channel_without_credit(ends):
    announced = []
    ends.input.announce = announced.append
    fill(ends.output)
    ends.output.send(Watermark(7))
    overtaken = ends.output.overtake(barrier(1))
    until(lambda: announced)
    assert announced == [barrier(1)]
    front = ends.input.cut(1)
    sent = [b.values[0] for b in front]
    *held, mark = thawed(overtaken)
    assert mark == Watermark(7)
    assert sent + [b.values[0] for b in held] == list(range(30)), "in flight exactly once"
    assert held, "nothing was held: the test shows nothing"
    # And the live channel still carries everything, in order, without the barrier.
    came = []
    until(lambda: (ends.input.queue and came.append(ends.input.take())) or len(came) == 31)
    assert [b.values[0] for b in came[:-1]] == list(range(30))
    assert came[-1] == Watermark(7)


def test_a_barrier_that_was_sent_aligned_overtakes_what_is_in_front_of_it_alone(ends):
    fill(ends.output)
    ends.output.send(barrier(1, unaligned=False))
    ends.output.send(rows("behind"))
    assert ends.output.holds(1)
    overtaken = thawed(ends.output.overtake(barrier(1)))
    assert not ends.output.holds(1)
    assert "behind" not in [b.values[0] for b in overtaken]
    came = []
    until(lambda: (ends.input.queue and came.append(ends.input.take())) or len(came) == 32)
    at = came.index(barrier(1))
    assert [b.values[0] for b in came[at + 1 : -1]] == [b.values[0] for b in overtaken]
    assert came[-1].values == ["behind"]


def test_the_producer_is_woken_when_a_held_barrier_has_left(ends):
    fill(ends.output)
    ends.output.send(barrier(1, unaligned=False))
    ends.output.send(rows(*range(500)))
    ends.output.send(rows(*range(500)))
    ends.woken.clear()
    came = []
    until(lambda: (ends.input.queue and came.append(ends.input.take())) or not ends.output.holds(1))
    assert ends.woken.wait(10)


def test_barriers_of_older_checkpoints_are_dropped_when_they_are_overtaken(ends):
    fill(ends.output)
    ends.output.send(barrier(1, unaligned=False))
    ends.output.send(EndOfData())
    overtaken = ends.output.overtake(barrier(2))
    assert not any(isinstance(e, (Barrier, EndOfData)) for e in thawed(overtaken))
    assert not ends.output.holds(1)
    came = []
    until(lambda: (ends.input.queue and came.append(ends.input.take())) or EndOfData() in came)
    assert [e for e in came if isinstance(e, Barrier)] == [barrier(2)]


def test_gathered_pieces_are_overtaken_too(ends):
    fill(ends.output)
    policy = FlushPolicy(rows=1000, nbytes=1 << 20, timeout_ns=10**12)
    edge = EdgeWriter(
        [ends.output], ToOne(1), None, policy, edge_id="e0", consumers=[4], overtakable=True
    )
    edge.emit(rows("gathered"))
    edge.watermark(3)
    ((consumer, entries),) = edge.overtake(barrier(1))
    assert consumer == 4
    assert values(thawed(entries))[-2:] == [["gathered"], Watermark(3)]


def test_a_local_channel_gives_all_it_has_to_the_consumer():
    channel = LocalChannel(10, lambda: None)
    announced = []
    channel.announce = announced.append
    channel.send(rows(1))
    assert channel.overtake(barrier(1)) == []
    channel.send(rows(2))
    assert announced == [barrier(1)]
    assert values(channel.cut(1)) == [[1]]
    assert channel.cut(1) is None
    assert values([channel.take(), channel.take()]) == [[1], [2]]


# ------------------------------------------------------------------------------------- form, file


def test_elements_survive_in_the_form_of_the_wire():
    elements = [columns(1, 2), Watermark(5), StreamStatus(True), columns(3)]
    back = thawed(frozen(*elements), SCHEMA)
    assert [e.data.to_pydict()["n"] for e in back[::3]] == [[1, 2], [3]]
    assert back[0].timestamps.tolist() == [1, 2]
    assert back[1:3] == elements[1:3]
    (row_batch,) = thawed(frozen(RowBatch([{"a": (1, None)}], np.array([9]))))
    assert (row_batch.values, row_batch.timestamps.tolist()) == ([{"a": (1, None)}], [9])


def test_columns_with_dictionaries_survive():
    schema = pa.schema([("d", pa.dictionary(pa.int32(), pa.string()))])
    data = pa.record_batch([pa.array(["x", "y", "x"]).dictionary_encode()], schema=schema)
    batches = [ColumnarBatch(data), ColumnarBatch(data.slice(1, 1))]
    back = thawed(frozen(*batches), schema)
    assert [b.data.to_pydict()["d"] for b in back] == [["x", "y", "x"], ["y"]]


def test_only_the_rows_of_a_slice_are_stored():
    big = columns(*range(100_000))
    assert len(encode_part(frozen(big.slice(5, 10)), SCHEMA)) < 2_000


def test_another_schema_is_a_named_error():
    data = encode_part(frozen(columns(1)), SCHEMA)
    other = pa.schema([("k", pa.string()), ("n", pa.int32())])
    with pytest.raises(InFlightFormatError, match="the job's edge has"):
        decode_part(data, other, "e0[0->1]")


@pytest.mark.parametrize("cut", [1, 5, 30, -1])
def test_a_part_that_ends_in_the_middle_is_a_named_error(cut):
    data = encode_part(frozen(rows(1, 2, 3), Watermark(1)), None)
    with pytest.raises(InFlightFormatError, match="ends in the middle"):
        decode_part(data[:cut], None, "e0[0->1]")


def write_file(tmp_path, parts):
    store = SnapshotStore(str(tmp_path), epoch=1, attempt="1")
    ack = runtime_pb2.CheckpointAck()
    write_in_flight(parts, {"e0": None}, store, barrier(3), ack)
    return store, ack


def test_all_parts_of_a_task_are_in_one_file_that_is_verified(tmp_path):
    store, ack = write_file(
        tmp_path,
        [
            InFlightPart("e0", 0, 1, False, frozen(rows(1), Watermark(2)), watermark=9, idle=True),
            InFlightPart("e0", 1, 1, False),
            InFlightPart("e0", 1, 0, True, frozen(rows(5)), age=1),
        ],
    )
    first, empty, last = ack.in_flight
    assert (first.watermark, first.idle, last.age, last.at_producer) == (9, True, 1, True)
    assert first.file.path == last.file.path
    assert not empty.HasField("file")
    assert ack.in_flight_bytes == first.file.length_bytes
    files = InFlightFiles(store)
    assert values(files.read(first, None, "n")) == [[1], Watermark(2)]
    assert files.read(empty, None, "n") == []
    assert values(files.read(last, None, "n")) == [[5]]
    path = tmp_path / first.file.path
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(CorruptFileError):
        InFlightFiles(store).read(first, None, "n")


def test_nothing_in_flight_writes_no_file(tmp_path):
    _, ack = write_file(tmp_path, [InFlightPart("e0", 0, 0, False)])
    assert ack.in_flight_bytes == 0
    assert list(tmp_path.rglob("*.inflight")) == []


# ------------------------------------------------------------------------------------------ inputs


class Handler:
    """A task that notes what it is told."""

    def __init__(self):
        self.log = []
        self.captures = []

    def on_batch(self, batch, input_index):
        self.log += batch.values

    def on_advance(self, advance):
        self.log.append(advance.watermark if advance.idle is None else ("idle", advance.idle))

    def on_input_ended(self, input_index):
        self.log.append(("end", input_index))

    def on_latency_marker(self, marker):
        self.log.append(marker)

    def on_checkpoint(self, start):
        self.log.append(("snapshot", start.barrier.checkpoint_id))

    def on_captured(self, capture):
        self.captures.append(capture)

    def on_capture_dropped(self, checkpoint_id):
        self.log.append(("dropped", checkpoint_id))

    def on_timed_barrier(self, barrier):
        self.log.append(("timed", barrier.checkpoint_id))

    def on_decline(self, decline):
        self.log.append(("declined", decline.checkpoint_id))


def channels(n):
    return [LocalChannel(1 << 20, lambda: None) for _ in range(n)]


def spec(channel, producer=0, **more):
    return InputSpec(0, channel, ChannelName("e0", producer), overtakable=True, **more)


def task(*pipes, settings=ON, restored=()):
    handler = Handler()
    specs = [spec(c, i) for i, c in enumerate(pipes)]
    inputs = TaskInputs(specs, handler, exactly_once=True, settings=settings, restored=restored)
    return inputs, handler


def drain(inputs):
    while inputs.step():
        pass


def parts_of(capture):
    return [values(thawed(part.entries)) for part in capture.parts]


def test_a_barrier_is_seen_without_reading_what_is_in_front_of_it():
    one, two = channels(2)
    inputs, handler = task(one, two)
    for element in (Watermark(5), rows(1)):
        one.send(element)
    two.send(Watermark(9))
    drain(inputs)
    one.send(rows(2))
    one.send(LatencyMarker(1, "s", 0))
    one.send(barrier(1))
    one.send(rows(3))
    two.send(rows(7))
    assert inputs.barriers_wait
    inputs.take_barriers()
    assert handler.log == [5, 1, ("snapshot", 1)]
    assert handler.captures == []
    inputs.step()
    inputs.step()
    two.send(Watermark(11))
    two.send(rows(8))
    two.send(barrier(1))
    two.send(rows(9))
    drain(inputs)
    inputs.take_barriers()
    (capture,) = handler.captures
    assert parts_of(capture) == [[[2]], [[7], Watermark(11), [8]]]
    assert [(p.watermark, p.idle) for p in capture.parts] == [(5, False), (9, False)]
    seen = [v for v in handler.log if v in {2, 3, 7, 8, 9}]
    assert [v for v in seen if v < 4] == [2, 3]
    assert [v for v in seen if v > 4] == [7, 8, 9]


def test_captured_rows_are_as_they_were_although_their_owner_changes_them():
    one, two = channels(2)
    inputs, handler = task(one, two)
    row = [1]
    one.send(rows(row))
    one.send(barrier(1))
    two.send(barrier(1))
    inputs.take_barriers()
    row[0] = 99
    assert parts_of(handler.captures[0])[0] == [[[1]]]


def test_the_rest_of_a_batch_that_is_taken_in_pieces_is_in_flight():
    (one,) = channels(1)
    inputs, handler = task(one)
    one.send(rows(*range(10_000)))
    assert inputs.step()
    done = len(handler.log)
    assert 0 < done < 10_000, "the first step takes a piece"
    one.send(barrier(1))
    inputs.take_barriers()
    ((rest,),) = parts_of(handler.captures[0])
    assert rest == list(range(done, 10_000))
    drain(inputs)
    assert [v for v in handler.log if type(v) is int] == list(range(10_000))


def test_too_much_in_flight_waits_for_alignment():
    one, two = channels(2)
    inputs, handler = task(one, two, settings=OvertakingSettings(enabled=True, max_bytes=100))
    one.send(rows(*range(10)))
    one.send(barrier(1))
    two.send(barrier(1))
    inputs.take_barriers()
    assert handler.log == [], "640 bytes are queued"
    drain(inputs)
    assert handler.log == [*range(10), ("snapshot", 1)]
    assert parts_of(handler.captures[0]) == [[], []]


def test_a_channel_that_brings_too_much_waits_for_its_barrier():
    one, two = channels(2)
    inputs, handler = task(one, two, settings=OvertakingSettings(enabled=True, max_bytes=2_000))
    one.send(barrier(1))
    inputs.take_barriers()
    for n in range(3_000):
        two.send(rows(n))
    drain(inputs)
    taken = [v for v in handler.log if type(v) is int]
    assert 0 < len(taken) < 3_000
    one.send(rows("free"))
    drain(inputs)
    assert handler.log[-1] == "free", "the other channel goes on"
    two.send(barrier(1))
    inputs.take_barriers()
    (capture,) = handler.captures
    assert capture.limited
    assert [v for (v,) in parts_of(capture)[1]] == list(range(3_000))
    drain(inputs)
    assert [v for v in handler.log if type(v) is int] == list(range(3_000))


@pytest.mark.parametrize("kind", [CheckpointKind.SAVEPOINT, CheckpointKind.FINAL])
def test_savepoints_and_last_checkpoints_are_aligned(kind):
    one, two = channels(2)
    inputs, handler = task(one, two)
    for channel in (one, two):
        channel.send(rows(1))
        channel.send(Barrier(1, 0, kind))
    assert not inputs.barriers_wait
    drain(inputs)
    assert handler.log == [1, 1, ("snapshot", 1)]


def restored(*elements, producer=0, age=0, **more):
    name = ChannelName("e0", producer, age)
    return InputSpec(0, RestoredInput(list(elements)), name, **more)


def test_restored_data_comes_first_older_attempts_before_newer_ones():
    (one,) = channels(1)
    one.send(rows("new"))
    inputs, handler = task(one, restored=[restored(rows("age 0")), restored(rows("age 1"), age=1)])
    drain(inputs)
    assert handler.log == ["age 1", "age 0", "new"]


def test_event_time_of_restored_channels_is_that_of_the_old_channels():
    """What was late before stays late, and what was not in time fires nothing."""
    (one,) = channels(1)
    one.send(Watermark(50))
    one.send(rows("new"))
    one.send(Watermark(120))
    inputs, handler = task(
        one,
        restored=[
            restored(rows("a"), Watermark(110), producer=0, watermark=100),
            restored(producer=1, watermark=90),
            restored(rows("b"), producer=2, watermark=200, idle=True),
        ],
    )
    drain(inputs)
    # 90 holds although nothing is left of its channel; new channels start below and catch up.
    assert handler.log == [90, "a", "b", "new", 120]


def test_a_restored_channel_without_event_time_holds_it_back():
    (one,) = channels(1)
    inputs, handler = task(
        one,
        restored=[
            restored(rows("a"), Watermark(110), watermark=100),
            restored(producer=1, watermark=MIN_TIMESTAMP),
        ],
    )
    drain(inputs)
    assert handler.log == ["a"]


def test_idle_restored_channels_do_not_leave_the_task_idle():
    (one,) = channels(1)
    inputs, handler = task(one, restored=[restored(watermark=7, idle=True)])
    drain(inputs)
    assert handler.log == [7, ("idle", True), ("idle", False)]


def test_a_checkpoint_during_the_recovery_takes_what_was_not_read_yet():
    (one,) = channels(1)
    inputs, handler = task(
        one,
        restored=[
            restored(rows(1), rows(2), rows(3), producer=4, age=1, watermark=10),
            restored(rows(5), producer=4, watermark=20),
        ],
    )
    inputs.step()
    one.send(rows(8))
    one.send(barrier(1))
    inputs.take_barriers()
    (capture,) = handler.captures
    assert [(p.age, p.watermark, values(thawed(p.entries))) for p in capture.parts] == [
        (0, MIN_TIMESTAMP, [[8]]),
        (2, 10, [[2], [3]]),
        (1, 20, [[5]]),
    ]
    drain(inputs)
    assert [v for v in handler.log if type(v) is int] == [10, 1, 2, 3, 20, 5, 8]


def test_an_aligned_checkpoint_waits_for_the_end_of_the_recovery():
    (one,) = channels(1)
    inputs, handler = task(one, restored=[restored(rows(1), rows(2))])
    one.send(barrier(1, kind=CheckpointKind.SAVEPOINT, unaligned=False))
    drain(inputs)
    assert handler.log == [1, 2, ("snapshot", 1)]
