"""Inputs at the edge of what a job may meet: nothing, one record, everything in one key."""

import pytest

from lesto.common import Row, Time, Types, WatermarkStrategy, col
from lesto.common.expressions import count
from lesto.connectors.files import CsvFormat, FileSource, JsonLinesFormat, ParquetFormat
from lesto.datastream.window import EventTimeSessionWindows, TumblingEventTimeWindows
from tests.golden.harness import Stage, counted, environment, finish, plain, published, write
from tests.golden.row_jobs import AllStates

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves all golden tests; its end is checked there"),
]
TYPES = Types.ROW_NAMED(["k", "v", "t"], [Types.STRING(), Types.LONG(), Types.LONG()])


def collected(stream):
    with stream.execute_and_collect("edge") as rows:
        return [plain(row) for row in rows]


def everything(stream):
    """Rows and columns, keys, windows and aggregates of one stream (k, v, t), as one stream."""
    timed = stream.assign_timestamps_and_watermarks(
        WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("t")
    )
    by_column, by_function = timed.key_by("k"), timed.key_by(lambda r: r.k)
    second = TumblingEventTimeWindows.of(Time.seconds(1))
    gap = EventTimeSessionWindows.with_gap(Time.seconds(1))
    parts = {
        "map": timed.map(lambda r: r.v),
        "select": timed.select("v").filter(col("v") > -(2**62)),
        "sum": by_column.sum("v"),
        "reduce": by_function.reduce(lambda a, b: Row(k=a.k, v=a.v + b.v, t=b.t)),
        "agg": by_column.agg(count()),
        "state": by_function.map(tuple).key_by(lambda r: r[0]).process(AllStates()),
        "window": by_column.window(second).agg(count(), col("v").max()),
        "session": by_column.window(gap).agg(count()),
        "rows": by_function.window(second).reduce(lambda a, b: a).map(lambda r: r.v),
        "row_session": by_function.window(gap).reduce(lambda a, b: a).map(lambda r: r.v),
    }
    tagged = [
        part.map(lambda value, name=name: (name, plain(value))) for name, part in parts.items()
    ]
    return tagged[0].union(*tagged[1:])


@pytest.mark.parametrize("parallelism", [1, 3])
def test_nothing_in_nothing_out(cluster, parallelism):
    env = environment(cluster, parallelism=parallelism)
    assert collected(everything(env.from_collection([], TYPES))) == []


@pytest.mark.parametrize("time", [0, -1, -(2**53), 2**53])
def test_one_record_comes_out_everywhere_once(cluster, time):
    env = environment(cluster, parallelism=3)
    results = collected(everything(env.from_collection([("a", 7, time)], TYPES)))
    bucket = time // 1000
    assert counted(results) == counted(
        [
            ("map", 7), ("select", (7,)), ("sum", ("a", 7, time)), ("reduce", ("a", 7, time)),
            ("agg", ("a", 1)), ("state", ("record", "a", 1, (7,), 7, (1, 7))),
            ("state", ("timer", "a", bucket * 1000 + 999, 7)), ("window", ("a", 1, 7)),
            ("session", ("a", 1)), ("rows", 7), ("row_session", 7),
        ]
    )  # fmt: skip


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_empty_file_among_others(cluster, tmp_path, suffix):
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("k", pa.string()), ("v", pa.int64())])
    form = {
        "csv": CsvFormat(schema, header=False), "jsonl": JsonLinesFormat(schema),
        "parquet": ParquetFormat(schema=schema),
    }[suffix]  # fmt: skip
    for name, rows in (("a", []), ("b", [{"k": "x", "v": 1}]), ("c", [])):
        path = tmp_path / f"{name}.{suffix}"
        match suffix:
            case "csv":
                path.write_text("".join(f"{r['k']},{r['v']}\n" for r in rows))
            case "jsonl":
                path.write_text("".join('{"k":"x","v":1}\n' for _ in rows))
            case "parquet":
                pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    env = environment(cluster, parallelism=2)
    stream = env.from_source(
        FileSource(str(tmp_path), format=form), WatermarkStrategy.no_watermarks(), "files"
    )
    assert collected(stream.key_by("k").sum("v")) == [("x", 1)]


def test_a_job_without_results_publishes_no_file(cluster, tmp_path):
    env = environment(cluster, parallelism=2)
    stream = env.from_collection([1, 2, 3]).filter(lambda n: n > 3)
    write(stream, tmp_path / "out", "text")
    finish(env.execute_async("none"))
    assert published(tmp_path / "out", "text") == []
    assert not list((tmp_path / "out").iterdir())


def test_keys_that_are_equal_in_python_are_one_key(cluster):
    """1, 1.0 and True are one dict key; a job at any parallelism agrees with a dict."""
    values = [1, 1.0, True, 0, 0.0, -0.0, False, 2**53, float(2**53), "1", b"1", (1,), (1.0,)] * 3
    expected = {}
    for value in values:
        expected[value] = expected.get(value, 0) + 1
    for parallelism in (1, 3):
        env = environment(cluster, parallelism=parallelism)
        pairs = env.from_collection([(value, 1) for value in values])
        sums = collected(pairs.key_by(lambda p: p[0]).sum(1))
        last = {}
        for key, number in sums:
            last[key] = max(last.get(key, 0), number)
        assert last == expected, parallelism


def test_collecting_a_few_ends_the_job_and_frees_its_slots(cluster, jobmanager, tmp_path):
    env = environment(cluster, parallelism=3, **{"execution.checkpointing.interval": "30 ms"})
    stream = Stage(env, tmp_path, hold=0.9).source([[[i] for i in range(50)]])
    assert stream.map(lambda n: n).execute_and_collect("few", limit=5) == [0, 1, 2, 3, 4]
    assert jobmanager.cluster().slots_available == 3
