"""How soon Lesto is there and what it costs to have it.

    python benchmarks/startup.py

Seconds of ``lesto --help``, ``import lesto``, ``lesto run examples/word_count.py`` to its first
output and ``lesto dev`` until its slots are ready; memory and CPU of that idle cluster; installed
size with everything it depends on. Prints one line of JSON each.
"""

import argparse
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "peers"))

from cpu import cpu_seconds, tree
from instruments import ROOT, is_slot, pss_bytes, spread

SLOTS = 2
IDLE_SECONDS = 5
#: The console script, as users start it.
COMMAND = str(Path(sys.executable).parent / "lesto")


def timed(command):
    """Seconds of a command that must succeed."""
    start = time.monotonic()
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - start


def first_output():
    """Seconds until the word count prints its first line."""
    start = time.monotonic()
    process = subprocess.Popen(
        [COMMAND, "run", "-q", "examples/word_count.py"],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    line = process.stdout.readline()
    seconds = time.monotonic() - start
    process.stdout.read()
    process.stdout.close()
    if process.wait() or not line:
        sys.exit("the word count failed")
    return seconds


def memory(pids):
    """(MiB of all processes, of the slots alone)."""
    sizes = {pid: pss_bytes(pid) / 2**20 for pid in pids}
    return sum(sizes.values()), sum(size for pid, size in sizes.items() if is_slot(pid))


def dev():
    """One ``lesto dev``: seconds until ready, idle memory in MiB, idle CPU in percent of a core."""
    start = time.monotonic()
    process = subprocess.Popen(
        [COMMAND, "dev", "--slots", str(SLOTS), "--port", "0", "--rest-port", "0"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for line in process.stdout:
            if "ready" in line:
                break
        ready = time.monotonic() - start
        time.sleep(IDLE_SECONDS)
        pids = tree(process.pid)
        before = sum(cpu_seconds(pid) or 0 for pid in pids)
        time.sleep(IDLE_SECONDS)
        busy = sum(cpu_seconds(pid) or 0 for pid in pids) - before
        total, slots = memory(pids)
        if sum(is_slot(pid) for pid in pids) != SLOTS:
            sys.exit("lesto dev is not complete")
    finally:
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        process.stdout.close()
        process.wait()
    return ready, total, slots, 100 * busy / IDLE_SECONDS


def dependencies():
    """Distributions that an installation of Lesto needs, itself left out."""
    found, todo = set(), ["lesto"]
    while todo:
        name = todo.pop()
        for requirement in importlib.metadata.requires(name) or ():
            needed = re.match(r"[A-Za-z0-9._-]+", requirement).group()
            canonical = re.sub(r"[-_.]+", "-", needed).lower()
            if "extra ==" in requirement or canonical in found:
                continue
            try:
                importlib.metadata.distribution(needed)
            except importlib.metadata.PackageNotFoundError:
                continue  # for another platform or Python
            found.add(canonical)
            todo.append(needed)
    return found


def installed_mib():
    """MiB of files on disk by distribution, compiled Python included, largest first."""
    sizes = {}
    for name in dependencies():
        files = importlib.metadata.files(name) or ()
        paths = {os.path.realpath(file.locate()) for file in files}
        sizes[name] = sum(os.path.getsize(p) for p in paths if os.path.exists(p)) / 2**20
    own = [p for p in (ROOT / "lesto").glob("*/**/*") if p.suffix in {".py", ".pyi", ".proto"}]
    sizes["lesto"] = sum(p.stat().st_size for p in own) / 2**20
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    args = parser.parse_args()

    def show(name, unit, figures):
        print(json.dumps({"benchmark": name, "unit": unit, **figures}), flush=True)

    commands = {
        "python": [sys.executable, "-c", "pass"],
        "import_lesto": [sys.executable, "-c", "import lesto"],
        "import_datastream": [sys.executable, "-c", "import lesto.datastream"],
        "help": [COMMAND, "--help"],
    }
    for name, command in commands.items():
        timed(command)
        show(name, "s", spread([timed(command) for _ in range(2 * args.runs)]))
    first_output()
    show("run_to_first_output", "s", spread([first_output() for _ in range(args.runs)]))
    ready, total, slots, busy = zip(*(dev() for _ in range(args.runs)), strict=True)
    show("dev_ready", "s", spread(ready))
    show("idle_memory", "MiB", spread(total, 1))
    show("idle_memory_slots", "MiB", spread(slots, 1))
    show("idle_cpu", "% of a core", spread(busy, 1))
    sizes = installed_mib()
    largest = {name: round(size, 1) for name, size in list(sizes.items())[:8]}
    show("installed_size", "MiB", {"median": round(sum(sizes.values()), 1), "largest": largest})


if __name__ == "__main__":
    main()
