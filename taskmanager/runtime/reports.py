"""What a task tells about itself once a second: a report to the JobManager, counters to
Prometheus.
"""

from __future__ import annotations

from collections.abc import Callable

from lesto.common.accumulators import AccumulatorError, encoded
from lesto.common.elements import MIN_TIMESTAMP
from lesto.common.metrics import Counter, MetricGroup, process_registry
from lesto.proto import runtime_pb2
from lesto.taskmanager.runtime.task import Task

NANOSECONDS_PER_SECOND = 1e9
MILLISECONDS_PER_SECOND = 1e3
MICROSECONDS_PER_SECOND = 1e6


class _Delta:
    """A counter fed from a growing number."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._last: float = 0

    def to(self, value: float) -> None:
        self._counter.inc(value - self._last)
        self._last = value


class TaskReporter:
    """Reports of one task."""

    def __init__(self, task: Task, send: Callable[[runtime_pb2.TaskEvent], None]) -> None:
        self._task = task
        self._send = send
        vertex = task.deployment.vertex
        self._group: MetricGroup = process_registry().group(
            job=task.ref.job_id, task=vertex.name, subtask=task.ref.subtask
        )
        group = self._group
        self._busy = _Delta(group.counter("busy_seconds", "Time in which the task worked."))
        self._idle = _Delta(group.counter("idle_seconds", "Time in which it had no input."))
        self._held = _Delta(
            group.counter("backpressured_seconds", "Time in which it waited for those behind it.")
        )
        self._checkpoints = _Delta(group.counter("checkpoints", "Snapshots acknowledged."))
        group.gauge(
            "checkpoint_duration_seconds",
            lambda: self._snapshot("last_duration_us", MICROSECONDS_PER_SECOND),
            "Sync and upload time of the last snapshot.",
        )
        group.gauge(
            "checkpoint_size_bytes",
            lambda: self._snapshot("last_bytes", 1),
            "Bytes uploaded for the last snapshot.",
        )
        self._activity = (0, 0, 0)
        self._operators: list[tuple[_Delta, ...]] = []
        assert task.chain is not None, "a reporter needs a built task"
        for chained in task.chain.operators:
            metrics = chained.context.metrics
            counters = tuple(
                _Delta(metrics.counter(name, text))
                for name, text in (
                    ("records_in", "Records that arrived."),
                    ("records_out", "Records emitted on the main output."),
                    ("bytes_in", "Bytes of the batches that arrived from other tasks."),
                    ("bytes_out", "Bytes given to channels."),
                )
            )
            self._operators.append(counters)
            stats = chained.stats
            metrics.gauge(
                "watermark_seconds",
                lambda s=stats: (  # type: ignore[misc]
                    None if s.watermark == MIN_TIMESTAMP else s.watermark / MILLISECONDS_PER_SECOND
                ),
                "Event time that the operator has passed on.",
            )

    def report(self) -> None:
        """Send a report and bring the counters up to date."""
        task = self._task
        assert task.chain is not None, "a reporter needs a built task"
        report = runtime_pb2.TaskReport(task=task.ref)
        for chained, counters in zip(task.chain.operators, self._operators, strict=True):
            stats = chained.stats
            values = (stats.records_in, stats.records_out, stats.bytes_in, chained.output.bytes_out)
            for counter, value in zip(counters, values, strict=True):
                counter.to(value)
            report.operators.add(
                uid=chained.node.uid,
                records_in=stats.records_in,
                records_out=stats.records_out,
                bytes_in=stats.bytes_in,
                bytes_out=values[3],
                watermark=stats.watermark,
                late_dropped=int(getattr(chained.operator, "late_dropped", 0)),
            )
        try:
            for name, accumulator in task.accumulators.items():
                report.accumulators[name].kind = accumulator.kind
                report.accumulators[name].value = encoded(name, accumulator)
        except AccumulatorError as error:
            task.fail(error)
            return
        self._add_activity(report)
        if task.snapshots is not None:
            self._checkpoints.to(task.snapshots.completed)
        self._send(runtime_pb2.TaskEvent(report=report))

    def _add_activity(self, report: runtime_pb2.TaskReport) -> None:
        clock = self._task.activity
        now = (clock.busy_ns, clock.idle_ns, clock.backpressured_ns)
        spent = [b - a for a, b in zip(self._activity, now, strict=True)]
        self._activity = now
        total = max(1, sum(spent))
        report.busy_ratio, report.idle_ratio, report.backpressured_ratio = (
            s / total for s in spent
        )
        self._busy.to(now[0] / NANOSECONDS_PER_SECOND)
        self._idle.to(now[1] / NANOSECONDS_PER_SECOND)
        self._held.to(now[2] / NANOSECONDS_PER_SECOND)

    def _snapshot(self, name: str, unit: float) -> float | None:
        snapshots = self._task.snapshots
        if snapshots is None or not snapshots.completed:
            return None
        return float(getattr(snapshots, name)) / unit

    def close(self) -> None:
        """The task has ended: its series go."""
        self._group.close()
