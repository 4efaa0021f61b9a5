"""Metrics of the JobManager and its jobs; what they mean is in ``lesto.common.metric_table``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from lesto.common.metrics import process_registry
from lesto.common.process_metrics import register_process_metrics
from lesto.jobmanager.core.checkpoint_stats import COMPLETED, FAILED
from lesto.jobmanager.core.states import JOB_TERMINAL, JobState
from lesto.proto import client_pb2

if TYPE_CHECKING:
    from lesto.common.clock import Clock
    from lesto.jobmanager.core.job_master import JobMaster
    from lesto.jobmanager.core.states import Transition
    from lesto.jobmanager.server.checkpoint_store import CheckpointStore

#: The gauges of one scrape are read from one look at the cluster.
LOOK_SECONDS: Final = 0.2
MILLISECONDS_PER_SECOND: Final = 1e3
MICROSECONDS_PER_SECOND: Final = 1e6


def count_lost_taskmanager() -> None:
    """A TaskManager's connection has ended unasked."""
    process_registry().group().counter("jobmanager_taskmanagers_lost").inc()


def _count_ended(state: JobState) -> None:
    process_registry().group(state=state.name).counter("jobmanager_jobs_ended").inc()


class ClusterMetrics:
    """Gauges of the whole cluster, until they are closed."""

    def __init__(self, info: Callable[[], client_pb2.ClusterInfo]) -> None:
        self._info: Callable[[], client_pb2.ClusterInfo] | None = info
        self._looked_at = 0.0
        self._seen: client_pb2.ClusterInfo | None = None
        register_process_metrics(process_registry())
        group = process_registry().group()
        for name, read in {
            "jobmanager_leading": lambda seen: seen.leading,
            "jobmanager_num_running_jobs": lambda seen: seen.jobs_running,
            "jobmanager_num_registered_taskmanagers": lambda seen: len(seen.taskmanagers),
            "jobmanager_task_slots": lambda seen: seen.slots_total,
            "jobmanager_task_slots_available": lambda seen: seen.slots_available,
        }.items():
            group.gauge(name, self._reader(read))
        # From zero on, so that the first one is an increase.
        group.counter("jobmanager_taskmanagers_lost")
        for state in JOB_TERMINAL:
            process_registry().group(state=state.name).counter("jobmanager_jobs_ended")

    def _reader(
        self, read: Callable[[client_pb2.ClusterInfo], float]
    ) -> Callable[[], float | None]:
        def look() -> float | None:
            info = self._info
            if info is None:
                return None
            now = time.monotonic()
            if self._seen is None or now - self._looked_at > LOOK_SECONDS:
                self._seen, self._looked_at = info(), now
            return float(read(self._seen))

        return look

    def close(self) -> None:
        """The JobManager has stopped: no values any more."""
        self._info = self._seen = None


class JobMetrics:
    """Metrics of one job, brought up to date after each event.

    Args:
        master: the job.
        clock: for the time in the present state.
        store: has written its metadata.
    """

    def __init__(self, master: JobMaster, clock: Clock, store: CheckpointStore) -> None:
        self._master = master
        self._clock = clock
        job_id, name = master.graph.job_id, master.graph.name
        self.group = process_registry().group(job_id=job_id, job_name=name)
        self._duration = self.group.distribution("job_checkpoint_duration_seconds")
        self.discard_failures = self.group.counter("job_checkpoint_discard_failures")
        self._seen_completed = 0
        self._slowest: dict[str, float] = {}
        self._story: Transition[JobState] = master.states.story[-1]
        #: Time in states that the job has left, ms.
        self._spent_ms = dict.fromkeys((s for s in JobState if not s.terminal), 0)
        self._add_times()
        self._add_checkpoints(store)

    # --------------------------------------------------------------------------------- life

    def _add_times(self) -> None:
        master, group = self._master, self.group
        group.gauge("job_running", lambda: float(master.state is JobState.RUNNING))
        group.gauge("job_uptime_seconds", lambda: self._for_seconds(JobState.RUNNING))
        group.gauge("job_downtime_seconds", lambda: self._for_seconds(JobState.RESTARTING))
        for state in self._spent_ms:
            group.child(state=state.name).total("job_state_seconds", self._time_in(state))
        group.total("job_restarts", lambda: master.restarts)
        group.total("job_rescales", lambda: master.rescales)
        group.gauge("job_stale_events", lambda: master.stale_events)

    def _since_ms(self, begin: Transition[JobState]) -> int:
        return max(0, self._clock.now_ms() - begin.at_ms)

    def _for_seconds(self, state: JobState) -> float:
        """How long the job has been in this state; 0: it is not."""
        now = self._story
        return self._since_ms(now) / MILLISECONDS_PER_SECOND if now.state is state else 0.0

    def _time_in(self, state: JobState) -> Callable[[], float]:
        def read() -> float:
            now = self._story
            spent_ms = self._spent_ms[state] + (self._since_ms(now) if now.state is state else 0)
            return spent_ms / MILLISECONDS_PER_SECOND

        return read

    def _follow(self) -> None:
        """Count the time in the states that were left since the last look."""
        fresh: list[Transition[JobState]] = []
        for transition in reversed(self._master.states.story):
            if transition is self._story:
                break
            fresh.append(transition)
        for transition in reversed(fresh):
            left = self._story
            self._spent_ms[left.state] += max(0, transition.at_ms - left.at_ms)
            self._story = transition

    # --------------------------------------------------------------------------- checkpoints

    def _add_checkpoints(self, store: CheckpointStore) -> None:
        master, group = self._master, self.group
        statistics = master.coordinator.statistics
        interval_ms = master.settings.checkpoints.interval_ms or 0
        group.gauge(
            "job_checkpoint_interval_seconds", lambda: interval_ms / MILLISECONDS_PER_SECOND
        )
        group.total("job_checkpoints_triggered", lambda: statistics.begun)
        group.total("job_checkpoints_completed", lambda: statistics.completed)
        group.total("job_checkpoints_failed", lambda: statistics.failed)
        group.gauge("job_in_progress_checkpoints", self._in_progress)
        for name, read in {
            "completed_checkpoint_id": lambda c: c.checkpoint_id,
            "checkpoint_completed_timestamp_seconds": _completed_at,
            "checkpoint_duration_seconds": _duration,
            "checkpoint_size_bytes": lambda c: c.state_bytes,
            "checkpoint_uploaded_bytes": lambda c: c.uploaded_bytes,
            "checkpoint_in_flight_bytes": lambda c: c.in_flight_bytes,
            "checkpoint_metadata_bytes": lambda _: store.metadata_bytes,
        }.items():
            group.gauge(f"job_last_{name}", self._latest(read))
        for part in ("start_delay", "alignment", "sync", "async"):
            group.gauge(
                f"job_last_checkpoint_{part}_seconds",
                lambda part=part: self._slowest.get(part),  # type: ignore[misc]
            )
        group.gauge("job_last_restore_timestamp_seconds", self._restored_at)

    def _latest(
        self, read: Callable[[client_pb2.CheckpointStats], float | None]
    ) -> Callable[[], float | None]:
        statistics = self._master.coordinator.statistics

        def look() -> float | None:
            latest = statistics.latest_completed
            return None if latest is None else read(latest)

        return look

    def _restored_at(self) -> float | None:
        restored = self._master.coordinator.statistics.latest_restored
        return None if restored is None else restored.trigger_timestamp_ms / MILLISECONDS_PER_SECOND

    def _in_progress(self) -> float:
        history = list(self._master.coordinator.statistics.history)
        return float(sum(entry.status not in {COMPLETED, FAILED} for entry in history))

    def update(self) -> None:
        """Take over what has happened (event loop)."""
        self._follow()
        statistics = self._master.coordinator.statistics
        if statistics.completed == self._seen_completed:
            return
        self._seen_completed = statistics.completed
        latest = statistics.latest_completed
        if latest is None:
            return
        self._duration.update(_duration(latest))
        parts = latest.subtasks
        self._slowest = {
            name: max(times) / MICROSECONDS_PER_SECOND
            for name, times in (
                ("start_delay", [part.start_delay_us for part in parts]),
                ("alignment", [part.alignment_us for part in parts]),
                ("sync", [part.sync_us for part in parts]),
                ("async", [part.async_us for part in parts]),
            )
            if times
        }

    def close(self) -> None:
        """The job runs here no more."""
        self.update()
        if self._master.state.terminal:
            _count_ended(self._master.state)
        self.group.close()


def _duration(stats: client_pb2.CheckpointStats) -> float:
    return stats.duration_ms / MILLISECONDS_PER_SECOND


def _completed_at(stats: client_pb2.CheckpointStats) -> float:
    return (stats.trigger_timestamp_ms + stats.duration_ms) / MILLISECONDS_PER_SECOND
