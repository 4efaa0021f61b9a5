"""From a specification, what is remembered and what was observed, to what to do. Pure.

One turn: :func:`decide`. Each phase has a function that gives a new status and actions. An action
is given again each turn until its effect is observed, under the same id; none is given that the
status does not say.

::

    NEW ──▶ STARTING ──▶ RUNNING ──▶ STOPPING ──▶ STARTING | SUSPENDED
               │  ▲          │                        │
               ▼  └──────────┼────────────────────────┘
             FAILED ◀────────┘          (a rollback is STOPPING and STARTING with the stable one)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, assert_never

from lesto.client.operator.errors import InvalidDeploymentError
from lesto.client.operator.model import (
    Action,
    ApplyObjects,
    CancelJob,
    CreateSubmitter,
    Decision,
    DeleteSubmitters,
    Event,
    Facts,
    JobFacts,
    JobState,
    Phase,
    Savepoint,
    Status,
    StopJob,
    TriggerSavepoint,
    job_id,
    trigger_id,
)
from lesto.client.operator.spec import (
    Change,
    DeploymentSpec,
    JobSpec,
    UpgradeMode,
    compare,
    digest,
    objects_digest,
    parse_spec,
    redeploys,
)

#: Time between two looks while something is under way, and when nothing is.
BUSY_SECONDS = 1.0
IDLE_SECONDS = 10.0
#: Time that a cluster that answers may not know the job, before it counts as lost.
MISSING_MS_MAX = 60_000
#: Time for a JobManager to come back as it was, before it is started as it should become.
SILENT_MS_MAX = 60_000
#: Pauses between tries to stop with a savepoint.
FIRST_RETRY_MS = 5_000
RETRY_MS_MAX = 300_000


def decide(raw: Mapping[str, Any], status: Status, facts: Facts) -> Decision:
    """One turn.

    Args:
        raw: the resource's ``spec``.
        status: what the last turn remembered.
        facts: what was observed since.
    """
    try:
        wanted = parse_spec(raw)
    except InvalidDeploymentError as error:
        # Whatever runs goes on: the author has to correct the resource.
        status = replace(status, error=str(error), observed_generation=facts.generation)
        return Decision(status, wait_seconds=IDLE_SECONDS)
    if status.rejected and status.rejected != digest(raw):
        status = replace(status, rejected="")
    goal = wanted
    if status.rejected and status.stable is not None:
        goal = parse_spec(status.stable)
    status = replace(status, observed_generation=facts.generation)
    if facts.job is not None and facts.job.state is not JobState.UNKNOWN:
        status = replace(
            status,
            job_state=facts.job.shown or facts.job.state.value,
            newest=facts.job.checkpoint or status.newest,
        )
    decision = _Turn(goal, status, facts).decision()
    told = facts.problem or decision.status.error
    return replace(decision, status=replace(decision.status, error=told))


class _Turn:
    """One turn of one deployment."""

    def __init__(self, goal: DeploymentSpec, status: Status, facts: Facts) -> None:
        self._goal = goal
        self._status = status
        self._facts = facts
        self._told = status.error
        self._events: list[Event] = []

    def decision(self) -> Decision:
        status = self._status
        if status.phase is Phase.NEW:
            return self._new()
        if self._goal.job is None:
            return self._session()
        match status.phase:
            case Phase.STARTING:
                return self._starting(self._goal.job)
            case Phase.RUNNING:
                return self._running(self._goal.job)
            case Phase.STOPPING:
                return self._stopping(self._goal.job)
            case Phase.SUSPENDED:
                return self._suspended(self._goal.job)
            case Phase.FAILED:
                return self._failed(self._goal.job)
            case _:
                assert_never(status.phase)

    # ----------------------------------------------------------------------------- short words

    @property
    def _job(self) -> JobFacts | None:
        return self._facts.job

    @property
    def _job_id(self) -> str:
        return job_id(self._facts.uid, self._status.submission)

    def _give(
        self, status: Status, *actions: Action, wait_seconds: float = BUSY_SECONDS
    ) -> Decision:
        return Decision(status, actions, tuple(self._events), wait_seconds)

    def _tell(self, reason: str, message: str, *, warning: bool = False) -> None:
        self._events.append(Event(reason, message, warning))

    def _apply(self, *, running: bool) -> tuple[Action, ...]:
        """The objects of the present specification, unless they are so already."""
        assert self._status.reconciled is not None
        if self._facts.objects == objects_digest(self._status.reconciled, running=running):
            return ()
        return (ApplyObjects(self._status.reconciled, running),)

    # ------------------------------------------------------------------------------- beginning

    def _new(self) -> Decision:
        goal, now = self._goal, self._facts.now_ms
        if goal.job is None:
            status = self._status.enter(Phase.RUNNING, now, reconciled=goal.raw, error="")
            self._status = status
            return self._give(status, *self._apply(running=True))
        nonce = goal.job.savepoint_nonce  # of a job that is to come: nothing to save yet
        status = replace(self._status, seen_nonce=nonce, restore=goal.job.initial_savepoint)
        if not goal.job.running:
            status = status.enter(Phase.SUSPENDED, now, reconciled=goal.raw, error="")
            return self._give(status, wait_seconds=IDLE_SECONDS)
        self._status = status
        return self._start(goal, status.restore)

    def _session(self) -> Decision:
        """A cluster without a job of its own: objects follow the specification."""
        status = replace(self._status, reconciled=self._goal.raw, error="")
        if status.phase is not Phase.RUNNING:
            status = status.enter(Phase.RUNNING, self._facts.now_ms)
        self._status = status
        wait = IDLE_SECONDS if self._facts.ready else BUSY_SECONDS
        if self._facts.ready:
            status = replace(status, stable=self._goal.raw)
        return self._give(status, *self._apply(running=True), wait_seconds=wait)

    def _start(self, spec: DeploymentSpec, restore: str) -> Decision:
        """Begin to run a job, under a new id, from a snapshot or from nothing."""
        status = self._status.enter(
            Phase.STARTING,
            self._facts.now_ms,
            reconciled=spec.raw,
            submission=self._status.submission + 1,
            restore=restore,
            stop=None,
            attempt=0,
            manual_pending=False,
            job_state="",
            newest="",
            submitted=False,
            error=self._status.error if self._status.rejected else "",
        )
        self._status = status
        number = status.submission
        self._tell("Submit", f"start {number} of the job, from {restore or 'nothing'}")
        # The turns after this one wait for the objects, then submit.
        return self._give(status, DeleteSubmitters(), *self._apply(running=True))

    # -------------------------------------------------------------------------------- starting

    def _starting(self, job: JobSpec) -> Decision:
        facts = self._facts
        status = self._status if self._status.rejected else replace(self._status, error="")
        self._status = status
        assert status.reconciled is not None
        found = facts.job
        known = found is not None and found.state is not JobState.UNKNOWN
        if compare(status.reconciled, self._goal.raw) is Change.UPGRADE:
            if not known:
                return self._start_changed(job)
            if found is not None and found.state is not JobState.FINISHED:
                return self._stop(job)
        else:
            status = replace(status, reconciled=self._goal.raw)
            self._status = status
        if found is not None and found.state in {JobState.RUNNING, JobState.FINISHED}:
            return self._came_up()
        if found is not None and found.state.ended:
            return self._did_not_start(f"the job has failed: {found.cause}")
        if not known and found is not None and facts.submitter == "failed":
            return self._did_not_start(f"the program did not submit a job: {facts.submitter_cause}")
        if facts.now_ms - status.since_ms > self._goal.ready_timeout_seconds * 1000:
            msg = f"the job did not run within {self._goal.ready_timeout_seconds} s"
            if self._can_roll_back():
                return self._did_not_start(msg)
            if not status.rejected:
                status = replace(status, error=f"{msg}; still trying")
        actions = self._apply(running=True)
        prepared = not actions and facts.ready and found is not None and not known
        if prepared and facts.submitter == "absent":
            status = replace(status, submitted=True)
            return self._give(status, self._submitter(status))
        return self._give(status, *actions)

    def _submitter(self, status: Status) -> CreateSubmitter:
        assert status.reconciled is not None
        return CreateSubmitter(status.reconciled, status.submission, self._job_id, status.restore)

    def _start_changed(self, job: JobSpec) -> Decision:
        """The specification changed before its job was seen.

        The submitter may be about to submit: it has to be gone before the cluster's word counts
        that it does not know the job.
        """
        status, facts = self._status, self._facts
        if facts.submitter == "active":
            return self._give(status, DeleteSubmitters())
        if facts.job is None and status.submitted:
            return self._wait_for_jobmanager("the job may have been submitted")
        if not job.running:
            return self._suspend(status.restore)
        return self._start(self._goal, self._restore_of(job, status.restore))

    def _wait_for_jobmanager(self, why: str) -> Decision:
        """Nobody answers, and somebody has to say what became of the job.

        First the JobManager is left to come back by itself; if it does not, what is wanted by now
        may be what lets it start.
        """
        status, now = self._status, self._facts.now_ms
        since = status.silent_since_ms or now
        error = f"{why}, and no JobManager answers"
        status = replace(status, silent_since_ms=since, error=error)
        if now - since < SILENT_MS_MAX:
            return self._give(status, *self._apply(running=True))
        if self._facts.objects == objects_digest(self._goal.raw, running=True):
            return self._give(status)
        return self._give(status, ApplyObjects(self._goal.raw, running=True))

    def _came_up(self) -> Decision:
        status, facts = self._status, self._facts
        self._tell("Running", f"job {self._job_id} runs")
        error = status.error if status.rejected else ""
        status = status.enter(
            Phase.RUNNING,
            facts.now_ms,
            stable=status.reconciled,
            rolling_back=False,
            error=error,
        )
        return self._give(status, DeleteSubmitters())

    def _can_roll_back(self) -> bool:
        status = self._status
        return (
            self._goal.rollback
            and not status.rolling_back
            and status.stable is not None
            and status.reconciled is not None
            and compare(status.stable, status.reconciled) is Change.UPGRADE
        )

    def _did_not_start(self, why: str) -> Decision:
        """A start has failed: go back if that is wanted, else stay and say so."""
        status, facts = self._status, self._facts
        restore = facts.job.checkpoint if facts.job is not None else ""
        restore = restore or status.restore
        if not self._can_roll_back():
            self._tell("Failed", why, warning=True)
            status = status.enter(Phase.FAILED, facts.now_ms, restore=restore, error=why)
            return self._give(status, DeleteSubmitters(), wait_seconds=IDLE_SECONDS)
        self._tell("RollBack", f"{why}; going back to the last stable specification", warning=True)
        # The next turn finds another goal than what is being started, and stops that first.
        status = replace(
            status,
            rejected=digest(self._goal.raw),
            rolling_back=True,
            restore=restore,
            error=f"rolled back: {why}",
        )
        return self._give(status)

    # --------------------------------------------------------------------------------- running

    def _running(self, job: JobSpec) -> Decision:
        status, facts = self._status, self._facts
        assert status.reconciled is not None
        if compare(status.reconciled, self._goal.raw) is Change.UPGRADE:
            return self._stop(job)
        self._status = status = replace(status, reconciled=self._goal.raw)
        if not facts.leading or facts.job is None:
            return self._give(status, *self._apply(running=True))
        if facts.job.state is JobState.UNKNOWN:
            return self._missing(job)
        status = replace(status, missing_since_ms=0)
        if not status.rejected:
            status = replace(status, error="")
        self._status = status
        if facts.job.state in {JobState.FAILED, JobState.CANCELED}:
            cause = facts.job.cause or facts.job.state.value.lower()
            self._tell("Failed", f"the job has ended: {cause}", warning=True)
            restore = facts.job.checkpoint or status.restore
            status = status.enter(
                Phase.FAILED, facts.now_ms, restore=restore, error=f"the job has ended: {cause}"
            )
            return self._give(status, wait_seconds=IDLE_SECONDS)
        status, actions = self._manual_savepoint(job)
        self._status = status
        busy = status.manual_pending or not facts.ready
        return self._give(
            status,
            *self._apply(running=True),
            *actions,
            wait_seconds=BUSY_SECONDS if busy else IDLE_SECONDS,
        )

    def _missing(self, job: JobSpec) -> Decision:
        """The cluster leads and does not know the job: it was lost, or is being recovered."""
        status, facts = self._status, self._facts
        since = status.missing_since_ms or facts.now_ms
        status = replace(status, missing_since_ms=since)
        self._status = status
        if facts.now_ms - since < MISSING_MS_MAX:
            return self._give(status, *self._apply(running=True))
        if job.upgrade_mode is UpgradeMode.STATELESS:
            self._tell("JobLost", "the cluster has lost the job; it starts anew", warning=True)
            return self._start(self._goal, "")
        msg = (
            "the cluster does not know the job any more, and with it where its checkpoints are; "
            "set initialSavepointPath and change savepointRedeployNonce"
        )
        return self._give_up(msg, "")

    def _manual_savepoint(self, job: JobSpec) -> tuple[Status, tuple[Action, ...]]:
        """A savepoint that a nonce asks for: trigger it, look after it."""
        status, facts = self._status, self._facts
        running = facts.job is not None and facts.job.state is JobState.RUNNING
        if not status.manual_pending:
            if job.savepoint_nonce in {None, status.seen_nonce} or not running:
                return status, ()
            status = replace(
                status,
                manual_pending=True,
                manual_nonce=job.savepoint_nonce,
                trigger=status.trigger + 1,
            )
            return status, (TriggerSavepoint(self._job_id, self._trigger_of(status)),)
        found = facts.trigger
        if found is None or found.state == "pending":
            return status, ()
        done = replace(status, manual_pending=False, seen_nonce=status.manual_nonce)
        if found.state == "completed":
            self._tell("Savepoint", found.location)
            savepoint = Savepoint(found.location, facts.now_ms, "manual", status.manual_nonce)
            return done.with_savepoint(savepoint), ()
        if found.state == "failed":
            msg = f"the savepoint of nonce {status.manual_nonce} failed: {found.cause}"
            self._tell("SavepointFailed", msg, warning=True)
            return replace(done, error=msg), ()
        # Its JobManager is gone, or the request was lost: once more, under the same id.
        again = (TriggerSavepoint(self._job_id, self._trigger_of(status)),) if running else ()
        return status, again

    def _trigger_of(self, status: Status) -> str:
        return trigger_id(self._facts.uid, status.trigger)

    # -------------------------------------------------------------------------------- stopping

    def _stop(self, job: JobSpec) -> Decision:
        """Begin to stop the job, because what should run has changed."""
        status, facts = self._status, self._facts
        redeploy = redeploys(status.reconciled, job)
        mode = UpgradeMode.STATELESS if redeploy else job.upgrade_mode
        if status.rolling_back and mode is UpgradeMode.SAVEPOINT:
            mode = UpgradeMode.LAST_STATE  # what did not start takes no savepoint
        state = facts.job.state if facts.job is not None else None
        if state is None:
            return self._wait_for_jobmanager("the job is to be stopped")
        if mode is UpgradeMode.SAVEPOINT and state is not JobState.RUNNING:
            if not job.last_state_fallback and not state.ended:
                wait = "the job is to be stopped with a savepoint, and does not run"
                return self._give(replace(status, error=wait))
            mode = UpgradeMode.LAST_STATE
        trigger = status.trigger + (mode is UpgradeMode.SAVEPOINT)
        status = status.enter(
            Phase.STOPPING,
            facts.now_ms,
            stop=mode,
            attempt=1,
            trigger=trigger,
            manual_pending=False,
            error=status.error if status.rejected else "",
        )
        self._tell("Stop", f"stopping the job ({mode.value})")
        self._status = status
        return self._stopping(job)

    def _stopping(self, job: JobSpec) -> Decision:
        status, found = self._status, self._facts.job
        if found is None:
            return self._wait_for_jobmanager("the job is being stopped")
        if found.state is JobState.UNKNOWN:
            return self._missing_while_stopping(job)
        status = replace(status, missing_since_ms=0, silent_since_ms=0)
        if not status.rejected:
            status = replace(status, error="")
        self._status = status
        if status.stop is UpgradeMode.SAVEPOINT:
            return self._stopping_with_savepoint(job, found)
        if not found.state.ended:
            return self._give(status, CancelJob(self._job_id))
        if status.stop is UpgradeMode.STATELESS:
            return self._stopped(job, "", found)
        return self._ended(job, found)

    def _ended(self, job: JobSpec, found: JobFacts) -> Decision:
        """The job has ended without a savepoint of ours: go on from what it left."""
        newest = self._status.newest
        if newest and not found.checkpoint:
            # Its JobManager failed as it ended. What is newest was published; older would be again.
            msg = (
                f"the cluster no longer says what the job's newest checkpoint is (last seen: "
                f"{newest}); set initialSavepointPath to it and change savepointRedeployNonce"
            )
            return self._give_up(msg, newest)
        return self._stopped(job, self._left_by(found), found)

    def _give_up(self, why: str, restore: str) -> Decision:
        self._tell("Failed", why, warning=True)
        status = self._status.enter(
            Phase.FAILED,
            self._facts.now_ms,
            restore=restore,
            error=why,
            reconciled=self._goal.raw,
        )
        return self._give(status, wait_seconds=IDLE_SECONDS)

    def _left_by(self, found: JobFacts) -> str:
        """What a job that has ended left to go on from.

        One that finished deletes its checkpoints, and nothing older may be used: its results are
        published. A savepoint that is the last it did is how it was stopped.
        """
        if found.state is JobState.FINISHED:
            return found.checkpoint if found.savepoint else ""
        return found.checkpoint or self._status.restore

    def _missing_while_stopping(self, job: JobSpec) -> Decision:
        status, now = self._status, self._facts.now_ms
        since = status.missing_since_ms or now
        status = replace(status, missing_since_ms=since)
        if now - since < MISSING_MS_MAX:
            return self._give(status)
        self._status = status
        if status.stop is UpgradeMode.STATELESS:
            return self._stopped(job, "", None)
        return self._missing(job)

    def _stopping_with_savepoint(self, job: JobSpec, found: JobFacts) -> Decision:
        status, facts = self._status, self._facts
        trigger = facts.trigger
        state = trigger.state if trigger is not None else "unknown"
        if trigger is not None and state == "completed":
            if not found.state.ended:
                return self._give(status)
            return self._saved(job, trigger.location, found)
        if found.state.ended and state != "pending":
            # Stopped, and the answer is lost with its JobManager; or it ended by itself.
            if found.state is JobState.FINISHED and found.savepoint:
                return self._saved(job, found.checkpoint, found)
            return self._ended(job, found)
        if facts.now_ms < status.not_before_ms:
            return self._give(replace(status, error=self._told))
        if trigger is not None and state == "failed":
            return self._stop_failed(job, found, trigger.cause)
        if found.state is not JobState.RUNNING and state == "unknown":
            return self._stop_failed(job, found, "the job does not run")
        if state == "unknown":
            return self._give(status, StopJob(self._job_id, self._trigger_of(status)))
        return self._give(status)

    def _stop_failed(self, job: JobSpec, found: JobFacts, cause: str) -> Decision:
        """A savepoint could not be taken: the last state if that is allowed, else once more."""
        status, now = self._status, self._facts.now_ms
        self._tell("SavepointFailed", cause, warning=True)
        if found.state is not JobState.RUNNING and job.last_state_fallback:
            status = replace(status, stop=UpgradeMode.LAST_STATE)
            return self._give(status, CancelJob(self._job_id))
        pause = min(FIRST_RETRY_MS << min(status.attempt - 1, 16), RETRY_MS_MAX)
        status = replace(
            status,
            attempt=status.attempt + 1,
            trigger=status.trigger + 1,
            not_before_ms=now + pause,
            error=f"stopping with a savepoint failed, the job goes on: {cause}",
        )
        return self._give(status)

    def _saved(self, job: JobSpec, location: str, found: JobFacts) -> Decision:
        kind = "upgrade" if job.running else "suspend"
        self._tell("Savepoint", location)
        self._status = self._status.with_savepoint(
            Savepoint(location, self._facts.now_ms, kind, None)
        )
        return self._stopped(job, location, found)

    def _stopped(self, job: JobSpec, restore: str, found: JobFacts | None) -> Decision:
        """The job has ended; go on with what is wanted by now."""
        status = self._status
        finished = found is not None and found.state is JobState.FINISHED
        if finished and not restore and status.stop is not UpgradeMode.STATELESS:
            return self._give_up(
                "the job finished before it could be stopped, and left no state; to run it again "
                "from nothing, set upgradeMode stateless and change restartNonce",
                "",
            )
        if not job.running:
            return self._suspend(restore)
        if redeploys(status.reconciled, job):
            restore = job.initial_savepoint
        return self._start(self._goal, restore)

    # ----------------------------------------------------------------------- suspended, failed

    def _suspend(self, restore: str) -> Decision:
        self._tell("Suspended", f"state is kept in {restore}" if restore else "no state is kept")
        status = self._status.enter(
            Phase.SUSPENDED,
            self._facts.now_ms,
            reconciled=self._goal.raw,
            restore=restore,
            stop=None,
            error="",
        )
        self._status = status
        return self._give(status, DeleteSubmitters(), *self._apply(running=False))

    def _suspended(self, job: JobSpec) -> Decision:
        status = self._status
        if job.running:
            return self._start(self._goal, self._restore_of(job, status.restore))
        status = replace(status, reconciled=self._goal.raw, error="")
        self._status = status
        made = bool(self._facts.objects)
        actions = self._apply(running=False) if made else ()
        return self._give(status, *actions, wait_seconds=IDLE_SECONDS)

    def _restore_of(self, job: JobSpec, kept: str) -> str:
        """What a job that does not run starts from."""
        if redeploys(self._status.reconciled, job):
            return job.initial_savepoint
        if job.upgrade_mode is UpgradeMode.STATELESS:
            return ""
        return kept

    def _failed(self, job: JobSpec) -> Decision:
        status, facts = self._status, self._facts
        assert status.reconciled is not None
        if compare(status.reconciled, self._goal.raw) is not Change.UPGRADE:
            return self._give(status, *self._apply(running=True), wait_seconds=IDLE_SECONDS)
        if facts.job is not None and facts.job.state in {JobState.CHANGING, JobState.RUNNING}:
            return self._stop(job)
        if facts.submitter == "active":
            return self._give(status, DeleteSubmitters())
        restore = self._restore_of(job, status.restore)
        if not job.running:
            return self._suspend(restore)
        return self._start(self._goal, restore)
