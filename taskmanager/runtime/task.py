"""A task: one subtask of a job vertex, run in small steps on the slot's mailbox thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from lesto.common.accumulators import Accumulator
from lesto.common.elements import (
    MAX_TIMESTAMP,
    Barrier,
    Batch,
    EndOfData,
    LatencyMarker,
)
from lesto.proto import runtime_pb2
from lesto.taskmanager.core.alignment import Decline, StartCheckpoint
from lesto.taskmanager.core.pacing import ALL_ROWS, STEADY_ROWS
from lesto.taskmanager.core.task_states import TaskState, TaskStateMachine
from lesto.taskmanager.core.watermarks import Advance
from lesto.taskmanager.operators.source_api import (
    AlignedDriver,
    BoundedSource,
    PacedSource,
    PollStatus,
    SourceDriver,
)
from lesto.taskmanager.runtime.activity import Activity, ActivityClock
from lesto.taskmanager.runtime.capture import InputCapture, OvertakingSettings
from lesto.taskmanager.runtime.chain import (
    OperatorChain,
    converted,
    schema_from_bytes,
    takes,
)
from lesto.taskmanager.runtime.checkpointing import TaskSnapshots
from lesto.taskmanager.runtime.environment import SlotEnvironment
from lesto.taskmanager.runtime.exchange.edge import EdgeWriter
from lesto.taskmanager.runtime.failures import (
    describe_failure,
    log_close_failures,
    mark_operator,
)
from lesto.taskmanager.runtime.inputs import TaskInputs
from lesto.taskmanager.runtime.output_room import OutputRoom
from lesto.taskmanager.runtime.overtaking import Overtaking
from lesto.taskmanager.runtime.side_work import SideWork
from lesto.taskmanager.runtime.task_key import TaskKey, task_key

__all__ = ["Task", "TaskKey", "task_key"]


class Task:
    """Life and steps of one task. Built by ``TaskBuilder``, then opened, polled, and ended.

    Every method runs on the mailbox thread. An exception of an operator fails the task, never the
    slot.
    """

    def __init__(
        self, environment: SlotEnvironment, deployment: runtime_pb2.TaskDeployment
    ) -> None:
        self.ref = deployment.task
        self.deployment = deployment
        vertex = deployment.vertex
        self.name = f"{vertex.name} ({deployment.task.subtask + 1}/{vertex.parallelism})"
        self._environment = environment
        self._states = TaskStateMachine(self.name)
        self.activity = ActivityClock()
        self.accumulators: dict[str, Accumulator] = {}
        self.chain: OperatorChain | None = None
        self.snapshots: TaskSnapshots | None = None
        self.edges: Sequence[EdgeWriter] = ()
        self.overtaking: Overtaking
        self.inputs: TaskInputs | None = None
        self._source: SourceDriver | None = None
        self._source_wake_ms: int | None = None
        self._stopped = False  # stop-with-savepoint: the source reads no more
        self._quiet = False  # behind the barrier of a stop: timers belong to the next job
        self._ended = False  # end of data has been passed on
        self._side_work = SideWork(())
        #: Records that a step may take in, for those behind let few wait.
        self._output_room = OutputRoom()
        self._bounded: BoundedSource | None = None
        self._held: Barrier | None = None  # of a drain, until all answers have come
        self._finishing = False  # the job's last checkpoint is complete
        self._idle_told = False
        self.report: Callable[[], None] | None = None  # sends a report now
        self._began_ns = time.monotonic_ns()
        self.initialization_seconds: float | None = None  # until it ran
        self._released = False
        self._failed_at_ms = 0
        self._on_release: list[Callable[[], None]] = []

    # ------------------------------------------------------------------------------------- states

    @property
    def state(self) -> TaskState:
        """The task's state."""
        return self._states.state

    @property
    def terminal(self) -> bool:
        """Whether it has ended."""
        return self._states.terminal

    @property
    def released(self) -> bool:
        """Whether its channels are closed and nothing of it is left."""
        return self._released

    def to(self, state: TaskState) -> None:
        """Change state and report it."""
        self._states.to(state)
        if state is not TaskState.FAILED:  # the failure says that
            changed = runtime_pb2.TaskStateChanged(task=self.ref, state=int(state))  # type: ignore[arg-type]
            self._environment.send(runtime_pb2.TaskEvent(state=changed))

    def install(
        self,
        chain: OperatorChain,
        inputs: TaskInputs | None,
        edges: Sequence[EdgeWriter],
        on_release: Sequence[Callable[[], None]],
        settings: OvertakingSettings,
    ) -> None:
        """Take what the builder made."""
        self.chain = chain
        self._side_work = SideWork(chain.operators)
        schemas = {gate.edge.id: schema_from_bytes(gate.edge.schema) for gate in self._gates()}
        schemas.update((edge.edge_id, edge.schema) for edge in edges)
        self.snapshots = TaskSnapshots(self._environment, self.deployment, chain.operators, schemas)
        self.inputs = inputs
        if inputs is not None and self._side_work:
            inputs.room = self._side_work.room
        if inputs is not None:
            inputs.barrier_came = self._barrier_came
        self.edges = tuple(edges)
        self.overtaking = Overtaking(
            self._environment,
            settings,
            edges,
            self.ref.subtask,
            complete=self.snapshots.add_in_flight,
            guarded=self.guarded,
        )
        self._on_release.extend(on_release)
        self._on_release.append(self.overtaking.close)
        if inputs is None:
            head = chain.head.operator
            assert isinstance(head, SourceDriver), "a task without inputs needs a source"
            self._source = head
            self._bounded = head if isinstance(head, BoundedSource) else None
            if chain.steady and isinstance(head, PacedSource):
                head.read_at_least(STEADY_ROWS)

    def _gates(self) -> Sequence[runtime_pb2.InputGate]:
        return tuple(self.deployment.inputs)

    def failed_for_ms(self, now_ms: int) -> int:
        """How long ago it failed."""
        return now_ms - self._failed_at_ms

    def open(self) -> None:
        """Open the operators, last first: what an operator emits when it opens is taken in.

        Raises:
            Exception: what an operator raised.
        """
        assert self.chain is not None, "open before install"
        for chained in reversed(self.chain.operators):
            chained.open()
        self.initialization_seconds = (time.monotonic_ns() - self._began_ns) / 1e9
        self.to(TaskState.RUNNING)
        self._environment.mailbox.wake()

    # -------------------------------------------------------------------------------------- steps

    def poll(self) -> bool:
        """One step; False when there was nothing to do."""
        if self._states.state is not TaskState.RUNNING:
            return False
        self.activity.begin()
        try:
            activity = self._step()
        except BaseException as error:  # noqa: BLE001 - user code runs in here
            self.fail(error)
            activity = Activity.IDLE
        self.activity.end(activity)
        return activity is Activity.BUSY

    def wake_at_ms(self) -> int | None:
        """Monotonic ms at which the source wants to be polled."""
        return self._source_wake_ms if self._states.state is TaskState.RUNNING else None

    def _step(self) -> Activity:
        if self._finishing:
            return self._try_finish()
        # Before anything else, and without credit too: a barrier that overtakes waits for nobody.
        if self.inputs is not None and self.inputs.barriers_wait:
            self.inputs.take_barriers()
        if self.overtaking.waiting:
            self.overtaking.poll()
        if not all([edge.writable for edge in self.edges]):
            self._flush()
            self._source_wake_ms = None
            return Activity.BACKPRESSURED
        worked, accepts = False, True
        if self._side_work:
            worked, accepts = self._poll_concurrent()
        if not accepts:
            if not worked:
                self._flush()
                self._source_wake_ms = None
                return Activity.BACKPRESSURED
        else:
            worked |= self._read()
        if worked:
            self._idle_told = False
            if self.edges:
                now_ns = time.monotonic_ns()
                for edge in self.edges:
                    edge.flush_due(now_ns)
            return Activity.BUSY
        self._be_idle()
        return Activity.IDLE

    def _read(self) -> bool:
        """Take in as much as those behind let wait, and a step's worth at most."""
        most = self._output_room.begin(self.edges)
        self._limit_rows(ALL_ROWS if most is None else most)
        if most is None:
            return self._read_step()
        rows = self._rows_read()
        worked = self._read_step()
        self._output_room.end(self.edges, self._rows_read() - rows)
        return worked

    def _read_step(self) -> bool:
        if self._source is not None:
            return self._poll_source()
        assert self.inputs is not None, "a task has a source or inputs"
        return self.inputs.step()

    def _limit_rows(self, rows: int) -> None:
        if self.inputs is not None:
            self.inputs.rows_max = rows
        elif self._bounded is not None:
            self._bounded.limit_rows(rows)

    def _rows_read(self) -> int:
        stats = self.chain.head.stats  # type: ignore[union-attr]
        return stats.records_in if self._source is None else stats.records_out

    def _poll_concurrent(self) -> tuple[bool, bool]:
        """Emit what has completed; whether anything has, and whether to take more input."""
        worked = not self._quiet and self._side_work.poll()
        if self._side_work.ending and not self._ended:
            return self._go_on_ending() or worked, False
        return worked, self._side_work.room() > 0

    def _poll_source(self) -> bool:
        if self._side_work.ending or self._stopped:
            return False
        assert self._source is not None, "polled without a source"
        assert self.chain is not None, "polled before install"
        try:
            outcome = self._source.poll()
        except BaseException as error:
            mark_operator(error, self.chain.head.name)
            raise
        self._source_wake_ms = outcome.wake_at_ms
        match outcome.status:
            case PollStatus.PROGRESS:
                return True
            case PollStatus.END:
                self._source_wake_ms = None
                self._end_of_data()
                return True
            case PollStatus.IDLE:
                return False

    def _be_idle(self) -> None:
        assert self.chain is not None, "polled before install"
        if not self._idle_told:
            self._idle_told = True
            self.chain.idle()
        self._flush()

    def _flush(self) -> None:
        for edge in self.edges:
            edge.flush()

    # -------------------------------------------------------------------------------------- input

    def on_batch(self, batch: Batch, input_index: int) -> None:
        """A batch has come."""
        head = self.chain.head  # type: ignore[union-attr]
        head.stats.bytes_in += batch.nbytes
        if takes(head.operator.input_form, batch):
            head.process(batch, input_index)
            return
        schema = head.context.input_schemas[input_index]
        for piece in converted(batch, schema, head.name):
            head.process(piece, input_index)

    def on_advance(self, advance: Advance) -> None:
        """Event time or idleness of the inputs has changed."""
        head = self.chain.head  # type: ignore[union-attr]
        if advance.idle is False:
            head.call("process_status", False)
        if advance.watermark is not None:
            head.call("process_watermark", advance.watermark)
        if advance.idle is True:
            head.call("process_status", True)

    def on_latency_marker(self, marker: LatencyMarker) -> None:
        """A latency marker has come."""
        self.chain.head.call("process_latency_marker", marker)  # type: ignore[union-attr]

    def on_input_ended(self, input_index: int) -> None:
        """An input has ended on all channels."""
        assert self.chain is not None, "input before install"
        assert self.inputs is not None, "input without inputs"
        self.chain.head.call("end_input", input_index)
        if self.inputs.ended:
            self._go_on_ending()

    def _end_of_data(self) -> None:
        """The source has ended (or is drained)."""
        assert self.chain is not None, "end before install"
        if self._side_work.ending:
            return
        self.chain.head.output.emit_watermark(MAX_TIMESTAMP)
        self._go_on_ending()

    def _go_on_ending(self) -> bool:
        """Whether the end could be passed on; else the task polls until answers have come."""
        if not self._side_work.end():
            return False
        self._end_edges()
        if self._held is not None:
            barrier, self._held = self._held, None
            self._source_snapshot(barrier)
        return True

    def _end_edges(self) -> None:
        self._ended = True
        for edge in self.edges:
            edge.control(EndOfData())
        if self.report is not None:
            self.report()
        reached = runtime_pb2.EndOfDataReached(task=self.ref)
        self._environment.send(runtime_pb2.TaskEvent(end_of_data=reached))

    # -------------------------------------------------------------------------------- checkpoints

    def trigger(self, barrier: Barrier) -> None:
        """The coordinator asks this source task for a checkpoint."""
        if self._states.state is not TaskState.RUNNING or self._source is None or self._finishing:
            assert self.snapshots is not None, "trigger before install"
            reason = f"task {self.name} is {self._states.state.name}"
            self.snapshots.decline(barrier.checkpoint_id, reason)
            return

        def snapshot() -> None:
            if barrier.drain:
                self.chain.head.call("drain")  # type: ignore[union-attr]
                self._end_of_data()
                if not self._ended:
                    self._held = barrier
                    return
            self._source_snapshot(barrier)

        self.guarded(snapshot)

    def _source_snapshot(self, barrier: Barrier) -> None:
        self._snapshot(self.overtaking.at_source(barrier), alignment_us=0)
        if barrier.stop:
            self._stopped = True
            self._source_wake_ms = None
            self.chain.head.call("stop")  # type: ignore[union-attr]

    def _barrier_came(self) -> None:
        """A barrier that may overtake waits for the step under way, not for other tasks' (any
        thread).
        """
        inputs = self.inputs
        assert inputs is not None, "a barrier without inputs"
        self._environment.mailbox.post(lambda: self.guarded(inputs.take_barriers))

    def on_checkpoint(self, start: StartCheckpoint) -> None:
        """All barriers have come."""
        self._snapshot(
            start.barrier,
            alignment_us=start.alignment_us,
            inputs=start.unaligned,
            limited=start.limited,
        )

    def on_captured(self, capture: InputCapture) -> None:
        """In-flight data of the inputs is complete."""
        self.overtaking.captured(capture)

    def on_capture_dropped(self, checkpoint_id: int) -> None:
        """A checkpoint is given up while its in-flight data is gathered."""
        self._drop_checkpoint(checkpoint_id)

    def on_timed_barrier(self, barrier: Barrier) -> None:
        """A barrier has come that overtakes later."""
        inputs = self.inputs
        assert inputs is not None, "a barrier without inputs"
        self.overtaking.arm(barrier, lambda: inputs.timeout(barrier.checkpoint_id))

    def on_decline(self, decline: Decline) -> None:
        """A checkpoint cannot be taken."""
        assert self.snapshots is not None, "decline before install"
        self.snapshots.decline(decline.checkpoint_id, decline.reason)

    def _drop_checkpoint(self, checkpoint_id: int) -> None:
        assert self.snapshots is not None, "drop before install"
        self.snapshots.abort(checkpoint_id)
        self.overtaking.drop(checkpoint_id)

    def _snapshot(
        self, barrier: Barrier, *, alignment_us: int, inputs: bool = False, limited: bool = False
    ) -> None:
        assert self.snapshots is not None, "snapshot before install"
        delay_us = (self._environment.clock.now_ms() - barrier.timestamp_ms) * 1000 - alignment_us

        self.snapshots.take(
            barrier,
            lambda: self.overtaking.pass_on(barrier, inputs=inputs, limited=limited),
            alignment_us=alignment_us,
            start_delay_us=delay_us,
            in_flight=self.overtaking.expects(barrier),
        )
        self.overtaking.taken(barrier)
        self._quiet = self._quiet or barrier.stop

    def notify_complete(self, checkpoint_id: int, *, finish: bool) -> None:
        """A checkpoint is complete; with ``finish`` it was the job's last."""
        if self._states.state is not TaskState.RUNNING:
            return

        def notify() -> None:
            assert self.chain is not None, "notified before install"
            for chained in self.chain.operators:
                chained.notify(checkpoint_id, complete=True)
                if chained.context.backend is not None:
                    chained.context.backend.notify_checkpoint_complete(checkpoint_id)
            if finish:
                for chained in self.chain.operators:
                    chained.call("finish")
                self._finishing = True

        self.guarded(notify)

    def notify_aborted(self, checkpoint_id: int) -> None:
        """A checkpoint will never complete."""
        if self._states.state is not TaskState.RUNNING:
            return

        def notify() -> None:
            assert self.chain is not None, "notified before install"
            assert self.snapshots is not None, "notified before install"
            self._drop_checkpoint(checkpoint_id)
            if self.inputs is not None:
                self.inputs.abort(checkpoint_id)
            for chained in self.chain.operators:
                chained.notify(checkpoint_id, complete=False)
                if chained.context.backend is not None:
                    chained.context.backend.notify_checkpoint_aborted(checkpoint_id)

        self.guarded(notify)

    # ----------------------------------------------------------------------------------- splits

    def assign_splits(self, splits: Sequence[bytes], *, no_more: bool) -> None:
        """The enumerator's answer."""
        if self._states.state is not TaskState.RUNNING or self._source is None:
            return
        source = self._source

        def assign() -> None:
            if splits:
                source.add_splits(splits)
            if no_more:
                source.no_more_splits()
            self._source_wake_ms = None

        self.guarded(assign, operator=self.chain.head.name)  # type: ignore[union-attr]

    def align_watermarks(self, max_watermark: int) -> None:
        """How far (ms) the source's alignment group lets it go."""
        source: object = self._source
        if self._states.state is not TaskState.RUNNING or not isinstance(source, AlignedDriver):
            return

        def align() -> None:
            source.align(max_watermark)
            self._source_wake_ms = None

        assert self.chain is not None, "aligned before install"
        self.guarded(align, operator=self.chain.head.name)

    # ---------------------------------------------------------------------------------------- end

    def guarded(self, work: Callable[[], None], operator: str = "") -> None:
        """Run a piece of work of this task outside ``poll``; what it raises fails the task."""
        if self._states.state is not TaskState.RUNNING:
            return
        self._idle_told = False
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - user code runs in here
            if operator:
                mark_operator(error, operator)
            self.fail(error)

    def on_timer(self, work: Callable[[], None], operator: str) -> None:
        """Run what a processing-time timer asks for.

        Nothing behind the barrier of a stop: the timer is in the savepoint, and the job that goes
        on from there runs it. A stop that fails restarts the job.
        """
        if not self._quiet:
            self.guarded(work, operator)

    def _try_finish(self) -> Activity:
        assert self.chain is not None, "finish before install"
        assert self.snapshots is not None, "finish before install"
        if self.snapshots.running or any(c.call("pending_work") for c in self.chain.operators):
            return Activity.IDLE
        errors = self.chain.close()
        if errors:
            raise errors[0]
        for edge in self.edges:
            edge.close(graceful=True)
        if self.report is not None:
            self.report()
        self.to(TaskState.FINISHED)
        self._release_state()
        self.release()
        return Activity.BUSY

    def fail(self, error: BaseException, operator: str = "") -> None:
        """The task has failed: report it, close the operators.

        The channels stay open until ``release``: the neighbours must not report a broken channel
        before this failure has reached the JobManager.
        """
        if self._states.terminal:
            return
        if operator:
            mark_operator(error, operator)
        self.to(TaskState.FAILED)
        self._failed_at_ms = self._environment.clock.monotonic_ms()
        failure = describe_failure(error, self.deployment)
        self._environment.send(runtime_pb2.TaskEvent(failure=failure))
        self._close_quietly()

    def cancel(self) -> None:
        """Stop; the answer is CANCELED, or what the task had reached before."""
        if not self._states.terminal:
            self.to(TaskState.CANCELING)
            self._close_quietly()
            self.to(TaskState.CANCELED)
        self.release()

    def release(self) -> None:
        """Close the channels and forget everything."""
        if self._released:
            return
        self._released = True
        if self._states.state is not TaskState.FINISHED:
            for edge in self.edges:
                edge.close(graceful=False)
        if self.inputs is not None:
            self.inputs.close()
        for hook in self._on_release:
            hook()

    def _close_quietly(self) -> None:
        """Close operators after a failure or cancellation; what they raise is only logged."""
        if self.chain is not None:
            log_close_failures(self.chain.close(), self.ref.job_id, self.name)
        self._release_state()

    def _release_state(self) -> None:
        """Close the keyed backends once no upload reads their files."""
        if self.snapshots is None or self.chain is None:
            return
        backends = [c.context.backend for c in self.chain.operators if c.context.backend]

        def close_backends() -> None:
            for backend in backends:
                backend.close()

        self.snapshots.close(close_backends)
