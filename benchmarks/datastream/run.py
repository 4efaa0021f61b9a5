"""Row-wise Python functions on Lesto beside every Python peer and Flink's Java DataStream API.

    benchmarks/datastream/run             three jobs, all engines, in rounds: about 15 minutes
    benchmarks/datastream/run --quick     one round, small sizes: about 5 minutes

keyed_reduce: ``key_by(...).reduce(...)``. process_timer: a KeyedProcessFunction that reads and
writes a ValueState and asks for an event-time timer with each record. window_count: a tumbling
window of 60 s with an AggregateFunction. The same stream of 100,000 keys on all, parallelism 2,
RocksDB where there is one, a checkpoint every 10 s, exactly-once. Rates are to the last output.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from instruments import facts
from report import command_of, run
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).resolve().parent.parent / "results" / "datastream.jsonl"
JOBS = ("keyed_reduce", "process_timer", "window_count")
LESTO, JAVA = "lesto-rows", "flink-java-rocksdb"
PYTHON_PEERS = ("bytewax", "pyflink-thread-rocksdb", "pyflink-process-rocksdb")
#: Records of a run: (full, quick). Each engine gets what it needs some 5 to 20 s for.
ROWS = {
    LESTO: (8_000_000, 3_000_000),
    JAVA: (3_000_000, 800_000),
    "bytewax": (1_500_000, 300_000),
    "pyflink-thread-rocksdb": (40_000, 10_000),
    "pyflink-process-rocksdb": (8_000, 4_000),
}
#: Its windows are slower than all else it does.
BYTEWAX_WINDOW_ROWS = (400_000, 100_000)
#: Of the values, 0 to 99 by chance; how far that of the smallest run may be from it.
VALUE_MEAN, TOLERANCE = 49.5, 0.03
#: What Lesto's rows are to be of Flink's Java API on RocksDB, and of every Python peer.
AIM_JAVA, AIM_PYTHON = 1.0, 3.0


def rows_of(engine, job, args):
    """Records of one run, a multiple of the parallelism."""
    sizes = ROWS[engine]
    if (engine, job) == ("bytewax", "window_count"):
        sizes = BYTEWAX_WINDOW_ROWS
    return max(1, round(sizes[args.quick] * args.scale / 1000)) * 1000


def check(figure):
    """A figure counts only if the result is right.

    Raises:
        ValueError: it is not.
    """
    rows, job = figure["rows"], figure["job"]
    if job == "keyed_reduce":
        right = figure["outputs"] == rows
    elif job == "process_timer":  # each value is in one total
        right = abs(figure["output_total"] / (VALUE_MEAN * rows) - 1) < TOLERANCE
    else:  # Bytewax may drop what its processes drift apart
        right = figure["output_total"] == rows or figure["engine"] == "bytewax"
    if not right:
        msg = f"wrong result: {figure}"
        raise ValueError(msg)


def measure(console, args):
    """Figures of all rounds, and what failed."""
    figures, failures = [], []
    for number in range(args.rounds):
        for job in args.job or JOBS:
            for engine in args.engine or ROWS:
                rows = rows_of(engine, job, args)
                title = f"round {number + 1}/{args.rounds} {engine} {job} {rows:,}"
                try:
                    (figure,) = run(command_of(engine, job, rows))
                    check(figure)
                except (RuntimeError, subprocess.TimeoutExpired, OSError, ValueError) as error:
                    failures.append({"benchmark": title, "error": str(error)[-1500:]})
                    console.print(f"[red]failed[/red] {title}\n{error}", highlight=False)
                    continue
                # To the last output: Flink would wait for its last checkpoint up to 10 s.
                seconds = figure.get("seconds_to_last_output", figure["seconds"])
                figure["rows_per_second"] = round(rows / seconds)
                figure["cpu_us_per_record"] = round(figure["cpu_seconds"] / rows * 1e6, 3)
                figures.append(figure)
                console.print(
                    f"  {title}: {figure['rows_per_second']:,} records/s, "
                    f"{figure['cpu_us_per_record']} CPU us/record, load {figure['load']}",
                    highlight=False,
                )
    return figures, failures


def medians(figures, job):
    """Engine to (records/s, CPU microseconds a record, runs)."""
    found = {}
    for engine in ROWS:
        runs = [f for f in figures if f["job"] == job and f["engine"] == engine]
        if runs:
            rate = statistics.median(f["rows_per_second"] for f in runs)
            found[engine] = rate, statistics.median(f["cpu_us_per_record"] for f in runs), len(runs)
    return found


def table_of(job, found):
    """One job on all engines; ratios are Lesto's, of wall time and of CPU time."""
    table = Table(title=job, title_justify="left")
    for name in ("engine", "records/s", "CPU us/record", "runs", "Lesto x", "of CPU", "aim"):
        table.add_column(name, justify="left" if name == "engine" else "right", no_wrap=True)
    own = found.get(LESTO)
    for engine, (rate, cpu, runs) in sorted(found.items(), key=lambda item: -item[1][0]):
        cells = [engine, f"{rate:,.0f}", f"{cpu:.3g}", str(runs)]
        if own is None or engine == LESTO:
            cells += ["", "", ""]
        else:
            aim = AIM_JAVA if engine == JAVA else AIM_PYTHON
            ratio = own[0] / rate
            reached = "reached" if ratio >= aim else "MISSED"
            cells += [f"{ratio:.3g}", f"{cpu / own[1]:.3g}", f"{aim:g} {reached}"]
        table.add_row(*cells)
    return table


def main():
    parser = argparse.ArgumentParser(prog="benchmarks/datastream/run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of small sizes")
    parser.add_argument("--rounds", type=int, help="repetitions (3; 1 when quick)")
    parser.add_argument("--job", choices=JOBS, action="append")
    parser.add_argument("--engine", choices=list(ROWS), action="append")
    parser.add_argument("--scale", type=float, default=1.0, help="factor for the records")
    parser.add_argument("--profile", action="store_true", help="also where Lesto's time goes")
    parser.add_argument("--no-record", action="store_true", help="print only")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 3)
    console = Console(width=max(120, Console().width))
    record = facts()
    figures, failures = measure(console, args)
    for job in args.job or JOBS:
        console.print(table_of(job, medians(figures, job)))
    if args.profile:
        for job in args.job or JOBS:
            console.print(f"where {LESTO} {job} spends its time", highlight=False)
            command = command_of(LESTO, job, rows_of(LESTO, job, args))
            subprocess.run([*command, "--profile", "25"], cwd=RESULTS.parent.parent, check=True)
    record.update(
        load_after=[round(x, 2) for x in os.getloadavg()],
        options={"quick": args.quick, "rounds": args.rounds, "scale": args.scale},
        figures=figures,
        failures=failures,
    )
    if not args.no_record:
        with RESULTS.open("a") as out:
            out.write(json.dumps(record) + "\n")
        console.print(f"appended to benchmarks/results/{RESULTS.name}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
