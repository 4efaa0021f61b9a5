"""Submitting a job graph: to the cluster that is named, or to an embedded one made for the job."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from lesto.client.job_client import JobClient, JobExecutionResult
from lesto.client.jobmanager_client import JobManagerClient
from lesto.client.run_options import RunOptions
from lesto.common import options
from lesto.common.config import Configuration
from lesto.common.tls import internal_tls
from lesto.proto import client_pb2 as pb
from lesto.proto import job_pb2


def slots_needed(graph: job_pb2.JobGraph) -> int:
    """Slots of a job: in each slot sharing group, the largest parallelism."""
    largest: dict[str, int] = {}
    for vertex in graph.vertices:
        group = vertex.slot_sharing_group
        largest[group] = max(largest.get(group, 0), vertex.parallelism)
    return max(sum(largest.values()), 1)


def submit(
    graph: job_pb2.JobGraph, config: Configuration, run_options: RunOptions | None = None
) -> JobClient:
    """Submit a graph.

    Without ``run_options.jobmanager``, a cluster with as many slots as the job needs is started in
    this
    process; it ends with the job.

    Raises:
        JobManagerUnreachableError: nothing answers at the address.
        ClusterStartError: the embedded cluster did not come up.
    """
    run = run_options or RunOptions()
    if run.jobmanager:
        from lesto.client.local_token import find_token

        token = find_token(config, run.jobmanager)
        client = JobManagerClient(
            run.jobmanager,
            token,
            timeout=config.get(options.CLIENT_TIMEOUT),
            failover_timeout=config.get(options.CLIENT_FAILOVER_TIMEOUT),
            tls=internal_tls(config),
        )
        job = _send(client, graph, None)
    else:
        from lesto.client.minicluster import MiniCluster

        cluster = MiniCluster(_embedded_config(config), slots=slots_needed(graph)).start()
        try:
            job = _send(JobManagerClient(cluster.address, cluster.token), graph, cluster)
        except BaseException:
            cluster.stop()
            raise
    if run.submitted_path:
        with Path(run.submitted_path).open("a", encoding="ascii") as file:
            file.write(f"{job.job_id}\n")
    return job


def _embedded_config(config: Configuration) -> Configuration:
    """Somebody watches this job and has the code at hand: unless they chose a restart strategy, an
    exception of theirs ends the job, where a cluster's would come back after every restart.
    """
    config = Configuration(config)
    chosen = config.contains(options.RESTART_STRATEGY) or config.contains(
        options.RESTART_ON_USER_ERRORS
    )
    if not chosen:
        config.set(options.RESTART_ON_USER_ERRORS, False, origin="made for this cluster")
    return config


def _send(client: JobManagerClient, graph: job_pb2.JobGraph, cluster: object) -> JobClient:
    try:
        job_id = client.submit(pb.SubmitJobRequest(graph=graph))
    except BaseException:
        client.close()
        raise
    return JobClient(client, job_id, graph.name, cluster)  # type: ignore[arg-type]


def run_attached(
    graph: job_pb2.JobGraph,
    config: Configuration,
    run_options: RunOptions,
    tell: Callable[[JobClient | None, Exception | None], None] | None = None,
) -> JobExecutionResult:
    """Submit and wait; with live progress if asked for, else with failures on standard error alone.
    ``tell`` hears of the submission.

    When waiting is interrupted, a job on an embedded cluster ends; one on a real cluster goes on.

    Raises:
        JobExecutionError: it failed for good.
        JobCanceledError: it was cancelled.
    """
    try:
        job = submit(graph, config, run_options)
    except Exception as error:
        if tell is not None:
            tell(None, error)
        raise
    try:
        if tell is not None:
            tell(job, None)
        if run_options.progress:
            from rich.console import Console

            from lesto.client.progress import watch

            return watch(job, Console(stderr=True))
        from lesto.client.progress_lines import wait_telling

        return wait_telling(job, sys.stderr)
    except KeyboardInterrupt:
        if not job.embedded:
            sys.stderr.write(
                f"\nThe job {job.job_id} goes on; cancel it with: lesto cancel {job.job_id}\n"
            )
        raise
    finally:
        job.close()
