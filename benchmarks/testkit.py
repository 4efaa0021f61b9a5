"""What tests cost that use ``lesto.testing``.

    python benchmarks/testkit.py --pipelines 1000

Milliseconds until a cluster is started in a process that has started one before ("warm"), and until
its slots are ready; seconds of small pipelines one after the other on one cluster (four records,
map, key_by, reduce, collected); microseconds of an operator harness from its making to its end.
Prints one line of JSON each.
"""

import argparse
import json
import os
import statistics
import time
from datetime import UTC, datetime

from lesto.testing import OperatorHarness, TestCluster

STARTS = 5


def pipeline(stream):
    """Four operators."""
    return stream.map(lambda v: v * 2).key_by(lambda v: v % 2).reduce(lambda a, b: a + b)


def starts():
    """Milliseconds of warm starts: until started, until ready, until stopped."""
    figures = []
    for run in range(STARTS + 1):
        begin = time.perf_counter()
        cluster = TestCluster(slots=2).start()
        started = time.perf_counter()
        cluster.wait_ready()
        ready = time.perf_counter()
        cluster.stop()
        if run:
            figures.append((started - begin, ready - begin, time.perf_counter() - ready))
    names = ("started_ms", "ready_ms", "stopped_ms")
    medians = [statistics.median(column) for column in zip(*figures, strict=True)]
    return {n: round(1000 * m, 1) for n, m in zip(names, medians, strict=True)}


def pipelines(count):
    """Seconds of so many jobs."""
    with TestCluster(slots=2) as cluster:

        def one():
            stream = cluster.environment().from_collection([1, 2, 3, 4])
            assert list(pipeline(stream).execute_and_collect()) == [2, 6, 12, 20]

        one()
        begin = time.perf_counter()
        for _ in range(count):
            one()
        seconds = time.perf_counter() - begin
    return {
        "pipelines": count,
        "seconds": round(seconds, 2),
        "ms_each": round(1000 * seconds / count, 1),
    }


def harnesses(count=200):
    """Milliseconds of a harness."""
    begin = time.perf_counter()
    for _ in range(count):
        with OperatorHarness(pipeline) as harness:
            harness.push(1, 2, 3, 4)
            assert harness.results == [2, 6, 12, 20]
    return {"harnesses": count, "ms_each": round(1000 * (time.perf_counter() - begin) / count, 2)}


def main():
    """Run all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipelines", type=int, default=100)
    args = parser.parse_args()
    at = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps({**at, "what": "warm cluster", **starts()}), flush=True)
    print(json.dumps({**at, "what": "operator harness", **harnesses()}), flush=True)
    print(json.dumps({**at, "what": "small pipelines", **pipelines(args.pipelines)}), flush=True)


if __name__ == "__main__":
    main()
