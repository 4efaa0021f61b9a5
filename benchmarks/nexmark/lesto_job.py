"""One Nexmark query on an embedded cluster of Lesto: two slots, as processes.

    lesto_job.py QUERY EVENTS [BACKEND] [--checkpoint-ms N] [--all-columns] [--profile FILE]

Prints one line of JSON. Time and CPU (of all processes) are taken from when a fifth of the events
have been made, as on the peer, until the job has ended with its last checkpoint.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "peers"))

import stamped
from cpu import CpuSampler, tree
from instruments import Notes, is_slot, resident_bytes
from queries import script_of

from lesto.connectors.tables import factory
from lesto.table import EnvironmentSettings, TableEnvironment

PARALLELISM = 2
SAMPLE_SECONDS = 0.2


def together(held):
    """Bytes of several processes' (own, of files)."""
    held = list(held)
    return sum(own for own, _ in held) + max((files for _, files in held), default=0)


class Sampler(threading.Thread):
    """Peak memory of the slots and of all processes, and the size of checkpoints, while it runs.

    Memory of several processes: pages of their own summed, those of files (libraries) once.
    """

    def __init__(self, folder):
        super().__init__(daemon=True)
        self._folder = folder
        self._ended = threading.Event()
        self.peak_bytes = self.slots_peak_bytes = self.checkpoint_bytes = 0

    def run(self):
        while not self._ended.wait(SAMPLE_SECONDS):
            held = {pid: resident_bytes(pid) for pid in tree(os.getpid())}
            self.peak_bytes = max(self.peak_bytes, together(held.values()))
            slots = [found for pid, found in held.items() if is_slot(pid)]
            self.slots_peak_bytes = max(self.slots_peak_bytes, together(slots))
            size = 0
            for path in self._folder.rglob("*"):
                with contextlib.suppress(OSError):
                    size += path.stat().st_size
            self.checkpoint_bytes = max(self.checkpoint_bytes, size)

    def stop(self):
        self._ended.set()
        self.join()


def environment(args, folder):
    """With the settings that both engines are given."""
    settings = EnvironmentSettings.in_streaming_mode()
    table = TableEnvironment.create(settings)
    config = table.get_config()
    for key, value in {
        "parallelism.default": str(PARALLELISM),
        "state.backend.type": args.backend,
        "execution.checkpointing.interval": f"{args.checkpoint_ms} ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.incremental": "true",
        "execution.checkpointing.dir": f"file://{folder}",
    }.items():
        config.set(key, value)
    return table


def profiled(target, seconds):
    """py-spy over the slots, native frames included; gives the processes."""
    slots = [pid for pid in tree(os.getpid()) if is_slot(pid)]
    return [
        subprocess.Popen(
            ["py-spy", "record", "-p", str(pid), "-d", str(seconds), "-f", "raw", "-r", "200",
             "-o", f"{target}.{n}", "--native"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for n, pid in enumerate(slots)
    ]  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("query")
    parser.add_argument("events", type=int)
    parser.add_argument("backend", nargs="?", default="rocksdb")
    parser.add_argument("--checkpoint-ms", type=int, default=10_000)
    parser.add_argument("--all-columns", action="store_true", help="the source makes all columns")
    parser.add_argument("--profile", help="file for samples of the slots")
    parser.add_argument("--profile-seconds", type=int, default=8)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nexmark-") as scratch:
        notes = Path(scratch) / "notes"
        checkpoints = Path(scratch) / "checkpoints"
        notes.mkdir()
        checkpoints.mkdir()
        factory.CONNECTORS["nexmark"] = "stamped"
        os.environ[stamped.NOTES] = str(notes)
        os.environ[stamped.EVENTS] = str(args.events // PARALLELISM)
        os.environ[stamped.ALL_COLUMNS] = "1" if args.all_columns else ""
        cpu, sampler = CpuSampler(), Sampler(checkpoints)
        cpu.start()
        sampler.start()
        table = environment(args, checkpoints)
        result = None
        for statement in script_of(args.query, args.events, Path(scratch)):
            result = table.execute_sql(statement)
        profilers = []
        if args.profile:
            while not Notes(notes).read("warm"):
                time.sleep(0.05)
            profilers = profiled(args.profile, args.profile_seconds)
        result.wait()
        ended = time.monotonic()
        for profiler in profilers:
            profiler.wait()
        sampler.stop()
        warm = Notes(notes).read("warm")
        counted = args.events * (1 - stamped.WARM_PART)
        begun = min(warm)
        seconds = ended - begun
        used = cpu.between(begun, ended)
        print(
            json.dumps(
                {
                    "engine": f"lesto-{args.backend}" + ("-all-columns" * args.all_columns),
                    "query": args.query,
                    "events": args.events,
                    "seconds": round(seconds, 3),
                    "events_per_second": round(counted / seconds),
                    "cpu_us_per_event": round(used * 1e6 / counted, 4),
                    "peak_mib": round(sampler.peak_bytes / 2**20),
                    "workers_peak_mib": round(sampler.slots_peak_bytes / 2**20),
                    "checkpoint_mib": round(sampler.checkpoint_bytes / 2**20, 1),
                    "load": round(os.getloadavg()[0], 2),
                }
            )
        )


if __name__ == "__main__":
    main()
