"""Random lives of a job's checkpoint files: nothing needed is deleted, nothing needless stays.

Design: a model job drives the real coordinator, the real cleaner and the real snapshot store over
storage in memory, in memory with faults, or on disk. Tasks upload when the test says so: before
their acknowledgement, after the abort of their checkpoint, from attempts and epochs that are long
over. Deletions may be cut off in the middle of any storage call (the process dies), and the
JobManager may be replaced by one that only knows the completed checkpoints. After every step each
complete and retained checkpoint is whole; when all is quiet, exactly their files are left.
"""

import random
import shutil

import pytest
from faulty_objects import Faults, FaultyObjects, MemoryObjects
from jobgraphs import pipeline

from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.checkpoint_coordinator import CheckpointCoordinator, CheckpointSettings
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.pending_checkpoint import CompletedCheckpoint
from lesto.jobmanager.server.checkpoint_cleaner import CheckpointCleaner
from lesto.proto import checkpoint_pb2, runtime_pb2
from lesto.state import files, metadata_file
from lesto.state.cleanup import referenced_paths
from lesto.state.errors import StorageError
from lesto.state.files import Files
from lesto.state.local_objects import LocalObjects
from lesto.state.retrying import RetryingObjects
from lesto.state.storage import SnapshotStore
from lesto.state.storage_settings import RetryPolicy

TASKS = [("v-numbers", 0), ("v-numbers", 1), ("v-total", 0), ("v-total", 1)]
STEPS = 160


class Died(BaseException):
    """The process is killed inside a storage call."""


class Mortal:
    """Passes calls on; dies at one of them when told to."""

    def __init__(self, objects):
        self.objects = objects
        self.calls_left = None

    def __getattr__(self, name):
        method = getattr(self.objects, name)

        def call(*args, **kwargs):
            if self.calls_left is not None:
                self.calls_left -= 1
                if self.calls_left < 0:
                    raise Died
            return method(*args, **kwargs)

        return call


class Job:
    """One job over several epochs and attempts, and its storage."""

    def __init__(self, seed, objects, root):
        self.random = random.Random(seed)
        self.storage = Mortal(objects)
        self.root = f"model://{root}/job"
        self.plain = objects
        self.path = f"{root}/job"
        files.register_scheme("model", lambda uri: (self.storage, uri.removeprefix("model://")))
        self.ms = 0
        self.epoch = 0
        self.attempt = 0
        self.bases = {}  # task -> shared files of the newest checkpoint it was told of
        self.uploads = []  # (task, checkpoint, epoch, attempt, full): begun, not yet acknowledged
        self.late = []  # uploads of the past, that come some time or never
        self.states = {}  # (task, checkpoint) -> shared paths
        self.todo = []  # deletions not yet carried out
        self.completed = {}  # durable: id -> metadata, until its deletion was asked for
        self.counts = dict.fromkeys(("completed", "deleted", "crashes", "late", "built on"), 0)
        self.new_epoch()

    # ------------------------------------------------------------------------------ the JobManager

    def new_epoch(self):
        self.epoch += 1
        self.attempt += 1
        self.forget_tasks()
        self.todo.clear()
        settings = CheckpointSettings(
            interval_ms=None, timeout_ms=10**9, tolerable_failures=10**6, retained=2,
            max_concurrent=3,
        )  # fmt: skip
        graph = pipeline(2)
        self.coordinator = CheckpointCoordinator(graph, self.epoch, settings, self.root, "0")
        self.cleaner = CheckpointCleaner(self.root)
        if self.epoch > 1:
            kept = [
                CompletedCheckpoint(metadata, f"{self.root}/chk-{number}", self.root)
                for number, metadata in sorted(self.completed.items())
            ]
            first = 1 + max([0, *self.seen_numbers()])
            self.coordinator.recover(kept, first)
        self.carry_out(self.coordinator.start(self.attempt, self.now))

    def seen_numbers(self):
        names = [path.removeprefix(f"{self.path}/") for path in self.stored()]
        found = [files_number(name) for name in names]
        return [number for number in found if number is not None]

    @property
    def now(self):
        self.ms += 1
        return Moment(self.ms, self.ms)

    def carry_out(self, instructions):
        for instruction in instructions:
            match instruction:
                case do.SnapshotEnumerators(attempt, number):
                    self.carry_out(
                        self.coordinator.enumerators_snapshotted(attempt, number, {}, self.now)
                    )
                case do.TriggerBarriers():
                    for task in TASKS:
                        who = (task, instruction.checkpoint_id, self.epoch, self.attempt)
                        self.uploads.append((*who, instruction.full))
                case do.WriteMetadata(metadata, _):
                    self.write(metadata)
                case do.NotifyCheckpoint(number, complete):
                    self.notify(number, complete)
                case (
                    do.DiscardCheckpoint() | do.DiscardClaimed() | do.DiscardSavepoint()
                    | do.CollectOrphans() | do.DiscardAll()
                ):  # fmt: skip
                    self.todo.append(instruction)
                    number = getattr(instruction, "checkpoint_id", None)
                    if getattr(instruction, "metadata", None) is not None:
                        del self.completed[number]
                case do.RequestFailed() | do.RequestSucceeded():
                    pass
                case _:
                    raise AssertionError(instruction)
        self.coordinator.validate()

    def write(self, metadata):
        number = metadata.checkpoint_id
        directory = f"{self.root}/chk-{number}"
        try:
            Files(directory).create("_metadata", metadata_file.encode(metadata))
        except StorageError as error:
            self.carry_out(self.coordinator.metadata_failed(number, error, self.now))
            return
        self.completed[number] = metadata
        self.counts["completed"] += 1
        self.carry_out(self.coordinator.metadata_written(number, directory, self.now))

    def notify(self, number, complete):
        for task in TASKS:
            base = self.states.get((task, number))
            if complete and base is not None and self.random.random() < 0.7:
                self.bases[task] = base  # the others hear of it late, or never

    def forget_tasks(self):
        self.late += self.uploads
        self.uploads.clear()
        latest = self.completed[max(self.completed)] if self.completed else None
        shared = sorted(p for p in referenced_paths(latest) if "shared" in p) if latest else []
        self.bases = {task: shared[i::4] for i, task in enumerate(TASKS)}

    # --------------------------------------------------------------------------------------- steps

    def trigger(self):
        request = do_request(f"r{self.ms}", full=self.random.random() < 0.2)
        self.carry_out(self.coordinator.request_checkpoint(request, self.now))

    def upload(self):
        """A task uploads and acknowledges, whatever has become of its checkpoint."""
        if not self.uploads:
            return
        task, number, epoch, attempt, full = self.uploads.pop(
            self.random.randrange(len(self.uploads))
        )
        try:
            ack = self.stored_ack(task, number, epoch, attempt, full)
        except StorageError:
            decline = runtime_pb2.CheckpointDecline(checkpoint_id=number, reason="storage")
            self.carry_out(self.coordinator.declined(str(task), decline, self.now))
            return
        self.carry_out(self.coordinator.acknowledged(task, ack, self.now))

    def upload_late(self):
        if self.late:
            self.counts["late"] += 1
            task, number, epoch, attempt, _ = self.late.pop(self.random.randrange(len(self.late)))
            try:
                self.stored_ack(task, number, epoch, attempt, full=True)
            except StorageError:
                return

    def stored_ack(self, task, number, epoch, attempt, full):
        store = SnapshotStore(self.root, epoch=epoch, attempt=str(attempt))
        base = [] if full else self.random.sample(self.bases[task], len(self.bases[task]) // 2)
        self.counts["built on"] += len(base)
        handles = [checkpoint_pb2.FileHandle(path=path) for path in base]
        fresh = []
        for _ in range(self.random.randint(1, 2)):
            data = self.random.randbytes(8)
            name = store._name("shared", number, ".sst")
            fresh.append(store._write(name, lambda data=data: iter([data])))
        exclusive = store.write_exclusive(number, b"own", suffix=".pack")
        ack = runtime_pb2.CheckpointAck(checkpoint_id=number)
        state = checkpoint_pb2.OperatorSubtaskState()
        keyed = state.keyed.add(format="rocksdb")
        for handle in handles + fresh:
            keyed.files.add(name=handle.path, file=handle, shared=True)
        keyed.files.add(name="pack", file=exclusive)
        ack.operators.add(uid=task[0].removeprefix("v-"), state=state)
        if self.random.random() < 0.2:
            flight = store.write_exclusive(number, b"in flight")
            ack.in_flight.add(edge_id="e", file=flight)
        self.states[task, number] = [handle.path for handle in handles + fresh]
        return ack

    def abort(self):
        if self.coordinator.under_way:
            number = self.random.choice(list(self.coordinator.under_way))
            decline = runtime_pb2.CheckpointDecline(checkpoint_id=number, reason="no")
            self.carry_out(self.coordinator.declined("x", decline, self.now))

    def restart(self):
        self.carry_out(self.coordinator.stop("a task failed", self.now))
        self.carry_out(self.coordinator.abandon_write(self.now))
        self.attempt += 1
        self.forget_tasks()
        self.carry_out(self.coordinator.start(self.attempt, self.now))

    def delete(self):
        """The next deletion, whole."""
        if self.todo:
            self.counts["deleted"] += 1
            try:
                self.cleaner.discard(self.todo.pop(0))
            except StorageError:
                return  # it costs space until the next sweep

    def crash(self):
        """The JobManager dies, perhaps in the middle of a deletion; another one takes over."""
        self.counts["crashes"] += 1
        self.storage.calls_left = self.random.randint(0, 12)
        try:
            while self.todo:
                self.delete()
        except Died:
            pass
        self.storage.calls_left = None
        self.new_epoch()

    # -------------------------------------------------------------------------------------- checks

    def stored(self):
        return [p for p in self.plain.list(self.path, recursive=True) if not p.endswith("/")]

    def needed(self):
        wanted = {f"chk-{number}/_metadata" for number in self.completed}
        return wanted.union(*map(referenced_paths, self.completed.values()))

    def check(self):
        missing = {f"{self.path}/{name}" for name in self.needed()} - set(self.stored())
        assert not missing, f"deleted although a retained checkpoint needs it: {missing}"

    def quieten(self):
        """Every upload that will ever come has come; two more checkpoints complete."""
        while self.uploads:
            self.upload()
        while self.late:
            self.upload_late()
        self.coordinator.completed.attempt_ended()
        for _ in range(3):
            self.trigger()
            while self.uploads:
                self.upload()
        self.carry_out(self.coordinator.stop("the end", self.now))
        self.carry_out(self.coordinator.close(discard_retained=False, now=self.now))
        while self.todo:
            self.delete()


def do_request(name, *, full):
    from lesto.jobmanager.core.pending_checkpoint import CheckpointRequest

    return CheckpointRequest(name, full)


def files_number(name):
    from lesto.state.paths import checkpoint_number, file_checkpoint, top

    own = checkpoint_number(top(name))
    return own if own is not None else file_checkpoint(name)


WEIGHTS = {
    "upload": 80, "trigger": 20, "delete": 14, "upload_late": 5, "abort": 1.5, "restart": 1,
    "crash": 1,
}  # fmt: skip


def live(job):
    names = list(WEIGHTS)
    for _ in range(STEPS):
        name = job.random.choices(names, weights=WEIGHTS.values())[0]
        getattr(job, name)()
        job.check()
    return job


def assert_exact(job):
    job.check()
    expected = sorted(f"{job.path}/{name}" for name in job.needed())
    assert sorted(job.stored()) == expected
    assert len(job.completed) == 2


@pytest.mark.parametrize("seed", range(40))
def test_in_memory_exactly_what_is_needed_stays(seed):
    job = live(Job(seed, MemoryObjects(), "/root"))
    job.quieten()
    assert_exact(job)


def life_on_faulty_storage(seed):
    faulty = FaultyObjects(MemoryObjects(), Faults(0.05, 0.05, 0.3), seed)
    policy = RetryPolicy(attempts=2, initial_backoff_ms=0)
    objects = RetryingObjects(faulty, policy, sleep=lambda _seconds: None)
    job = Job(seed, objects, "/root")
    job.plain = faulty.objects
    live(job)
    faulty.faults = Faults()
    faulty._lists.clear()
    job.quieten()
    return job, faulty.injected


@pytest.mark.parametrize("seed", range(20))
def test_on_storage_that_fails_and_lists_what_was(seed):
    assert_exact(life_on_faulty_storage(seed)[0])


@pytest.mark.parametrize("seed", range(1))
def test_on_disk(seed, tmp_path):
    job = live(Job(seed, LocalObjects(), str(tmp_path)))
    job.quieten()
    assert_exact(job)
    left = {p.name for p in (tmp_path / "job").iterdir()}
    assert left == {"shared", *(f"chk-{number}" for number in job.completed)}
    shutil.rmtree(tmp_path / "job")


def test_what_is_to_be_shown_does_happen():
    totals = dict.fromkeys(("completed", "deleted", "crashes", "late", "built on"), 0)
    for seed in range(24):
        job = live(Job(seed, MemoryObjects(), "/root"))
        for name, count in job.counts.items():
            totals[name] += count
    assert all(count >= 20 for count in totals.values()), totals
    assert totals["completed"] > 200, totals
    injected = [life_on_faulty_storage(seed)[1] for seed in range(6)]
    for kind, least in (("refused", 60), ("lost", 30), ("stale", 2)):
        assert sum(counts[kind] for counts in injected) >= least, (kind, injected)
