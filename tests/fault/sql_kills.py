"""Queries of the differential suite under kill -9: the tables they leave are those expected.

    python -m tests.fault.sql_kills --runs 5 --kills 4

One job carries out many queries with state: joins, groups, windows, ranks, over rows that come,
change and go. Checkpoints are frequent, RocksDB's incremental and unaligned; what SQL keeps spills
into files; slots and TaskManagers are killed at random, and the job may be rescaled in place in
between. What each query published is then applied as a changelog and compared with the rows that
DuckDB and real Flink give.
"""

import argparse
import contextlib
import random
import sys
import tempfile
import time
from pathlib import Path

import grpc

from lesto.proto import client_pb2 as pb
from tests.differential import running
from tests.differential.corpus import queries
from tests.fault.cluster import Cluster, kill
from tests.fault.live_rescale import rescale
from tests.golden.harness import environment

PARALLELISM = 2
#: Tables that are read in half a minute on an idle machine.
PAUSE_MS = 150
END_SECONDS_MAX = 240
#: Of each kind of state, with retractions where there are any.
QUERIES = (
    "group_changelog_min_max", "group_changelog_distinct", "group_collect", "group_of_group",
    "grouping_sets_of_changelog", "join_changelog_full", "join_upsert_full", "join_bags",
    "join_of_joins_changelog", "join_full_non_equi", "changelog_not_in_changelog",
    "not_in_nullable_few", "exists_bag", "except_all_changelog", "intersect_all_changelog",
    "tumble_distinct", "hop_keyed", "cumulate_distinct", "session_min_max_distinct",
    "window_top_n_keyed_hop", "window_dedup_last", "window_join_full", "window_join_anti",
    "over_range_interval", "over_rows_min_max", "over_retract_range", "over_lag",
    "top_n_changelog", "top_n_upsert", "top_n_of_join", "dedup_last_rowtime",
    "dedup_first_rowtime", "order_by_time_and_more", "order_by_limit_changelog",
    "interval_full", "interval_semi", "temporal_left", "temporal_then_window",
    "unnest_of_changelog", "deep_group_join_group", "deep_left_join_group_filter_group",
    "deep_window_then_group_then_top_n", "deep_count_distinct_of_left_join",
)  # fmt: skip


def chosen(names):
    """The queries of these names."""
    known = {q.name: q for q in queries()}
    return [known[name] for name in names]


def job_options(backend, *, unaligned, interval):
    """Options of the job."""
    return {
        "execution.checkpointing.interval": interval,
        "execution.checkpointing.unaligned.enabled": str(unaligned).lower(),
        "execution.checkpointing.incremental": "true",
        "state.backend.type": backend,
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": "1000",
        "restart-strategy.fixed-delay.delay": "100ms",
    }


def checkpointed(cluster, job):
    """Wait for two checkpoints more, so that there is something to go back to; False: it ended."""
    deadline, first = time.monotonic() + END_SECONDS_MAX, None
    while time.monotonic() < deadline:
        with contextlib.suppress(grpc.RpcError):
            details = cluster.job(job)
            if details.summary.state == pb.JOB_STATE_FINISHED:
                return False
            done = details.checkpoints.completed
            first = done if first is None else first
            if done >= first + 2:
                return True
        time.sleep(0.05)
    raise AssertionError("no checkpoint")


def one_run(
    folder, *, kills, seed, names=QUERIES, backend="rocksdb", unaligned=True, interval="150ms",
    rescales=(), pause_ms=PAUSE_MS,
):  # fmt: skip
    """One run; its report, in which ``wrong`` says what is not as it must be."""
    rng = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    options = {"state.backend.lesto.table-cache": "1mb", "state.backend.rocksdb.cache-size": "1mb"}
    asked, output = chosen(names), folder / "output"
    slots = 2 if rescales else 1
    with Cluster(
        folder, taskmanagers=2, slots=slots, options=options, keep_jobmanager=True
    ) as cluster:  # a JobManager that got no time gives up its lead for a moment
        env = environment(
            cluster, parallelism=PARALLELISM,
            **job_options(backend, unaligned=unaligned, interval=interval),
        )  # fmt: skip
        running.build(env, running.planner(folder, pause_ms=pause_ms), asked, output)
        job = env.execute_async("queries under kills").job_id
        cluster.wait_for(job, pb.JOB_STATE_RUNNING, 60)
        killed, widths = [], []
        for strike in range(kills):
            if not checkpointed(cluster, job):
                break
            if strike < len(rescales):
                with contextlib.suppress(grpc.RpcError):  # a job that restarts cannot
                    widths.append(rescale(cluster, job, rescales[strike]).pause_ms)
            time.sleep(rng.uniform(0.1, 1.5))
            kind, pid = rng.choice(cluster.victims() or [("", 0)])
            if pid and kill(pid):
                killed.append(kind)
        details = cluster.wait_for(job, pb.JOB_STATE_FINISHED, END_SECONDS_MAX)
    wrong = {}
    for query in asked:
        said = running.check(query, running.applied(running.read(output, query)))
        if said:
            wrong[query.name] = said
    return {
        "seed": seed,
        "killed": killed,
        "rescaled_ms": widths,
        "restarts": details.summary.restarts,
        "checkpoints": details.checkpoints.completed,
        "restored": details.checkpoints.restored,
        "failures": [f.failure.message for f in details.failures],
        "wrong": wrong,
    }


def main():
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--backend", default="rocksdb")
    parser.add_argument("--aligned", action="store_true")
    parser.add_argument("--rescale", default="", help="widths, as 3,1")
    parser.add_argument("--queries", default="", help="names, as a,b; by default a choice")
    args = parser.parse_args()
    failed = 0
    for run in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="lesto-sql-") as folder:
            report = one_run(
                Path(folder), kills=args.kills, seed=args.seed + run, backend=args.backend,
                unaligned=not args.aligned,
                rescales=[int(w) for w in args.rescale.split(",") if w],
                names=[n for n in args.queries.split(",") if n] or QUERIES,
            )  # fmt: skip
        wrong = report.pop("wrong")
        failed += bool(wrong)
        print(f"run {run + 1}/{args.runs}: {'WRONG' if wrong else 'exact'} {report}", flush=True)
        for name, said in wrong.items():
            print(f"{name}: {said}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
