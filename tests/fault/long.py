"""``scripts/test --long``: every long form in order, or those named, and one summary.

python -m tests.fault.long --list
python -m tests.fault.long T5 T9 simulation
"""

import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

from tests.fault import __main__ as faults
from tests.fault import registry
from tests.fault.harness import commit

FORMS = Path(__file__).parent / "long_forms.toml"
ROOT = Path(__file__).parent.parent.parent


def commands():
    """Long forms that are programs of their own."""
    return tomllib.loads(FORMS.read_text())["command"]


def split(words):
    """(faults, commands) that words stand for; all for none."""
    others = commands()
    known = {w for c in others for w in (c["name"], *c["tests"])}
    mine = [w for w in words if w not in known or w in _fault_words()]
    chosen = [c for c in others if not words or c["name"] in words or set(c["tests"]) & set(words)]
    return (registry.chosen(mine) if mine or not words else []), chosen


def _fault_words():
    return {w for f in registry.chosen([]) for w in (f.name, f.test)}


def run_command(command):
    """Run one; its line of the summary."""
    program = command.get("needs")
    if program and shutil.which(program) is None:
        return {**command, "verdict": f"SKIPPED: needs {program}", "ok": True, "seconds": 0}
    print(f"\n--- {command['name']}: {command['run']}", flush=True)
    begin = time.monotonic()
    # The interpreter that runs this is the one that the command means.
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    code = subprocess.run(
        command["run"].split(), cwd=ROOT, env={**os.environ, "PATH": path}, check=False
    ).returncode
    verdict = "passed" if code == 0 else f"FAILED ({code})"
    return {**command, "verdict": verdict, "ok": code == 0, "seconds": time.monotonic() - begin}


def main(arguments):
    """Run from the command line."""
    options = [a for a in arguments if a.startswith("-")]
    mine, others = split([a for a in arguments if not a.startswith("-")])
    if "--list" in options:
        faults.show_list(mine)
        for c in others:
            print(f"{c['name']:24} {' '.join(c['tests'])}  {c['run']}")
        return 0
    print(f"long forms at commit {commit()}")
    lines = []
    for fault in mine:
        begin = time.monotonic()
        report = ROOT / "build" / "fault" / f"long-{fault.name}.json"
        code = faults.main(["--long", fault.name, "--json", str(report), *options])
        verdict = fault.needs() and f"SKIPPED: {fault.needs()}"
        verdict = verdict or ("passed" if code == 0 else "FAILED")
        lines.append((fault.name, fault.test, time.monotonic() - begin, verdict))
    lines += [
        (done["name"], " ".join(done["tests"]), done["seconds"], done["verdict"])
        for done in map(run_command, others)
    ]
    print(f"\n=== long forms at commit {commit()}")
    for name, tests, seconds, verdict in lines:
        print(f"{name:24} {tests:8} {seconds:8.0f} s  {verdict}")
    return 1 if any(verdict.startswith("FAILED") for *_, verdict in lines) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
