"""Run seeds of the simulation from the command line.

python -m tests.simulation --seed 17 --trace
python -m tests.simulation --seeds 20000 --jobs 2 --until-failure
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.one import one
from tests.simulation.report import report
from tests.simulation.run import run


def main():
    """Entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--trace", action="store_true")
    parser.add_argument("--until-failure", action="store_true")
    parser.add_argument("--quiet", action="store_true")
    args = parser.parse_args()
    if args.seed is not None:
        result = run(args.seed, verbose=args.trace)
        print(f"hash {result.trace_hash:08x}, {result.steps} steps")
        print("ok" if result.ok else report(result))
        return 0 if result.ok else 1
    seeds = range(args.first, args.first + args.seeds)
    failed = []
    if args.jobs > 1:
        with ProcessPoolExecutor(args.jobs, max_tasks_per_child=200) as pool:
            failed = _collect(pool.map(one, seeds, chunksize=10), args)
    else:
        failed = _collect(map(one, seeds), args)
    print(f"{args.seeds - len(failed)} of {args.seeds} seeds ok; failed: {failed}")
    return 1 if failed else 0


def _collect(results, args):
    failed = []
    for seed, ok, line, text in results:
        if not ok or not args.quiet:
            print(line, flush=True)
        if not ok:
            print(text, flush=True)
            failed.append(seed)
            if args.until_failure:
                break
    return failed


if __name__ == "__main__":
    sys.exit(main())
