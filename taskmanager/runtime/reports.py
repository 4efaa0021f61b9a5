"""What a task tells the JobManager about itself once a second."""

from __future__ import annotations

from collections.abc import Callable

from lesto.common.accumulators import AccumulatorError, encoded
from lesto.proto import runtime_pb2
from lesto.taskmanager.runtime.task import Task
from lesto.taskmanager.runtime.task_metrics import TaskMetrics

NANOSECONDS_PER_MILLISECOND = 1_000_000


class TaskReporter:
    """Reports of one task; its metrics come and go with it."""

    def __init__(self, task: Task, send: Callable[[runtime_pb2.TaskEvent], None]) -> None:
        self._task = task
        self._send = send
        self._activity = (0, 0, 0)
        self._metrics = TaskMetrics(task)

    def report(self) -> None:
        """Send a report."""
        task = self._task
        assert task.chain is not None, "a reporter needs a built task"
        report = runtime_pb2.TaskReport(task=task.ref)
        for chained in task.chain.operators:
            stats = chained.stats
            report.operators.add(
                uid=chained.node.uid,
                records_in=stats.records_in,
                records_out=stats.records_out,
                bytes_in=stats.bytes_in,
                bytes_out=chained.output.bytes_out,
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
        self._metrics.sample()
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
        report.busy_ms, report.idle_ms, report.backpressured_ms = (
            ns // NANOSECONDS_PER_MILLISECOND for ns in now
        )

    def close(self) -> None:
        """The task has ended: its series go."""
        self._metrics.close()
