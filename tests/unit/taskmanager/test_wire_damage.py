"""A byte that changes on a data channel is noticed, wherever it is (T12)."""

import random
import threading

import numpy as np
import pyarrow as pa
import pyarrow.flight as fl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesto.common.elements import (
    Barrier,
    CheckpointKind,
    ColumnarBatch,
    EndOfData,
    RowBatch,
    StreamStatus,
    Watermark,
)
from lesto.taskmanager.runtime.errors import ChannelProtocolError
from lesto.taskmanager.runtime.exchange import integrity
from lesto.taskmanager.runtime.exchange.wire import ChannelDecoder, ChannelEncoder

SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64()), pa.field("key", pa.string()), pa.field("flag", pa.bool_()),
        pa.field("price", pa.decimal128(9, 2)), pa.field("at", pa.timestamp("ms")),
        pa.field("tags", pa.list_(pa.string())), pa.field("large", pa.large_binary()),
        pa.field("kind", pa.dictionary(pa.int8(), pa.string())),
        pa.field("inner", pa.struct([pa.field("x", pa.float64()), pa.field("y", pa.string())])),
    ]
)  # fmt: skip


def batch_of(n, seed=0, *, nulls=True):
    """A batch with every kind of column."""
    rng = random.Random(seed)

    def maybe(value):
        return None if nulls and rng.random() < 0.2 else value

    rows = [
        {
            "id": maybe(i), "key": maybe(f"key-{rng.randrange(99)}"), "flag": maybe(i % 3 == 0),
            "price": maybe(rng.randrange(10**6)), "at": maybe(1_800_000_000_000 + i),
            "tags": maybe([maybe("a"), "bc"][: i % 3]), "large": maybe(bytes([i % 256]) * 5),
            "kind": maybe(rng.choice(["red", "blue"])),
            "inner": maybe({"x": maybe(i / 3), "y": maybe(str(i))}),
        }
        for i in range(n)
    ]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def over_the_wire(batch):
    """The batch as another process has it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return pa.ipc.open_stream(sink.getvalue()).read_next_batch()


@given(st.integers(0, 200), st.integers(0, 50), st.integers(0, 100), st.booleans())
def test_a_batch_has_the_same_checksum_at_both_ends(n, start, seed, nulls):
    batch = batch_of(n, seed, nulls=nulls).slice(start)
    assert integrity.body_checksum(batch) == integrity.body_checksum(over_the_wire(batch))


@pytest.mark.parametrize("name", SCHEMA.names)
def test_another_value_has_another_checksum(name):
    one, other = batch_of(64, 1, nulls=False), batch_of(64, 2, nulls=False)
    column = other.column(SCHEMA.get_field_index(name))
    if column.equals(one.column(SCHEMA.get_field_index(name))):
        column = pa.nulls(64, column.type)
    changed = one.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), column)
    assert integrity.body_checksum(one) != integrity.body_checksum(changed)


@pytest.mark.parametrize(
    "element",
    [
        Watermark(17),
        StreamStatus(True),
        Barrier(3, 4, CheckpointKind.CHECKPOINT),
        EndOfData(),
        RowBatch([1, "two", (3.0,)], np.arange(3)),
    ],
    ids=lambda e: type(e).__name__,
)
def test_no_changed_byte_of_a_message_is_taken(element):
    encoder = ChannelEncoder(None)
    metadata, body = encoder.encode(*encoder.freeze(element))
    assert body is None
    for at in range(len(metadata)):
        for bit in (1, 128):
            changed = bytearray(metadata)
            changed[at] ^= bit
            with pytest.raises(ChannelProtocolError):
                ChannelDecoder(None, "test").decode(bytes(changed), None)


def test_no_changed_value_of_columns_is_taken():
    batch = batch_of(20)
    encoder = ChannelEncoder(SCHEMA)
    metadata, body = encoder.encode(*encoder.freeze(ColumnarBatch(batch, np.arange(20))))
    ChannelDecoder(SCHEMA, "test").decode(metadata, over_the_wire(body))
    for index in range(body.num_columns):
        column = pa.concat_arrays([body.column(index).slice(1), body.column(index).slice(0, 1)])
        changed = body.set_column(index, body.schema.field(index), column)
        with pytest.raises(ChannelProtocolError, match="damaged"):
            ChannelDecoder(SCHEMA, "test").decode(metadata, changed)


class _Damaging(fl.FlightServerBase):
    """Gives what comes to a decoder."""

    def __init__(self, decoder):
        super().__init__("grpc://127.0.0.1:0")
        self.decoder = decoder
        self.taken = []
        self.ended = threading.Event()

    def do_exchange(self, context, descriptor, reader, writer):
        try:
            while True:
                chunk = reader.read_chunk()
                self.taken.append(
                    self.decoder.decode(chunk.app_metadata.to_pybytes(), chunk.data)[0]
                )
        except StopIteration:
            pass
        finally:
            self.ended.set()


def test_batches_are_whole_behind_a_real_channel():
    batch = ColumnarBatch(batch_of(300).slice(7, 200), np.arange(200))
    encoder = ChannelEncoder(SCHEMA)
    with _Damaging(ChannelDecoder(SCHEMA, "test")) as server:
        with fl.FlightClient(f"grpc://127.0.0.1:{server.port}") as client:
            writer, _ = client.do_exchange(fl.FlightDescriptor.for_command(b""))
            writer.begin(encoder.schema)
            metadata, body = encoder.encode(*encoder.freeze(batch))
            writer.write_with_metadata(body, metadata)
            writer.done_writing()
            assert server.ended.wait(10)
        (taken,) = server.taken
    assert taken.data.equals(batch.data)
