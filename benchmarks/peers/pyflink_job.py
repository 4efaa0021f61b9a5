"""The benchmarks' jobs on PyFlink: keyed state, timers and windows in Python, parallelism 2,
exactly-once.

python pyflink_job.py JOB --rows N [--mode process|thread] [--backend rocksdb]: prints one line of
JSON. Source, event time and sink are Java (``java/``), so that only what is asked about runs in
Python. Run ``setup`` first.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from cpu import CpuSampler
from pyflink.common import Configuration, Time, Types
from pyflink.datastream import DataStream, KeyedProcessFunction, StreamExecutionEnvironment
from pyflink.datastream.connectors.base import Sink
from pyflink.datastream.functions import AggregateFunction
from pyflink.datastream.state import ValueStateDescriptor
from pyflink.datastream.window import TumblingEventTimeWindows
from pyflink.java_gateway import get_gateway

JOBS = ("running_sum", "window_count", "keyed_reduce", "process_timer")
PARALLELISM = 2
JAR = Path(__file__).resolve().parents[2] / "build" / "peers" / "java" / "peers.jar"


class RunningSum(KeyedProcessFunction):
    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("sum", Types.LONG()))

    def process_element(self, record, ctx):
        total = (self.total.value() or 0) + record[1]
        self.total.update(total)
        yield total


class MinuteTotal(KeyedProcessFunction):
    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("total", Types.LONG()))

    def process_element(self, record, ctx):
        self.total.update((self.total.value() or 0) + record[1])
        ctx.timer_service().register_event_time_timer(record[2] - record[2] % 60_000 + 60_000)

    def on_timer(self, timestamp, ctx):
        total = self.total.value()
        if total is not None:
            yield total
            self.total.clear()


class Count(AggregateFunction):
    def create_accumulator(self):
        return 0

    def add(self, record, count):
        return count + 1

    def get_result(self, count):
        return count

    def merge(self, a, b):
        return a + b


def environment(args, checkpoints):
    config = Configuration()
    config.set_string("python.execution-mode", args.mode)
    config.set_string("restart-strategy.type", "none")
    config.set_string("state.backend.type", args.backend)
    config.set_string("execution.checkpointing.interval", f"{args.interval} s")
    config.set_string("execution.checkpointing.mode", "EXACTLY_ONCE")
    config.set_string("execution.checkpointing.dir", f"file://{checkpoints}")
    config.set_string("taskmanager.memory.managed.size", "1g")
    config.set_string("parallelism.default", str(PARALLELISM))
    env = StreamExecutionEnvironment.get_execution_environment(config)
    env.add_jars(f"file://{JAR}")
    return env


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--mode", choices=["process", "thread"], default="process")
    parser.add_argument("--backend", choices=["hashmap", "rocksdb"], default="hashmap")
    parser.add_argument("--interval", type=float, default=10, help="seconds between checkpoints")
    args = parser.parse_args()
    args.interval = f"{args.interval:g}"
    # Flink starts "python" from the PATH, where another one may be first.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    with tempfile.TemporaryDirectory(prefix="peers-pyflink-") as checkpoints:
        env = environment(args, checkpoints)
        jvm = get_gateway().jvm
        # What a reduce gives is of the type of its input: tuples there, for the sink's sake.
        make = jvm.RecordStream.tuples if args.job == "keyed_reduce" else jvm.RecordStream.rows
        records = DataStream(make(env._j_stream_execution_environment, args.rows, PARALLELISM))
        keyed = records.key_by(lambda record: record[0], key_type=Types.STRING())
        if args.job == "running_sum":
            results = keyed.process(RunningSum(), output_type=Types.LONG())
        elif args.job == "keyed_reduce":
            results = keyed.reduce(lambda a, b: (a[0], a[1] + b[1], b[2]))
        elif args.job == "process_timer":
            results = keyed.process(MinuteTotal(), output_type=Types.LONG())
        else:
            window = keyed.window(TumblingEventTimeWindows.of(Time.seconds(60)))
            results = window.aggregate(
                Count(), accumulator_type=Types.LONG(), output_type=Types.LONG()
            )
        results.sink_to(Sink(jvm.DropSink()))
        sampler = CpuSampler()
        sampler.start()
        env.execute(args.job)
        sampler.stop()

    # Java's nanoTime and Python's monotonic are the same clock on Linux.
    first, last = (jvm.Stopwatch.get(f"{name}_ns", 0) / 1e9 for name in ("first", "last"))
    print(
        json.dumps(
            {
                "engine": f"pyflink-{args.mode}-{args.backend}",
                "job": args.job,
                "rows": args.rows,
                "seconds": round(last - first, 3),
                "rows_per_second": round(args.rows / (last - first)),
                "cpu_seconds": round(sampler.between(first, last), 2),
                "outputs": jvm.Stopwatch.get("outputs", 0),
                "output_total": jvm.Stopwatch.get("output_total", 0),
            }
        )
    )


if __name__ == "__main__":
    main()
