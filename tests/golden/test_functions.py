"""What surrounds functions and jobs: operator state, BATCH mode, accumulators, files, listeners."""

import asyncio
import importlib.util
import inspect
import socket
import sqlite3
import sys
import threading
import time
from pathlib import Path

import cloudpickle
import pyarrow as pa
import pytest

from lesto.common import WatermarkStrategy, col
from lesto.common.accumulators import (
    AverageAccumulator,
    Histogram,
    ListAccumulator,
    LongMaximum,
)
from lesto.connectors.files import Encoder, FileSink
from lesto.connectors.plain import AsyncSink, PlainSource
from lesto.datastream import (
    AsyncDataStream,
    AsyncFunction,
    CheckpointedFunction,
    CheckpointListener,
    JobListener,
    KeyedProcessFunction,
    MapFunction,
    RuntimeExecutionMode,
)
from lesto.datastream.state import ListStateDescriptor, MapStateDescriptor
from tests.golden.gated_source import GatedSource
from tests.golden.harness import deal, environment, finish, published, stop, wait_for

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.leaks_ok("one cluster serves all golden tests; its end is checked there"),
]


# --------------------------------------------------------------------------------- operator state


class Remembers(MapFunction, CheckpointedFunction, CheckpointListener):
    """Keeps every record it has seen; writes down what it is given at a restore."""

    def __init__(self, folder):
        self.folder = str(folder)

    def initialize_state(self, context):
        store = context.get_operator_state_store()
        self.seen = store.get_list_state(ListStateDescriptor("seen", None))
        self.all = store.get_union_list_state(ListStateDescriptor("all", None))
        self.rules = store.get_broadcast_state(MapStateDescriptor("rules", None, None))
        self.restored = context.is_restored(), list(self.seen), sorted(self.all)
        self.restored_rules = list(self.rules.items())

    def open(self, runtime_context):
        self.subtask = runtime_context.get_index_of_this_subtask()
        name = f"{runtime_context.get_number_of_parallel_subtasks()}-{self.subtask}"
        (Path(self.folder) / name).write_text(repr((*self.restored, self.restored_rules)))

    def map(self, value):
        self.seen.add(value)
        return value

    def snapshot_state(self, context):
        assert context.get_checkpoint_id() > 0
        self.all.update([self.subtask])
        self.rules.put("rule", 1)

    def notify_checkpoint_complete(self, checkpoint_id):
        (Path(self.folder) / "complete").write_text(str(checkpoint_id))


def test_operator_state_is_dealt_out_anew_at_another_parallelism(cluster, tmp_path):
    splits = deal(list(range(120)), 3, 4)
    marker = tmp_path / "marker"
    marker.mkdir()

    def build(env, hold):
        source = GatedSource(splits, hold=hold, marker=str(marker))
        stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "gated")
        stream.map(Remembers(tmp_path)).uid("remembers").print()

    env = environment(cluster, parallelism=2, **{"execution.checkpointing.interval": "30 ms"})
    build(env, 0.5)
    with env.execute_async("before") as job:
        wait_for((tmp_path / "complete").exists, job)
        wait_for(lambda: len(list(marker.iterdir())) == len(splits), job)
        path = stop(job, tmp_path / "savepoints")
    env = environment(cluster, parallelism=3, savepoint=path)
    build(env, None)
    finish(env.execute_async("behind"))
    told = [eval((tmp_path / f"3-{i}").read_text()) for i in range(3)]
    assert all(restored for restored, *_ in told)
    held = [value for split in splits for batch in split[:5] for value in batch]
    assert sorted(value for _, values, *_ in told for value in values) == sorted(held)
    sizes = [len(values) for _, values, *_ in told]
    assert max(sizes) - min(sizes) <= 2
    assert all(everyone == [0, 1] for _, _, everyone, _ in told)
    assert all(rules == [("rule", 1)] for *_, rules in told)


# -------------------------------------------------------------------------------------- BATCH mode


class LastTime(KeyedProcessFunction):
    """One timer a key; the watermark is seen only at the end."""

    def process_element(self, value, ctx):
        assert ctx.timer_service().current_watermark() < 0
        ctx.timer_service().register_event_time_timer(value[1])

    def on_timer(self, timestamp, ctx):
        yield ctx.get_current_key(), timestamp


@pytest.mark.parametrize("mode", [RuntimeExecutionMode.BATCH, RuntimeExecutionMode.AUTOMATIC])
def test_batch_gives_the_last_result_of_each_key(cluster, mode):
    records = [(f"k{i % 4}", i) for i in range(400)]
    env = environment(cluster, parallelism=2, **{"execution.checkpointing.interval": "20 ms"})
    env.set_runtime_mode(mode)
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_assigner(
        lambda value, _: value[1]
    )
    source = env.from_collection(records).assign_timestamps_and_watermarks(strategy).rebalance()
    keyed = source.key_by(lambda r: r[0])
    table = pa.table({"k": [r[0] for r in records], "v": [r[1] for r in records]})
    columns = env.from_arrow(table).key_by("k").agg(col("v").sum().alias("s"))
    streams = {
        "reduce": keyed.reduce(lambda a, b: (a[0], a[1] + b[1])),
        "sum": keyed.sum(1),
        "largest": keyed.max_by(1),
        "total": keyed.sum(1).key_by(lambda r: 0).sum(1).map(lambda r: ("", r[1])),
        "columns": columns.map(tuple),
        "timers": keyed.process(LastTime()),
    }
    first, *others = [s.map(lambda r, name=n: (name, *r)) for n, s in streams.items()]
    with first.union(*others).execute_and_collect("batch") as rows:
        found = sorted(rows)
    sums = [(f"k{k}", sum(range(k, 400, 4))) for k in range(4)]
    expected = [(name, *record) for name in ("reduce", "sum", "columns") for record in sums]
    expected += [("largest", f"k{k}", 396 + k) for k in range(4)]
    expected += [("total", "", sum(range(400)))]
    expected += [("timers", *record) for record in records]
    assert found == sorted(expected)


def test_automatic_mode_streams_when_a_source_has_no_end(cluster):
    class Endless(PlainSource):
        bounded = False

        def parts(self):
            return ["one"]

        def read(self, part, position, limit):
            return [("k", 1)], None

    env = environment(cluster, **{"execution.checkpointing.interval": "30 ms"})
    env.set_runtime_mode(RuntimeExecutionMode.AUTOMATIC)
    stream = env.from_source(Endless(), WatermarkStrategy.no_watermarks(), "endless")
    assert stream.key_by(lambda r: r[0]).sum(1).execute_and_collect(limit=3)[2] == ("k", 3)


# -------------------------------------------------------------- accumulators, files, listeners


class Counts(MapFunction):
    def open(self, runtime_context):
        add = runtime_context.add_accumulator
        for name, made in (
            ("mean", AverageAccumulator()),
            ("ends", Histogram()),
            ("largest", LongMaximum()),
            ("names", ListAccumulator()),
        ):
            add(name, made)
        self.count = runtime_context.get_int_counter("count")
        self.get = runtime_context.get_accumulator
        self.get("names").add(runtime_context.get_index_of_this_subtask())
        path = runtime_context.get_distributed_cache().get_file("model")
        self.factor = int(Path(path).read_text())

    def map(self, value):
        self.count.add(1)
        self.get("mean").add(value)
        self.get("ends").add(value % 3)
        self.get("largest").add(value)
        return value * self.factor


class Listener(JobListener):
    def __init__(self):
        self.told = []

    def on_job_submitted(self, job_client, throwable):
        self.told.append(("submitted", job_client is not None, throwable))

    def on_job_executed(self, job_execution_result, throwable):
        self.told.append(("executed", job_execution_result is not None, type(throwable).__name__))


def test_accumulators_cached_files_and_listeners(cluster, tmp_path):
    (tmp_path / "model.txt").write_text("3")
    env = environment(cluster, parallelism=2)
    env.register_cached_file(str(tmp_path / "model.txt"), "model")
    listener = Listener()
    env.register_job_listener(listener)
    tripled = env.from_sequence(1, 30).map(Counts()).set_buffer_timeout(0)
    rows = tripled.collect_async()
    job = env.execute_async("counts")
    assert sorted(rows) == [3 * n for n in range(1, 31)]
    result = job.wait()
    assert result.get_all_accumulator_results() == {
        "count": 30,
        "mean": 15.5,
        "ends": {0: 10, 1: 10, 2: 10},
        "largest": 30,
        "names": result.get_accumulator_result("names"),
    }
    assert sorted(result.get_accumulator_result("names")) == [0, 1]
    assert listener.told == [("submitted", True, None)]
    env.from_sequence(1, 3).map(lambda v: 1 // 0).print()
    with pytest.raises(Exception, match="ZeroDivisionError"):
        env.execute("fails")
    assert listener.told[1:] == [
        ("submitted", True, None),
        ("executed", False, "JobExecutionError"),
    ]


# ---------------------------------------------------------------------- sources and sinks by hand


class Service(AsyncSink):
    """Refuses a part of each batch at first."""

    max_batch_size = 7
    max_in_flight = 2
    max_buffered = 20

    def __init__(self, path):
        self.path = str(path)

    async def open(self):
        self.refused = set()

    async def submit(self, batch):
        await asyncio.sleep(0.001)
        again = [v for v in batch if v % 40 == 0 and v not in self.refused]
        self.refused.update(again)
        self.keep([v for v in batch if v not in again])
        return again

    def keep(self, values):
        with open(self.path, "a") as file:
            file.writelines(f"{v}\n" for v in values)


def test_an_async_sink_sends_everything_in_batches(cluster, tmp_path):
    env = environment(cluster, parallelism=2, **{"execution.checkpointing.interval": "20 ms"})
    env.from_sequence(1, 300).sink_to(Service(tmp_path / "sent"))
    finish(env.execute_async("service"))
    assert sorted(map(int, (tmp_path / "sent").read_text().split())) == list(range(1, 301))


@pytest.fixture
def example(monkeypatch):
    """Loads programs of examples/ as modules; workers do not have them and get them by value."""
    loaded = []

    def load(name):
        path = Path(__file__).parents[2] / "examples" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"example_{name}", path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, spec.name, module)
        spec.loader.exec_module(module)
        cloudpickle.register_pickle_by_value(module)
        loaded.append(module)
        return module

    yield load
    for module in loaded:
        cloudpickle.unregister_pickle_by_value(module)


def test_the_examples_of_connectors_in_plain_python(cluster, tmp_path, example):
    custom_sink, custom_source = example("custom_sink"), example("custom_source")

    for module in (custom_source.Journal, custom_sink.SqliteSink):
        assert len(inspect.getsource(module).splitlines()) < 40
    (tmp_path / "monday.log").write_text("a b c\nd e\n")
    (tmp_path / "tuesday.log").write_text("x\nhalf a lin")
    words = custom_source.build(environment(cluster, parallelism=2), tmp_path, True)
    with words.execute_and_collect() as rows:
        assert sorted(rows) == [("monday.log", 3), ("monday.log", 5), ("tuesday.log", 1)]
    database = tmp_path / "squares.db"
    env = environment(cluster, parallelism=2, **{"execution.checkpointing.interval": "20 ms"})
    custom_sink.build(env, database)
    finish(env.execute_async("squares"))
    with sqlite3.connect(database) as db:
        (found,) = db.execute("select count(*), sum(value) from results").fetchall()
    db.close()
    assert found == (1000, sum(n * n for n in range(1, 1001)))
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "monday.log",
        "squares.db",
        "tuesday.log",
    ]


def test_texts_from_a_socket(cluster):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            connection, _ = server.accept()
            with connection:
                for part in (b"one;tw", b"o;\xc3", b"\xb6;rest"):
                    connection.sendall(part)
                    time.sleep(0.01)

        thread = threading.Thread(target=serve)
        thread.start()
        env = environment(cluster)
        texts = env.socket_text_stream("127.0.0.1", server.getsockname()[1], ";")
        with texts.execute_and_collect() as rows:
            assert list(rows) == ["one", "two", "ö", "rest"]
        thread.join()


def test_text_files_tables_and_frames(cluster, tmp_path):
    pd = pytest.importorskip("pandas")
    (tmp_path / "lines.txt").write_text("a\nb\n")
    env = environment(cluster)
    assert sorted(env.read_text_file(str(tmp_path / "lines.txt")).execute_and_collect(limit=9)) == [
        "a",
        "b",
    ]
    frame = pd.DataFrame({"n": [1, 2]})
    rows = environment(cluster).from_pandas(frame).execute_and_collect(limit=9)
    assert [row.n for row in rows] == [1, 2]


# -------------------------------------------------------------- requests at the end of a job


class Slowly(AsyncFunction):
    async def async_invoke(self, value):
        await asyncio.sleep(0.15)
        return [value]


def test_a_drain_waits_for_the_answers_of_requests(cluster, tmp_path):
    marker, out = tmp_path / "marker", tmp_path / "out"
    marker.mkdir()
    splits = deal(list(range(40)), 2, 5)
    source = GatedSource(splits, hold=0.8, marker=str(marker))
    env = environment(cluster, parallelism=2)
    stream = env.from_source(source, WatermarkStrategy.no_watermarks(), "gated")
    sink = FileSink.for_row_format(str(out), Encoder.simple_string_encoder()).build()
    answers = AsyncDataStream.ordered_wait(stream, Slowly(), 0, capacity=100)
    answers.map(str).sink_to(sink)
    with env.execute_async("drained") as job:
        wait_for(lambda: len(list(marker.iterdir())) == len(splits), job)
        job.stop_with_savepoint(True, str(tmp_path / "savepoint")).result(60)
    held = [value for split in splits for batch in split[:3] for value in batch]
    assert sorted(published(out, "text")) == sorted(held)
