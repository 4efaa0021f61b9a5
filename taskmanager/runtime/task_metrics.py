"""What a task and its operators tell Prometheus. Most is read at the scrape; what only the mailbox
thread may look at is sampled with the task's report, once a second.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from lesto.common.elements import MAX_TIMESTAMP, MIN_TIMESTAMP
from lesto.common.metrics import MetricGroup, process_registry
from lesto.common.process_metrics import register_process_metrics

if TYPE_CHECKING:
    from lesto.proto import runtime_pb2
    from lesto.state.row_memory import Budget
    from lesto.taskmanager.runtime.chain import ChainedOperator, OperatorStats
    from lesto.taskmanager.runtime.task import Task

NANOSECONDS_PER_SECOND: Final = 1e9
MILLISECONDS_PER_SECOND: Final = 1e3
MICROSECONDS_PER_SECOND: Final = 1e6


@dataclass(slots=True)
class _Channels:
    """The channels of a task, when they were last looked at."""

    queued_bytes: float | None = None
    window_bytes: float | None = None
    drain_seconds: float | None = None
    sent_bytes: float | None = None


class TaskMetrics:
    """Metrics of one task, until they are closed."""

    def __init__(self, task: Task) -> None:
        self._task = task
        vertex = task.deployment.vertex
        self.group: MetricGroup = process_registry().group(
            job_id=task.ref.job_id, task=vertex.name, subtask=task.ref.subtask
        )
        self._channels = _Channels()
        self._event_times: dict[int, int] = {}
        self._add_times()
        self._add_channels()
        self._add_checkpoints()
        assert task.chain is not None, "metrics of a task that is not built"
        for chained in task.chain.operators:
            add_operator(chained)

    def sample(self) -> None:
        """Look at the channels (mailbox thread)."""
        task, channels = self._task, self._channels
        if task.edges:
            channels.sent_bytes = sum(edge.queued_bytes for edge in task.edges)
        inputs = task.inputs
        if inputs is None:
            return
        channels.queued_bytes = inputs.queued_bytes
        channels.window_bytes = inputs.window_bytes
        channels.drain_seconds = inputs.drain_seconds
        self._event_times = inputs.event_times()

    def close(self) -> None:
        """The task has ended: its series go."""
        self.group.close()

    def _add_times(self) -> None:
        clock, group = self._task.activity, self.group
        group.total("busy_seconds", lambda: clock.busy_ns / NANOSECONDS_PER_SECOND)
        group.total("idle_seconds", lambda: clock.idle_ns / NANOSECONDS_PER_SECOND)
        group.total(
            "backpressured_seconds", lambda: clock.backpressured_ns / NANOSECONDS_PER_SECOND
        )

    def _add_channels(self) -> None:
        task, group, channels = self._task, self.group, self._channels
        if task.edges:
            group.gauge("output_queue_bytes", lambda: channels.sent_bytes)
        if task.inputs is None:
            return
        group.gauge("input_queue_bytes", lambda: channels.queued_bytes)
        group.gauge("input_window_bytes", lambda: channels.window_bytes)
        group.gauge("input_drain_seconds", lambda: channels.drain_seconds)
        for index in {gate.edge.target_input for gate in task.deployment.inputs}:
            group.child(input=index).gauge("input_watermark_seconds", self._event_time(index))

    def _event_time(self, index: int) -> Callable[[], float | None]:
        def read() -> float | None:
            at_ms = self._event_times.get(index)
            return None if at_ms is None else at_ms / MILLISECONDS_PER_SECOND

        return read

    def _add_checkpoints(self) -> None:
        task, group = self._task, self.group
        group.total("checkpoints", lambda: task.snapshots.completed if task.snapshots else None)
        for name, attribute, unit in (
            ("checkpoint_size_bytes", "last_bytes", 1.0),
            ("checkpoint_duration_seconds", "last_duration_us", MICROSECONDS_PER_SECOND),
            ("checkpoint_sync_seconds", "last_sync_us", MICROSECONDS_PER_SECOND),
            ("checkpoint_start_delay_seconds", "last_start_delay_us", MICROSECONDS_PER_SECOND),
            ("checkpoint_alignment_seconds", "last_alignment_us", MICROSECONDS_PER_SECOND),
        ):
            group.gauge(name, self._snapshot(attribute, unit))
        group.gauge("initialization_seconds", lambda: task.initialization_seconds)
        restored = float(restored_bytes(task.deployment))
        group.gauge("restored_bytes", lambda: restored)
        group.gauge("restore_seconds", self._restore_seconds)

    def _snapshot(self, attribute: str, unit: float) -> Callable[[], float | None]:
        def read() -> float | None:
            snapshots = self._task.snapshots
            if snapshots is None or not snapshots.completed:
                return None
            return float(getattr(snapshots, attribute)) / unit

        return read

    def _restore_seconds(self) -> float:
        chain = self._task.chain
        return sum(c.context.restore_seconds for c in chain.operators) if chain else 0.0


def add_operator(chained: ChainedOperator) -> None:
    """Register the metrics that every operator has; they go with its context."""
    metrics, stats = chained.context.metrics, chained.stats
    for name in ("records_in", "records_out", "batches_in", "batches_out", "bytes_in"):
        metrics.total(name, _count(stats, name))
    output, clock = chained.output, chained.context.clock
    metrics.total("bytes_out", lambda: output.bytes_out)

    def watermark() -> float | None:
        at_ms = stats.watermark
        return None if at_ms == MIN_TIMESTAMP else at_ms / MILLISECONDS_PER_SECOND

    def lag() -> float | None:
        at_ms = stats.watermark
        if at_ms in {MIN_TIMESTAMP, MAX_TIMESTAMP}:
            return None
        return (clock.now_ms() - at_ms) / MILLISECONDS_PER_SECOND

    metrics.gauge("watermark_seconds", watermark)
    metrics.gauge("watermark_lag_seconds", lag)


def _count(stats: OperatorStats, name: str) -> Callable[[], float]:
    return lambda: getattr(stats, name)


def restored_bytes(deployment: runtime_pb2.TaskDeployment) -> int:
    """Bytes of checkpoints that a task reads when it starts."""
    keyed = sum(
        named.file.length_bytes
        for operator in deployment.restore
        for handle in operator.keyed
        for named in handle.files
    )
    lists = sum(
        len(item)
        for operator in deployment.restore
        for state in operator.lists
        for item in state.items
    )
    in_flight = sum(p.length_bytes for channel in deployment.in_flight for p in channel.parts)
    return keyed + lists + in_flight


class SlotMetrics:
    """Metrics of a slot process.

    Args:
        slot_id: the slot.
        tasks: how many are deployed.
        mails: how many wait.
    """

    def __init__(
        self, slot_id: str, tasks: Callable[[], float], mails: Callable[[], float]
    ) -> None:
        register_process_metrics(process_registry())
        group = process_registry().group(slot=slot_id)
        self._latency = group.distribution("slot_mailbox_latency_seconds")
        group.gauge("slot_tasks", tasks)
        group.gauge("slot_mailbox_size", mails)
        group.gauge("slot_table_memory_bytes", lambda: _table_budget().held_bytes)
        group.gauge("slot_table_memory_max_bytes", lambda: _table_budget().total_bytes)

    def late(self, ms: float) -> None:
        """Something that was due was done so much later."""
        self._latency.update(max(0.0, ms) / MILLISECONDS_PER_SECOND)


def _table_budget() -> Budget:
    from lesto.state import row_memory  # not before somebody asks: a slot is to be up soon

    return row_memory.PROCESS
