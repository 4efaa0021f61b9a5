"""A join whose state is larger than the memory it may have, on an embedded cluster of one slot.

    python benchmarks/large_join.py                 20 M rows, 256 MB: the rows, indices and all
    python benchmarks/large_join.py --rows 2000000 --cache-mib 32
    python benchmarks/large_join.py --cache-mib 8192            all of it in memory
    python benchmarks/large_join.py --operator                  the join alone, in one process

Two streams of half the rows each, whose keys are 0 to n - 1 in scattered and different orders: each
row finds one partner. Behind the join the pairs are counted, and their numbers added up, so that a
wrong result is an error. A checkpoint every 10 s. Prints one line of JSON: seconds, rows a second,
CPU, and the slot's peak memory: all that was resident, and what is no page of a file.
"""

import argparse
import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))

import numpy as np
import pyarrow as pa
from cpu import CpuSampler, tree
from instruments import _status_kib, facts, is_slot, peak_rss_bytes

from lesto.common.elements import ColumnarBatch
from lesto.table import EnvironmentSettings, TableEnvironment

SAMPLE_SECONDS = 0.1
BATCH = 16_384
RESULTS = Path(__file__).resolve().parent / "results" / "large_join.jsonl"
#: Primes: keys are i * p modulo the rows of a side, another order on each.
SCATTER = (7_919_000_003, 104_729_000_039)


class Sampler(threading.Thread):
    """Peak memory of processes."""

    def __init__(self, chosen):
        super().__init__(daemon=True)
        self._chosen = chosen
        self._ended = threading.Event()
        self.resident, self.anonymous = {}, {}

    def run(self):
        while not self._ended.wait(SAMPLE_SECONDS):
            for pid in filter(self._chosen, tree(os.getpid())):
                self.resident[pid] = max(self.resident.get(pid, 0), peak_rss_bytes(pid))
                now = _status_kib(pid, "status", "RssAnon") * 1024
                self.anonymous[pid] = max(self.anonymous.get(pid, 0), now)

    def stop(self):
        self._ended.set()
        self.join()


def environment(args, folder):
    table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for key, value in {
        "parallelism.default": "1",
        "state.backend.type": args.backend,
        "state.backend.lesto.table-cache": f"{args.cache_mib} mb",
        "state.backend.local-dir": str(folder / "local"),
        "execution.checkpointing.interval": f"{args.checkpoint_ms} ms",
        "execution.checkpointing.dir": f"file://{folder}/checkpoints",
    }.items():
        table.get_config().set(key, value)
    return table


def job(args, folder, side):
    """The one row of results, of a query on a cluster."""
    table = environment(args, folder)
    for name in ("a", "b"):
        table.execute_sql(f"""
            CREATE TABLE {name} (i BIGINT, amount DOUBLE, note STRING) WITH (
              'connector' = 'datagen', 'number-of-rows' = '{side}', 'fields.i.kind' = 'sequence',
              'fields.i.start' = '0', 'fields.i.end' = '{side - 1}', 'fields.note.length' = '30')
        """)
    one, other = (
        f"SELECT MOD(i * {p % side}, {side}) AS k, i, amount, note FROM {name}"
        for p, name in zip(SCATTER, "ab", strict=True)
    )
    result = table.execute_sql(f"""
        SELECT COUNT(*), SUM(x.i + y.i), COUNT(x.note || y.note)
        FROM ({one}) x JOIN ({other}) y ON x.k = y.k
    """)
    with result.collect() as rows:
        return tuple(list(rows)[-1])


def batches(side, index):
    """The rows of a side, as its source would make them."""
    texts = pa.array([f"note {i:025}" for i in range(BATCH)])
    for at in range(0, side, BATCH):
        numbers = np.arange(at, min(side, at + BATCH))
        columns = [pa.array(numbers * (SCATTER[index] % side) % side), pa.array(numbers)]
        columns += [pa.array(numbers * 0.5), texts.slice(0, len(numbers))]
        yield pa.RecordBatch.from_arrays(columns, names=["k", "i", "amount", "note"])


def operator(args, folder, side):
    """Pairs and the sum of their numbers, from the operator by itself."""
    from lesto.sql.settings import SqlSettings
    from lesto.state import row_memory
    from lesto.taskmanager.operators.sql.join import JoinOperator
    from lesto.taskmanager.operators.sql.join_sides import JoinSide
    from tests.support.operator_harness import Harness

    row_memory.PROCESS.total_bytes = args.cache_mib << 20
    schema = next(batches(1, 0)).schema
    both = pa.schema([(f"{field.name}{i}", field.type) for i in (0, 1) for field in schema])
    one = JoinSide((0,), 4)
    join = JoinOperator(SqlSettings(), one, one, None, both, True, False, 0)
    harness = Harness(join, folder, backend=args.backend, open=False)
    harness.context.input_schemas = (schema, schema)
    given = []
    harness.output.emit = given.append  # the harness would keep everything
    join.open()
    count = total = 0
    checkpoint = time.monotonic()
    for pair in zip(batches(side, 0), batches(side, 1), strict=True):
        for index, data in enumerate(pair):
            join.process_batch(ColumnarBatch(data), index)
            while join.busy:
                join.poll()
        for batch in given:
            count += len(batch)
            total += sum(batch.data[name].sum().as_py() for name in ("i0", "i1"))
        given.clear()
        if args.checkpoint_ms and time.monotonic() - checkpoint > args.checkpoint_ms / 1000:
            harness.snapshot()
            checkpoint = time.monotonic()
    harness.close()
    return count, total, count


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--cache-mib", type=int, default=256)
    parser.add_argument("--backend", default="rocksdb")
    parser.add_argument("--checkpoint-ms", type=int, default=10_000)
    parser.add_argument("--operator", action="store_true", help="no cluster, no SQL")
    parser.add_argument("--no-record", action="store_true", help="print only")
    args = parser.parse_args()
    record, side = facts(), args.rows // 2
    folder = Path(tempfile.mkdtemp(prefix="large-join-"))
    cpu, sampler = CpuSampler(), Sampler((lambda _: True) if args.operator else is_slot)
    cpu.start()
    sampler.start()
    try:
        begun = time.monotonic()
        found = operator(args, folder, side) if args.operator else job(args, folder, side)
        ended = time.monotonic()
    finally:
        sampler.stop()
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)
    wanted = (side, side * (side - 1), side)
    if found != wanted:
        sys.exit(f"the join gave {found}, not {wanted}")
    seconds = ended - begun
    record |= {
        "rows": args.rows,
        "cache_mib": args.cache_mib,
        "backend": args.backend,
        "of": "operator" if args.operator else "query",
        "seconds": round(seconds, 1),
        "rows_per_second": round(args.rows / seconds),
        "cpu_us_per_row": round(cpu.between(begun, ended) * 1e6 / args.rows, 3),
        "slot_peak_mib": round(sum(sampler.resident.values()) / 2**20),
        "slot_peak_anonymous_mib": round(sum(sampler.anonymous.values()) / 2**20),
        "load_after": round(os.getloadavg()[0], 2),
    }
    print(json.dumps(record))
    if not args.no_record:
        with RESULTS.open("a") as file:
            file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
