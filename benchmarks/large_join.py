"""A join whose state is larger than the memory it may have, on an embedded cluster of one slot.

    python benchmarks/large_join.py                 20 M rows, 256 MB: the rows, indices and all
    python benchmarks/large_join.py --rows 2000000 --cache-mib 32
    python benchmarks/large_join.py --cache-mib 8192            all of it in memory

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

from cpu import CpuSampler, tree
from instruments import _status_kib, facts, is_slot, peak_rss_bytes

from lesto.table import EnvironmentSettings, TableEnvironment

SAMPLE_SECONDS = 0.1
RESULTS = Path(__file__).resolve().parent / "results" / "large_join.jsonl"
#: Primes: keys are i * p modulo the rows of a side, another order on each.
SCATTER = (7_919_000_003, 104_729_000_039)


class Sampler(threading.Thread):
    """Peak memory of slots."""

    def __init__(self):
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self.resident, self.anonymous = {}, {}

    def run(self):
        while not self._ended.wait(SAMPLE_SECONDS):
            for pid in filter(is_slot, tree(os.getpid())):
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


def job(table, side):
    """The one row of results."""
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


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--cache-mib", type=int, default=256)
    parser.add_argument("--backend", default="rocksdb")
    parser.add_argument("--checkpoint-ms", type=int, default=10_000)
    parser.add_argument("--no-record", action="store_true", help="print only")
    args = parser.parse_args()
    record, side = facts(), args.rows // 2
    folder = Path(tempfile.mkdtemp(prefix="large-join-"))
    cpu, sampler = CpuSampler(), Sampler()
    cpu.start()
    sampler.start()
    try:
        begun = time.monotonic()
        found = job(environment(args, folder), side)
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
