# ruff: noqa: B023, PLW0603 - each closure is called before its loop goes on
"""Million rows a second of every kernel: ``python benchmarks/micro_kernels.py``.

Best of several passes over 32,768-row batches on one thread; ``--quick`` runs fewer passes.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pyarrow as pa

from lesto.kernels import aggregate as agg
from lesto.kernels.hashing import hash_column, hash_columns, hash_value, hash_values
from lesto.kernels.index import HashIndex
from lesto.kernels.keygroups import channels, key_groups
from lesto.kernels.partition import partition, split_batch, take_batch
from lesto.kernels.timestamps import max_ts
from lesto.kernels.windows import hop, late_mask, sessions, tumble

ROWS = 32_768
BATCHES = 32
RNG = np.random.default_rng(7)
PASSES = 5


def report(name: str, call: Callable[[int], object], rows: int = ROWS) -> None:
    """Time ``call(batch number)`` and print the best pass."""
    call(0)
    best = min(_pass(call) for _ in range(PASSES))
    print(f"{name:44s} {rows * BATCHES / best / 1e6:10.1f}")


def _pass(call: Callable[[int], object]) -> float:
    start = time.perf_counter()
    for i in range(BATCHES):
        call(i)
    return time.perf_counter() - start


def startup() -> None:
    """Import and load times in a fresh process; everything is on disk after the first."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import time, numpy, pyarrow\n"
        "a = time.perf_counter(); import lesto.kernels.index, lesto.kernels.partition\n"
        "b = time.perf_counter(); import numba; c = time.perf_counter()\n"
        "n = lesto.kernels.warm(); d = time.perf_counter()\n"
        "print(f'import ours {b - a:.3f} s, numba {c - b:.3f} s, warm({n}) {d - c:.3f} s')"
    )
    for label in ("first", "cached"):
        done = subprocess.run(
            [sys.executable, "-c", code, sys.path[0]], capture_output=True, text=True, check=True
        )
        print(f"{label + ':':8s} {done.stdout.strip()}")


def hashing() -> None:
    numbers = [pa.array(RNG.integers(0, 10**6, ROWS)) for _ in range(BATCHES)]
    texts = [_short(RNG.integers(0, 10**5, ROWS)) for _ in range(BATCHES)]
    long = [_long(RNG.integers(0, 10**5, ROWS)) for _ in range(BATCHES)]
    floats = [a.cast(pa.float64()) for a in numbers]
    nulls = [pa.array(a.to_numpy(), mask=RNG.random(ROWS) < 0.1) for a in numbers]
    dictionaries = [a.dictionary_encode() for a in texts]
    values = [a.to_pylist() for a in texts]
    report("hash_column int64", lambda i: hash_column(numbers[i]))
    report("hash_column int64, 10 % null", lambda i: hash_column(nulls[i]))
    report("hash_column float64", lambda i: hash_column(floats[i]))
    report("hash_column string(10)", lambda i: hash_column(texts[i]))
    report("hash_column string(22)", lambda i: hash_column(long[i]))
    report("hash_column dictionary", lambda i: hash_column(dictionaries[i]))
    report("hash_columns string(10), int64", lambda i: hash_columns([texts[i], numbers[i]]))
    report("hash_values list of str", lambda i: hash_values(values[i]))
    report("hash_value str, one by one", lambda i: [hash_value(v) for v in values[i][:500]], 500)
    hashes = [hash_column(a) for a in texts]
    report("key_groups", lambda i: key_groups(hashes[i], 128))
    report("channels", lambda i: channels(hashes[i], 128, 4))


def exchange() -> None:
    def batch(null: float) -> pa.RecordBatch:
        mask = RNG.random(ROWS) < null
        text = pa.array(_short(RNG.integers(0, 10**5, ROWS)).to_numpy(False), mask=mask)
        two = [pa.array(RNG.integers(0, 9, ROWS), mask=mask) for _ in range(2)]
        return pa.record_batch([text, *two], names=["s", "a", "b"])

    for label, null in (("", 0.0), (", 10 % null", 0.1)):
        batches = [batch(null) for _ in range(BATCHES)]
        owners = [channels(hash_column(b["s"]), 128, 4) for b in batches]
        orders = [partition(c, 4)[0] for c in owners]
        arrow = [pa.array(o) for o in orders]
        if not null:
            report("partition into 4", lambda i: partition(owners[i], 4))
        report(f"pyarrow take (string, 2 int64){label}", lambda i: batches[i].take(arrow[i]))
        report(f"take_batch (same){label}", lambda i: take_batch(batches[i], orders[i]))
        report(f"split_batch (same){label}", lambda i: split_batch(batches[i], owners[i], 4))


def index() -> None:
    makers: dict[str, Callable[[np.ndarray], list[pa.Array]]] = {
        "int64": lambda v: [pa.array(v)],
        "string(10)": lambda v: [_short(v)],
        "string(22)": lambda v: [_long(v)],
        "string(10), int64": lambda v: [_short(v), pa.array(v)],
    }
    for size in (1_000, 100_000, 1_000_000):
        for name, make in makers.items():
            if size > 100_000 and name == "string(10), int64":
                continue
            batches = [make(RNG.integers(0, size, ROWS)) for _ in range(BATCHES)]
            hashes = [hash_columns(b) for b in batches]
            every = make(np.arange(size))
            every_hash = hash_columns(every)
            for spaced in (False, True):
                table = HashIndex([a.type for a in every], namespaced=spaced)
                spaces = np.zeros(ROWS, np.int64) if spaced else None
                start = time.perf_counter()
                slots, _ = table.lookup_or_insert(
                    every, every_hash, np.zeros(size, np.int64) if spaced else None
                )
                insert = size / (time.perf_counter() - start) / 1e6
                label = f"index {name}{' + window' if spaced else ''}, {size // 1000} k keys"
                report(label, lambda i: table.lookup_or_insert(batches[i], hashes[i], spaces))
                start = time.perf_counter()
                table.keys(slots)
                keys = size / (time.perf_counter() - start) / 1e6
                start = time.perf_counter()
                table.remove(slots)
                remove = size / (time.perf_counter() - start) / 1e6
                print(f"{'':8s}fill {insert:.1f}, keys {keys:.1f}, remove {remove:.1f}")


def aggregates() -> None:
    places = 100_000
    slots = [RNG.integers(0, places, ROWS) for _ in range(BATCHES)]
    acc, seen = np.zeros(places, np.int64), np.zeros(places, np.uint8)
    dirty, values = np.zeros(places, np.uint8), RNG.integers(-99, 99, ROWS)
    valid = (RNG.random(ROWS) > 0.1).view(np.uint8)
    report("count, 100 k slots", lambda i: agg.accumulate_count(slots[i], None, acc, dirty))
    report("running count", lambda i: agg.running_count(slots[i], None, acc, dirty))
    for op in ("sum", "min", "max", "first", "last"):
        report(op, lambda i: agg.accumulate(op, slots[i], values, None, acc, seen, dirty))
    report(
        "sum, 10 % null", lambda i: agg.accumulate("sum", slots[i], values, valid, acc, seen, dirty)
    )
    for op in ("sum", "max"):
        report(f"running {op}", lambda i: agg.running(op, slots[i], values, None, acc, seen, dirty))


def windows() -> None:
    ordered = np.cumsum(RNG.integers(0, 5, ROWS))
    mixed = RNG.permutation(ordered)
    keys = RNG.integers(0, 100, ROWS)
    column = pa.array(mixed)
    report("tumble, times in order", lambda i: tumble(ordered, 1000))
    report("tumble, random times", lambda i: tumble(mixed, 1000))
    report("hop, 5 windows a row (rows in)", lambda i: hop(mixed, 1000, 200))
    report("late_mask", lambda i: late_mask(mixed, 1000, 0, 5000))
    report("sessions", lambda i: sessions(keys, mixed, 10))
    report("max_ts", lambda i: max_ts(column))


def _short(numbers: np.ndarray) -> pa.Array:
    return pa.array([f"key{i:07d}" for i in numbers])


def _long(numbers: np.ndarray) -> pa.Array:
    return pa.array([f"a-longer-key-{i:09d}" for i in numbers])


def main() -> None:
    global PASSES
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    PASSES = 2 if parser.parse_args().quick else 5
    pa.set_cpu_count(1)
    startup()
    print(f"\n{'kernel':44s} {'M rows/s':>10s}")
    for part in (hashing, exchange, index, aggregates, windows):
        part()


if __name__ == "__main__":
    main()
