"""A failing run in words."""

import subprocess
from pathlib import Path

LAST_EVENTS = 60


def report(result):
    """Everything needed to look at a failing seed."""
    root = Path(__file__).parents[2]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    lines = [
        f"seed {result.seed} FAILED at {result.virtual_us / 1e6:.3f} s (commit {commit})",
        *(f"  {failure}" for failure in result.failures),
        "options:",
        result.options.describe(),
        f"faults injected: {result.faults}",
        "last events:",
        *(f"  {line}" for line in result.tail[-LAST_EVENTS:]),
        f"again: python -m tests.simulation --seed {result.seed} --trace",
    ]
    return "\n".join(lines)
