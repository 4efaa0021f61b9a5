"""Generated and in-memory sources, and the sinks that keep nothing or give it to the client."""

import io
import pickle

import pyarrow as pa
import pytest

from lesto.common.elements import ColumnarBatch, RowBatch
from lesto.common.source import Boundedness, NoData, SourceBatch
from lesto.connectors.console import PrintSink
from lesto.connectors.datagen import (
    DataGenSource,
    NumberSequenceSource,
    RowGenSource,
    pool,
    random_float,
    random_int,
    sequence,
    timestamps,
)
from lesto.connectors.errors import ConnectorConfigError
from lesto.connectors.memory.collect import CollectSink
from lesto.connectors.memory.collection import ArrowSource, CollectionSource
from tests.unit.connectors.contexts import (
    EnumeratorContext,
    ReaderContext,
    WriterContext,
    all_splits,
    read,
)


def test_a_collection_keeps_its_order_and_goes_on_where_it_was():
    source = CollectionSource(list("abcdefg"))
    for stop_after in range(5):
        first, reader = read(source, all_splits(source), batch_rows=2, steps=stop_after)
        rest, _ = read(source, reader.snapshot_state(1), batch_rows=3)
        assert "".join(first + rest) == "abcdefg"


def test_an_empty_collection_ends_at_once():
    source = CollectionSource([])
    assert read(source, all_splits(source))[0] == []


def test_arrow_tables_and_their_limit(monkeypatch):
    table = pa.table({"a": [1, 2, 3]})
    source = ArrowSource(table)
    assert source.schema == table.schema
    assert read(source, all_splits(source), batch_rows=2)[0] == table.to_pylist()
    monkeypatch.setattr("lesto.connectors.memory.collection.COLLECTION_BYTES_MAX", 8)
    with pytest.raises(ConnectorConfigError, match="too large to travel"):
        ArrowSource(table)


def test_every_position_is_generated_once_at_any_parallelism():
    fields = {
        "id": sequence(),
        "key": pool(7),
        "n": random_int(-5, 5),
        "x": random_float(),
        "t": timestamps(10),
    }
    whole, _ = read(source := DataGenSource(fields, rows=1001), all_splits(source, 1))
    lanes, _ = read(source, all_splits(source, 3), batch_rows=64)
    assert sorted(lanes, key=lambda r: r["id"]) == whole
    assert [r["id"] for r in whole] == list(range(1001))
    assert {r["key"] for r in whole} == {f"key-{i}" for i in range(7)}
    assert {r["n"] for r in whole} == set(range(-5, 6))
    assert all(0 <= r["x"] < 1 for r in whole)
    assert [r["t"] for r in whole[:21:10]] == [0, 1000, 2000]


def test_the_rate_is_kept_under_virtual_time():
    source = DataGenSource({"id": sequence()}, rows_per_second=1000)
    assert source.boundedness is Boundedness.CONTINUOUS_UNBOUNDED
    context = ReaderContext()
    reader = source.create_reader(context)
    reader.add_splits(all_splits_unbounded(source))
    reader.start()
    rows, _ = rows_in_two_seconds(reader, context)
    assert rows == pytest.approx(2_000, abs=5)


def rows_in_two_seconds(reader, context):
    """Rows, and how often the reader was asked."""
    rows = 0
    for asked in range(1, 5_000):
        result = reader.poll()
        if isinstance(result, SourceBatch):
            rows += len(result.batch)
        else:
            assert isinstance(result, NoData)
            context.clock.advance(result.wake_at_ms - context.clock.monotonic_ms())
        if context.clock.monotonic_ms() >= 2_000:
            return rows, asked
    raise AssertionError("asked for ever")


def test_the_rate_is_that_of_the_lanes_wherever_they_are_read():
    source = DataGenSource({"id": sequence()}, rows_per_second=1000)
    lanes = [lane for reader in range(2) for lane in all_splits_unbounded(source, 2, reader)]
    context = ReaderContext(parallelism=3)  # one of three behind a rescaling; two read nothing
    reader = source.create_reader(context)
    reader.add_splits(lanes)
    reader.start()
    rows, _ = rows_in_two_seconds(reader, context)
    assert rows == pytest.approx(2_000, abs=5)


def test_a_slow_source_is_asked_when_its_next_row_is_due():
    source = DataGenSource({"id": sequence()}, rows_per_second=10)
    context = ReaderContext()
    reader = source.create_reader(context)
    reader.add_splits(all_splits_unbounded(source))
    reader.start()
    rows, asked = rows_in_two_seconds(reader, context)
    assert rows == pytest.approx(20, abs=1)
    assert asked <= 3 * rows


def all_splits_unbounded(source, parallelism=1, reader=0):
    from tests.unit.connectors.contexts import EnumeratorContext

    context = EnumeratorContext(parallelism)
    enumerator = source.create_enumerator(context, None)
    for subtask in range(parallelism):
        enumerator.handle_split_request(subtask)
    return context.assigned[reader]


def test_rows_from_a_function_and_number_sequences():
    source = RowGenSource(lambda i: (i, i * i), rows=4)
    assert read(source, all_splits(source))[0] == [(0, 0), (1, 1), (2, 4), (3, 9)]
    numbers = NumberSequenceSource(-1, 1)
    assert read(numbers, all_splits(numbers))[0] == [-1, 0, 1]


@pytest.mark.parametrize("bad", [{"rows": -1}, {"rows_per_second": 0}])
def test_impossible_limits_are_refused(bad):
    with pytest.raises(ConnectorConfigError):
        DataGenSource({"a": sequence()}, **bad)


def test_print_writes_flinks_form(capsys):
    writer = PrintSink("out").create_writer(WriterContext(subtask=1, parallelism=2))
    writer.write(RowBatch(["a", ("b", 1)]))
    plain = PrintSink().create_writer(WriterContext())
    plain.write(ColumnarBatch(pa.record_batch({"a": [1], "b": ["x"]})))
    assert capsys.readouterr().out == "out:2> a\nout:2> ('b', 1)\nRow(a=1, b='x')\n"


def test_collected_results_become_visible_in_order_and_once(tmp_path):
    sink = CollectSink()
    writer = sink.create_writer(WriterContext(str(tmp_path)))
    writer.write(RowBatch([1, "two"]))
    writer.write(ColumnarBatch(pa.record_batch({"a": [1]})))
    committables = writer.prepare_commit(1)
    folder = tmp_path / "collect" / "sink"
    assert not list(folder.glob("part-*"))
    writer.write(RowBatch([3]))
    later = writer.prepare_commit(2)
    committer = sink.create_committer()
    for _ in range(2):
        committer.commit([*committables, *later])
    arrow, first, second = sorted(folder.glob("part-*"))
    assert pa.ipc.open_stream(io.BytesIO(arrow.read_bytes())).read_all().to_pylist() == [{"a": 1}]
    assert pickle.loads(first.read_bytes()) == [1, "two"]
    assert pickle.loads(second.read_bytes()) == [3]
    assert len(list(folder.iterdir())) == 3
    assert writer.prepare_commit(3) == ()


def test_splits_given_back_are_the_next_ones_in_their_order():
    context = EnumeratorContext(3)
    enumerator = RowGenSource(lambda i: i, rows=9).create_enumerator(context, None)
    enumerator.handle_split_request(0)
    enumerator.handle_split_request(0)
    lost, context.assigned[0] = context.assigned[0], []
    enumerator.add_splits_back(lost, 0)
    for reader in (1, 2, 0):
        enumerator.handle_split_request(reader)
    assert context.assigned[1] + context.assigned[2] == lost
    enumerator.handle_split_request(0)
    assert context.no_more == {0}
