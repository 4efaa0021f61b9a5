"""What a new leader finds of the jobs that an earlier one ran. Blocking: for I/O threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lesto.common.errors import LestoError
from lesto.common.logs import get_logger
from lesto.jobmanager.core.events import CheckpointLoaded, Recovered
from lesto.jobmanager.core.job_log import LogState
from lesto.jobmanager.core.rescaling import forward_edges, set_parallelism
from lesto.jobmanager.errors import NoIntactCheckpointError
from lesto.jobmanager.server.checkpoint_store import CheckpointStore, load_checkpoint
from lesto.jobmanager.server.ha.job_log import JobLog
from lesto.jobmanager.server.ha.job_store import JobStore
from lesto.proto import client_pb2, job_pb2
from lesto.state.errors import CheckpointNotFoundError, CorruptFileError

logger = get_logger("lesto.jobmanager.recovery")

#: Completed checkpoints that are looked at, the newest first, before the job counts as lost.
CHECKPOINTS_READ_MAX = 100


@dataclass(frozen=True, slots=True)
class FoundJob:
    """A job of the job store.

    Attributes:
        log: its log, with the own epoch claimed unless the job has ended.
        graph: as submitted; with the parallelism it was rescaled to.
        ended: last details of a job that has ended.
        recovered: where a job that has not ended goes on.
        cancel_wanted: a client was told that it will be cancelled.
        store: names of its checkpoints; None for a job that has ended.
    """

    log: JobLog
    graph: job_pb2.JobGraph
    ended: client_pb2.JobDetails | None = None
    recovered: Recovered | None = None
    cancel_wanted: bool = False
    store: CheckpointStore | None = None


def find_job(
    jobs: JobStore,
    job_id: str,
    *,
    leader: str,
    term: int,
    checkpoint_dir: Callable[[job_pb2.JobGraph], str],
    retained: Callable[[job_pb2.JobGraph], int],
) -> FoundJob | None:
    """Read a job and claim its next epoch; None: it is none (its submission never was complete).

    Args:
        jobs: the job store.
        job_id: which.
        leader: id of this JobManager.
        term: of its leadership.
        checkpoint_dir: where a job keeps its checkpoints.
        retained: completed checkpoints that a job keeps.

    Raises:
        LeaderFencedError: a later leader has claimed the job.
        JobLogError: its log or graph is damaged.
        StorageError: the storage refused.
    """
    log = jobs.log(job_id)
    state = log.read()
    if state.submitted is None:
        return None
    graph = jobs.graph(job_id, state.submitted.graph)
    if state.ended is None:
        log.claim(leader, term)
    if state.ended is not None:
        return FoundJob(log, graph, ended=jobs.details(job_id, state.ended.details))
    set_parallelism(graph, state.parallelism, forward_edges(graph))
    store = CheckpointStore(checkpoint_dir(graph), job_id, log)
    recovered = _restore_point(state, store, retained(graph))
    return FoundJob(log, graph, recovered=recovered, cancel_wanted=state.cancel_wanted, store=store)


def _restore_point(state: LogState, store: CheckpointStore, retained: int) -> Recovered:
    """The newest checkpoint of the log, those kept before it, and the numbers that are taken.

    Sinks have published what the newest one covers: an older one would publish it again. So when
    the newest cannot be read, a person decides.
    """
    assert state.submitted is not None
    entries = state.newest_first()
    found: list[CheckpointLoaded] = []
    unreadable: list[LestoError] = []
    missing = 0
    for entry in entries[:CHECKPOINTS_READ_MAX]:
        if len(found) > retained or (found and missing > retained):
            break
        try:
            found.insert(0, load_checkpoint(entry.path))
        except CheckpointNotFoundError as error:
            missing += 1
            if not found:  # older ones are not kept for ever
                unreadable.append(error)
        except CorruptFileError as error:
            unreadable.append(error)
    for problem in unreadable:
        logger.warning("recovery.checkpoint_unusable", error=str(problem))
    failure: LestoError | None = None
    if entries and (not found or found[-1].metadata.checkpoint_id != entries[0].checkpoint_id):
        failure = _newest_is_lost(unreadable[0], found[-1] if found else None)
        found = []
    restarts = max((entry.restarts for entry in entries), default=0)
    return Recovered(
        checkpoints=tuple(found),
        first_id=max([*store.numbers(), *state.checkpoints], default=0) + 1,
        restarts=restarts + (state.epoch > 1),
        start_ms=state.submitted.at_ms,
        failure=failure,
    )


def _newest_is_lost(error: LestoError, intact: CheckpointLoaded | None) -> LestoError:
    msg = f"the job's newest checkpoint cannot be read: {error.message}"
    remedy = "bring its files back, or submit the job anew from a savepoint"
    if intact is not None:
        remedy = (
            f"bring its files back and submit the job with -s; or with -s {intact.path}, an older "
            "one that is intact: what sinks have published since is published again"
        )
    return NoIntactCheckpointError(msg, remedy=remedy)
