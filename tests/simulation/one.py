"""One seed, told in a line. A module of its own: worker processes import it by name."""

import time

from tests.simulation.report import report
from tests.simulation.run import run


def one(seed):
    """Run a seed; its line, and its report if it failed."""
    start = time.perf_counter()
    result = run(seed)
    seconds = time.perf_counter() - start
    line = (
        f"seed {seed}: {'ok' if result.ok else 'FAILED'} hash {result.trace_hash:08x} "
        f"{result.steps} steps, {result.virtual_us / 1e6:.1f} virtual s, {seconds:.2f} s, "
        f"{result.restarts} restarts, {result.completions} checkpoints, "
        f"{result.in_flight} with data in flight, {result.faults}"
    )
    return seed, result.ok, line, "" if result.ok else report(result)
