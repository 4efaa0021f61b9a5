"""Million rows a CPU second of a row table: ``python benchmarks/micro_row_table.py``.

Rows of five columns (two BIGINT, DOUBLE, a text of 8 bytes, TIMESTAMP) in batches of 16,384, on one
thread: a million with 100,000 keys, 10 million with 10 million keys, and those again with 256 MB of
memory, the rest in files. ``--quick`` leaves out the last.
"""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pyarrow as pa

from lesto.kernels.jit import warm
from lesto.state.row_memory import Budget, TableMemory
from lesto.state.row_table import RowTable, RowTableDescriptor

BATCH = 16_384
#: Rows that are looked up, taken, found, removed.
SOME = 1_000_000
RNG = np.random.default_rng(7)
SCHEMA = pa.schema(
    [
        ("k", pa.int64()),
        ("n", pa.int64()),
        ("x", pa.float64()),
        ("s", pa.string()),
        ("t", pa.timestamp("ms")),
    ]
)


def made(rows, keys):
    """Batches; keys at random, or each once in scattered order."""
    order = RNG.permutation(rows) if keys == rows else RNG.integers(0, keys, rows)
    texts = pa.array([f"text-{i % 1000:03}" for i in range(BATCH)])
    for at in range(0, rows, BATCH):
        n = min(BATCH, rows - at)
        numbers = np.arange(at, at + n)
        columns = [pa.array(order[at : at + n]), pa.array(numbers), pa.array(RNG.random(n))]
        columns += [texts.slice(0, n), pa.array(numbers).cast(pa.timestamp("ms"))]
        yield pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def timed(call, parts):
    """What the call gives for each part, and rows a CPU second."""
    begun = time.process_time()
    found = [call(part) for part in parts]
    return found, time.process_time() - begun


def measure(rows, keys, mib):
    batches = list(made(rows, keys))
    memory = TableMemory(Budget(mib << 20))
    table = RowTable(RowTableDescriptor("rows", SCHEMA, (0,)), max_parallelism=128, memory=memory)
    ids, seconds = timed(table.add, batches)
    figures = {"add": rows / seconds}
    some = RNG.permutation(len(batches))[: SOME // BATCH]
    looked = [batches[i] for i in some]
    met, seconds = timed(lambda batch: table.matches([batch.column(0)]), looked)
    pairs = sum(len(found) for _, found in met)
    figures["matches"] = pairs / seconds
    scattered = [RNG.permutation(rows)[:BATCH] for _ in range(20)]
    every = np.concatenate(ids)
    _, seconds = timed(lambda at: table.take(every[at]), scattered)
    figures["take, scattered"] = 20 * BATCH / seconds
    _, seconds = timed(lambda i: table.take(ids[i]), some)
    figures["take"] = len(some) * BATCH / seconds
    _, seconds = timed(table.find, looked)
    figures["find"] = len(some) * BATCH / seconds
    _, seconds = timed(lambda i: table.remove(ids[i]), some)
    figures["remove"] = len(some) * BATCH / seconds
    _, seconds = timed(lambda _: table.take_changes(), [None])
    figures["changes"] = len(table) / seconds
    print(
        f"{rows / 1e6:3.0f} M rows, {keys / 1e6:4.1f} M keys, {mib:5} MiB: "
        + ", ".join(f"{name} {rate / 1e6:.1f}" for name, rate in figures.items())
        + f"; {table.nbytes / rows:.0f} bytes a row, {table.held >> 20} MiB held",
        flush=True,
    )


def main():
    warm(("hashing", "rows", "rowbytes", "rowindex", "hashindex"))
    measure(1_000_000, 100_000, 4_096)
    measure(10_000_000, 10_000_000, 4_096)
    if "--quick" not in sys.argv:
        measure(10_000_000, 10_000_000, 256)


if __name__ == "__main__":
    main()
