"""Metrics of the JobManager and its jobs, under Flink's names by Prometheus' conventions."""

from __future__ import annotations

from collections.abc import Callable

from lesto.common.metrics import MetricGroup, process_registry
from lesto.jobmanager.core.checkpoint_stats import COMPLETED, FAILED
from lesto.jobmanager.core.job_master import JobMaster
from lesto.jobmanager.core.states import JobState
from lesto.proto import client_pb2


def cluster_metrics(info: Callable[[], client_pb2.ClusterInfo]) -> MetricGroup:
    """Gauges of the whole cluster; close the group when the JobManager stops."""
    group = process_registry().group()
    group.gauge("jobmanager_num_running_jobs", lambda: info().jobs_running, "Jobs not ended.")
    group.gauge(
        "jobmanager_num_registered_taskmanagers",
        lambda: len(info().taskmanagers),
        "TaskManagers that are connected.",
    )
    group.gauge("jobmanager_task_slots_total", lambda: info().slots_total, "Slots that are ready.")
    group.gauge(
        "jobmanager_task_slots_available", lambda: info().slots_available, "Slots that are free."
    )
    return group


class JobMetrics:
    """Metrics of one job, brought up to date after each event."""

    def __init__(self, master: JobMaster) -> None:
        self._master = master
        job_id, name = master.graph.job_id, master.graph.name
        self.group = process_registry().group(job=job_id, job_name=name)
        group = self.group
        self._completed = group.counter("job_checkpoints_completed", "Checkpoints completed.")
        self._failed = group.counter("job_checkpoints_failed", "Checkpoints that failed.")
        self._restarts = group.counter("job_restarts", "Restarts after failures.")
        self._duration = group.distribution(
            "job_checkpoint_duration_seconds", "From trigger to completion."
        )
        self.discard_failures = group.counter(
            "job_checkpoint_discard_failures", "Old checkpoints that could not be deleted."
        )
        group.gauge("job_last_checkpoint_duration_seconds", self._last_duration)
        group.gauge("job_last_checkpoint_size_bytes", self._last_size)
        group.gauge("job_last_checkpoint_uploaded_bytes", self._last_uploaded)
        group.gauge("job_last_completed_checkpoint_id", self._last_id)
        group.gauge("job_in_progress_checkpoints", self._in_progress)
        group.gauge("job_running", lambda: float(master.state is JobState.RUNNING))
        group.gauge("job_stale_events", lambda: float(master.stale_events))

    def update(self) -> None:
        """Take over the master's counts."""
        statistics = self._master.coordinator.statistics
        if statistics.completed > self._completed.value:
            self._completed.inc(statistics.completed - self._completed.value)
            if statistics.latest_completed is not None:
                self._duration.update(statistics.latest_completed.duration_ms / 1000)
        if statistics.failed > self._failed.value:
            self._failed.inc(statistics.failed - self._failed.value)
        if self._master.restarts > self._restarts.value:
            self._restarts.inc(self._master.restarts - self._restarts.value)

    def _latest(self) -> client_pb2.CheckpointStats | None:
        return self._master.coordinator.statistics.latest_completed

    def _last_duration(self) -> float | None:
        latest = self._latest()
        return latest.duration_ms / 1000 if latest else None

    def _last_size(self) -> float | None:
        latest = self._latest()
        return float(latest.state_bytes) if latest else None

    def _last_uploaded(self) -> float | None:
        latest = self._latest()
        return float(latest.uploaded_bytes) if latest else None

    def _last_id(self) -> float | None:
        latest = self._latest()
        return float(latest.checkpoint_id) if latest else None

    def _in_progress(self) -> float:
        history = self._master.coordinator.statistics.history
        return float(sum(entry.status not in {COMPLETED, FAILED} for entry in history))
