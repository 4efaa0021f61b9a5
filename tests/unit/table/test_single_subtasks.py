"""What needs all rows in one subtask stays in one, whatever parallelism the job is given later."""

import pytest

from lesto.client.datastream.environment import StreamExecutionEnvironment
from lesto.client.table.settings import EnvironmentSettings
from lesto.client.table.stream_environment import StreamTableEnvironment
from lesto.proto import job_pb2

QUERIES = (
    "SELECT COUNT(*), COUNT(DISTINCT a) FROM t",
    "SELECT a FROM t ORDER BY a LIMIT 3",
    "SELECT a FROM t LIMIT 3",
    "SELECT * FROM t ORDER BY ts",
    "SELECT a, (SELECT MAX(a) FROM u) FROM t",
    "SELECT a FROM t WHERE a NOT IN (SELECT a FROM u)",
    "SELECT window_start, COUNT(*) FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' HOUR))"
    " GROUP BY window_start, window_end",
    "SELECT SUM(a) OVER (ORDER BY ts) FROM t",
)


@pytest.mark.parametrize("query", QUERIES)
def test_no_rescaling_widens_it(query):
    env = StreamExecutionEnvironment.get_execution_environment()
    env.set_parallelism(2)
    t_env = StreamTableEnvironment.create(env, EnvironmentSettings.in_streaming_mode())
    for name in ("t", "u"):
        t_env.execute_sql(
            f"CREATE TABLE {name} (a INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts)"
            " WITH ('connector' = 'datagen')"
        )
    t_env.to_changelog_stream(t_env.sql_query(query)).print()
    graph = env.get_job_graph()
    single = {
        e.target_vertex for e in graph.edges if e.partitioner.kind == job_pb2.PARTITION_KIND_GLOBAL
    }
    assert single
    alone = {v.id: v.max_parallelism for v in graph.vertices if v.parallelism == 1}
    assert {alone[vertex] for vertex in single} == {1}
    env.close()
