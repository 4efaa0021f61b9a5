"""Tables of databases, on SQLite and where there is one on PostgreSQL."""

import datetime as dt
import decimal
import pickle
import sqlite3
import time

import numpy as np
import pyarrow as pa
import pytest

from lesto.common.elements import ColumnarBatch
from lesto.common.source import EndOfSplits, SourceBatch
from lesto.connectors.errors import (
    ConnectorConfigError,
    DatabaseError,
    DatabaseRefusedError,
    InvalidTableOptionError,
    MissingTableOptionError,
)
from lesto.connectors.tables import factory as f
from tests.unit.connectors.contexts import ReaderContext, WriterContext, all_splits
from tests.unit.connectors.table_helpers import fields, scan, sink

COLUMNS = "id INT; name STRING; price DECIMAL(10, 2); ok BOOLEAN; t TIMESTAMP(3); d DATE; b BYTES"
ROW = (1, "a", "1.50", 1, "2026-01-02 03:04:05.678", "2026-01-02", b"x")


@pytest.fixture
def path(tmp_path):
    with sqlite3.connect(tmp_path / "t.db") as c:
        c.execute(
            'create table "t" (id integer primary key, name text, price numeric, ok integer,'
            " t text, d text, b blob)"
        )
    c.close()
    return tmp_path / "t.db"


def options(path, **more):
    return {"connector": "jdbc", "url": f"jdbc:sqlite:{path}", "table-name": "t", **more}


def fill(path, rows):
    with sqlite3.connect(path) as c:
        c.executemany("insert into t values (?, ?, ?, ?, ?, ?, ?)", rows)
    c.close()


def contents(path, columns="id, name"):
    c = sqlite3.connect(path)
    found = c.execute(f"select {columns} from t order by id").fetchall()
    c.close()
    return found


def drained(source, splits, steps=None):
    reader = source.create_reader(ReaderContext(batch_rows=7))
    reader.add_splits(splits)
    reader.notify_no_more_splits()
    rows, deadline, taken = [], time.monotonic() + 10, 0
    while time.monotonic() < deadline and (steps is None or taken < steps):
        result = reader.poll()
        if result is EndOfSplits.END:
            break
        if isinstance(result, SourceBatch):
            rows += result.batch.data.to_pylist()
            taken += 1
        else:
            time.sleep(0.001)
    reader.close()
    return rows, reader


def test_types_of_values(path):
    fill(path, [ROW, (2, *[None] * 6)])
    plan = scan(options(path), COLUMNS, primary_key=("id",))
    rows, _ = drained(plan.source, all_splits(plan.source))
    assert rows[0] == {
        "id": 1,
        "name": "a",
        "price": decimal.Decimal("1.50"),
        "ok": True,
        "t": dt.datetime.fromisoformat("2026-01-02T03:04:05.678"),
        "d": dt.date(2026, 1, 2),
        "b": b"x",
    }
    assert set(rows[1].values()) == {2, None}


def test_parts_by_a_column_and_a_restore_in_the_middle(path):
    fill(path, [(i, str(i), *[None] * 5) for i in range(100)])
    more = {
        "scan.partition.column": "id",
        "scan.partition.num": "3",
        "scan.partition.lower-bound": "10",
        "scan.partition.upper-bound": "89",
    }
    source = pickle.loads(pickle.dumps(scan(options(path, **more), COLUMNS, ["name"]).source))
    splits = all_splits(source)
    assert [s.values for s in splits] == [(10, 35), (36, 62), (63, 89)]
    whole = sorted(str(i) for i in range(10, 90))
    for steps in (0, 1, 5, 9):
        first, reader = drained(source, splits, steps)
        left = [
            source.deserialize_split(source.serialize_split(s)) for s in reader.snapshot_state(1)
        ]
        rest, _ = drained(source, left)
        assert sorted(r["name"] for r in first + rest) == whole


def test_a_table_that_there_is_not(path):
    plan = scan(options(path, **{"table-name": "missing"}), COLUMNS)
    with pytest.raises(DatabaseError, match="no such table"):
        drained(plan.source, all_splits(plan.source))


def test_a_value_of_another_type(path):
    fill(path, [(1, "x", *[None] * 5)])
    plan = scan(options(path), "id INT; name INT")
    with pytest.raises(DatabaseRefusedError, match=r"column 'name' is no INT: 'x'"):
        drained(plan.source, all_splits(plan.source))


def batch(ids, names, kinds=None):
    data = pa.record_batch([pa.array(ids, pa.int32()), pa.array(names)], names=["p", "q"])
    return ColumnarBatch(data, None, None if kinds is None else np.array(kinds, np.int8))


def test_changes_by_key(path):
    made = sink(options(path), "id INT; name STRING", ["id"]).sink
    writer = made.create_writer(WriterContext())
    writer.write(batch([1, 2, 3], ["a", "b", "c"]))
    assert contents(path) == []
    writer.prepare_commit(1)
    writer.write(batch([1, 1, 2, 3, 3], ["a", "z", "b", "c", "y"], [1, 2, 3, 3, 0]))
    writer.prepare_commit(2)
    assert contents(path) == [(1, "z"), (3, "y")]
    writer.write(batch([1, 3], ["z", "y"], [0, 0]))  # again, as after a failure
    writer.prepare_commit(3)
    writer.close()
    assert contents(path) == [(1, "z"), (3, "y")]


def test_enough_rows_and_old_ones_are_written(path):
    made = sink(options(path, **{"sink.buffer-flush.max-rows": "2"}), "id INT; name STRING").sink
    context = WriterContext()
    writer = made.create_writer(context)
    writer.write(batch([1, 2], ["a", "b"]))
    assert len(contents(path)) == 2
    writer.write(batch([3], ["c"]))
    assert len(contents(path)) == 2
    context.clock.advance(1_500)
    writer.write(batch([], []))
    assert len(contents(path)) == 3
    writer.write(batch([3], ["c"]))
    with pytest.raises(DatabaseRefusedError, match="UNIQUE"):
        writer.prepare_commit(1)
    writer.close()


def test_times_and_decimals_are_written_and_read(path):
    made = sink(options(path), COLUMNS, ["id"]).sink
    writer = made.create_writer(WriterContext())
    plan = scan(options(path), COLUMNS)
    fill(path, [ROW])
    (row,), _ = drained(plan.source, all_splits(plan.source))
    data = pa.RecordBatch.from_pylist([{**row, "id": 9}], plan.source.schema)
    writer.write(ColumnarBatch(data))
    writer.prepare_commit(1)
    writer.close()
    assert drained(plan.source, all_splits(plan.source))[0][1] == {**row, "id": 9}


@pytest.mark.parametrize("keys", [["id"], ["id", "name"]])
def test_rows_are_looked_up(path, keys):
    fill(path, [(i, "ab"[i % 2], *[None] * 5) for i in range(50)])
    columns = fields(COLUMNS)
    names = [c.name for c in columns]
    request = f.LookupRequest(options(path), columns, tuple(map(names.index, keys)), (1, 0))
    found = pickle.loads(pickle.dumps(f.lookup("jdbc", request).function))
    found.open()
    wanted = {"id": pa.array([3, 99, 4, 3], pa.int32()), "name": ["b", "b", "b", "b"]}
    numbers, rows = found.lookup(pa.record_batch({k: wanted[k] for k in keys}))
    found.close()
    expected = [(0, 3), (2, 4), (3, 3)] if keys == ["id"] else [(0, 3), (3, 3)]
    assert list(zip(numbers.tolist(), rows.column(1).to_pylist(), strict=True)) == expected
    assert rows.schema.names == ["name", "id"]


def test_what_a_lookup_keeps(path):
    request = f.LookupRequest(options(path), fields(COLUMNS), (0,), (1,))
    assert f.lookup("jdbc", request).options == {}
    more = {
        "lookup.cache": "partial",
        "lookup.partial-cache.max-rows": "10",
        "lookup.cache.ttl": "1 s",
    }
    request = f.LookupRequest(options(path, **more), fields(COLUMNS), (0,), (1,))
    assert f.lookup("jdbc", request).options == {
        "lookup.cache": "PARTIAL",
        "lookup.partial-cache.max-rows": 10,
        "lookup.partial-cache.cache-missing-key": True,
        "lookup.partial-cache.expire-after-write": 1000,
        "lookup.partial-cache.expire-after-access": None,
    }


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"url": None}, MissingTableOptionError, "needs the option 'url'"),
        ({"url": "jdbc:mysql://h/d"}, ConnectorConfigError, "no driver for the database"),
        ({"table-name": None}, MissingTableOptionError, "needs the option 'table-name'"),
        ({"scan.partition.num": "3"}, MissingTableOptionError, "scan.partition.column"),
        ({"password": "secret"}, InvalidTableOptionError, r"cannot be \*{6}: there is no username"),
        ({"lookup.cache": "FULL"}, InvalidTableOptionError, "lookup.cache"),
        (
            {
                "scan.partition.column": "name",
                "scan.partition.num": "2",
                "scan.partition.lower-bound": "1",
                "scan.partition.upper-bound": "2",
            },
            InvalidTableOptionError,
            "it is no integer column",
        ),
    ],
)
def test_options_that_are_wrong(change, error, message):
    given = {k: v for k, v in {**options("x"), **change}.items() if v is not None}
    with pytest.raises(error, match=message):
        f.check_options(given, table="t", columns=fields(COLUMNS))


def test_columns_that_databases_do_not_have():
    with pytest.raises(ConnectorConfigError, match="databases have no MAP"):
        f.check_options(options("x"), table="t", columns=fields("m MAP<STRING, INT>"))
