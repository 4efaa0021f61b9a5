"""Lesto and Flink side by side where failures and checkpoints are concerned; one command.

    benchmarks/versus/run                 all four measurements, both engines, in turn
    benchmarks/versus/run recovery --runs 3 --engine lesto

recovery: kill -9 of the TaskManager that runs the job, 1 s checkpoints, each engine's default
restart strategy and heartbeats; until REST shows the failure, until all tasks are RUNNING, until
every writer has written. state: checkpoints of a large RocksDB state of which a part changes
between two. overhead: throughput with checkpoints each second against none. backpressure:
checkpoints behind an operator that is slower than its input, unaligned and aligned.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from instruments import Notes, facts
from report import command_of, run
from rich.console import Console
from rich.table import Table
from versus.engines import ENGINES

RESULTS = Path(__file__).resolve().parent.parent / "results" / "versus.jsonl"
PARALLELISM = 2
RECOVERY_RATE = 20_000
CHECKPOINTS_BEFORE_KILL = 4
RECOVERY_SECONDS_MAX = 120
STATE_KEYS, STATE_BYTES, STATE_INTERVAL_SECONDS = 1_000_000, 1_000, 10
#: One hundredth of the keys between two checkpoints.
STATE_CHANGES_PER_SECOND = STATE_KEYS // 100 // STATE_INTERVAL_SECONDS
STATE_CHECKPOINTS_SKIPPED, STATE_CHECKPOINTS = 2, 6
STATE_SECONDS_MAX = 400
SLOW_MICROS = 500
BACKPRESSURE_WARM_SECONDS, BACKPRESSURE_SECONDS = 20, 40
#: Rows of a run of the overhead measurement: 10 s and more each.
OVERHEAD_ROWS = {
    "lesto-columnar": 200_000_000,
    "lesto-rows": 15_000_000,
    "flink-java-hashmap": 20_000_000,
    "flink-java-rocksdb": 4_000_000,
}
NEVER_SECONDS = 3_600


def cluster(engine, stack_folder, *, taskmanagers=1, slots=PARALLELISM, **options):
    """A cluster with its folder."""
    folder = Path(tempfile.mkdtemp(prefix=f"versus-{engine}-", dir=stack_folder))
    named = {key.replace("__", "-").replace("_", "."): value for key, value in options.items()}
    return ENGINES[engine](folder, taskmanagers=taskmanagers, slots=slots, options=named)


def spread(values, digits=3):
    """Median, least, most."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
        "values": [round(v, digits) for v in values],
    }


# ---------------------------------------------------------------------------------------- recovery


def outputs_after(notes, moment):
    """When each writer that started after ``moment`` first wrote; empty until all have."""
    first = {}
    for subtask, written in notes.read("output"):
        if written > moment:
            first[subtask] = min(written, first.get(subtask, written))
    return sorted(first.values()) if len(first) == PARALLELISM else []


def one_recovery(engine, death, folder):
    """Seconds from the kill to detection, to RUNNING, to output."""
    standby = death == "standby"
    with cluster(
        engine, folder, taskmanagers=2 if standby else 1,
        execution_checkpointing_interval="1 s",
    ) as c:  # fmt: skip
        notes = Notes(c.folder / "notes")
        Path(notes.folder).mkdir()
        job = c.submit("recovery", notes.folder, RECOVERY_RATE, parallelism=PARALLELISM)
        c.until(lambda: len(c.completed(job)) >= CHECKPOINTS_BEFORE_KILL, 90, "checkpoints")
        pid = c.busy_taskmanager(job)
        moment = time.monotonic()
        os.kill(pid, 9)
        if not standby:
            c.start_taskmanager()
        c.until(lambda: not c.running(job), RECOVERY_SECONDS_MAX, "detection")
        detected = time.monotonic() - moment
        c.until(lambda: c.running(job), RECOVERY_SECONDS_MAX, "running tasks")
        running = time.monotonic() - moment
        written = c.until(lambda: outputs_after(notes, moment), RECOVERY_SECONDS_MAX, "output")
        return detected, running, written[-1] - moment


def recovery(engine, args, folder):
    """Both deaths."""
    for death in ("standby", "replaced"):
        runs = [one_recovery(engine, death, folder) for _ in range(args.runs)]
        detected, running, output = zip(*runs, strict=True)
        yield {
            "measurement": "recovery", "engine": engine, "death": death,
            "detected_s": spread(detected), "running_s": spread(running),
            "output_s": spread(output),
        }  # fmt: skip


# ------------------------------------------------------------------------------------------- state


def state(engine, args, folder):
    """Durations and sizes of checkpoints once the state is there."""
    keys = args.keys
    wanted = keys * STATE_BYTES
    with cluster(
        engine, folder, execution_checkpointing_interval=f"{STATE_INTERVAL_SECONDS} s"
    ) as c:
        rate = max(1, keys // 100 // STATE_INTERVAL_SECONDS)
        job = c.submit("state", keys, STATE_BYTES, rate, parallelism=PARALLELISM)

        def settled():
            full = [x for x in c.completed(job) if x["state_size"] >= 0.95 * wanted]
            return full if len(full) >= STATE_CHECKPOINTS_SKIPPED + 1 else None

        first = c.until(settled, STATE_SECONDS_MAX, "full state")[0]["id"]
        seen = {}

        def enough():
            for x in c.completed(job):
                if x["id"] > first:
                    seen[x["id"]] = x
            return len(seen) >= STATE_CHECKPOINTS

        c.until(enough, STATE_SECONDS_MAX, "checkpoints")
        done = [seen[i] for i in sorted(seen)][:STATE_CHECKPOINTS]
    yield {
        "measurement": "state", "engine": engine, "keys": keys,
        "state_mib": round(done[-1]["state_size"] / 2**20),
        "duration_ms": spread([x["end_to_end_duration"] for x in done], 0),
        "uploaded_mib": spread([x["checkpointed_size"] / 2**20 for x in done], 1),
    }  # fmt: skip


# ---------------------------------------------------------------------------------------- overhead


def overhead(engine, args, folder):
    """Throughput with a checkpoint each second against none, in turn."""
    for name, full_rows in OVERHEAD_ROWS.items():
        if not name.startswith(engine):
            continue
        rows = round(full_rows * args.scale / 1000) * 1000
        rates = {NEVER_SECONDS: [], 1: []}
        cpu = {NEVER_SECONDS: [], 1: []}
        for _ in range(args.runs):
            for seconds, measured in rates.items():
                command = command_of(name, "running_sum", rows)
                if engine == "flink":
                    command[-2] = str(seconds * 1000)
                else:
                    command += ["--interval", str(seconds)]
                (figure,) = run(command)
                # To the last output: the final checkpoint of a finished job is not the question.
                took = figure.get("seconds_to_last_output", figure["seconds"])
                measured.append(rows / took)
                cpu[seconds].append(figure["cpu_seconds"] / rows * 1e6)
        without, with_ = statistics.median(rates[NEVER_SECONDS]), statistics.median(rates[1])
        cpu_without, cpu_with = statistics.median(cpu[NEVER_SECONDS]), statistics.median(cpu[1])
        yield {
            "measurement": "overhead", "engine": name, "rows": rows,
            "rows_per_second_without": round(without), "rows_per_second_1s": round(with_),
            "lost_percent": round(100 * (1 - with_ / without), 1),
            "cpu_more_percent": round(100 * (cpu_with / cpu_without - 1), 1),
        }  # fmt: skip


# ------------------------------------------------------------------------------------ backpressure


def backpressure(engine, args, folder):
    """Checkpoints behind a slow operator."""
    for mode in ("unaligned", "aligned"):
        with cluster(
            engine, folder,
            execution_checkpointing_interval="2 s",
            execution_checkpointing_unaligned_enabled=str(mode == "unaligned").lower(),
        ) as c:  # fmt: skip
            job = c.submit("backpressure", SLOW_MICROS, parallelism=PARALLELISM)
            time.sleep(BACKPRESSURE_WARM_SECONDS)
            before = {x["id"] for x in c.completed(job)}
            seen = {}
            end = time.monotonic() + BACKPRESSURE_SECONDS
            oldest_ms = 0
            while time.monotonic() < end:
                for x in c.completed(job):
                    if x["id"] not in before:
                        seen[x["id"]] = x
                found = c.rest(f"/jobs/{job}/checkpoints") or {"history": []}
                running = [x for x in found["history"] if x["status"] == "IN_PROGRESS"]
                now_ms = time.time() * 1000
                oldest_ms = max([oldest_ms, *(now_ms - x["trigger_timestamp"] for x in running)])
                time.sleep(0.2)
            durations = [x["end_to_end_duration"] / 1000 for x in seen.values()]
        yield {
            "measurement": "backpressure", "engine": engine, "mode": mode,
            "completed": len(durations), "oldest_seen_s": round(oldest_ms / 1000, 2),
            "duration_s": spread(durations) if durations else None,
            "persisted_mib": round(
                max((x.get("persisted_data", 0) for x in seen.values()), default=0) / 2**20, 2
            ),
        }  # fmt: skip


MEASUREMENTS = {f.__name__: f for f in (recovery, state, overhead, backpressure)}


def show(console, figures):
    """A table a measurement."""
    for name in MEASUREMENTS:
        rows = [f for f in figures if f["measurement"] == name]
        if not rows:
            continue
        columns = [key for key in rows[0] if key not in {"measurement", "load"}]
        table = Table(*columns, title=name)
        for row in rows:
            cells = []
            for key in columns:
                value = row[key]
                if isinstance(value, dict):
                    value = f"{value['median']:g} ({value['min']:g}-{value['max']:g})"
                cells.append(str(value))
            table.add_row(*cells)
        console.print(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measurement", nargs="*", help=f"of {', '.join(MEASUREMENTS)}; all")
    parser.add_argument("--engine", choices=list(ENGINES), action="append")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--keys", type=int, default=STATE_KEYS, help="of the state measurement")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="of the overhead measurement's rows"
    )
    parser.add_argument("--no-record", action="store_true", help="print only")
    args = parser.parse_args()
    unknown = set(args.measurement) - set(MEASUREMENTS)
    if unknown:
        parser.error(
            f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(MEASUREMENTS)}"
        )
    console = Console(width=160)
    figures, failures = [], []
    folder = Path(tempfile.mkdtemp(prefix="lesto-versus-"))
    try:
        for name in args.measurement or MEASUREMENTS:
            for engine in args.engine or ENGINES:
                before = os.getloadavg()[0]
                try:
                    for figure in MEASUREMENTS[name](engine, args, folder):
                        figure["load"] = [round(before, 2), round(os.getloadavg()[0], 2)]
                        figures.append(figure)
                        console.print(json.dumps(figure), highlight=False, soft_wrap=True)
                except (RuntimeError, OSError, KeyError, ValueError) as error:
                    failures.append({"measurement": name, "engine": engine, "error": repr(error)})
                    console.print(f"failed: {name} {engine}: {error!r}", highlight=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    show(console, figures)
    if not args.no_record:
        with RESULTS.open("a") as out:
            out.write(json.dumps({**facts(), "figures": figures, "failures": failures}) + "\n")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
