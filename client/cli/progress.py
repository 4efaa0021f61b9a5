"""What happens while a call waits, on standard error, for who looks at a terminal."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from lesto.client.cli.output import format_bytes
from lesto.common.errors import LestoError

if TYPE_CHECKING:
    from lesto.client.jobmanager_client import JobManagerClient
    from lesto.proto import client_pb2 as pb

#: How often the job is looked at.
PROGRESS_SECONDS: Final = 0.2

Tell = Callable[["pb.JobDetails"], str]


@contextmanager
def progress(client: JobManagerClient, job_id: str, tell: Tell) -> Iterator[None]:
    """Show each change of what ``tell`` says of the job, while the block runs.

    Nothing is asked when standard error is no terminal.
    """
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    thread = threading.Thread(target=_follow, args=(client, job_id, tell, done), name="progress")
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def _follow(client: JobManagerClient, job_id: str, tell: Tell, done: threading.Event) -> None:
    last = ""
    while not done.wait(PROGRESS_SECONDS):
        try:
            line = tell(client.job(job_id))
        except LestoError:
            continue  # the call that matters says what is wrong
        if line and line != last:
            print(f"  {line}", file=sys.stderr)
            last = line


def tasks(details: pb.JobDetails) -> str:
    """The job's state and how many tasks run."""
    from lesto.client.cli.commands.jobs import state_name

    summary = details.summary
    return f"{state_name(summary.state)}, {summary.tasks_running}/{summary.tasks_total} tasks"


def snapshot(details: pb.JobDetails) -> str:
    """How far the checkpoint or savepoint under way is; behind it, the job's state.

    >>> from lesto.proto import client_pb2 as pb
    >>> going = pb.CheckpointStats(checkpoint_id=7, status="IN_PROGRESS", expected=4)
    >>> going.acknowledged, going.uploaded_bytes = 3, 5 << 20
    >>> snapshot(pb.JobDetails(checkpoints=pb.CheckpointSummary(history=[going])))
    'checkpoint 7: 3/4 subtasks, 5.0 MiB written'
    """
    for entry in details.checkpoints.history:
        if entry.status == "IN_PROGRESS":
            return (
                f"checkpoint {entry.checkpoint_id}: {entry.acknowledged}/{entry.expected} "
                f"subtasks, {format_bytes(entry.uploaded_bytes)} written"
            )
    return tasks(details)
