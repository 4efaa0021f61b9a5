"""`lesto list`, `cancel`, `stop`, `savepoint` and `checkpoint`."""

from __future__ import annotations

import argparse
import time

from lesto.client.cli.exit_codes import ExitCode
from lesto.client.cli.output import format_elapsed, format_time, print_records
from lesto.client.cli.progress import progress, snapshot
from lesto.client.cli.target import connect
from lesto.client.errors import MissingArgumentError
from lesto.client.jobmanager_client import ENDED_STATES
from lesto.jobmanager.errors import JobStateError
from lesto.proto import client_pb2 as pb

_RUNNING = {pb.JOB_STATE_RUNNING, pb.JOB_STATE_FAILING, pb.JOB_STATE_CANCELLING}
_ACTIVE = _RUNNING | {pb.JOB_STATE_CREATED, pb.JOB_STATE_RESTARTING}
_COLUMNS = {
    "job_id": "JOB",
    "name": "NAME",
    "state": "STATE",
    "start_time": "STARTED",
    "duration": "DURATION",
    "tasks": "TASKS",
    "restarts": "RESTARTS",
}


def state_name(state: int) -> str:
    """Return a job state as Flink writes it.

    >>> state_name(2)
    'RUNNING'
    """
    return pb.JobState.Name(state).removeprefix("JOB_STATE_")  # type: ignore[arg-type]


def list_jobs(arguments: argparse.Namespace) -> int:
    """Print jobs, oldest first."""
    with connect(arguments) as client:
        jobs = client.jobs()
    if arguments.running:
        wanted = _RUNNING
    elif arguments.scheduled:
        wanted = {pb.JOB_STATE_CREATED}
    else:
        wanted = _ACTIVE
    shown = [job for job in jobs if arguments.all or job.state in wanted]
    shown.sort(key=lambda job: job.start_time_ms)
    if not shown and arguments.output == "table":
        print(_none(len(jobs), arguments))
        return ExitCode.OK
    print_records([_record(job) for job in shown], _COLUMNS, arguments.output)
    return ExitCode.OK


def _none(others: int, arguments: argparse.Namespace) -> str:
    """What an empty list says."""
    which = "running " if arguments.running else "waiting " if arguments.scheduled else ""
    if arguments.all or not others:
        return "No jobs yet. Start one: lesto run -d job.py"
    return f"No {which}jobs ({others} others: `lesto list -a`). Start one: lesto run -d job.py"


def _record(job: pb.JobSummary) -> dict[str, object]:
    end_ms = job.end_time_ms or time.time_ns() // 1_000_000
    return {
        "job_id": job.job_id,
        "name": job.name,
        "state": state_name(job.state),
        "start_time": format_time(job.start_time_ms),
        "end_time": format_time(job.end_time_ms),
        "duration": format_elapsed(max(0, end_ms - job.start_time_ms)),
        "tasks": f"{job.tasks_running}/{job.tasks_total}",
        "restarts": job.restarts,
    }


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel a job.

    Raises:
        JobStateError: it has ended already.
    """
    with connect(arguments) as client:
        job_id = client.resolve_job(arguments.job)
        job = client.job(job_id).summary
        if job.state in ENDED_STATES:  # the JobManager takes it without a word
            msg = f"job {job.name} ({job_id}) has ended: it is {state_name(job.state)}"
            raise JobStateError(msg)
        client.cancel(job_id)
    print(f"Cancelled job {job_id}.")
    return ExitCode.OK


def stop(arguments: argparse.Namespace) -> int:
    """Stop a job with a savepoint and print where it is."""
    with connect(arguments) as client:
        job_id = client.resolve_job(arguments.job)
        with progress(client, job_id, snapshot):
            path = client.stop(job_id, arguments.savepointPath, drain=arguments.drain)
    print(f"Stopped job {job_id}. Savepoint: {path}")
    return ExitCode.OK


def checkpoint(arguments: argparse.Namespace) -> int:
    """Take a checkpoint and print where it is."""
    with connect(arguments) as client:
        job_id = client.resolve_job(arguments.job)
        with progress(client, job_id, snapshot):
            number, path = client.checkpoint(job_id, full=arguments.full)
    print(f"Checkpoint {number}: {path}")
    return ExitCode.OK


def savepoint(arguments: argparse.Namespace) -> int:
    """Take a savepoint and print where it is, or delete one.

    Raises:
        MissingArgumentError: there is neither a job nor a path.
    """
    if arguments.dispose:
        with connect(arguments) as client:
            files = client.dispose(arguments.dispose)
        print(f"Disposed of {arguments.dispose} ({files} files).")
        return ExitCode.OK
    if not arguments.job:
        msg = "lesto savepoint needs a JOB, or --dispose PATH"
        raise MissingArgumentError(msg, remedy="See `lesto savepoint --help`.")
    with connect(arguments) as client:
        job_id = client.resolve_job(arguments.job)
        with progress(client, job_id, snapshot):
            path = client.savepoint(job_id, arguments.directory)
    print(f"Savepoint: {path}")
    return ExitCode.OK
