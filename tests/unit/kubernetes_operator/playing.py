"""A world for the operator's pure core: a cluster that does as told, slowly, and fails on demand.

It keeps what really exists (objects, jobs, snapshots, triggers); a turn is observe, decide,
remember, act, as in ``lesto.client.operator.turns``. ``crash`` forgets what a turn decided between
remembering and acting, or in the middle of acting.
"""

from dataclasses import dataclass, field, replace

from lesto.client.operator.decisions import decide
from lesto.client.operator.model import (
    ApplyObjects,
    CancelJob,
    CreateSubmitter,
    DeleteSubmitters,
    Facts,
    JobFacts,
    JobState,
    Phase,
    Status,
    StopJob,
    TriggerFacts,
    TriggerSavepoint,
    job_id,
    trigger_id,
)
from lesto.client.operator.spec import UpgradeMode, objects_digest

UID = "6c7f0000-0000-0000-0000-000000000001"


def spec(**job):
    """A specification; keys with two underscores are of the resource itself."""
    top = {name.removeprefix("top__"): job.pop(name) for name in list(job) if "__" in name}
    return {
        "image": "app:1",
        "storage": {"persistentVolumeClaim": "claim"},
        "job": {"pyFile": "/opt/job/job.py", "parallelism": 2, "state": "running",
                "upgradeMode": "savepoint", **job},
        **top,
    }  # fmt: skip


@dataclass
class Job:
    """A job in the world.

    Attributes:
        position: how far its published output has come; a snapshot holds one.
    """

    id: str
    spec: dict
    start: int
    position: int
    state: JobState = JobState.CHANGING
    snapshot: str = ""
    own_savepoint: bool = False


@dataclass
class World:
    """What is."""

    raw: dict
    status: Status = field(default_factory=Status)
    now_ms: int = 1_000_000
    generation: int = 1
    objects: str = ""
    objects_of: dict | None = None
    running: bool = False
    up: bool = True
    cluster_fails: bool = False
    submitters: dict = field(default_factory=dict)
    jobs: dict = field(default_factory=dict)
    snapshots: dict = field(default_factory=dict)
    triggers: dict = field(default_factory=dict)
    published: list = field(default_factory=list)
    broken: object = lambda raw: False
    submits: object = lambda raw: True
    savepoint_fails: bool = False
    events: list = field(default_factory=list)
    actions: list = field(default_factory=list)

    # ------------------------------------------------------------------------------ the operator

    def facts(self):
        number = self.status.submission
        name, answers = number, self.up and self.running
        submitter = self.submitters.get(name, "absent")
        job = trigger = None
        if answers and number:
            found = self.jobs.get(job_id(UID, number))
            asked = self.status.manual_pending or (
                self.status.phase is Phase.STOPPING and self.status.stop is UpgradeMode.SAVEPOINT
            )
            if asked:
                trigger = self.triggers.get(
                    trigger_id(UID, self.status.trigger), TriggerFacts("unknown")
                )
            job = JobFacts(JobState.UNKNOWN)
            if found is not None:
                job = JobFacts(found.state, found.state.value, found.snapshot, found.own_savepoint,
                               "it broke")  # fmt: skip
        return Facts(UID, self.generation, self.now_ms, self.objects, answers, answers, job,
                     submitter, "it said no", trigger)  # fmt: skip

    def turn(self, crash=None):
        """One turn; ``crash``: number of actions that are done before the operator dies."""
        decision = decide(self.raw, self.status, self.facts())
        self.status = Status.from_json(decision.status.to_json())
        self.events += decision.events
        for number, action in enumerate(decision.actions):
            if crash is not None and number >= crash:
                break
            self.actions.append(action)
            self.act(action)
        return decision

    def change(self, raw):
        """The author edits the resource."""
        self.raw, self.generation = raw, self.generation + 1

    # --------------------------------------------------------------------------------- the world

    def act(self, action):
        match action:
            case ApplyObjects():
                self.objects = objects_digest(action.spec, running=action.running)
                self.objects_of, self.running = action.spec, action.running
            case CreateSubmitter():
                assert self.running, "there is nobody to submit to"
                self.submitters.setdefault(action.submission, "active")
                self.wanted = action
            case DeleteSubmitters():
                self.submitters.clear()
            case TriggerSavepoint() | StopJob():
                job = self.jobs[action.job_id]
                if action.trigger_id not in self.triggers:
                    self.triggers[action.trigger_id] = TriggerFacts("pending")
                    job.pending = (action.trigger_id, isinstance(action, StopJob))
            case CancelJob():
                job = self.jobs.get(action.job_id)
                if job is not None and not job.state.ended:
                    job.state = JobState.CANCELED

    def step(self, ms=1_000):
        """Time passes, and things happen."""
        self.now_ms += ms
        if not (self.up and self.running):
            return
        for number, state in list(self.submitters.items()):
            if state == "active":
                self._submit(number)
        for job in self.jobs.values():
            self._live(job)

    def _submit(self, number):
        wanted = self.wanted
        if wanted.submission != number:
            return
        if not self.submits(wanted.spec):
            self.submitters[number] = "failed"
            return
        self.submitters[number] = "succeeded"
        if wanted.job_id in self.jobs:
            return
        alive = [job for job in self.jobs.values() if not job.state.ended]
        assert not alive, "two jobs at a time"
        position = self.snapshots[wanted.restore] if wanted.restore else 0
        self.jobs[wanted.job_id] = Job(
            wanted.job_id, wanted.spec, position, position, snapshot=wanted.restore
        )

    def _live(self, job):
        if job.state.ended:
            return
        if self.broken(job.spec):
            job.state = JobState.FAILED
            return
        if job.state is JobState.CHANGING:
            job.state = JobState.RUNNING
            return
        if job.state is not JobState.RUNNING:
            return
        self._checkpoint(job, f"{job.id[:6]}/chk-{job.position + 10}", savepoint=False)
        pending = getattr(job, "pending", None)
        if pending:
            self._finish_trigger(job, *pending)

    def _checkpoint(self, job, path, *, savepoint):
        """Complete: what is before it is published."""
        self.published += range(job.position, job.position + 10)
        job.position += 10
        job.snapshot, job.own_savepoint = path, savepoint
        self.snapshots[path] = job.position

    def _finish_trigger(self, job, trigger, stops):
        job.pending = None
        if self.savepoint_fails:
            self.triggers[trigger] = TriggerFacts("failed", cause="the storage refused")
            return
        path = f"savepoint-{trigger[:8]}"
        self._checkpoint(job, path, savepoint=True)
        self.triggers[trigger] = TriggerFacts("completed", path)
        if stops:
            job.state = JobState.FINISHED

    # ------------------------------------------------------------------------------ for tests

    def until(self, what, turns=200):
        for _ in range(turns):
            if what(self):
                return self
            self.turn()
            self.step()
        raise AssertionError((self.status, self.events[-5:]))

    @property
    def job(self):
        """The newest."""
        return self.jobs.get(job_id(UID, self.status.submission))

    def running_with(self, **job):
        """Whether the job runs with these fields."""
        return (
            self.status.phase is Phase.RUNNING
            and self.job is not None
            and self.job.state is JobState.RUNNING
            and job.items() <= self.job.spec["job"].items()
        )

    def check_exactly_once(self):
        """Nothing is published twice, and nothing is left out."""
        assert self.published == list(range(len(self.published)))


def reminded(world):
    """The same world under a new operator process: nothing but the status is known to it."""
    return replace(world)
