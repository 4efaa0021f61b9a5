"""Kafka's own test of transactions with our engine in the middle (T22).

    python -m tests.fault.kafka --runs 4

100,000 messages, transactions of about 750, and in each run three bounces of the broker and three
of the job's processes, hard (kill -9) in one run and clean (SIGTERM, SIGSTOP) in the next, while a
read_committed consumer reads along. The outage beyond the transaction's timeout and a delayed
EndTxn are in ``tests/kafka/test_sink.py``.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fault.kafka_kills import one_run, table, violations
from tests.support.kafka_broker import missing

MESSAGES = 100_000
PER_TRANSACTION = 750
INTERVAL_MS = 200
#: Two writers share the records of an interval.
RATE = PER_TRANSACTION * 2 * 1000 / INTERVAL_MS
HARD = ("broker", "slot")
CLEAN = ("broker-clean", "broker-pause", "taskmanager")


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if why := missing():
        raise SystemExit(why)
    failed = 0
    for run in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="lesto-fault-") as folder:
            report = one_run(
                Path(folder), kills=6, rate=RATE, kinds=CLEAN if run % 2 else HARD,
                seed=args.seed + run, interval=f"{INTERVAL_MS}ms", pause=(0.5, 1.5), quiet=True,
                rows_min=MESSAGES,
            )  # fmt: skip
        bad = violations(report)
        failed += bool(bad)
        print("\n".join(table(report)))
        shown = {k: v for k, v in report.items() if k != "strikes"}
        verdict = f"VIOLATED {bad}" if bad else "exact"
        print(f"run {run + 1}/{args.runs}: {verdict} {shown}", flush=True)
    print(f"{args.runs - failed} of {args.runs} runs exact")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
