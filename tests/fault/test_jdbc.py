"""The database sink against a real PostgreSQL."""

import pytest

from lesto.common import Types
from lesto.common.clock import VirtualClock
from lesto.common.elements import RowBatch
from lesto.connectors.errors import DatabaseRefusedError
from lesto.connectors.jdbc import JdbcConnectionOptions, JdbcSink
from tests.fault import postgres
from tests.unit.connectors.contexts import WriterContext

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
