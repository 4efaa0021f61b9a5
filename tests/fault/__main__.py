"""Faults on real processes, judged from outside.

    python -m tests.fault --list
    python -m tests.fault kill-slot T9 --seed 7 --runs 3
    python -m tests.fault --long T5            (scripts/test --long runs every long form)

Prints a line a run, then the table, and writes both as JSON. A run that must be repeated takes the
seed that was printed; it repeats the choices, not the timing of the machine. Exits with 1 when a
count that must be zero is not, or when a job did not converge.
"""

import argparse
import json
import sys
import tempfile
import time
import traceback
from dataclasses import replace
from pathlib import Path

from tests.fault.harness import commit, render, row
from tests.fault.registry import chosen


def run_fault(fault, form, seed, options, note):
    """All runs of a fault; the line of the table and the reports."""
    reports = []
    for run in range(form.runs):
        begin = time.monotonic()
        with tempfile.TemporaryDirectory(
            prefix="lesto-fault-", ignore_cleanup_errors=True
        ) as folder:
            try:
                report = fault.run(Path(folder), form, seed + run, options)
            except Exception:
                report = {"wrong": [traceback.format_exc()[-6000:]]}
        report.update(seed=seed + run, seconds=round(time.monotonic() - begin, 1))
        reports.append(report)
        verdict = "exact" if not report["wrong"] else "WRONG " + "\n  ".join(report["wrong"])
        note(f"{fault.name} seed {seed + run}: {verdict} {json.dumps(report)[:2000]}")
    return row(fault, reports), reports


def show_list(faults):
    """What there is."""
    for f in faults:
        form = f.long
        missing = f.needs()
        print(
            f"{f.name:24} {f.test:4} {f.summary}\n{'':30}long: {form.runs} x {form.seconds:g} s at"
            f" {form.rate}/s, {form.strikes} faults"
            + (f" [skipped here: {missing}]" * bool(missing))
        )


def parsed(arguments):
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("faults", nargs="*", help="names or numbers (T5); all when none is given")
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--long", action="store_true", help="the long forms")
    parser.add_argument("--seed", type=int, default=1)
    for name, kind in (
        ("runs", int), ("strikes", int), ("seconds", float), ("rate", int), ("interval", str),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", type=kind, help="instead of the form's")
    parser.add_argument("-D", action="append", default=[], metavar="key=value", help="of the job")
    parser.add_argument("--json", type=Path, default=Path("build/fault/report.json"))
    return parser.parse_args(arguments)


def main(arguments=None):
    """Run from the command line."""
    args = parsed(arguments)
    faults = chosen(args.faults)
    if args.list:
        show_list(faults)
        return 0
    options = dict(pair.split("=", 1) for pair in args.D)
    names = ("runs", "strikes", "seconds", "rate", "interval")
    changed = {n: getattr(args, n) for n in names if getattr(args, n) is not None}
    print(f"commit {commit()}, seed {args.seed}, options {options}, {changed or 'as listed'}")
    lines, all_reports = [], {}
    for fault in faults:
        missing = fault.needs()
        if missing:
            lines.append({"fault": fault.name, "test": fault.test, "skipped": missing})
            print(f"{fault.name}: SKIPPED, {missing}", flush=True)
            continue
        form = replace(fault.long if args.long else fault.short, **changed)
        line, all_reports[fault.name] = run_fault(
            fault, form, args.seed, options, lambda text: print(text, flush=True)
        )
        lines.append(line)
        write_json(args, options, lines, all_reports)  # what is known survives an interruption
    print(render(lines))
    print(f"written to {args.json}")
    return 0 if all(x.get("ok", True) for x in lines) else 1


def write_json(args, options, lines, reports):
    """The table and every run's report."""
    args.json.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "commit": commit(), "seed": args.seed, "options": options, "long": args.long,
        "table": lines, "runs": reports,
    }  # fmt: skip
    args.json.write_text(json.dumps(content, indent=1))


if __name__ == "__main__":
    sys.exit(main())
