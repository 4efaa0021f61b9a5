"""The database sink, on SQLite; its PostgreSQL statements."""

import sqlite3

import pyarrow as pa
import pytest

from lesto.common import Row, Types
from lesto.common.clock import VirtualClock
from lesto.common.elements import ColumnarBatch, RowBatch
from lesto.connectors.errors import ConnectorConfigError, DatabaseError, DatabaseRefusedError
from lesto.connectors.jdbc import JdbcConnectionOptions, JdbcExecutionOptions, JdbcSink
from lesto.connectors.jdbc import sink as sink_module
from lesto.connectors.jdbc.drivers import driver_of
from tests.unit.connectors.contexts import WriterContext

UPSERT = "insert into t values (?, ?) on conflict (id) do update set v = excluded.v"
ROW = Types.ROW_NAMED(["id", "v"], [Types.LONG(), Types.STRING()])


@pytest.fixture
def path(tmp_path):
    with sqlite3.connect(tmp_path / "t.db") as connection:
        connection.execute("create table t (id integer primary key, v text)")
    connection.close()
    return tmp_path / "t.db"


def rows_of(path):
    connection = sqlite3.connect(path)
    found = connection.execute("select id, v from t order by id").fetchall()
    connection.close()
    return found


def writer(path, sql=UPSERT, type_info=ROW, **execution):
    options = (
        JdbcConnectionOptions.JdbcConnectionOptionsBuilder().with_url(f"jdbc:sqlite:{path}").build()
    )
    execution = JdbcExecutionOptions(**execution) if execution else None
    context = WriterContext()
    context.clock = VirtualClock()
    return JdbcSink.sink(sql, type_info, options, execution).create_writer(context)


@pytest.mark.parametrize(
    "batch",
    [
        RowBatch([(1, "a"), (2, "b")]),
        RowBatch([Row(v="a", id=1), Row(2, "b")]),
        ColumnarBatch(pa.RecordBatch.from_pydict({"id": [1, 2], "v": ["a", "b"]})),
    ],
)
def test_records_are_there_at_a_checkpoint(path, batch):
    made = writer(path)
    made.write(batch)
    assert rows_of(path) == []
    assert made.prepare_commit(1) == ()
    assert rows_of(path) == [(1, "a"), (2, "b")]
    made.close()


def test_a_repeated_upsert_changes_nothing(path):
    for _ in range(2):
        made = writer(path)
        made.write(RowBatch([(1, "a"), (1, "c")]))
        made.prepare_commit(1)
        made.close()
    assert rows_of(path) == [(1, "c")]


def test_full_batches_are_written_at_once_and_the_rest_later(path):
    made = writer(path, batch_size=2)
    made.write(RowBatch([(i, str(i)) for i in range(5)]))
    assert [r[0] for r in rows_of(path)] == [0, 1, 2, 3]
    made.flush()
    assert len(rows_of(path)) == 5
    made.write(RowBatch([(9, "lost")]))
    made.close()
    assert len(rows_of(path)) == 5


def test_what_the_database_refuses_is_the_users(path):
    made = writer(path, "insert into t values (?, ?)")
    made.write(RowBatch([(1, "a"), (1, "b")]))
    with pytest.raises(DatabaseRefusedError, match="UNIQUE constraint failed"):
        made.prepare_commit(1)
    made.close()
    made = writer(path, type_info=None)
    with pytest.raises(DatabaseRefusedError, match="has 1 fields, the statement 2 parameters"):
        made.write(RowBatch(["alone"]))
    made.close()


def test_a_database_that_is_away_is_tried_again(path, monkeypatch):
    pauses = []
    monkeypatch.setattr(sink_module.time, "sleep", pauses.append)
    made = writer(path.parent / "no" / "folder.db", max_retries=2)
    made.write(RowBatch([(1, "a")]))
    with pytest.raises(DatabaseError, match="unable to open"):
        made.prepare_commit(1)
    assert pauses == [0.1, 0.2]
    made.close()


def test_parameters_and_fields_are_counted_when_the_job_is_built(path):
    with pytest.raises(ConnectorConfigError, match="3 parameters, the records have 2 fields"):
        writer(path, "insert into t values (?, ?, ?)")


@pytest.mark.parametrize("url", ["jdbc:mysql://host/db", "postgres", "jdbc:sqlite:"])
def test_an_unknown_database_is_named(url):
    with pytest.raises(ConnectorConfigError, match="no driver for the database"):
        driver_of(JdbcConnectionOptions(url))


def test_postgresql_is_told_who_logs_in_and_has_its_own_parameters():
    driver = driver_of(JdbcConnectionOptions("jdbc:postgresql://h:1/db", None, "ada", "secret"))
    assert (driver.place, driver.user, driver.password) == ("postgresql://h:1/db", "ada", "secret")
    assert driver.statement("insert into t values (?, '100%?') -- ?") == (
        "insert into t values (%s, '100%%?') -- ?"
    )
    assert "secret" not in repr(JdbcConnectionOptions("u", None, "ada", "secret"))
