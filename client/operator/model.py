"""What the operator remembers of a deployment, what it observes, and what it can do. Pure.

Everything remembered is in the resource's status, and is written there *before* it is acted upon:
an operator that is killed between the two does the same again, under the same ids.
"""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from lesto.client.operator.errors import DeploymentStatusError
from lesto.client.operator.spec import UpgradeMode

#: Savepoints that the status names, newest first.
HISTORY_MAX = 10


class Phase(enum.Enum):
    """Where a deployment stands."""

    NEW = "new"
    STARTING = "starting"  # objects are made, the job is submitted, it gets its slots
    RUNNING = "running"  # the job was seen running; also a session
    STOPPING = "stopping"  # a savepoint or a cancellation is under way
    SUSPENDED = "suspended"  # stopped as asked for
    FAILED = "failed"  # until the specification changes


class JobState(enum.Enum):
    """What of a job's state counts here."""

    UNKNOWN = "UNKNOWN"  # the cluster answers and has no such job
    CHANGING = "CHANGING"  # it waits for slots, restarts, is being cancelled
    RUNNING = "RUNNING"  # all its tasks do
    FAILED = "FAILED"
    CANCELED = "CANCELED"
    FINISHED = "FINISHED"

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self in {JobState.FAILED, JobState.CANCELED, JobState.FINISHED}


@dataclass(frozen=True, slots=True)
class Savepoint:
    """A savepoint that is complete.

    Attributes:
        trigger: manual (a nonce), upgrade or suspend.
    """

    location: str
    timestamp_ms: int
    trigger: str
    nonce: int | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """What is remembered.

    Attributes:
        reconciled: the specification that runs, or is being started.
        stable: the newest one whose job was seen running.
        rejected: digest of a specification that was rolled back.
        submission: number of job starts; gives job and trigger ids.
        restore: snapshot that the job starts from, or will.
        newest: newest checkpoint of this start that was seen.
        stop: how the job is being stopped.
        attempt: number of tries to stop with a savepoint.
        trigger: number of savepoints that were asked for.
        manual_nonce: the nonce of the savepoint under way; ``manual_pending`` says if there is one.
        since_ms: when the phase began.
        not_before_ms: when the next try may begin.
        missing_since_ms: since when the cluster does not know the job; 0: it does.
        silent_since_ms: since when no JobManager answers, while one has to; 0: one does.
        submitted: the submitter of this start was made: the job may exist.
    """

    phase: Phase = Phase.NEW
    reconciled: Mapping[str, Any] | None = None
    stable: Mapping[str, Any] | None = None
    rejected: str = ""
    rolling_back: bool = False
    submission: int = 0
    restore: str = ""
    newest: str = ""
    stop: UpgradeMode | None = None
    attempt: int = 0
    trigger: int = 0
    manual_pending: bool = False
    manual_nonce: int | None = None
    seen_nonce: int | None = None
    savepoints: tuple[Savepoint, ...] = ()
    since_ms: int = 0
    not_before_ms: int = 0
    missing_since_ms: int = 0
    silent_since_ms: int = 0
    submitted: bool = False
    job_state: str = ""
    error: str = ""
    observed_generation: int = 0

    def enter(self, phase: Phase, now_ms: int, **more: Any) -> Self:
        """Go to another phase."""
        fresh = replace(
            self,
            phase=phase,
            since_ms=now_ms,
            not_before_ms=0,
            missing_since_ms=0,
            silent_since_ms=0,
        )
        return replace(fresh, **more)

    def with_savepoint(self, savepoint: Savepoint) -> Self:
        """Remember a savepoint; an answer seen twice is one."""
        if any(known.location == savepoint.location for known in self.savepoints):
            return self
        return replace(self, savepoints=(savepoint, *self.savepoints)[:HISTORY_MAX])

    def to_json(self) -> str:
        """Text for the resource's status."""
        values: dict[str, Any] = {}
        for name in self.__slots__:
            value = getattr(self, name)
            if isinstance(value, enum.Enum):
                value = value.value
            if name == "savepoints":
                value = [
                    [item.location, item.timestamp_ms, item.trigger, item.nonce] for item in value
                ]
            values[name] = value
        return json.dumps(values, sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What was written.

        Raises:
            DeploymentStatusError: somebody else wrote it.
        """
        try:
            values = json.loads(text)
            values = {name: values[name] for name in cls.__slots__ if name in values}
            values["phase"] = Phase(values["phase"])
            values["stop"] = UpgradeMode(values["stop"]) if values.get("stop") else None
            values["savepoints"] = tuple(Savepoint(*item) for item in values["savepoints"])
            return cls(**values)
        except (ValueError, KeyError, TypeError) as error:
            msg = f"status.reconciliationStatus.state cannot be read: {error!r}"
            raise DeploymentStatusError(
                msg, remedy="Restore the status, or make the resource anew from a savepoint."
            ) from error


@dataclass(frozen=True, slots=True)
class TriggerFacts:
    """What the cluster says of the savepoint under way.

    Attributes:
        state: unknown, pending, completed or failed.
    """

    state: str
    location: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What the cluster says of the job.

    Attributes:
        shown: the state in the cluster's own word.
        checkpoint: newest complete checkpoint or savepoint, else the one it started from.
        savepoint: whether that is a savepoint which the job has taken itself.
        cause: of its failure.
    """

    state: JobState
    shown: str = ""
    checkpoint: str = ""
    savepoint: bool = False
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What was observed in one turn; the submitter before the job, as it may be about to submit.

    Attributes:
        uid: of the resource.
        objects: digest of what the cluster's objects were made of; empty: there are none.
        ready: all of the objects' pods are of that form, and enough of them are ready.
        leading: REST of the leading JobManager answers.
        job: None: nobody could be asked.
        submitter: absent, active, succeeded or failed.
        submitter_cause: why it failed.
        trigger: of the savepoint under way.
        problem: the last action or observation that failed.
    """

    uid: str
    generation: int
    now_ms: int
    objects: str = ""
    ready: bool = False
    leading: bool = False
    job: JobFacts | None = None
    submitter: str = "absent"
    submitter_cause: str = ""
    trigger: TriggerFacts | None = None
    problem: str = ""


# ---------------------------------------------------------------------------------------- actions


@dataclass(frozen=True, slots=True)
class ApplyObjects:
    """Make or change the objects to be as a specification says; ``running``: with pods."""

    spec: Mapping[str, Any]
    running: bool


@dataclass(frozen=True, slots=True)
class CreateSubmitter:
    """Make the Kubernetes Job that submits the job."""

    spec: Mapping[str, Any]
    submission: int
    job_id: str
    restore: str


@dataclass(frozen=True, slots=True)
class DeleteSubmitters:
    """Remove every Kubernetes Job that submits for this deployment."""


@dataclass(frozen=True, slots=True)
class TriggerSavepoint:
    """Ask for a savepoint; the same trigger id again asks for nothing new."""

    job_id: str
    trigger_id: str


@dataclass(frozen=True, slots=True)
class StopJob:
    """Stop with a savepoint; idempotent as above."""

    job_id: str
    trigger_id: str


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Cancel the job; its checkpoints stay."""

    job_id: str


Action = ApplyObjects | CreateSubmitter | DeleteSubmitters | TriggerSavepoint | StopJob | CancelJob


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell in the resource's events."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a turn: remember, then act.

    Attributes:
        wait_seconds: until the next turn, unless the resource changes.
    """

    status: Status
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = field(default=())
    wait_seconds: float = 5.0


def made_id(uid: str, kind: str, number: int) -> str:
    """32 hexadecimal digits: the same each time the same thing is asked for."""
    return hashlib.sha256(f"{uid}/{kind}/{number}".encode()).hexdigest()[:32]


def job_id(uid: str, submission: int) -> str:
    """Id of the job of a submission."""
    return made_id(uid, "job", submission)


def trigger_id(uid: str, number: int) -> str:
    """Id of a savepoint that is asked for."""
    return made_id(uid, "savepoint", number)
