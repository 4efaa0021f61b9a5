"""A whole cluster around one job master, under virtual time and a seed.

Slots, tasks, storage and enumerators are simulated: every answer takes a random time, in order per
slot as on the real streams, and faults are drawn from the seed. Nothing here knows how the job
master decides; it keeps its own ledger and checks the promises from outside: each split of the
source must be in the state of exactly one reader when the job has finished.
"""

import heapq
import random
from collections import defaultdict

from jobgraphs import edge, job, vertex

from lesto.jobmanager.core import events as ev
from lesto.jobmanager.core import instructions as do
from lesto.jobmanager.core.checkpoint_coordinator import CheckpointSettings
from lesto.jobmanager.core.events import Moment
from lesto.jobmanager.core.job_master import JobMaster, JobSettings
from lesto.jobmanager.core.restart_strategy import ExponentialDelay
from lesto.jobmanager.core.slots import Slot, SlotPool
from lesto.jobmanager.core.split_assignments import SplitAssignments
from lesto.jobmanager.core.states import TaskState
from lesto.jobmanager.errors import CheckpointFailedError
from lesto.proto import checkpoint_pb2, job_pb2, runtime_pb2

EPOCH = 4
HORIZON_MS = 4 * 3_600_000


class Enumerator:
    """Splits not assigned, and what the real coordinator keeps beside them."""

    def __init__(self, attempt, pending):
        self.attempt, self.pending = attempt, pending
        self.assignments = SplitAssignments()
        self.readers = {}


def checkpoint_settings(interval_ms, max_concurrent):
    return CheckpointSettings(
        interval_ms=interval_ms,
        timeout_ms=4_000,
        min_pause_ms=100 if max_concurrent == 1 else 0,
        retained=2,
        max_concurrent=max_concurrent,
    )


class Simulation:
    """One run.

    Args:
        seed: decides everything.
        faults: how many faults are injected before the cluster becomes healthy.
        parallelism: of the two vertices.
        data_ms: how long the bounded input lasts once a task runs without failure.
        kind: partitioner between the two vertices; it decides the regions.
        splits: of the source.
        slots: of the cluster; 0: as many as the job needs.
        max_concurrent: checkpoints under way at once.
        adaptive: settings of the adaptive scheduler; None: it is not used.
        away_ms: how long a lost slot stays away at most.
    """

    def __init__(
        self,
        seed,
        *,
        faults=10,
        parallelism=2,
        data_ms=20_000,
        interval_ms=1_000,
        kind=job_pb2.PARTITION_KIND_HASH,
        splits=20,
        slots=0,
        max_concurrent=1,
        adaptive=None,
        away_ms=3_000,
    ):
        self.away_ms = away_ms
        self.free = 0
        self.widths = []
        self.random = random.Random(seed)
        self.faults_left = faults
        self.data_ms = data_ms
        self.now = 0
        self.queue = []
        self.sequence = 0
        graph = job(
            [vertex("numbers", parallelism, source=b"x"), vertex("total", parallelism)],
            [edge("numbers", "total", kind)],
        )
        settings = JobSettings(
            restart=ExponentialDelay(max_backoff_ms=5_000),
            checkpoints=checkpoint_settings(interval_ms, max_concurrent),
            cancel_timeout_ms=2_000,
            adaptive=adaptive,
        )
        self.master = JobMaster(
            graph,
            epoch=EPOCH,
            settings=settings,
            checkpoint_root="/ck",
            data_token="t",
            version="0",
            jitter=lambda: self.random.uniform(-1, 1),
            now=Moment(0, 0),
        )
        self.pool = SlotPool()
        self.slot_channel = defaultdict(int)  # slot -> time of its latest message either way
        self.live = {}  # (vertex, subtask) -> (attempt, slot): what really runs
        self.acked = defaultdict(set)  # checkpoint -> (task, attempt) whose ack was delivered
        self.splits = [b"%03d" % number for number in range(splits)]
        self.enumerator = None
        self.enumerator_states = {}  # checkpoint -> splits not assigned
        self.read = {}  # source subtask -> splits its running attempt has in its state
        self.read_at = defaultdict(dict)  # checkpoint -> source subtask -> the same
        self.written = {}  # durable checkpoint id -> metadata
        self.confirmed = 0  # latest checkpoint that tasks were told is complete
        self.discarded = set()
        self.attempt = 0
        self.recorded = {v.id: v.parallelism for v in graph.vertices}
        self.triggered = set()
        self.regional = 0
        self.trace = []
        self.ended = None
        self.answers = {}
        self.restored = []
        for index in range(slots or parallelism):
            self._offer_later(f"s{index}")
        self._at(0, lambda: self.tell(ev.JobStarted()))

    # ------------------------------------------------------------------------------- virtual time

    def _at(self, delay_ms, action):
        self.sequence += 1
        heapq.heappush(self.queue, (self.now + delay_ms, self.sequence, action))

    def run(self):
        """Until the job has ended."""
        self._plan_fault()
        while self.ended is None:
            deadline = self.master.next_deadline_ms()
            pool_deadline = self.pool.next_deadline_ms()
            upcoming = [d for d in (deadline, pool_deadline) if d is not None]
            if self.queue and (not upcoming or self.queue[0][0] <= min(upcoming)):
                self.now, _, action = heapq.heappop(self.queue)
                action()
            else:
                assert upcoming, f"nothing will ever happen again; {self.master.states.tell()}"
                self.now = max(self.now, min(upcoming))
                for refused in self.pool.tick(self.now):
                    self.tell(ev.SlotsRefused(refused.error, refused.available))
                self.tell(ev.Tick())
            assert self.now < HORIZON_MS, f"the job does not end; {self.master.states.tell()}"
        return self

    def splits_read(self):
        """Splits in the state of all readers, as often as they are."""
        width = self.master.graph.vertices[0].parallelism
        return sorted(split for subtask in range(width) for split in self.read[subtask])

    def tell(self, event):
        """An event to the master; its instructions are executed, the invariants checked."""
        self.trace.append((self.now, event))
        instructions = self.master.handle(event, Moment(self.now, 1_000_000 + self.now))
        self.master.validate()
        for instruction in instructions:
            self._execute(instruction)
        self.pool.validate()
        self._tell_free()

    def _tell_free(self):
        if self.master.settings.adaptive and self.pool.available != self.free:
            self.free = self.pool.available
            self._at(0, lambda free=self.free: self.tell(ev.SlotsFree(free)))

    def _soon(self):
        slow = self.random.random() < 0.03
        return self.random.randint(1, 3_000) if slow else self.random.randint(1, 40)

    def _ordered(self, slot, action):
        """Through a slot's stream: after everything sent on it before."""
        when = max(self.now + self._soon(), self.slot_channel[slot])
        self.slot_channel[slot] = when
        self._at(when - self.now, action)

    # ------------------------------------------------------------------------------- instructions

    def _execute(self, instruction):
        match instruction:
            case do.SendCommand(slot, command):
                self._ordered(slot, lambda: self._obey(slot, command))
                if command.WhichOneof("command") == "deploy":
                    self._check_deployment(command.deploy)
                if command.WhichOneof("command") == "notify" and command.notify.complete:
                    assert command.notify.checkpoint_id in self.written, (
                        "told of what is not durable"
                    )
                    self.confirmed = max(self.confirmed, command.notify.checkpoint_id)
            case do.RequestSlots(count, timeout_ms):
                self._allocate(self.pool.request("job", count, self.now, timeout_ms or 60_000))
            case do.WithdrawRequest():
                self.pool.withdraw("job")
            case do.ReleaseSlot(slot):
                assert slot not in {where for _, where in self.live.values()}, "released in use"
                self._allocate(self.pool.release_slot(slot))
            case do.RecordParallelism(vertices):
                assert not self.live_here(), "tasks run while the parallelism changes"
                self._at(self._soon(), lambda: self._record(dict(vertices)))
            case do.Rescaled("adaptive") | do.RequestFailed("adaptive"):
                self.widths.append(self.master.graph.vertices[0].parallelism)
            case do.Rescaled(request, vertices, pause_ms):
                assert request not in self.answers
                assert vertices == self.recorded
                self.answers[request] = pause_ms
            case do.ReleaseSlots():
                self.pool.release("job")
            case do.KillSlot(slot, _):
                late = self.random.random() < 0.3  # after the master has stopped waiting for it
                delay = 30_000 if late else self._soon()
                self._at(delay, lambda: self._lose(slot, "killed"))
            case do.StartEnumerators(attempt, states):
                state = states.get("numbers")
                checkpoint_id = int(state) if state is not None else 0
                pending = self.enumerator_states[checkpoint_id] if checkpoint_id else self.splits
                made = Enumerator(attempt, list(pending))
                self._enumerate(lambda: setattr(self, "enumerator", made))
            case do.StopEnumerators():
                self._enumerate(lambda: setattr(self, "enumerator", None))
            case do.HandleSplitRequest(attempt, _, subtask):
                self._enumerate(lambda: self._assign(attempt, subtask))
            case do.ResetReaders():
                self.regional += 1
                self._enumerate(lambda: self._reset_readers(instruction))
            case do.SnapshotEnumerators():
                self._enumerate(lambda: self._snapshot_enumerator(instruction))
            case do.WriteMetadata(metadata, target):
                self._check_metadata(metadata)
                self._at(self._soon(), lambda: self._write(metadata, target))
            case do.DiscardCheckpoint(checkpoint_id, metadata, retained):
                assert checkpoint_id not in {m.checkpoint_id for m in retained}
                latest = self.master.coordinator.latest
                gone = self.master.state.terminal
                assert gone or latest is None or latest.checkpoint_id != checkpoint_id
                assert (metadata is None) or checkpoint_id in self.written
                self.discarded.add(checkpoint_id)
            case do.DiscardAll():
                self.discarded |= set(self.written)
            case do.RequestSucceeded(request, path):
                assert request not in self.answers
                self.answers[request] = path
            case do.RequestFailed(request, error):
                assert request not in self.answers
                self.answers[request] = error
            case do.JobEnded(state):
                self.ended = state

    def live_here(self):
        """Tasks in slots of the job; a slot whose end nobody confirmed is not."""
        return [key for key, (_, slot) in self.live.items() if slot in self.master.slots]

    def _record(self, vertices):
        if self._fault(0.1):
            self.tell(ev.ParallelismNotRecorded(CheckpointFailedError("disk full")))
            return
        self.recorded = vertices
        self.tell(ev.ParallelismRecorded())

    # -------------------------------------------------------------------------------- enumerator

    def _enumerate(self, action):
        """On the enumerators' thread: in order."""
        self._ordered("enumerators", action)

    def _post(self, event):
        """From there to the job master: in order too."""
        self._ordered("posts", lambda: self.tell(event))

    def _assign(self, attempt, subtask):
        enumerator = self.enumerator
        if enumerator is None or enumerator.attempt != attempt:
            return
        given = tuple(enumerator.pending[:1])
        del enumerator.pending[:1]
        for split in given:
            enumerator.assignments.assigned(subtask, split)
        number = enumerator.readers.get(subtask, attempt)
        self._post(ev.SplitsAssigned(number, "numbers", subtask, given, not given))

    def _reset_readers(self, reset):
        enumerator = self.enumerator
        if enumerator is None or enumerator.attempt != reset.enumerators:
            return
        for uid, subtask in reset.readers:
            assert uid == "numbers"
            enumerator.readers[subtask] = reset.attempt
            back = enumerator.assignments.take_back(subtask, reset.restored_id)
            enumerator.pending[:0] = back

    def _snapshot_enumerator(self, snapshot):
        enumerator = self.enumerator
        if enumerator is None or enumerator.attempt != snapshot.attempt:
            return
        checkpoint_id = snapshot.checkpoint_id
        enumerator.assignments.cut(checkpoint_id)
        enumerator.assignments.completed(snapshot.completed)
        self.enumerator_states[checkpoint_id] = list(enumerator.pending)
        states = {"numbers": b"%d" % checkpoint_id}
        self._post(ev.EnumeratorsSnapshotted(snapshot.attempt, checkpoint_id, states))

    def _on_splits(self, slot, message):
        key = (message.task.vertex_id, message.task.subtask)
        if self.live.get(key) != (message.task.attempt, slot):
            return
        assert key[0] == "v-numbers"
        self.read[key[1]] += message.splits
        if message.no_more_splits:
            event = runtime_pb2.TaskEvent(
                end_of_data=runtime_pb2.EndOfDataReached(task=message.task)
            )
            self._at(self._soon(), lambda: self._from_task(slot, message.task, event))
        else:
            self._request_split_later(slot, message.task)

    def _request_split_later(self, slot, task):
        request = runtime_pb2.SplitRequest(task=task, operator_uid="numbers")
        event = runtime_pb2.TaskEvent(split_request=request)
        delay = self.random.randint(1, 2 * self.data_ms // max(1, len(self.splits)))
        self._at(min(delay, 4_000), lambda: self._from_task(slot, task, event))

    def _allocate(self, allocations):
        for allocated in allocations:
            self._at(0, lambda slots=allocated.slots: self.tell(ev.SlotsAllocated(slots)))

    def _check_deployment(self, deploy):
        for task in deploy.tasks:
            assert task.task.epoch == EPOCH
            assert task.task.attempt >= self.attempt, "an attempt number went back"
            self.attempt = task.task.attempt
            restored = task.restored_checkpoint_id
            self.restored.append(restored)
            if restored:
                assert restored in self.written, "restored from an incomplete checkpoint"
                assert restored not in self.discarded, "restored from a deleted checkpoint"
            assert restored >= self.confirmed, "went back behind a checkpoint tasks had committed"

    def _check_metadata(self, metadata):
        checkpoint_id = metadata.checkpoint_id
        assert checkpoint_id not in self.written, "two complete checkpoints with one id"
        current = {(key, v.attempt.number) for key, v in self.master.execution.subtasks.items()}
        assert current <= self.acked[checkpoint_id], "a part is missing or of another attempt"
        for operator in metadata.operators:
            assert len(operator.subtasks) == operator.parallelism, "an acknowledgement is missing"

    def _write(self, metadata, target):
        checkpoint_id = metadata.checkpoint_id
        if self._fault(0.05):
            error = CheckpointFailedError("disk full")
            self.tell(ev.MetadataWriteFailed(checkpoint_id, error))
            return
        assert checkpoint_id not in self.written
        self.written[checkpoint_id] = metadata
        self.tell(ev.MetadataWritten(checkpoint_id, target or f"/ck/chk-{checkpoint_id}"))

    # -------------------------------------------------------------------------------------- slots

    def _obey(self, slot, command):
        if slot not in self.pool.slots:
            return  # its process is dead
        kind = command.WhichOneof("command")
        getattr(self, f"_on_{kind}")(slot, getattr(command, kind))

    def _on_deploy(self, slot, message):
        for deployment in message.tasks:
            key = (deployment.task.vertex_id, deployment.task.subtask)
            before = self.live.get(key)
            if before is not None:
                # Only a process whose end nobody confirmed may still have an older attempt.
                assert before[1] not in self.master.slots, "two live attempts in our slots"
            self.live[key] = (deployment.task.attempt, slot)
            if key[0] == "v-numbers":
                self.read[key[1]] = list(self._restored(deployment))
            self._report(slot, deployment.task, TaskState.INITIALIZING)
            self._report(slot, deployment.task, TaskState.RUNNING)
            if key[0] == "v-numbers":
                self._request_split_later(slot, deployment.task)
            else:
                self._end_data_later(slot, deployment.task)

    def _restored(self, deployment):
        """What the readers had, dealt out anew if they were others."""
        restored = deployment.restored_checkpoint_id
        if not restored:
            return ()
        had, width = self.read_at[restored], deployment.vertex.parallelism
        if set(had) == set(range(width)):
            return had[deployment.task.subtask]
        everything = [split for subtask in sorted(had) for split in had[subtask]]
        return everything[deployment.task.subtask :: width]

    def _end_data_later(self, slot, task):
        event = runtime_pb2.TaskEvent(end_of_data=runtime_pb2.EndOfDataReached(task=task))
        self._at(self.data_ms, lambda: self._from_task(slot, task, event))

    def _on_trigger(self, _slot, message):
        """Barriers: a source acknowledges what it has read by now, the others once it is there."""
        checkpoint_id = message.checkpoint_id
        for task in message.tasks:
            where = self.live.get((task.vertex_id, task.subtask))
            if where is not None and where[0] == task.attempt:
                self.read_at[checkpoint_id][task.subtask] = tuple(self.read[task.subtask])
                self._acknowledge(where[1], task, checkpoint_id)
        if checkpoint_id in self.triggered:
            return
        self.triggered.add(checkpoint_id)
        for key, (running, slot) in list(self.live.items()):
            if key[0] != "v-numbers":
                self._acknowledge(slot, self._ref(key, running), checkpoint_id)

    def _acknowledge(self, slot, task, checkpoint_id):
        if self._fault(0.02):
            return  # lost: the checkpoint expires
        if self._fault(0.02):
            decline = runtime_pb2.CheckpointDecline(
                task=task, checkpoint_id=checkpoint_id, reason="not now"
            )
            self._from_task(slot, task, runtime_pb2.TaskEvent(decline=decline))
            return
        ack = runtime_pb2.CheckpointAck(task=task, checkpoint_id=checkpoint_id)
        uid = "numbers" if task.vertex_id == "v-numbers" else "total"
        ack.operators.add(uid=uid, state=checkpoint_pb2.OperatorSubtaskState(state_bytes=1))
        event = runtime_pb2.TaskEvent(ack=ack)

        def delivered():
            self.acked[checkpoint_id].add(((task.vertex_id, task.subtask), task.attempt))
            if self.random.random() < 0.1:  # an echo, perhaps from what is then an older attempt
                echo = ev.TaskReported(slot, event)
                self._at(self.random.randint(1, 20_000), lambda: self.tell(echo))

        self._from_task(slot, task, event, delivered)

    def _on_notify(self, slot, message):
        if not (message.complete and message.finish):
            return
        for key, (attempt, where) in list(self.live.items()):
            if where == slot:
                self._report(slot, self._ref(key, attempt), TaskState.FINISHED, gone=True)

    def _on_cancel(self, slot, message):
        if self._fault(0.1):
            return  # it hangs: its process will be killed
        for task in message.tasks:
            if self.live.get((task.vertex_id, task.subtask)) == (task.attempt, slot):
                self._report(slot, task, TaskState.CANCELED, gone=True)

    def _ref(self, key, attempt):
        return runtime_pb2.TaskRef(
            job_id=self.master.graph.job_id,
            epoch=EPOCH,
            vertex_id=key[0],
            subtask=key[1],
            attempt=attempt,
        )

    def _report(self, slot, task, state, *, gone=False):
        event = runtime_pb2.TaskEvent(
            state=runtime_pb2.TaskStateChanged(task=task, state=int(state))
        )
        if gone:
            self._from_task(slot, task, event, lambda: self._gone(task))
        else:
            self._from_task(slot, task, event)

    def _gone(self, task):
        key = (task.vertex_id, task.subtask)
        if self.live.get(key, (0,))[0] == task.attempt:
            del self.live[key]

    def _from_task(self, slot, task, event, delivered=lambda: None):
        """A task says something; nothing arrives from a dead process."""

        def arrive():
            if slot in self.pool.slots and self.live.get((task.vertex_id, task.subtask)) == (
                task.attempt,
                slot,
            ):
                delivered()
                self.tell(ev.TaskReported(slot, event))

        self._ordered(slot, arrive)

    # ------------------------------------------------------------------------------------- faults

    def _fault(self, probability):
        if self.faults_left and self.random.random() < probability:
            self.faults_left -= 1
            return True
        return False

    def _plan_fault(self):
        self._at(self.random.randint(100, 15_000), self._inject)

    def _inject(self):
        if not self.faults_left or self.ended is not None:
            return
        self.faults_left -= 1
        if self.live and self.random.random() < 0.5:
            key, (attempt, slot) = self.random.choice(sorted(self.live.items()))
            task = self._ref(key, attempt)
            failure = runtime_pb2.TaskFailure(task=task, message="boom", retryable=True)
            event = runtime_pb2.TaskEvent(failure=failure)
            self._from_task(slot, task, event, lambda: self._gone(task))
        elif self.pool.slots:
            self._lose(self.random.choice(sorted(self.pool.slots)), "killed by signal 9")
        self._plan_fault()

    def _lose(self, slot, reason):
        if slot not in self.pool.slots:
            return
        owner = self.pool.lost(slot)
        for key, (_, where) in list(self.live.items()):
            if where == slot:
                del self.live[key]
        if owner:
            self.tell(ev.SlotLost(slot, reason))
        self._offer_later(f"{slot}'")

    def _offer_later(self, slot):
        def offer():
            self._allocate(self.pool.offer(Slot(slot, "tm", f"grpc://{slot}")))
            self._tell_free()

        self._at(self.random.randint(0, self.away_ms), offer)
