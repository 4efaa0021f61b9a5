"""Million rows a second of columnar operators alone: ``python benchmarks/micro_columnar.py``.

One process, one thread, no exchange, source or sink; the record stream of the engine comparison:
100,000 string keys in scattered order, an int64, 10,000 records a second of event time, in batches
of 32,768 rows with a watermark after each. Also state tables' snapshots, and where the time goes.
"""

import argparse
import cProfile
import pstats
import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pyarrow as pa

import lesto.kernels
from lesto.common.elements import ColumnarBatch
from lesto.common.expressions import Expr, col, count
from lesto.common.metrics import MetricRegistry
from lesto.common.windowing import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from lesto.state.factory import create_backend
from lesto.taskmanager.operators.base import Operator
from lesto.taskmanager.operators.columnar.running import RunningAggregateOperator
from lesto.taskmanager.operators.columnar.select import FilterOperator, SelectOperator
from lesto.taskmanager.operators.columnar.window import WindowAggregateOperator

KEYS = 100_000
BATCH_ROWS = 32_768
RECORDS_PER_MS = 10
SCHEMA = pa.schema([("key", pa.string()), ("value", pa.int64())])


class Context:
    """What an operator sees of its task."""

    operator_name = "benchmark"
    input_schemas = [SCHEMA]

    def __init__(self, directory: str) -> None:
        self.metrics = MetricRegistry().group()
        self.backend = create_backend(
            "rocksdb",
            key_group_start=0,
            key_group_end=127,
            max_parallelism=128,
            local_dir=directory,
            cache_bytes=1 << 20,
        )

    def keyed_backend(self):
        return self.backend


class Count:
    """An output that counts rows."""

    rows = 0

    def emit(self, batch) -> None:
        self.rows += len(batch)

    def emit_watermark(self, timestamp) -> None:
        pass


def stream(n_batches: int) -> list[ColumnarBatch]:
    """The records; every batch has buffers of its own, as if it had come over the wire."""
    rng = np.random.default_rng(7)
    names = pa.array([f"key-{i:06d}" for i in range(KEYS)])
    batches = []
    for b in range(n_batches):
        keys = names.take(pa.array(rng.integers(0, KEYS, BATCH_ROWS)))
        values = pa.array(rng.integers(0, 1000, BATCH_ROWS))
        times = (np.arange(BATCH_ROWS) + b * BATCH_ROWS) // RECORDS_PER_MS
        batches.append(
            ColumnarBatch(pa.RecordBatch.from_arrays([keys, values], schema=SCHEMA), times)
        )
    return batches


def run(operator: Operator, batches: list[ColumnarBatch]) -> None:
    """One pass."""
    for batch in batches:
        operator.process_batch(batch)
        operator.process_watermark(int(batch.timestamps[-1]) - 1)


def measure(name: str, operator: Operator, batches: list[ColumnarBatch], args) -> None:
    """Best of the passes; event time goes on from one to the next."""
    with tempfile.TemporaryDirectory() as directory:
        context, output = Context(directory), Count()
        operator.setup(context, output)
        operator.open()
        best = (float("inf"), 0.0)
        later = int(batches[-1].timestamps[-1]) + 1
        rows = sum(map(len, batches))
        for turn in range(args.passes):
            shifted = [ColumnarBatch(b.data, b.timestamps + turn * later) for b in batches]
            cpu, started = time.process_time(), time.perf_counter()
            run(operator, shifted)
            wall = time.perf_counter() - started
            best = min(best, (wall, time.process_time() - cpu))
        wall, cpu = best
        print(f"{name:34s} {rows / wall / 1e6:8.1f} {rows / cpu / 1e6:14.1f} {output.rows:12,}")
        if args.profile:
            shifted = [ColumnarBatch(b.data, b.timestamps + args.passes * later) for b in batches]
            profile = cProfile.Profile()
            profile.runcall(run, operator, shifted)
            pstats.Stats(profile).sort_stats("tottime").print_stats(12)
        context.backend.close()


def tables() -> None:
    """Seconds of the synchronous part of snapshots."""
    from lesto.state.table import AccumulatorSpec, StateTable, TableDescriptor

    schema = pa.schema([("key", pa.string())])
    descriptor = TableDescriptor("t", schema, (AccumulatorSpec("s", "sum"),))
    table = StateTable(descriptor, max_parallelism=128)
    keys = pa.array([f"key-{i:07d}" for i in range(1_000_000)])
    table.upsert([keys])
    table.take_changes()
    for name, call in {
        "all_entries, 1,000,000 rows": table.all_entries,
        "take_changes, 100,000 dirty of 1 M": table.take_changes,
    }.items():
        best = float("inf")
        for _ in range(5):
            table.dirty[table.upsert([keys.slice(300_000, 100_000)])[0]] = 1
            started = time.perf_counter()
            call()
            best = min(best, time.perf_counter() - started)
        print(f"{name:44s} {best * 1e3:8.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=60)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--profile", action="store_true", help="show where each case spends")
    parser.add_argument("--only", default="", help="run cases whose name contains this")
    args = parser.parse_args()
    pa.set_cpu_count(1)
    lesto.kernels.warm()
    batches = stream(args.batches)
    one: list[Expr] = [col("value").sum()]
    several = [*one, count(), col("value").min(), col("value").max(), col("value").mean()]
    minute, half = 60_000, 30_000
    cases: dict[str, Operator] = {
        "filter (half passes)": FilterOperator(col("value") < 500),
        "select, 2 expressions": SelectOperator([col("key"), (col("value") * 2 + 1).alias("v")]),
        "running sum": RunningAggregateOperator(["key"], one),
        "running sum, input kept": RunningAggregateOperator(
            ["key"], [col("value").sum().alias("value")], keep_input=True
        ),
        "running sum count min max mean": RunningAggregateOperator(["key"], several),
        "tumbling 60 s count": WindowAggregateOperator(
            ["key"], TumblingEventTimeWindows(minute), [count()]
        ),
        "tumbling 60 s sum count min max mean": WindowAggregateOperator(
            ["key"], TumblingEventTimeWindows(minute), several
        ),
        "sliding 60 s every 30 s count": WindowAggregateOperator(
            ["key"], SlidingEventTimeWindows(minute, half), [count()]
        ),
        "session gap 5 s count": WindowAggregateOperator(
            ["key"], EventTimeSessionWindows(5_000), [count()]
        ),
    }
    print(f"{'operator':34s} {'M rows/s':>8s} {'M rows/CPU-s':>14s} {'rows out':>12s}")
    for name, operator in cases.items():
        if args.only in name:
            measure(name, operator, batches, args)
    if not args.only:
        tables()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak resident memory {peak:.0f} MiB")


if __name__ == "__main__":
    main()
