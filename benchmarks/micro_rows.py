"""Row operators alone, one core: ns a row without source, exchange and sink.

Run: PYTHONPATH=tests/support python benchmarks/micro_rows.py [--keys N] [--rows N] [name ...]
CPU time is what counts on a busy machine; wall time stands beside it. Few keys show the cost of the
code, many keys that of cache misses as well.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from operator_harness import Harness

from lesto.common.elements import RowBatch
from lesto.common.functions import AggregateFunction, KeyedProcessFunction
from lesto.common.keys import KeySpec
from lesto.common.windowing import (
    EventTimeSessionWindows,
    SlidingEventTimeWindows,
    TumblingEventTimeWindows,
)
from lesto.state.descriptors import ValueStateDescriptor
from lesto.taskmanager.operators.base import Operator
from lesto.taskmanager.operators.keyed import (
    KeyedFieldAggregateOperator,
    KeyedProcessOperator,
    KeyedReduceOperator,
)
from lesto.taskmanager.operators.stateless import MapOperator
from lesto.taskmanager.operators.window import WindowOperator

BATCH_ROWS = 16_384
MINUTE_MS = 60_000
KEY = KeySpec(selector=lambda v: v[0])


class RunningSum(KeyedProcessFunction):
    def open(self, runtime_context):
        self.total = runtime_context.get_state(ValueStateDescriptor("total"))

    def process_element(self, value, ctx):
        total = (self.total.value() or 0) + value[1]
        self.total.update(total)
        yield value[0], total


class Count(AggregateFunction):
    def create_accumulator(self):
        return 0

    def add(self, value, accumulator):
        return accumulator + 1

    def get_result(self, accumulator):
        return accumulator

    def merge(self, acc_a, acc_b):
        return acc_a + acc_b


class Discard:
    """An output that counts rows and drops them."""

    rows = 0

    def emit(self, batch):
        self.rows += len(batch)

    def emit_side(self, tag, batch):
        self.rows += len(batch)

    def emit_watermark(self, timestamp):
        pass

    def emit_status(self, idle):
        pass


def window(assigner: Any, lateness_ms: int = 0) -> Callable[[], Operator]:
    return lambda: WindowOperator(
        KEY, assigner, allowed_lateness_ms=lateness_ms, aggregate_fn=Count()
    )


CASES: dict[str, Callable[[], Operator]] = {
    "map": lambda: MapOperator(lambda v: (v[0], v[1] + 1)),
    "process": lambda: KeyedProcessOperator(RunningSum(), KEY),
    "reduce": lambda: KeyedReduceOperator(lambda a, b: (a[0], a[1] + b[1]), KEY),
    "sum": lambda: KeyedFieldAggregateOperator("sum", 1, KEY),
    "tumbling": window(TumblingEventTimeWindows.of(MINUTE_MS)),
    "sliding": window(SlidingEventTimeWindows.of(MINUTE_MS, MINUTE_MS // 3)),
    "lateness": window(TumblingEventTimeWindows.of(MINUTE_MS), 1_000),
    "session": window(EventTimeSessionWindows.with_gap(MINUTE_MS // 6)),
}


def run(name: str, backend: str, batches: list[tuple[list[Any], Any]], directory: Path) -> None:
    h = Harness(CASES[name](), directory, backend=backend, open=False)
    h.operator.setup(h.context, Discard())
    h.operator.open()
    rows = sum(len(values) for values, _ in batches)
    cpu, wall = time.process_time(), time.perf_counter()
    for values, times in batches:
        h.operator.process_batch(RowBatch(values, times))
        h.operator.process_watermark(int(times[-1]) - 1)
    h.operator.process_watermark(2**63 - 1)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    rate = rows / cpu / 1e6
    print(
        f"{name:10s} {backend:8s} {rate:6.2f} M rows/s of CPU"
        f"  {cpu / rows * 1e9:7.0f} ns/row CPU  {wall / rows * 1e9:7.0f} wall",
        flush=True,
    )
    h.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(CASES))
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    keys = [f"key-{i}" for i in range(options.keys)]
    picked = np.random.default_rng(1).integers(0, options.keys, options.rows).tolist()
    values = [(keys[k], i % 1000) for i, k in enumerate(picked)]
    times = np.arange(options.rows, dtype=np.int64) // 10
    batches = [
        (values[i : i + BATCH_ROWS], times[i : i + BATCH_ROWS])
        for i in range(0, options.rows, BATCH_ROWS)
    ]
    with tempfile.TemporaryDirectory() as directory:
        for backend in ("hashmap", "rocksdb"):
            for name in options.names:
                run(name, backend, batches, Path(directory))


if __name__ == "__main__":
    main()
