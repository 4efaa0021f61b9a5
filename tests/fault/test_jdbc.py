"""The database sink against a real PostgreSQL."""

import datetime as dt
import decimal
import time

import numpy as np
import pyarrow as pa
import pytest

from lesto.common import Types
from lesto.common.clock import VirtualClock
from lesto.common.elements import ColumnarBatch, RowBatch, RowKind
from lesto.common.source import EndOfSplits, SourceBatch
from lesto.connectors.errors import DatabaseRefusedError
from lesto.connectors.jdbc import JdbcConnectionOptions, JdbcSink
from lesto.connectors.tables import factory as f
from tests.fault import postgres
from tests.unit.connectors.contexts import ReaderContext, WriterContext, all_splits
from tests.unit.connectors.table_helpers import fields, scan, sink

UPSERT = "insert into t values (?, ?) on conflict (id) do update set v = excluded.v -- 100 % ?"


@pytest.fixture
def database():
    if why := postgres.missing():
        pytest.skip(why)
    with postgres.server() as place:
        yield place


def writer(place, sql):
    import psycopg

    login = psycopg.conninfo.conninfo_to_dict(place)
    url = f"jdbc:postgresql://{login['host']}:{login['port']}/{login['dbname']}"
    options = JdbcConnectionOptions(url, None, login.get("user"), login.get("password"))
    context = WriterContext()
    context.clock = VirtualClock()
    row = Types.ROW_NAMED(["id", "v"], [Types.LONG(), Types.STRING()])
    return JdbcSink.sink(sql, row, options).create_writer(context)


def test_upserts_into_postgresql(database):
    import psycopg

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create table t (id bigint primary key, v text)")
        for _ in range(2):  # as after a failure
            made = writer(database, UPSERT)
            made.write(RowBatch([(1, "a"), (2, "50%?"), (1, "c")]))
            made.prepare_commit(1)
            made.close()
        found = connection.execute("select id, v from t order by id").fetchall()
        assert found == [(1, "c"), (2, "50%?")]
        made = writer(database, "insert into t values (?, ?)")
        made.write(RowBatch([(1, "again")]))
        with pytest.raises(DatabaseRefusedError, match="duplicate key"):
            made.prepare_commit(1)
        made.close()


TABLE = """id INT; name STRING; price DECIMAL(10, 2); ok BOOLEAN; at TIMESTAMP(6); day DATE
z TIMESTAMP_LTZ(3); b BYTES; tags ARRAY<STRING>; d DOUBLE"""
CREATE = """create table s.t (id int primary key, name text, price numeric(10, 2), ok boolean,
    at timestamp, day date, z timestamptz, b bytea, tags text[], d double precision)"""


def drained(source):
    reader = source.create_reader(ReaderContext(batch_rows=7))
    reader.add_splits(all_splits(source))
    reader.notify_no_more_splits()
    rows, deadline = [], time.monotonic() + 20
    while (result := reader.poll()) is not EndOfSplits.END and time.monotonic() < deadline:
        if isinstance(result, SourceBatch):
            rows += result.batch.data.to_pylist()
        else:
            time.sleep(0.001)
    reader.close()
    return rows


def test_a_table_is_written_read_and_looked_up(database):
    import psycopg

    login = psycopg.conninfo.conninfo_to_dict(database)
    options = {
        "connector": "jdbc",
        "url": f"jdbc:postgresql://{login['host']}:{login['port']}/{login['dbname']}",
        "username": login["user"],
        "table-name": "s.t",
        "scan.partition.column": "id",
        "scan.partition.num": "2",
        "scan.partition.lower-bound": "0",
        "scan.partition.upper-bound": "99",
    }
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("create schema s")
        connection.execute(CREATE)
    schema = scan(options, TABLE).source.schema
    now = dt.datetime(2026, 1, 2, 3, 4, 5, 678000)  # noqa: DTZ001 - a TIMESTAMP has no zone
    rows = [
        {
            **dict.fromkeys(schema.names),
            **{"id": i, "name": f"50%? {i}", "price": decimal.Decimal("1.50"), "ok": True},
            **{"at": now, "day": now.date(), "z": now.replace(tzinfo=dt.UTC), "b": b"\0x"},
            **{"tags": ["a", None], "d": 0.1},
        }
        for i in range(30)
    ] + [{**dict.fromkeys(schema.names), "id": 99}]
    writer = sink(options, TABLE, ["id"]).sink.create_writer(WriterContext())
    for _ in range(2):  # as after a failure
        writer.write(ColumnarBatch(pa.RecordBatch.from_pylist(rows, schema)))
        writer.prepare_commit(1)
    gone = pa.RecordBatch.from_pylist(rows[:1], schema)
    writer.write(ColumnarBatch(gone, None, np.array([RowKind.DELETE], np.int8)))
    writer.prepare_commit(2)
    writer.close()
    source = scan(options, TABLE, primary_key=("id",)).source
    assert sorted(drained(source), key=lambda r: r["id"]) == rows[1:]
    columns = fields(TABLE)
    request = f.LookupRequest(options, columns, (0, 1), (5, 2))
    lookup = f.lookup("jdbc", request).function
    lookup.open()
    keys = [pa.array([3, 3, 5], pa.int32()), pa.array(["50%? 3", "x", "50%? 5"])]
    numbers, found = lookup.lookup(pa.RecordBatch.from_arrays(keys, names=["p", "q"]))
    lookup.close()
    assert numbers.tolist() == [0, 2]
    assert found.to_pylist() == [{"day": now.date(), "price": decimal.Decimal("1.50")}] * 2
