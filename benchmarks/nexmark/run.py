"""Nexmark, q0 to q22, on Lesto beside Flink SQL 2.3 on this machine.

    benchmarks/nexmark/run                  all queries, both engines: about 25 minutes
    benchmarks/nexmark/run --quick          a quarter of the events: about 12 minutes
    benchmarks/nexmark/run --only-lesto     no Flink: about 4 minutes
    benchmarks/nexmark/run --profile q5     where a query spends its time

Parallelism 2, a checkpoint every 10 s, exactly-once, results dropped (q10: written to files). Lesto
on RocksDB; Flink on the heap with object reuse (its best) and on RocksDB, with mini-batches and
split distinct aggregation as the Nexmark project sets them. Flink cannot run q6 and q13. What is
compared is CPU time of all processes an event, from when a fifth of the events have been made.
Flink's first fifth covers its compilers; Lesto's source makes only the fields that a query reads
(``--all-columns`` makes it make all of them).
"""

import argparse
import collections
import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from instruments import ROOT, facts
from queries import ALL, script_of
from report import PEERS
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "nexmark.jsonl"
SECONDS_MAX = 600
LESTO, BEST, ROCKS = "lesto-rocksdb", "flink-hashmap-object-reuse", "flink-rocksdb"
ENGINES = (LESTO, BEST, ROCKS)
#: Not in Flink: OVER of updates; a lookup by processing time of a table without a key-value store.
FLINK_CANNOT = frozenset({"q6", "q13"})
#: Million events of a run, the same on all engines: state grows with them. Flink needs some 5 to
#: 40 s for each.
MILLIONS = collections.defaultdict(
    lambda: 10,
    {q: 4 for q in ("q5", "q10", "q11", "q15", "q18", "q19")}
    | {"q4": 2, "q6": 2, "q7": 2, "q9": 2, "q16": 1, "q17": 6, "q20": 2},
)
QUICK = 4
#: What Lesto's CPU is to be of Flink's: on each query, in the geometric mean, of RocksDB.
AIM_EACH, AIM_MEAN, AIM_ROCKS = 2.0, 4.0, 5.0


def events_of(query, args):
    """Events of a run, a multiple of fifty and of the parallelism."""
    millions = MILLIONS[query] * args.scale / (QUICK if args.quick else 1)
    return max(1, round(millions * 1e6 / 1000)) * 1000


def lesto_command(query, events, args):
    """The query on an embedded cluster."""
    command = [sys.executable, str(HERE / "lesto_job.py"), query, str(events)]
    return [*command, "--all-columns"] if args.all_columns else command


def flink_command(query, events, engine, scratch):
    """The query in a JVM with everything."""
    (home,) = (PEERS / "pyflink" / "lib").glob("python3.*/site-packages/pyflink")
    java_options = next(
        line.split(":", 1)[1].split()
        for line in (home / "conf" / "config.yaml").read_text().splitlines()
        if line.strip().startswith("all: --add-exports")
    )
    script = scratch / f"{query}.sql"
    script.write_text(";\n".join(script_of(query, events, scratch)) + ";\n")
    jars = f"{home}/lib/*:{PEERS}/java/nexmark.jar"
    backend = "rocksdb" if engine == ROCKS else "hashmap"
    # Object reuse on both: RocksDB gains by it, too.
    return [
        "java", "-Xmx5g", *java_options, "-cp", jars, "NexmarkJobs", str(script), str(events),
        backend, "true", "10000", f"file://{scratch}/checkpoints",
    ]  # fmt: skip


def run(engine, query, args):
    """Figures of one run.

    Raises:
        RuntimeError: it failed.
    """
    events = events_of(query, args)
    with tempfile.TemporaryDirectory(prefix="nexmark-") as folder:
        if engine == LESTO:
            command = lesto_command(query, events, args)
        else:
            command = flink_command(query, events, engine, Path(folder))
        paths = os.pathsep.join(map(str, (ROOT, HERE, HERE.parent, HERE.parent / "peers")))
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS_MAX, check=False,
            env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise RuntimeError((done.stdout + done.stderr)[-2000:])
    return {**json.loads(lines[-1]), "engine": engine, "query": query}


def measure(console, args):
    """Figures of all runs, and what failed."""
    figures, failures = {}, []
    engines = [LESTO] if args.only_lesto else list(ENGINES)
    for query in args.query or ALL:
        for engine in args.engine or engines:
            if engine != LESTO and query in FLINK_CANNOT:
                continue
            try:
                figure = run(engine, query, args)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failures.append({"query": query, "engine": engine, "error": str(error)[-1500:]})
                console.print(f"failed: {query} on {engine}\n{error}", highlight=False)
                continue
            figures[query, engine] = figure
            console.print(
                f"  {query} {engine}: {figure['events_per_second']:,} events/s,"
                f" {figure['cpu_us_per_event']:.3g} CPU us/event, {figure['peak_mib']:,} MiB",
                highlight=False,
            )
    return figures, failures


def table_of(figures):
    """All queries; ratios of CPU time."""
    table = Table(title="Nexmark", title_justify="left")
    names = ("query", "events/s", "CPU us/event", "peak MiB", "checkpoint MiB")
    names += ("Flink's best us", "x", "its MiB", "Flink RocksDB us", "x")
    for name in names:
        table.add_column(name, justify="left" if name == "query" else "right")
    for query in ALL:
        own = figures.get((query, LESTO))
        if own is None:
            continue
        cells = [query, f"{own['events_per_second']:,}", f"{own['cpu_us_per_event']:.3g}"]
        cells += [f"{own['peak_mib']:,}", f"{own['checkpoint_mib']:,}"]
        for engine in (BEST, ROCKS):
            other = figures.get((query, engine))
            if other is None:
                cells += ["-", "-", "-"][: 3 if engine == BEST else 2]
                continue
            ratio = other["cpu_us_per_event"] / own["cpu_us_per_event"]
            cells += [f"{other['cpu_us_per_event']:.3g}", f"{ratio:.3g}"]
            if engine == BEST:
                cells.append(f"{other['peak_mib']:,}")
        table.add_row(*cells)
    return table


def verdict(figures):
    """Least and mean ratios beside the aims."""
    found = []
    for engine, aims in ((BEST, (AIM_EACH, AIM_MEAN)), (ROCKS, (None, AIM_ROCKS))):
        ratios = {
            q: figures[q, engine]["cpu_us_per_event"] / figures[q, LESTO]["cpu_us_per_event"]
            for q in ALL
            if (q, engine) in figures and (q, LESTO) in figures
        }
        if not ratios:
            continue
        mean = math.exp(sum(map(math.log, ratios.values())) / len(ratios))
        least = min(ratios, key=ratios.get)
        below = [q for q, x in ratios.items() if aims[0] and x < aims[0]]
        found.append(
            f"{engine}: geometric mean {mean:.2f}x (aim {aims[1]}x), least {ratios[least]:.2f}x"
            f" ({least})" + (f", below {aims[0]}x: {', '.join(below)}" if below else "")
        )
        if engine == BEST:
            more = [
                q for q in ratios if figures[q, LESTO]["peak_mib"] > figures[q, BEST]["peak_mib"]
            ]
            found.append(f"more memory than Flink: {', '.join(more) or 'on no query'}")
    return found


def profile(query, args):
    """Frames of the slots' mailbox threads, by the time in them and by the time below them."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "samples"
        command = [*lesto_command(query, events_of(query, args), args)]
        paths = os.pathsep.join(map(str, (ROOT, HERE, HERE.parent, HERE.parent / "peers")))
        subprocess.run(
            [*command, "--profile", str(target)],
            check=True, capture_output=True, env={**os.environ, "PYTHONPATH": paths},
        )  # fmt: skip
        own, below, total = collections.Counter(), collections.Counter(), 0
        for file in Path(folder).glob("samples.*"):
            for line in file.read_text().splitlines():
                stack, _, count = line.rpartition(" ")
                frames = stack.split(";")
                if any("mailbox" in f for f in frames):
                    total += int(count)
                    own[frames[-1]] += int(count)
                    for frame in set(frames):
                        below[frame] += int(count)
    return [
        f"{part:5.1f} % {frame}"
        for counts, n in ((own, 15), (below, 40))
        for frame, found in counts.most_common(n)
        for part in [100 * found / max(total, 1)]
    ]


def main():
    parser = argparse.ArgumentParser(
        prog="benchmarks/nexmark/run", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="a quarter of the events")
    parser.add_argument("--query", choices=ALL, action="append")
    parser.add_argument("--engine", choices=ENGINES, action="append")
    parser.add_argument("--only-lesto", action="store_true")
    parser.add_argument("--all-columns", action="store_true", help="the source makes all fields")
    parser.add_argument("--scale", type=float, default=1.0, help="factor for the events")
    parser.add_argument("--profile", choices=ALL, help="where a query spends its time")
    parser.add_argument("--no-record", action="store_true", help="print only")
    args = parser.parse_args()
    console = Console(width=max(130, Console().width))
    if args.profile:
        for line in profile(args.profile, args):
            console.print(line, highlight=False)
        return
    record = facts()
    figures, failures = measure(console, args)
    console.print(table_of(figures))
    for line in verdict(figures):
        console.print(line, highlight=False)
    if not args.no_record:
        record |= {"figures": list(figures.values()), "failures": failures}
        record["load_after"] = [round(x, 2) for x in os.getloadavg()]
        with RESULTS.open("a") as file:
            file.write(json.dumps(record) + "\n")
    if failures:
        sys.exit(1)


if __name__ == "__main__":
    main()
