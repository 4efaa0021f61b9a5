"""Runs all benchmarks and says how Lesto stands: ``benchmarks/run`` is the command.

Everything runs as a process of its own, one after another, and the rounds of throughput go over all
engines in turn, so that a slow spell of the machine meets all of them. Figures are medians.
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from instruments import ROOT, facts
from rich.console import Console
from rich.table import Table

BENCHMARKS = ROOT / "benchmarks"
PEERS = ROOT / "build" / "peers"
RESULTS = BENCHMARKS / "results" / "results.jsonl"
JOBS = ("running_sum", "window_count")
#: Longest time of one benchmark.
SECONDS_MAX = 900
#: Columns that the tables need; a narrower terminal wraps them.
TABLE_WIDTH = 150

#: Records of a run: (full, quick). A full run takes 5 to 30 s; the slow ones set their own pace.
LESTO_ROWS = {"lesto-columnar": (100_000_000, 5_000_000), "lesto-rows": (10_000_000, 2_000_000)}
LESTO_SHORT_ROWS = 10_000_000
PEER_ROWS = {
    ("flink-java-hashmap", "running_sum"): (30_000_000, 2_000_000),
    ("flink-java-hashmap", "window_count"): (20_000_000, 2_000_000),
    ("flink-java-hashmap-object-reuse", "running_sum"): (30_000_000, 2_000_000),
    ("flink-java-hashmap-object-reuse", "window_count"): (20_000_000, 2_000_000),
    ("flink-java-rocksdb", "running_sum"): (6_000_000, 1_000_000),
    ("flink-java-rocksdb", "window_count"): (3_000_000, 1_000_000),
    ("bytewax", "running_sum"): (4_000_000, 500_000),
    ("bytewax", "window_count"): (600_000, 100_000),
    ("pyflink-thread-hashmap", "running_sum"): (200_000, 40_000),
    ("pyflink-thread-hashmap", "window_count"): (150_000, 30_000),
    ("pyflink-process-hashmap", "running_sum"): (20_000, 10_000),
    ("pyflink-process-hashmap", "window_count"): (15_000, 6_000),
}
#: shared/ANCHORS.md, million records/s: measured earlier, on a machine of this kind.
ANCHORS = {
    ("flink-java-hashmap", "running_sum"): (1.5, 2.2),
    ("flink-java-hashmap", "window_count"): (1.1, 1.4),
    ("flink-java-rocksdb", "running_sum"): (0.29, 0.39),
    ("flink-java-rocksdb", "window_count"): (0.16, 0.16),
    ("bytewax", "running_sum"): (0.19, 0.19),
    ("bytewax", "window_count"): (0.039, 0.051),
    ("pyflink-process-hashmap", "running_sum"): (0.0008, 0.0012),
    ("pyflink-process-hashmap", "window_count"): (0.0009, 0.0009),
    ("pyflink-thread-hashmap", "running_sum"): (0.0064, 0.0086),
    ("pyflink-thread-hashmap", "window_count"): (0.0029, 0.0029),
}
#: Figures of Flink there for the rest.
ANCHOR_NOTES = {
    "latency rows p50": "Flink Java 44",
    "latency rows p99": "Flink Java 99; aim < 20",
    "latency columnar p99": "aim < 20",
    "recovery taskmanager_standby": "Flink 13.5; aim < 5",
    "recovery taskmanager_replaced": "Flink 17.0; aim < 5",
    "recovery slot": "aim < 5",
    "startup installed_size": "PyFlink 841",
    "startup help": "aim < 0.2",
    "startup dev_ready": "aim < 3",
}


def command_of(engine, job, rows):
    """How a run of an engine is started."""
    if engine.startswith("lesto-"):
        form = engine.removeprefix("lesto-")
        return [sys.executable, "pipelines.py", job, "--form", form, "--rows", str(rows)]
    if engine == "bytewax":
        python = PEERS / "bytewax" / "bin" / "python"
        return [str(python), "peers/bytewax_job.py", job, "--rows", str(rows)]
    if engine.startswith("pyflink-"):
        python = PEERS / "pyflink" / "bin" / "python"
        _, mode, backend = engine.split("-")
        return [
            str(python), "peers/pyflink_job.py", job, "--rows", str(rows),
            "--mode", mode, "--backend", backend,
        ]  # fmt: skip
    (jars,) = (PEERS / "pyflink" / "lib").glob("python3.*/site-packages/pyflink/lib")
    backend = engine.split("-")[2]
    reuse = str(engine.endswith("object-reuse")).lower()
    return [
        "java", "-Xmx4g", "-cp", f"{PEERS / 'java' / 'peers.jar'}:{jars}/*",
        "JavaJobs", job, str(rows), backend, reuse, "10000", f"file://{PEERS}/checkpoints",
    ]  # fmt: skip


def run(command):
    """JSON lines that a benchmark printed, each with the load of the machine around it."""
    before = os.getloadavg()[0]
    code, output, errors = _finish(command)
    lines = [json.loads(x) for x in output.splitlines() if x.startswith("{")]
    if code or not lines:
        raise RuntimeError(f"{' '.join(command)}\n{output[-2000:]}{errors[-3000:]}")
    load = [round(before, 2), round(os.getloadavg()[0], 2)]
    return [{**line, "load": load} for line in lines]


def _finish(command):
    """Exit code and output of a command; too long a one is ended with all it started."""
    process = subprocess.Popen(
        command, cwd=BENCHMARKS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, errors = process.communicate(timeout=SECONDS_MAX)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return process.returncode, output, errors


class Session:
    """What was measured, and what could not be."""

    def __init__(self, console):
        self.console = console
        self.figures = []
        self.failures = []

    def measure(self, title, command):
        """Run one benchmark; a failure is told and remembered, and the others go on."""
        started = time.monotonic()
        try:
            lines = run(command)
        except (RuntimeError, subprocess.TimeoutExpired, OSError, ValueError) as error:
            self.failures.append({"benchmark": title, "error": str(error)[-1500:]})
            self.console.print(f"[red]failed[/red] {title}\n{error}", highlight=False)
            return
        self.figures += lines
        rates = [f"{x['rows_per_second']:,} rows/s" for x in lines if "rows_per_second" in x]
        took = f"{time.monotonic() - started:.0f} s"
        self.console.print(f"  {title}: {' '.join(rates)} (took {took})", highlight=False)

    def exchange(self, quick):
        """The exchange benchmark prints text: turn it into a figure."""
        command = [sys.executable, "exchange.py", "--seconds", "2" if quick else "4"]
        code, output, errors = _finish(command)
        rates = re.findall(r"([\d.]+) M rows/s", output)
        if code or not rates:
            self.failures.append({"benchmark": "exchange", "error": errors[-1500:]})
            self.console.print(f"[red]failed[/red] exchange\n{errors[-1500:]}", highlight=False)
            return
        self.figures.append(
            {"benchmark": "exchange", "million_rows_per_second": float(rates[0]),
             "crossing_a_process": float(rates[1])}
        )  # fmt: skip


def throughput(session, args):
    """All engines and jobs, in rounds."""

    def scaled(rows):
        return max(1, round(rows[args.quick] * args.scale / 1000)) * 1000

    plan = [(engine, job, scaled(rows)) for engine, rows in LESTO_ROWS.items() for job in JOBS]
    if not args.quick:
        short = scaled((LESTO_SHORT_ROWS,))
        plan += [("lesto-columnar", job, short) for job in JOBS]
    if args.peers:
        plan += [(engine, job, scaled(rows)) for (engine, job), rows in PEER_ROWS.items()]
    for number in range(args.rounds):
        for engine, job, rows in plan:
            title = f"round {number + 1}/{args.rounds} {engine} {job} {rows:,}"
            session.measure(title, command_of(engine, job, rows))


def others(session, args):
    """Latency, recovery, start-up, exchange."""
    seconds, runs = ("8", "2") if args.quick else ("20", "5")
    for form in ("rows", "columnar"):
        for _ in range(args.rounds):
            command = [sys.executable, "latency.py", "--form", form, "--seconds", seconds]
            session.measure(f"latency {form}", command)
    session.measure("recovery", [sys.executable, "recovery.py", "--runs", runs])
    session.measure("startup", [sys.executable, "startup.py", "--runs", runs])
    session.exchange(args.quick)


def medians(figures):
    """(engine, job, rows) to rows/s (median, least, most), CPU us a record, peak MiB, load."""
    groups = {}
    for figure in figures:
        if "engine" in figure:
            key = figure["engine"], figure["job"], figure["rows"]
            groups.setdefault(key, []).append(figure)
    found = {}
    for key, runs in groups.items():
        rates = [r["rows_per_second"] for r in runs]
        found[key] = {
            "rate": statistics.median(rates),
            "least": min(rates),
            "most": max(rates),
            "cpu_us": statistics.median(1e6 * r["cpu_seconds"] / r["rows"] for r in runs),
            "peak_rss_mib": max(r.get("peak_rss_mib", 0) for r in runs),
        }
    return found


def throughput_table(found, job):
    """One job on all engines, fastest first, with ratios to Flink's Java API in the same run."""
    base = {engine: (f["rate"], f["cpu_us"]) for (engine, j, _), f in found.items() if j == job}
    table = Table(title=f"{job}: million records/s", title_justify="left")
    table.add_column("engine", no_wrap=True)
    names = ("records", "median", "least-most", "CPU us/record")
    for name in (*names, "x Java heap", "x Java RocksDB", "ANCHORS (earlier)"):
        table.add_column(name, justify="right")
    rows = sorted(((k, f) for k, f in found.items() if k[1] == job), key=lambda x: -x[1]["rate"])
    for (engine, _, n), f in rows:
        anchor = ANCHORS.get((engine, job))
        table.add_row(
            engine,
            f"{n:,}",
            f"{f['rate'] / 1e6:.4g}",
            f"{f['least'] / 1e6:.3g}-{f['most'] / 1e6:.3g}",
            f"{f['cpu_us']:.3g}",
            *(
                _ratio(f, base.get(b), ANCHORS[b, job])
                for b in ("flink-java-hashmap", "flink-java-rocksdb")
            ),
            "" if anchor is None else "-".join(f"{x:g}" for x in dict.fromkeys(anchor)),
        )
    return table


def _ratio(figure, measured, anchor):
    """Ratio of wall and of CPU; against ANCHORS' range, marked, when the peer was not run."""
    if measured is None:
        low, high = (figure["rate"] / 1e6 / x for x in reversed(anchor))
        return f"({low:.2g}-{high:.2g} of ANCHORS)"
    rate, cpu_us = measured
    return f"{figure['rate'] / rate:.3g} (CPU {cpu_us / figure['cpu_us']:.3g})"


def other_table(figures):
    """Everything that is not throughput."""
    table = Table(title="latency, recovery, start-up", title_justify="left")
    for name, side in (
        ("what", "left"),
        ("unit", "left"),
        ("median", "right"),
        ("least-most", "right"),
    ):
        table.add_column(name, justify=side)
    table.add_column("ANCHORS (earlier) and aims")
    for form in ("rows", "columnar"):
        runs = [f for f in figures if f.get("benchmark") == "latency" and f["form"] == form]
        for p in ("p50", "p99", "p99_9", "max") if runs else ():
            values = [r[p] for r in runs]
            _add(table, f"latency {form} {p}", "ms", statistics.median(values), values)
    for f in figures:
        kind = f.get("benchmark")
        if kind == "recovery":
            _add(table, f"recovery {f['death']}", "s", f["median"], [f["min"], f["max"]])
        elif kind == "exchange":
            _add(table, "exchange, 2 slots", "M rows/s", f["million_rows_per_second"], [])
        elif kind not in {None, "latency"}:
            _add(table, f"startup {kind}", f["unit"], f["median"],
                 [f["min"], f["max"]] if "min" in f else [])  # fmt: skip
    return table


def _add(table, name, unit, median, values):
    bounds = f"{min(values):.4g}-{max(values):.4g}" if values else ""
    table.add_row(name, unit, f"{median:.4g}", bounds, ANCHOR_NOTES.get(name, ""))


def main():
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--peers", action="store_true", help="run the other engines too")
    parser.add_argument("--quick", action="store_true", help="small sizes, for a first look")
    parser.add_argument("--only", choices=["throughput", "others"])
    parser.add_argument("--rounds", type=int, help="repetitions (3; 1 when quick)")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor for the numbers of records"
    )
    parser.add_argument("--no-record", action="store_true", help="do not append to the results")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.quick else 3)
    console = Console(width=max(TABLE_WIDTH, Console().width))
    if args.peers and not (PEERS / "java" / "peers.jar").exists():
        subprocess.run([str(BENCHMARKS / "peers" / "setup")], check=True)

    record = facts()
    session = Session(console)
    try:
        if args.only != "others":
            throughput(session, args)
        if args.only != "throughput":
            others(session, args)
    except KeyboardInterrupt:
        session.failures.append({"benchmark": "the rest", "error": "interrupted"})
    found = medians(session.figures)
    for job in JOBS:
        if any(k[1] == job for k in found):
            console.print(throughput_table(found, job))
    if any("benchmark" in figure for figure in session.figures):
        console.print(other_table(session.figures))
    record.update(
        load_after=[round(x, 2) for x in os.getloadavg()],
        options={
            "peers": args.peers,
            "quick": args.quick,
            "rounds": args.rounds,
            "scale": args.scale,
        },
        figures=session.figures,
        failures=session.failures,
    )
    console.print(
        f"{record['commit']}, {record['cpus']} x {record['machine']}, Python {record['python']}, "
        f"load {record['load_before'][0]} before and {record['load_after'][0]} after"
    )
    if not args.no_record:
        RESULTS.parent.mkdir(exist_ok=True)
        with RESULTS.open("a") as file:
            file.write(json.dumps(record) + "\n")
        console.print(f"appended to {Path(RESULTS).relative_to(ROOT)}")
    return 1 if session.failures else 0


if __name__ == "__main__":
    sys.exit(main())
