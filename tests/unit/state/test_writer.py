"""Savepoints made from tables: what is written is what backends restore and readers read."""

import dataclasses
import datetime as dt
import itertools
from decimal import Decimal
from pathlib import Path

import pandas as pd
import polars
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from savepoints import GROUPS, restored, write_snapshot

from lesto.common.identity import operator_uid
from lesto.common.row import Row
from lesto.kernels.keygroups import key_group_range
from lesto.proto.checkpoint_pb2 import OperatorStateList
from lesto.state import metadata_file
from lesto.state.descriptors import (
    ListStateDescriptor,
    MapStateDescriptor,
    ReducingStateDescriptor,
    ValueStateDescriptor,
)
from lesto.state.errors import (
    MissingFileError,
    SavepointWriteError,
    StateNotFoundError,
    UnreadableStateError,
)
from lesto.state.factory import create_backend
from lesto.state.reader import SavepointReader
from lesto.state.reader.columns import to_array, to_values
from lesto.state.reader.shapes import Census
from lesto.state.storage import SnapshotStore
from lesto.state.table import AccumulatorSpec, TableDescriptor
from lesto.state.writer import OperatorBootstrap, SavepointWriter

BACKENDS = ["hashmap", "rocksdb"]
# Polars starts its runtime (threads, event descriptors) once, with the first expression.
polars.DataFrame({"a": [1]}).lazy().with_columns(polars.col("a") + 1).collect()


def handles_of(path, uid="uid"):
    operator = SavepointReader.read(path).operator(uid)
    return [handle for subtask in operator.subtasks for handle in subtask.keyed]


def content(backend, descriptor, namespace=None):
    state = backend.get_state(descriptor)
    state.set_namespace(namespace)
    found = {}
    for key in backend.keys(descriptor.name, namespace):
        backend.current_key = key
        value = state.value() if descriptor.kind == "value" else state.get()
        found[key] = list(value) if descriptor.kind == "list" else value
    return found


def columns(**values):
    arrays, fields = [], []
    for name, found in values.items():
        census = Census()
        census.add(found)
        arrays.append(to_array(census.shape(), found))
        fields.append(census.shape().field(name))
    return pa.table(arrays, schema=pa.schema(fields))


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("parallelism", [1, 3])
def test_every_kind_of_keyed_state_restores(tmp_path, kind, parallelism):
    n = 500
    keys = [f"k{i}" for i in range(n)]
    numbers = pa.table({"key": keys, "value": range(n)})
    lists = pa.table({"key": keys, "value": [[i, i] for i in range(n)]})
    maps = pa.table({"key": keys * 2, "map_key": ["a"] * n + ["b"] * n, "value": range(2 * n)})
    timers = pa.table({"key": keys, "timestamp": range(n)})
    bootstrap = (
        OperatorBootstrap("Counter")
        .value_state("count", numbers)
        .list_state("seen", lists)
        .map_state("carts", maps)
        .reducing_state(ReducingStateDescriptor("most", max), numbers)
        .event_timers(timers)
    )
    path = (
        SavepointWriter.new_savepoint(GROUPS)
        .with_operator("uid", bootstrap)
        .write(str(tmp_path / "sp"))
    )
    found = {name: {} for name in ("count", "seen", "most", "carts", "timers")}
    for index in range(parallelism):
        start, end = key_group_range(GROUPS, parallelism, index)
        backend = restored(
            kind, handles_of(path), SnapshotStore(path), tmp_path / "l", start=start, end=end
        )
        found["count"] |= content(backend, ValueStateDescriptor("count"))
        found["seen"] |= content(backend, ListStateDescriptor("seen"))
        found["most"] |= content(backend, ReducingStateDescriptor("most", max))
        carts = backend.get_state(MapStateDescriptor("carts"))
        for key in backend.keys("carts"):
            backend.current_key = key
            found["carts"][key] = dict(carts.items())
        queue = backend.timers("event")
        found["timers"] |= {key: at for at, key, _ in queue.pop_until(n)}
        backend.close()
    assert found["count"] == found["most"] == found["timers"] == {f"k{i}": i for i in range(n)}
    assert found["seen"] == {f"k{i}": [i, i] for i in range(n)}
    assert found["carts"] == {f"k{i}": {"a": i, "b": n + i} for i in range(n)}


_leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.decimals(allow_nan=False, allow_infinity=False, places=3),
    st.datetimes(),
)
_value = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.tuples(inner, inner),
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.lists(inner, min_size=2, max_size=2).map(lambda f: Row(name=f[0], inner=f[1])),
    ),
    max_leaves=6,
)
_key = st.one_of(
    st.integers(), st.text(max_size=4), st.tuples(st.text(max_size=2), st.integers(0, 3))
)


@settings(max_examples=25, deadline=None)
@given(st.dictionaries(_key, _value.filter(lambda v: v is not None), min_size=1, max_size=5))
def test_values_of_any_type_go_through_table_savepoint_and_backend(tmp_path_factory, wanted):
    folder = tmp_path_factory.mktemp("rt")
    table = columns(key=list(wanted), value=list(wanted.values()))
    again = table
    for n, backend_kind in enumerate(BACKENDS):
        path = (
            SavepointWriter.new_savepoint(GROUPS)
            .with_operator("uid", OperatorBootstrap().value_state("v", again))
            .write(str(folder / f"sp{n}"))
        )
        backend = restored(backend_kind, handles_of(path), SnapshotStore(path), folder / "local")
        found = content(backend, ValueStateDescriptor("v"))
        backend.close()
        assert {repr(k): v for k, v in found.items()} == {repr(k): v for k, v in wanted.items()}
        assert all(_same(found[key], value) for key, value in wanted.items())
        again = SavepointReader.read(path).read_keyed_state("uid", "v").read_all()
    assert to_values(again["key"], again.schema.field("key"))


def _same(a, b):
    if isinstance(a, int | float) and not isinstance(a, bool):
        return a == b  # an int among floats is the equal float
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    return a == b


@pytest.mark.parametrize("kind", BACKENDS)
def test_state_tables(tmp_path, kind):
    specs = (AccumulatorSpec("sum_0", "sum", "float64"), AccumulatorSpec("count_1", "count"))
    schema = pa.schema([("user", pa.string()), ("day", pa.date32())])
    day = dt.date(2026, 1, 2)
    data = pd.DataFrame({"user": ["a", "b", None], "day": [day] * 3, "sum_0": [1.5, None, 2.5]})
    data["count_1"] = [1, 2, 3]
    path = (
        SavepointWriter.new_savepoint(GROUPS)
        .with_operator(
            "uid", OperatorBootstrap().state_table("running_aggregate", data, keys=["user", "day"])
        )
        .write(str(tmp_path / "sp"))
    )
    backend = restored(kind, handles_of(path), SnapshotStore(path), tmp_path / "local")
    table = backend.table(TableDescriptor("running_aggregate", schema, specs))
    slots = table.live_slots()
    assert sorted(map(str, table.keys(slots)[0].to_pylist())) == ["None", "a", "b"]
    sums = table.accumulator("sum_0")
    assert sorted(zip(sums.seen[slots], sums.values[slots], strict=True)) == [
        (0, 0),
        (1, 1.5),
        (1, 2.5),
    ]
    assert sorted(table.accumulator("count_1").values[slots]) == [1, 2, 3]
    backend.close()
    read = SavepointReader.read(path).read_keyed_state("uid", "running_aggregate").read_all()
    assert read.schema.names == ["user", "day", "sum_0", "count_1"]
    assert {r["user"]: r["sum_0"] for r in read.to_pylist()} == {"a": 1.5, "b": None, None: 2.5}


def test_window_tables_go_round(tmp_path):
    specs = (AccumulatorSpec("count_0", "count"),)
    schema = pa.schema([("count_0", pa.int64())])  # a key with an accumulator's name
    descriptor = TableDescriptor("window_aggregate", schema, specs, True, 100)

    def fill(backend):
        table = backend.table(descriptor)
        slots, _ = table.upsert([pa.array([1, 2])], pa.array([0, 100]).to_numpy())
        table.accumulator("count_0").values[slots] = [7, 8]

    reader = SavepointReader.read(write_snapshot(tmp_path, "rocksdb", fill))
    read = reader.read_window_state("uid").read_all().sort_by("window_start")
    assert read.to_pydict() == {
        "key.count_0": [1, 2],
        "window_start": [0, 100],
        "window_end": [100, 200],
        "count_0": [7, 8],
    }
    path = (
        SavepointWriter.new_savepoint(GROUPS)
        .with_operator("uid", OperatorBootstrap().state_table("window_aggregate", read))
        .write(str(tmp_path / "sp"))
    )
    again = SavepointReader.read(path).read_window_state("uid").read_all()
    assert again.sort_by("window_start") == read
    backend = restored("hashmap", handles_of(path), SnapshotStore(path), tmp_path / "local")
    assert len(backend.table(descriptor)) == 2  # fits what the job declares
    backend.close()


@dataclasses.dataclass
class Order:
    item: str


def _fill(backend):
    count = backend.get_state(ValueStateDescriptor("count"))
    rich = backend.get_state(MapStateDescriptor("rich"))
    timers = backend.timers("event")
    for i in range(100):
        backend.current_key = i
        count.update(i)
        rich.put("order", Order(f"pen{i}"))
        rich.put("tuple", (i, [i], {"a": None}))
        timers.register(i, i)


@pytest.mark.parametrize("kind", BACKENDS)
@pytest.mark.parametrize("target", BACKENDS)
@pytest.mark.parametrize("how", ["arrow", "pandas", "polars"])
def test_a_changed_savepoint_keeps_what_was_not_named(tmp_path, kind, target, how):
    lists = [OperatorStateList(name="splits", items=[b"s"])]
    old = write_snapshot(tmp_path, kind, _fill, parallelism=2, lists=lists)
    table = SavepointReader.read(old).read_keyed_state("uid", "count").read_all()
    if how == "arrow":
        values = pa.compute.add(table["value"], 1_000)
        changed = table.set_column(1, table.schema.field("value"), values)
    elif how == "pandas":
        changed = table.to_pandas()
        changed["value"] += 1_000
    else:
        changed = polars.from_arrow(table).with_columns(polars.col("value") + 1_000)
    path = (
        SavepointWriter.from_existing_savepoint(old)
        .change_operator("uid", OperatorBootstrap().value_state("count", changed))
        .write(str(tmp_path / "sp"))
    )
    reader = SavepointReader.read(path)
    assert reader.read_list_state("uid", "splits")["value"].to_pylist() == [b"s"]
    store = SnapshotStore(path)
    found, orders, timers = {}, {}, 0
    for index in range(3):
        start, end = key_group_range(GROUPS, 3, index)
        backend = restored(
            target, handles_of(path), store, tmp_path / "local", start=start, end=end
        )
        found |= content(backend, ValueStateDescriptor("count"))
        rich = backend.get_state(MapStateDescriptor("rich"))
        for key in backend.keys("rich"):
            backend.current_key = key
            orders[key] = dict(rich.items())
        timers += len(backend.timers("event"))
        backend.close()
    assert found == {i: i + 1_000 for i in range(100)}
    assert orders == {
        i: {"order": Order(f"pen{i}"), "tuple": (i, [i], {"a": None})} for i in range(100)
    }
    assert timers == 100


def test_pickles_and_tuples_survive_an_edit_without_being_loaded(tmp_path):
    old = write_snapshot(tmp_path, "hashmap", _fill)
    reading = SavepointReader.read(old).read_keyed_state("uid", "rich").read_all()
    some = reading.filter(pa.compute.less(reading["key"], 10))
    path = (
        SavepointWriter.from_existing_savepoint(old)
        .change_operator("uid", OperatorBootstrap().map_state("rich", some))
        .write(str(tmp_path / "sp"))
    )
    backend = restored("hashmap", handles_of(path), SnapshotStore(path), tmp_path / "local")
    rich = backend.get_state(MapStateDescriptor("rich"))
    assert sorted(backend.keys("rich")) == list(range(10))
    backend.current_key = 7
    assert dict(rich.items()) == {"order": Order("pen7"), "tuple": (7, [7], {"a": None})}
    backend.close()


def test_a_table_read_with_pickles_loaded_is_refused(tmp_path):
    old = write_snapshot(tmp_path, "hashmap", _fill)
    flat = SavepointReader.read(old, allow_pickle=True).read_keyed_state("uid", "rich").read_all()
    writer = SavepointWriter.from_existing_savepoint(old).change_operator(
        "uid", OperatorBootstrap().map_state("rich", flat)
    )
    with pytest.raises(SavepointWriteError, match="read with allow_pickle"):
        writer.write(str(tmp_path / "sp"))
    assert not (tmp_path / "sp").exists()


def test_operators_are_added_removed_and_renamed(tmp_path):
    old = write_snapshot(tmp_path, "rocksdb", _fill)
    data = pa.table({"key": ["a"], "value": [1]})
    path = (
        SavepointWriter.from_existing_savepoint(old)
        .with_operator("new", OperatorBootstrap("New").value_state("v", data))
        .change_operator_identifier("Counter", "other")
        .write(str(tmp_path / "sp"))
    )
    reader = SavepointReader.read(path)
    assert [op.uid for op in reader.operators()] == ["other", "new"]
    assert reader.operator("other").uid == operator_uid("other")
    assert reader.read_keyed_state("other", "count").read_all().num_rows == 100
    path = (
        SavepointWriter.from_existing_savepoint(path)
        .remove_operator("other")
        .change_operator(
            "new", OperatorBootstrap().remove_state("v").list_operator_state("l", [b"x"])
        )
        .write(str(tmp_path / "sp2"))
    )
    reader = SavepointReader.read(path)
    (left,) = reader.operators()
    assert [(s.name, s.kind, s.items) for s in left.states] == [("l", "operator-list", 1)]


def test_mistakes_are_named_and_nothing_is_left(tmp_path):
    data = pa.table({"key": ["a", "b"], "value": [1, 2]})
    target = str(tmp_path / "sp")

    def write(bootstrap):
        return SavepointWriter.new_savepoint().with_operator("u", bootstrap).write(target)

    cases = [
        (OperatorBootstrap().value_state("v", data, key="kye"), r"no column 'kye' \(did you mean"),
        (OperatorBootstrap().list_state("v", data), "column of lists"),
        (OperatorBootstrap().state_table("t", data), "which columns are the key"),
        (OperatorBootstrap().state_table("t", data, keys=["key"]), "column 'value' accumulate"),
        (
            OperatorBootstrap().value_state("v", pa.table({"key": [1], "value": [None]})),
            "key 1 has no value",
        ),
        (
            OperatorBootstrap().value_state("v", pa.concat_tables([data, data])),
            "more than once",
        ),
        (OperatorBootstrap().value_state("v", {"key": 1}), "not from a dict"),
        (
            OperatorBootstrap().value_state("v", columns(key=[{1: 2}], value=[1])),
            "cannot hash|cannot be written",
        ),
    ]
    for bootstrap, message in cases:
        with pytest.raises(SavepointWriteError, match=message):
            write(bootstrap)
        assert not (tmp_path / "sp").exists()
    with pytest.raises(SavepointWriteError, match="given twice"):
        OperatorBootstrap().value_state("v", data).value_state("v", data)
    good = OperatorBootstrap().value_state("v", data)
    path = write(good)
    with pytest.raises(SavepointWriteError, match="a savepoint already"):
        write(good)
    writer = SavepointWriter.from_existing_savepoint(path)
    with pytest.raises(SavepointWriteError, match="operator 'u' already"):
        writer.with_operator("u", good)
    with pytest.raises(StateNotFoundError, match="no operator"):
        writer.remove_operator("x")
    with pytest.raises(SavepointWriteError, match="key groups"):
        writer.change_operator("u", OperatorBootstrap(max_parallelism=3))
    with pytest.raises(SavepointWriteError, match=r"no state 'vv' \(did you mean 'v'"):
        SavepointWriter.from_existing_savepoint(path).change_operator(
            "u", OperatorBootstrap().remove_state("vv")
        ).write(str(tmp_path / "sp3"))
    with pytest.raises(SavepointWriteError, match="named as checkpoints"):
        SavepointWriter.new_savepoint().write(str(tmp_path / "chk-3"))
    with pytest.raises(SavepointWriteError, match="max parallelism"):
        SavepointWriter.new_savepoint(0)


def test_a_key_twice_in_different_runs_is_found(tmp_path, monkeypatch):
    from lesto.state.writer import keyed_files

    monkeypatch.setattr(keyed_files, "RUN_ROWS", 10)
    keys = [*range(100), 3]
    data = pa.Table.from_batches(pa.table({"key": keys, "value": keys}).to_batches(max_chunksize=5))
    with pytest.raises(SavepointWriteError, match="more than once"):
        SavepointWriter.new_savepoint().with_operator(
            "u", OperatorBootstrap().value_state("v", data)
        ).write(str(tmp_path / "sp"))


def test_large_state_is_split_into_files_of_whole_key_groups(tmp_path, monkeypatch):
    from lesto.state.writer import keyed_files

    monkeypatch.setattr(keyed_files, "FILE_BYTES", 4_000)
    monkeypatch.setattr(keyed_files, "RUN_ROWS", 100)
    n = 3_000
    data = pa.table({"key": range(n), "value": [Decimal(i) for i in range(n)]})
    path = (
        SavepointWriter.new_savepoint(GROUPS)
        .with_operator("uid", OperatorBootstrap().value_state("v", data))
        .write(str(tmp_path / "sp"))
    )
    handles = handles_of(path)
    assert len(handles) > 5
    ranges = [(h.key_group_start, h.key_group_end) for h in handles]
    assert ranges[0][0] == 0
    assert ranges[-1][1] == GROUPS - 1
    assert all(a[1] + 1 == b[0] for a, b in itertools.pairwise(ranges))
    backend = restored("rocksdb", handles, SnapshotStore(path), tmp_path / "local")
    assert content(backend, ValueStateDescriptor("v")) == {i: Decimal(i) for i in range(n)}
    backend.close()


def test_a_damaged_original_leaves_nothing(tmp_path):
    old = write_snapshot(tmp_path, "hashmap", _fill)
    next((tmp_path / "ck").rglob("*.arrow")).unlink()
    with pytest.raises(MissingFileError):
        SavepointWriter.from_existing_savepoint(old).write(str(tmp_path / "sp"))
    assert not (tmp_path / "sp").exists()


def test_a_column_that_is_not_what_it_says(tmp_path):
    field = pa.field("value", pa.binary(), metadata={b"lesto.python": b"encoded"})
    data = pa.table(
        [pa.array([1]), pa.array([b"\xc1"])], schema=pa.schema([("key", pa.int64()), field])
    )
    with pytest.raises((UnreadableStateError, SavepointWriteError), match=r"value|decoded"):
        SavepointWriter.new_savepoint().with_operator(
            "u", OperatorBootstrap().value_state("v", data)
        ).write(str(tmp_path / "sp"))


@pytest.mark.parametrize("kind", BACKENDS)
def test_states_without_rows_and_operators_without_state(tmp_path, kind):
    none = pa.table({"key": pa.array([], pa.string()), "value": pa.array([], pa.int64())})
    path = (
        SavepointWriter.new_savepoint(GROUPS)
        .with_operator("uid", OperatorBootstrap().value_state("v", none))
        .with_operator("bare", OperatorBootstrap())
        .write(str(tmp_path / "sp"))
    )
    backend = restored(kind, handles_of(path), SnapshotStore(path), tmp_path / "local")
    assert content(backend, ValueStateDescriptor("v")) == {}
    backend.close()
    reader = SavepointReader.read(path)
    assert reader.states("bare") == ()
    assert reader.read_keyed_state("uid", "v").read_all().num_rows == 0


def test_texts_of_other_libraries_are_the_texts_of_jobs(tmp_path):
    """Polars has large lists and views of strings; a job's key is a string."""
    frame = polars.DataFrame({"k": ["ü", "b"], "sum_0": [1, 2], "tags": [["x"], []], "r": [1, 2]})
    frame = frame.with_columns(polars.struct("k", "sum_0").alias("pair"))
    bootstrap = (
        OperatorBootstrap()
        .state_table("running_aggregate", frame.select("k", "sum_0"), keys=["k"])
        .state_table("categories", frame.select(polars.col("k").cast(polars.Categorical), "sum_0"),
                     keys=["k"])
        .list_state("tags", frame, key="k", value="tags")
        .value_state("pair", frame, key=["k", "r"], value="pair")
        .value_state("category", frame.with_columns(c=polars.col("k").cast(polars.Categorical)),
                     key="c", value="sum_0")
    )  # fmt: skip
    path = (
        SavepointWriter.new_savepoint(GROUPS)
        .with_operator("uid", bootstrap)
        .write(str(tmp_path / "sp"))
    )
    backend = restored("rocksdb", handles_of(path), SnapshotStore(path), tmp_path / "local")
    schema = pa.schema([("k", pa.string())])
    table = backend.table(
        TableDescriptor("running_aggregate", schema, (AccumulatorSpec("sum_0", "sum"),))
    )
    assert len(table) == 2
    assert content(backend, ListStateDescriptor("tags")) == {"ü": ["x"]}
    assert content(backend, ValueStateDescriptor("pair")) == {
        ("ü", 1): Row(k="ü", sum_0=1),
        ("b", 2): Row(k="b", sum_0=2),
    }
    assert content(backend, ValueStateDescriptor("category")) == {"ü": 1, "b": 2}
    backend.close()


def test_mixed_objects_of_pandas_are_refused(tmp_path):
    frame = pd.DataFrame({"key": ["a", "b"], "value": pd.Series([1, "x"], dtype="object")})
    with pytest.raises(SavepointWriteError, match="does not fit in Arrow"):
        SavepointWriter.new_savepoint().with_operator(
            "u", OperatorBootstrap().value_state("v", frame)
        ).write(str(tmp_path / "sp"))


def test_a_checkpoint_with_data_under_way_is_refused(tmp_path):
    path = write_snapshot(tmp_path, "hashmap", _fill)
    metadata, directory, _ = metadata_file.locate(path)
    metadata.in_flight.add(edge_id="e", length_bytes=1)
    (Path(directory) / "_metadata").write_bytes(metadata_file.encode(metadata))
    with pytest.raises(SavepointWriteError, match="data under way"):
        SavepointWriter.from_existing_savepoint(path)
    assert SavepointReader.read(path).read_keyed_state("uid", "count").read_all().num_rows == 100


def test_many_key_groups_with_nothing_in_them(tmp_path):
    data = pa.table({"key": [1], "value": [1]})
    path = (
        SavepointWriter.new_savepoint(32_768)
        .with_operator("uid", OperatorBootstrap().value_state("v", data))
        .write(str(tmp_path / "sp"))
    )
    backend = create_backend(
        "rocksdb",
        key_group_start=0,
        key_group_end=32_767,
        max_parallelism=32_768,
        local_dir=tmp_path / "local",
    )
    backend.restore(handles_of(path), SnapshotStore(path))
    assert content(backend, ValueStateDescriptor("v")) == {1: 1}
    backend.close()
    assert SavepointReader.read(path).read_state("uid").read_all().to_pylist() == data.to_pylist()
