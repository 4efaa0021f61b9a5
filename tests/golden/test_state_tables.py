"""Savepoints made or changed from tables, under real jobs: they go on from what was written."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from lesto.common import Types, WatermarkStrategy, col
from lesto.common.expressions import window_start
from lesto.common.time import Time
from lesto.datastream import KeyedProcessFunction
from lesto.datastream.state import MapStateDescriptor, ValueStateDescriptor
from lesto.datastream.window import EventTimeSessionWindows, TumblingEventTimeWindows
from lesto.state.reader import SavepointReader
from lesto.state.writer import OperatorBootstrap, SavepointWriter
from tests.golden.harness import Stage, environment, finish, published, stop, wait_for, write

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves all golden tests; its end is checked there"),
]
KEYS = [f"k{i}" for i in range(40)]
SCHEMA = pa.schema([("k", pa.string()), ("v", pa.int64()), ("t", pa.int64())])
COLUMN_TIME = WatermarkStrategy.for_bounded_out_of_orderness(0).with_timestamp_column("t")
ROW_TIME = WatermarkStrategy.for_bounded_out_of_orderness(0).with_timestamp_assigner(
    lambda record, _: record[2]
)
SIZE = 100
#: One record a key, in the window [0, 100).
ROWS = [(key, 1, 10 + i) for i, key in enumerate(KEYS)]
RECORDS = [dict(zip(SCHEMA.names, row, strict=True)) for row in ROWS]


class Counter(KeyedProcessFunction):
    """Counts a key's records, and remembers the largest by name."""

    def open(self, runtime_context):
        self.count = runtime_context.get_state(ValueStateDescriptor("count", Types.LONG()))
        self.facts = runtime_context.get_map_state(MapStateDescriptor("facts"))

    def process_element(self, value, ctx):
        self.count.update((self.count.value() or 0) + 1)
        self.facts.put("last", (value[1], [value[2]]))
        yield "count", ctx.get_current_key(), self.count.value()

    def on_timer(self, timestamp, ctx):
        yield "timer", ctx.get_current_key(), timestamp


def added(a, b):
    return (a[0], a[1] + b[1], max(a[2], b[2]))


def build(stage):
    """Every kind of keyed operator over the same records."""
    rows = stage.source([[ROWS]], strategy=ROW_TIME, name="rows").uid("rows")
    columns = stage.source([[RECORDS]], schema=SCHEMA, strategy=COLUMN_TIME, name="columns")
    columns.uid("columns")
    by_key = rows.key_by(lambda record: record[0])
    tumbling = TumblingEventTimeWindows.of(Time.milliseconds(SIZE))
    sessions = EventTimeSessionWindows.with_gap(Time.milliseconds(SIZE))
    return (
        by_key.process(Counter()).uid("counter").map(tuple),
        by_key.window(tumbling).reduce(added).uid("reduced").map(lambda r: ("window", r[0], r[1])),
        by_key.window(sessions)
        .reduce(added)
        .uid("sessions")
        .map(lambda r: ("session", r[0], r[1])),
        columns.key_by("k")
        .agg(col("v").sum().alias("v"))
        .uid("sum")
        .map(lambda r: ("sum", r["k"], r["v"])),
        columns.key_by("k")
        .window(tumbling)
        .agg(window_start().alias("start"), col("v").sum().alias("total"))
        .uid("totals")
        .map(lambda r: ("total", r["k"], r["total"])),
    )


def bootstrap(path):
    """State for all of them: the i-th key has i (and more) already."""
    n = len(KEYS)
    start, end = pa.array([0] * n), pa.array([SIZE] * n)
    held = pa.array([{"f0": key, "f1": i, "f2": 0} for i, key in enumerate(KEYS)])
    tuples = pa.field("value", held.type, metadata={"lesto.python": "tuple"})
    bounds = [pa.field("window_start", pa.int64()), pa.field("window_end", pa.int64())]
    windows = pa.table(
        [pa.array(KEYS), held, start, end],
        schema=pa.schema([pa.field("key", pa.string()), tuples, *bounds]),
    )
    numbers = pa.table({"key": KEYS, "value": range(n)})
    timers = pa.table({"key": KEYS[:3], "timestamp": [5_000, 6_000, 7_000]})
    counter = OperatorBootstrap("Counter").value_state("count", numbers).event_timers(timers)
    sums = pa.table({"k": KEYS, "sum_0": range(n)})
    totals = pa.table({"k": KEYS, "window_start": start, "sum_0": range(n)})
    return (
        SavepointWriter.new_savepoint(max_parallelism=128)
        .with_operator("counter", counter)
        .with_operator("reduced", OperatorBootstrap().window_state(windows))
        .with_operator("sessions", OperatorBootstrap().window_state(windows, sessions=True))
        .with_operator(
            "sum", OperatorBootstrap().state_table("running_aggregate", sums, keys=["k"])
        )
        .with_operator(
            "totals", OperatorBootstrap().state_table("window_aggregate", totals, keys=["k"])
        )
        .write(str(path))
    )


def run(cluster, folder, path, *, parallelism, backend):
    env = environment(
        cluster, parallelism=parallelism, savepoint=path, **{"state.backend.type": backend}
    )
    first, *others = build(Stage(env, folder))
    write(first.union(*others), folder / "out", "text")
    finish(env.execute_async(f"from-{backend}"))
    return sorted(published(folder / "out", "text"))


@pytest.mark.parametrize(("parallelism", "backend"), [(1, "hashmap"), (3, "rocksdb")])
def test_jobs_go_on_from_state_made_of_tables(cluster, tmp_path, parallelism, backend):
    path = bootstrap(tmp_path / "made")
    results = run(cluster, tmp_path, path, parallelism=parallelism, backend=backend)
    expected = [
        (kind, key, i + 1)
        for kind in ("count", "window", "session", "sum", "total")
        for i, key in enumerate(KEYS)
    ]
    expected += [("timer", f"k{i}", 5_000 + 1_000 * i) for i in range(3)]
    assert results == sorted(expected)


HELD = [[(key, i, 10 + i)] for i, key in enumerate(KEYS)]


def counting(cluster, folder, *, hold=None, **options):
    env = environment(cluster, **options)
    source = Stage(env, folder, hold=hold).source([HELD * 2], strategy=ROW_TIME).uid("rows")
    write(source.key_by(lambda r: r[0]).process(Counter()).uid("counter"), folder / "out", "text")
    return env.execute_async("counting")


@pytest.mark.parametrize("backends", [("hashmap", "rocksdb"), ("rocksdb", "hashmap")])
def test_an_edited_savepoint_goes_on_elsewhere(cluster, tmp_path, backends):
    """A running job's savepoint, its counts raised by 1,000; all else stays, the source too."""
    before = {"state.backend.type": backends[0], "execution.checkpointing.interval": "40 ms"}
    job = counting(cluster, tmp_path, hold=0.5, parallelism=2, **before)
    with job:
        wait_for(lambda: len(published(tmp_path / "out", "text")) == len(KEYS), job)
        path = stop(job, tmp_path / "savepoints")
    reader = SavepointReader.read(path)
    assert {op.uid for op in reader.operators()} >= {"rows", "counter"}
    counts = reader.read_keyed_state("counter", "count").read_all()
    assert sorted(counts["key"].to_pylist()) == sorted(KEYS)
    assert set(counts["value"].to_pylist()) == {1}
    splits = reader.read_list_state("rows", "splits")
    assert splits.num_rows == 1
    raised = counts.set_column(1, counts.schema.field(1), pc.add(counts["value"], 1_000))
    edited = (
        SavepointWriter.from_existing_savepoint(path)
        .change_operator("counter", OperatorBootstrap().value_state("count", raised))
        .write(str(tmp_path / "edited"))
    )
    after = {"parallelism": 3, "savepoint": edited, "state.backend.type": backends[1]}
    finish(counting(cluster, tmp_path, **after))
    found = published(tmp_path / "out", "text")
    assert sorted(found) == sorted([("count", k, n) for k in KEYS for n in (1, 1_002)])
