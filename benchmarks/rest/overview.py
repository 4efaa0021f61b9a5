"""How soon lists of jobs are answered while many jobs run.

    python benchmarks/rest/overview.py --jobs 50

So many jobs of one task, each in a slot of its own, on a real cluster. Milliseconds of requests one
after the other, as one dashboard polls, and of several dashboards at once (each opens a connection
and asks each second for what its page shows). One line of JSON into benchmarks/results/rest.jsonl.
"""

import argparse
import http.client
import os
import threading
import time

from cluster import BenchmarkCluster, quantile, record
from many_jobs import submit_all

PATHS = ("/jobs/overview", "/overview", "/jobs", "/taskmanagers", "/jobs/{job}")


def ask(connection, path):
    """Milliseconds of one request."""
    begin = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    return 1000 * (time.perf_counter() - begin)


def alone(address, job_id, count):
    """Figures by path: one client, one request after the other."""
    connection = http.client.HTTPConnection(address, timeout=30)
    found = {}
    for path in PATHS:
        taken = []
        for _ in range(count):
            taken.append(ask(connection, path.replace("{job}", job_id)))
            time.sleep(0.02)
        found[path] = figures(taken)
    connection.close()
    return found


def dashboards(address, job_id, count, seconds):
    """Figures by path: several clients that poll each second."""
    taken = {path: [] for path in PATHS}
    until = time.monotonic() + seconds

    def poll(number):
        connection = http.client.HTTPConnection(address, timeout=30)
        time.sleep(number / count)
        while time.monotonic() < until:
            for path in PATHS:
                taken[path].append(ask(connection, path.replace("{job}", job_id)))
            time.sleep(1)
        connection.close()

    threads = [threading.Thread(target=poll, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {path: figures(values) for path, values in taken.items()}


def figures(values):
    return {
        "requests": len(values),
        **{f"p{s}": round(quantile(values, s / 100), 2) for s in (50, 90, 99)},
        "max": round(max(values), 2),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--dashboards", type=int, default=10)
    parser.add_argument("--nice", type=int, default=0)
    args = parser.parse_args()
    os.nice(args.nice)
    with BenchmarkCluster(args.jobs) as cluster:
        jobs = submit_all(cluster, args.jobs)
        record(
            "overview",
            {
                "jobs": args.jobs,
                "alone_ms": alone(cluster.rest, jobs[0], args.requests),
                "dashboards": args.dashboards,
                "dashboards_ms": dashboards(cluster.rest, jobs[0], args.dashboards, 15),
            },
        )


if __name__ == "__main__":
    main()
