"""The log of a job: which leader may write, and which checkpoint is the newest.

A log is a row of objects ``log/1``, ``log/2``, ... Each is created only if absent, and only after
the one before it is known to be there. So one sequence orders what all JobManagers did with the
job, whoever they were: an ex-leader that completes a checkpoint after a new leader has claimed the
job finds its number taken, reads by whom, and is fenced. Whatever is in the log before the claim,
the new leader has read before it chose where the job goes on from; nothing of an earlier epoch can
come behind it.

The protocol is written as generators that yield what they want of storage and are sent the answer,
so that a test can run two leaders in every interleaving.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from lesto.jobmanager.errors import JobLogError, JobStateError, LeaderFencedError

R = TypeVar("R")

#: Entries of others that may come between reading the end of a log and writing there.
CLAIM_TRIES_MAX = 100
#: Completed checkpoints that are remembered, the highest numbers; a job retains fewer.
CHECKPOINTS_KEPT = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What all entries have.

    Attributes:
        id: random; tells an own entry whose answer was lost from that of another.
        epoch: of the leader that wrote it; 0 before any.
        at_ms: wall clock of the writer, for people.
    """

    id: str
    epoch: int
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted(Entry):
    """The job exists from here on; always the first entry.

    Attributes:
        graph: SHA-256 of the job graph, its name among the job's artifacts.
        name: the job's, for people.
    """

    graph: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochClaimed(Entry):
    """A leader runs the job from here on.

    Attributes:
        leader: id of its JobManager.
        term: of its leadership; a claim of a lower term comes too late.
    """

    leader: str
    term: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointCompleted(Entry):
    """A checkpoint or savepoint is complete: sinks may commit what it covers.

    Attributes:
        checkpoint_id: its number.
        path: its directory, a URI or absolute path.
        savepoint: it lies elsewhere and belongs to its user.
        restarts: of the job until then.
    """

    checkpoint_id: int
    path: str
    savepoint: bool
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescaled(Entry):
    """The job goes on with another parallelism.

    Attributes:
        parallelism: by vertex id; vertices not named keep theirs.
    """

    parallelism: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelWanted(Entry):
    """A client was told that the job will be cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Entry):
    """The job has ended; always the last entry.

    Attributes:
        state: FINISHED, CANCELED or FAILED.
        details: name of the object that holds its last details.
    """

    state: str
    details: str


@dataclass(frozen=True, slots=True)
class Create:
    """Create the object of ``seq`` if it is absent; answered by whether it was."""

    seq: int
    entry: Entry


@dataclass(frozen=True, slots=True)
class Read:
    """Read the object of ``seq``; answered by its entry, or None when it is absent."""

    seq: int


Step = Create | Read
Steps = Generator[Step, "Entry | bool | None", R]


@dataclass(slots=True)
class LogState:
    """What the entries up to ``seq`` say together.

    Attributes:
        seq: number of the last entry that was read; 0: none.
        submitted: the first entry.
        epoch: of the newest claim; 0: nobody has claimed the job.
        term: of the newest claim.
        leader: of the newest claim.
        claim: id of the newest claim's entry.
        checkpoints: completed ones by number, at most ``CHECKPOINTS_KEPT``.
        parallelism: by vertex, where it was changed.
        cancel_wanted: a client was told that the job will be cancelled.
        ended: the last entry, once there is one.
    """

    seq: int = 0
    submitted: Submitted | None = None
    epoch: int = 0
    term: int = 0
    leader: str = ""
    claim: str = ""
    checkpoints: dict[int, CheckpointCompleted] = field(default_factory=dict)
    parallelism: dict[str, int] = field(default_factory=dict)
    cancel_wanted: bool = False
    ended: Ended | None = None

    def apply(self, entry: Entry) -> None:
        """Take the entry of ``seq + 1``.

        Raises:
            JobLogError: it cannot stand there: the log is not one of ours, or damaged.
        """
        self._check(entry)
        match entry:
            case Submitted():
                self.submitted = entry
            case EpochClaimed():
                self.epoch, self.term = entry.epoch, entry.term
                self.leader, self.claim = entry.leader, entry.id
            case CheckpointCompleted():
                self.checkpoints[entry.checkpoint_id] = entry
                if len(self.checkpoints) > CHECKPOINTS_KEPT:
                    del self.checkpoints[min(self.checkpoints)]
            case Rescaled():
                self.parallelism.update(entry.parallelism)
            case CancelWanted():
                self.cancel_wanted = True
            case Ended():
                self.ended = entry
        self.seq += 1

    def _check(self, entry: Entry) -> None:
        kind = type(entry).__name__
        wrong = ""
        if (self.seq == 0) != isinstance(entry, Submitted):
            wrong = f"it begins with {kind}" if self.seq == 0 else "it has a second beginning"
        elif self.ended is not None:
            wrong = f"{kind} follows its end"
        elif isinstance(entry, EpochClaimed):
            if entry.epoch != self.epoch + 1 or entry.term < self.term:
                wrong = f"epoch {entry.epoch} is claimed after epoch {self.epoch}"
        elif not isinstance(entry, Submitted) and entry.epoch != self.epoch:
            wrong = f"{kind} of epoch {entry.epoch} stands in epoch {self.epoch}"
        if wrong:
            msg = f"the job's log is wrong at entry {self.seq + 1}: {wrong}"
            raise JobLogError(msg, remedy="bring the log back from a copy, or submit the job anew")

    def newest_first(self) -> list[CheckpointCompleted]:
        """Completed checkpoints, the highest number first.

        Numbers only grow, across leaders too; the entry of a lower number may come later when two
        checkpoints were under way.
        """
        return [self.checkpoints[number] for number in sorted(self.checkpoints, reverse=True)]


class LogWriter:
    """One JobManager's hold on one job's log; not for several threads at once.

    Attributes:
        state: the log as far as it is known.
        epoch: claimed by this writer; 0: none yet.
    """

    def __init__(self) -> None:
        self.state = LogState()
        self.epoch = 0

    def catch_up(self) -> Steps[None]:
        """Read to the end."""
        while (entry := (yield Read(self.state.seq + 1))) is not None:
            assert isinstance(entry, Entry), "a read is answered by an entry"
            self.state.apply(entry)

    def submit(self, entry: Submitted) -> Steps[bool]:
        """Begin the log; whether it was this entry that began it, and not an earlier one."""
        assert self.state.seq == 0, "the log has begun"
        if (yield Create(1, entry)):
            self.state.apply(entry)
            return True
        yield from self.catch_up()
        first = self.state.submitted
        if first is None:
            raise _gone(1)
        return first.id == entry.id

    def claim(self, make: Callable[[int], EpochClaimed]) -> Steps[int]:
        """Claim the next epoch, which ``make`` is given; the epoch.

        Raises:
            LeaderFencedError: a leader of a later term has claimed the job, or others were faster
                again and again.
        """
        for _ in range(CLAIM_TRIES_MAX):
            yield from self.catch_up()
            if self.state.ended is not None:
                return self.state.epoch
            entry = make(self.state.epoch + 1)
            if entry.term < self.state.term:
                raise self._fenced()
            if (yield Create(self.state.seq + 1, entry)):
                self.state.apply(entry)
                self.epoch = entry.epoch
                return self.epoch
            yield from self.catch_up()
            if self.state.claim == entry.id:  # ours: the answer was lost
                self.epoch = entry.epoch
                return self.epoch
        raise self._fenced()

    def append(self, entry: Entry) -> Steps[None]:
        """Write an entry of this writer's epoch.

        Raises:
            LeaderFencedError: another leader has claimed the job.
            JobStateError: the job has ended.
        """
        assert self.epoch, "an epoch is claimed first"
        while True:
            if self.state.ended is not None and self.state.ended.id == entry.id:
                return
            if self.state.epoch != self.epoch:
                raise self._fenced()
            if self.state.ended is not None:
                msg = f"the job has ended: it is {self.state.ended.state}"
                raise JobStateError(msg)
            seq = self.state.seq + 1
            if (yield Create(seq, entry)):
                self.state.apply(entry)
                return
            taken = yield Read(seq)
            if taken is None:
                raise _gone(seq)
            assert isinstance(taken, Entry), "a read is answered by an entry"
            self.state.apply(taken)
            if taken.id == entry.id:  # ours: the answer to an earlier try was lost
                return

    def check(self) -> Steps[None]:
        """Make sure that nobody else has claimed the job until now.

        Raises:
            LeaderFencedError: somebody has.
        """
        yield from self.catch_up()
        if self.state.epoch != self.epoch:
            raise self._fenced()

    def _fenced(self) -> LeaderFencedError:
        state = self.state
        msg = (
            f"this JobManager's epoch {self.epoch} of the job is over: "
            f"JobManager {state.leader} has claimed epoch {state.epoch} in term {state.term}"
        )
        return LeaderFencedError(msg, remedy="none is needed: another JobManager runs the job")


def _gone(seq: int) -> JobLogError:
    msg = f"entry {seq} of the job's log exists and cannot be read"
    return JobLogError(msg, remedy="somebody deletes the job's files: keep others away from them")
