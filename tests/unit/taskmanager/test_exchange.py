"""Channels between slots: the wire, flow control, refusals; output edges and partitioners."""

import threading
import time

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.common.convert import SchemaMismatchError
from lesto.common.elements import (
    Barrier,
    CheckpointKind,
    ColumnarBatch,
    EndOfData,
    LatencyMarker,
    RowBatch,
    StreamStatus,
    Watermark,
)
from lesto.taskmanager.operators.errors import InvalidPartitionError
from lesto.taskmanager.runtime.errors import (
    ChannelLostError,
    ChannelProtocolError,
    ChannelRefusedError,
    UnserializableRecordError,
)
from lesto.taskmanager.runtime.exchange.channels import ChannelKey, LocalChannel
from lesto.taskmanager.runtime.exchange.edge import EdgeWriter, FlushPolicy
from lesto.taskmanager.runtime.exchange.partition import (
    Custom,
    HashColumns,
    HashRows,
    RoundRobin,
    Shuffle,
    ToOne,
)
from lesto.taskmanager.runtime.exchange.receiver import ExchangeServer, RemoteInput
from lesto.taskmanager.runtime.exchange.sender import RemoteOutput
from lesto.taskmanager.runtime.exchange.wire import (
    CHANNEL_CLOSED,
    ChannelDecoder,
    ChannelEncoder,
)

SCHEMA = pa.schema([("k", pa.string()), ("n", pa.int64())])
KEY = ChannelKey("0" * 32, 1, 2, "a-b", 0, 1)


def columns(*ns, timed=True, kinds=None):
    data = pa.record_batch([pa.array([f"k{n}" for n in ns]), pa.array(ns)], schema=SCHEMA)
    return ColumnarBatch(data, np.array(ns) if timed else None, kinds)


def over_the_wire(schema, *elements):
    encoder, decoder = ChannelEncoder(schema), ChannelDecoder(schema, "test")
    return [decoder.decode(*encoder.encode(*encoder.freeze(e)))[0] for e in elements]


def test_control_elements_survive_the_wire():
    elements = [
        Watermark(-5),
        StreamStatus(True),
        Barrier(7, 123, CheckpointKind.SAVEPOINT, drain=True, stop=True, target="s3://b/p"),
        LatencyMarker(5, "src", 3, ("a", "b")),
        EndOfData(),
        CHANNEL_CLOSED,
    ]
    assert over_the_wire(None, *elements) == elements


def test_columns_survive_the_wire_with_times_and_kinds():
    kinds = np.array([0, 3], np.int8)
    timed, bare = over_the_wire(SCHEMA, columns(1, 2, kinds=kinds), columns(3, timed=False))
    assert timed.data.to_pydict() == {"k": ["k1", "k2"], "n": [1, 2]}
    assert timed.timestamps.tolist() == [1, 2]
    assert timed.kinds.tolist() == [0, 3]
    assert bare.timestamps is None
    assert bare.kinds is None


class Opaque:
    """Known to pickle by its module here, by value elsewhere."""

    def __init__(self, x):
        self.x = x


def test_rows_are_frozen_when_they_are_sent():
    encoder, decoder = ChannelEncoder(None), ChannelDecoder(None, "test")
    row = [1]
    frozen = encoder.freeze(RowBatch([row, Opaque(3)], np.array([5, 6])))
    row[0] = 99
    batch, nbytes = decoder.decode(*encoder.encode(*frozen))
    assert batch.values[0] == [1]
    assert batch.values[1].x == 3
    assert batch.timestamps.tolist() == [5, 6]
    assert nbytes > 0


def test_classes_of_a_script_go_by_value():
    local = type("Local", (), {"y": 4})
    local.__module__ = "__main__"
    (batch,) = over_the_wire(None, RowBatch([local()]))
    assert batch.values[0].y == 4


def test_a_record_that_cannot_be_pickled_is_named():
    with pytest.raises(UnserializableRecordError, match="type lock cannot be pickled"):
        over_the_wire(None, RowBatch([1, threading.Lock()]))


@pytest.mark.parametrize("fault", ["gap", "repeated", "garbage", "foreign columns"])
def test_damaged_streams_are_protocol_errors(fault):
    encoder, decoder = ChannelEncoder(SCHEMA), ChannelDecoder(SCHEMA, "test")
    first = encoder.encode(Watermark(1), 0)
    second = encoder.encode(*encoder.freeze(columns(1)))
    if fault != "gap":
        decoder.decode(*first)
    message = {
        "gap": second,
        "repeated": first,
        "garbage": (b"\xc1", None),
        "foreign columns": (second[0], second[1].select(["k"])),
    }[fault]
    with pytest.raises(ChannelProtocolError):
        decoder.decode(*message)


class Ends:
    """Both ends of a channel over a real Flight server."""

    def __init__(self, schema=SCHEMA, limit=100_000, token="secret"):
        self.failures = []
        self.woken = threading.Event()
        self.server = ExchangeServer("127.0.0.1")
        self.input = RemoteInput(
            KEY,
            "secret",
            schema=schema,
            limit_bytes=limit,
            give_back=self.server.give_back,
            wake=self.woken.set,
            failed=lambda e: self.failures.append(("in", e)),
        )
        self.schema = schema
        self.token = token
        self.outputs = []

    def connect(self, key=KEY, uri=None):
        output = RemoteOutput(
            key,
            self.token,
            uri or self.server.uri,
            schema=self.schema,
            wake=self.woken.set,
            failed=lambda e: self.failures.append(("out", e)),
        )
        self.outputs.append(output)
        return output

    def until(self, condition, seconds=60):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, self.failures
            time.sleep(0.002)
        return found


@pytest.fixture
def ends():
    made = []

    def make(**options):
        made.append(Ends(**options))
        return made[-1]

    yield make
    for e in made:
        for output in e.outputs:
            output.close(graceful=False)
            output.join()
        e.server.stop()


def test_elements_arrive_in_order_and_a_graceful_end_is_no_failure(ends):
    e = ends()
    e.server.register(e.input)
    output = e.connect()
    for n in range(50):
        output.send(columns(n))
        output.send(Watermark(n))
    output.close(graceful=True)
    taken = []
    e.until(lambda: (e.input.queue and taken.append(e.input.take())) or e.input.finished)
    assert [t.timestamp for t in taken[1::2]] == list(range(50))
    assert [t.data.column(1)[0].as_py() for t in taken[0:-1:2]] == list(range(50))
    output.join()
    assert e.failures == []


def test_without_credit_the_sender_holds_back_and_is_not_writable(ends):
    e = ends(limit=1000)
    e.server.register(e.input)
    output = e.connect()
    e.until(lambda: output.writable)
    for n in range(100):
        output.send(columns(*range(n, n + 10)))
    time.sleep(0.2)
    assert not output.writable
    assert e.input.queued_bytes < 1000 + 400
    came = []
    e.until(lambda: (e.input.queue and came.append(e.input.take())) or len(came) == 100)
    assert [b.data.column(1)[0].as_py() for b in came] == list(range(100))
    e.until(lambda: output.writable)


def test_a_producer_may_come_before_its_consumer(ends):
    e = ends()
    output = e.connect()
    output.send(Watermark(1))
    time.sleep(0.1)
    e.server.register(e.input)
    e.until(lambda: e.input.queue)


def test_a_wrong_token_is_refused(ends):
    e = ends(token="guess")
    e.server.register(e.input)
    e.connect()
    ((end, error),) = e.until(lambda: e.failures)
    assert end == "out"
    assert isinstance(error, ChannelRefusedError)
    assert "wrong data token" in str(error)
    assert not e.input.queue


@pytest.mark.parametrize("stale", [(0, 9), (1, 1)])
def test_a_stale_epoch_or_attempt_is_refused(ends, stale):
    e = ends()
    e.server.register(e.input)
    e.connect(ChannelKey(KEY.job_id, *stale, KEY.edge_id, KEY.producer, KEY.consumer))
    ((_, error),) = e.until(lambda: e.failures)
    assert isinstance(error, ChannelRefusedError)
    assert "stale" in str(error)


def test_a_second_producer_is_refused(ends):
    e = ends()
    e.server.register(e.input)
    first = e.connect()
    e.until(lambda: first.writable)
    e.connect()
    ((_, error),) = e.until(lambda: e.failures)
    assert isinstance(error, ChannelRefusedError)
    first.send(Watermark(3))
    e.until(lambda: e.input.queue)


def test_a_cancelled_producer_ends_the_channel_without_a_failure(ends):
    e = ends()
    e.server.register(e.input)
    output = e.connect()
    e.until(lambda: output.writable)
    output.close(graceful=False)
    output.join()
    time.sleep(0.1)
    assert e.failures == []


def test_nobody_listening_is_a_lost_channel(ends):
    e = ends()
    e.connect(uri="grpc://127.0.0.1:1")
    ((_, error),) = e.until(lambda: e.failures)
    assert isinstance(error, ChannelLostError)
    assert error.retryable


# ------------------------------------------------------------------------------------------ edges


def edge(n, partitioner, schema=SCHEMA, rows=1000, nbytes=1 << 20, timeout_ms=1000, limit=1 << 20):
    channels = [LocalChannel(limit, lambda: None) for _ in range(n)]
    policy = FlushPolicy(rows, nbytes, timeout_ms * 1_000_000)
    return EdgeWriter(channels, partitioner, schema, policy), channels


def drained(channel):
    out = []
    while channel.queue:
        out.append(channel.take())
    return out


def test_small_batches_are_gathered_until_a_batch_is_full():
    writer, (channel,) = edge(1, ToOne(1), rows=10)
    for n in range(25):
        writer.emit(columns(n))
    assert [len(b) for b in drained(channel)] == [10, 10]
    writer.flush()
    (rest,) = drained(channel)
    assert rest.data.column(1).to_pylist() == [20, 21, 22, 23, 24]
    assert rest.timestamps.tolist() == [20, 21, 22, 23, 24]
    assert writer.records_out == 25


def test_a_control_element_comes_behind_everything_emitted():
    writer, channels = edge(2, RoundRobin(2, 0))
    writer.emit(columns(1, 2, 3))
    writer.watermark(2)
    writer.control(Barrier(1, 0))
    for channel in channels:
        batch, watermark, barrier = drained(channel)
        assert isinstance(batch, ColumnarBatch)
        assert (watermark, barrier) == (Watermark(2), Barrier(1, 0))


def test_a_watermark_waits_with_gathered_records_and_only_the_newest_is_sent():
    writer, (channel,) = edge(1, ToOne(1))
    writer.watermark(1)
    writer.emit(columns(5))
    writer.watermark(5)
    writer.emit(columns(6))
    writer.watermark(6)
    assert drained(channel) == [Watermark(1)]
    writer.flush_due(time.monotonic_ns() + 2_000_000_000)
    batch, watermark = drained(channel)
    assert len(batch) == 2
    assert watermark == Watermark(6)


def test_an_edge_is_writable_only_when_every_channel_is():
    writer, channels = edge(2, HashColumns(2, 128, ["k"]), limit=100)
    assert writer.writable
    writer.emit(columns(*range(100)))
    writer.flush()
    assert not writer.writable
    drained(channels[0])
    assert not writer.writable
    drained(channels[1])
    assert writer.writable


def test_forms_and_schemas_are_made_to_fit_the_edge():
    writer, (channel,) = edge(1, ToOne(1))
    writer.emit(RowBatch([("a", 1)]))
    narrow = pa.record_batch({"k": ["b"], "n": pa.array([2], pa.int32())})
    writer.emit(ColumnarBatch(narrow))
    writer.flush()
    (batch,) = drained(channel)
    assert batch.data.to_pydict() == {"k": ["a", "b"], "n": [1, 2]}
    with pytest.raises(SchemaMismatchError, match="column 'n'"):
        writer.emit(RowBatch([("a", "not a number")]))
    rows, (plain,) = edge(1, ToOne(1), schema=None)
    rows.emit(columns(7))
    rows.flush()
    assert list(drained(plain)[0].values[0]) == ["k7", 7]


@given(
    st.lists(st.lists(st.integers(0, 1000), min_size=1, max_size=20), min_size=1, max_size=10),
    st.integers(2, 5),
    st.sampled_from(["hash", "hash rows", "round robin", "shuffle", "custom"]),
    st.booleans(),
)
def test_every_record_goes_to_one_channel_in_order(batches, n, kind, columnar):
    if kind == "hash" and not columnar:
        kind = "hash rows"
    partitioner = {
        "hash": HashColumns(n, 128, ["k"]),
        "hash rows": HashRows(n, 128, lambda r: r[0]),
        "round robin": RoundRobin(n, 1),
        "shuffle": Shuffle(n),
        "custom": Custom(n, lambda key, width: key % width, lambda r: r[1]),
    }[kind]
    writer, channels = edge(n, partitioner, SCHEMA if columnar else None, rows=7)
    for ns in batches:
        if columnar:
            writer.emit(columns(*ns))
        else:
            writer.emit(RowBatch([(f"k{i}", i) for i in ns], np.array(ns)))
    writer.flush()
    got = []
    for channel in channels:
        mine = []
        for batch in drained(channel):
            values = batch.data.column(1).to_pylist() if columnar else [v[1] for v in batch.values]
            assert batch.timestamps.tolist() == values
            mine += values
        got.append(mine)
    everything = [i for ns in batches for i in ns]
    assert sorted(i for mine in got for i in mine) == sorted(everything)
    if kind.startswith("hash") or kind == "custom":
        for mine in got:
            assert mine == [i for i in everything if i in set(mine)]
    if kind.startswith("hash"):
        other = HashRows(n, 128, lambda r: r[0]) if columnar else HashColumns(n, 128, ["k"])
        flat = columns(*everything)
        pairs = RowBatch([(f"k{i}", i) for i in everything])
        expected = other.channels(pairs if columnar else flat).tolist()
        assert expected == [next(c for c, m in enumerate(got) if i in m) for i in everything]


def test_a_custom_partitioner_must_name_a_channel():
    for wrong in (5, -1, None, "0"):
        with pytest.raises(InvalidPartitionError, match=r"for the key 1, not a number from 0 to 1"):
            Custom(2, lambda key, n, wrong=wrong: wrong, None).split(RowBatch([1]))


def test_a_large_piece_is_sent_as_it_is_behind_what_was_gathered():
    sink = LocalChannel(1 << 20, lambda: None)
    policy = FlushPolicy(rows=1000, nbytes=100 * RowBatch.ROW_BYTES_ESTIMATE, timeout_ns=10**12)
    writer = EdgeWriter([sink], ToOne(1), None, policy)
    large = RowBatch(list(range(50)))
    writer.emit(RowBatch([-1]))
    writer.emit(large)
    writer.emit(RowBatch([99]))
    writer.flush()
    taken = [sink.take() for _ in range(3)]
    assert [batch.values for batch in taken] == [[-1], large.values, [99]]
    assert taken[1] is large
