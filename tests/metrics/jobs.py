"""Jobs that have something of everything that is measured."""

from pathlib import Path

from lesto.client.run_options import RunOptions
from lesto.common import (
    Configuration,
    Duration,
    RestartStrategies,
    Time,
    Types,
    WatermarkStrategy,
)
from lesto.common.expressions import col, count
from lesto.connectors.datagen import DataGenSource, pool, sequence
from lesto.connectors.files import FileSink
from lesto.connectors.memory.blackhole import BlackholeSink
from lesto.datastream import (
    AsyncDataStream,
    AsyncFunction,
    CheckpointListener,
    KeyedProcessFunction,
    ProcessFunction,
    StreamExecutionEnvironment,
)
from lesto.datastream.state import StateTtlConfig, ValueStateDescriptor
from lesto.datastream.window import TumblingEventTimeWindows
from lesto.table import StreamTableEnvironment


class FailsOnce(ProcessFunction, CheckpointListener):
    """Fails in its first attempt, once a checkpoint is complete."""

    def open(self, runtime_context):
        self.first = runtime_context.get_attempt_number() == 0
        self.complete = False

    def notify_checkpoint_complete(self, checkpoint_id):
        self.complete = True

    def notify_checkpoint_aborted(self, checkpoint_id):
        pass

    def process_element(self, value, ctx):
        if self.first and self.complete:
            msg = "once"
            raise ValueError(msg)
        yield value


class Counts(KeyedProcessFunction):
    """State that expires, and timers."""

    def open(self, runtime_context):
        descriptor = ValueStateDescriptor("n", Types.LONG())
        descriptor.enable_time_to_live(StateTtlConfig.new_builder(Time.hours(1)).build())
        self.n = runtime_context.get_state(descriptor)
        self.mine = runtime_context.get_metrics_group().add_group("rules", "all").counter("seen")

    def process_element(self, value, ctx):
        self.n.update((self.n.value() or 0) + 1)
        self.mine.inc()
        ctx.timer_service().register_event_time_timer(value["t"] // 100 * 100 + 100)

    def on_timer(self, timestamp, ctx):
        yield f"{ctx.get_current_key()} {self.n.value()}"


class Echo(AsyncFunction):
    async def async_invoke(self, value):
        return [value]


def picky(value):
    if value["t"] % 1000 == 0:
        raise ValueError("no thousands")
    return value


def environment(cluster):
    settings = {
        "security.token": cluster.token,
        "state.backend.type": "rocksdb",
        "execution.checkpointing.local-backup.enabled": "true",
        "execution.state-recovery.from-local": "true",
    }
    config = Configuration.from_dict(settings)
    env = StreamExecutionEnvironment(config, RunOptions(jobmanager=cluster.address))
    env.set_parallelism(2).enable_checkpointing(200)
    env.set_restart_strategy(RestartStrategies.fixed_delay_restart(3, 0))
    return env


def measured_job(cluster, folder: Path):
    """A job of the DataStream API that fails once."""
    env = environment(cluster)
    source = DataGenSource({"t": sequence(), "k": pool(10)}, rows_per_second=10_000)
    watermarks = WatermarkStrategy.for_bounded_out_of_orderness(Duration.of_millis(10))
    watermarks = watermarks.with_watermark_alignment("measured", Duration.of_seconds(10))
    stream = env.from_source(source, watermarks.with_timestamp_column("t"), "endless")
    windows = stream.key_by("k").window(TumblingEventTimeWindows.of(Duration.of_millis(100)))
    windows.agg(count().alias("n"), col("t").max().alias("last")).sink_to(BlackholeSink())
    once = stream.process(FailsOnce())
    letters = FileSink(str(folder / "letters"), "jsonl")
    kept = once.map(picky).name("picky").with_dead_letter(letters)
    counted = kept.key_by(lambda row: row["k"]).process(Counts()).name("counts")
    counted.sink_to(FileSink(str(folder / "counts"), "text")).name("published")
    answers = AsyncDataStream.unordered_wait(kept, Echo(), Time.seconds(10))
    answers.sink_to(BlackholeSink())
    return env.execute_async("measured")


def sql_job(cluster):
    """A job of SQL that keeps rows and has windows."""
    env = environment(cluster)
    tables = StreamTableEnvironment.create(env)
    tables.execute_sql(
        "CREATE TABLE a (k INT, v INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts) WITH ("
        "'connector' = 'datagen', 'rows-per-second' = '2000', 'fields.k.min' = '1',"
        " 'fields.k.max' = '9')"
    )
    for name, columns in (("kept", "k INT, n BIGINT"), ("firsts", "k INT, v INT")):
        tables.execute_sql(f"CREATE TABLE {name} ({columns}) WITH ('connector' = 'blackhole')")
    statements = tables.create_statement_set()
    statements.add_insert_sql("INSERT INTO kept SELECT k, COUNT(*) FROM a GROUP BY k")
    statements.add_insert_sql(
        "INSERT INTO firsts SELECT k, v FROM (SELECT k, v, ROW_NUMBER() OVER"
        " (PARTITION BY k ORDER BY v) AS r FROM a) WHERE r <= 3"
    )
    return statements.execute()
