"""Throughput of pipelines, in columns and as row-wise Python functions.

    python benchmarks/pipelines.py running_sum --form columnar --rows 10000000

Two slots, RocksDB, exactly-once checkpoints, a hash exchange between the slots, a sink that drops.
One line of JSON: rows/s count from the first record made to the end of the job, final checkpoint
included. ``--profile`` samples the slots with py-spy and prints where their time goes.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))

from cpu import CpuSampler, tree
from instruments import (
    KEYS,
    WINDOW_SECONDS,
    CountingSink,
    Notes,
    StampedSource,
    is_slot,
    peak_rss_bytes,
    sink_totals,
)

from lesto.common import Configuration, Time, WatermarkStrategy
from lesto.common.expressions import col, count
from lesto.datastream import AggregateFunction, KeyedProcessFunction, StreamExecutionEnvironment
from lesto.datastream.state import ValueStateDescriptor
from lesto.datastream.window import TumblingEventTimeWindows

#: The last two are of Python functions alone.
JOBS = ("running_sum", "window_count", "keyed_reduce", "process_timer")
PARALLELISM = 2
POLL_SECONDS = 0.2
VALUE_MEAN = 49.5
SUM_TOLERANCE = 0.005
PATH_BEFORE_ROOM = re.compile(r"\(.*?(?=lesto/|site-packages/)")


class RunningSum(KeyedProcessFunction):
    """One ValueState, read and written for every record."""

    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("sum"))

    def process_element(self, record, ctx):
        total = (self.total.value() or 0) + record.value
        self.total.update(total)
        yield total


class MinuteTotal(KeyedProcessFunction):
    """One ValueState and one timer a key and minute, asked for with every record."""

    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("total"))

    def process_element(self, record, ctx):
        self.total.update((self.total.value() or 0) + record[1])
        ctx.timer_service().register_event_time_timer(record[2] - record[2] % 60_000 + 60_000)

    def on_timer(self, timestamp, ctx):
        total = self.total.value()
        if total is not None:
            yield total
            self.total.clear()


class Count(AggregateFunction):
    """Counts, in Python."""

    def create_accumulator(self):
        return 0

    def add(self, record, accumulator):
        return accumulator + 1

    def get_result(self, accumulator):
        return accumulator

    def merge(self, a, b):
        return a + b


def build(env, args, folder):
    """The pipeline; the name of the column that the sink adds up."""
    strategy = WatermarkStrategy.for_monotonous_timestamps().with_timestamp_column("at")
    records = env.from_source(StampedSource(folder, rows=args.rows), strategy, "records")
    keyed = records.key_by((lambda record: record[0]) if args.selector else "key")
    if args.job == "keyed_reduce":
        results = keyed.reduce(lambda a, b: (a[0], a[1] + b[1], b[2]))
        results.sink_to(CountingSink(folder, field=1))
        return
    if args.job == "process_timer":
        keyed.process(MinuteTotal()).sink_to(CountingSink(folder))
        return
    if args.job == "running_sum":
        if args.form == "columnar":
            results = keyed.agg(col("value").sum().alias("result"))
        else:
            results = keyed.process(RunningSum())
    else:
        windows = keyed.window(TumblingEventTimeWindows.of(Time.seconds(WINDOW_SECONDS)))
        if args.form == "columnar":
            results = windows.agg(count().alias("result"))
        else:
            results = windows.aggregate(Count())
    results.sink_to(CountingSink(folder, "result"))


def configuration(args, folder):
    """Settings of the job, of which all but directories and parallelism are the defaults."""
    return Configuration.from_dict(
        {
            "parallelism.default": str(PARALLELISM),
            "state.backend.type": args.backend,
            "execution.checkpointing.interval": f"{args.interval} s",
            "execution.checkpointing.mode": "EXACTLY_ONCE",
            "execution.checkpointing.dir": f"{folder}/checkpoints",
            **dict(option.split("=", 1) for option in args.option),
        }
    )


class Profiler:
    """py-spy beside each slot."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.running = []

    def start(self, pids):
        """Begin sampling."""
        for pid in pids:
            output = self.folder / f"stacks-{pid}"
            command = ["py-spy", "record", "--pid", str(pid), "--format", "raw", "--output"]
            command += [str(output), "--rate", "200", "--duration", "36000", "--nonblocking"]
            environment = {
                **os.environ,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            }
            self.running.append(
                (subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                  env=environment), output)
            )  # fmt: skip

    def report(self, lines):
        """Text: where the mailbox threads are, by line alone and by function with what it calls.

        Sampling does not stop the process, so a few stacks are torn: those without a known root and
        those of I/O threads are only counted.
        """
        alone, inclusive, mailbox, others = Counter(), Counter(), 0, 0
        for process, output in self.running:
            process.wait(30)
            for line in output.read_text().splitlines():
                stack, _, samples = line.rpartition(" ")
                _, found, below = stack.partition("Mailbox.run (")
                if not found:
                    others += int(samples)
                    continue
                mailbox += int(samples)
                frames = [PATH_BEFORE_ROOM.sub("(", frame) for frame in below.split(";")[1:]]
                alone[frames[-1] if frames else "Mailbox.run"] += int(samples)
                for function in {frame.rpartition(":")[0] for frame in frames}:
                    inclusive[function + ")"] += int(samples)
        text = [f"{mailbox} samples of mailbox threads, {others} of others"]
        for title, counter in (("lines alone", alone), ("functions with calls", inclusive)):
            text.append(f"--- {title}, % of the mailbox threads' time")
            text += [f"{100 * n / mailbox:6.1f}  {f}" for f, n in counter.most_common(lines)]
        return "\n".join(text)


def run(args, folder):
    """Run once; the measurement."""
    env = StreamExecutionEnvironment(configuration(args, folder))
    build(env, args, folder)
    notes = Notes(folder)
    sampler = CpuSampler()
    sampler.start()
    job = env.execute_async(f"{args.job} {args.form}")
    peak, profiler = {}, Profiler(folder)
    waiting = job.get_job_execution_result()
    while not waiting.done():
        slots = [pid for pid in tree(os.getpid()) if is_slot(pid)]
        peak.update({pid: size for pid in slots if (size := peak_rss_bytes(pid))})
        if args.profile and not profiler.running and notes.read("first"):
            profiler.start(slots)
        time.sleep(POLL_SECONDS)
    details = waiting.result().details
    end = time.monotonic() - (time.time() - details.summary.end_time_ms / 1000)
    sampler.stop()
    job.close()
    first = min(notes.read("first"))
    records, total, last = sink_totals(notes)
    result = {
        "engine": f"lesto-{args.form}",
        "job": args.job,
        "rows": args.rows,
        "seconds": round(end - first, 3),
        "seconds_to_last_output": round(last - first, 3),
        "rows_per_second": round(args.rows / (end - first)),
        "cpu_seconds": round(sampler.between(first, end), 2),
        "outputs": records,
        "output_total": total,
        "peak_rss_mib": round(sum(peak.values()) / 2**20),
        "checkpoints": details.checkpoints.completed,
        "restarts": details.summary.restarts,
    }
    if args.profile:
        print(profiler.report(args.profile), file=sys.stderr)
    return result


def check(result, job):
    """A figure counts only if the result is right.

    The total of all running sums depends a little on the order in which the records meet, and
    on chance: with r records of k keys it is near 49.5 (r + r (r - 1) / 2 k).
    """
    rows = result["rows"]
    if job == "window_count":
        right = result["output_total"] == rows
    elif job == "process_timer":
        right = abs(result["output_total"] / (VALUE_MEAN * rows) - 1) < SUM_TOLERANCE
    else:
        expected = VALUE_MEAN * (rows + rows * (rows - 1) / (2 * KEYS))
        close = abs(result["output_total"] / expected - 1) < SUM_TOLERANCE
        right = result["outputs"] == rows and close
    if not right or result["restarts"]:
        sys.exit(f"wrong result: {result}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", choices=JOBS)
    parser.add_argument("--form", choices=["columnar", "rows"], default="columnar")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--interval", default="10", help="seconds between checkpoints")
    parser.add_argument("--backend", choices=["rocksdb", "hashmap"], default="rocksdb")
    parser.add_argument("--selector", action="store_true", help="key by a Python function")
    parser.add_argument("--option", "-D", action="append", default=[], help="key=value")
    parser.add_argument(
        "--profile", type=int, nargs="?", const=40, default=0, help="sample; functions to print"
    )
    args = parser.parse_args()
    if args.form == "columnar" and (args.selector or args.job in JOBS[2:]):
        parser.error("this needs --form rows")
    with tempfile.TemporaryDirectory(prefix="lesto-bench-") as folder:
        result = run(args, folder)
    check(result, args.job)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
