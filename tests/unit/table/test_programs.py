"""Programs of tables on an embedded cluster: queries, functions of users, streams both ways."""

# ruff: noqa: DTZ001 - a TIMESTAMP has no zone

import datetime as dt

import pyarrow as pa
import pytest

from lesto.client.errors import JobExecutionError
from lesto.common import Row, RowKind, Types
from lesto.common.watermarks import TimestampAssigner, WatermarkStrategy
from lesto.datastream import StreamExecutionEnvironment
from lesto.table import (
    AggregateFunction,
    ChangelogMode,
    DataTypes,
    EnvironmentSettings,
    Schema,
    StreamTableEnvironment,
    TableAggregateFunction,
    TableEnvironment,
)
from lesto.table.expressions import col
from lesto.table.udf import udaf, udf, udtaf, udtf

DATA = [(i, "ab"[i % 2], dt.datetime(2020, 1, 1, 0, 0, i)) for i in range(8)]


class Sum(AggregateFunction):
    def create_accumulator(self):
        return [0]

    def accumulate(self, accumulator, value):
        accumulator[0] += value

    def get_value(self, accumulator) -> int:
        return accumulator[0]


class Top2(TableAggregateFunction):
    def create_accumulator(self):
        return []

    def accumulate(self, accumulator, value):
        accumulator.append(value)
        accumulator.sort(reverse=True)
        del accumulator[2:]

    def emit_value(self, accumulator):
        for place, value in enumerate(accumulator, 1):
            yield Row(value, place)

    def get_result_type(self):
        return "ROW<v BIGINT, place BIGINT>"


@pytest.fixture
def t_env():
    made = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    made.get_config().set("parallelism.default", "1")
    return made


def test_functions_of_users_run_in_one_query(t_env):
    table = t_env.from_elements(DATA, ["n", "k", "ts"])
    t_env.create_temporary_view("t", table)
    t_env.create_temporary_function("twice", udf(lambda n: n * 2, result_type="BIGINT"))
    t_env.create_temporary_function("parts", udtf(lambda k: [k, k.upper()], result_types="STRING"))
    t_env.create_temporary_function("total", udaf(Sum()))
    result = t_env.execute_sql(
        "SELECT p, total(twice(n)) AS s, COUNT(*) AS c"
        " FROM t, LATERAL TABLE(parts(k)) AS x(p) GROUP BY p"
    )
    found = sorted((r["p"], r["s"], r["c"]) for r in result.to_arrow().to_pylist())
    assert found == [("A", 24, 4), ("B", 32, 4), ("a", 24, 4), ("b", 32, 4)]


def test_table_aggregates_and_pandas(t_env):
    table = t_env.from_arrow(pa.table({"n": [d[0] for d in DATA], "k": [d[1] for d in DATA]}))
    top = table.group_by(col("k")).flat_aggregate(udtaf(Top2())(col("n")).alias("v", "place"))
    frame = top.select(col("k"), col("v"), col("place")).to_pandas()
    assert sorted(map(tuple, frame.values.tolist())) == [
        ("a", 4, 2),
        ("a", 6, 1),
        ("b", 5, 2),
        ("b", 7, 1),
    ]


def test_a_failing_function_shows_the_users_line(t_env):
    def broken(n: int) -> int:
        return 1 // (n - 3)

    table = t_env.from_elements(DATA, ["n", "k", "ts"]).select(udf(broken)(col("n")))
    with pytest.raises(JobExecutionError, match="LESTO-6220") as caught:
        table.to_arrow()
    assert f'{__file__}", line {broken.__code__.co_firstlineno + 1}, in broken' in str(caught.value)


class SecondField(TimestampAssigner):
    def extract_timestamp(self, value, record_timestamp):
        return value[1]


def test_streams_become_tables_and_tables_streams():
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    t_env = StreamTableEnvironment.create(env)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(SecondField())
    records = env.from_collection([(n, n * 1000) for n in range(6)], Types.TUPLE(
        [Types.LONG(), Types.LONG()]
    )).assign_timestamps_and_watermarks(strategy)  # fmt: skip
    typed = records.map(
        lambda r: Row(r[0], "ab"[r[0] % 2]),
        output_type=Types.ROW_NAMED(["n", "k"], [Types.LONG(), Types.STRING()]),
    )
    schema = (
        Schema.new_builder()
        .column_by_metadata("rowtime", DataTypes.TIMESTAMP_LTZ(3))
        .watermark("rowtime", "SOURCE_WATERMARK()")
        .build()
    )
    t_env.create_temporary_view("t", t_env.from_data_stream(typed, schema))
    windows = t_env.sql_query(
        "SELECT window_start, window_time, COUNT(*) AS c, SUM(n) AS s"
        " FROM TUMBLE(TABLE t, DESCRIPTOR(rowtime), INTERVAL '3' SECOND)"
        " GROUP BY window_start, window_end, window_time"
    )
    stream = t_env.to_data_stream(windows).map(lambda r: (r.c, r.s))
    with stream.execute_and_collect() as found:
        assert sorted(found) == [(3, 3), (3, 12)]


def test_changelogs_go_out_and_come_in():
    env = StreamExecutionEnvironment.get_execution_environment().set_parallelism(1)
    t_env = StreamTableEnvironment.create(env)
    changes = [
        Row.of_kind(RowKind.INSERT, "a", 1),
        Row.of_kind(RowKind.INSERT, "b", 2),
        Row.of_kind(RowKind.UPDATE_AFTER, "a", 5),
        Row.of_kind(RowKind.DELETE, "b", 2),
    ]
    named = Types.ROW_NAMED(["k", "n"], [Types.STRING(), Types.LONG()])
    source = env.from_collection(changes).map(lambda row: row, output_type=named)
    schema = (
        Schema.new_builder()
        .column("k", DataTypes.STRING().not_null())
        .column("n", DataTypes.BIGINT())
        .primary_key("k")
        .build()
    )
    table = t_env.from_changelog_stream(source, schema, ChangelogMode.upsert())
    out = t_env.to_changelog_stream(table).map(lambda r: (r.get_row_kind().name, r.k, r.n))
    with out.execute_and_collect() as found:
        rows = list(found)
    state = {}
    for kind, key, number in rows:
        if kind in {"INSERT", "UPDATE_AFTER"}:
            state[key] = number
        else:
            assert state.pop(key) == number
    assert state == {"a": 5}


def test_a_limit_of_input_without_end_ends(t_env):
    t_env.execute_sql("CREATE TABLE g (id BIGINT) WITH ('connector' = 'datagen')")
    assert t_env.sql_query("SELECT id + 1 FROM g LIMIT 3").to_arrow().num_rows == 3
    assert t_env.sql_query("SELECT id FROM g LIMIT 0").to_arrow().num_rows == 0


def test_jobs_have_the_name_that_is_set(t_env):
    t_env.get_config().set("pipeline.name", "nightly")
    t_env.execute_sql("CREATE TABLE sink (v BIGINT) WITH ('connector' = 'blackhole')")
    result = t_env.execute_sql("INSERT INTO sink VALUES (1)")
    result.wait()
    (ended,) = result.get_job_client().details()
    assert ended.summary.name == "nightly"
