"""Snapshots of either backend read as Arrow tables: contents, types, streaming, names, damage."""

import dataclasses
import datetime as dt
import pickle
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from savepoints import KINDS, write_snapshot

from lesto.common.identity import operator_uid
from lesto.common.row import Row
from lesto.common.types import Types
from lesto.state.descriptors import (
    AggregatingStateDescriptor,
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from lesto.state.errors import (
    CheckpointNotFoundError,
    CorruptFileError,
    MissingFileError,
    SavepointWriteError,
    StateMismatchError,
    StateNotFoundError,
)
from lesto.state.reader import SavepointReader
from lesto.state.reader.columns import to_array, to_values
from lesto.state.reader.shapes import Census
from lesto.state.reader.streams import about
from lesto.state.row_table import RowTableDescriptor
from lesto.state.timed_rows import TimedRowsDescriptor, key_hashes, sorted_run
from lesto.state.writer import OperatorBootstrap, SavepointWriter


class _Concat:
    def create_accumulator(self):
        return ""

    def add(self, value, accumulator):
        return accumulator + value

    def get_result(self, accumulator):
        return accumulator


@dataclasses.dataclass
class Order:
    item: str
    price: float


def _fill(backend):
    value = backend.get_state(ValueStateDescriptor("count", Types.LONG()))
    listed = backend.get_state(ListStateDescriptor("seen"))
    mapped = backend.get_state(MapStateDescriptor("carts", Types.STRING(), Types.DOUBLE()))
    reduced = backend.get_state(ReducingStateDescriptor("most", max))
    joined = backend.get_state(AggregatingStateDescriptor("text", _Concat()))
    timers = backend.timers("event")
    for i in range(200):
        backend.current_key = f"k{i}"
        value.update(i)
        listed.update([i, i + 1])
        mapped.put_all({"a": i / 2, "b": None})
        reduced.add(i)
        joined.add("xy")
        timers.register(1_000 + i, f"k{i}")


@pytest.mark.parametrize(("kind", "canonical"), KINDS)
def test_every_kind_of_keyed_state(tmp_path, kind, canonical):
    path = write_snapshot(tmp_path, kind, _fill, canonical=canonical, parallelism=3)
    reader = SavepointReader.read(path)
    (operator,) = reader.operators()
    assert (operator.uid, operator.name, operator.max_parallelism) == ("uid", "Counter", 128)
    assert {(s.name, s.kind) for s in operator.states} == {
        ("count", "value"),
        ("seen", "list"),
        ("carts", "map"),
        ("most", "reducing"),
        ("text", "aggregating"),
        ("timers:event", "timers"),
    }
    table = reader.read_keyed_state("uid", "count").read_all().sort_by("value")
    assert table.schema.types == [pa.string(), pa.int64()]
    assert table.to_pydict() == {"key": [f"k{i}" for i in range(200)], "value": list(range(200))}
    listed = reader.read_keyed_state("uid", ListStateDescriptor("seen")).read_all()
    assert listed.schema.field("value").type.value_type == pa.int64()
    assert all(row["value"][1] == row["value"][0] + 1 for row in listed.to_pylist())
    carts = reader.read_keyed_state("Counter", "carts").read_all()
    assert carts.schema.names == ["key", "map_key", "value"]
    assert {(r["key"], r["map_key"], r["value"]) for r in carts.to_pylist()} == {
        (f"k{i}", m, i / 2 if m == "a" else None) for i in range(200) for m in "ab"
    }
    assert sum(reader.read_state("uid", "most").read_all()["value"].to_pylist()) == 199 * 100
    assert set(reader.read_state("uid", "text").read_all()["value"].to_pylist()) == {"xy"}
    timers = reader.read_timers("uid").read_all()
    assert {(r["timestamp"], r["key"]) for r in timers.to_pylist()} == {
        (1_000 + i, f"k{i}") for i in range(200)
    }


@pytest.mark.parametrize(("kind", "canonical"), KINDS)
def test_rows_kept_by_key_and_time_are_a_table(tmp_path, kind, canonical):
    schema = pa.schema([("k", pa.string()), ("v", pa.int64())])

    def fill(backend):
        rows = backend.timed_rows(TimedRowsDescriptor("left-rows", schema, ("k",)))
        data = pa.RecordBatch.from_pylist(
            [{"k": f"k{i % 7}", "v": i} for i in range(50)], schema=schema
        )
        times = np.arange(1_000, 1_050, dtype=np.int64)
        rows.add(sorted_run(data, key_hashes(data, ["k"]), times))

    reader = SavepointReader.read(write_snapshot(tmp_path, kind, fill, canonical=canonical))
    found = reader.read_state("uid", "left-rows").read_all()
    assert found.schema.names == ["k", "v", "timestamp"]
    rows = found.cast(found.schema.set(2, pa.field("timestamp", pa.int64()))).to_pylist()
    assert sorted(rows, key=lambda r: r["v"]) == [
        {"k": f"k{i % 7}", "v": i, "timestamp": 1_000 + i} for i in range(50)
    ]
    few = reader.read_state("uid", "left-rows", limit=9).read_all()
    assert len(few) == 9
    assert about(found.schema)["kind"] == "rows"


@pytest.mark.parametrize(("kind", "canonical"), KINDS)
def test_row_tables_are_read_and_written_again(tmp_path, kind, canonical):
    schema = pa.schema([("k", pa.string()), ("partners", pa.list_(pa.int64()))])
    what = RowTableDescriptor("left-rows", schema, (0,), ("partners",), ttl_ms=1_000)

    def fill(backend):
        table = backend.row_table(what)
        data = [{"k": f"k{i % 7}", "partners": [i] if i % 3 else None} for i in range(50)]
        ids = table.add(pa.RecordBatch.from_pylist(data, schema=schema))
        table.counter("partners")[ids] = ids

    reader = SavepointReader.read(write_snapshot(tmp_path, kind, fill, canonical=canonical))
    found = reader.read_state("uid", "left-rows").read_all()
    assert found.schema.names == ["k", "partners", "partners_", "last_access"]
    assert about(found.schema)["kind"] == "row_table"
    assert sorted(found["partners_"].to_pylist()) == list(range(50))
    assert len(reader.read_state("uid", "left-rows", limit=9).read_all()) == 9

    writer = SavepointWriter.new_savepoint(max_parallelism=128).with_operator(
        "uid", OperatorBootstrap().row_table("left-rows", found.slice(0, 40))
    )
    again = SavepointReader.read(writer.write(str(tmp_path / "again")))
    kept = again.read_state("uid", "left-rows").read_all()
    assert sorted(map(repr, kept.to_pylist())) == sorted(map(repr, found[:40].to_pylist()))
    writer = SavepointWriter.new_savepoint(max_parallelism=128).with_operator(
        "uid", OperatorBootstrap().row_table("left-rows", found.replace_schema_metadata(None))
    )
    with pytest.raises(SavepointWriteError, match="does not say what its key"):
        writer.write(str(tmp_path / "never"))


@pytest.mark.parametrize(("kind", "canonical"), KINDS)
def test_state_in_windows_has_their_bounds(tmp_path, kind, canonical):
    def fill(backend):
        state = backend.get_state(ValueStateDescriptor("_window_contents"))
        for key in range(5):
            backend.current_key = key
            for start in (-100, 0, 100):
                state.set_namespace((start, start + 100))
                state.update(key * start)

    path = write_snapshot(tmp_path, kind, fill, canonical=canonical)
    rows = SavepointReader.read(path).read_window_state("uid").read_all().to_pylist()
    assert len(rows) == 15
    for row in rows:
        assert row["window_end"] == row["window_start"] + 100
        assert row["value"] == row["key"] * row["window_start"]


def test_other_namespaces_are_a_column(tmp_path):
    def fill(backend):
        state = backend.get_state(ValueStateDescriptor("v"))
        backend.current_key = 1
        for namespace in (None, (7,), (1, 2)):
            state.set_namespace(namespace)
            state.update("x")

    table = SavepointReader.read(write_snapshot(tmp_path, "hashmap", fill)).read_keyed_state(
        "uid", "v"
    )
    table = table.read_all()
    found = to_values(table["namespace"], table.schema.field("namespace"))
    assert set(found) == {None, (7,), (1, 2)}


def test_without_rows_declared_types_are_shown(tmp_path):
    def fill(backend):
        backend.get_state(ValueStateDescriptor("v", Types.ROW([Types.INT(), Types.STRING()])))
        backend.get_state(MapStateDescriptor("m", Types.STRING(), Types.DOUBLE()))
        backend.timers("processing")

    for kind in ("hashmap", "rocksdb"):
        reader = SavepointReader.read(write_snapshot(tmp_path / kind, kind, fill))
        value = reader.read_keyed_state("uid", "v").read_all()
        assert value.num_rows == 0
        assert value.schema.field("value").type == pa.struct(
            [("f0", pa.int32()), ("f1", pa.string())]
        )
        mapped = reader.read_keyed_state("uid", "m").read_all()
        assert mapped.schema.types[1:] == [pa.string(), pa.float64()]
        assert reader.read_timers("uid", "processing").read_all().num_rows == 0


def test_whole_numbers_of_a_declared_double_are_doubles(tmp_path):
    def fill(backend):
        state = backend.get_state(ValueStateDescriptor("v", Types.DOUBLE()))
        backend.current_key = "a"
        state.update(3)

    reader = SavepointReader.read(write_snapshot(tmp_path, "hashmap", fill))
    assert reader.read_keyed_state("uid", "v").read_all()["value"].to_pylist() == [3.0]


# ----------------------------------------------------------------------------------------- pickles


def _opaque(backend):
    state = backend.get_state(ValueStateDescriptor("orders"))
    for i in range(3):
        backend.current_key = i
        state.update((i, Order("pen", i / 2)))


class Trap:
    """Leaves a mark when unpickled."""

    loaded = 0

    def __reduce__(self):
        return (_spring, ())


def _spring():
    Trap.loaded += 1
    return "sprung"


def test_pickled_values_are_bytes_until_allowed(tmp_path):
    path = write_snapshot(tmp_path, "rocksdb", _opaque)
    table = SavepointReader.read(path).read_keyed_state("uid", "orders").read_all()
    assert table.schema.field("value").type == pa.struct([("f0", pa.int64()), ("f1", pa.binary())])
    for row in table.to_pylist():
        assert pickle.loads(row["value"]["f1"]) == Order("pen", row["key"] / 2)
    loaded = SavepointReader.read(path, allow_pickle=True).read_keyed_state("uid", "orders")
    table = loaded.read_all().sort_by("key")
    assert table["value"].to_pylist()[1] == {"f0": 1, "f1": {"item": "pen", "price": 0.5}}
    assert about(table.schema)["pickles_loaded"] is True


def test_reading_runs_no_code_of_the_state(tmp_path):
    def fill(backend):
        state = backend.get_state(ValueStateDescriptor("v"))
        backend.current_key = "a"
        state.update({"deep": [(Trap(),)]})

    path = write_snapshot(tmp_path, "hashmap", fill)
    before = Trap.loaded
    SavepointReader.read(path).read_keyed_state("uid", "v").read_all()
    assert Trap.loaded == before
    SavepointReader.read(path, allow_pickle=True).read_keyed_state("uid", "v").read_all()
    assert Trap.loaded > before


# ------------------------------------------------------------------------------------------- names


def test_operators_are_found_by_uid_hash_and_name_and_mistakes_are_named(tmp_path):
    reader = SavepointReader.read(write_snapshot(tmp_path, "hashmap", _fill))
    for word in ("uid", operator_uid("uid"), "Counter"):
        assert reader.operator(word).name == "Counter"
    with pytest.raises(StateNotFoundError, match=r"no operator 'Conter' \(did you mean 'Counter'"):
        reader.read_keyed_state("Conter", "count")
    with pytest.raises(StateNotFoundError, match=r"no state 'cuont' \(did you mean 'count'\?\)"):
        reader.read_keyed_state("uid", "cuont")
    with pytest.raises(StateNotFoundError, match="6 states"):
        reader.read_state("uid")
    with pytest.raises(StateMismatchError, match="kind value, not map"):
        reader.read_keyed_state("uid", MapStateDescriptor("count"))
    with pytest.raises(CheckpointNotFoundError):
        SavepointReader.read(str(tmp_path / "nowhere"))


def test_names_of_any_script(tmp_path):
    def fill(backend):
        backend.current_key = "schlüssel 🔑"
        backend.get_state(ValueStateDescriptor("zähler ✓")).update("wert ü")

    path = write_snapshot(tmp_path / "pfad ü", "rocksdb", fill, uid="zähle ☃")
    table = SavepointReader.read(path).read_state("zähle ☃", "zähler ✓").read_all()
    assert table.to_pylist() == [{"key": "schlüssel 🔑", "value": "wert ü"}]


# ----------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize(("kind", "canonical"), KINDS)
def test_damaged_and_missing_files_are_named(tmp_path, kind, canonical):
    path = write_snapshot(tmp_path, kind, _fill, canonical=canonical, parallelism=2)
    victims = [p for p in (tmp_path / "ck").rglob("*") if p.is_file() and p.name != "_metadata"]
    assert victims
    for victim in victims:
        whole = victim.read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        for content, error in ((bytes(flipped), CorruptFileError), (whole[:-1], CorruptFileError)):
            victim.write_bytes(content)
            with pytest.raises(error, match=r"damaged|bytes, should have"):
                SavepointReader.read(path).read_keyed_state("uid", "count").read_all()
        victim.unlink()
        with pytest.raises(MissingFileError, match=victim.name):
            SavepointReader.read(path).read_keyed_state("uid", "count").read_all()
        victim.write_bytes(whole)
    assert SavepointReader.read(path).read_keyed_state("uid", "count").read_all().num_rows == 200


def test_a_savepoint_deleted_while_it_is_read_stays_readable(tmp_path):
    import shutil

    path = write_snapshot(tmp_path, "rocksdb", _fill)
    reading = SavepointReader.read(path).read_keyed_state("uid", "count")
    shutil.rmtree(tmp_path / "ck")
    assert reading.read_all().num_rows == 200


def test_an_error_in_the_middle_keeps_its_name(tmp_path, monkeypatch):
    from lesto.state.reader import streams

    monkeypatch.setattr(streams, "KEPT_ROWS", 10)
    path = write_snapshot(tmp_path, "hashmap", _fill, canonical=True, parallelism=4)
    reading = SavepointReader.read(path).read_keyed_state("uid", "count")

    def broken(*_):
        msg = "file x is damaged"
        raise CorruptFileError(msg)

    monkeypatch.setattr(streams, "decode_cells", broken)
    with pytest.raises(CorruptFileError, match="file x is damaged"):
        reading.read_all()


# ------------------------------------------------------------------------------------------ limits


def test_a_limit_reads_no_further(tmp_path):
    path = write_snapshot(tmp_path, "rocksdb", _fill, parallelism=4)
    reader = SavepointReader.read(path)
    for limit in (0, 1, 7, 199, 500):
        table = reader.read_keyed_state("uid", "count", limit=limit).read_all()
        assert table.num_rows == min(limit, 200)


def test_large_state_is_streamed_in_pieces(tmp_path, monkeypatch):
    from lesto.state.reader import local_files, streams

    monkeypatch.setattr(local_files, "PIECE_ROWS", 16)
    monkeypatch.setattr(local_files, "PIECE_BYTES", 2_000)
    monkeypatch.setattr(streams, "KEPT_ROWS", 20)

    def fill(backend):
        state = backend.get_state(ValueStateDescriptor("v"))
        for i in range(300):
            backend.current_key = i
            state.update("x" * (10 if i % 7 else 5_000))

    for kind in ("hashmap", "rocksdb"):
        path = write_snapshot(tmp_path / kind, kind, fill)
        batches = list(SavepointReader.read(path).read_keyed_state("uid", "v"))
        assert max(b.num_rows for b in batches) <= 16
        assert sorted(k for b in batches for k in b["key"].to_pylist()) == list(range(300))
        assert sum(len(v) for b in batches for v in b["value"].to_pylist()) == (
            43 * 5_000 + 257 * 10
        )


# ------------------------------------------------------------------------------------------- types

_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**300), 2**300),
    st.integers(-100, 100),
    st.floats(allow_nan=False),
    st.text(st.characters()),
    st.binary(),
    st.binary().map(bytearray),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.uuids(),
)
_hashable = st.one_of(st.integers(), st.text(max_size=3), st.tuples(st.integers()))
_values = st.recursive(
    _scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(_hashable, inner, max_size=3),
        st.sets(_hashable, max_size=3),
        st.frozensets(_hashable, max_size=3),
        st.lists(inner, max_size=3).map(lambda fields: Row(*fields)),
        st.lists(inner, min_size=2, max_size=2).map(lambda f: Row(name=f[0], age=f[1])),
    ),
    max_leaves=8,
)


def equal(a, b):
    """Equal in type and content; an int among floats may come back as the equal float."""
    if isinstance(a, int | float) and isinstance(b, float) and type(a) is not bool:
        return a == b
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        names = getattr(a, "_fields", None) == getattr(b, "_fields", None)
        return names and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(map(equal, a.values(), b.values()))
    return a == b


@given(st.lists(_values, max_size=6))
def test_any_values_come_back_from_columns_as_they_were(values):
    census = Census()
    for at in range(0, len(values), 2):
        census.add(values[at : at + 2])
    shape = census.shape()
    array = to_array(shape, values)
    array.validate(full=True)
    found = to_values(array, shape.field("v"))
    assert len(found) == len(values)
    assert all(map(equal, values, found)), (values, found, shape.type)
    # Through a file, as users keep tables.
    sink = pa.BufferOutputStream()
    table = pa.table([array], schema=pa.schema([shape.field("v")]))
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write(table)
    again = pa.ipc.open_file(sink.getvalue()).read_all()
    assert all(map(equal, values, to_values(again["v"], again.schema.field("v"))))


def test_numbers_of_one_kind_are_one_column():
    census = Census()
    census.add([0, 0.5, None])
    assert census.shape().type == pa.float64()
    census.add([2**60 + 1])
    assert census.shape().kind == "variant"
    money = Census()
    money.add([Decimal("1.50"), Decimal(12)])
    assert money.shape().type == pa.decimal128(4, 2)
